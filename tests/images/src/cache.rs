//! The cache folder: files and folders that are whole or absent.
//!
//! Never deletes or changes a published entry, and never leaves a half-made one in its place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// `target/test-images`: `images/`, `layers/`, `debs/`, `apt/`, `tmp/` and `locks/`.
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens the cache beside the build's other products.
    pub(crate) fn open() -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
            PathBuf::from,
        );
        let root = std::path::absolute(target.join("test-images"))?;
        for folder in ["images", "layers", "debs", "apt", "tmp", "locks"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder)
                .with_context(|| format!("making the folder {}", folder.display()))?;
        }
        let root = fs::canonicalize(root)?;
        Ok(Self { root })
    }

    /// The path of an entry, whether it exists or not.
    pub(crate) fn path(&self, entry: &str) -> PathBuf {
        self.root.join(entry)
    }

    /// The entry's path, after making it with `make` if it is absent. `make` gets a path of its
    /// own to write a file or folder to, which then moves into place in one step. Other processes
    /// that want the same entry wait.
    pub(crate) fn once(
        &self,
        entry: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.path(entry);
        if place.exists() {
            return Ok(place);
        }
        let _lock = self.lock(entry)?;
        if place.exists() {
            return Ok(place);
        }
        let work = tempfile::Builder::new()
            .prefix("making-")
            .tempdir_in(self.path("tmp"))?;
        let made = work.path().join("entry");
        make(&made)?;
        fs::rename(&made, &place)
            .with_context(|| format!("moving {} into place", place.display()))?;
        Ok(place)
    }

    /// Waits until no other process holds the lock of this name, and holds it until dropped; the
    /// kernel lets go of it when a process dies.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let path = self.path("locks").join(name.replace('/', "-"));
        let file = File::create(&path)?;
        flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("locking {}", path.display()))?;
        Ok(file)
    }

    /// A folder for intermediate files, removed when dropped.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(self.path("tmp"))?)
    }
}
