//! From the bytes of a head to a [`VerifiedBundle`], in the order of the specification's clauses.
//!
//! Never decodes a manifest before a signature over it was verified, and never lets anything
//! outside the signed bytes change what it decides, save which trusted keys signed.

pub(crate) mod rules;

use crate::error::Refused;
use crate::head::Head;
use crate::manifest::TYPE_TAG;
use crate::minisig::KeyId;
use crate::payload::payload_bytes;
use crate::trust::TrustStore;
use crate::{Digest, Manifest};

/// A bundle whose head was verified: the signature, the decoding, every rule between fields.
/// Only [`verify`] makes one. Its payload is verified as it is read, see [`crate::payload`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBundle {
    head: Vec<u8>,
    manifest: Manifest,
    digest: Digest,
    signers: Vec<KeyId>,
}

impl VerifiedBundle {
    /// What the bundle says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest bytes: the identity of the bundle. Signatures are no part of it,
    /// so a bundle signed again by another key is the same bundle.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes of the head, from the magic to the end of the manifest.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The trusted keys that signed it and may sign this app, in the order of their signatures.
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// Where the payload begins in the bundle file, in bytes.
    pub fn payload_offset(&self) -> u64 {
        self.head.len() as u64
    }

    /// How many bytes the whole bundle file has.
    pub fn file_bytes(&self) -> u64 {
        self.payload_offset()
            .saturating_add(payload_bytes(&self.manifest))
    }
}

/// Verifies a head against the keys that this device trusts.
///
/// The order: framing (B1 to B6), signatures (B7, B8), and only then the manifest (B9 to B13)
/// and the rules between its fields (B20 on). Whether the bundle fits this device, is newer than
/// what it has or has expired, is for the caller to judge.
///
/// # Errors
/// [`Refused`], with the first clause that is broken.
pub fn verify(head: Vec<u8>, trust: &TrustStore) -> Result<VerifiedBundle, Refused> {
    let parsed = Head::parse(&head)?;
    let trusted = verify_signatures(&parsed, trust)?;
    let manifest = decode(parsed.manifest)?;
    let signers: Vec<KeyId> = trusted
        .into_iter()
        .filter(|key| trust.may_sign(*key, &manifest.app))
        .collect();
    if signers.is_empty() {
        return Err(Refused::Scope(manifest.app));
    }
    rules::check(&manifest)?;
    let digest = Digest::of(parsed.manifest);
    Ok(VerifiedBundle {
        head,
        manifest,
        digest,
        signers,
    })
}

/// Clauses B4, B7 and B8: gives the trusted keys that signed, at least one.
fn verify_signatures(head: &Head<'_>, trust: &TrustStore) -> Result<Vec<KeyId>, Refused> {
    if head.records.is_empty() {
        return Err(Refused::SignatureCount(0));
    }
    let mut trusted = Vec::new();
    for record in &head.records {
        let Some(key) = trust.find(record.key) else {
            continue;
        };
        if !key.verifies(record, head.manifest) {
            return Err(Refused::Signature(record.key));
        }
        trusted.push(record.key);
    }
    if trusted.is_empty() {
        let keys = head.records.iter().map(|record| record.key).collect();
        return Err(Refused::NoTrustedKey(keys));
    }
    Ok(trusted)
}

/// The clauses on a manifest alone (B9 to B11, B13, B20 on), for a bundle whose signatures do not
/// count, or are not there yet.
#[cfg(feature = "build")]
pub(crate) fn decode_and_check(bytes: &[u8]) -> Result<Manifest, Refused> {
    let manifest = decode(bytes)?;
    rules::check(&manifest)?;
    Ok(manifest)
}

/// Clauses B9 to B11.
fn decode(bytes: &[u8]) -> Result<Manifest, Refused> {
    // The tag lies first and has a fixed length, so another kind of document is told apart even
    // if it would not decode.
    if !bytes.starts_with(&TYPE_TAG) {
        return Err(Refused::Tag);
    }
    let (manifest, rest) =
        postcard::take_from_bytes::<Manifest>(bytes).map_err(|_| Refused::Manifest)?;
    if !rest.is_empty() {
        return Err(Refused::Manifest);
    }
    match postcard::to_allocvec(&manifest) {
        Ok(again) if again == bytes => Ok(manifest),
        _ => Err(Refused::NotCanonical),
    }
}
