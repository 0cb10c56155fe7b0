//! The device protocol: requests that a device sends over HTTPS, each signed with its own key.
//!
//! `docs/device-protocol.md` is the specification; its clauses are quoted here. Bodies are
//! postcard, read by [`decode`], which lets a message of a newer version have more at its end.

mod auth;
mod check_in;
mod codec;
mod enroll;
mod report;
#[cfg(test)]
mod tests;

pub use auth::{
    CHALLENGE_BYTES_MAX, CHALLENGE_VALID_S, HEADER_CHALLENGE, HEADER_DEVICE, HEADER_PROTOCOL,
    HEADER_SIGNATURE, signed_text,
};
pub use check_in::{
    Answer, AppFacts, AppPhase, AppVariables, CheckIn, Desired, DeviceFacts, LONG_POLL_S_MAX,
    Running, ServiceFacts, ServiceState,
};
pub use codec::{DecodeError, decode, encode};
pub use enroll::{EnrollAnswer, EnrollRequest, TOKEN_BYTES_MAX};
pub use report::{EVIDENCE_LINES_MAX, Event, Evidence, Report, ReportKey, UpdateResult, Updated};

/// The version of the protocol that this release speaks (clause D2).
pub const PROTOCOL: u16 = 1;

/// `GET`, with the device's id in [`HEADER_DEVICE`] and unsigned: a challenge, in the header
/// [`HEADER_CHALLENGE`] of the answer.
pub const PATH_CHALLENGE: &str = "/device/v1/challenge";
/// `POST` of an [`EnrollRequest`]; answer: [`EnrollAnswer`].
pub const PATH_ENROLL: &str = "/device/v1/enroll";
/// `POST` of a [`CheckIn`]; answer: [`Answer`].
pub const PATH_CHECK_IN: &str = "/device/v1/check-in";
/// `PUT` of a [`Report`] at this path, `/` and its [`ReportKey`].
pub const PATH_REPORTS: &str = "/device/v1/reports";
/// `GET` or `HEAD` of a bundle file at this path, `/` and the hexadecimal SHA-256 of the file.
pub const PATH_BUNDLES: &str = "/device/v1/bundles";

/// The content type of bodies in postcard.
pub const CONTENT_TYPE: &str = "application/vnd.coracle.postcard";

/// Most bytes of the body of a check-in: twelve apps with 64 services each take 100 KiB.
pub const CHECK_IN_BYTES_MAX: usize = 256 << 10;
/// Most bytes of an answer to a check-in: variables are most of it.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a report: 200 lines of evidence for each of a few services.
pub const REPORT_BYTES_MAX: usize = 256 << 10;
/// Most bytes of an enrolment, either way.
pub const ENROLL_BYTES_MAX: usize = 16 << 10;
/// Most bytes of the JSON that explains a refusal.
pub const ERROR_BYTES_MAX: usize = 4 << 10;

/// Whether a peer that speaks `other` is understood: versions may differ by one (clause D2).
pub const fn understands(other: u16) -> bool {
    other != 0 && other.abs_diff(PROTOCOL) <= 1
}
