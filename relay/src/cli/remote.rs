//! What every command has in common that talks to a relay: which one, who asks, how to print.

use std::path::PathBuf;

use super::failure::Failure;
use super::screen::{Output, Screen};
use crate::client::{self, Client, ClientError, Stored, Wishes};

/// The end of each such command's long help.
pub(crate) const ENVIRONMENT: &str = "\
Relay, CA and token come from the flags, else from CORACLE_RELAY_URL, CORACLE_RELAY_CA and
CORACLE_TOKEN (or CORACLE_TOKEN_FILE), else from what `relay login` stored.";

/// The relay, and how results are printed
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Remote {
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Relay",
        help = "The relay's address, such as https://relay.example.com"
    )]
    relay: Option<String>,

    /// The CA of the relay's certificate, in PEM; without one, those that the system trusts
    #[arg(long, global = true, value_name = "FILE", help_heading = "Relay")]
    ca: Option<PathBuf>,

    /// A file with a token; there is no flag for the token, which other users could read
    #[arg(long, global = true, value_name = "FILE", help_heading = "Relay")]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    output: Output,
}

impl Remote {
    /// A client for the relay that flags, environment or login name.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let wishes = Wishes {
            relay: self.relay.clone(),
            ca: self.ca.clone(),
            token_file: self.token_file.clone(),
        };
        let stored = match client::place(&environment) {
            Ok(path) => Stored::load(&path)?,
            Err(ClientError::NoHome) => None,
            Err(error) => return Err(error.into()),
        };
        let access = client::resolve(&wishes, &environment, stored)?;
        Ok(Client::new(&access)?)
    }

    /// Where the command prints.
    pub(crate) fn screen(&self) -> Screen {
        Screen::new(self.output)
    }

    /// Both.
    pub(crate) fn open(&self) -> Result<(Client, Screen), Failure> {
        Ok((self.client()?, self.screen()))
    }

    /// The CA file that was named for this command, to name it to others.
    pub(crate) fn authority_file(&self) -> Option<PathBuf> {
        let variable = environment(client::CA_VARIABLE).filter(|value| !value.is_empty());
        self.ca.clone().or(variable.map(PathBuf::from))
    }
}

/// This process's environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Labels as people write them: `role=kiosk site=harbour`.
pub(crate) fn labels(labels: &relay_api::operator::Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join(" ")
}
