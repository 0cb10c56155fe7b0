//! The stored bytes of a blob, piece by piece, each verified in memory (clause B71).
//!
//! Never hands out a byte that it has not hashed.

use crate::Digest;
use crate::error::Refused;
use crate::limits::PIECE_BYTES;
use crate::manifest::Blob;
use crate::payload::ReadAt;

/// Reads the pieces of one blob, in order.
pub(crate) struct Pieces<S> {
    source: S,
    /// Where the blob begins in the payload, for messages.
    offset: u64,
    /// Where the next piece begins in the source.
    at: u64,
    /// Stored bytes that are not read yet.
    left: u64,
    /// The digest of each piece; never empty.
    digests: Vec<Digest>,
    next: usize,
    buffer: Vec<u8>,
}

impl<S: ReadAt> Pieces<S> {
    /// The pieces of `blob`, whose payload begins at `payload_offset` of the source.
    pub(crate) fn new(source: S, blob: &Blob, payload_offset: u64) -> Self {
        let digests = if blob.pieces.is_empty() {
            vec![blob.stored]
        } else {
            blob.pieces.clone()
        };
        Self {
            source,
            offset: blob.offset,
            // Verified manifests end far below 2^64; saturating turns a bad one into an early end.
            at: payload_offset.saturating_add(blob.offset),
            left: blob.stored_bytes,
            digests,
            next: 0,
            buffer: Vec::new(),
        }
    }

    /// Whether every stored byte was read.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// The next piece, if there is one; a blob without bytes has none.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Refused> {
        if self.left == 0 {
            return Ok(None);
        }
        let refused = Refused::Piece {
            offset: self.offset,
            piece: self.next as u64,
        };
        let Some(digest) = self.digests.get(self.next) else {
            return Err(refused);
        };
        let bytes = self.left.min(u64::from(PIECE_BYTES));
        self.buffer.resize(bytes as usize, 0);
        self.source.read_exact_at(&mut self.buffer, self.at)?;
        if Digest::of(&self.buffer) != *digest {
            return Err(refused);
        }
        self.at = self.at.saturating_add(bytes);
        self.left -= bytes;
        self.next += 1;
        Ok(Some(&self.buffer))
    }

    /// The piece that [`Pieces::next`] gave last.
    pub(crate) fn current(&self) -> &[u8] {
        &self.buffer
    }
}
