//! The little of a file system that the agent's own state needs, as a port.
//!
//! Tests and the simulation put a failing, tearing or forgetting disk behind it. Nothing here
//! retries, and nothing is durable before `sync` has succeeded.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::ReadAt;

/// An open file.
pub(crate) trait VfsFile {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`; after an error or a power cut any part of them may be
    /// in the file.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written, and the file's length, durable.
    fn sync(&self) -> io::Result<()>;
}

/// An open file that several threads read while one writes.
pub(crate) trait SharedFile: ReadAt + Send + Sync {
    /// As [`VfsFile::write_at`]. Bytes before `offset` that nobody wrote are read as zeros.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file off behind so many bytes.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// As [`VfsFile::sync`].
    fn sync(&self) -> io::Result<()>;
}

/// A file system.
pub(crate) trait Vfs {
    /// Opens an existing file, for writing too if `write`.
    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn VfsFile>>;
    /// Makes an empty file with these permission bits, in the place of one of that name.
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn VfsFile>>;
    /// Opens a file for reading and writing; an absent one is made, empty, with these permission
    /// bits.
    fn open_shared(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn SharedFile>>;
    /// Gives a file another name, in the place of one that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; an absent one is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file to a user and a group.
    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()>;
    /// Makes the entries of a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder with mode 0700 and those above it; an existing one is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The files and folders in a folder, by name; an absent folder is empty.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
}

/// The file system of the machine.
pub(crate) struct RealVfs;

impl VfsFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let rest = buffer.get_mut(done..).unwrap_or_default();
            match FileExt::read_at(self, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl SharedFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Vfs for RealVfs {
    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn VfsFile>> {
        let file = OpenOptions::new().read(true).write(write).open(path)?;
        Ok(Box::new(file))
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn VfsFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.mode(mode).open(path)?;
        // The process's umask may have taken bits away, and a leftover keeps its own.
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(Box::new(file))
    }

    fn open_shared(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn SharedFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok(Arc::new(options.mode(mode).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(fs::remove_file(path))
    }

    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads a whole file of at most `max` bytes; none if there is no such file.
///
/// # Errors
/// `FileTooLarge` if it is longer; else what reading gives.
pub(crate) fn read(vfs: &dyn Vfs, path: &Path, max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match vfs.open(path, false) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let n = file.read_at(&mut buffer, bytes.len() as u64)?;
        bytes.extend_from_slice(buffer.get(..n).unwrap_or_default());
        if bytes.len() > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if n < buffer.len() {
            return Ok(Some(bytes));
        }
    }
}

/// Puts a file with this content in the place of `path`, durably: a crash at any instant leaves
/// the old one or the new one, and at most a `.part` file beside it.
///
/// # Errors
/// What writing gives; the old file is then still there.
pub(crate) fn replace(vfs: &dyn Vfs, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let part = path.with_extension("part");
    let written = (|| {
        let file = vfs.create(&part, mode)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        vfs.rename(&part, path)
    })();
    if let Err(error) = written {
        // Its space may be what is lacking; a failure to remove it changes nothing.
        let _ = vfs.remove(&part);
        return Err(error);
    }
    match path.parent() {
        Some(folder) => vfs.sync_dir(folder),
        None => Ok(()),
    }
}
