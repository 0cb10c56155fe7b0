//! A bundle as its bytes claim it is, for showing and for signing elsewhere.
//!
//! Nothing here is checked against a key: whoever acts on a bundle uses [`bundle::verify`].

use bundle::build::split;
use bundle::{Digest, KeyId, Manifest, Refused};

/// What a head claims.
pub(crate) struct Unverified {
    /// What the bundle says.
    pub(crate) manifest: Manifest,
    /// SHA-256 of the manifest bytes.
    pub(crate) digest: Digest,
    /// The keys that it claims to be signed by.
    pub(crate) keys: Vec<KeyId>,
}

/// Reads a whole head without checking signatures.
///
/// # Errors
/// [`Refused`] if framing or manifest cannot be decoded.
pub(crate) fn read(head: &[u8]) -> Result<Unverified, Refused> {
    let parts = split(head)?;
    let manifest = postcard::from_bytes(&parts.manifest).map_err(|_| Refused::Manifest)?;
    Ok(Unverified {
        manifest,
        digest: Digest::of(&parts.manifest),
        keys: parts.keys,
    })
}
