//! `relay bundle`

mod describe;
mod inspect;
mod join;
mod split;
mod verify;

use std::fs::File;
use std::path::Path;

use super::failure::Failure;

/// Shows, verifies and re-signs bundles
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Inspect(inspect::Args),
    Verify(verify::Args),
    Split(split::Args),
    Join(join::Args),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect(args) => args.run(),
            Self::Verify(args) => args.run(),
            Self::Split(args) => args.run(),
            Self::Join(args) => args.run(),
        }
    }
}

/// Opens a bundle and reads its head; the file stands at the payload then.
pub(super) fn open(path: &Path) -> Result<(File, Vec<u8>), Failure> {
    let mut file = File::open(path).map_err(Failure::io(path))?;
    let head = bundle::read_head(&mut file).map_err(Failure::refused(path))?;
    Ok((file, head))
}
