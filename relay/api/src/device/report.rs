//! Reports: what happened on a device, delivered at least once and stored once (D50 to D56).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use bundle::{AppName, Digest, ServiceName, VersionLabel};
use serde::{Deserialize, Serialize};

use super::codec::DecodeError;

/// Most lines of a service's log that go with a failure: the last ones.
pub const EVIDENCE_LINES_MAX: usize = 200;

/// The key of a report, made by the device: 16 bytes, shown as 32 lower-case hexadecimal digits.
/// The same key with the same body is the same report; with another body it is refused (409).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportKey(pub [u8; 16]);

impl ReportKey {
    /// The key of a report about something that these bytes name: the same in every attempt.
    pub fn of(what: &[u8]) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&Digest::of(what).as_bytes()[..16]);
        Self(key)
    }
}

impl fmt::Display for ReportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ReportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ReportKey {
    type Err = DecodeError;
    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(DecodeError),
        };
        let bytes: &[u8; 32] = text.as_bytes().try_into().map_err(|_| DecodeError)?;
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(bytes.chunks_exact(2)) {
            *to = digit(from[0])? << 4 | digit(from[1])?;
        }
        Ok(Self(key))
    }
}

/// Something that happened on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When, by the device's clock: seconds since 1970-01-01 UTC. May be wrong by years.
    pub at: u64,
    /// The app.
    pub app: AppName,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// An update ended, or was refused.
    Updated(Updated),
    /// A container ended by itself.
    Exited {
        /// Its service.
        service: ServiceName,
        /// The generation that it belonged to.
        generation: u32,
        /// Its exit code; 128 and the signal's number if a signal ended it.
        exit_code: i32,
        /// Whether the kernel ended it for want of memory.
        oom_killed: bool,
    },
    /// A health check began to pass, or to fail.
    Health {
        /// Its service.
        service: ServiceName,
        /// The generation that it belongs to.
        generation: u32,
        /// Whether it passes now.
        healthy: bool,
    },
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    /// How.
    pub result: UpdateResult,
    /// The version that it was about.
    pub version: VersionLabel,
    /// Its `seq`.
    pub seq: u64,
    /// The digest of its bundle.
    pub bundle: Digest,
    /// Its number on the device; none if it was refused.
    pub generation: Option<u32>,
    /// The rollout that wanted it; none if somebody on site did.
    pub rollout: Option<u64>,
    /// Why it did not go well, in words.
    pub cause: Option<String>,
    /// What runs now: each service with the digest of its image's configuration.
    pub running: Vec<(ServiceName, Digest)>,
    /// Of a version that failed: how its containers ended and what they wrote last.
    pub evidence: Vec<Evidence>,
}

/// How an update ended, in kinds; the words of `agent history --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateResult {
    /// It passed its trial.
    Committed,
    /// It failed, and the version before runs again.
    RolledBack,
    /// It failed before anything was stopped.
    Failed,
    /// It failed, and so did bringing the version before back.
    RollbackFailed,
    /// It may not run here.
    Refused,
    /// The app was removed.
    Removed,
}

/// How a container of a version that failed ended, and what it wrote last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Its service.
    pub service: ServiceName,
    /// Its exit code; none if it still ran.
    pub exit_code: Option<i32>,
    /// At most [`EVIDENCE_LINES_MAX`] lines, oldest first, control characters and all.
    pub lines: Vec<String>,
}
