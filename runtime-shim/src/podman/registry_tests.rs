//! The registry against clients that are not podman.

use std::net::TcpStream;

use super::*;
use crate::ImageContent;

const LAYER: &[u8] = b"a layer";
const CONFIG: &[u8] = b"{\"a\":\"config\"}";

/// Yields each blob's bytes; fails at the end of the layer if told to.
struct Content {
    tampered: bool,
}

struct Tampered;

impl Read for Tampered {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "piece 0 was changed",
        ))
    }
}

impl ImageContent for Content {
    fn open(&self, plain: &Digest) -> io::Result<Box<dyn Read + Send>> {
        if *plain == Digest::of(CONFIG) {
            Ok(Box::new(CONFIG))
        } else if self.tampered {
            Ok(Box::new(LAYER.chain(Tampered)))
        } else {
            Ok(Box::new(LAYER))
        }
    }
}

fn image(tampered: bool) -> ImageImport {
    let manifest = b"{}".to_vec();
    ImageImport {
        name: "localhost/coracle/a-b".to_owned(),
        id: Digest::of(CONFIG),
        config_bytes: CONFIG.len() as u64,
        layers: vec![(Digest::of(LAYER), LAYER.len() as u64)],
        manifest_digest: Digest::of(&manifest),
        manifest,
        content: Arc::new(Content { tampered }),
    }
}

/// What a registry of this image sends to a client that sends `request` (`NAME` in it replaced).
fn served(image: &ImageImport, request: &str) -> (Vec<u8>, Vec<Event>) {
    let (registry, events) = Registry::open(image).unwrap();
    let (address, rest) = registry.reference().split_once('/').unwrap();
    let request = request.replace("NAME", rest.split_once('@').unwrap().0);
    let mut stream = TcpStream::connect(address).unwrap();
    let client = smol::unblock(move || {
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    });
    let served = async {
        let error = registry.serve().await;
        panic!("{error}");
    };
    let answer = smol::block_on(smol::future::or(client, served));
    drop(registry);
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push(event);
    }
    (answer, seen)
}

fn text(image: &ImageImport, request: &str) -> String {
    String::from_utf8_lossy(&served(image, request).0).into_owned()
}

#[test]
fn serves_the_image_and_nothing_else() {
    let image = image(false);
    let blob = |digest: Digest| format!("GET /v2/NAME/blobs/{digest} HTTP/1.1\r\n\r\n");
    let layer = text(&image, &blob(Digest::of(LAYER)));
    assert!(
        layer.starts_with("HTTP/1.1 200") && layer.ends_with("\r\n\r\na layer"),
        "{layer}"
    );
    assert!(text(&image, &blob(image.id)).contains("a\":\"config"));
    let head = text(&image, &blob(image.id).replace("GET", "HEAD"));
    assert!(
        head.contains("Content-Length: 14") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let manifest = format!(
        "GET /v2/NAME/manifests/{} HTTP/1.1\r\n\r\n",
        image.manifest_digest
    );
    assert!(text(&image, &manifest).ends_with("{}"));
    assert!(text(&image, "GET /v2/ HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
    for missing in [
        blob(Digest::of(b"other")),
        blob(image.id).replace("NAME", "guess"),
        "GET /v2/NAME/blobs/sha256:../../etc/passwd HTTP/1.1\r\n\r\n".to_owned(),
        "GET /v2/NAME/manifests/latest HTTP/1.1\r\n\r\n".to_owned(),
        "GET /v2/_catalog HTTP/1.1\r\n\r\n".to_owned(),
    ] {
        assert!(
            text(&image, &missing).starts_with("HTTP/1.1 404"),
            "{missing}"
        );
    }
    let upload = "POST /v2/NAME/blobs/uploads/ HTTP/1.1\r\n\r\n";
    assert!(text(&image, upload).starts_with("HTTP/1.1 405"));
}

#[test]
fn what_is_not_http_is_closed_without_a_word() {
    for request in ["\x16\x03\x01\x02", &"x".repeat(20_000)] {
        assert_eq!(text(&image(false), request), "");
    }
}

#[test]
fn several_requests_on_one_connection() {
    let image = image(false);
    let one = format!("GET /v2/NAME/blobs/{} HTTP/1.1\r\n\r\n", image.id);
    let answer = text(&image, &format!("{one}{one}"));
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2);
}

#[test]
fn a_blob_is_never_whole_before_its_reader_has_vouched_for_it() {
    let image = image(true);
    let request = format!("GET /v2/NAME/blobs/{} HTTP/1.1\r\n\r\n", Digest::of(LAYER));
    let (answer, events) = served(&image, &request);
    assert!(
        answer.ends_with(b"\r\n\r\na laye"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert!(matches!(
        &events[..],
        [Event::Read(7), Event::Failed(error)] if error.to_string() == "piece 0 was changed"
    ));
}
