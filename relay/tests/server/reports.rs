//! Reports: delivered at least once, stored once.

use bundle::Digest;
use relay_api::device::{REPORT_BYTES_MAX, UpdateResult, encode};
use reqwest::Method;

use crate::device::{Device, exited, updated};
use crate::server::Server;

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

#[tokio::test]
async fn a_key_that_comes_again_with_another_body_is_refused() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    device.report(KEY, &exited(1)).await.ok(204);
    device.report(KEY, &exited(1)).await.ok(204);
    let other = device.report(KEY, &exited(2)).await;
    assert_eq!(other.refused(409), "report_differs");
    let shown = server.operator().get("/api/v1/devices/pump-7").await.json();
    assert_eq!(shown["events"].as_array().unwrap().len(), 1);
    // Another device's keys are its own.
    let other = Device::enrolled(&server, "pump-8").await;
    other.report(KEY, &exited(2)).await.ok(204);
}

#[tokio::test]
async fn a_report_that_makes_no_sense_is_refused() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    for key in ["0", &KEY.to_uppercase(), &format!("{KEY}0"), "..%2f"] {
        assert_eq!(
            device.report(key, &exited(1)).await.refused(400),
            "malformed"
        );
    }
    let path = format!("/device/v1/reports/{KEY}");
    let garbage = device.ask(Method::PUT, &path, vec![9; 40]).await;
    assert_eq!(garbage.refused(400), "malformed");
    let huge = vec![0; REPORT_BYTES_MAX + 1];
    let huge = device.ask(Method::PUT, &path, huge).await;
    assert_eq!(huge.refused(413), "too_large");
    device.report(KEY, &exited(1)).await.ok(204);
}

#[tokio::test]
async fn a_failed_update_is_seen_with_its_cause() {
    let server = Server::start(&[]);
    let operator = server.operator();
    let published = operator.publish(&server.pack(1)).await.ok(201).json();
    let digest: Digest = published["bundle"]["digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let device = Device::enrolled(&server, "pump-7").await;
    device.check_in(0, 0, Vec::new()).await;
    let rollout = operator.roll_out("1.0", "all").await;
    let mut report = updated(UpdateResult::RolledBack, 1, digest, rollout);
    if let relay_api::device::Event::Updated(updated) = &mut report.event {
        updated.cause = Some("web exited\u{1b}[31m with code 1".into());
    }
    let body = encode(&report);
    let path = format!("/device/v1/reports/{KEY}");
    device.ask(Method::PUT, &path, body).await.ok(204);
    let status = operator
        .get(&format!("/api/v1/rollouts/{rollout}"))
        .await
        .json();
    assert_eq!(status["state"], "failed", "{status}");
    assert_eq!(status["devices"][0]["state"], "failed");
    let log = server.log();
    assert!(!log.contains('\u{1b}'), "{log}");
}
