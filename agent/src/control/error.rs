//! What can go wrong on the control socket.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::api::Failure;
use crate::exit;

/// Why the control socket does not work.
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// Another daemon answers there.
    InUse(PathBuf),
    /// Something that is not a socket is in the way.
    NotASocket(PathBuf),
    /// The socket could not be made, or not be asked.
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon ended, or the connection broke, before the answer was there.
    Broken,
    /// A line is not what the protocol says.
    Json(serde_json::Error),
    /// A line is longer than allowed.
    TooLong,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(f, "another agent answers at {}", path.display()),
            Self::NotASocket(path) => write!(f, "{} is not a socket", path.display()),
            Self::Socket { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Broken => f.write_str("the agent ended before it answered"),
            Self::Json(source) => write!(f, "not a line of the control protocol: {source}"),
            Self::TooLong => f.write_str("a line of the control protocol is too long"),
        }
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket { source, .. } => Some(source),
            Self::Json(source) => Some(source),
            _ => None,
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let hint = match &error {
            ControlError::InUse(_) => {
                "Stop it, or give this one a `control_socket` and a `state_dir` of its own."
            }
            ControlError::NotASocket(_) => "Remove it, or set `control_socket`.",
            ControlError::Socket { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "Run it as root, or as the user of the agent."
            }
            ControlError::Broken => {
                "An update goes on when the agent starts again: see `agent status`."
            }
            ControlError::Json(_) | ControlError::TooLong => {
                "If the running agent is of another version, restart it."
            }
            ControlError::Socket { .. } => "",
        };
        Self {
            code: exit::FAILURE,
            message: error.to_string(),
            hint: hint.into(),
        }
    }
}
