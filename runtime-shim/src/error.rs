//! What can go wrong at a runtime, and whether trying again can help.

use core::fmt;
use std::io;

/// Why a runtime did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum RuntimeError {
    /// Nothing answers at its socket: it is not running, or the path is wrong.
    Unreachable(io::Error),
    /// It has no such container, image, network or volume.
    NotFound,
    /// The name is taken, or the thing is in use.
    Conflict(String),
    /// The disk of its store is full.
    NoSpace,
    /// It refused, with its own words (control characters escaped, at most 512 bytes).
    Refused {
        /// Its status code.
        status: u16,
        /// Its words.
        message: String,
    },
    /// Its answer is not what its documentation promises.
    Protocol(&'static str),
    /// It took longer than the deadline of this operation.
    TimedOut,
    /// The connection broke, or the image's content could not be read.
    Io(io::Error),
}

/// Most bytes of a runtime's words that are passed on.
#[cfg(feature = "podman")]
const WORDS_BYTES_MAX: usize = 512;

/// A runtime's words, fit for logs and terminals: control characters escaped, cut at
/// [`WORDS_BYTES_MAX`].
#[cfg(feature = "podman")]
pub(crate) fn clean(words: &str) -> String {
    let mut out = String::new();
    for c in words.trim_end().chars() {
        let before = out.len();
        // Bidirectional controls are not `char::is_control`, and reorder what a person reads.
        let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || bidi {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > WORDS_BYTES_MAX {
            out.truncate(before);
            break;
        }
    }
    out
}

impl RuntimeError {
    /// Whether the same call may succeed later without anybody changing the bundle.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::TimedOut | Self::Io(_) | Self::NoSpace | Self::Protocol(_)
        )
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(e) => write!(f, "the container runtime does not answer: {e}"),
            Self::NotFound => f.write_str("the container runtime does not know it"),
            Self::Conflict(message) => write!(f, "already in use: {message}"),
            Self::NoSpace => f.write_str("no space left in the container runtime's store"),
            Self::Refused { status, message } => {
                write!(f, "the container runtime refused ({status}): {message}")
            }
            Self::Protocol(what) => write!(f, "unexpected answer of the container runtime: {what}"),
            Self::TimedOut => f.write_str("the container runtime took too long"),
            Self::Io(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for RuntimeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(e) | Self::Io(e) => Some(e),
            _ => None,
        }
    }
}

#[cfg(all(test, feature = "podman"))]
mod tests {
    use super::*;

    #[test]
    fn words_cannot_forge_log_lines_or_drive_terminals() {
        assert_eq!(clean("no such image\n"), "no such image");
        assert_eq!(clean("a\r\nb\x1b[2J\u{9b}c"), "a\\r\\nb\\u{1b}[2J\\u{9b}c");
        assert_eq!(clean("\u{202e}exe"), "\\u{202e}exe");
        assert_eq!(clean(&"é".repeat(1000)).len(), 512);
        assert!(clean(&"\x1b".repeat(1000)).len() <= 512);
    }
}
