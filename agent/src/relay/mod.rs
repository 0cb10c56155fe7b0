//! The relay, as the engine sees it: a port with one call for each thing a device says to it.
//!
//! `docs/device-protocol.md` is the specification. Behind the port, tests put a relay in memory
//! that breaks off, lies or answers garbage. Never decides when anything is sent, and never
//! trusts what comes: whoever gets bytes here verifies them.

mod address;
mod answer;
mod fetch;
mod http;
mod roots;
mod sign;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::io;
use std::rc::Rc;

use relay_api::device::{Answer, CheckIn, EnrollAnswer, ReportKey};

use crate::engine::Later;

pub(crate) use address::Address;
pub(crate) use http::{HttpRemote, Way};
pub(crate) use roots::{GIVEN_BYTES_MAX, Roots, check as check_roots};
pub(crate) use sign::DeviceKey;

/// A device's way to its relay.
pub(crate) trait Remote {
    /// Makes this device known with a one-time token.
    fn enroll(&self, token: String) -> Later<Result<EnrollAnswer, RemoteError>>;

    /// Says what runs, and learns what shall run. May take as long as the check-in lets it.
    fn check_in(&self, check_in: CheckIn) -> Later<Result<Answer, RemoteError>>;

    /// Delivers the bytes of a report; done means that the relay has them durably.
    fn report(&self, key: ReportKey, report: Vec<u8>) -> Later<Result<(), RemoteError>>;

    /// Fetches a range of a file into `sink`, which is called where it may block.
    fn fetch(&self, range: Range, sink: Sink) -> Later<Result<Fetched, RemoteError>>;
}

/// A range of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// An absolute URL, or a path at the relay (clause D40).
    pub(crate) url: String,
    /// The first byte.
    pub(crate) from: u64,
    /// The byte after the last.
    pub(crate) to: u64,
    /// The `ETag` that the file must have; none for the first request.
    pub(crate) etag: Option<String>,
}

/// Takes the bytes of a range in their order; an error of its own ends the fetch.
pub(crate) type Sink = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// What a server said of a file, besides its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Its strong `ETag`, if it has one.
    pub(crate) etag: Option<String>,
    /// Bytes of the whole file, if the server said so.
    pub(crate) file_bytes: Option<u64>,
}

/// Why the relay, or another server that has bundles, did not do it.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum RemoteError {
    /// Nobody answers, or the connection broke; in words.
    Unreachable(String),
    /// The server's certificate is not good; in words.
    Certificate(String),
    /// It is too busy, and says for how long, in seconds.
    Busy {
        /// `Retry-After`, at most a day.
        retry_after_s: u32,
    },
    /// It refuses, and says why.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its word for programs; may be empty.
        code: String,
        /// Its sentence for people.
        message: String,
        /// What it says to do; may be empty.
        hint: String,
    },
    /// What it answers makes no sense; in words.
    Garbage(&'static str),
    /// The file is another one than at the last request.
    Changed,
    /// It sends too slowly to ever end.
    Slow,
    /// What came could not be kept.
    Sink(io::Error),
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the relay does not answer: {why}"),
            Self::Certificate(why) => write!(f, "the relay's certificate is not good: {why}"),
            Self::Busy { retry_after_s } => {
                write!(f, "the relay is busy and asks to wait {retry_after_s} s")
            }
            Self::Refused {
                status, message, ..
            } if message.is_empty() => write!(f, "the relay refuses: HTTP status {status}"),
            Self::Refused { message, .. } => write!(f, "the relay refuses: {message}"),
            Self::Garbage(what) => write!(f, "the relay's answer makes no sense: {what}"),
            Self::Changed => f.write_str("the bundle at the server changed while it was fetched"),
            Self::Slow => f.write_str("the server sends too slowly"),
            Self::Sink(error) => write!(f, "what was fetched could not be kept: {error}"),
        }
    }
}

impl std::error::Error for RemoteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sink(error) => Some(error),
            _ => None,
        }
    }
}

/// Shared by whoever speaks to the relay.
pub(crate) type SharedRemote = Rc<dyn Remote>;
