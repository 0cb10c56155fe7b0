//! The main job: publish, enrol, roll out, fetch, report; seen from both sides.

use bundle::Digest;
use relay_api::device::UpdateResult;
use reqwest::Method;

use crate::device::{Device, running, updated};
use crate::server::Server;

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

#[tokio::test]
async fn a_device_gets_what_is_rolled_out_and_the_operator_sees_it() {
    let server = Server::start(&["--interval", "7"]);
    let operator = server.operator();
    let file = server.pack(1);

    let published = operator.publish(&file).await.ok(201).json();
    assert_eq!(published["new"], true);
    let digest: Digest = published["bundle"]["digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        published["bundle"]["file"],
        Digest::of(&file).to_string().as_str()
    );
    let again = operator.publish(&file).await.ok(200).json();
    assert_eq!(again["new"], false);
    let releases = operator.get("/api/v1/releases?app=kiosk").await.json();
    assert_eq!(releases[0]["bundles"][0]["seq"], 1);

    let device = Device::enrolled(&server, "pump-7").await;
    let idle = device.check_in(0, 0, Vec::new()).await;
    assert_eq!((idle.interval_s, idle.long_poll_s), (7, 0));
    assert!(idle.desired.is_empty() && idle.revision != 0);

    let rollout = operator.roll_out("1.0", "site=harbour").await;
    let told = device.check_in(idle.revision, 0, Vec::new()).await;
    assert_ne!(told.revision, idle.revision);
    let [desired] = &told.desired[..] else {
        panic!("{told:?}");
    };
    assert_eq!((desired.rollout, desired.seq), (rollout, 1));
    assert_eq!((desired.bundle, desired.file), (digest, Digest::of(&file)));
    assert_eq!(desired.file_bytes, file.len() as u64);
    let fetched = device.ask(Method::GET, &desired.url, Vec::new()).await;
    assert_eq!(fetched.ok(200).body, file);

    let done = updated(UpdateResult::Committed, 1, digest, rollout);
    device.report(KEY, &done).await.ok(204);
    let after = device
        .check_in(told.revision, 0, running("1.0", 1, digest))
        .await;
    assert_eq!(after.revision, told.revision);

    let status = operator
        .get(&format!("/api/v1/rollouts/{rollout}"))
        .await
        .json();
    assert_eq!(status["state"], "succeeded", "{status}");
    assert_eq!(status["stages"][0]["healthy"], 1);
    let shown = operator.get("/api/v1/devices/pump-7").await.json();
    assert_eq!(shown["labels"]["site"], "harbour");
    assert_eq!(shown["apps"][0]["version"], "1.0");
    assert_eq!(shown["events"][0]["result"], "committed");
    let audit = operator.audit().await.join("\n");
    for entry in [
        "admin publish ",
        "admin rollout.start ",
        "device pump-7 device.enroll ",
    ] {
        assert!(audit.contains(entry), "{entry} is not in\n{audit}");
    }
}

#[tokio::test]
async fn a_removed_device_is_unknown_at_once() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    device.check_in(0, 0, Vec::new()).await;
    server
        .operator()
        .delete("/api/v1/devices/pump-7")
        .await
        .ok(204);
    let body = crate::device::check_in(0, 0, Vec::new());
    let refused = device.ask(Method::POST, "/device/v1/check-in", body).await;
    assert_eq!(refused.refused(401), "unknown_device");
}

#[tokio::test]
async fn values_reach_the_device_and_never_the_log() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    let before = device.check_in(0, 0, Vec::new()).await;
    let change = serde_json::json!({"set": {"kiosk": {"SITE": "Harbour-9c1d"}}});
    let path = "/api/v1/devices/pump-7/variables";
    let operator = server.operator();
    operator.send(Method::PATCH, path, &change).await.ok(200);
    let after = device.check_in(before.revision, 0, Vec::new()).await;
    assert_eq!(after.variables[0].values[0].1, "Harbour-9c1d");
    let broken = "{\"set\": {\"kiosk\": \"Harbour-9c1d\"}}";
    let request = operator.request(Method::PATCH, path).body(broken);
    let refused = crate::server::send(request).await.unwrap();
    assert_eq!(refused.refused(400), "malformed");
    let audit = operator.get("/api/v1/audit").await.ok(200);
    for text in [server.log(), refused.to_string(), audit.to_string()] {
        assert!(!text.contains("Harbour-9c1d"), "{text}");
    }
}
