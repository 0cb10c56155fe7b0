//! Which bytes of a bundle file to fetch, and where what comes goes.
//!
//! A blob is fetched piece by piece, since pieces are what can be verified: each has its digest in
//! the signed manifest. Pieces are fetched in the order of the file, so that the length of a spool
//! file says how far a fetch has come, to the byte. Never reads, writes or hashes: the shell does,
//! and says what it found.

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use bundle::limits::PIECE_BYTES;
use bundle::manifest::BlobId;
use bundle::{Digest, Manifest};

/// Spans that lie less than so many bytes apart are fetched in one request (clause D42): a request
/// more costs a round trip and a kilobyte of headers.
pub const GAP_BYTES_MAX: u64 = 64 << 10;

/// Bytes of the file from one place to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
}

impl Span {
    /// How many bytes it has.
    pub const fn bytes(self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// A piece of a blob: what is verified at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies in the file; never empty.
    pub span: Span,
    /// Its SHA-256.
    pub digest: Digest,
}

/// A piece that is not there whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The piece.
    pub piece: Piece,
    /// Its first byte that is lacking; those before are there, unverified.
    pub from: u64,
}

/// The pieces of these blobs in the order of the file, each once. A blob without bytes has none.
///
/// `payload_offset` is where the payload begins in the file. At most as many as the head has
/// digests.
pub fn pieces(manifest: &Manifest, payload_offset: u64, blobs: &[BlobId]) -> Vec<Piece> {
    let mut ids = blobs.to_vec();
    // Blobs lie in the payload in the order of their ids (clause B21).
    ids.sort_unstable();
    ids.dedup();
    let mut pieces = Vec::new();
    for blob in ids.iter().filter_map(|id| manifest.blob(*id)) {
        let start = payload_offset.saturating_add(blob.offset);
        let end = start.saturating_add(blob.stored_bytes);
        let one = [blob.stored];
        let digests = if blob.pieces.is_empty() {
            &one[..]
        } else {
            &blob.pieces[..]
        };
        let mut from = start;
        for digest in digests {
            let to = from.saturating_add(u64::from(PIECE_BYTES)).min(end);
            if from < to {
                pieces.push(Piece {
                    span: Span { from, to },
                    digest: *digest,
                });
            }
            from = to;
        }
    }
    pieces
}

/// What a spool file has of a piece, as far as its length says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing of it, or its beginning: this is its first byte that is lacking.
    Until(u64),
    /// The file goes on behind it. It may be there, in part, or a hole: its bytes tell.
    Perhaps,
}

/// What a spool file of this length has of a piece.
pub const fn held(piece: &Piece, file_bytes: u64) -> Held {
    let Span { from, to } = piece.span;
    if file_bytes <= from {
        Held::Until(from)
    } else if file_bytes < to {
        Held::Until(file_bytes)
    } else {
        Held::Perhaps
    }
}

/// Where to go on in a piece that has another digest, and behind which the file goes on.
///
/// It was filled from its beginning, and where nothing was written zeros are read: behind its last
/// byte that is no zero. If it was whole and is damaged, what comes then does not help, and it is
/// fetched again as a whole. `last_written` is the place of that byte, none if all are zeros.
pub const fn behind(piece: &Piece, last_written: Option<u64>) -> u64 {
    match last_written {
        // A whole piece with a wrong digest is of no use.
        Some(at) if at + 1 < piece.span.to => at + 1,
        _ => piece.span.from,
    }
}

/// The first request: the bytes to fetch, from the first that is lacking on, over gaps of less
/// than [`GAP_BYTES_MAX`]. None if nothing is lacking. `lacks` are in the order of the file.
pub fn first_span(lacks: &[Lack]) -> Option<Span> {
    let (first, rest) = lacks.split_first()?;
    let mut span = Span {
        from: first.from,
        to: first.piece.span.to,
    };
    for lack in rest {
        if lack.from.saturating_sub(span.to) >= GAP_BYTES_MAX {
            break;
        }
        span.to = lack.piece.span.to;
    }
    Some(span)
}

/// How many bytes are lacking.
pub fn lacking_bytes(lacks: &[Lack]) -> u64 {
    let bytes = |lack: &Lack| lack.piece.span.to.saturating_sub(lack.from);
    lacks.iter().map(bytes).fold(0, u64::saturating_add)
}

/// What becomes of bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// So many of them lie in a gap, and are not needed.
    Skip(u64),
    /// So many of them belong to a piece.
    Take {
        /// The piece that they belong to, and where in the file they do.
        lack: Lack,
        /// How many.
        bytes: u64,
        /// Whether the piece is whole with them.
        whole: bool,
    },
    /// More has come than was asked.
    Surplus,
}

/// Takes the bytes of one request, in their order, and knows what is lacking after any of them.
#[derive(Clone, Debug)]
pub struct Intake {
    /// What is lacking, the current piece first; reversed, so that it is taken off the end.
    lacks: Vec<Lack>,
    at: u64,
    to: u64,
}

impl Intake {
    /// Takes in the bytes of `span`, which [`first_span`] gave for these `lacks`.
    pub fn new(mut lacks: Vec<Lack>, span: Span) -> Self {
        lacks.reverse();
        Self {
            lacks,
            at: span.from,
            to: span.to,
        }
    }

    /// What becomes of the first of `available` bytes that have come; at least one is used, if
    /// there is one and it was asked for.
    pub fn place(&mut self, available: u64) -> Place {
        let room = available.min(self.to - self.at);
        if room == 0 {
            return Place::Surplus;
        }
        let Some(lack) = self.lacks.last_mut() else {
            return Place::Surplus;
        };
        let before = *lack;
        if self.at < lack.from {
            let bytes = room.min(lack.from - self.at);
            self.at += bytes;
            return Place::Skip(bytes);
        }
        let bytes = room.min(lack.piece.span.to - self.at);
        self.at += bytes;
        lack.from = self.at;
        let whole = self.at == lack.piece.span.to;
        if whole {
            self.lacks.pop();
        }
        Place::Take {
            lack: before,
            bytes,
            whole,
        }
    }

    /// A piece that has become whole is wrong: all of it is lacking again.
    pub fn again(&mut self, piece: Piece) {
        let from = piece.span.from;
        self.untaken(Lack { piece, from });
    }

    /// What [`Intake::place`] gave last could not be kept: this is lacking again.
    pub fn untaken(&mut self, lack: Lack) {
        self.lacks.retain(|other| other.piece != lack.piece);
        self.lacks.push(lack);
    }

    /// Whether everything that was asked has come.
    pub const fn is_done(&self) -> bool {
        self.at == self.to
    }

    /// What is lacking now, in the order of the file.
    pub fn into_lacks(mut self) -> Vec<Lack> {
        self.lacks.reverse();
        self.lacks
    }
}
