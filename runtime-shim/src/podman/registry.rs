//! A read-only OCI registry on loopback that holds one image, for as long as its import takes.
//!
//! As much of the OCI distribution specification (section "Pull") as a client needs that pulls by
//! digest. Any local process could connect, so the repository's name cannot be guessed; all that
//! there is to read is the image. It never takes uploads, never speaks TLS (a ClientHello gets a
//! closed connection, upon which podman falls back to HTTP), and never serves a blob that the
//! image does not list.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bundle::Digest;
use smol::Async;
use smol::channel::{Receiver, Sender};

use crate::{ImageImport, RuntimeError};

/// Connections that are served at the same time; podman opens six.
const CONNECTIONS_MAX: usize = 16;
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Most header fields of a request.
const HEADERS_MAX: usize = 32;
/// Bytes that are copied at once.
const PIECE_BYTES: usize = 64 << 10;
/// How long a client may take to send or receive anything. podman unpacks a layer while it
/// reads it, so that a slow disk makes it a slow reader.
const PATIENCE: Duration = Duration::from_secs(300);

/// What happens while an image is read.
pub(super) enum Event {
    /// So many more bytes of content were read.
    Read(u64),
    /// The content could not be read: the import has failed.
    Failed(io::Error),
}

/// The registry; it closes when dropped.
pub(super) struct Registry {
    listener: Async<TcpListener>,
    shared: Arc<Shared>,
    reference: String,
}

struct Shared {
    image: ImageImport,
    repository: String,
    events: Sender<Event>,
    closed: AtomicBool,
    connections: Mutex<Vec<Arc<TcpStream>>>,
}

impl Registry {
    /// Opens it on a port of the kernel's choosing. Events come until it is dropped.
    ///
    /// # Errors
    /// [`RuntimeError::Io`] if there is no port or no randomness.
    pub(super) fn open(image: &ImageImport) -> Result<(Self, Receiver<Event>), RuntimeError> {
        let open = || -> io::Result<_> {
            let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.get_ref().local_addr()?.port();
            Ok((listener, port, random_name()?))
        };
        let (listener, port, repository) = open().map_err(RuntimeError::Io)?;
        let (events, received) = smol::channel::unbounded();
        let reference = format!("127.0.0.1:{port}/{repository}@{}", image.manifest_digest);
        let shared = Arc::new(Shared {
            image: image.clone(),
            repository,
            events,
            closed: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let registry = Self {
            listener,
            shared,
            reference,
        };
        Ok((registry, received))
    }

    /// What to pull: `127.0.0.1:PORT/NAME@sha256:…`.
    pub(super) fn reference(&self) -> &str {
        &self.reference
    }

    /// Serves; ends only with an error.
    pub(super) async fn serve(&self) -> RuntimeError {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => return RuntimeError::Io(error),
            }
        }
    }

    /// Serves a connection on a thread of its own, since reading content blocks.
    fn admit(&self, stream: Async<TcpStream>, peer: SocketAddr) {
        let Ok(stream) = stream.into_inner() else {
            return;
        };
        let stream = Arc::new(stream);
        let mut connections = self.shared.connections();
        connections.retain(|known| Arc::strong_count(known) > 1);
        if connections.len() >= CONNECTIONS_MAX {
            log::warn!("image import: connection from {peer} refused, too many");
            return;
        }
        connections.push(Arc::clone(&stream));
        drop(connections);
        let shared = Arc::clone(&self.shared);
        smol::unblock(move || {
            // A connection that breaks is the client's affair; it asks again.
            let _ = shared.connection(&stream);
            let _ = stream.shutdown(Shutdown::Both);
        })
        .detach();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        for stream in self.shared.connections().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A repository name of 128 random bits.
fn random_name() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Digest::of(&bytes).hex()[..32].to_owned())
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Version,
    Manifest,
    Blob(Digest, u64),
    Nothing,
    NotAllowed,
}

impl Shared {
    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Arc<TcpStream>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers requests until the client closes.
    fn connection(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut buffer = Vec::with_capacity(1024);
        while !self.closed.load(Ordering::Relaxed) {
            let Some((head_only, asked, used)) = self.request(stream, &mut buffer)? else {
                return Ok(());
            };
            buffer.drain(..used);
            self.answer(stream, &asked, head_only)?;
        }
        Ok(())
    }

