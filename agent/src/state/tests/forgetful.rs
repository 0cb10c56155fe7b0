//! A disk in memory that forgets, at a power cut, whatever was not synced: bytes of files that
//! nobody synced, and names in folders that nobody synced.
//!
//! Harsher than any real file system: nothing is kept by luck.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bundle::ReadAt;

use crate::state::vfs::{SharedFile, Vfs, VfsFile};

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    safe: Vec<u8>,
}

#[derive(Default)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct Disk {
    contents: Vec<Content>,
    now: Names,
    safe: Names,
}

/// A handle on such a disk; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Forgetful(Arc<Mutex<Disk>>);

struct Open(Arc<Mutex<Disk>>, usize);

impl Forgetful {
    /// A disk on which this folder exists, durably.
    pub(crate) fn with(folder: &Path) -> Self {
        let disk = Self::default();
        for ancestor in folder.ancestors() {
            let mut inner = disk.0.lock().unwrap();
            inner.safe.folders.insert(ancestor.to_path_buf());
            inner.now.folders.insert(ancestor.to_path_buf());
        }
        disk
    }

    /// The power fails, and comes back.
    pub(crate) fn power_cut(&self) {
        let disk = &mut *self.0.lock().unwrap();
        for content in &mut disk.contents {
            content.now = content.safe.clone();
        }
        // What lies in a folder whose own name was lost is lost with it.
        let folders = disk.safe.folders.clone();
        let reachable = |path: &Path| path.ancestors().skip(1).all(|up| folders.contains(up));
        disk.safe.folders.retain(|path| reachable(path));
        disk.safe.files.retain(|path, _| reachable(path));
        disk.now.folders = disk.safe.folders.clone();
        disk.now.files = disk.safe.files.clone();
    }
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl VfsFile for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.0.lock().unwrap();
        let bytes = &disk.contents[self.1].now;
        let from = bytes.get(offset as usize..).unwrap_or_default();
        let n = from.len().min(buffer.len());
        buffer[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let now = &mut self.0.lock().unwrap().contents[self.1].now;
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        if now.len() < to {
            now.resize(to, 0);
        }
        now[from..to].copy_from_slice(bytes);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        let content = &mut self.0.lock().unwrap().contents[self.1];
        content.safe = content.now.clone();
        Ok(())
    }
}

impl ReadAt for Open {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if VfsFile::read_at(self, buffer, offset)? < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().contents[self.1].now.len() as u64)
    }
}

impl SharedFile for Open {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        VfsFile::write_at(self, bytes, offset)
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().contents[self.1]
            .now
            .resize(bytes as usize, 0);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        VfsFile::sync(self)
    }
}

impl Vfs for Forgetful {
    fn open(&self, path: &Path, _: bool) -> io::Result<Box<dyn VfsFile>> {
        let known = self.0.lock().unwrap().now.files.get(path).copied();
        Ok(Box::new(Open(
            Arc::clone(&self.0),
            known.ok_or_else(absent)?,
        )))
    }
    fn create(&self, path: &Path, _: u32) -> io::Result<Box<dyn VfsFile>> {
        let disk = &mut *self.0.lock().unwrap();
        let parent = path.parent().ok_or_else(absent)?;
        if !disk.now.folders.contains(parent) {
            return Err(absent());
        }
        let contents = &mut disk.contents;
        let id = *disk.now.files.entry(path.to_path_buf()).or_insert_with(|| {
            contents.push(Content::default());
            contents.len() - 1
        });
        contents[id].now.clear();
        Ok(Box::new(Open(Arc::clone(&self.0), id)))
    }
    fn open_shared(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn SharedFile>> {
        let known = self.0.lock().unwrap().now.files.get(path).copied();
        match known {
            Some(id) => Ok(Arc::new(Open(Arc::clone(&self.0), id))),
            None => {
                self.create(path, mode)?;
                self.open_shared(path, mode)
            }
        }
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let files = &mut self.0.lock().unwrap().now.files;
        let id = files.remove(from).ok_or_else(absent)?;
        files.insert(to.to_path_buf(), id);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().unwrap().now.files.remove(path);
        Ok(())
    }
    fn set_owner(&self, _: &Path, _: u32, _: u32) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let disk = &mut *self.0.lock().unwrap();
        if !disk.now.folders.contains(path) {
            return Err(absent());
        }
        let inside = |other: &Path| other.parent() == Some(path);
        disk.safe.files.retain(|other, _| !inside(other));
        disk.safe.folders.retain(|other| !inside(other));
        let files = disk.now.files.iter().filter(|(other, _)| inside(other));
        disk.safe
            .files
            .extend(files.map(|(path, id)| (path.clone(), *id)));
        let folders = disk.now.folders.iter().filter(|other| inside(other));
        disk.safe.folders.extend(folders.cloned());
        Ok(())
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let folders = &mut self.0.lock().unwrap().now.folders;
        folders.extend(path.ancestors().map(Path::to_path_buf));
        Ok(())
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let disk = self.0.lock().unwrap();
        let all = disk.now.files.keys().chain(&disk.now.folders);
        let mut inside: Vec<PathBuf> = all.filter(|p| p.parent() == Some(path)).cloned().collect();
        inside.sort();
        Ok(inside)
    }
}
