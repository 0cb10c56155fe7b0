//! `relay key`: minisign's formats, passwords, and care with files.

use std::os::unix::fs::PermissionsExt as _;

use crate::image::image;
use crate::run::{Place, minisign, said};

#[test]
fn a_key_is_never_replaced_by_accident() {
    let place = Place::new();
    let before = place.read("release.key");
    let error = place
        .relay(&["key", "new", "--out", "release", "--no-password"])
        .fails(1);
    assert!(
        error.contains("release.key is there already\nhint: "),
        "{error}"
    );
    assert!(before == place.read("release.key"));
    place
        .relay(&["key", "new", "--out", "release", "--no-password", "--force"])
        .ok();
    assert!(before != place.read("release.key"));
    let mode = std::fs::metadata(place.path("release.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn passwords_come_from_the_environment() {
    let place = Place::new();
    let mut command = place.command(&["key", "new", "--out", "locked", "--json"]);
    command.env("CORACLE_KEY_PASSWORD", "tide");
    let made: serde_json::Value = serde_json::from_str(&said(&mut command).ok()).unwrap();
    assert_eq!(made["encrypted"], true);

    let web = format!("web={}", place.archive("web.tar", &image("web")));
    let pack = |password: Option<&str>| {
        let mut command =
            place.command(&["pack", "compose.yaml", "--app", "kiosk", "--version", "1"]);
        command.args([
            "--seq",
            "1",
            "--arch",
            "amd64",
            "--key",
            "locked.key",
            "-o",
            "out.bin",
        ]);
        command.args(["--image", &web, "--compression", "1"]);
        if let Some(password) = password {
            command.env("CORACLE_KEY_PASSWORD", password);
        }
        said(&mut command)
    };
    pack(Some("tide")).ok();
    place
        .relay(&["bundle", "verify", "--pub", "locked.pub", "out.bin"])
        .ok();
    let error = pack(Some("ebb")).fails(1);
    assert!(
        error.contains("locked.key: the password does not open this key"),
        "{error}"
    );
    let error = pack(None).fails(1);
    assert!(error.contains("CORACLE_KEY_PASSWORD is not set"), "{error}");
}

#[test]
fn both_halves_show_one_id() {
    let place = Place::new();
    let id = |file| {
        let shown = place.relay(&["key", "show", "--json", file]).ok();
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()["key"].clone()
    };
    assert_eq!(id("release.key"), id("release.pub"));
    place.write("text", "no key");
    place.relay(&["key", "show", "text"]).fails(1);
}

#[test]
fn stock_minisign_signs_with_our_keys() {
    let place = Place::new();
    place.write("message", "hello");
    let Some(signed) = minisign(
        &place.path(""),
        &["-S", "-s", "release.key", "-m", "message"],
    ) else {
        return;
    };
    signed.ok();
    if let Some(verified) = minisign(
        &place.path(""),
        &["-V", "-p", "release.pub", "-m", "message"],
    ) {
        verified.ok();
    }
}
