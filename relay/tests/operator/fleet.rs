//! Devices as an operator sees them: what is rolled out, what failed and why, labels, values, the
//! end of a device.

use bundle::Arch;
use relay_api::device::{Evidence, PATH_CHECK_IN, Report, UpdateResult};
use reqwest::Method;
use serde_json::Value;

use crate::device::{Device, check_in, running, updated};
use crate::serve::Relay;

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// A relay with kiosk 1.0, which has a variable, and a secret one.
fn with_release() -> Relay {
    let relay = Relay::logged_in();
    let compose = "\
services:
  web:
    restart: always
    environment: {SITE: '${SITE}', PIN: '${PIN}'}
x-coracle:
  variables:
    SITE: {default: lobby}
    PIN: {default: '0000', secret: true}
";
    relay.place.write("compose.yaml", compose);
    relay.pack();
    relay.run(&["publish", "out.bin"]).ok();
    relay
}

/// What a device says that has tried what it was told to run.
async fn tried(device: &Device, result: UpdateResult) -> Report {
    let told = device.check_in(0, 0, Vec::new()).await;
    let wanted = &told.desired[0];
    updated(result, wanted.seq, wanted.bundle, wanted.rollout)
}

#[tokio::test]
async fn a_version_that_fails_ends_the_wait_and_is_seen_with_its_last_words() {
    let relay = with_release();
    let device = relay.device("pump-7", |_| {}).await;
    let start = ["rollout", "start", "kiosk@1.0", "--to", "site=harbour"];
    relay.run(&start).ok();
    let watched = relay.begin(&["rollout", "status", "1", "--watch"]);
    let mut report = tried(&device, UpdateResult::RolledBack).await;
    let relay_api::device::Event::Updated(updated) = &mut report.event else {
        panic!("{report:?}");
    };
    updated.cause = Some("web exited with code 1".into());
    updated.evidence = vec![Evidence {
        service: "web".parse().unwrap(),
        exit_code: Some(1),
        lines: vec!["starting".into(), "\u{1b}[31mno such table\u{1b}[m".into()],
    }];
    device.report(KEY, &report).await.ok(204);

    let said = watched();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("pump-7  failed"), "{said:?}");
    assert!(said.err.contains("rollout 1 has failed"), "{said:?}");
    assert!(
        said.err.contains("hint: `relay devices show ID`"),
        "{said:?}"
    );
    let status = relay.run(&["rollout", "status", "1"]).ok();
    assert!(status.contains("web exited with code 1"), "{status}");
    let list = relay.json(&["rollout", "list", "kiosk"]);
    assert_eq!(list[0]["state"], "failed", "{list}");

    let shown = relay.run(&["devices", "show", "pump-7"]).ok();
    for line in [
        "1.0 (seq 1) by rollout 1, failed: rolled back: web exited with code 1",
        "web ended with exit code 1",
        "| starting\n",
        "| \\u{1b}[31mno such table\\u{1b}[m\n",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    let json = relay.run(&["devices", "show", "pump-7", "-o", "json"]).ok();
    assert!(!json.contains('\u{1b}'), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let evidence = &json["events"][0]["evidence"][0];
    assert_eq!(evidence["exit_code"], 1);
    assert_eq!(evidence["lines"][1], "\u{1b}[31mno such table\u{1b}[m");
}

#[tokio::test]
async fn a_version_that_stays_ends_the_wait_well() {
    let relay = with_release();
    let device = relay.device("pump-7", |_| {}).await;
    // From the file, which is there already.
    let start = ["rollout", "start", "out.bin", "--to", "all", "--wait"];
    let waited = relay.begin(&start);
    // Nothing is wanted before the command has come that far.
    let told = loop {
        let told = device.check_in(0, 0, Vec::new()).await;
        if !told.desired.is_empty() {
            break told;
        }
    };
    let wanted = &told.desired[0];
    let (seq, bundle) = (wanted.seq, wanted.bundle);
    let done = updated(UpdateResult::Committed, seq, bundle, wanted.rollout);
    device.report(KEY, &done).await.ok(204);
    device
        .check_in(told.revision, 0, running("1.0", seq, bundle))
        .await;
    let said = waited();
    assert!(said.out.contains("succeeded"), "{said:?}");
    said.ok();
    let devices = relay.run(&["devices", "-l", "site=harbour"]).ok();
    assert!(devices.contains("kiosk 1.0"), "{devices}");
    assert_eq!(
        relay.json(&["devices", "-l", "site!=harbour"]),
        serde_json::json!([])
    );
}

#[tokio::test]
async fn labels_and_values_are_changed_seen_and_told() {
    let relay = with_release();
    let device = relay.device("pump-7", |_| {}).await;
    let before = device.check_in(0, 0, Vec::new()).await;
    let label = ["devices", "label", "pump-7", "site=quay", "beta=yes"];
    relay.run(&label).ok();
    let of = |selector: &str| relay.json(&["devices", "-l", selector]);
    let quay = of("site=quay,beta");
    assert_eq!(quay[0]["id"], "pump-7", "{quay}");
    // The token's goes with it.
    relay
        .run(&["devices", "label", "pump-7", "site-", "beta-"])
        .ok();
    let bare = of("!site,!beta");
    assert_eq!(bare[0]["id"], "pump-7", "{bare}");

    let set = ["devices", "set", "pump-7", "kiosk.SITE=Quay 3"];
    let said = relay.run(&[&set[..], &["kiosk.PIN=9c1d4711"]].concat());
    assert!(!said.err.contains("9c1d4711"), "{said:?}");
    let after = device.check_in(before.revision, 0, Vec::new()).await;
    assert_ne!(after.revision, before.revision);
    let values = &after.variables[0].values;
    let told = |name: &str| {
        let found = values.iter().find(|value| value.0.as_str() == name);
        found.map(|value| value.1.as_str())
    };
    assert_eq!(told("SITE"), Some("Quay 3"));
    assert_eq!(told("PIN"), Some("9c1d4711"));
    let shown = relay.run(&["devices", "show", "pump-7"]).ok();
    assert!(shown.contains("kiosk.SITE=Quay 3"), "{shown}");

    let long = format!("kiosk.PIN={}", "9c1d4711".repeat(2_000));
    for wrong in ["kiosk.NONE=9c1d4711", &long] {
        let error = relay.run(&["devices", "set", "pump-7", wrong]).fails(5);
        assert!(!error.contains("9c1d4711"), "{error}");
    }
    relay
        .run(&["devices", "set", "pump-7", "kiosk.PIN-", "kiosk.SITE-"])
        .ok();
    assert!(
        device
            .check_in(0, 0, Vec::new())
            .await
            .variables
            .iter()
            .all(|app| app.values.is_empty())
    );
    let audit = relay.run(&["audit"]).ok();
    assert!(audit.contains("device.label"), "{audit}");
    assert!(audit.contains("device.set"), "{audit}");
    for text in [audit, shown, relay.log()] {
        assert!(!text.contains("9c1d4711"), "{text}");
        assert!(!text.contains("cet_") && !text.contains("cop_"), "{text}");
    }
}

#[tokio::test]
async fn a_removed_device_is_refused_and_gone() {
    let relay = with_release();
    let device = relay.device("pump-7", |_| {}).await;
    device.check_in(0, 0, Vec::new()).await;
    relay
        .run(&["rollout", "start", "kiosk@1.0", "--to", "all"])
        .ok();
    relay.run(&["devices", "remove", "pump-7", "--yes"]).ok();
    let body = check_in(0, 0, Vec::new());
    let refused = device.ask(Method::POST, PATH_CHECK_IN, body).await;
    assert_eq!(refused.refused(401), "unknown_device");
    let report = crate::device::exited(1);
    let refused = device.report(KEY, &report).await;
    assert_eq!(refused.refused(401), "unknown_device");
    assert_eq!(relay.json(&["devices"]), serde_json::json!([]));
    relay.run(&["devices", "show", "pump-7"]).fails(4);
    // Its history stays.
    let status = relay.json(&["rollout", "status", "1"]);
    assert_eq!(status["devices"][0]["id"], "pump-7");
    assert_eq!(status["devices"][0]["state"], "failed", "{status}");
    let audit = relay.run(&["audit", "--limit", "1"]).ok();
    assert!(audit.contains("device.remove  pump-7"), "{audit}");
    // It comes back with a new token, and a new key if it likes.
    let again = relay.device("pump-7", |_| {}).await;
    again.check_in(0, 0, Vec::new()).await;
}

#[tokio::test]
async fn devices_that_a_release_does_not_fit_are_named_or_left_out() {
    let relay = with_release();
    relay.device("pump-7", |_| {}).await;
    relay
        .device("pump-8", |facts| facts.arch = Arch::Arm64)
        .await;
    let start = ["rollout", "start", "kiosk@1.0", "--to", "all"];
    let error = relay.run(&start).fails(5);
    assert!(error.contains("\n  pump-8"), "{error}");
    assert!(!error.contains("pump-7"), "{error}");
    assert!(error.contains("--skip-unfit"), "{error}");
    assert_eq!(relay.json(&["rollout", "list"]), serde_json::json!([]));
    relay.run(&[&start[..], &["--skip-unfit"]].concat()).ok();
    let status = relay.json(&["rollout", "status", "1"]);
    let devices = status["devices"].as_array().unwrap();
    let pending: Vec<_> = devices.iter().filter(|d| d["state"] == "pending").collect();
    assert_eq!(pending.len(), 1, "{status}");
    assert_eq!(pending[0]["id"], "pump-7");
}

#[tokio::test]
async fn an_aborted_rollout_is_wanted_no_longer() {
    let relay = with_release();
    let device = relay.device("pump-7", |_| {}).await;
    relay
        .run(&["rollout", "start", "kiosk@1.0", "--to", "all"])
        .ok();
    let told = device.check_in(0, 0, Vec::new()).await;
    assert_eq!(told.desired.len(), 1);
    relay.run(&["rollout", "abort", "1"]).ok();
    let told = device.check_in(told.revision, 0, Vec::new()).await;
    assert!(told.desired.is_empty(), "{told:?}");
    let error = relay.run(&["rollout", "status", "1", "--watch"]);
    assert_eq!(error.code, 1, "{error:?}");
    assert!(error.out.contains("aborted by admin"), "{error:?}");
}
