//! Reads a bundle back as a device would, and says what it holds.
//!
//! Never trusts what the builder says about its own work.

use std::fs::File;
use std::path::{Path, PathBuf};

use bundle::build::SecretKey;
use bundle::{Depth, Digest, Refused, TrustStore};
use serde::Serialize;

use super::Request;
use super::error::PackError;
use super::progress::Progress;

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where the bundle is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its identity: `sha256:` and the digest of the manifest.
    pub digest: String,
    /// The app.
    pub app: String,
    /// The version.
    pub version: String,
    /// The sequence number.
    pub seq: u64,
    /// How many services it runs.
    pub services: usize,
    /// How many different images these have.
    pub images: usize,
    /// How many different layers these have.
    pub layers: usize,
    /// How many blobs the payload has.
    pub blobs: usize,
    /// What these are unpacked, in bytes.
    pub plain_bytes: u64,
    /// The ids of the keys that signed it.
    pub keys: Vec<String>,
}

/// Reads the bundle back as a device would, and says what it holds.
pub(super) fn check(
    path: &Path,
    digest: Digest,
    keys: &[SecretKey],
    request: &Request,
    progress: &Progress,
) -> Result<Report, PackError> {
    let io = |error| PackError::Io {
        path: path.to_path_buf(),
        error,
    };
    let mut file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let head = bundle::read_head(&mut file).map_err(PackError::SelfCheck)?;
    let manifest = if keys.is_empty() {
        // A draft: no device takes it, and whoever signs it checks it then.
        crate::unverified::read(&head)
            .map(|bundle| bundle.manifest)
            .map_err(PackError::SelfCheck)?
    } else {
        let texts = keys.iter().map(|key| (None, key.public_text())).collect();
        let trust = TrustStore::from_keys(texts)
            .map_err(|_| PackError::SelfCheck(Refused::NoTrustedKey(Vec::new())))?;
        let verified = bundle::verify(head, &trust).map_err(PackError::SelfCheck)?;
        progress.step("checking what was written", bytes);
        bundle::verify_payload(&verified, &file, Depth::Stored, &mut |done| {
            progress.set(done);
        })
        .map_err(PackError::SelfCheck)?;
        verified.manifest().clone()
    };
    let mut layers: Vec<_> = manifest
        .images
        .iter()
        .flat_map(|image| &image.layers)
        .collect();
    layers.sort();
    layers.dedup();
    Ok(Report {
        path: request.out.clone(),
        bytes,
        digest: digest.to_string(),
        app: manifest.app.to_string(),
        version: manifest.version.to_string(),
        seq: manifest.seq,
        services: manifest.services.len(),
        images: manifest.images.len(),
        layers: layers.len(),
        blobs: manifest.blobs.len(),
        plain_bytes: manifest.blobs.iter().map(|blob| blob.plain_bytes).sum(),
        keys: keys.iter().map(|key| key.id().to_string()).collect(),
    })
}
