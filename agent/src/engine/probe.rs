//! Health checks, run by the agent: a command in the container, an HTTP request, a connection.
//!
//! Never judges: it says whether one try went well. Reads at most the first line of an answer.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use agent_core::resolve::ResolvedService;
use agent_core::trial::Health;
use bundle::manifest::{HealthCheck, NetworkMode, Probe, Protocol, Service, Text};
use runtime_shim::{ContainerId, RuntimeError};
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

use super::Engine;

/// Most bytes of an HTTP answer that are read: its status line is within them.
const STATUS_LINE_BYTES_MAX: usize = 64;
/// Most characters of a command's output that go into messages.
const OUTPUT_CHARS_MAX: usize = 200;

/// Why a try went wrong.
#[derive(Debug)]
pub(crate) enum ProbeFailure {
    /// The command ended with this code, and wrote this (its last line).
    Exit(i32, String),
    /// The command could not be run.
    Runtime(RuntimeError),
    /// The answer had this status.
    Status(u16),
    /// No connection, or no answer.
    Io(io::Error),
    /// It took too long.
    TimedOut,
    /// The port cannot be reached from here.
    NoAddress,
    /// A kind of check that this agent does not know.
    Unknown,
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code, line) if line.is_empty() => write!(f, "it exits with code {code}"),
            Self::Exit(code, line) => write!(f, "it exits with code {code}: {line}"),
            Self::Runtime(error) => write!(f, "it cannot be run: {error}"),
            Self::Status(status) => write!(f, "the answer is HTTP {status}"),
            Self::Io(error) => write!(f, "{error}"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::NoAddress => {
                f.write_str("the port cannot be reached: publish it, or use host networking")
            }
            Self::Unknown => f.write_str("this agent does not know this kind of check"),
        }
    }
}

impl Engine {
    /// Tries a service's health check once.
    ///
    /// # Errors
    /// [`ProbeFailure`].
    pub(crate) async fn probe(
        &self,
        service: &Service,
        check: &HealthCheck,
        id: &ContainerId,
    ) -> Result<(), ProbeFailure> {
        let attempt = async {
            match &check.probe {
                Probe::Exec(command) => self.probe_exec(command, check.timeout_ms, id).await,
                Probe::Http { port, path } => {
                    let address = self.address(service, id, *port).await;
                    match get(address.ok_or(ProbeFailure::NoAddress)?, path).await {
                        Ok(200..=399) => Ok(()),
                        Ok(status) => Err(ProbeFailure::Status(status)),
                        Err(error) => Err(ProbeFailure::Io(error)),
                    }
                }
                Probe::Tcp { port } => {
                    let address = self.address(service, id, *port).await;
                    let connected =
                        TcpStream::connect(address.ok_or(ProbeFailure::NoAddress)?).await;
                    connected.map(|_| ()).map_err(ProbeFailure::Io)
                }
                _ => Err(ProbeFailure::Unknown),
            }
        };
        let late = async {
            self.host.sleep(u64::from(check.timeout_ms)).await;
            Err(ProbeFailure::TimedOut)
        };
        or(attempt, late).await
    }

    async fn probe_exec(
        &self,
        command: &[Text],
        timeout_ms: u32,
        id: &ContainerId,
    ) -> Result<(), ProbeFailure> {
        let command: Vec<&str> = command.iter().map(|word| word.as_str()).collect();
        let done = match self.runtime.exec(id, &command, timeout_ms).await {
            Ok(done) => done,
            Err(RuntimeError::TimedOut) => return Err(ProbeFailure::TimedOut),
            Err(error) => return Err(ProbeFailure::Runtime(error)),
        };
        if done.code == 0 {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&done.output);
        let line = output
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty());
        let line = line
            .unwrap_or_default()
            .chars()
            .take(OUTPUT_CHARS_MAX)
            .collect();
        Err(ProbeFailure::Exit(done.code, line))
    }

    /// Probes until the service is healthy; never ends if it does not become so.
    pub(crate) async fn until_healthy(&self, service: &ResolvedService, id: &ContainerId) -> bool {
        let Some(check) = &service.service.health else {
            return true;
        };
        let mut health = Health::new(check, self.host.now_ms());
        health.started(self.host.now_ms());
        loop {
            let passed = self.probe(&service.service, check, id).await.is_ok();
            health.probed(passed, self.host.now_ms());
            match health.healthy() {
                Some(true) => return true,
                Some(false) => return false,
                None => self.host.sleep(health.wait_ms(self.host.now_ms())).await,
            }
        }
    }

    /// Where a container's port can be reached from this process.
    async fn address(&self, service: &Service, id: &ContainerId, port: u16) -> Option<SocketAddr> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        match &service.network {
            NetworkMode::Host => Some(SocketAddr::new(loopback, port)),
            NetworkMode::Bridge(_) if self.rootless.get() => {
                // Addresses on bridges are in a namespace of their own there.
                let published = service.ports.iter();
                let published =
                    published.filter(|p| p.container == port && p.protocol == Protocol::Tcp);
                let published = published.map(|p| {
                    let ip = p.host_ip.as_ref().and_then(|ip| ip.parse().ok());
                    let ip = ip.filter(|ip: &IpAddr| !ip.is_unspecified());
                    SocketAddr::new(ip.unwrap_or(loopback), p.host)
                });
                published.into_iter().next()
            }
            NetworkMode::Bridge(_) => {
                let container = self.runtime.inspect(&id.0).await.ok()??;
                let ip = container.addresses.first()?;
                Some(SocketAddr::new(*ip, port))
            }
            _ => None,
        }
    }
}

/// The status code of the answer to a `GET` (RFC 9112, section 4).
async fn get(address: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: coracle\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut limited = stream.take(STATUS_LINE_BYTES_MAX as u64);
    limited.read_to_end(&mut answer).await?;
    status_code(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn status_code(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b" ").filter(|_| minor.is_ascii_digit())?;
    let digits = std::str::from_utf8(rest.get(..3)?).ok()?;
    let ends = rest.get(3).is_none_or(|byte| matches!(byte, b' ' | b'\r'));
    digits.parse().ok().filter(|_| ends)
}

#[cfg(test)]
mod tests {
    use super::status_code;

    #[test]
    fn only_status_lines_are_read() {
        for (answer, code) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Some(200)),
            (b"HTTP/1.0 404 Not Found\r\n", Some(404)),
            (b"HTTP/1.1 204", Some(204)),
            (b"HTTP/1.1 204\r\n", Some(204)),
            (b"HTTP/2 200", None),
            (b"HTTP/1.1 2000", None),
            (b"HTTP/1.1 2x0 OK", None),
            (b"HTTP/1.", None),
            (b"SSH-2.0-OpenSSH", None),
            (b"", None),
        ] {
            assert_eq!(status_code(answer), code, "{answer:?}");
        }
    }
}
