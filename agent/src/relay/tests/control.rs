//! Check-ins, reports and enrolment: signatures, challenges, refusals, and answers that lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::Digest;
use relay_api::device::{
    ANSWER_BYTES_MAX, Answer, CheckIn, EnrollAnswer, EnrollRequest, HEADER_CHALLENGE,
    HEADER_DEVICE, HEADER_PROTOCOL, HEADER_SIGNATURE, ReportKey, decode, encode, signed_text,
};
use ring::signature::{ED25519, UnparsedPublicKey};

use super::super::http::HttpRemote;
use super::super::{DeviceKey, Remote as _, RemoteError};
use super::server::{Asked, Authority, Client, Handler, Server, facts, hasty, send, until_gone};
use super::trust::{check_in, well};
use crate::state::vfs::RealVfs;

/// What a relay answers.
pub(super) fn answer() -> Answer {
    Answer {
        now: 1_795_000_000,
        revision: 8,
        desired: vec![],
        variables: vec![],
        interval_s: 60,
        long_poll_s: 0,
    }
}

fn message() -> CheckIn {
    CheckIn {
        facts: facts(),
        apps: vec![],
        seen: 3,
        wait_s: 0,
    }
}

fn key() -> Arc<DeviceKey> {
    let dir = tempfile::tempdir().unwrap();
    Arc::new(DeviceKey::make(&RealVfs, dir.path()).unwrap())
}

/// A relay at this very host, without TLS.
fn plain(handler: Handler) -> (Server, Client) {
    let server = Server::start(None, handler);
    let ca = Authority::new((2020, 4000));
    let client = Client::of(&format!("http://{}", server.address), &ca);
    (server, client)
}

/// A relay that knows what it answers to all but the challenge.
fn answers(status: &'static str, headers: &'static [(&str, &str)], body: Vec<u8>) -> Handler {
    Box::new(move |asked, peer| {
        if asked.path.ends_with("/challenge") {
            send(peer, "204 No Content", &[], b"");
        } else {
            send(peer, status, headers, &body);
        }
    })
}

fn is_signed(asked: &Asked, key: &DeviceKey) -> bool {
    let challenge = asked.header(HEADER_CHALLENGE);
    let text = signed_text(
        &asked.method,
        &asked.path,
        &Digest::of(&asked.body),
        challenge,
    );
    let signature = URL_SAFE_NO_PAD.decode(asked.header(HEADER_SIGNATURE));
    let public = UnparsedPublicKey::new(&ED25519, key.public());
    let signature = signature.unwrap_or_default();
    asked.header(HEADER_DEVICE) == "pump-7" && public.verify(text.as_bytes(), &signature).is_ok()
}

