//! `relay token recover`
//!
//! The one command about tokens that asks no relay: it works on the data folder.

use std::path::PathBuf;

use super::super::failure::Failure;
use super::super::screen::Screen;
use super::super::time;
use crate::domain::token;
use crate::serve;

/// Makes a token for an operator without one, in the data folder of a relay that does not run
///
/// For a relay whose tokens are lost or have expired: on its machine, as its user, after it was
/// ended. The audit log remembers it. Other tokens stay as they are: revoke those that were lost.
/// The options for reaching a relay mean nothing here.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  systemctl stop coracle-relay
  sudo -u coracle-relay relay token recover --data /var/lib/coracle-relay
  systemctl start coracle-relay")]
pub(super) struct Recover {
    /// The relay's data folder
    #[arg(long, value_name = "DIR", env = "CORACLE_RELAY_DATA")]
    data: PathBuf,

    /// Who will use it; the audit says so
    #[arg(long, value_name = "NAME", default_value = "admin")]
    name: String,

    /// How long it can be used: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = time::duration)]
    ttl: u64,
}

impl Recover {
    pub(super) fn run(self, screen: &Screen) -> Result<(), Failure> {
        let name = token::name(self.name).map_err(Failure::usage)?;
        let made = serve::recover(&self.data, name, self.ttl)?;
        super::show(screen, &made, "URL")
    }
}
