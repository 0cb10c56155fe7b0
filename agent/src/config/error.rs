//! What can be wrong with a configuration, told so that a person finds the place.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::keys::Key;
use crate::api::Failure;
use crate::exit;

/// Where a setting was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// A file.
    File(PathBuf),
}

impl Origin {
    /// The setting's name as it is written there.
    pub(super) fn name(&self, key: &str) -> String {
        match self {
            Self::Flag => format!("--{}", Key::flag_of(key)),
            Self::Environment => Key::variable_of(key),
            Self::File(path) => format!("`{key}` in {}", path.display()),
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file or folder could not be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not TOML.
    Syntax {
        /// Which.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: basic_toml::Error,
    },
    /// A key that the agent does not know.
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The known key that is most like it.
        nearest: Option<&'static str>,
    },
    /// A value that does not fit its key.
    Value {
        /// Where it was given.
        origin: Origin,
        /// The key, with dots.
        key: String,
        /// The rule that it must obey, in words.
        rule: &'static str,
    },
    /// Nobody gave this device an id, and the machine has nothing to make one of.
    NoDeviceId,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => {
                write!(f, "{} cannot be read: {source}", path.display())
            }
            Self::Syntax { path, source } => {
                write!(f, "{} is not valid TOML: {source}", path.display())
            }
            Self::UnknownKey { path, key, .. } => {
                write!(f, "unknown key `{key}` in {}", path.display())
            }
            Self::Value { origin, key, rule } => {
                write!(f, "{} does not fit: it must be {rule}", origin.name(key))
            }
            Self::NoDeviceId => f.write_str("this device has no id"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Syntax { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl ConfigError {
    /// What to do next; may be empty.
    fn hint(&self) -> String {
        match self {
            Self::UnknownKey {
                nearest: Some(nearest),
                ..
            } => {
                format!("Did you mean `{nearest}`?")
            }
            Self::NoDeviceId => "Set `device_id` in agent.toml, or make a machine id: \
                                 `systemd-machine-id-setup`."
                .into(),
            _ => String::new(),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            code: exit::USAGE,
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}
