//! Bundle files: ranges, tags, and what is never published.

use bundle::Digest;
use reqwest::Method;

use crate::device::Device;
use crate::server::{Answered, Server, send};

struct Fetch {
    device: Device,
    path: String,
}

impl Fetch {
    async fn with(&self, method: Method, headers: &[(&'static str, &str)]) -> Answered {
        let mut draft = self.device.draft(method, &self.path, Vec::new()).await;
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, value.to_string()));
        draft.extra = headers.collect();
        self.device.send(&draft).await
    }

    async fn get(&self, headers: &[(&'static str, &str)]) -> Answered {
        self.with(Method::GET, headers).await
    }
}

#[tokio::test]
async fn parts_of_a_file_are_what_was_asked_for() {
    let server = Server::start(&[]);
    let file = server.pack(1);
    server.operator().publish(&file).await.ok(201);
    let digest = Digest::of(&file);
    let tag = format!("\"{}\"", digest.hex());
    let fetch = Fetch {
        device: Device::enrolled(&server, "pump-7").await,
        path: format!("/device/v1/bundles/{}", digest.hex()),
    };
    let length = file.len();

    let whole = fetch.get(&[]).await.ok(200);
    assert_eq!(whole.body, file);
    assert_eq!(whole.header("etag"), Some(tag.as_str()));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let cache = "public, max-age=31536000, immutable";
    assert_eq!(whole.header("cache-control"), Some(cache));

    let head = fetch.with(Method::HEAD, &[]).await.ok(200);
    assert_eq!(head.header("content-length"), Some(&*length.to_string()));
    assert!(head.body.is_empty());

    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=8-1999", 8, 1999),
        ("bytes=1000-", 1000, length - 1),
        ("bytes=-5", length - 5, length - 1),
        ("bytes=5-99999999", 5, length - 1),
    ] {
        let part = fetch
            .get(&[("range", range), ("if-range", &tag)])
            .await
            .ok(206);
        assert_eq!(part.body, &file[first..=last], "{range}");
        let said = format!("bytes {first}-{last}/{length}");
        assert_eq!(part.header("content-range"), Some(said.as_str()));
        assert_eq!(part.header("etag"), Some(tag.as_str()));
    }
    let outside = fetch.get(&[("range", &format!("bytes={length}-"))]).await;
    let said = format!("bytes */{length}");
    assert_eq!(outside.ok(416).header("content-range"), Some(&*said));

    // A range of another file, several ranges, and what is no range: the whole.
    for headers in [
        [("range", "bytes=1-2"), ("if-range", "\"other\"")],
        [("range", "bytes=1-2,5-6"), ("if-range", &tag)],
        [("range", "lines=1-2"), ("if-range", &tag)],
    ] {
        assert_eq!(fetch.get(&headers).await.ok(200).body, file);
    }
    let same = fetch.get(&[("if-none-match", &tag)]).await.ok(304);
    assert!(same.body.is_empty());
}

#[tokio::test]
async fn only_devices_fetch_and_only_what_was_published() {
    let server = Server::start(&[]);
    let file = server.pack(1);
    server.operator().publish(&file).await.ok(201);
    let path = format!("/device/v1/bundles/{}", Digest::of(&file).hex());
    let device = Device::enrolled(&server, "pump-7").await;

    let stranger = Device::new(&server, "pump-8");
    let refused = stranger.ask(Method::GET, &path, Vec::new()).await;
    assert_eq!(refused.refused(401), "unknown_device");
    let operator = server.operator();
    let refused = operator.request(Method::GET, &path);
    let refused = send(refused.header("coracle-protocol", "1")).await.unwrap();
    assert_eq!(refused.refused(401), "unknown_device");

    // A file that lies in the folder without having been published, and ways out of it.
    let stray = Digest::of(b"stray");
    std::fs::write(server.data("bundles").join(stray.hex()), "stray").unwrap();
    for name in [
        stray.hex().as_str(),
        &stray.hex().to_uppercase(),
        "..%2f..%2fadmin.token",
        "%2e%2e",
        "x",
    ] {
        let path = format!("/device/v1/bundles/{name}");
        let refused = device.ask(Method::GET, &path, Vec::new()).await;
        assert_eq!(refused.refused(404), "not_found", "{name}");
    }
}

#[tokio::test]
async fn what_is_no_sound_bundle_is_not_published() {
    let server = Server::start(&["--keys", "keys", "--bundle-bytes-max", "500000"]);
    let operator = server.operator();
    let file = server.pack(1);
    let mut flipped = file.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let longer = [&file[..], b"x"].concat();
    for bad in [
        &b""[..],
        b"not a bundle",
        &file[..file.len() - 1],
        &longer,
        &flipped,
    ] {
        assert_eq!(operator.publish(bad).await.refused(422), "bundle");
    }
    let huge = operator.publish(&vec![0; 500_001]).await;
    assert_eq!(huge.refused(413), "too_large");
    for folder in ["incoming", "bundles"] {
        let left = std::fs::read_dir(server.data(folder)).unwrap().count();
        assert_eq!(left, 0, "{folder}");
    }
    let refused = operator.audit().await;
    let refused = refused.iter().filter(|entry| entry.contains("publish"));
    assert!(refused.clone().all(|entry| entry.ends_with("refused")));
    assert_eq!(refused.count(), 6);
    operator.publish(&file).await.ok(201);
}

#[tokio::test]
async fn a_bundle_of_a_foreign_key_is_not_published() {
    let server = Server::start(&["--keys", "keys"]);
    let ours = server.pack(1);
    server
        .place
        .relay(&["key", "new", "--out", "release", "--no-password", "--force"])
        .ok();
    let theirs = server.pack(2);
    let operator = server.operator();
    assert_eq!(operator.publish(&theirs).await.refused(422), "bundle");
    operator.publish(&ours).await.ok(201);
}

#[tokio::test]
async fn one_seq_is_one_bundle() {
    let server = Server::start(&[]);
    let operator = server.operator();
    operator.publish(&server.pack(1)).await.ok(201);
    let compose = "services:\n  web:\n    restart: always\n    environment: {A: b}\n";
    server.place.write("compose.yaml", compose);
    let rival = server.pack(1);
    assert_eq!(operator.publish(&rival).await.refused(409), "seq_taken");
}

#[tokio::test]
async fn a_web_server_gives_the_files_in_the_relays_stead() {
    let server = Server::start(&["--bundle-url", "https://cdn.example/b/"]);
    let operator = server.operator();
    let file = server.pack(1);
    operator.publish(&file).await.ok(201);
    let device = Device::enrolled(&server, "pump-7").await;
    operator.roll_out("1.0", "all").await;
    let answer = device.check_in(0, 0, Vec::new()).await;
    let name = Digest::of(&file).hex();
    assert_eq!(
        answer.desired[0].url,
        format!("https://cdn.example/b/{name}")
    );
    // The folder is laid out, and readable, as that needs it.
    let path = server.data("bundles").join(name);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(std::fs::read(path).unwrap(), file);
}
