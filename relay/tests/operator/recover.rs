//! A relay that nobody can enter any more.

use crate::serve::Relay;

const RECOVER: [&str; 4] = ["token", "recover", "--data", "data"];

#[test]
fn a_lost_admin_token_is_replaced_beside_the_data() {
    // The first answer comes after the first token was stored.
    let mut relay = Relay::logged_in();
    let first = relay.place.read("admin.token");
    std::fs::remove_file(relay.place.path("admin.token")).unwrap();
    relay.stop();
    let said = relay.place.relay(&RECOVER);
    assert!(said.err.contains("operator/2: admin"), "{}", said.err);
    let token = said.ok();
    relay.place.write("new.token", &token);
    // Nothing lies there that another user's relay could not open.
    assert!(!relay.place.path("data/relay.db-wal").exists());

    let relay = relay.again();
    relay.login(&["--token-file", "new.token"]).ok();
    let audit = relay.json(&["audit", "--limit", "1"]);
    let word = |name: &str| audit[0][name].as_str().unwrap();
    assert_eq!(
        (word("who"), word("action"), word("from")),
        ("relay", "token.add", "data folder")
    );
    assert!(!audit.to_string().contains(token.trim()), "{audit}");
    // The lost one holds until it is revoked.
    relay.place.write("lost.token", first);
    relay.run(&["whoami", "--token-file", "lost.token"]).ok();
    relay.run(&["token", "revoke", "operator/1"]).ok();
    relay
        .run(&["whoami", "--token-file", "lost.token"])
        .fails(3);
    assert!(!relay.place.path("admin.token").exists());
}

#[test]
fn a_token_is_not_recovered_where_a_relay_runs_or_none_ever_did() {
    let relay = Relay::logged_in();
    let error = relay.run(&RECOVER).fails(1);
    assert!(error.contains("another relay serves data"), "{error}");
    for (name, code) in [("relay", 2), ("device x", 2), ("Ada", 1)] {
        relay
            .run(&[&RECOVER[..], &["--name", name]].concat())
            .fails(code);
    }
    let error = relay
        .run(&["token", "recover", "--data", "elsewhere"])
        .fails(1);
    assert!(error.contains("elsewhere has no relay's data"), "{error}");
    assert!(error.contains("\nhint: "), "{error}");
    assert!(!relay.place.path("elsewhere").exists());
    let tokens = relay.json(&["token", "list"]);
    assert_eq!(tokens["operator"].as_array().unwrap().len(), 1);
}
