//! Small disks in memory, and ways to fill them.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::statvfs;

/// Files and folders that a small disk can hold.
const FILES: u64 = 8000;

/// A file system of its own in this test's mount namespace; the sandbox unmounts it.
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    pub(crate) fn mount(folder: &Path, bytes: u64) -> Result<Self> {
        let options = format!("size={bytes},nr_inodes={FILES},mode=755");
        mount(
            Some("small"),
            folder,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(&*options),
        )?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Fills it until so many bytes are left.
    pub(crate) fn leave_bytes(&self, bytes: u64) -> Result<Filler> {
        let filler = Filler::new(&self.folder)?;
        let mut file = File::create(filler.path.join("bytes"))?;
        let chunk = vec![0; 1 << 16];
        while free(&self.folder)?.0 > bytes {
            file.write_all(&chunk)?;
        }
        Ok(filler)
    }
}

/// Fills a disk with empty files until it can hold only so many more.
pub(crate) fn leave_files(disk: &SmallDisk, files: u64) -> Result<Filler> {
    let filler = Filler::new(&disk.folder)?;
    let (_, left) = free(&disk.folder)?;
    ensure!(left > files, "only {left} files are left");
    for number in files..left {
        File::create(filler.path.join(number.to_string()))?;
    }
    ensure!(
        free(&disk.folder)?.1 == files,
        "the disk holds other files than expected"
    );
    Ok(filler)
}

/// Free bytes and files.
fn free(folder: &Path) -> Result<(u64, u64)> {
    let found = statvfs(folder)?;
    Ok((
        found.blocks_available() * found.fragment_size(),
        found.files_available(),
    ))
}

/// What fills a disk, until it is dropped.
pub(crate) struct Filler {
    path: PathBuf,
}

impl Filler {
    fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("filler");
        fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("e2e: removing {}: {error}", self.path.display());
        }
    }
}
