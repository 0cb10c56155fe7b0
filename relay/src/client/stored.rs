//! What `relay login` keeps: `$XDG_CONFIG_HOME/coracle/relay.toml`, readable by its owner only.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ClientError;

/// A relay that somebody has logged in to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Its address.
    pub(crate) url: String,
    /// The token.
    pub(crate) token: String,
    /// The CA of its certificate, in PEM; none: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
}

/// Where it is kept, from the environment.
///
/// # Errors
/// [`ClientError::NoHome`].
pub(crate) fn place(environment: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, ClientError> {
    // The base directory specification has relative paths ignored.
    let absolute = |name| {
        let path = environment(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|folder| folder.join("coracle/relay.toml"))
        .ok_or(ClientError::NoHome)
}

impl Stored {
    /// What is kept there, if anything.
    ///
    /// # Errors
    /// [`ClientError::File`] and [`ClientError::Stored`].
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, ClientError> {
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text)
                .map(Some)
                .map_err(|error| ClientError::Stored(path.to_path_buf(), error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ClientError::File(path.to_path_buf(), error)),
        }
    }

    /// Keeps it, in place of what was there: all of it or, after a crash, what was there.
    ///
    /// # Errors
    /// [`ClientError::File`].
    pub(crate) fn save(&self, path: &Path) -> Result<(), ClientError> {
        let io = |error| ClientError::File(path.to_path_buf(), error);
        let text = toml::to_string_pretty(self).map_err(|error| io(io::Error::other(error)))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(io)?;
        // Mode 0600 from its first byte on.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }

    /// Forgets it; whether there was anything.
    ///
    /// # Errors
    /// [`ClientError::File`].
    pub(crate) fn forget(path: &Path) -> Result<bool, ClientError> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ClientError::File(path.to_path_buf(), error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_owner_can_read_a_login() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/coracle/relay.toml");
        assert!(Stored::load(&path).unwrap().is_none());
        let stored = Stored {
            url: "https://relay.example.com".into(),
            token: "secret".into(),
            ca: Some("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into()),
        };
        stored.save(&path).unwrap();
        stored.save(&path).unwrap();
        assert!(Stored::load(&path).unwrap().unwrap() == stored);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(Stored::forget(&path).unwrap());
        assert!(!Stored::forget(&path).unwrap());
    }

    #[test]
    fn where_a_login_is_kept() {
        let place = |xdg: &str, home: &str| {
            let (xdg, home) = (xdg.to_string(), home.to_string());
            place(&move |name| match name {
                "XDG_CONFIG_HOME" => Some(xdg.clone()),
                "HOME" => Some(home.clone()),
                _ => None,
            })
        };
        let is = |xdg, home, path: &str| assert_eq!(place(xdg, home).unwrap(), Path::new(path));
        is("/x", "/h", "/x/coracle/relay.toml");
        is("", "/h", "/h/.config/coracle/relay.toml");
        is("relative", "/h", "/h/.config/coracle/relay.toml");
        assert!(matches!(place("", ""), Err(ClientError::NoHome)));
    }
}
