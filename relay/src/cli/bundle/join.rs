//! `relay bundle join`

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bundle::TrustStore;

use crate::cli::failure::Failure;

/// Puts a signature made elsewhere into a bundle
///
/// The signature is one that minisign made over manifest.bin (see `relay bundle split`), prehashed
/// as is its default. It replaces one by the same key, or is added as another.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay bundle split draft.bin
  minisign -S -s offline.key -m manifest.bin
  relay bundle join draft.bin manifest.bin.minisig --pub offline.pub -o kiosk-1.4.2.bin")]
pub(crate) struct Args {
    /// The bundle, or a draft
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,

    /// The signature: what `minisign -S` wrote
    #[arg(value_name = "MINISIG")]
    signature: PathBuf,

    /// Where to write the signed bundle
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,

    /// Verify the outcome with this public key before anything is written
    #[arg(long = "pub", value_name = "FILE")]
    public: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (mut file, head) = super::open(&self.bundle)?;
        let text = fs::read_to_string(&self.signature).map_err(Failure::io(&self.signature))?;
        let joined = bundle::build::join(&head, &text)
            .map_err(|error| Failure::new(format_args!("{}: {error}", self.signature.display())))?;
        if let Some(path) = &self.public {
            let key = fs::read_to_string(path).map_err(Failure::io(path))?;
            let trust = TrustStore::from_keys(vec![(None, key)]).map_err(Failure::new)?;
            bundle::verify(joined.clone(), &trust).map_err(Failure::refused(&self.signature))?;
        }
        let folder = match self.out.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut out = tempfile::Builder::new()
            .prefix(".relay-join-")
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(Failure::io(folder))?;
        let mut writer = BufWriter::new(out.as_file_mut());
        writer
            .write_all(&joined)
            .and_then(|()| io::copy(&mut file, &mut writer))
            .and_then(|_| writer.flush())
            .map_err(Failure::io(&self.out))?;
        drop(writer);
        out.as_file().sync_all().map_err(Failure::io(&self.out))?;
        out.persist(&self.out)
            .map_err(|error| Failure::io(&self.out)(error.error))?;
        println!("{}", self.out.display());
        Ok(())
    }
}
