//! What a record names by digest: signed heads, variables' values, configuration files.
//!
//! An object is durable before anything names it, and never changes. Its name is the digest of
//! what it stands for, which whoever reads it checks: a head by its manifest's digest, the rest
//! by [`Objects::get_content`].

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use bundle::Digest;

use super::vfs::{self, Vfs};

/// Most bytes of an object: a head, the largest of them, with its framing.
const OBJECT_BYTES_MAX: usize = bundle::limits::HEAD_BYTES_MAX as usize + 4096;
/// Objects may hold values of secret variables.
const OBJECT_MODE: u32 = 0o600;

/// The folder `objects/`.
pub(crate) struct Objects {
    vfs: Rc<dyn Vfs>,
    folder: PathBuf,
}

impl Objects {
    /// The objects in this folder, which need not exist yet.
    pub(crate) fn new(vfs: Rc<dyn Vfs>, folder: PathBuf) -> Self {
        Self { vfs, folder }
    }

    /// Stores an object durably; one of that name with the same bytes is left as it is. A crash
    /// in the middle leaves at most a `.part` file, which [`Objects::names`] does not show.
    ///
    /// # Errors
    /// What writing gives.
    pub(crate) fn put(&self, name: &Digest, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(name.hex());
        if let Ok(Some(there)) = vfs::read(&*self.vfs, &path, OBJECT_BYTES_MAX)
            && there == bytes
        {
            return Ok(());
        }
        self.vfs.create_dir(&self.folder)?;
        vfs::replace(&*self.vfs, &path, bytes, OBJECT_MODE)
    }

    /// The bytes under a name, unchecked; none if there is no such object.
    ///
    /// # Errors
    /// What reading gives.
    pub(crate) fn get(&self, name: &Digest) -> io::Result<Option<Vec<u8>>> {
        vfs::read(&*self.vfs, &self.folder.join(name.hex()), OBJECT_BYTES_MAX)
    }

    /// The bytes whose SHA-256 is `name`; none if there is no such object.
    ///
    /// # Errors
    /// `InvalidData` if the bytes have another digest; else what reading gives.
    pub(crate) fn get_content(&self, name: &Digest) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.get(name)?;
        match &bytes {
            Some(content) if Digest::of(content) != *name => Err(io::ErrorKind::InvalidData.into()),
            _ => Ok(bytes),
        }
    }

    /// All names.
    ///
    /// # Errors
    /// What reading the folder gives.
    pub(crate) fn names(&self) -> io::Result<Vec<Digest>> {
        let paths = self.vfs.list(&self.folder)?;
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// Removes an object; an absent one is fine. Not synced: one that comes back after a power
    /// cut is removed again.
    ///
    /// # Errors
    /// What removing gives.
    pub(crate) fn remove(&self, name: &Digest) -> io::Result<()> {
        self.vfs.remove(&self.folder.join(name.hex()))
    }
}
