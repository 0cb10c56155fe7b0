//! Messages as bytes.
//!
//! A message only ever grows at its end: a reader takes what it knows and leaves the rest, so that
//! versions may differ by one (clause D3). Never takes more memory than the bytes that are there.

use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The bytes are not such a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError;

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are no such message of the device protocol")
    }
}

impl core::error::Error for DecodeError {}

/// The message as bytes.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    // Fails only for lists of unknown length and maps, which no message has.
    postcard::to_allocvec(message).unwrap_or_default()
}

/// The message at the start of these bytes; what follows it is a newer version's.
///
/// # Errors
/// [`DecodeError`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    postcard::take_from_bytes(bytes)
        .map(|(message, _)| message)
        .map_err(|_| DecodeError)
}
