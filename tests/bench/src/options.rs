//! The command line as values, each within its bounds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Most devices: a loopback address has not many more ports to call from.
const DEVICES_MAX: usize = 25_000;
/// Most connections that are busy at once.
const CONNECTIONS_MAX: usize = 4_096;
/// Longest that anything is measured, in seconds.
const SECONDS_MAX: u64 = 120;

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    words: Vec<String>,
    address: Option<SocketAddr>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    /// The server's processes.
    pub(crate) pids: Vec<u32>,
    /// How many devices there are.
    pub(crate) devices: usize,
    /// How many connections are busy at once.
    pub(crate) connections: usize,
    /// How long it is measured.
    pub(crate) duration: Duration,
}

impl Options {
    /// Reads them.
    ///
    /// # Errors
    /// Names what is wrong.
    pub(crate) fn parse(mut args: lexopt::Parser) -> Result<Self> {
        let mut options = Self {
            words: Vec::new(),
            address: None,
            ca: None,
            token_file: None,
            pids: Vec::new(),
            devices: 64,
            connections: 64,
            duration: Duration::from_secs(3),
        };
        while let Some(arg) = args.next()? {
            let lexopt::Arg::Long(name) = arg else {
                match arg {
                    lexopt::Arg::Value(word) => {
                        options.words.push(word.to_string_lossy().into_owned());
                    }
                    other => return Err(other.unexpected().into()),
                }
                continue;
            };
            let name = name.to_owned();
            let value = args.value()?.to_string_lossy().into_owned();
            let is_no = || format!("--{name} {value}");
            match name.as_str() {
                "address" => options.address = Some(value.parse().with_context(is_no)?),
                "ca" => options.ca = Some(value.into()),
                "token-file" => options.token_file = Some(value.into()),
                "pid" => options.pids.push(value.parse().with_context(is_no)?),
                "devices" => options.devices = value.parse().with_context(is_no)?,
                "connections" => options.connections = value.parse().with_context(is_no)?,
                "seconds" => {
                    let seconds: u64 = value.parse().with_context(is_no)?;
                    ensure!(
                        (1..=SECONDS_MAX).contains(&seconds),
                        "--seconds: 1 to {SECONDS_MAX}"
                    );
                    options.duration = Duration::from_secs(seconds);
                }
                _ => bail!("there is no option --{name}"),
            }
        }
        let (devices, connections) = (options.devices, options.connections);
        ensure!(
            (1..=DEVICES_MAX).contains(&devices),
            "--devices: 1 to {DEVICES_MAX}"
        );
        ensure!(
            (1..=CONNECTIONS_MAX).contains(&connections),
            "--connections: 1 to {CONNECTIONS_MAX}"
        );
        let is_loopback = options
            .address
            .is_none_or(|address| address.ip().is_loopback());
        ensure!(is_loopback, "--address: only loopback is ever loaded");
        Ok(options)
    }

    /// The command and its arguments.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// The server.
    ///
    /// # Errors
    /// If it was not given.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.address.context("--address is missing")
    }

    /// The CA of the server's certificate.
    ///
    /// # Errors
    /// If it was not given.
    pub(crate) fn ca(&self) -> Result<PathBuf> {
        self.ca.clone().context("--ca is missing")
    }

    /// An operator's token.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn token(&self) -> Result<String> {
        let path = self
            .token_file
            .as_ref()
            .context("--token-file is missing")?;
        let text = std::fs::read_to_string(path);
        Ok(text
            .with_context(|| path.display().to_string())?
            .trim()
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(lexopt::Parser::from_args(args))
    }

    #[test]
    fn only_loopback_is_loaded() {
        let options = parse(&["get", "/", "--address", "127.0.0.1:443"]).unwrap();
        assert_eq!(options.words(), ["get", "/"]);
        let error = parse(&["get", "/", "--address", "192.0.2.1:443"]).unwrap_err();
        assert!(error.to_string().contains("only loopback"), "{error}");
    }

    #[test]
    fn load_is_bounded() {
        for (name, value) in [
            ("--seconds", "0"),
            ("--seconds", "121"),
            ("--devices", "0"),
            ("--devices", "25001"),
            ("--connections", "4097"),
            ("--connections", "many"),
            ("--colour", "blue"),
        ] {
            assert!(parse(&["check-in", name, value]).is_err(), "{name} {value}");
        }
    }
}
