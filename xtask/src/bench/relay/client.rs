//! The client that loads the servers: the crate `tests/bench`, built as release, asked for one
//! thing at a time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::shell;

const PACKAGE: &str = "relay-bench";

/// A server to load.
pub(super) struct Target {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// The CA of its certificate.
    pub(super) ca: PathBuf,
    /// All its processes.
    pub(super) pids: Vec<u32>,
}

/// What the client measured of a load.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Measured {
    /// Requests, or handshakes.
    pub(super) count: u64,
    /// Seconds that they took.
    pub(super) seconds: f64,
    /// CPU seconds of the server that they took.
    pub(super) cpu_seconds: f64,
}

/// What the client measured of waiting devices.
#[derive(Debug, Deserialize)]
pub(super) struct Waited {
    /// How many waited.
    pub(super) devices: u64,
    /// The server's RSS before the first one.
    pub(super) rss_bytes_before: u64,
    /// Its RSS while all of them waited.
    pub(super) rss_bytes_during: u64,
}

/// The client.
pub(super) struct Client {
    program: PathBuf,
}

impl Client {
    /// Builds it.
    ///
    /// # Errors
    /// When it does not build.
    pub(super) fn build() -> Result<Self> {
        shell::run(shell::cargo().args(["build", "--quiet", "--release", "--package", PACKAGE]))?;
        Ok(Self {
            program: shell::target_dir().join("release").join(PACKAGE),
        })
    }

    /// Makes `ca.pem`, `cert.pem` and `key.pem` in a folder.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn certificate(&self, folder: &Path) -> Result<()> {
        let mut command = Command::new(&self.program);
        shell::capture(command.arg("certificate").arg(folder)).map(drop)
    }

    /// Enrols devices, with an operator's token.
    ///
    /// # Errors
    /// When the relay refuses.
    pub(super) fn enroll(&self, relay: &Target, token: &Path, devices: usize) -> Result<()> {
        let mut command = self.command(&["enroll", "--devices", &devices.to_string()], relay);
        shell::capture(command.arg("--token-file").arg(token)).map(drop)
    }

    /// Runs one of its commands against a server.
    ///
    /// # Errors
    /// When a request is refused or goes wrong.
    pub(super) fn ask<T: DeserializeOwned>(&self, words: &[&str], target: &Target) -> Result<T> {
        let line = shell::capture(&mut self.command(words, target))?;
        serde_json::from_str(&line).with_context(|| format!("{PACKAGE} printed {line:?}"))
    }

    fn command(&self, words: &[&str], target: &Target) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--ca").arg(&target.ca);
        command.args(["--address", &target.address.to_string()]);
        for pid in &target.pids {
            command.args(["--pid", &pid.to_string()]);
        }
        command
    }
}
