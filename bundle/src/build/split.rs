//! Signatures made elsewhere: a head taken apart into the files that stock minisign works on,
//! and put together again.
//!
//! Never judges a signature: whoever puts one in verifies the outcome with [`crate::verify()`].

use super::error::BuildError;
use crate::error::Refused;
use crate::head::Head;
use crate::limits::SIGNATURES_MAX;
use crate::minisig::{KeyId, Record};

/// A head as the files that stock minisign works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What is signed: the content of `manifest.bin`.
    pub manifest: Vec<u8>,
    /// The text of each signature: `manifest.bin.minisig`, `manifest.bin.2.minisig` and so on.
    pub signatures: Vec<String>,
    /// The key id that each of them claims.
    pub keys: Vec<KeyId>,
}

/// Takes a head apart. A draft without signatures is taken apart, too.
///
/// # Errors
/// [`Refused`] if the framing is broken (clauses B1 to B6), or if the trusted comment of a
/// signature is not one line of text.
pub fn split(head: &[u8]) -> Result<Split, Refused> {
    let head = Head::parse(head)?;
    let signatures = head
        .records
        .iter()
        .map(|record| record.text().ok_or(Refused::SignatureFraming))
        .collect::<Result<_, _>>()?;
    Ok(Split {
        manifest: head.manifest.to_vec(),
        signatures,
        keys: head.records.iter().map(|record| record.key).collect(),
    })
}

/// Puts a signature (the text of a `.minisig` file over `manifest.bin`) into a head: in place of
/// the one by the same key, else as the last. The payload of the bundle stays as it is and
/// follows the new head, which has another length.
///
/// # Errors
/// [`BuildError::Signature`], [`BuildError::TooManySignatures`], [`BuildError::HeadTooLarge`],
/// or [`BuildError::Refused`] if the framing of the head is broken.
pub fn join(head: &[u8], minisig: &str) -> Result<Vec<u8>, BuildError> {
    let mut head = Head::parse(head)?;
    let record = Record::parse(minisig).ok_or(BuildError::Signature)?;
    match head.records.iter().position(|r| r.key == record.key) {
        Some(old) => head.records[old] = record,
        None if head.records.len() == SIGNATURES_MAX => return Err(BuildError::TooManySignatures),
        None => head.records.push(record),
    }
    head.encode().ok_or(BuildError::HeadTooLarge)
}
