//! `relay bundle verify`

use std::fs;
use std::path::PathBuf;

use bundle::{Depth, TrustStore};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::render;
use crate::pack::Progress;

/// Checks signature, rules and every digest of a bundle, as a device does
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay bundle verify --pub release.pub kiosk-1.4.2.bin
  relay bundle verify --keys /etc/coracle/keys kiosk-1.4.2.bin")]
pub(crate) struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,

    /// A public key that is trusted; may be repeated
    #[arg(long = "pub", value_name = "FILE", required_unless_present = "keys")]
    public: Vec<PathBuf>,

    /// A folder of public keys, as on a device
    #[arg(long, value_name = "DIR", conflicts_with = "public")]
    keys: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Serialize)]
struct Verified {
    app: String,
    version: String,
    seq: u64,
    digest: String,
    bytes: u64,
    signed_by: Vec<String>,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let trust = match &self.keys {
            Some(folder) => TrustStore::load(folder),
            None => {
                let mut texts = Vec::new();
                for path in &self.public {
                    texts.push((None, fs::read_to_string(path).map_err(Failure::io(path))?));
                }
                TrustStore::from_keys(texts)
            }
        };
        let (file, head) = super::open(&self.bundle)?;
        let refused = Failure::refused(&self.bundle);
        let verified = bundle::verify(head, &trust.map_err(Failure::new)?).map_err(&refused)?;
        let progress = Progress::new(self.quiet);
        progress.step("checking every digest", verified.file_bytes());
        bundle::verify_payload(&verified, &file, Depth::Plain, &mut |done| {
            progress.set(done);
        })
        .map_err(&refused)?;
        drop(progress);
        let manifest = verified.manifest();
        let shown = Verified {
            app: manifest.app.to_string(),
            version: manifest.version.to_string(),
            seq: manifest.seq,
            digest: verified.digest().to_string(),
            bytes: verified.file_bytes(),
            signed_by: verified.signers().iter().map(ToString::to_string).collect(),
        };
        if self.json {
            return render::json(&shown);
        }
        render::table(&[
            ("verified", self.bundle.display().to_string()),
            (
                "app",
                format!("{} {} (seq {})", shown.app, shown.version, shown.seq),
            ),
            ("digest", shown.digest),
            ("size", render::bytes(shown.bytes)),
            ("signed by", shown.signed_by.join(", ")),
        ]);
        Ok(())
    }
}
