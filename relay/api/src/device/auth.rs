//! What a device signs: the text that binds a signature to one request (clauses D10 to D14).
//!
//! Never signs or verifies: keys are the callers'.

use alloc::string::String;

use bundle::Digest;

/// The header with the device's id.
pub const HEADER_DEVICE: &str = "coracle-device";
/// The header with the challenge: in a request, the one that was signed; in an answer, the one for
/// the next request.
pub const HEADER_CHALLENGE: &str = "coracle-challenge";
/// The header with the signature: base64 (RFC 4648, section 5, without padding) of its 64 bytes.
pub const HEADER_SIGNATURE: &str = "coracle-signature";
/// The header with the protocol's version, a decimal number, in requests and answers.
pub const HEADER_PROTOCOL: &str = "coracle-protocol";

/// Most bytes of a challenge, which means nothing to a device: visible ASCII.
pub const CHALLENGE_BYTES_MAX: usize = 128;
/// How long a relay takes a challenge, in seconds after it was made.
pub const CHALLENGE_VALID_S: u64 = 600;

/// The text whose bytes a device signs with Ed25519 (RFC 8032) for one request: five lines, each
/// ended by a line feed.
///
/// `method` in capitals; `path` from `/device/` on, with `?` and the query where there is one, as
/// it stands in the request; `body` is the SHA-256 of the body's bytes, the empty body too.
///
/// ```
/// use relay_api::device::signed_text;
/// let text = signed_text("GET", "/device/v1/bundles/00", &bundle::Digest::of(b""), "c7");
/// let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// assert_eq!(text, format!("coracle device request 1\nGET\n/device/v1/bundles/00\n{empty}\nc7\n"));
/// ```
pub fn signed_text(method: &str, path: &str, body: &Digest, challenge: &str) -> String {
    let hex = body.hex();
    let lines = ["coracle device request 1", method, path, &hex, challenge];
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}
