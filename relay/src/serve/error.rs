//! Why the relay cannot start.
//!
//! Nothing that happens later is here: requests have errors of their own.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bundle::TrustError;

use super::tls::TlsError;
use crate::store::StoreError;
use crate::store::folder::FolderError;

/// Why the relay cannot start.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// A file or folder cannot be used.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another relay serves the data folder.
    InUse(PathBuf),
    /// No relay has ever served the folder.
    NoRelay(PathBuf),
    /// The address cannot be listened on.
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The certificate.
    Tls(TlsError),
    /// The database.
    Store(StoreError),
    /// The folder of bundles.
    Folder(FolderError),
    /// The release keys.
    Keys(TrustError),
    /// The system gives no randomness.
    Random,
    /// The process cannot have threads, timers or signals.
    Runtime(io::Error),
}

impl ServeError {
    /// A file or folder that cannot be used.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self::Io { path, error }
    }

    /// What to do next; may be empty.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => {
                "check that the relay's user may write there, and that there is room"
            }
            Self::InUse(_) => "end it first, or name another folder with --data",
            Self::NoRelay(_) => "name the folder that `relay serve --data` has",
            Self::Listen { error, .. } => match error.kind() {
                io::ErrorKind::AddrInUse => "another program listens there: choose another port",
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one"
                }
                _ => "choose an address that this machine has",
            },
            Self::Tls(error) => error.hint(),
            Self::Store(_) | Self::Folder(_) => "docs/relay.md says what lies in the data folder",
            Self::Keys(_) => "--keys takes a folder of minisign public keys, *.pub",
            Self::Random | Self::Runtime(_) => "",
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::InUse(path) => write!(f, "another relay serves {}", path.display()),
            Self::NoRelay(path) => write!(f, "{} has no relay's data", path.display()),
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::Tls(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Folder(error) => error.fmt(f),
            Self::Keys(error) => error.fmt(f),
            Self::Random => f.write_str("the system gives no randomness"),
            Self::Runtime(error) => write!(f, "the process cannot run: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<TlsError> for ServeError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<StoreError> for ServeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<FolderError> for ServeError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}
