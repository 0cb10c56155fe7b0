//! Why a file cannot be taken in.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bundle::Refused;

use crate::store::StoreError;

/// Why a file cannot be taken in; nothing of it stays.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum FolderError {
    /// The file has more than this many bytes.
    TooLarge(u64),
    /// It is no sound bundle, or one that nobody trusted has signed.
    Refused(Refused),
    /// The disk has no room.
    Full,
    /// Something else about a file or folder of the relay.
    Io(PathBuf, io::Error),
}

impl FolderError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(path, error),
        }
    }
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(bytes_max) => write!(
                f,
                "the bundle has more than {bytes_max} bytes, the most that this relay takes"
            ),
            Self::Refused(refused) => write!(f, "{refused}"),
            Self::Full => f.write_str(
                "the disk of the relay's data folder is full: make room, then publish again",
            ),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Why a bundle is not published.
#[derive(Debug)]
pub(crate) enum PublishError {
    /// The file.
    Folder(FolderError),
    /// The database.
    Store(StoreError),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder(error) => error.source(),
            Self::Store(error) => error.source(),
        }
    }
}

impl From<FolderError> for PublishError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
