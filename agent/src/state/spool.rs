//! Bundles on their way in: what has come of a file, at its place in it.
//!
//! A file is named for its SHA-256, as the relay says it, and sparse: what the device does not
//! need is never there. Nothing in it is trusted for being there: whoever reads hashes.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use bundle::Digest;

use super::vfs::{SharedFile, Vfs};

/// Configurations and files of an app are nobody else's business.
const FILE_MODE: u32 = 0o600;

/// The folder `spool/`. Files in it that are not named for a digest are not its own.
pub(crate) struct Spool {
    vfs: Rc<dyn Vfs>,
    folder: PathBuf,
}

impl Spool {
    /// The bundles in this folder, which need not exist yet.
    pub(crate) fn new(vfs: Rc<dyn Vfs>, folder: PathBuf) -> Self {
        Self { vfs, folder }
    }

    /// What has come of a file; a new one is empty, and its name durable.
    ///
    /// # Errors
    /// What the file system gives.
    pub(crate) fn open(&self, file: &Digest) -> io::Result<Arc<dyn SharedFile>> {
        self.vfs.create_dir(&self.folder)?;
        let path = self.path(file);
        let opened = self.vfs.open_shared(&path, FILE_MODE)?;
        if opened.len()? == 0 {
            if let Some(above) = self.folder.parent() {
                self.vfs.sync_dir(above)?;
            }
            self.vfs.sync_dir(&self.folder)?;
        }
        Ok(opened)
    }

    /// The files of which something is there.
    ///
    /// # Errors
    /// What reading the folder gives.
    pub(crate) fn names(&self) -> io::Result<Vec<Digest>> {
        let paths = self.vfs.list(&self.folder)?;
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// Removes a file; an absent one is fine. Not synced: one that comes back after a power cut
    /// is removed again.
    ///
    /// # Errors
    /// What removing gives.
    pub(crate) fn remove(&self, file: &Digest) -> io::Result<()> {
        self.vfs.remove(&self.path(file))
    }

    fn path(&self, file: &Digest) -> PathBuf {
        self.folder.join(file.hex())
    }
}
