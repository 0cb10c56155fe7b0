//! Requests that no honest device sends: each is refused with its word, and the next good one
//! works.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relay_api::device::{
    CHECK_IN_BYTES_MAX, HEADER_CHALLENGE, HEADER_PROTOCOL, PATH_CHECK_IN, PATH_ENROLL,
};
use reqwest::Method;
use ring::hmac;

use crate::device::{Device, Draft, check_in};
use crate::server::Server;

async fn good(device: &Device) -> Draft {
    device
        .draft(Method::POST, PATH_CHECK_IN, check_in(0, 0, Vec::new()))
        .await
}

#[tokio::test]
async fn a_request_that_is_not_signed_by_the_device_it_names_is_refused() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    let other = Device::enrolled(&server, "pump-8").await;
    type Change = fn(&mut Draft, &Device);
    let changes: [(&str, &str, Change); 11] = [
        ("no signature", "signature", |d, _| d.signature = None),
        ("no base64", "signature", |d, _| {
            d.signature = Some("!".into());
        }),
        ("another body", "signature", |d, _| d.body[0] ^= 1),
        ("another query", "signature", |d, _| d.path += "?x=1"),
        ("signed by another device", "signature", |d, other| {
            let challenge = d.challenge.as_deref().unwrap();
            d.signature = Some(other.sign("POST", PATH_CHECK_IN, &d.body, challenge));
        }),
        ("a challenge of another device", "challenge", |d, other| {
            d.device = Some(other.id.to_string());
        }),
        ("no challenge", "challenge", |d, _| d.challenge = None),
        ("a challenge made up", "challenge", |d, _| {
            d.challenge = Some(format!("{:x}.AAAA", 1_795_000_000));
        }),
        ("a challenge made younger", "challenge", |d, _| {
            let challenge = d.challenge.take().unwrap();
            let (time, tag) = challenge.split_once('.').unwrap();
            let time = u64::from_str_radix(time, 16).unwrap() + 1;
            d.challenge = Some(format!("{time:x}.{tag}"));
        }),
        ("no device", "unknown_device", |d, _| d.device = None),
        ("no device's name", "unknown_device", |d, _| {
            d.device = Some("-".into());
        }),
    ];
    for (why, code, change) in changes {
        let mut draft = good(&device).await;
        change(&mut draft, &other);
        let answered = device.send(&draft).await;
        assert_eq!(answered.refused(401), code, "{why}");
        assert_eq!(answered.header(HEADER_PROTOCOL), Some("1"), "{why}");
        // D12: whoever names itself can try again at once.
        let named = draft.device.is_some_and(|id| id != "-");
        assert_eq!(
            answered.header(HEADER_CHALLENGE).is_some(),
            named,
            "{why}: {answered}"
        );
        // What was answered to a request in another's name is not this device's challenge.
        device.forget_challenge();
        device.check_in(0, 0, Vec::new()).await;
    }
}

#[tokio::test]
async fn reordered_and_repeated_requests_change_nothing() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    let first = good(&device).await;
    let second = good(&device).await;
    for draft in [&second, &first, &second, &first] {
        device.send(draft).await.ok(200);
    }
    let shown = server.operator().get("/api/v1/devices").await.json();
    assert_eq!(shown.as_array().unwrap().len(), 1);
}

/// A challenge that the relay made for a device at another time: with the relay's own key, since a
/// test does not wait for ten minutes.
async fn challenge_of(server: &Server, device: &Device, at: u64) -> String {
    let database = format!("sqlite://{}?mode=ro", server.data("relay.db").display());
    let database = sqlx::SqlitePool::connect(&database).await.unwrap();
    let key: Vec<u8> = sqlx::query_scalar("SELECT value FROM secrets WHERE name = 'challenges'")
        .fetch_one(&database)
        .await
        .unwrap();
    let id = device.id.as_str().as_bytes();
    let message = [b"coracle challenge 1\0", &at.to_be_bytes()[..], id].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message);
    format!("{at:x}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// D13 and D14. Minutes of room on either side: the test's clock goes on.
#[tokio::test]
async fn a_recorded_request_that_is_replayed_after_ten_minutes_is_refused() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = now.as_secs();
    for (at, held) in [
        (now - 300, true),
        (now - 601, false),
        (now - 86_400, false),
        (now + 600, false),
    ] {
        let mut draft = good(&device).await;
        let challenge = challenge_of(&server, &device, at).await;
        draft.signature = Some(device.sign("POST", PATH_CHECK_IN, &draft.body, &challenge));
        draft.challenge = Some(challenge);
        let answered = device.send(&draft).await;
        if held {
            answered.ok(200);
        } else {
            assert_eq!(answered.refused(401), "challenge", "{at} at {now}");
            // With it comes the one that the device tries again with.
            device.check_in(0, 0, Vec::new()).await;
        }
    }
}

#[tokio::test]
async fn versions_that_are_too_far_apart_do_not_talk() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    for (version, understood) in [
        (Some("1"), true),
        (Some("2"), true),
        (Some("0"), false),
        (Some("3"), false),
        (Some("+1"), false),
        (Some("65537"), false),
        (Some(""), false),
        (None, false),
    ] {
        let mut draft = good(&device).await;
        if version == Some("2") {
            // What a newer agent adds at the end is left (D3).
            let longer = [draft.body.as_slice(), &[1, 2, 3]].concat();
            draft = device.draft(Method::POST, PATH_CHECK_IN, longer).await;
        }
        draft.protocol = version.map(str::to_string);
        let answered = device.send(&draft).await;
        assert_eq!(answered.header(HEADER_PROTOCOL), Some("1"));
        if understood {
            answered.ok(200);
        } else {
            assert_eq!(answered.refused(400), "protocol", "{version:?}");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_messages_are_refused() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    let whole = check_in(0, 0, Vec::new());
    for body in [
        Vec::new(),
        vec![0xff; 64],
        whole[..whole.len() - 1].to_vec(),
    ] {
        let answered = device.ask(Method::POST, PATH_CHECK_IN, body).await;
        assert_eq!(answered.refused(400), "malformed");
    }
    for (method, path) in [
        (Method::GET, PATH_CHECK_IN),
        (Method::POST, "/device/v1/reports/0"),
    ] {
        let answered = device.ask(method, path, Vec::new()).await;
        assert_eq!(answered.refused(405), "method");
    }
    let answered = device.ask(Method::GET, "/device/v2/x", Vec::new()).await;
    assert_eq!(answered.refused(404), "not_found");
    assert!(answered.header(HEADER_CHALLENGE).is_some());
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_however_it_comes() {
    let server = Server::start(&[]);
    let device = Device::enrolled(&server, "pump-7").await;
    let long = vec![0; CHECK_IN_BYTES_MAX + 1];
    let announced = device.draft(Method::POST, PATH_CHECK_IN, long).await;
    let answered = device.send(&announced).await;
    assert_eq!(answered.refused(413), "too_large");
    let enroll = vec![0; (16 << 10) + 1];
    let answered = device.ask(Method::POST, PATH_ENROLL, enroll).await;
    assert_eq!(answered.refused(413), "too_large");

    // In chunks, without saying how much there will be.
    let draft = good(&device).await;
    let chunks = (0..CHECK_IN_BYTES_MAX / 1024 + 2).map(|_| Ok::<_, std::io::Error>(vec![0; 1024]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    // The relay may close the connection before everything was sent.
    if let Ok(answered) = crate::server::send(device.build(&draft).body(body)).await {
        assert_eq!(answered.refused(413), "too_large");
    }
    device.check_in(0, 0, Vec::new()).await;
}
