//! What is wrong with a Compose file: every problem with its place, collected.
//!
//! Never stops at the first one: a person wants to fix a file once.

use std::fmt;

/// Most problems that are shown; the rest are counted.
pub(crate) const SHOWN_MAX: usize = 20;

/// A place in a file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Position {
    /// The beginning of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Position,
    /// The key, with those that it is under: `services.web.build`; empty for the whole file.
    pub path: String,
    /// What, in words.
    pub message: String,
}

/// All that is wrong with a Compose file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeError {
    /// The file, as it was named.
    pub file: String,
    /// Its problems; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().take(SHOWN_MAX).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&located(&self.file, problem))?;
        }
        match self.problems.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

impl std::error::Error for ComposeError {}

/// `compose.yaml:7:5: services.web.build: …`, as editors and CI logs link it.
pub(crate) fn located(file: &str, problem: &Problem) -> String {
    let place = place(file, problem.at, &problem.path);
    format!("{place}: {}", problem.message)
}

/// `compose.yaml:7:5: services.web`
pub(crate) fn place(file: &str, at: Position, path: &str) -> String {
    let Position { line, column } = at;
    let colon = if path.is_empty() { "" } else { ": " };
    format!("{file}:{line}:{column}{colon}{path}")
}
