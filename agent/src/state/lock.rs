//! One process at a time writes the state.
//!
//! The lock is the kernel's and goes with its process, however that ends; the file only says who
//! holds it. Never waits.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Held while this value lives.
pub(crate) struct Lock {
    _file: File,
}

/// Why it is not held.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it.
    Held {
        /// Its process id, if it said so.
        pid: Option<u32>,
    },
    /// The file cannot be made.
    Open(io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { pid: Some(pid) } => write!(f, "another agent works here: process {pid}"),
            Self::Held { pid: None } => f.write_str("another agent works here"),
            Self::Open(error) => write!(f, "the lock cannot be taken: {error}"),
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Takes the lock of a state folder, and makes the folder if there is none.
    ///
    /// # Errors
    /// [`LockError`].
    pub(crate) fn take(state_dir: &Path) -> Result<Self, LockError> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(LockError::Open)?;
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options
            .open(state_dir.join("lock"))
            .map_err(LockError::Open)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = (&file).take(16).read_to_string(&mut text);
                return Err(LockError::Held {
                    pid: text.trim().parse().ok(),
                });
            }
            Err(errno) => return Err(LockError::Open(errno.into())),
        }
        // Who holds it is a courtesy; the lock holds without it.
        let _ = file
            .rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
