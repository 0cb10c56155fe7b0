//! Bundle files in a folder, named by their SHA-256.
//!
//! ```text
//! bundles/<64 hexadecimal digits>   complete, checked, never changed
//! incoming/…                        on the way; the next start removes what a crash leaves
//! ```
//!
//! A file goes: into `incoming/`, checked there, synced, renamed, the folder synced; only then comes
//! the row in the database ([`publish`]). A crash before the rename leaves a file in `incoming/`; one
//! between rename and row leaves a file that nothing names: publishing it again finds it there.
//!
//! Never reads a file whole into memory, and never changes one that is in place.

mod error;
mod incoming;
#[cfg(test)]
mod tests;

pub(crate) use error::{FolderError, PublishError};
pub(crate) use incoming::Incoming;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::{Digest, TrustStore};

use super::{PublishOutcome, Store};
use crate::domain::audit::By;

/// The folder; cloning it is cheap.
#[derive(Clone, Debug)]
pub(crate) struct BundleFolder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bundles: PathBuf,
    incoming: PathBuf,
    trust: Option<TrustStore>,
    bytes_max: u64,
}

impl BundleFolder {
    /// Opens, and makes where needed, `bundles` and `incoming` in the relay's data folder, and
    /// removes what an earlier run left in `incoming`. With `trust`, only bundles that one of these
    /// keys signed are taken; without, signatures are for devices to judge. At most `bytes_max`
    /// bytes of a file are taken. Blocks.
    ///
    /// # Errors
    /// [`FolderError::Io`] or [`FolderError::Full`].
    pub(crate) fn open(
        data: &Path,
        trust: Option<TrustStore>,
        bytes_max: u64,
    ) -> Result<Self, FolderError> {
        let inner = Inner {
            bundles: data.join("bundles"),
            incoming: data.join("incoming"),
            trust,
            bytes_max,
        };
        for folder in [&inner.bundles, &inner.incoming] {
            fs::create_dir_all(folder).map_err(FolderError::io(folder))?;
        }
        sync(data)?;
        for entry in fs::read_dir(&inner.incoming).map_err(FolderError::io(&inner.incoming))? {
            let path = entry.map_err(FolderError::io(&inner.incoming))?.path();
            fs::remove_file(&path).map_err(FolderError::io(&path))?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// The most bytes of a file that are taken.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.0.bytes_max
    }

    /// Begins to take a file in.
    ///
    /// # Errors
    /// [`FolderError::Io`] or [`FolderError::Full`].
    pub(crate) async fn receive(&self) -> Result<Incoming, FolderError> {
        Incoming::new(self.clone()).await
    }

    /// Opens a file for reading, with its length; none if it is not there. Whether a device may
    /// have it, the caller has asked before.
    ///
    /// # Errors
    /// Whatever opening gives.
    pub(crate) async fn read(&self, file: &Digest) -> io::Result<Option<(File, u64)>> {
        let path = self.path(file);
        let open = move || match File::open(path) {
            Ok(file) => {
                let bytes = file.metadata()?.len();
                Ok(Some((file, bytes)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        tokio::task::spawn_blocking(open)
            .await
            .map_err(io::Error::other)?
    }

    fn path(&self, file: &Digest) -> PathBuf {
        self.0.bundles.join(file.hex())
    }
}

/// Publishes a file that has come in whole: checks it, puts it in place, and adds its row. After an
/// error or a refusal, what there was is there still.
///
/// # Errors
/// [`PublishError`].
pub(crate) async fn publish(
    store: &dyn Store,
    incoming: Incoming,
    by: &By,
    now: u64,
) -> Result<PublishOutcome, PublishError> {
    let checked = incoming.check().await?;
    let bundle = checked.bundle().clone();
    // Asked before the file is put in place: a refused one is to leave nothing.
    let taken = store.publish_check(&bundle).await?;
    if matches!(taken, PublishOutcome::SeqTaken { .. }) {
        return Ok(taken);
    }
    checked.keep().await?;
    Ok(store.publish(bundle, by, now).await?)
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> Result<(), FolderError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(FolderError::io(folder))
}
