//! What does not work: each mistake has its exit code, a sentence, and leaves its trace.

use crate::serve::Relay;

#[test]
fn a_wrong_token_is_refused_and_not_stored() {
    let relay = Relay::start();
    relay.place.write("wrong", "cop_wrong");
    relay.login(&["--token-file", "wrong"]).fails(3);
    relay.run(&["whoami"]).fails(3);
    relay.login(&["--token-file", "admin.token"]).ok();
    // A token that fails later does not undo the login.
    relay.login(&["--token-file", "wrong"]).fails(3);
    relay.run(&["whoami"]).ok();
}

#[test]
fn a_relay_with_a_foreign_certificate_is_not_trusted() {
    let (relay, other) = (Relay::logged_in(), Relay::start());
    let ca = other.place.path("ca/ca.pem");
    let error = relay
        .run(&["whoami", "--ca", ca.to_str().unwrap()])
        .fails(6);
    assert!(error.contains("is not to be trusted"), "{error}");
}

#[test]
fn a_stored_token_does_not_go_to_another_relay() {
    let (relay, other) = (Relay::logged_in(), Relay::start());
    let error = relay.run(&["whoami", "--relay", &other.url]).fails(3);
    assert!(
        error.contains(&format!("no token for {}", other.url)),
        "{error}"
    );
}

#[test]
fn a_relay_that_is_down_is_told_from_one_that_refuses() {
    let mut relay = Relay::logged_in();
    relay.stop();
    let error = relay.run(&["devices"]).fails(6);
    assert!(error.contains("does not answer"), "{error}");
}

#[test]
fn what_is_not_there_is_not_found() {
    let relay = Relay::logged_in();
    for arguments in [
        &["devices", "show", "nobody"][..],
        &["devices", "label", "nobody", "a=b"],
        &["devices", "remove", "nobody", "--yes"],
        &["rollout", "status", "9"],
        &["rollout", "status", "9", "--watch"],
        &["rollout", "abort", "9"],
    ] {
        relay.run(arguments).fails(4);
    }
    relay.run(&["devices", "remove", "nobody"]).fails(2);
    relay
        .run(&["devices", "-l", "a=b", "show", "nobody"])
        .fails(2);
    relay
        .run(&["rollout", "start", "no-such-file", "--to", "all"])
        .fails(2);
}

#[test]
fn a_bundle_that_is_cut_short_or_unsigned_is_not_sent() {
    let relay = Relay::logged_in();
    relay.pack();
    let whole = relay.place.read("out.bin");
    relay.place.write("short.bin", &whole[..whole.len() - 1]);
    relay.place.write("head.bin", &whole[..100]);
    relay.place.write("text.bin", "no bundle");
    for file in ["short.bin", "head.bin", "text.bin", "missing.bin"] {
        let error = relay.run(&["publish", "out.bin", file]).fails(1);
        assert!(error.contains(file), "{error}");
    }
    let web = format!("web={}", "oci-archive:web.tar");
    let draft = [
        "pack",
        "compose.yaml",
        "--app",
        "kiosk",
        "--version",
        "2",
        "--seq",
        "2",
    ];
    let rest = [
        "--arch",
        "amd64",
        "--image",
        &web,
        "--unsigned",
        "-o",
        "draft.bin",
    ];
    relay.run(&[&draft[..], &rest].concat()).ok();
    relay.run(&["publish", "draft.bin"]).fails(1);
    assert_eq!(relay.json(&["releases"]), serde_json::json!([]));
}

#[test]
fn a_bundle_that_was_changed_is_refused_by_the_relay() {
    let relay = Relay::logged_in();
    relay.pack();
    let mut bytes = relay.place.read("out.bin");
    *bytes.last_mut().unwrap() ^= 1;
    relay.place.write("changed.bin", &bytes);
    relay.run(&["publish", "changed.bin"]).fails(5);
    assert_eq!(relay.json(&["releases"]), serde_json::json!([]));
    relay.run(&["publish", "out.bin"]).ok();
}

#[test]
fn what_was_refused_is_in_the_audit_beside_what_was_done() {
    let relay = Relay::logged_in();
    relay.pack();
    relay.run(&["publish", "out.bin"]).ok();
    // Nobody to bring it to, and a release that nobody published.
    relay
        .run(&["rollout", "start", "kiosk@1.0", "--to", "all"])
        .fails(5);
    let unknown = relay.run(&["rollout", "start", "kiosk@9", "--to", "all"]);
    assert!(matches!(unknown.code, 4 | 5), "{unknown:?}");
    let entries = relay.json(&["audit"]);
    let entries: Vec<String> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let word = |name: &str| entry[name].as_str().unwrap().to_string();
            format!("{} {} {}", word("who"), word("action"), word("result"))
        })
        .collect();
    let has = |line: &str| entries.iter().any(|entry| entry == line);
    assert!(has("admin publish done"), "{entries:?}");
    assert!(has("admin rollout.start refused"), "{entries:?}");

    let one = relay.json(&["audit", "--limit", "1"]);
    let id = one[0]["id"].as_u64().unwrap();
    let before = relay.json(&["audit", "--limit", "1", "--before", &id.to_string()]);
    assert!(before[0]["id"].as_u64().unwrap() < id);
}
