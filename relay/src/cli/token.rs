//! `relay token`

mod recover;

use std::fmt;
use std::str::FromStr;

use bundle::Label;
use relay_api::operator::{EnrollToken, NewEnrollToken, NewToken, Token};
use reqwest::Method;
use serde::Serialize;

use super::failure::Failure;
use super::remote::{ENVIRONMENT, Remote, labels};
use super::screen::{Look, Screen};
use super::table::{Column, cut, table, whole};
use super::time;
use crate::client::Client;

/// Makes, lists and revokes tokens: for devices to enrol with, and for operators
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENVIRONMENT)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Enroll(Enroll),
    Create(Create),
    /// Lists all tokens: those for devices as enroll/N, those of operators as operator/N
    List,
    Revoke(Revoke),
    Recover(recover::Recover),
}

/// Makes a token that enrols one device, and prints it
///
/// The token alone goes to standard output, and is shown this once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay token enroll --label site=harbour --label role=kiosk --ttl 1h
  T=$(relay token enroll --label site=harbour)
  agent enroll https://relay.example.com --token \"$T\"        (on the device)")]
struct Enroll {
    /// A label of the device that uses it; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(Label, Label)>,

    /// How long it can be used: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time::duration)]
    ttl: u64,
}

/// Makes a token for an operator or a script, and prints it
///
/// The token alone goes to standard output, and is shown this once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay token create ci --ttl 90d > ci.token")]
struct Create {
    /// Who will use it; the audit says so
    #[arg(value_name = "NAME")]
    name: String,

    /// How long it can be used: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = time::duration)]
    ttl: u64,
}

/// Ends a token at once
///
/// A device that has enrolled with it stays: `relay devices remove` ends that.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay token revoke enroll/3
  relay token revoke operator/2")]
struct Revoke {
    /// Its id, as `relay token list` shows it
    #[arg(value_name = "ID")]
    id: TokenId,
}

/// `NAME=VALUE`
pub(super) fn label(text: &str) -> Result<(Label, Label), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected NAME=VALUE, such as site=harbour")?;
    let part = |part: &str| part.parse::<Label>().map_err(|error| error.to_string());
    Ok((part(name)?, part(value)?))
}

/// Which token: the two kinds are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenId {
    Enroll(u64),
    Operator(u64),
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enroll(id) => write!(f, "enroll/{id}"),
            Self::Operator(id) => write!(f, "operator/{id}"),
        }
    }
}

impl FromStr for TokenId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |id: &str| id.parse().ok();
        match text.split_once('/') {
            Some(("enroll", id)) => number(id).map(Self::Enroll),
            Some(("operator", id)) => number(id).map(Self::Operator),
            _ => None,
        }
        .ok_or_else(|| {
            "expected enroll/N or operator/N, as `relay token list` shows it".to_string()
        })
    }
}

/// All tokens.
#[derive(Serialize)]
struct Tokens {
    enroll: Vec<EnrollToken>,
    operator: Vec<Token>,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let remote = self.remote;
        match self.command {
            Command::Enroll(args) => args.run(&remote),
            Command::Create(args) => args.run(&remote),
            Command::List => list(&remote),
            Command::Revoke(args) => {
                let (client, screen) = remote.open()?;
                revoke(&client, args.id)?;
                screen.note(&format!("Revoked {}.", args.id));
                Ok(())
            }
            Command::Recover(args) => args.run(&remote.screen()),
        }
    }
}

