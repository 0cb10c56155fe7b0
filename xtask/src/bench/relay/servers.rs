//! The servers: the relay, and nginx with the same certificate. Each ends when it is dropped.
//!
//! Never uses the machine's own nginx configuration, and never another port than a free one on
//! loopback.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Background, wait_until};

use super::client::Target;
use crate::shell;

const START_DEADLINE: Duration = Duration::from_secs(30);
/// As many as the machine of the goals has cores.
const NGINX_WORKERS: usize = 2;

/// A relay that serves.
pub(super) struct Relay {
    folder: PathBuf,
    connections_max: usize,
    address: SocketAddr,
    process: Background,
}

impl Relay {
    /// Starts one on fresh data in `folder`, which holds the certificate.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub(super) fn start(program: &Path, folder: &Path, devices: usize) -> Result<Self> {
        let connections_max = devices + 1_000;
        let (address, process) = serve(program, folder, connections_max)?;
        Ok(Self {
            folder: folder.to_owned(),
            connections_max,
            address,
            process,
        })
    }

    /// Ends it, and starts it again on the same data.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub(super) fn restart(&mut self, program: &Path) -> Result<()> {
        let code = self.process.stop()?;
        ensure!(code == 0, "the relay ended with exit code {code}");
        (self.address, self.process) = serve(program, &self.folder, self.connections_max)?;
        Ok(())
    }

    /// Its process id.
    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The file with the first operator's token.
    pub(super) fn token_file(&self) -> PathBuf {
        self.folder.join("admin-token")
    }

    /// Where to ask it.
    pub(super) fn target(&self) -> Target {
        Target {
            address: self.address,
            ca: self.folder.join("ca.pem"),
            pids: vec![self.process.id()],
        }
    }
}

fn serve(
    program: &Path,
    folder: &Path,
    connections_max: usize,
) -> Result<(SocketAddr, Background)> {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--long-poll", "55"]);
    command.args(["--connections-max", &connections_max.to_string()]);
    command.arg("--data").arg(folder.join("data"));
    command.arg("--tls-cert").arg(folder.join("cert.pem"));
    command.arg("--tls-key").arg(folder.join("key.pem"));
    command
        .arg("--admin-token-file")
        .arg(folder.join("admin-token"));
    let log = folder.join("relay.log");
    // What an earlier process wrote must not be taken for this one's.
    let before = fs::read(&log).map_or(0, |bytes| bytes.len());
    let mut process = Background::start("the relay", &mut command, &log)?;
    let address = process.wait_ready(START_DEADLINE, |output| {
        let (_, rest) = output.get(before..)?.split_once("listens on https://")?;
        rest.split_once(char::is_whitespace)?.0.parse().ok()
    })?;
    Ok((address, process))
}

/// An nginx that answers everything with the same few bytes.
pub(super) struct Nginx {
    folder: PathBuf,
    program: PathBuf,
    address: SocketAddr,
    process: Background,
}

impl Nginx {
    /// Starts one, with the certificate in `folder`.
    ///
    /// # Errors
    /// When it is not installed, or does not listen in time.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let program = program()?;
        // nginx cannot say which port it was given: one that was free a moment ago will do.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(folder, address))?;
        let mut command = Command::new(&program);
        command.arg("-p").arg(folder).arg("-c").arg(&config);
        command.arg("-e").arg(folder.join("nginx-error.log"));
        let process = Background::start("nginx", &mut command, &folder.join("nginx.log"))?;
        let mut nginx = Self {
            folder: folder.to_owned(),
            program,
            address,
            process,
        };
        wait_until("nginx to listen", START_DEADLINE, || {
            if let Some(code) = nginx.process.ended()? {
                anyhow::bail!("nginx ended with {code}:\n{}", nginx.process.output());
            }
            let is_up = nginx.workers()?.len() == NGINX_WORKERS;
            Ok((is_up && TcpStream::connect(address).is_ok()).then_some(()))
        })?;
        Ok(nginx)
    }

    /// `1.22.1`, say.
    ///
    /// # Errors
    /// When it does not tell.
    pub(super) fn version(&self) -> Result<String> {
        let output = Command::new(&self.program).arg("-v").output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let (_, version) = text.trim().split_once('/').context("nginx -v")?;
        Ok(version.to_owned())
    }

    /// Where to ask it.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn target(&self) -> Result<Target> {
        let mut pids = self.workers()?;
        pids.push(self.process.id());
        Ok(Target {
            address: self.address,
            ca: self.folder.join("ca.pem"),
            pids,
        })
    }

    fn workers(&self) -> Result<Vec<u32>> {
        let id = self.process.id();
        let path = format!("/proc/{id}/task/{id}/children");
        let children = fs::read_to_string(&path).context(path)?;
        let ids = children.split_whitespace().map(str::parse);
        Ok(ids.collect::<Result<_, _>>()?)
    }
}

fn program() -> Result<PathBuf> {
    if shell::is_installed("nginx") {
        return Ok("nginx".into());
    }
    let path = PathBuf::from("/usr/sbin/nginx");
    ensure!(path.is_file(), "nginx is not installed");
    Ok(path)
}

/// Two workers, TLS 1.3 with the relay's certificate, a constant from memory, no log of requests.
fn configuration(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes {NGINX_WORKERS};
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 1000000000;
    server {{
        listen {address} ssl reuseport backlog=1024;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.3;
        location / {{ return 200 \"ok\\n\"; }}
    }}
}}
"
    )
}
