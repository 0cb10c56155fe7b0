//! Tokens, used well and badly.

use futures_util::future::join_all;
use relay_api::device::{PATH_ENROLL, encode};
use reqwest::Method;
use serde_json::json;

use crate::device::Device;
use crate::server::Server;

#[tokio::test]
async fn a_token_used_a_thousand_times_at_once_makes_one_device() {
    // As behind a proxy, where each device has its own address: none is slowed down for another.
    let server = Server::start_plain(&[]);
    let operator = server.operator();
    let token = operator.enroll_token().await;
    let attempt = |number: u32| {
        let device = Device::with(
            operator.client.clone(),
            &server.url,
            &format!("pump-{number}"),
        );
        let token = token.clone();
        async move {
            let body = encode(&device.enroll_request(&token));
            let mut draft = device.draft(Method::POST, PATH_ENROLL, body).await;
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
            draft.extra.push(("x-forwarded-for", address.to_string()));
            device.send(&draft).await
        }
    };
    let answers = join_all((0..1000).map(attempt)).await;
    let made = answers.iter().filter(|answered| answered.status == 200);
    assert_eq!(made.count(), 1);
    for answered in answers.iter().filter(|answered| answered.status != 200) {
        assert_eq!(answered.refused(403), "token_used");
    }
    let devices = operator.get("/api/v1/devices").await.json();
    assert_eq!(devices.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn each_bad_token_is_refused_with_its_word() {
    let server = Server::start(&[]);
    let operator = server.operator();
    let device = Device::new(&server, "pump-7");
    for unknown in ["", "cet_x", &"x".repeat(129), &operator.token] {
        let refused = device.enroll(unknown).await.refused(403);
        assert_eq!(refused, "token_unknown");
    }

    let revoked = operator.enroll_token().await;
    operator.delete("/api/v1/enroll-tokens/1").await.ok(204);
    assert_eq!(device.enroll(&revoked).await.refused(403), "token_revoked");

    let brief = json!({"ttl_s": 1});
    let brief = operator.post("/api/v1/enroll-tokens", &brief).await.ok(201);
    let brief = brief.json()["token"].as_str().unwrap().to_string();
    let expired = || async {
        let tokens = operator.get("/api/v1/enroll-tokens").await.json();
        tokens[0]["state"] == "expired"
    };
    while !expired().await {}
    assert_eq!(device.enroll(&brief).await.refused(403), "token_expired");

    let token = operator.enroll_token().await;
    device.enroll(&token).await.ok(200);
    // A lost answer locks nobody out (D22), and nobody else gets in with it (D21).
    device.enroll(&token).await.ok(200);
    let other = Device::new(&server, "pump-8");
    assert_eq!(other.enroll(&token).await.refused(403), "token_used");
    // An id that another key has (D23).
    let imposter = Device::new(&server, "pump-7");
    let fresh = operator.enroll_token().await;
    assert_eq!(imposter.enroll(&fresh).await.refused(409), "device_exists");
    // That has not used the token up.
    other.enroll(&fresh).await.ok(200);
    let log = server.log();
    assert!(!log.contains("cet_") && !log.contains("cop_"), "{log}");
}

#[tokio::test]
async fn an_enrolment_in_another_name_or_with_another_key_is_refused() {
    let server = Server::start(&[]);
    let token = server.operator().enroll_token().await;
    let (device, other) = (
        Device::new(&server, "pump-7"),
        Device::new(&server, "pump-8"),
    );
    let mut asked = device.enroll_request(&token);
    asked.public_key = other.public_key();
    let body = encode(&asked);
    let answered = device.ask(Method::POST, PATH_ENROLL, body).await;
    assert_eq!(answered.refused(401), "signature");
    let body = encode(&other.enroll_request(&token));
    let answered = device.ask(Method::POST, PATH_ENROLL, body).await;
    assert_eq!(answered.refused(400), "malformed");
    device.enroll(&token).await.ok(200);
}

#[tokio::test]
async fn whoever_guesses_tokens_is_slowed_down() {
    let server = Server::start(&[]);
    let device = Device::new(&server, "pump-7");
    let mut refused = 0;
    let slowed = loop {
        let answered = device.enroll("cet_guess").await;
        if answered.status == 429 {
            break answered;
        }
        assert_eq!(answered.refused(403), "token_unknown");
        refused += 1;
        assert!(refused < 1000, "nothing slows it down");
    };
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!(wait > 0);
    let audit = server.operator().audit().await;
    let entries = audit.iter().filter(|entry| entry.contains("device.enroll"));
    assert_eq!(entries.count(), refused, "{audit:?}");
}