impl Enroll {
    fn run(self, remote: &Remote) -> Result<(), Failure> {
        let (client, screen) = remote.open()?;
        let labels = self.labels.into_iter();
        let new = NewEnrollToken {
            labels: labels
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            ttl_s: self.ttl,
        };
        let made: EnrollToken = client.send(Method::POST, &["enroll-tokens"], &new)?;
        let secret = made.token.clone().unwrap_or_default();
        screen.show(&made, |_| format!("{secret}\n"))?;
        // Whoever captures the token does not find it in a log of standard error.
        let shown = if screen.terminal() && !screen.json() {
            secret
        } else {
            "TOKEN".to_string()
        };
        let ca = match (remote.authority_file(), client.has_authority()) {
            (Some(path), _) => format!(" --relay-ca {}", path.display()),
            (None, true) => " --relay-ca CA.pem".to_string(),
            (None, false) => String::new(),
        };
        screen.note(&format!(
            "enroll/{}: good for one device, until {}. On the device:\n  agent enroll {} --token {shown}{ca}",
            made.id,
            made.expires_at,
            client.url()
        ));
        Ok(())
    }
}

impl Create {
    fn run(self, remote: &Remote) -> Result<(), Failure> {
        let (client, screen) = remote.open()?;
        let new = NewToken {
            name: self.name,
            ttl_s: self.ttl,
        };
        let made: Token = client.send(Method::POST, &["tokens"], &new)?;
        show(&screen, &made, client.url())
    }
}

/// An operator's token that was made: alone on standard output, and beside it what to do with it.
fn show(screen: &Screen, made: &Token, url: impl fmt::Display) -> Result<(), Failure> {
    screen.show(made, |_| {
        format!("{}\n", made.token.as_deref().unwrap_or_default())
    })?;
    screen.note(&format!(
        "operator/{}: {} can use it until {} with `relay login {url}`.",
        made.id,
        relay_api::escape::text(&made.name),
        made.expires_at,
    ));
    Ok(())
}

fn list(remote: &Remote) -> Result<(), Failure> {
    let (client, screen) = remote.open()?;
    let tokens = Tokens {
        enroll: client.get(&["enroll-tokens"], &[])?,
        operator: client.get(&["tokens"], &[])?,
    };
    screen.show(&tokens, |look| text(&tokens, look))
}

fn revoke(client: &Client, id: TokenId) -> Result<(), Failure> {
    let (kind, id) = match id {
        TokenId::Enroll(id) => ("enroll-tokens", id),
        TokenId::Operator(id) => ("tokens", id),
    };
    Ok(client.delete(&[kind, &id.to_string()])?)
}

const COLUMNS: [Column; 6] = [
    whole("ID"),
    whole("STATE"),
    whole("EXPIRES"),
    whole("MADE"),
    cut("FOR"),
    cut("USED BY"),
];

fn text(tokens: &Tokens, look: &Look) -> String {
    let operators = tokens.operator.iter().map(|token| {
        vec![
            TokenId::Operator(token.id).to_string(),
            token.state.clone(),
            look.time(&token.expires_at),
            look.time(&token.created_at),
            token.name.clone(),
            String::new(),
        ]
    });
    let enroll = tokens.enroll.iter().map(|token| {
        vec![
            TokenId::Enroll(token.id).to_string(),
            token.state.clone(),
            look.time(&token.expires_at),
            look.time(&token.created_at),
            labels(&token.labels),
            token.device.clone().unwrap_or_default(),
        ]
    });
    let rows: Vec<Vec<String>> = operators.chain(enroll).collect();
    if rows.is_empty() {
        return "No tokens.\n".to_string();
    }
    table("", &COLUMNS, &rows, look.width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_kinds_of_tokens_are_told_apart() {
        for text in ["enroll/3", "operator/2"] {
            assert_eq!(text.parse::<TokenId>().unwrap().to_string(), text);
        }
        for text in [
            "3",
            "enroll",
            "enroll/",
            "enroll/x",
            "device/3",
            "enroll/-1",
            "",
        ] {
            assert!(text.parse::<TokenId>().is_err(), "{text}");
        }
    }

    #[test]
    fn labels_are_checked_before_they_are_sent() {
        assert!(label("site=harbour").is_ok());
        for text in ["site", "=x", "site=", "a b=c", "a=b=c", "a=\x1b[m"] {
            assert!(label(text).is_err(), "{text:?}");
        }
    }
}
