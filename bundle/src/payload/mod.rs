//! The payload: blobs, read piece by piece, each piece hashed before anything decodes it.
//!
//! Never holds more than one piece, one zstd window and a small state, however large a blob is.

mod pieces;
mod read_at;
mod reader;

pub use read_at::ReadAt;
pub use reader::BlobReader;

use std::io::Read;

use sha2::{Digest as _, Sha256};

use crate::error::Refused;
use crate::manifest::Blob;
use crate::verify::VerifiedBundle;
use crate::{Digest, Manifest};
use pieces::Pieces;

/// How deep [`verify_payload`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every stored byte: nothing is damaged.
    Stored,
    /// Every stored byte, and what it decodes to: the bundle was packed soundly.
    Plain,
}

/// Checks the payload of a bundle against its manifest: the length of the file, then each blob.
/// `progress` is told how many bytes of the payload are done, after each piece.
///
/// # Errors
/// Clauses B70 to B75, and [`Refused::Read`].
pub fn verify_payload(
    bundle: &VerifiedBundle,
    source: &dyn ReadAt,
    depth: Depth,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Refused> {
    verify_blobs(
        bundle.manifest(),
        bundle.payload_offset(),
        source,
        depth,
        progress,
    )
}

/// How many bytes the payload has.
pub(crate) fn payload_bytes(manifest: &Manifest) -> u64 {
    // Blobs lie back to back (B21), so the last one ends the payload; the sum was checked.
    let last = manifest.blobs.last();
    last.map_or(0, |blob| blob.offset.saturating_add(blob.stored_bytes))
}

/// [`verify_payload`] of a manifest whose rules were checked, whose payload begins at
/// `payload_offset`.
pub(crate) fn verify_blobs(
    manifest: &Manifest,
    payload_offset: u64,
    source: &dyn ReadAt,
    depth: Depth,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Refused> {
    let expected = payload_offset.saturating_add(payload_bytes(manifest));
    let found = source.len()?;
    if found != expected {
        return Err(Refused::FileLength { expected, found });
    }
    let mut done = 0;
    for blob in &manifest.blobs {
        verify_stored(source, blob, payload_offset, &mut done, progress)?;
        if depth == Depth::Plain {
            let mut reader = BlobReader::new(source, blob, payload_offset);
            drain(&mut reader)?;
        }
    }
    Ok(())
}

/// Clauses B71 and B72.
fn verify_stored(
    source: &dyn ReadAt,
    blob: &Blob,
    payload_offset: u64,
    done: &mut u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Refused> {
    let mut pieces = Pieces::new(source, blob, payload_offset);
    let mut hasher = Sha256::new();
    while let Some(piece) = pieces.next()? {
        hasher.update(piece);
        *done += piece.len() as u64;
        progress(*done);
    }
    if Digest::of_hasher(hasher) != blob.stored {
        return Err(Refused::Stored {
            offset: blob.offset,
        });
    }
    Ok(())
}

fn drain(reader: &mut dyn Read) -> Result<(), Refused> {
    let mut scratch = vec![0; 64 << 10];
    while reader.read(&mut scratch)? > 0 {}
    Ok(())
}
