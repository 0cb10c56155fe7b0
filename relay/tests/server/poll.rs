//! Answers that are held back: until there is news, or the relay ends.

use std::time::Duration;

use relay_api::device::{Answer, PATH_CHECK_IN, decode};
use reqwest::Method;

use crate::device::{Device, check_in};
use crate::server::{Server, send};

/// A check-in that waits; resolves to the answer once the relay holds it back.
async fn waiting(server: &Server, device: &Device, seen: u64) -> tokio::task::JoinHandle<Answer> {
    let body = check_in(seen, 55, Vec::new());
    let draft = device.draft(Method::POST, PATH_CHECK_IN, body).await;
    let request = device.build(&draft);
    let before = held(server);
    let waiting = tokio::spawn(async move {
        let answered = send(request).await.unwrap().ok(200);
        decode(&answered.body).unwrap()
    });
    while held(server) == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    waiting
}

/// How many answers the log says were held back so far.
fn held(server: &Server) -> usize {
    server.log().matches("waits for news").count()
}

#[tokio::test]
async fn a_device_that_waits_hears_of_a_rollout_at_once() {
    let server = Server::start(&["--long-poll", "55"]);
    let operator = server.operator();
    operator.publish(&server.pack(1)).await.ok(201);
    let device = Device::enrolled(&server, "pump-7").await;
    let first = device.check_in(0, 55, Vec::new()).await;
    assert_eq!(first.long_poll_s, 55);
    let waits = waiting(&server, &device, first.revision).await;
    // News of another device, and none of this one, does not wake it for good.
    Device::enrolled(&server, "pump-8").await;
    let rollout = operator.roll_out("1.0", "id=pump-7").await;
    let answer = waits.await.unwrap();
    assert_eq!(answer.desired[0].rollout, rollout);
    assert_ne!(answer.revision, first.revision);
}

#[tokio::test]
async fn no_answer_is_held_back_when_the_operator_does_not_want_it() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    let first = device.check_in(0, 0, Vec::new()).await;
    let second = device.check_in(first.revision, 55, Vec::new()).await;
    assert_eq!(second.revision, first.revision);
    assert_eq!(held(&server), 0);
}

#[tokio::test]
async fn a_relay_that_ends_lets_waiting_devices_go() {
    let server = Server::start(&["--long-poll", "55"]);
    let device = Device::enrolled(&server, "pump-7").await;
    let first = device.check_in(0, 55, Vec::new()).await;
    let waits = waiting(&server, &device, first.revision).await;
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    assert_eq!(waits.await.unwrap().revision, first.revision);
}

#[tokio::test]
async fn a_device_that_is_removed_while_it_waits_is_told() {
    let server = Server::start(&["--long-poll", "55"]);
    let device = Device::enrolled(&server, "pump-7").await;
    let first = device.check_in(0, 55, Vec::new()).await;
    let body = check_in(first.revision, 55, Vec::new());
    let draft = device.draft(Method::POST, PATH_CHECK_IN, body).await;
    let request = device.build(&draft);
    let waits = tokio::spawn(async move { send(request).await.unwrap() });
    while held(&server) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let operator = server.operator();
    operator.delete("/api/v1/devices/pump-7").await.ok(204);
    assert_eq!(waits.await.unwrap().refused(401), "unknown_device");
}