    /// Reads a request's head; none if the client closed, or speaks anything but HTTP.
    fn request(
        &self,
        mut stream: &TcpStream,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<(bool, Asked, usize)>> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut head = httparse::Request::new(&mut fields);
            match head.parse(buffer) {
                Ok(httparse::Status::Complete(used)) => {
                    let method = head.method.unwrap_or_default();
                    let asked = match method {
                        "GET" | "HEAD" => self.route(head.path.unwrap_or_default()),
                        _ => Asked::NotAllowed,
                    };
                    return Ok(Some((method == "HEAD", asked, used)));
                }
                Ok(httparse::Status::Partial) if buffer.len() < HEAD_BYTES_MAX => {}
                _ => return Ok(None),
            }
            let mut piece = [0; 2048];
            let n = stream.read(&mut piece)?;
            if n == 0 {
                return Ok(None);
            }
            buffer.extend_from_slice(&piece[..n]);
        }
    }

    fn route(&self, path: &str) -> Asked {
        if path == "/v2/" || path == "/v2" {
            return Asked::Version;
        }
        let within = path.strip_prefix("/v2/");
        let within = within.and_then(|path| path.strip_prefix(self.repository.as_str()));
        let Some((kind, digest)) = within.and_then(|path| path.strip_prefix('/')?.split_once('/'))
        else {
            return Asked::Nothing;
        };
        // In the form `sha256:…` only, as the specification has it.
        let digest = digest.starts_with("sha256:").then(|| digest.parse().ok());
        let Some(digest) = digest.flatten() else {
            return Asked::Nothing;
        };
        let image = &self.image;
        match kind {
            "manifests" if digest == image.manifest_digest => Asked::Manifest,
            "blobs" if digest == image.id => Asked::Blob(digest, image.config_bytes),
            "blobs" => {
                let layer = image.layers.iter().find(|(layer, _)| *layer == digest);
                layer.map_or(Asked::Nothing, |(_, bytes)| Asked::Blob(digest, *bytes))
            }
            _ => Asked::Nothing,
        }
    }

    fn answer(&self, mut stream: &TcpStream, asked: &Asked, head_only: bool) -> io::Result<()> {
        let head = |status: &str, kind: &str, digest: Option<&Digest>, bytes: u64| {
            let digest = digest.map_or(String::new(), |digest| {
                format!("Docker-Content-Digest: {digest}\r\n")
            });
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {bytes}\r\n\
                 {digest}Docker-Distribution-API-Version: registry/2.0\r\n\r\n"
            )
        };
        const JSON: &str = "application/json";
        match asked {
            Asked::Version => stream.write_all((head("200 OK", JSON, None, 2) + "{}").as_bytes()),
            Asked::Nothing => stream.write_all(head("404 Not Found", JSON, None, 0).as_bytes()),
            Asked::NotAllowed => {
                stream.write_all(head("405 Method Not Allowed", JSON, None, 0).as_bytes())?;
                // A body may follow that nobody reads.
                Err(io::ErrorKind::Unsupported.into())
            }
            Asked::Manifest => {
                let manifest = &self.image.manifest;
                let kind = "application/vnd.oci.image.manifest.v1+json";
                let digest = Some(&self.image.manifest_digest);
                let head = head("200 OK", kind, digest, manifest.len() as u64);
                stream.write_all(head.as_bytes())?;
                if head_only {
                    return Ok(());
                }
                stream.write_all(manifest)
            }
            Asked::Blob(digest, bytes) => {
                let kind = "application/octet-stream";
                let head = head("200 OK", kind, Some(digest), *bytes);
                stream.write_all(head.as_bytes())?;
                if head_only {
                    return Ok(());
                }
                self.blob(stream, digest, *bytes)
            }
        }
    }

    fn blob(&self, mut stream: &TcpStream, digest: &Digest, bytes: u64) -> io::Result<()> {
        let mut left = bytes;
        let mut piece = vec![0; PIECE_BYTES];
        let mut content = self.readable(self.image.content.open(digest))?;
        loop {
            let n = self.readable(content.read(&mut piece))?;
            if n as u64 > left || (n == 0 && left > 0) {
                let length =
                    io::Error::new(io::ErrorKind::InvalidData, "content of another length");
                self.readable(Err(length))?;
            }
            if n == 0 {
                return Ok(());
            }
            left -= n as u64;
            let _ = self.events.try_send(Event::Read(n as u64));
            // The last byte waits until the content's end has been read: there the reader says
            // whether all of it was what was signed, and podman must not have it whole before.
            let held = usize::from(left == 0);
            stream.write_all(&piece[..n - held])?;
            if held == 1 {
                let last = [piece[n - 1]];
                if self.readable(content.read(&mut piece))? != 0 {
                    let longer = io::Error::new(io::ErrorKind::InvalidData, "content goes on");
                    self.readable(Err(longer))?;
                }
                return stream.write_all(&last);
            }
        }
    }

    /// Tells of an error of the content before it ends the connection.
    fn readable<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            let _ = self.events.try_send(Event::Failed(error));
            kind.into()
        })
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
