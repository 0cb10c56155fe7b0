//! What a command that failed says: `error: …`, a `hint: …` where there is one, and a code.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use bundle::Refused;
use bundle::build::{BuildError, KeyError};
use relay_api::escape;

use crate::client::{ClientError, Kind};
use crate::pack::PackError;
use crate::serve::ServeError;

/// Why a command failed, in words; the last stop of every error.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    /// Lines that belong to the message, as a list of devices does.
    details: Vec<String>,
    hint: Option<String>,
    code: u8,
}

/// Exit codes, as `docs/relay-cli.md` has them.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const LOGIN: u8 = 3;
const NOT_FOUND: u8 = 4;
const REFUSED: u8 = 5;
const UNREACHABLE: u8 = 6;

impl Failure {
    pub(crate) fn new(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            details: Vec::new(),
            hint: None,
            code: FAILED,
        }
    }

    /// The command line makes no sense: exit code 2.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            code: USAGE,
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
        ExitCode::from(self.code)
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
        for line in &self.details {
            write!(f, "\n  {line}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let failure = Self::new(&error);
        match error.hint() {
            "" => failure,
            hint => failure.hint(hint),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match error.kind() {
            Kind::Other => FAILED,
            Kind::Usage => USAGE,
            Kind::Login => LOGIN,
            Kind::NotFound => NOT_FOUND,
            Kind::Refused => REFUSED,
            Kind::Unreachable => UNREACHABLE,
        };
        let failure = Self {
            code,
            details: unfit(&error),
            ..Self::new(&error)
        };
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The devices that a release does not fit, one a line.
fn unfit(error: &ClientError) -> Vec<String> {
    let ClientError::Refused { info, .. } = error else {
        return Vec::new();
    };
    let width = info.unfit.iter().map(|unfit| unfit.device.len()).max();
    let lines = info.unfit.iter().map(|unfit| {
        let (device, reason) = (escape::text(&unfit.device), escape::text(&unfit.reason));
        format!("{device:0$}  {reason}", width.unwrap_or(0))
    });
    lines.collect()
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

#[cfg(test)]
mod tests {
    use relay_api::operator::{ErrorInfo, Unfit};

    use super::*;

    fn refused(status: u16, message: &str, unfit: &[(&str, &str)]) -> Failure {
        let unfit = unfit.iter().map(|(device, reason)| Unfit {
            device: (*device).to_string(),
            reason: (*reason).to_string(),
        });
        let info = ErrorInfo {
            code: "x".to_string(),
            message: message.to_string(),
            hint: String::new(),
            unfit: unfit.collect(),
        };
        Failure::from(ClientError::Refused {
            status,
            info: Box::new(info),
        })
    }

    #[test]
    fn each_refusal_has_its_exit_code() {
        for (status, code) in [
            (401, 3),
            (403, 3),
            (404, 4),
            (400, 5),
            (409, 5),
            (413, 5),
            (422, 5),
            (429, 6),
            (503, 6),
            (500, 1),
            (507, 1),
        ] {
            assert_eq!(refused(status, "no", &[]).code, code, "{status}");
        }
    }

    #[test]
    fn unfit_devices_are_listed_and_cannot_draw_on_the_terminal() {
        let unfit = [("a", "is arm64"), ("dev-12", "class \x1b[2Jb")];
        assert_eq!(
            refused(409, "does not fit\x1b]0;t\x07", &unfit).to_string(),
            "error: does not fit\\u{1b}]0;t\\u{7}\n  a       is arm64\n  dev-12  class \\u{1b}[2Jb"
        );
    }
}
