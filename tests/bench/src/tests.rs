//! The client against a server that counts what it was asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::options::Options;
use crate::{certificate, get, handshake};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";

/// What the server saw.
#[derive(Default)]
struct Seen {
    handshakes: AtomicU64,
    requests: AtomicU64,
}

/// Serves for the rest of the test's process, with the certificate of this folder.
fn serve(folder: &Path, answer: &'static [u8]) -> (SocketAddr, Arc<Seen>) {
    certificate::make(folder).unwrap();
    let certs = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certs.map(Result::unwrap).collect(), key)
        .unwrap();
    let (config, seen) = (Arc::new(config), Arc::new(Seen::default()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counted = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let (seen, stream) = (Arc::clone(&counted), stream.unwrap());
            thread::spawn(move || answer_all(connection, stream, answer, &seen));
        }
    });
    (address, seen)
}

fn answer_all(mut connection: ServerConnection, mut stream: TcpStream, answer: &[u8], seen: &Seen) {
    while connection.is_handshaking() {
        if connection.complete_io(&mut stream).is_err() {
            return;
        }
    }
    seen.handshakes.fetch_add(1, Ordering::SeqCst);
    let mut secured = StreamOwned::new(connection, stream);
    let mut buffer = [0; 1024];
    while let Ok(1..) = secured.read(&mut buffer) {
        seen.requests.fetch_add(1, Ordering::SeqCst);
        if secured.write_all(answer).is_err() {
            return;
        }
    }
}

fn options(address: SocketAddr, ca: &Path) -> Options {
    let (address, ca) = (address.to_string(), ca.to_str().unwrap());
    let args = ["--address", &address, "--ca", ca, "--connections", "4"];
    let mut options = Options::parse(lexopt::Parser::from_args(args)).unwrap();
    options.duration = std::time::Duration::from_millis(50);
    options
}

#[test]
fn each_request_that_is_counted_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = serve(folder.path(), ANSWER);
    let measured = get::run(&options(address, &folder.path().join("ca.pem")), "/").unwrap();
    assert!(measured.count > 0);
    // Four more warmed the connections up.
    assert_eq!(seen.requests.load(Ordering::SeqCst), measured.count + 4);
    assert_eq!(seen.handshakes.load(Ordering::SeqCst), 4);
}

#[test]
fn each_handshake_that_is_counted_was_finished_by_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = serve(folder.path(), ANSWER);
    let measured = handshake::run(&options(address, &folder.path().join("ca.pem"))).unwrap();
    assert!(measured.count > 0);
    assert_eq!(seen.handshakes.load(Ordering::SeqCst), measured.count + 4);
}

#[test]
fn a_refused_request_is_not_a_measurement() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
    let (address, _) = serve(folder.path(), refusal);
    let error = get::run(&options(address, &folder.path().join("ca.pem")), "/").unwrap_err();
    assert!(error.to_string().contains("503"), "{error:#}");
}

#[test]
fn a_server_with_another_certificate_is_not_loaded() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (address, seen) = serve(folder.path(), ANSWER);
    certificate::make(other.path()).unwrap();
    let options = options(address, &other.path().join("ca.pem"));
    assert!(get::run(&options, "/").is_err());
    assert_eq!(seen.requests.load(Ordering::SeqCst), 0);
}
