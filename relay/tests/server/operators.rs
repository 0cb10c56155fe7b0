//! Operators: who gets in, and what is remembered of those who do not.

use reqwest::Method;
use serde_json::json;

use crate::device::Device;
use crate::server::{Server, send};

/// Every route of the table at the top of `relay_api::operator`.
const ROUTES: [(&str, &str); 19] = [
    ("GET", "/api/v1/whoami"),
    ("POST", "/api/v1/bundles"),
    ("GET", "/api/v1/releases"),
    ("GET", "/api/v1/devices"),
    ("GET", "/api/v1/devices/pump-7"),
    ("DELETE", "/api/v1/devices/pump-7"),
    ("PATCH", "/api/v1/devices/pump-7/labels"),
    ("PATCH", "/api/v1/devices/pump-7/variables"),
    ("GET", "/api/v1/rollouts"),
    ("POST", "/api/v1/rollouts"),
    ("GET", "/api/v1/rollouts/1"),
    ("POST", "/api/v1/rollouts/1/abort"),
    ("GET", "/api/v1/enroll-tokens"),
    ("POST", "/api/v1/enroll-tokens"),
    ("DELETE", "/api/v1/enroll-tokens/1"),
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens"),
    ("DELETE", "/api/v1/tokens/1"),
    ("GET", "/api/v1/audit"),
];

#[tokio::test]
async fn nobody_gets_in_without_a_token_that_holds() {
    // As behind a proxy, so that each attempt comes from an address of its own.
    let server = Server::start_plain(&[]);
    let operator = server.operator();
    let made = json!({"name": "gone", "ttl_s": 3600});
    let gone = operator.post("/api/v1/tokens", &made).await.ok(201).json();
    let id = gone["id"].as_u64().unwrap();
    operator
        .delete(&format!("/api/v1/tokens/{id}"))
        .await
        .ok(204);
    let revoked = gone["token"].as_str().unwrap();
    let enroll = operator.enroll_token().await;
    let before = operator.audit().await.len();
    let mut refused = 0;
    for (method, path) in ROUTES {
        for header in [
            None,
            Some("Bearer".to_string()),
            Some("Bearer cop_guess".to_string()),
            Some(format!("Bearer {revoked}")),
            Some(format!("Bearer {enroll}")),
            Some(format!("Basic {}", operator.token)),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let url = format!("{}{path}", server.url);
            let mut request = operator.client.request(method, url);
            refused += 1;
            request = request.header("x-forwarded-for", format!("10.0.0.{refused}"));
            if let Some(header) = &header {
                request = request.header("authorization", header);
            }
            let answered = send(request).await.unwrap();
            assert_eq!(answered.refused(401), "unauthorized", "{path} {header:?}");
            assert_eq!(answered.header("www-authenticate"), Some("Bearer"));
        }
    }
    let audit = operator.audit().await;
    assert_eq!(audit.len() - before, refused);
    assert!(
        audit[..refused].iter().all(|entry| {
            entry.starts_with("nobody authenticate ") && entry.ends_with(" refused")
        })
    );
    for (_, path) in ROUTES {
        // Every route is there: none of the refusals was for a path that does not exist.
        assert_ne!(
            operator.get(path).await.json()["error"]["message"],
            "there is no such route"
        );
    }
}

#[tokio::test]
async fn a_refusal_arrives_while_a_bundle_is_still_being_sent() {
    let server = Server::start(&[]);
    let stranger = crate::server::Operator {
        token: "cop_guess".to_string(),
        ..server.operator()
    };
    let refused = stranger.publish(&vec![0; 8 << 20]).await;
    assert_eq!(refused.refused(401), "unauthorized");
}

#[tokio::test]
async fn a_flood_of_strangers_does_not_fill_the_audit_log() {
    let server = Server::start(&[]);
    let operator = server.operator();
    for _ in 0..100 {
        let request = operator
            .client
            .post(format!("{}/api/v1/rollouts", server.url));
        assert_eq!(send(request).await.unwrap().refused(401), "unauthorized");
    }
    let audit = operator.audit().await;
    let kept = audit.iter().filter(|entry| entry.starts_with("nobody"));
    let kept = kept.count();
    assert!((1..=30).contains(&kept), "{kept}");
    // Who has a token is not slowed down.
    operator.get("/api/v1/whoami").await.ok(200);
}

