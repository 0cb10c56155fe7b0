//! `relay bundle`: looking, verifying, and signing elsewhere.

use crate::image::image;
use crate::run::{Place, minisign};

fn packed(arguments: &[&str]) -> Place {
    let place = Place::new();
    let web = format!("web={}", place.archive("web.tar", &image("web")));
    let mut command = place.command(&["pack", "compose.yaml", "--app", "kiosk"]);
    command.args([
        "--version",
        "1.0",
        "--seq",
        "1",
        "--arch",
        "amd64",
        "--issued-at",
        "1700000000",
    ]);
    command
        .args(["--compression", "1", "-o", "out.bin", "--image", &web])
        .args(arguments);
    crate::run::said(&mut command).ok();
    place
}

#[test]
fn every_flipped_byte_is_refused() {
    let place = packed(&["--key", "release.key"]);
    let good = place.read("out.bin");
    let step = good.len() / 40;
    for at in (0..good.len()).step_by(step).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        place.write("bad.bin", bad);
        let error = place
            .relay(&["bundle", "verify", "--pub", "release.pub", "bad.bin"])
            .fails(1);
        assert!(error.contains("error: bad.bin: "), "{at}: {error}");
        assert!(error.contains("\nhint: "), "{at}: {error}");
    }
    place.write("bad.bin", &good[..good.len() - 1]);
    place
        .relay(&["bundle", "verify", "--pub", "release.pub", "bad.bin"])
        .fails(1);
}

#[test]
fn only_trusted_keys_count() {
    let place = packed(&["--key", "release.key"]);
    place
        .relay(&["key", "new", "--out", "other", "--no-password"])
        .ok();
    place
        .relay(&["bundle", "verify", "--pub", "other.pub", "out.bin"])
        .fails(1);
    std::fs::create_dir(place.path("keys")).unwrap();
    place
        .relay(&["bundle", "verify", "--keys", "keys", "out.bin"])
        .fails(1);
    place.write("keys/release.pub", place.read("release.pub"));
    let json = place
        .relay(&["bundle", "verify", "--json", "--keys", "keys", "out.bin"])
        .ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["app"], "kiosk");
    assert_eq!(json["signed_by"].as_array().unwrap().len(), 1);
}

#[test]
fn a_draft_is_signed_elsewhere() {
    let place = packed(&["--unsigned"]);
    place
        .relay(&["bundle", "verify", "--pub", "release.pub", "out.bin"])
        .fails(1);
    assert!(
        place
            .relay(&["bundle", "inspect", "out.bin"])
            .ok()
            .contains("none: a draft")
    );
    assert_eq!(
        place.relay(&["bundle", "split", "out.bin"]).ok(),
        "./manifest.bin\n"
    );
    let arguments = [
        "-S",
        "-s",
        "release.key",
        "-m",
        "manifest.bin",
        "-t",
        "made offline",
    ];
    let Some(signed) = minisign(&place.path(""), &arguments) else {
        return;
    };
    signed.ok();
    place
        .relay(&[
            "bundle",
            "join",
            "out.bin",
            "manifest.bin.minisig",
            "--pub",
            "release.pub",
            "-o",
            "signed.bin",
        ])
        .ok();
    place
        .relay(&["bundle", "verify", "--pub", "release.pub", "signed.bin"])
        .ok();
    // The identity is that of the manifest, whoever signed it.
    let digest = |name| {
        let shown = place.relay(&["bundle", "inspect", "--json", name]).ok();
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()["digest"].clone()
    };
    assert_eq!(digest("out.bin"), digest("signed.bin"));
}

#[test]
fn a_foreign_signature_is_not_joined_unseen() {
    let place = packed(&["--key", "release.key"]);
    place.relay(&["bundle", "split", "out.bin"]).ok();
    let mut text = String::from_utf8(place.read("manifest.bin.minisig")).unwrap();
    text = text.replace("seq 1", "seq 2");
    place.write("changed.minisig", text);
    let error = place
        .relay(&[
            "bundle",
            "join",
            "out.bin",
            "changed.minisig",
            "--pub",
            "release.pub",
            "-o",
            "joined.bin",
        ])
        .fails(1);
    assert!(error.contains("changed.minisig: "), "{error}");
    assert!(!place.path("joined.bin").exists());
    place.write("changed.minisig", "rubbish");
    place
        .relay(&[
            "bundle",
            "join",
            "out.bin",
            "changed.minisig",
            "-o",
            "joined.bin",
        ])
        .fails(1);
}

#[test]
fn what_is_no_bundle_says_so() {
    let place = Place::new();
    place.write("text.bin", "not a bundle at all");
    for command in ["inspect", "split"] {
        let error = place.relay(&["bundle", command, "text.bin"]).fails(1);
        assert!(error.starts_with("error: text.bin: "), "{error}");
    }
    let error = place.relay(&["bundle", "inspect", "missing.bin"]).fails(1);
    assert!(error.contains("missing.bin: No such file"), "{error}");
}
