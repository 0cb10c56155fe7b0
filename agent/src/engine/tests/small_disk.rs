//! A disk that fills while a bundle is fetched; everything else on it works.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bundle::ReadAt;

use crate::state::vfs::{RealVfs, SharedFile, Vfs, VfsFile};

/// A disk on which spool files may grow only so far in all.
pub(super) struct SmallDisk(pub(super) Arc<AtomicU64>);

struct SmallFile(Arc<AtomicU64>, Arc<dyn SharedFile>);

impl ReadAt for SmallFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.read_exact_at(buffer, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.1.len()
    }
}

impl SharedFile for SmallFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let room = self.0.load(Ordering::Relaxed).saturating_sub(offset);
        let fits = bytes.len().min(room as usize);
        // A full disk takes what fits.
        self.1.write_at(&bytes[..fits], offset)?;
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.1.set_len(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.sync()
    }
}

impl Vfs for SmallDisk {
    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn VfsFile>> {
        RealVfs.open(path, write)
    }
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn VfsFile>> {
        RealVfs.create(path, mode)
    }
    fn open_shared(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn SharedFile>> {
        let file = RealVfs.open_shared(path, mode)?;
        Ok(Arc::new(SmallFile(Arc::clone(&self.0), file)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealVfs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealVfs.remove(path)
    }
    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        RealVfs.set_owner(path, uid, gid)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealVfs.sync_dir(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealVfs.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        RealVfs.list(path)
    }
}
