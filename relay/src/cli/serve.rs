//! `relay serve`

use std::path::PathBuf;

use super::failure::Failure;
use crate::serve::{self, Given};

/// Runs the relay: devices ask it what they shall run, operators tell it
///
/// Each setting can also stand in the settings file (relay.toml; `_` for `-`) or in the environment
/// (CORACLE_RELAY_…); flags beat the environment, and both beat the file. The first line on
/// standard output says where the relay listens; logs go to standard error.
///
/// Without TLS settings it speaks plain HTTP, on a loopback address only: for a proxy on the same
/// machine. SIGTERM and SIGINT end it in order; SIGHUP reads the certificate's files again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  Try it out, with a certificate authority of its own; the first start prints an admin token:
    relay serve --data data --listen 127.0.0.1:8443 --dev-ca ca

  With a certificate of yours, for devices that wait for news:
    relay serve --data /var/lib/coracle-relay --listen 0.0.0.0:443 \\
        --tls-cert fullchain.pem --tls-key privkey.pem --long-poll 50

  Behind a proxy, with the bundles on a web server:
    relay serve --config /etc/coracle/relay.toml --bundle-url https://cdn.example.org/bundles")]
pub(crate) struct Args {
    /// The settings file
    #[arg(long, value_name = "FILE", env = "CORACLE_RELAY_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    given: Given,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = match &self.config {
            Some(path) => Given::read(path),
            None => Ok(Given::default()),
        };
        let settings = file.and_then(|file| self.given.or(file).settle());
        let settings = settings.map_err(|error| Failure::usage(&error).hint(error.hint()))?;
        Ok(serve::run(&settings)?)
    }
}
