//! A real image registry on loopback, with a password.
//!
//! Never listens on anything but loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Sandbox;
use crate::process::{Background, run};

const START_DEADLINE: Duration = Duration::from_secs(30);
const USER: &str = "coracle";
const PASSWORD: &str = "loopback";
/// bcrypt of [`PASSWORD`] with the least cost.
const HTPASSWD: &str = "coracle:$2b$06$coracleCoracleCoracle.vCNjBQnP111tOxkrTqWfBxSN7YyuSXCwc\n";
/// Base64 of `coracle:loopback`.
const BASIC: &str = "Y29yYWNsZTpsb29wYmFjaw==";

/// Debian's `docker-registry` on an ephemeral port; ended when dropped.
pub struct LoopbackRegistry {
    sandbox: Sandbox,
    folder: PathBuf,
    port: u16,
    _process: Background,
}

impl LoopbackRegistry {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When docker-registry is missing or does not start.
    pub fn start(sandbox: &Sandbox) -> Result<Self> {
        let folder = sandbox.folder("registry")?;
        fs::write(folder.join("htpasswd"), HTPASSWD)?;
        let quoted = |name: &str| format!("{:?}", folder.join(name).display().to_string());
        fs::write(
            folder.join("config.yml"),
            format!(
                "version: 0.1\n\
                 log: {{level: info}}\n\
                 storage: {{filesystem: {{rootdirectory: {}}}}}\n\
                 http: {{addr: \"127.0.0.1:0\"}}\n\
                 auth: {{htpasswd: {{realm: coracle, path: {}}}}}\n",
                quoted("data"),
                quoted("htpasswd"),
            ),
        )?;
        let mut command = sandbox.command("docker-registry")?;
        command.arg("serve").arg(folder.join("config.yml"));
        let mut process =
            Background::start("the registry", &mut command, &folder.join("registry.log"))?;
        let port = process.wait_ready(START_DEADLINE, |output| {
            let (_, rest) = output.split_once("listening on 127.0.0.1:")?;
            let digits = rest.find(|next: char| !next.is_ascii_digit())?;
            rest[..digits].parse().ok()
        })?;
        let registry = Self {
            sandbox: sandbox.clone(),
            folder,
            port,
            _process: process,
        };
        let auth = format!(
            "{{\"auths\": {{{:?}: {{\"auth\": {BASIC:?}}}}}}}",
            registry.address()
        );
        fs::write(registry.auth_file(), auth)?;
        Ok(registry)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User and password.
    #[must_use]
    pub fn credentials(&self) -> (&'static str, &'static str) {
        (USER, PASSWORD)
    }

    /// A file with the credentials in the form of docker's `config.json`.
    #[must_use]
    pub fn auth_file(&self) -> PathBuf {
        self.folder.join("auth.json")
    }

    /// Pushes an OCI archive with skopeo; returns the reference by digest:
    /// `127.0.0.1:PORT/NAME@sha256:…`.
    ///
    /// # Errors
    /// When skopeo is missing or fails.
    pub fn push(&self, archive: &Path, name: &str) -> Result<String> {
        let mut skopeo = self.sandbox.command("skopeo")?;
        skopeo
            .args(["--insecure-policy", "copy", "--quiet", "--preserve-digests"])
            .args(["--dest-tls-verify=false", "--authfile"])
            .arg(self.auth_file())
            .arg(format!("oci-archive:{}", archive.display()))
            .arg(format!("docker://{}/{name}:latest", self.address()));
        run(&mut skopeo)?
            .ok()
            .context("pushing to the loopback registry")?;
        let digest = test_images::info(archive)?.manifest_digest;
        Ok(format!("{}/{name}@{digest}", self.address()))
    }
}
