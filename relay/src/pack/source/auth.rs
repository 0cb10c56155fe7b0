//! Credentials for registries, where podman, skopeo and docker keep them
//! (containers-auth.json(5)).
//!
//! Never runs a credential helper, and never sends one registry's credentials to another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use super::error::SourceError;

/// Most bytes of a file of credentials.
const AUTH_BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
}

/// The credentials for a repository: from `file` if given, else from the usual places, the first
/// that knows the registry; anonymous if none does.
pub(crate) fn find(
    registry: &str,
    repository: &str,
    file: Option<&Path>,
) -> Result<RegistryAuth, SourceError> {
    let candidates = match file {
        Some(file) => vec![file.to_path_buf()],
        None => usual_places(),
    };
    for path in candidates {
        let bytes = match std::fs::File::open(&path) {
            Ok(opened) => {
                super::store::read_bounded(opened, &path.display().to_string(), AUTH_BYTES_MAX)?
            }
            Err(_) if file.is_none() => continue,
            Err(error) => {
                return Err(SourceError::Io {
                    what: path.display().to_string(),
                    error,
                });
            }
        };
        let parsed: AuthFile =
            serde_json::from_slice(&bytes).map_err(|error| SourceError::AuthFile {
                path: path.display().to_string(),
                error,
            })?;
        if let Some(auth) = parsed.credentials(registry, repository) {
            return Ok(auth);
        }
        if let Some(helper) = parsed.helpers.get(registry) {
            return Err(SourceError::AuthHelper {
                registry: registry.to_string(),
                helper: helper.clone(),
            });
        }
    }
    Ok(RegistryAuth::Anonymous)
}

fn usual_places() -> Vec<PathBuf> {
    let folder = |name: &str, rest: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some(Path::new(&value).join(rest))
    };
    [
        folder("XDG_RUNTIME_DIR", "containers/auth.json"),
        folder("XDG_CONFIG_HOME", "containers/auth.json"),
        folder("HOME", ".config/containers/auth.json"),
        folder("DOCKER_CONFIG", "config.json"),
        folder("HOME", ".docker/config.json"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl AuthFile {
    /// The most specific entry: `host/a/b`, `host/a`, then `host`.
    fn credentials(&self, registry: &str, repository: &str) -> Option<RegistryAuth> {
        let mut scope = format!("{registry}/{repository}");
        loop {
            let found = self
                .auths
                .iter()
                .find(|(key, _)| host(key) == scope)
                .and_then(|(_, entry)| decode(entry.auth.as_deref()?));
            if found.is_some() {
                return found;
            }
            scope.truncate(scope.rfind('/')?);
        }
    }
}

/// A key of `auths` without scheme and API version, which docker writes for some.
fn host(key: &str) -> &str {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1")
        .or_else(|| key.strip_suffix("/v2"))
        .unwrap_or(key)
}

fn decode(auth: &str) -> Option<RegistryAuth> {
    let plain = String::from_utf8(BASE64_STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = plain.split_once(':')?;
    Some(RegistryAuth::Basic(user.into(), password.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str) -> Option<RegistryAuth> {
        Some(RegistryAuth::Basic(user.into(), "p:w".into()))
    }

    #[test]
    fn the_most_specific_entry_wins() {
        let entry = |user: &str| {
            let auth = BASE64_STANDARD.encode(format!("{user}:p:w"));
            format!(r#"{{"auth": "{auth}"}}"#)
        };
        let json = format!(
            r#"{{"auths": {{"r.example": {}, "r.example/team": {}, "https://hub.example/v1/": {}}}}}"#,
            entry("host"),
            entry("team"),
            entry("hub"),
        );
        let file: AuthFile = serde_json::from_str(&json).unwrap();
        assert_eq!(file.credentials("r.example", "other/app"), basic("host"));
        assert_eq!(file.credentials("r.example", "team/app"), basic("team"));
        assert_eq!(file.credentials("hub.example", "app"), basic("hub"));
        assert_eq!(file.credentials("example", "app"), None);
    }

    #[test]
    fn a_given_file_must_be_there_and_sound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.json");
        assert!(matches!(
            find("r", "a", Some(&path)),
            Err(SourceError::Io { .. })
        ));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(
            find("r", "a", Some(&path)),
            Err(SourceError::AuthFile { .. })
        ));
        std::fs::write(&path, r#"{"credHelpers": {"r": "pass"}}"#).unwrap();
        assert!(matches!(
            find("r", "a", Some(&path)),
            Err(SourceError::AuthHelper { .. })
        ));
    }
}
