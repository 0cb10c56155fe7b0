//! Ranges of files: from the relay and from others, and servers that lie about them.

use std::io;
use std::sync::{Arc, Mutex};

use super::super::{Fetched, Range, Remote as _, RemoteError};
use super::server::{
    Asked, Authority, Client, Handler, Peer, Server, hasty, names_the_device, send, until_gone,
};

const ETAG: &str = "\"f2\"";

fn content() -> Vec<u8> {
    (0..100_000u32).map(|n| (n % 251) as u8).collect()
}

/// A server that gives ranges of [`content`], as it should.
fn good() -> Handler {
    Box::new(|asked, peer| serve(asked, peer, &content(), ETAG))
}

fn serve(asked: &Asked, peer: &mut dyn Peer, content: &[u8], etag: &str) {
    if asked.path.ends_with("/challenge") {
        return send(peer, "204 No Content", &[], b"");
    }
    let other = !asked.header("if-range").is_empty() && asked.header("if-range") != etag;
    match asked
        .header("range")
        .strip_prefix("bytes=")
        .filter(|_| !other)
    {
        None => send(peer, "200 OK", &[("etag", etag)], content),
        Some(range) => {
            let (from, last) = range.split_once('-').unwrap();
            let (from, last): (usize, usize) = (from.parse().unwrap(), last.parse().unwrap());
            let to = content.len().min(last + 1);
            let range = format!("bytes {from}-{}/{}", to - 1, content.len());
            let headers = [("etag", etag), ("content-range", range.as_str())];
            send(peer, "206 Partial Content", &headers, &content[from..to]);
        }
    }
}

fn plain(handler: Handler) -> (Server, Client) {
    let server = Server::start(None, handler);
    let ca = Authority::new((2020, 4000));
    let client = Client::of(&format!("http://{}", server.address), &ca);
    (server, client)
}

fn range(from: u64, to: u64, etag: Option<&str>) -> Range {
    Range {
        url: "/device/v1/bundles/f2".into(),
        from,
        to,
        etag: etag.map(str::to_owned),
    }
}

/// What comes of fetching a range: the answer, and the bytes that reached the sink.
fn fetch(client: Client, range: Range) -> (Result<Fetched, RemoteError>, Vec<u8>) {
    let remote = client.remote().unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&got);
    let sink = move |bytes: &[u8]| {
        into.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    };
    let fetched = smol::block_on(remote.fetch(range, Box::new(sink)));
    let bytes = got.lock().unwrap().clone();
    (fetched, bytes)
}

#[test]
fn ranges_come_as_they_were_asked() {
    let whole = content();
    for (from, to, etag) in [
        (0, 10, None),
        (0, 100_000, None),
        (5, 70_000, Some(ETAG)),
        (99_999, 100_000, Some(ETAG)),
    ] {
        let (server, client) = plain(good());
        let (fetched, bytes) = fetch(client, range(from, to, etag));
        let fetched = fetched.unwrap();
        assert_eq!(fetched.etag.as_deref(), Some(ETAG));
        assert_eq!(fetched.file_bytes, Some(100_000));
        assert_eq!(bytes, whole[from as usize..to as usize]);
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.header("if-range"), etag.unwrap_or(""));
        assert!(names_the_device(&asked), "it is signed");
    }
    // A head that is shorter than what was asked for it.
    let (_server, client) = plain(good());
    let (fetched, bytes) = fetch(client, range(0, 1 << 20, None));
    assert_eq!((fetched.unwrap().file_bytes, bytes), (Some(100_000), whole));
    let (server, client) = plain(good());
    let (fetched, bytes) = fetch(client, range(7, 7, None));
    assert_eq!(
        (fetched.unwrap(), bytes.len(), server.asked().len()),
        (Fetched::default(), 0, 0)
    );
}

#[test]
fn a_server_without_ranges_is_read_up_to_what_was_asked() {
    let (_server, client) = plain(Box::new(|_, peer| send(peer, "200 OK", &[], &content())));
    let (fetched, bytes) = fetch(client, range(0, 1000, None));
    let fetched = fetched.unwrap();
    assert_eq!((fetched.etag, fetched.file_bytes), (None, Some(100_000)));
    assert_eq!(bytes, content()[..1000]);
    let (_server, client) = plain(Box::new(|_, peer| send(peer, "200 OK", &[], &content())));
    let (fetched, bytes) = fetch(client, range(10, 1000, None));
    assert!(
        matches!(fetched, Err(RemoteError::Garbage(_))),
        "{fetched:?}"
    );
    assert_eq!(bytes, b"");
}

