//! A server with TLS for the tests: what it does with a request is the test's choice.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use relay_api::device::{DeviceFacts, HEADER_CHALLENGE, HEADER_DEVICE, HEADER_PROTOCOL};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::http::{HttpRemote, Limits, Way};
use super::super::{Address, DeviceKey, RemoteError, Roots};
use crate::engine::Host;
use crate::state::vfs::RealVfs;

/// A certificate authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub(super) pem: String,
}

/// From when to when a certificate is good: years.
pub(super) type Years = (i32, i32);

impl Authority {
    pub(super) fn new(years: Years) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A server's TLS, with a certificate for this name.
    pub(super) fn server(&self, name: &str, years: Years) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

/// A request as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    /// By their names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// How many requests this connection had before.
    pub(super) before: usize,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The bytes of an answer; what follows an empty list is silence until the client goes.
pub(super) type Handler = Box<dyn Fn(&Asked, &mut dyn Peer) + Send + Sync>;

/// A connection.
pub(super) trait Peer: Read + Write {}
impl<T: Read + Write> Peer for T {}

/// A server on a thread of its own.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// A server that answers each request with `handler`; with TLS if there is a configuration.
    pub(super) fn start(tls: Option<Arc<ServerConfig>>, handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, handler) = (Arc::clone(&asked), Arc::new(handler));
        // Ends with the process: it waits for a connection that nobody makes.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, handler, tls) = (Arc::clone(&seen), Arc::clone(&handler), tls.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    // A client that has gone, or does not like the certificate, is no news.
                    let _ = match tls {
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            serve(&mut StreamOwned::new(connection, stream), &seen, &handler)
                        }
                        None => serve(&mut { stream }, &seen, &handler),
                    };
                });
            }
        });
        Self { address, asked }
    }

    /// What it was asked.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

fn serve(
    stream: &mut (impl Read + Write),
    seen: &Mutex<Vec<Asked>>,
    handler: &Handler,
) -> io::Result<()> {
    let mut before = 0;
    loop {
        let mut asked = read_request(stream)?;
        asked.before = before;
        before += 1;
        seen.lock().unwrap().push(asked.clone());
        handler(&asked, stream);
        stream.flush()?;
        if asked.header("connection") == "close" {
            return Ok(());
        }
    }
}

fn read_request(stream: &mut impl Read) -> io::Result<Asked> {
    // A byte at a time, so that none of the next request is taken.
    let mut lines = Vec::new();
    let mut one = BufReader::with_capacity(1, stream);
    loop {
        let mut line = String::new();
        if one.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut words = lines[0].split(' ');
    let mut asked = Asked {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        ..Asked::default()
    };
    for line in &lines[1..] {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim().to_owned();
        asked.headers.insert(name.to_ascii_lowercase(), value);
    }
    let length: usize = asked.header("content-length").parse().unwrap_or(0);
    asked.body = vec![0; length];
    one.read_exact(&mut asked.body)?;
    Ok(asked)
}

/// Sends an answer with these headers, protocol and challenge included.
pub(super) fn send(peer: &mut dyn Peer, status: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut text =
        format!("HTTP/1.1 {status}\r\n{HEADER_PROTOCOL}: 1\r\n{HEADER_CHALLENGE}: c7\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| *name == "content-length") && !status.starts_with("204") {
        text += &format!("content-length: {}\r\n", body.len());
    }
    text += "\r\n";
    // The client may have heard enough.
    let _ = peer.write_all(text.as_bytes());
    let _ = peer.write_all(body);
    let _ = peer.flush();
}

/// Waits until the client goes.
pub(super) fn until_gone(peer: &mut dyn Peer) {
    let _ = peer.read(&mut [0; 64]);
}

/// A machine whose clock is the real one.
struct TestHost;

impl Host for TestHost {
    fn now_s(&self) -> u64 {
        0
    }
    fn now_ms(&self) -> u64 {
        0
    }
    fn sleep(&self, _: u64) -> crate::engine::Later<()> {
        Box::pin(async {})
    }
    fn random(&self) -> u64 {
        0
    }
    fn free_bytes(&self, _: &std::path::Path) -> io::Result<u64> {
        Ok(0)
    }
    fn sync_fs(&self, _: &std::path::Path) -> crate::engine::Later<io::Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn boot_id(&self) -> String {
        String::new()
    }
    fn run(&self, job: Box<dyn FnOnce() + Send>) -> crate::engine::Later<()> {
        Box::pin(smol::unblock(job))
    }
}

/// What a device is in these tests.
pub(super) fn facts() -> DeviceFacts {
    DeviceFacts {
        agent: bundle::manifest::AgentVersion(0, 1, 0),
        arch: bundle::Arch::native().unwrap(),
        fleet: "default".parse().unwrap(),
        class: None,
        time_zone: None,
        labels: vec![],
    }
}

/// How a test reaches its server.
pub(super) struct Client {
    pub(super) url: String,
    pub(super) roots: Roots,
    pub(super) proxy: Option<String>,
    pub(super) floor: u64,
    pub(super) limits: Limits,
}

impl Client {
    pub(super) fn of(url: &str, ca: &Authority) -> Self {
        Self {
            url: url.to_owned(),
            roots: Roots::Given(ca.pem.clone()),
            proxy: None,
            floor: 0,
            limits: Limits::default(),
        }
    }

    pub(super) fn remote(self) -> Result<HttpRemote, RemoteError> {
        let dir = tempfile::tempdir().unwrap();
        let key = DeviceKey::make(&RealVfs, dir.path()).unwrap();
        self.remote_with(Arc::new(key))
    }

    pub(super) fn remote_with(self, key: Arc<DeviceKey>) -> Result<HttpRemote, RemoteError> {
        let floor = self.floor;
        let way = Way {
            address: Address::parse(&self.url).unwrap(),
            roots: self.roots,
            device: "pump-7".parse().unwrap(),
            facts: facts(),
            key,
            proxy: self.proxy,
            rate_max: None,
            host: Rc::new(TestHost),
            floor: Box::new(move || floor),
        };
        HttpRemote::with_limits(way, self.limits)
    }
}

/// Limits under which a test of slowness is over soon.
pub(super) fn hasty() -> Limits {
    let soon = Duration::from_millis(300);
    Limits {
        connect: Duration::from_secs(10),
        answer: soon,
        slow: soon,
        slow_bytes: 1 << 10,
    }
}

/// Whether a request says anything of the device.
pub(super) fn names_the_device(asked: &Asked) -> bool {
    let coracle = asked
        .headers
        .keys()
        .any(|name| name.starts_with("coracle-"));
    coracle || asked.headers.contains_key(HEADER_DEVICE) || format!("{asked:?}").contains("pump-7")
}
