//! A bundle checked in all but its signatures, for hosts that store bundles and trust no key.
//!
//! Never makes a [`crate::VerifiedBundle`], so nothing of it can be staged anywhere.

use crate::error::Refused;
use crate::head::Head;
use crate::minisig::KeyId;
use crate::payload::{self, Depth, ReadAt};
use crate::verify::decode_and_check;
use crate::{Digest, Manifest};

/// A bundle that obeys every rule but those about who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedBundle {
    manifest: Manifest,
    digest: Digest,
    keys: Vec<KeyId>,
    head_bytes: u64,
}

impl UnsignedBundle {
    /// Checks a head: framing (B1 to B6), at least one signature record, the manifest (B9 to B13)
    /// and the rules between its fields. Whether the signatures hold is not asked.
    ///
    /// # Errors
    /// [`Refused`], with the first clause that is broken.
    pub fn check(head: &[u8]) -> Result<Self, Refused> {
        let parsed = Head::parse(head)?;
        if parsed.records.is_empty() {
            return Err(Refused::SignatureCount(0));
        }
        Ok(Self {
            manifest: decode_and_check(parsed.manifest)?,
            digest: Digest::of(parsed.manifest),
            keys: parsed.records.iter().map(|record| record.key).collect(),
            head_bytes: head.len() as u64,
        })
    }

    /// What the bundle says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest bytes: the identity of the bundle.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The keys that it claims to be signed by.
    pub fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// Checks the payload against the manifest, as [`crate::verify_payload`] does.
    ///
    /// # Errors
    /// Clauses B70 to B75, and [`Refused::Read`].
    pub fn verify_payload(
        &self,
        source: &dyn ReadAt,
        depth: Depth,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Refused> {
        payload::verify_blobs(&self.manifest, self.head_bytes, source, depth, progress)
    }
}
