//! `relay login`, `relay logout` and `relay whoami`

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use relay_api::operator::Whoami;

use super::failure::Failure;
use super::remote::{Remote, environment};
use super::screen::{Output, Screen};
use super::table::facts;
use crate::client::{self, Access, Client, RelayUrl, Stored};

/// Longest line that is taken for a token.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

/// Stores a relay's address, CA and token for the commands that follow
///
/// The token is asked for, or read from standard input if that is no terminal. Relay and token are
/// tried first; nothing is stored unless they work. They are kept in
/// $XDG_CONFIG_HOME/coracle/relay.toml (~/.config/coracle/relay.toml), which only you can read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay login https://relay.example.com
  relay login https://127.0.0.1:8443 --ca ca/ca.pem --token-file admin.token
  printf %s \"$TOKEN\" | relay login https://relay.example.com")]
pub(crate) struct Login {
    /// The relay's address
    #[arg(value_name = "URL", value_parser = url)]
    url: RelayUrl,

    /// The CA of the relay's certificate, in PEM, which is copied; without one, those that the
    /// system trusts
    #[arg(long, value_name = "FILE", env = "CORACLE_RELAY_CA")]
    ca: Option<PathBuf>,

    /// A file with the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    output: Output,
}

fn url(text: &str) -> Result<RelayUrl, String> {
    text.parse()
        .map_err(|error: client::UrlError| error.to_string())
}

impl Login {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let screen = Screen::new(self.output);
        let place = client::place(&environment)?;
        let ca = self.ca.filter(|path| !path.as_os_str().is_empty());
        let authority = ca.as_deref().map(client::authority_file).transpose()?;
        let token = match &self.token_file {
            Some(path) => client::token_file(path)?,
            None => client::token(&ask(&self.url)?)?,
        };
        let access = Access {
            url: self.url,
            authority,
            token,
        };
        let client = Client::new(&access)?;
        let who: Whoami = client.get(&["whoami"], &[])?;
        Stored {
            url: access.url.to_string(),
            token: access.token,
            ca: access.authority,
        }
        .save(&place)?;
        show(&screen, &client, &who)?;
        screen.note(&format!("Logged in; stored in {}.", place.display()));
        Ok(())
    }
}

fn ask(url: &RelayUrl) -> io::Result<String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("Token for {url}: "));
    }
    let mut line = String::new();
    io::Read::take(io::stdin().lock(), TOKEN_BYTES_MAX).read_line(&mut line)?;
    Ok(line)
}

/// Forgets what `relay login` stored
///
/// The token stays good at the relay until it expires: `relay token revoke` ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Logout {
    #[command(flatten)]
    output: Output,
}

impl Logout {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let place = client::place(&environment)?;
        Screen::new(self.output).note(if Stored::forget(&place)? {
            "Logged out. The token stays good until it expires or is revoked."
        } else {
            "Nobody was logged in."
        });
        Ok(())
    }
}

/// Shows who the relay takes you for
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::remote::ENVIRONMENT)]
pub(crate) struct WhoAmI {
    #[command(flatten)]
    remote: Remote,
}

impl WhoAmI {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (client, screen) = self.remote.open()?;
        let who: Whoami = client.get(&["whoami"], &[])?;
        show(&screen, &client, &who)
    }
}

fn show(screen: &Screen, client: &Client, who: &Whoami) -> Result<(), Failure> {
    screen.show(who, |look| {
        facts(
            "",
            &[
                ("name", who.name.clone()),
                ("relay", format!("{} (version {})", client.url(), who.relay)),
                ("token expires", look.moment(&who.expires_at)),
            ],
        )
    })
}