#[test]
fn a_file_that_changes_between_two_ranges_is_noticed() {
    // The new file is sent whole, with its own ETag.
    let (_server, client) = plain(Box::new(|asked, peer| {
        serve(asked, peer, &content(), "\"f3\"")
    }));
    let (fetched, bytes) = fetch(client, range(10, 1000, Some(ETAG)));
    assert!(matches!(fetched, Err(RemoteError::Changed)), "{fetched:?}");
    assert_eq!(bytes, b"");
    // A server that does not know If-Range sends a part of the new one.
    let (_server, client) = plain(Box::new(|_, peer| {
        let headers = [("etag", "\"f3\""), ("content-range", "bytes 10-999/100000")];
        send(peer, "206 Partial Content", &headers, &[0; 990]);
    }));
    let (fetched, bytes) = fetch(client, range(10, 1000, Some(ETAG)));
    assert!(matches!(fetched, Err(RemoteError::Changed)), "{fetched:?}");
    assert_eq!(bytes, b"");
}

#[test]
fn another_range_than_was_asked_is_not_taken() {
    for content_range in [
        "bytes 0-999/100000",
        "bytes 11-999/100000",
        "bytes 10-1000/100000",
        "bytes 10-998/100000",
        "bytes 10-99/*",
        "bytes */100000",
        "10-999",
        "",
    ] {
        let (_server, client) = plain(Box::new(move |_, peer| {
            let headers = [("etag", ETAG), ("content-range", content_range)];
            send(peer, "206 Partial Content", &headers, &[0; 2000]);
        }));
        let (fetched, bytes) = fetch(client, range(10, 1000, Some(ETAG)));
        assert!(
            matches!(fetched, Err(RemoteError::Garbage(_))),
            "{content_range}: {fetched:?}"
        );
        assert_eq!(bytes, b"", "{content_range}");
    }
}

#[test]
fn more_than_was_asked_is_not_read() {
    // The range is right; the body has no end.
    let (_server, client) = plain(Box::new(|asked, peer| {
        if asked.path.ends_with("/challenge") {
            return send(peer, "204 No Content", &[], b"");
        }
        let head = "HTTP/1.1 206 Partial\r\ncontent-range: bytes 0-999/*\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut sent = peer.write_all(head.as_bytes());
        let chunk = [&b"1000\r\n"[..], &[7; 0x1000], b"\r\n"].concat();
        while sent.is_ok() {
            sent = peer.write_all(&chunk);
        }
    }));
    let (fetched, bytes) = fetch(client, range(0, 1000, None));
    fetched.unwrap();
    assert_eq!(bytes, [7; 1000]);
}

#[test]
fn a_download_that_breaks_keeps_what_came() {
    let (_server, client) = plain(Box::new(|asked, peer| {
        if asked.path.ends_with("/challenge") {
            return send(peer, "204 No Content", &[], b"");
        }
        let headers = [
            ("content-range", "bytes 0-9999/100000"),
            ("content-length", "10000"),
        ];
        send(peer, "206 Partial Content", &headers, &content()[..4000]);
        panic!("this thread ends, and the connection with it");
    }));
    let (fetched, bytes) = fetch(client, range(0, 10_000, None));
    assert!(
        matches!(fetched, Err(RemoteError::Unreachable(_))),
        "{fetched:?}"
    );
    assert_eq!(bytes, content()[..4000]);
}

#[test]
fn a_server_that_stops_sending_is_slow() {
    let (_server, mut client) = plain(Box::new(|asked, peer| {
        if asked.path.ends_with("/challenge") {
            return send(peer, "204 No Content", &[], b"");
        }
        let headers = [
            ("content-range", "bytes 0-9999/100000"),
            ("content-length", "10000"),
        ];
        send(peer, "206 Partial Content", &headers, &content()[..4000]);
        until_gone(peer);
    }));
    client.limits = hasty();
    let (fetched, bytes) = fetch(client, range(0, 10_000, None));
    assert!(matches!(fetched, Err(RemoteError::Slow)), "{fetched:?}");
    assert_eq!(bytes, content()[..4000]);
}

