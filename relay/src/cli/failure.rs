//! What a command that failed says: `error: …`, a `hint: …` where there is one, and a code.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use bundle::Refused;
use bundle::build::{BuildError, KeyError};

use crate::pack::PackError;

/// Why a command failed, in words; the last stop of every error.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    usage: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
            usage: false,
        }
    }

    /// The command line makes no sense: exit code 2.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            usage: true,
            ..Self::new(message)
        }
    }

    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// A file that could not be read or written.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self::new(format_args!("{path}: {error}"))
    }

    /// A bundle that was refused.
    pub(crate) fn refused(path: &Path) -> impl Fn(Refused) -> Self {
        let path = path.display().to_string();
        move |refused| Self::new(format_args!("{path}: {refused}")).hint(refused.hint())
    }

    /// Says it, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("{self}");
        ExitCode::from(if self.usage { 2 } else { 1 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.message.lines();
        if let Some(first) = lines.next() {
            write!(f, "error: {first}")?;
        }
        // A Compose file may have many problems, each with its place at the start of its line.
        for line in lines {
            write!(f, "\nerror: {line}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        let failure = Self::new(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::new(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::new(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error)
    }
}
