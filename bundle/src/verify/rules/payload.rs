//! Clauses B20 to B24: sizes, places and encodings of blobs.
//!
//! All arithmetic is checked: a size near 2^64 is out of bounds, never small (RAUC
//! CVE-2026-34155).

use super::ensure;
use crate::Manifest;
use crate::error::{Refused, Rule};
use crate::limits::{BLOB_BYTES_MAX, BUNDLE_BYTES_MAX, PIECE_BYTES};
use crate::manifest::{Blob, Encoding};

const SIZE: Rule = Rule {
    clause: "B20",
    text: "a blob has at most 16 GiB, stored and plain, and the payload at most 64 GiB",
};
const CONTIGUOUS: Rule = Rule {
    clause: "B21",
    text: "blobs lie back to back from the start of the payload",
};
const PIECES: Rule = Rule {
    clause: "B22",
    text: "a blob of more than one piece lists the digest of each piece, any other lists none",
};
const RAW: Rule = Rule {
    clause: "B23",
    text: "a raw blob is stored as it is: same size, same digest",
};
const DUPLICATE: Rule = Rule {
    clause: "B24",
    text: "the same content lies in the payload once",
};

pub(super) fn check(manifest: &Manifest) -> Result<(), Refused> {
    let mut end = 0u64;
    for (i, blob) in manifest.blobs.iter().enumerate() {
        let place = || format!("blob {i}");
        ensure(sizes_fit(blob), SIZE, place)?;
        ensure(blob.offset == end, CONTIGUOUS, place)?;
        let next = end.checked_add(blob.stored_bytes);
        ensure(next.is_some_and(|n| n <= BUNDLE_BYTES_MAX), SIZE, place)?;
        end = next.unwrap_or(u64::MAX);
        ensure(pieces_fit(blob), PIECES, place)?;
        ensure(raw_fits(blob), RAW, place)?;
    }
    let mut plain: Vec<_> = manifest.blobs.iter().map(|blob| blob.plain).collect();
    plain.sort_unstable();
    match plain.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => ensure(false, DUPLICATE, || format!("blob {}", pair[0].short())),
        None => Ok(()),
    }
}

fn sizes_fit(blob: &Blob) -> bool {
    blob.stored_bytes <= BLOB_BYTES_MAX && blob.plain_bytes <= BLOB_BYTES_MAX
}

fn pieces_fit(blob: &Blob) -> bool {
    let expected = if blob.stored_bytes <= u64::from(PIECE_BYTES) {
        0
    } else {
        blob.piece_count()
    };
    blob.pieces.len() as u64 == expected
}

fn raw_fits(blob: &Blob) -> bool {
    match blob.encoding {
        Encoding::Raw => blob.stored == blob.plain && blob.stored_bytes == blob.plain_bytes,
        Encoding::Zstd => true,
    }
}