#[test]
fn a_server_that_sends_a_byte_at_a_time_is_slow() {
    let (_server, mut client) = plain(Box::new(|asked, peer| {
        if asked.path.ends_with("/challenge") {
            return send(peer, "204 No Content", &[], b"");
        }
        let headers = [
            ("content-range", "bytes 0-99999/100000"),
            ("content-length", "100000"),
        ];
        send(peer, "206 Partial Content", &headers, b"");
        // Slow is what this server is for.
        let tick = std::time::Duration::from_millis(50);
        while peer.write_all(b"x").and_then(|()| peer.flush()).is_ok() {
            std::thread::sleep(tick);
        }
    }));
    client.limits = hasty();
    let (fetched, bytes) = fetch(client, range(0, 100_000, None));
    assert!(matches!(fetched, Err(RemoteError::Slow)), "{fetched:?}");
    assert!(bytes.len() < 1024, "{}", bytes.len());
}

#[test]
fn a_sink_that_takes_no_more_ends_the_download() {
    let (_server, client) = plain(good());
    let remote = client.remote().unwrap();
    let sink = |_: &[u8]| Err(io::Error::from(io::ErrorKind::StorageFull));
    let fetched = smol::block_on(remote.fetch(range(0, 1000, None), Box::new(sink)));
    assert!(
        matches!(&fetched, Err(RemoteError::Sink(e)) if e.kind() == io::ErrorKind::StorageFull),
        "{fetched:?}"
    );
}

#[test]
fn another_server_learns_nothing_of_the_device() {
    let ca = Authority::new((2020, 4000));
    let tls = || Some(ca.server("localhost", (2020, 4000)));
    let (relay, cdn) = (Server::start(tls(), good()), Server::start(tls(), good()));
    let remote = Client::of(&relay.url(), &ca).remote().unwrap();
    let at = |url: String| Range {
        url,
        ..range(0, 1000, None)
    };
    let fetched = smol::block_on(async {
        // Signed once, so that there is a challenge that could be given away.
        let sink = || Box::new(|_: &[u8]| Ok(()));
        remote.fetch(range(0, 1000, None), sink()).await.unwrap();
        remote
            .fetch(at(format!("{}/files/f2", cdn.url())), sink())
            .await
    });
    assert_eq!(fetched.unwrap().file_bytes, Some(100_000));
    let asked = cdn.asked();
    assert_eq!(asked.len(), 1);
    assert!(!names_the_device(&asked[0]), "{:?}", asked[0]);
    assert!(relay.asked().iter().all(names_the_device));
}

#[test]
fn another_server_that_redirects_to_the_relay_is_not_followed() {
    let ca = Authority::new((2020, 4000));
    let tls = || Some(ca.server("localhost", (2020, 4000)));
    let relay = Server::start(tls(), good());
    let location = format!("{}/device/v1/bundles/f2", relay.url());
    let cdn = Server::start(
        tls(),
        Box::new(move |_, peer| send(peer, "302 Found", &[("location", &location)], b"")),
    );
    let remote = Client::of(&relay.url(), &ca).remote().unwrap();
    let range = Range {
        url: format!("{}/f2", cdn.url()),
        ..range(0, 1000, None)
    };
    let fetched = smol::block_on(remote.fetch(range, Box::new(|_| Ok(()))));
    assert!(
        matches!(fetched, Err(RemoteError::Refused { status: 302, .. })),
        "{fetched:?}"
    );
    assert_eq!(relay.asked(), []);
}

#[test]
fn an_address_that_a_device_does_not_ask_is_not_asked() {
    let ca = Authority::new((2020, 4000));
    let relay = Server::start(Some(ca.server("localhost", (2020, 4000))), good());
    let (local, _) = plain(good());
    for url in [
        format!("http://{}/reboot", local.address),
        "file:///etc/passwd".into(),
        "//evil.example/".into(),
        "https://user@evil.example/".into(),
    ] {
        let remote = Client::of(&relay.url(), &ca).remote().unwrap();
        let range = Range {
            url: url.clone(),
            ..range(0, 1000, None)
        };
        let fetched = smol::block_on(remote.fetch(range, Box::new(|_| Ok(()))));
        assert!(
            matches!(fetched, Err(RemoteError::Garbage(_))),
            "{url}: {fetched:?}"
        );
    }
    assert_eq!((local.asked(), relay.asked()), (vec![], vec![]));
}
