//! A disk that fails, fills or tears writes at a chosen operation.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::state::vfs::{SharedFile, Vfs, VfsFile};

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Harm {
    /// It fails, this once.
    Once(io::ErrorKind),
    /// It fails, and so does every one after it.
    Forever(io::ErrorKind),
    /// A write gets half of its bytes to the disk, and then nothing works any more.
    Torn,
}

/// Which operation is harmed, and how.
#[derive(Default)]
pub(crate) struct Fate {
    /// The first one that is harmed, counted from 1.
    pub(crate) at: Cell<u64>,
    pub(crate) harm: Cell<Option<Harm>>,
    /// Operations that change something, so far.
    pub(crate) count: Cell<u64>,
    /// How many of them were harmed.
    pub(crate) fired: Cell<u64>,
}

impl Fate {
    /// Counts an operation that changes something; says what becomes of it.
    fn next(&self) -> Option<Harm> {
        self.count.set(self.count.get() + 1);
        let (count, at) = (self.count.get(), self.at.get());
        let harm = self.harm.get().filter(|harm| match harm {
            Harm::Once(_) => count == at,
            Harm::Forever(_) | Harm::Torn => count >= at,
        });
        if harm.is_some() {
            self.fired.set(self.fired.get() + 1);
        }
        harm
    }

    fn pass(&self) -> io::Result<()> {
        match self.next() {
            None => Ok(()),
            Some(Harm::Once(kind) | Harm::Forever(kind)) => Err(kind.into()),
            Some(Harm::Torn) => Err(io::Error::other("the power is out")),
        }
    }
}

/// A disk with a fate, over another one.
pub(crate) struct BadDisk(pub(crate) Rc<Fate>, pub(crate) Rc<dyn Vfs>);

struct BadFile(Rc<Fate>, Box<dyn VfsFile>);

impl VfsFile for BadFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let first = self.0.count.get() + 1 == self.0.at.get();
        if self.0.harm.get() == Some(Harm::Torn) && first {
            self.1.write_at(&bytes[..bytes.len() / 2], offset)?;
        }
        self.0.pass()?;
        self.1.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.pass()?;
        self.1.sync()
    }
}

impl Vfs for BadDisk {
    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(BadFile(
            Rc::clone(&self.0),
            self.1.open(path, write)?,
        )))
    }
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn VfsFile>> {
        self.0.pass()?;
        Ok(Box::new(BadFile(
            Rc::clone(&self.0),
            self.1.create(path, mode)?,
        )))
    }
    fn open_shared(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn SharedFile>> {
        // What is on its way has tests of its own.
        self.1.open_shared(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.pass()?;
        self.1.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.pass()?;
        self.1.remove(path)
    }
    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        self.1.set_owner(path, uid, gid)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.pass()?;
        self.1.sync_dir(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.1.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.1.list(path)
    }
}
