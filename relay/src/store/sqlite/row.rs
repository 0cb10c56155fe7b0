//! From what the database holds to types, and back.
//!
//! Never panics on what it did not write: that is [`StoreError::Corrupt`].

use bundle::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::labels::{self, Labels};
use crate::store::{Result, StoreError};

/// A number of 64 bits as the database holds it: the same bits.
pub(super) const fn to_sql(number: u64) -> i64 {
    number as i64
}

/// The other way.
pub(super) const fn from_sql(number: i64) -> u64 {
    number as u64
}

/// 32 bytes: a digest, a hash, a key.
pub(super) fn bytes32(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt("a digest or key has not 32 bytes"))
}

/// A digest.
pub(super) fn digest(bytes: &[u8]) -> Result<Digest> {
    bytes32(bytes).map(Digest::from_bytes)
}

/// A name with a grammar, or a word.
pub(super) fn word<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| StoreError::Corrupt("a name breaks its grammar"))
}

/// Something in postcard.
pub(super) fn message<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    relay_api::device::decode(bytes)
        .map_err(|_| StoreError::Corrupt("a stored message cannot be decoded"))
}

/// Labels.
pub(super) fn labels_of(text: &str) -> Result<Labels> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt("labels cannot be decoded"))
}

/// Labels, to be stored.
pub(super) fn labels_text(labels: &Labels) -> String {
    json(&labels::texts(labels))
}

/// Something as JSON, to be stored.
pub(super) fn json(what: &impl Serialize) -> String {
    // Maps and lists of text always can be.
    serde_json::to_string(what).unwrap_or_default()
}
