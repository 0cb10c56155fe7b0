//! `relay rollout start`

use std::path::PathBuf;

use bundle::{AppName, VersionLabel};
use relay_api::operator::{Rollout, StartRollout};
use reqwest::Method;

use super::{text, watch};
use crate::cli::failure::Failure;
use crate::cli::publish::Whole;
use crate::cli::screen::Screen;
use crate::client::Client;

/// Starts to bring a release to devices
///
/// Each device gets the bundle of the release that fits it: architecture, fleet, class. Devices
/// that none fits are listed, and nothing is started, unless --skip-unfit leaves them out. Devices
/// that are away get it when they come back.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay rollout start kiosk@1.4.2 --to site=harbour
  relay rollout start kiosk-1.4.2.bin --to id=dev-7 --wait     (publishes the file first)
  relay rollout start kiosk@1.4.2 --to all --skip-unfit -o json | jq .id

`relay devices --help` explains selectors; `relay devices -l SELECTOR` shows whom one means.")]
pub(super) struct Start {
    /// A release that was published, or a bundle file to publish first
    #[arg(value_name = "APP@VERSION|FILE")]
    what: String,

    /// The devices
    #[arg(long, value_name = "SELECTOR")]
    to: String,

    /// Leave devices out that the release does not fit
    #[arg(long)]
    skip_unfit: bool,

    /// Stay until it ends: exit code 0 if it succeeded, 1 if not
    #[arg(long)]
    wait: bool,
}

/// What to bring to devices.
pub(super) enum What {
    /// A release that was published.
    Release(String, String),
    /// A bundle to publish first.
    File(Box<Whole>),
}

/// The app and version of `APP@VERSION`; anything else is a file.
fn release(text: &str) -> Option<(AppName, VersionLabel)> {
    let (app, version) = text.split_once('@')?;
    Some((app.parse().ok()?, version.parse().ok()?))
}

impl Start {
    /// What is meant; a file is opened and looked at.
    pub(super) fn what(&self) -> Result<What, Failure> {
        if let Some((app, version)) = release(&self.what) {
            return Ok(What::Release(app.to_string(), version.to_string()));
        }
        let path = PathBuf::from(&self.what);
        if path.symlink_metadata().is_err() {
            return Err(Failure::usage(format_args!(
                "{:?} is neither APP@VERSION nor a file",
                self.what
            ))
            .hint("`relay releases` lists what was published"));
        }
        Ok(What::File(Box::new(Whole::open(&path)?)))
    }

    pub(super) fn run(self, what: What, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let (app, version) = match what {
            What::Release(app, version) => (app, version),
            What::File(bundle) => {
                let (app, version) = bundle.release();
                bundle.publish(client, screen)?;
                screen.note(&format!("Published {app}@{version}."));
                (app, version)
            }
        };
        let start = StartRollout {
            app,
            version,
            to: self.to,
            skip_unfit: self.skip_unfit,
        };
        let rollout: Rollout = client.send(Method::POST, &["rollouts"], &start)?;
        if self.wait {
            screen.note(&format!("Started rollout {}.", rollout.id));
            return watch::until_over(rollout.id, client, screen);
        }
        screen.show(&rollout, |look| text::rollout(&rollout, look))?;
        screen.note(&format!(
            "Follow it with `relay rollout status {} --watch`.",
            rollout.id
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_told_from_a_file() {
        for text in ["kiosk@1.4.2", "a@1.0+b~1"] {
            assert!(release(text).is_some(), "{text}");
        }
        for text in [
            "kiosk-1.bin",
            "./kiosk@1.4.2",
            "kiosk@",
            "@1",
            "a@b/c",
            "Kiosk@1",
        ] {
            assert!(release(text).is_none(), "{text}");
        }
    }
}
