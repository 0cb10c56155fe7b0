//! What can be wrong with a command line.

use std::ffi::OsString;
use std::fmt;

use crate::api::Failure;
use crate::exit;

/// Why a command line is not understood.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(super) enum UsageError {
    /// There is no command.
    NoCommand,
    /// There is no such command.
    UnknownCommand {
        /// What was given.
        word: String,
        /// The command that is most like it.
        nearest: Option<&'static str>,
    },
    /// There is no such flag.
    UnknownFlag {
        /// What was given, without the hyphens.
        flag: String,
        /// The command that was given.
        command: Option<&'static str>,
        /// The flag that is most like it.
        nearest: Option<String>,
    },
    /// A command lacks what comes after it.
    Missing {
        /// The command.
        command: &'static str,
        /// What it lacks.
        operand: &'static str,
    },
    /// A word too many.
    TooMany {
        /// The command.
        command: &'static str,
        /// The word.
        word: OsString,
    },
    /// A value that does not fit.
    Value {
        /// The flag or operand.
        what: String,
        /// The rule that it must obey, in words.
        rule: &'static str,
    },
    /// A flag lacks its value, or has one that it does not take.
    Syntax(String),
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self::Syntax(error.to_string())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCommand => f.write_str("there is no command"),
            Self::UnknownCommand { word, .. } => write!(f, "unknown command `{word}`"),
            Self::UnknownFlag { flag, .. } if flag.chars().count() == 1 => {
                write!(f, "unknown flag `-{flag}`")
            }
            Self::UnknownFlag { flag, .. } => write!(f, "unknown flag `--{flag}`"),
            Self::Missing { command, operand } => write!(f, "`agent {command}` needs {operand}"),
            Self::TooMany { command, word } => {
                write!(
                    f,
                    "`agent {command}` does not take `{}`",
                    word.to_string_lossy()
                )
            }
            Self::Value { what, rule } => write!(f, "{what} does not fit: it must be {rule}"),
            Self::Syntax(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for UsageError {}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        let hint = match &error {
            UsageError::UnknownCommand {
                nearest: Some(nearest),
                ..
            } => {
                format!("Did you mean `{nearest}`?")
            }
            UsageError::UnknownFlag {
                nearest: Some(nearest),
                ..
            } => {
                format!("Did you mean `--{nearest}`?")
            }
            UsageError::Missing { command, .. }
            | UsageError::TooMany { command, .. }
            | UsageError::UnknownFlag {
                command: Some(command),
                ..
            } => {
                format!("See `agent {command} --help`.")
            }
            _ => "See `agent --help`.".into(),
        };
        Self {
            code: exit::USAGE,
            message: error.to_string(),
            hint,
        }
    }
}
