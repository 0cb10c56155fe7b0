//! Which keys may sign which app.
//!
//! Absence is never permission: no folder, no key, or a key that cannot be read is an error, not
//! an empty list.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::AppName;
use crate::limits::{KEY_FILE_BYTES_MAX, KEYS_MAX};
use crate::minisig::{KeyId, PublicKey};

/// A key that may sign bundles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    scope: Option<AppName>,
    key: PublicKey,
}

impl TrustedKey {
    /// Its id.
    pub fn id(&self) -> KeyId {
        self.key.id
    }

    /// The only app that it may sign; none means every app that has no keys of its own.
    pub fn scope(&self) -> Option<&AppName> {
        self.scope.as_ref()
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// The keys that a device trusts; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustStore {
    keys: Vec<TrustedKey>,
}

/// Why there is no trust store.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrustError {
    /// A file or folder cannot be read, or is missing.
    Read(PathBuf, io::Error),
    /// A folder holds no key.
    Empty(PathBuf),
    /// A file is not a minisign public key, or one that is not safe to trust.
    Corrupt(PathBuf),
    /// A sub-folder is not named like an app.
    Folder(PathBuf),
    /// Two different keys have one id.
    Conflict(PathBuf, KeyId),
    /// There are more keys than the limit.
    TooMany(PathBuf),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => {
                write!(f, "the keys in {} cannot be read: {error}", path.display())
            }
            Self::Empty(path) => write!(
                f,
                "there is no release key in {}: put a minisign public key there, named *.pub",
                path.display()
            ),
            Self::Corrupt(path) => write!(
                f,
                "{} is not a sound minisign public key: restore or remove it",
                path.display()
            ),
            Self::Folder(path) => write!(
                f,
                "{} is not named like an app: rename or remove it",
                path.display()
            ),
            Self::Conflict(path, id) => write!(
                f,
                "{} has the key id {id} of another, different key: remove one of them",
                path.display()
            ),
            Self::TooMany(path) => write!(
                f,
                "there are more than {KEYS_MAX} keys below {}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for TrustError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(_, error) => Some(error),
            _ => None,
        }
    }
}

impl TrustStore {
    /// Reads the keys of a folder: each `*.pub` may sign every app; if there is a sub-folder
    /// named like an app, only the keys in it may sign that app. Names that begin with a dot,
    /// and files with other endings, are passed over.
    ///
    /// # Errors
    /// [`TrustError`]: whatever is missing, empty or corrupt, anywhere below `folder`.
    pub fn load(folder: &Path) -> Result<Self, TrustError> {
        let mut store = Self { keys: Vec::new() };
        for path in entries(folder)? {
            if is_folder(&path)? {
                let app = file_name(&path)
                    .and_then(|name| AppName::new(name).ok())
                    .ok_or_else(|| TrustError::Folder(path.clone()))?;
                let before = store.keys.len();
                for inner in entries(&path)? {
                    store.load_key(Some(app.clone()), &inner)?;
                }
                if store.keys.len() == before {
                    return Err(TrustError::Empty(path));
                }
            } else {
                store.load_key(None, &path)?;
            }
        }
        store.not_empty(folder)
    }

    /// A trust store of keys at hand: for each, the only app that it may sign, if it is for one,
    /// and the text of its `.pub` file.
    ///
    /// # Errors
    /// As [`TrustStore::load`]; paths in errors are `key N`, counted from 0.
    pub fn from_keys(keys: Vec<(Option<AppName>, String)>) -> Result<Self, TrustError> {
        let mut store = Self { keys: Vec::new() };
        for (i, (scope, text)) in keys.into_iter().enumerate() {
            store.add(scope, &text, Path::new(&format!("key {i}")))?;
        }
        store.not_empty(Path::new("the list of keys"))
    }

    /// Whether there is no key: never, since no trust store is made without one.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys; one that is trusted in several scopes comes once for each.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// The key with this id.
    pub(crate) fn find(&self, id: KeyId) -> Option<&PublicKey> {
        self.keys
            .iter()
            .map(TrustedKey::key)
            .find(|key| key.id == id)
    }

    /// Whether the key with this id may sign `app` (clause B12).
    pub(crate) fn may_sign(&self, id: KeyId, app: &AppName) -> bool {
        let own = self.keys.iter().any(|key| key.scope() == Some(app));
        let scope = own.then_some(app);
        self.keys
            .iter()
            .any(|key| key.id() == id && key.scope() == scope)
    }

    fn load_key(&mut self, scope: Option<AppName>, path: &Path) -> Result<(), TrustError> {
        if !file_name(path).is_some_and(|name| name.ends_with(".pub")) {
            return Ok(());
        }
        let read_error = |error| TrustError::Read(path.to_path_buf(), error);
        let mut text = String::new();
        fs::File::open(path)
            .map_err(read_error)?
            .take(KEY_FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => TrustError::Corrupt(path.to_path_buf()),
                _ => read_error(error),
            })?;
        self.add(scope, &text, path)
    }

    fn add(&mut self, scope: Option<AppName>, text: &str, path: &Path) -> Result<(), TrustError> {
        let key = PublicKey::parse(text)
            .filter(|_| text.len() as u64 <= KEY_FILE_BYTES_MAX)
            .ok_or_else(|| TrustError::Corrupt(path.to_path_buf()))?;
        if self.find(key.id).is_some_and(|other| !other.is_same(&key)) {
            return Err(TrustError::Conflict(path.to_path_buf(), key.id));
        }
        if self.keys.len() == KEYS_MAX {
            return Err(TrustError::TooMany(path.to_path_buf()));
        }
        self.keys.push(TrustedKey { scope, key });
        Ok(())
    }

    fn not_empty(self, place: &Path) -> Result<Self, TrustError> {
        if self.keys.is_empty() {
            return Err(TrustError::Empty(place.to_path_buf()));
        }
        Ok(self)
    }
}

/// The entries of a folder whose names do not begin with a dot, in the order of their names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, TrustError> {
    let read_error = |error| TrustError::Read(folder.to_path_buf(), error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if !file_name(&path).is_some_and(|name| name.starts_with('.')) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_folder(path: &Path) -> Result<bool, TrustError> {
    fs::metadata(path)
        .map(|metadata| metadata.is_dir())
        .map_err(|error| TrustError::Read(path.to_path_buf(), error))
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}
