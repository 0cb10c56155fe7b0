//! `relay publish`

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::Refused;
use relay_api::operator::Published;

use super::failure::Failure;
use super::releases::target;
use super::remote::{ENVIRONMENT, Remote};
use super::screen::{Look, Screen};
use super::table::facts;
use super::{bundle as bundles, render};
use crate::client::Client;
use crate::pack::Progress;
use crate::unverified::{self, Unverified};

/// Publishes bundles, so that rollouts can bring them to devices
///
/// Bundles of one app and version are one release: one for each architecture. Publishing changes
/// nothing on devices; `relay rollout start` does. A bundle that the relay has already is no error.
/// With -o json, prints an array with an element for each bundle.
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  relay publish kiosk-1.4.2-arm64.bin kiosk-1.4.2-armv7.bin
  relay rollout start kiosk@1.4.2 --to site=harbour

{ENVIRONMENT}"))]
pub(crate) struct Args {
    /// The bundles
    #[arg(value_name = "BUNDLE", required = true)]
    bundles: Vec<PathBuf>,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // Each is looked at before any is sent.
        let whole: Vec<Whole> = self
            .bundles
            .iter()
            .map(|path| Whole::open(path))
            .collect::<Result<_, _>>()?;
        let (client, screen) = self.remote.open()?;
        let mut published = Vec::new();
        for (at, bundle) in whole.into_iter().enumerate() {
            let done = bundle.publish(&client, &screen)?;
            if !screen.json() {
                let gap = if at == 0 { "" } else { "\n" };
                screen.show(&done, |look| format!("{gap}{}", text(&done, look)))?;
            }
            published.push(done);
        }
        if screen.json() {
            screen.show(&published, |_| String::new())?;
        }
        let mut releases: Vec<String> = published
            .iter()
            .map(|Published { bundle, .. }| format!("{}@{}", bundle.app, bundle.version))
            .collect();
        releases.dedup();
        for release in releases {
            screen.note(&format!(
                "Bring it to devices with `relay rollout start {release} --to SELECTOR`."
            ));
        }
        Ok(())
    }
}

fn text(published: &Published, look: &Look) -> String {
    let bundle = &published.bundle;
    let verb = if published.new {
        "published"
    } else {
        "there already"
    };
    facts(
        "",
        &[
            (
                verb,
                format!("{}@{} (seq {})", bundle.app, bundle.version, bundle.seq),
            ),
            ("for", format!("{}, {}", bundle.arch, target(bundle))),
            ("digest", bundle.digest.clone()),
            ("size", render::bytes(bundle.bytes)),
            ("signed by", bundle.keys.join(", ")),
            ("at", look.moment(&bundle.published_at)),
        ],
    )
}

/// A bundle file that is all there, to look at.
pub(super) struct Whole {
    path: PathBuf,
    file: File,
    bytes: u64,
    claimed: Unverified,
}

impl Whole {
    /// Opens a bundle and sees to it that it is worth sending: whole, and signed by somebody. Its
    /// digests are checked by the relay, and its signatures by devices.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let (file, head) = bundles::open(path)?;
        let claimed = unverified::read(&head).map_err(Failure::refused(path))?;
        if claimed.keys.is_empty() {
            return Err(Failure::new(format_args!(
                "{}: nobody has signed it, so every device refuses it",
                path.display()
            ))
            .hint("sign the draft: `relay bundle join --help` says how"));
        }
        let ends = claimed.manifest.blobs.iter().map(|blob| {
            let end = blob.offset.checked_add(blob.stored_bytes);
            end.and_then(|end| end.checked_add(head.len() as u64))
        });
        let expected = ends.max().unwrap_or(Some(head.len() as u64));
        let expected = expected
            .ok_or(Refused::Manifest)
            .map_err(Failure::refused(path))?;
        let found = file.metadata().map_err(Failure::io(path))?.len();
        if found != expected {
            return Err(Failure::refused(path)(Refused::FileLength {
                expected,
                found,
            }));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            bytes: found,
            claimed,
        })
    }

    /// The app and version that it says it is.
    pub(super) fn release(&self) -> (String, String) {
        let manifest = &self.claimed.manifest;
        (manifest.app.to_string(), manifest.version.to_string())
    }

    /// Sends it, with a bar where somebody looks.
    pub(super) fn publish(
        mut self,
        client: &Client,
        screen: &Screen,
    ) -> Result<Published, Failure> {
        let path = self.path.display().to_string();
        io::Seek::rewind(&mut self.file).map_err(Failure::io(&self.path))?;
        let progress = Arc::new(Progress::new(screen.quiet()));
        progress.step(&format!("publishing {path}"), self.bytes);
        let bar = Arc::clone(&progress);
        let published = client.publish(self.file, self.bytes, move |sent| bar.set(sent));
        progress.clear();
        Ok(published?)
    }
}
