//! Clauses B20 to B24: sizes, places, pieces.

use super::base::*;
use crate::Manifest;
use crate::limits::{BLOB_BYTES_MAX, BUNDLE_BYTES_MAX, PIECE_BYTES};
use crate::manifest::{Blob, BlobId, Encoding};

const PIECE: u64 = PIECE_BYTES as u64;

/// Makes the last blob, the file's, this large on the wire, with pieces to match.
fn resize(m: &mut Manifest, stored_bytes: u64) {
    let blob = &mut m.blobs[1];
    blob.stored_bytes = stored_bytes;
    blob.encoding = Encoding::Zstd;
    blob.pieces = if stored_bytes > PIECE && stored_bytes <= BLOB_BYTES_MAX {
        vec![blob.stored; stored_bytes.div_ceil(PIECE) as usize]
    } else {
        vec![]
    };
    let mut end = 0u64;
    for blob in &mut m.blobs {
        blob.offset = end;
        end = end.saturating_add(blob.stored_bytes);
    }
}

#[test]
fn sizes_around_the_integer_limits_are_taken_as_they_are() {
    let sizes = [0, 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1]
        .into_iter()
        .chain([(1u64 << 32) - 1, 1 << 32, (1 << 32) + 1, BLOB_BYTES_MAX]);
    for size in sizes {
        let mut m = sample();
        resize(&mut m, size);
        let bundle = check(&m).unwrap_or_else(|refused| panic!("{size}: {refused}"));
        let others: u64 = CONTENTS.iter().map(|c| c.len() as u64).sum();
        let expected = bundle.payload_offset() + others - CONTENTS[1].len() as u64 + size;
        assert_eq!(
            bundle.file_bytes(),
            expected,
            "{size}: the whole size counts"
        );
        m.blobs[1].plain_bytes = size;
        assert!(check(&m).is_ok(), "{size}");
    }
}

#[test]
fn sizes_beyond_the_limits_are_refused() {
    let sizes = [
        BLOB_BYTES_MAX + 1,
        1 << 63,
        i64::MAX as u64,
        u64::MAX - 1,
        u64::MAX,
    ];
    for size in sizes {
        let mut m = sample();
        resize(&mut m, size);
        assert_eq!(check(&m).unwrap_err().clause(), "B20", "stored {size}");
        let mut m = sample();
        resize(&mut m, 100);
        m.blobs[1].plain_bytes = size;
        assert_eq!(check(&m).unwrap_err().clause(), "B20", "plain {size}");
    }
}

#[test]
fn sizes_that_would_wrap_around_in_sum_are_refused() {
    // A sum of 2^64 wraps to 0, so that the blob after it would lie at the start again.
    let mut m = sample();
    let half = 1u64 << 63;
    m.blobs[0].stored_bytes = half;
    m.blobs[1].stored_bytes = half;
    m.blobs[1].offset = half;
    m.blobs[2].offset = 0;
    assert_eq!(check(&m).unwrap_err().clause(), "B20");
}

#[test]
fn many_blobs_within_their_own_limit_are_refused_beyond_that_of_the_bundle() {
    let of = |count: u64| {
        let mut m = sample();
        let pieces = (BLOB_BYTES_MAX / PIECE) as usize;
        let offset: u64 = m.blobs.iter().map(|blob| blob.stored_bytes).sum();
        for i in 0..count {
            let digest = crate::Digest::of(&i.to_le_bytes());
            m.blobs.push(Blob {
                stored: digest,
                stored_bytes: BLOB_BYTES_MAX / 64,
                plain: digest,
                plain_bytes: 1,
                offset: offset + i * (BLOB_BYTES_MAX / 64),
                encoding: Encoding::Zstd,
                pieces: vec![digest; pieces / 64],
            });
            m.images[(i % 2) as usize].layers.push(BlobId(5 + i as u16));
        }
        m
    };
    // The list of pieces of 64 GiB is larger than a head, so the rule is asked directly.
    let most = BUNDLE_BYTES_MAX / (BLOB_BYTES_MAX / 64) - 1;
    assert!(crate::verify::rules::check(&of(most)).is_ok());
    let refused = crate::verify::rules::check(&of(most + 1)).unwrap_err();
    assert_eq!(refused.clause(), "B20");
}

#[test]
fn gaps_overlaps_and_disorder_are_refused() {
    refuses(&[
        ("bytes before the first blob", "B21", |m| {
            for blob in &mut m.blobs {
                blob.offset += 1;
            }
        }),
        ("a gap", "B21", |m| m.blobs[2].offset += 1),
        ("an overlap", "B21", |m| m.blobs[2].offset -= 1),
        ("two blobs at one place", "B21", |m| {
            m.blobs[2].offset = m.blobs[1].offset
        }),
        ("an offset near 2^64", "B21", |m| {
            m.blobs[4].offset = u64::MAX
        }),
        ("another order", "B21", |m| m.blobs.swap(0, 1)),
    ]);
}

#[test]
fn wrong_numbers_of_pieces_are_refused() {
    refuses(&[
        ("a piece of a small blob", "B22", |m| {
            m.blobs[0].pieces = vec![m.blobs[0].stored];
        }),
        ("one piece too few", "B22", |m| {
            resize(m, 3 * PIECE);
            m.blobs[1].pieces.pop();
        }),
        ("one piece too many", "B22", |m| {
            resize(m, 3 * PIECE);
            let last = m.blobs[1].stored;
            m.blobs[1].pieces.push(last);
        }),
        ("no pieces of a large blob", "B22", |m| {
            resize(m, PIECE + 1);
            m.blobs[1].pieces.clear();
        }),
    ]);
    for (stored, pieces) in [
        (PIECE, 0),
        (PIECE + 1, 2),
        (2 * PIECE, 2),
        (2 * PIECE + 1, 3),
    ] {
        let mut m = sample();
        resize(&mut m, stored);
        assert_eq!(m.blobs[1].pieces.len(), pieces);
        assert!(check(&m).is_ok(), "{stored}");
    }
}

#[test]
fn raw_blobs_that_are_not_stored_as_they_are_are_refused() {
    refuses(&[
        ("another digest", "B23", |m| {
            m.blobs[0].plain = crate::Digest::of(b"x")
        }),
        ("another size", "B23", |m| m.blobs[0].plain_bytes += 1),
    ]);
}

#[test]
fn the_same_content_twice_is_refused() {
    refuses(&[("two blobs with one plain digest", "B24", |m| {
        let first = m.blobs[1].clone();
        let blob = &mut m.blobs[3];
        blob.plain = first.plain;
        blob.encoding = Encoding::Zstd;
    })]);
}