#[test]
fn each_request_is_signed_and_a_check_in_that_says_nothing_new_is_the_same_in_each_bit() {
    let count = AtomicU32::new(0);
    let (server, client) = plain(Box::new(move |asked, peer| {
        let challenge = format!("c{}", count.fetch_add(1, Ordering::SeqCst));
        let body = match asked.path.as_str() {
            "/device/v1/check-in" => encode(&answer()),
            _ => vec![],
        };
        let text = format!(
            "HTTP/1.1 200 OK\r\n{HEADER_PROTOCOL}: 1\r\n{HEADER_CHALLENGE}: {challenge}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        peer.write_all(text.as_bytes()).unwrap();
        peer.write_all(&body).unwrap();
    }));
    let key = key();
    let remote = client.remote_with(Arc::clone(&key)).unwrap();
    smol::block_on(async {
        remote.check_in(message()).await.unwrap();
        remote
            .report(ReportKey::of(b"x"), b"report".to_vec())
            .await
            .unwrap();
        remote.check_in(message()).await.unwrap();
    });
    let asked = server.asked();
    let paths: Vec<_> = asked
        .iter()
        .map(|a| (a.method.as_str(), a.path.as_str()))
        .collect();
    let report = format!("/device/v1/reports/{}", ReportKey::of(b"x"));
    assert_eq!(
        paths,
        [
            ("GET", "/device/v1/challenge"),
            ("POST", "/device/v1/check-in"),
            ("PUT", report.as_str()),
            ("POST", "/device/v1/check-in"),
        ]
    );
    assert_eq!(asked[0].header(HEADER_DEVICE), "pump-7");
    assert_eq!(asked[0].header(HEADER_SIGNATURE), "");
    for (place, asked) in asked.iter().enumerate().skip(1) {
        assert_eq!(asked.header(HEADER_CHALLENGE), "c0");
        assert!(is_signed(asked, &key), "{asked:?}");
        assert_eq!(asked.header(HEADER_PROTOCOL), "1");
        assert_eq!(asked.before, place, "one connection for all");
    }
    assert_eq!(decode::<CheckIn>(&asked[1].body), Ok(message()));
    assert_eq!(asked[2].body, b"report");
    let [first, again] = [&asked[1], &asked[3]];
    assert_eq!(first.body, again.body);
    let signature = first.header(HEADER_SIGNATURE);
    assert_eq!(signature, again.header(HEADER_SIGNATURE));
}

#[test]
fn what_a_proxy_puts_before_the_path_is_not_signed() {
    let (server, mut client) = plain(Box::new(|asked, peer| {
        assert!(asked.path.starts_with("/site/7/device/v1/"));
        send(peer, "200 OK", &[], &encode(&answer()));
    }));
    client.url += "/site/7/";
    let key = key();
    let remote = client.remote_with(Arc::clone(&key)).unwrap();
    smol::block_on(remote.check_in(message())).unwrap();
    let mut asked = server.asked().pop().unwrap();
    asked.path = asked.path.replace("/site/7", "");
    assert!(is_signed(&asked, &key));
}

#[test]
fn enrolment_carries_the_key_that_signs_it() {
    let labels = vec![("site".parse().unwrap(), "harbour".parse().unwrap())];
    let wanted = EnrollAnswer {
        device: "pump-7".parse().unwrap(),
        labels,
    };
    let (server, client) = plain(answers("200 OK", &[], encode(&wanted)));
    let key = key();
    let remote = client.remote_with(Arc::clone(&key)).unwrap();
    let answer = smol::block_on(remote.enroll("cet_1".into())).unwrap();
    assert_eq!(answer, wanted);
    let asked = server.asked().pop().unwrap();
    assert!(is_signed(&asked, &key));
    let request: EnrollRequest = decode(&asked.body).unwrap();
    assert_eq!(
        (request.token.as_str(), request.public_key),
        ("cet_1", key.public())
    );
}

#[test]
fn a_challenge_that_is_not_taken_is_replaced_once() {
    const BODY: &[u8] = br#"{"error":{"code":"challenge","message":"too old","hint":""}}"#;
    let tired = Arc::new(AtomicBool::new(true));
    let once = Arc::clone(&tired);
    let (server, client) = plain(Box::new(move |asked, peer| {
        if asked.path.ends_with("/challenge") {
            send(peer, "204 No Content", &[], b"");
        } else if once.swap(false, Ordering::SeqCst) {
            send(peer, "401 No", &[], BODY);
        } else {
            send(peer, "200 OK", &[], &encode(&answer()));
        }
    }));
    let remote = client.remote().unwrap();
    smol::block_on(remote.check_in(message())).unwrap();
    assert_eq!(server.asked().len(), 3);

    let (server, client) = plain(answers("401 No", &[], BODY.to_vec()));
    let remote = client.remote().unwrap();
    let error = smol::block_on(remote.check_in(message())).unwrap_err();
    assert!(
        matches!(error, RemoteError::Refused { status: 401, .. }),
        "{error:?}"
    );
    assert_eq!(server.asked().len(), 3, "not for ever");
}

#[test]
fn refusals_come_with_the_relays_words() {
    let body = br#"{"error":{"code":"token_used","message":"it was used","hint":"ask","more":1}}"#;
    let (_server, client) = plain(answers("403 No", &[], body.to_vec()));
    match check_in(client).unwrap_err() {
        RemoteError::Refused {
            status,
            code,
            message,
            hint,
        } => assert_eq!(
            (status, code.as_str(), message.as_str(), hint.as_str()),
            (403, "token_used", "it was used", "ask")
        ),
        other => panic!("{other:?}"),
    }
    // Another server on the way.
    for body in [
        &b"<html>Bad gateway</html>"[..],
        &vec![b'x'; 1 << 20],
        b"{\"error\":7}",
        b"",
    ] {
        let (_server, client) = plain(answers("502 Bad", &[], body.to_vec()));
        match check_in(client).unwrap_err() {
            RemoteError::Refused {
                status: 502,
                code,
                message,
                ..
            } => {
                assert_eq!((code.as_str(), message.as_str()), ("", ""));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_busy_relay_says_for_how_long() {
    for (status, headers, wanted) in [
        ("429 Busy", &[("retry-after", "30")][..], Some(30)),
        ("503 Busy", &[("retry-after", "7")], Some(7)),
        ("503 Busy", &[("retry-after", "99999999999")], Some(86_400)),
        (
            "503 Busy",
            &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")],
            None,
        ),
        ("503 Busy", &[("retry-after", "-1")], None),
        ("503 Busy", &[], None),
    ] {
        let (_server, client) = plain(answers(status, headers, vec![]));
        let found = match check_in(client).unwrap_err() {
            RemoteError::Busy { retry_after_s } => Some(retry_after_s),
            RemoteError::Refused {
                status: 429 | 503, ..
            } => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, wanted, "{status} {headers:?}");
    }
}

#[test]
fn a_redirect_is_never_followed() {
    let (elsewhere, _) = plain(well());
    let location = format!("http://{}/device/v1/check-in", elsewhere.address);
    for status in [
        "301 Moved",
        "302 Found",
        "303 See",
        "307 Temporary",
        "308 Permanent",
    ] {
        let location = location.clone();
        let (_server, client) = plain(Box::new(move |asked, peer| {
            if asked.path.ends_with("/challenge") {
                send(peer, "204 No Content", &[], b"");
            } else {
                send(peer, status, &[("location", &location)], b"");
            }
        }));
        let error = check_in(client).unwrap_err();
        assert!(
            matches!(&error, RemoteError::Refused { code, .. } if code == "redirect"),
            "{error:?}"
        );
    }
    assert_eq!(elsewhere.asked(), []);
}

fn garbage(remote: &HttpRemote) -> &'static str {
    match smol::block_on(remote.check_in(message())) {
        Err(RemoteError::Garbage(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_that_make_no_sense_are_garbage() {
    let whole = encode(&answer());
    for cut in 0..whole.len() {
        let (_server, client) = plain(answers("200 OK", &[], whole[..cut].to_vec()));
        assert_eq!(
            garbage(&client.remote().unwrap()),
            "it is no answer to a check-in",
            "{cut}"
        );
    }
    let (_server, client) = plain(answers("200 OK", &[], vec![0xff; 4096]));
    garbage(&client.remote().unwrap());
    let (_server, client) = plain(Box::new(|_, peer| {
        let _ = peer.write_all(&[b'x'; 64 << 10]);
        until_gone(peer);
    }));
    assert_eq!(garbage(&client.remote().unwrap()), "it is not HTTP");
}

#[test]
fn an_answer_of_another_protocol_is_garbage() {
    for (version, good) in [
        ("1", true),
        ("2", true),
        ("3", false),
        ("0", false),
        ("x", false),
    ] {
        let (_server, client) = plain(Box::new(move |_, peer| {
            let mut body = encode(&answer());
            if version == "2" {
                // What a newer relay adds at the end is left (D3).
                body.extend([1, 2, 3]);
            }
            let text = format!(
                "HTTP/1.1 200 OK\r\n{HEADER_PROTOCOL}: {version}\r\n{HEADER_CHALLENGE}: c\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            peer.write_all(text.as_bytes()).unwrap();
            peer.write_all(&body).unwrap();
        }));
        assert_eq!(check_in(client).is_ok(), good, "{version}");
    }
    // Some web server.
    let (_server, client) = plain(Box::new(|_, peer| {
        peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
            .unwrap();
    }));
    assert!(garbage(&client.remote().unwrap()).contains("does not speak the device protocol"));
}

#[test]
fn a_challenge_that_is_none_is_not_kept() {
    for challenge in ["", &"x".repeat(129), "a b", "\u{e9}"] {
        let challenge = challenge.to_owned();
        let (_server, client) = plain(Box::new(move |_, peer| {
            let text = format!(
                "HTTP/1.1 204 No\r\n{HEADER_PROTOCOL}: 1\r\n{HEADER_CHALLENGE}: {challenge}\r\n\r\n"
            );
            peer.write_all(text.as_bytes()).unwrap();
        }));
        assert_eq!(garbage(&client.remote().unwrap()), "it has no challenge");
    }
}

#[test]
fn an_answer_that_is_too_long_is_not_taken() {
    let declared = (ANSWER_BYTES_MAX + 1).to_string();
    let (_server, client) = plain(Box::new(move |asked, peer| {
        if asked.path.ends_with("/challenge") {
            return send(peer, "204 No Content", &[], b"");
        }
        send(peer, "200 OK", &[("content-length", &declared)], b"");
        until_gone(peer);
    }));
    assert_eq!(
        garbage(&client.remote().unwrap()),
        "it is longer than it may be"
    );
    // Without a length: chunks without an end.
    let (_server, client) = plain(Box::new(|asked, peer| {
        if asked.path.ends_with("/challenge") {
            return send(peer, "204 No Content", &[], b"");
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\n{HEADER_PROTOCOL}: 1\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let mut sent = peer.write_all(head.as_bytes());
        let chunk = [&b"1000\r\n"[..], &[0; 0x1000], b"\r\n"].concat();
        while sent.is_ok() {
            sent = peer.write_all(&chunk);
        }
    }));
    assert_eq!(
        garbage(&client.remote().unwrap()),
        "it is longer than it may be"
    );
}

#[test]
fn a_relay_that_says_nothing_is_given_up() {
    let (_server, mut client) = plain(Box::new(|_, peer| until_gone(peer)));
    client.limits = hasty();
    let error = check_in(client).unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable(_)), "{error:?}");
}

#[test]
fn a_relay_that_sends_its_answer_a_byte_at_a_time_is_given_up() {
    for status in ["200 OK", "500 Bad"] {
        let (_server, mut client) = plain(Box::new(move |asked, peer| {
            if asked.path.ends_with("/challenge") {
                return send(peer, "204 No Content", &[], b"");
            }
            send(peer, status, &[("content-length", "4000")], b"");
            // Slow is what this server is for.
            let tick = std::time::Duration::from_millis(50);
            while peer.write_all(b"x").and_then(|()| peer.flush()).is_ok() {
                std::thread::sleep(tick);
            }
        }));
        client.limits = hasty();
        let error = check_in(client).unwrap_err();
        let given_up = matches!(
            error,
            RemoteError::Unreachable(_)
                | RemoteError::Slow
                | RemoteError::Refused { status: 500, .. }
        );
        assert!(given_up, "{error:?}");
    }
}

#[test]
fn a_connection_that_breaks_in_the_middle_is_unreachable() {
    let (_server, client) = plain(Box::new(|asked, peer| {
        if asked.path.ends_with("/challenge") {
            return send(peer, "204 No Content", &[], b"");
        }
        send(peer, "200 OK", &[("content-length", "5000")], &[7; 100]);
        panic!("this thread ends, and the connection with it");
    }));
    let error = check_in(client).unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable(_)), "{error:?}");
}

#[test]
fn a_wait_that_is_broken_off_hangs_up_and_the_next_request_works() {
    let (gone, was_gone) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let (begun, has_begun) = smol::channel::bounded(1);
    let (_server, client) = plain(Box::new(move |asked, peer| {
        if asked.path.ends_with("/challenge") {
            return send(peer, "204 No Content", &[], b"");
        }
        let check_in: CheckIn = decode(&asked.body).unwrap();
        if check_in.wait_s > 0 {
            begun.try_send(()).unwrap();
            until_gone(peer);
            gone.lock().unwrap().send(()).unwrap();
        } else {
            send(peer, "200 OK", &[], &encode(&answer()));
        }
    }));
    let remote = client.remote().unwrap();
    smol::block_on(async {
        let held = remote.check_in(CheckIn {
            wait_s: 55,
            ..message()
        });
        let broken = async {
            has_begun.recv().await.unwrap();
            None
        };
        let held = async { Some(held.await) };
        assert!(smol::future::or(held, broken).await.is_none());
        // Not after 85 seconds: the server sees it go.
        was_gone.recv().unwrap();
        remote.check_in(message()).await.unwrap();
    });
}
