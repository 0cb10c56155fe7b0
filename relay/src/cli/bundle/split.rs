//! `relay bundle split`

use std::fs;
use std::path::PathBuf;

use crate::cli::failure::Failure;

/// Writes what stock minisign works on: manifest.bin and manifest.bin.minisig
///
/// Further signatures become manifest.bin.2.minisig and so on. A draft has none.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay bundle split kiosk-1.4.2.bin --dir /tmp/check
  minisign -V -p release.pub -m /tmp/check/manifest.bin")]
pub(crate) struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,

    /// Where to write the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (_, head) = super::open(&self.bundle)?;
        let parts = bundle::build::split(&head).map_err(Failure::refused(&self.bundle))?;
        fs::create_dir_all(&self.dir).map_err(Failure::io(&self.dir))?;
        let mut files = vec![("manifest.bin".to_string(), parts.manifest)];
        for (index, text) in parts.signatures.into_iter().enumerate() {
            let name = match index {
                0 => "manifest.bin.minisig".to_string(),
                _ => format!("manifest.bin.{}.minisig", index + 1),
            };
            files.push((name, text.into_bytes()));
        }
        for (name, content) in files {
            let path = self.dir.join(name);
            fs::write(&path, content).map_err(Failure::io(&path))?;
            println!("{}", path.display());
        }
        Ok(())
    }
}
