//! Which runtime to speak to: by address, or by looking where runtimes' sockets usually are.
//!
//! Never connects: [`crate::Runtime::info`] tells whether anything answers.

use core::fmt;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Runtime;

/// Why there is no runtime to speak to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The address is not `podman:///path` or `containerd:///path`.
    BadAddress(String),
    /// The address names a runtime that this build cannot speak to.
    NotSupported(&'static str),
    /// No address was given, and there is no socket at any of these paths.
    NoSocket(Vec<PathBuf>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAddress(address) => write!(
                f,
                "not a runtime's address: {}; expected podman:///run/podman/podman.sock or the like",
                address.escape_default()
            ),
            Self::NotSupported(runtime) => {
                write!(f, "support for {runtime} comes with a later release")
            }
            Self::NoSocket(tried) => {
                f.write_str("no container runtime found; looked for")?;
                for (n, path) in tried.iter().enumerate() {
                    let comma = if n == 0 { "" } else { "," };
                    write!(f, "{comma} {}", path.display())?;
                }
                f.write_str("; start podman.socket, or set `runtime`")
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// The runtime at an address: `podman:///path.sock`, or empty to look for one (see [`discover`]).
///
/// ```
/// let runtime = runtime_shim::open("podman:///run/podman/podman.sock");
/// assert!(runtime.is_ok());
/// assert!(runtime_shim::open("http://localhost").is_err());
/// ```
///
/// # Errors
/// [`OpenError`]; whether anything answers there is not tried.
pub fn open(address: &str) -> Result<Box<dyn Runtime>, OpenError> {
    let found;
    let address = if address.is_empty() {
        found = discover(|name| std::env::var_os(name), |path| path.exists())?;
        &found
    } else {
        address
    };
    let bad = || OpenError::BadAddress(address.to_owned());
    let (scheme, rest) = address.split_once("://").ok_or_else(bad)?;
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    if !path.starts_with('/') {
        return Err(bad());
    }
    match scheme {
        #[cfg(feature = "podman")]
        "podman" => Ok(Box::new(crate::podman::Podman::new(Path::new(path)))),
        #[cfg(not(feature = "podman"))]
        "podman" => Err(OpenError::NotSupported("podman")),
        "containerd" => Err(OpenError::NotSupported("containerd")),
        _ => Err(bad()),
    }
}

/// The address of the first runtime found: `$CONTAINER_HOST`, `$DOCKER_HOST`, the user's podman,
/// the system's podman, containerd. A variable that is set is taken at its word, unless it names
/// something else than a Unix socket.
///
/// # Errors
/// [`OpenError::NoSocket`] with where it looked.
pub fn discover(
    variable: impl Fn(&str) -> Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Result<String, OpenError> {
    for name in ["CONTAINER_HOST", "DOCKER_HOST"] {
        let Some(value) = variable(name).and_then(|value| value.into_string().ok()) else {
            continue;
        };
        if let Some(path) = value.strip_prefix("unix://") {
            return Ok(format!("podman://{path}"));
        }
        log::warn!("{name} does not begin with unix://, so it is not used");
    }
    let user = variable("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("podman/podman.sock"));
    let podman = user
        .into_iter()
        .chain([PathBuf::from("/run/podman/podman.sock")]);
    let sockets = podman.map(|path| ("podman", path)).chain([(
        "containerd",
        PathBuf::from("/run/containerd/containerd.sock"),
    )]);
    let mut tried = Vec::new();
    for (scheme, path) in sockets {
        match path.to_str() {
            Some(text) if exists(&path) => return Ok(format!("{scheme}://{text}")),
            _ => tried.push(path),
        }
    }
    Err(OpenError::NoSocket(tried))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let refused = |address| open(address).err();
        assert_eq!(refused("podman:///run/p.sock"), None);
        assert_eq!(
            refused("containerd:///run/c.sock?namespace=coracle"),
            Some(OpenError::NotSupported("containerd"))
        );
        for bad in [
            "podman://relative",
            "/run/p.sock",
            "tcp://1.2.3.4:5",
            "podman:",
        ] {
            assert_eq!(refused(bad), Some(OpenError::BadAddress(bad.to_owned())));
        }
    }

    #[test]
    fn sockets_are_looked_for_in_order() {
        let podman = "/run/podman/podman.sock";
        let user = "/run/user/1/podman/podman.sock";
        let containerd = "/run/containerd/containerd.sock";
        let find = |set: &[(&str, &str)], there: &[&str]| {
            let variable = |name: &str| {
                let found = set.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| OsString::from(value))
            };
            discover(variable, |path| there.iter().any(|t| Path::new(t) == path))
        };
        let host = ("CONTAINER_HOST", "unix:///a.sock");
        let docker = ("DOCKER_HOST", "unix:///b.sock");
        let run = ("XDG_RUNTIME_DIR", "/run/user/1");
        let all = [podman, user, containerd];
        assert_eq!(
            find(&[host, docker, run], &all).unwrap(),
            "podman:///a.sock"
        );
        assert_eq!(find(&[docker, run], &all).unwrap(), "podman:///b.sock");
        assert_eq!(find(&[run], &all).unwrap(), format!("podman://{user}"));
        assert_eq!(find(&[], &all).unwrap(), format!("podman://{podman}"));
        assert_eq!(
            find(&[], &all[2..]).unwrap(),
            format!("containerd://{containerd}")
        );
        let remote = ("DOCKER_HOST", "tcp://1.2.3.4:5");
        assert_eq!(
            find(&[remote, run], &[]),
            Err(OpenError::NoSocket(vec![
                user.into(),
                podman.into(),
                containerd.into()
            ]))
        );
    }
}
