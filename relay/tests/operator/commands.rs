//! What works: from login to audit.

use crate::serve::Relay;

#[test]
fn a_login_is_kept_until_the_logout() {
    let relay = Relay::start();
    relay.login(&["--token-file", "admin.token"]).ok();
    assert_eq!(relay.json(&["whoami"])["name"], "admin");
    // It holds a copy of the CA.
    std::fs::rename(relay.place.path("ca"), relay.place.path("elsewhere")).unwrap();
    relay.run(&["whoami"]).ok();
    relay.run(&["logout"]).ok();
    let error = relay.run(&["whoami"]).fails(3);
    assert!(error.contains("relay login URL"), "{error}");
}

#[test]
fn scripts_need_no_login() {
    let relay = Relay::start();
    let ca = relay.place.path("ca/ca.pem");
    let ca = ("CORACLE_RELAY_CA", ca.to_str().unwrap());
    let url = ("CORACLE_RELAY_URL", relay.url.as_str());
    let token = String::from_utf8(relay.place.read("admin.token")).unwrap();
    let token = ("CORACLE_TOKEN", token.trim());
    relay.with(&[url, ca, token], &["devices"]).ok();
    let file = ("CORACLE_TOKEN_FILE", "admin.token");
    relay.with(&[url, ca, file], &["devices"]).ok();
    let arguments = ["devices", "--relay", &relay.url, "--ca", "ca/ca.pem"];
    let arguments = [&arguments[..], &["--token-file", "admin.token"]].concat();
    relay.with(&[], &arguments).ok();
    relay.with(&[url, ca], &["devices"]).fails(3);
}

#[test]
fn a_bundle_becomes_a_release_once() {
    let relay = Relay::logged_in();
    let said = relay.run(&["releases"]).ok();
    assert!(said.contains("relay publish BUNDLE"), "{said}");
    relay.pack();
    let first = relay.json(&["publish", "out.bin"]);
    assert_eq!(first[0]["new"], true);
    let again = relay.json(&["publish", "out.bin"]);
    assert_eq!(again[0]["new"], false);
    assert_eq!(first[0]["bundle"], again[0]["bundle"]);

    let releases = relay.json(&["releases", "kiosk"]);
    assert_eq!(releases.as_array().unwrap().len(), 1);
    assert_eq!(releases[0]["bundles"][0], first[0]["bundle"]);
    let file = bundle::Digest::of(&relay.place.read("out.bin")).to_string();
    assert_eq!(releases[0]["bundles"][0]["file"], file);
    let table = relay.run(&["releases"]).ok();
    assert!(table.contains("\nkiosk@1.0  1    amd64"), "{table}");
}

#[test]
fn a_token_is_alone_on_standard_output() {
    let relay = Relay::logged_in();
    let made = relay.run(&["token", "enroll", "--label", "site=harbour"]);
    assert!(made.err.contains(&format!("agent enroll {}", relay.url)));
    let secret = made.ok();
    assert_eq!(secret.lines().count(), 1, "{secret}");
    relay.run(&["token", "create", "ci", "--ttl", "1h"]).ok();
    let tokens = relay.json(&["token", "list"]);
    assert_eq!(tokens["enroll"][0]["labels"]["site"], "harbour");
    let names: Vec<_> = tokens["operator"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2);
    assert!(!tokens.to_string().contains(secret.trim()));

    relay.run(&["token", "revoke", "enroll/1"]).ok();
    relay.run(&["token", "revoke", "operator/7"]).fails(4);
    let table = relay.run(&["token", "list"]).ok();
    assert!(table.contains("\nenroll/1    revoked"), "{table}");
}

#[test]
fn a_token_that_was_revoked_is_good_for_nothing() {
    let relay = Relay::logged_in();
    let token = relay.run(&["token", "create", "ci"]).ok();
    relay.place.write("ci.token", &token);
    let whoami = ["whoami", "--token-file", "ci.token"];
    relay.run(&whoami).ok();
    let id = relay.json(&["token", "list"])["operator"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "ci")
        .unwrap()["id"]
        .to_string();
    relay
        .run(&["token", "revoke", &format!("operator/{id}")])
        .ok();
    relay.run(&whoami).fails(3);
}

#[test]
fn completion_and_manual_know_the_commands() {
    let place = crate::run::Place::new();
    let script = place.relay(&["completion", "bash"]).ok();
    place.relay(&["man", "."]).ok();
    for command in [
        "login",
        "publish",
        "devices-show",
        "rollout-start",
        "token-enroll",
        "audit",
    ] {
        let last = command.rsplit('-').next().unwrap();
        assert!(script.contains(last), "{command}");
        let page = format!("relay-{command}.1");
        assert!(place.path(&page).exists(), "{page}");
    }
}