#[tokio::test]
async fn what_an_operator_may_not_do_is_remembered() {
    let server = Server::start(&[]);
    let operator = server.operator();
    operator.publish(&server.pack(1)).await.ok(201);
    let device = Device::enrolled(&server, "pump-7").await;
    device.check_in(0, 0, Vec::new()).await;
    let patch = Method::PATCH;
    let label = json!({"set": {"id": "x"}});
    let rollout = |version: &str, to: &str| json!({"app": "kiosk", "version": version, "to": to});
    let rollouts = "/api/v1/rollouts";
    let labels = "/api/v1/devices/pump-7/labels";
    for (answered, status, code, entry) in [
        (
            operator.post(rollouts, &rollout("9.0", "all")).await,
            404,
            "not_found",
            "admin rollout.start kiosk@9.0 refused",
        ),
        (
            operator.post(rollouts, &rollout("1.0", "")).await,
            400,
            "malformed",
            "admin rollout.start kiosk@1.0 refused",
        ),
        (
            operator.post(rollouts, &rollout("1.0", "site=moon")).await,
            409,
            "no_devices",
            "admin rollout.start kiosk@1.0 refused",
        ),
        (
            operator.send(patch, labels, &label).await,
            400,
            "malformed",
            "admin device.label pump-7 refused",
        ),
        (
            operator.delete("/api/v1/devices/pump-9").await,
            404,
            "not_found",
            "admin device.remove pump-9 refused",
        ),
        (
            operator.delete("/api/v1/tokens/99").await,
            404,
            "not_found",
            "admin token.revoke 99 refused",
        ),
        (
            operator
                .post(
                    "/api/v1/tokens",
                    &json!({"name": "device pump-7", "ttl_s": 60}),
                )
                .await,
            400,
            "malformed",
            "admin token.add  refused",
        ),
        (
            operator
                .post("/api/v1/enroll-tokens", &json!({"ttl_s": 0}))
                .await,
            400,
            "malformed",
            "admin enroll-token.add  refused",
        ),
    ] {
        assert_eq!(answered.refused(status), code, "{entry}");
        let audit = operator.audit().await;
        assert!(
            audit.iter().any(|found| found == entry),
            "{entry}: {audit:?}"
        );
    }
}

#[tokio::test]
async fn a_token_is_one_persons_and_ends() {
    let server = Server::start(&[]);
    let admin = server.operator();
    let made = json!({"name": "Ada", "ttl_s": 3600});
    let made = admin.post("/api/v1/tokens", &made).await.ok(201).json();
    let ada = crate::server::Operator {
        token: made["token"].as_str().unwrap().to_string(),
        ..admin.clone()
    };
    assert_eq!(
        ada.get("/api/v1/whoami").await.ok(200).json()["name"],
        "Ada"
    );
    let listed = admin.get("/api/v1/tokens").await.ok(200).to_string();
    assert!(!listed.contains("cop_"), "{listed}");
    ada.enroll_token().await;
    assert!(admin.audit().await[0].starts_with("Ada enroll-token.add "));
    admin
        .delete(&format!("/api/v1/tokens/{}", made["id"]))
        .await
        .ok(204);
    let refused = ada.get("/api/v1/whoami").await;
    assert_eq!(refused.refused(401), "unauthorized");
}

#[tokio::test]
async fn a_release_that_does_not_fit_names_the_devices() {
    let server = Server::start(&[]);
    let operator = server.operator();
    operator.publish(&server.pack(1)).await.ok(201);
    let device = Device::new(&server, "pump-7");
    let mut asked = device.enroll_request(&operator.enroll_token().await);
    asked.facts.arch = bundle::Arch::Arm64;
    device.enroll_as(&asked).await.ok(200);
    let asked = json!({"app": "kiosk", "version": "1.0", "to": "all"});
    let refused = operator.post("/api/v1/rollouts", &asked).await;
    assert_eq!(refused.refused(409), "unfit");
    assert_eq!(refused.json()["error"]["unfit"][0]["device"], "pump-7");
}
