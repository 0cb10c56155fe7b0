//! Which bytes are fetched: tables for the rules, and any bundle broken off anywhere.

use alloc::vec;
use alloc::vec::Vec;

use bundle::manifest::{Blob, Encoding};
use proptest::prelude::*;

use super::*;
use crate::fixtures::manifest;

const MIB: u64 = 1 << 20;

/// A manifest with blobs of these lengths, back to back.
fn with_blobs(lengths: &[u64]) -> Manifest {
    let mut manifest = manifest();
    let mut offset = 0;
    manifest.blobs.clear();
    for (n, stored_bytes) in lengths.iter().copied().enumerate() {
        let pieces: Vec<Digest> = (0..stored_bytes.div_ceil(MIB))
            .map(|piece| Digest::of(&[n as u8, piece as u8]))
            .collect();
        manifest.blobs.push(Blob {
            stored: pieces.first().copied().unwrap_or(Digest::of(b"")),
            stored_bytes,
            plain: Digest::of(&[n as u8]),
            plain_bytes: stored_bytes,
            offset,
            encoding: Encoding::Raw,
            pieces: if pieces.len() > 1 { pieces } else { vec![] },
        });
        offset += stored_bytes;
    }
    manifest
}

fn spans(pieces: &[Piece]) -> Vec<(u64, u64)> {
    pieces.iter().map(|p| (p.span.from, p.span.to)).collect()
}

fn ids(places: &[u16]) -> Vec<BlobId> {
    places.iter().copied().map(BlobId).collect()
}

/// All of these pieces are lacking, from their first byte on.
fn all(pieces: &[Piece]) -> Vec<Lack> {
    let whole = |piece: &Piece| Lack {
        piece: *piece,
        from: piece.span.from,
    };
    pieces.iter().map(whole).collect()
}

/// Every request that these lacks take, if nothing breaks off.
fn requests(mut lacks: Vec<Lack>) -> Vec<(u64, u64)> {
    let mut requests = vec![];
    while let Some(span) = first_span(&lacks) {
        requests.push((span.from, span.to));
        let mut intake = Intake::new(lacks, span);
        let mut left = span.bytes();
        while left > 0 {
            left -= match intake.place(left) {
                Place::Skip(bytes) | Place::Take { bytes, .. } => bytes,
                Place::Surplus => panic!("asked for, and not taken"),
            };
        }
        assert!(intake.is_done());
        lacks = intake.into_lacks();
    }
    requests
}

#[test]
fn blobs_are_cut_into_pieces_in_the_order_of_the_file() {
    let manifest = with_blobs(&[10, 0, 2 * MIB + 1, MIB]);
    assert_eq!(
        spans(&pieces(&manifest, 100, &ids(&[3, 0, 2, 1, 0]))),
        [
            (100, 110),
            (110, 110 + MIB),
            (110 + MIB, 110 + 2 * MIB),
            (110 + 2 * MIB, 111 + 2 * MIB),
            (111 + 2 * MIB, 111 + 3 * MIB),
        ]
    );
    assert_eq!(
        pieces(&manifest, 0, &ids(&[2]))[1].digest,
        Digest::of(&[2, 1])
    );
    assert_eq!(pieces(&manifest, 0, &ids(&[9])), []);
}

#[test]
fn blobs_less_than_64_kib_apart_come_in_one_request() {
    for (gap, count) in [(0, 1), (GAP_BYTES_MAX - 1, 1), (GAP_BYTES_MAX, 2)] {
        let manifest = with_blobs(&[10, gap, 20]);
        let requests = requests(all(&pieces(&manifest, 0, &ids(&[0, 2]))));
        assert_eq!(requests.len(), count, "{gap}");
    }
}

#[test]
fn the_length_tells_where_to_go_on() {
    let piece = pieces(&with_blobs(&[50, 50]), 0, &ids(&[1]))[0];
    for (length, expected) in [
        (0, Held::Until(50)),
        (50, Held::Until(50)),
        (51, Held::Until(51)),
        (99, Held::Until(99)),
        (100, Held::Perhaps),
        (1000, Held::Perhaps),
    ] {
        assert_eq!(held(&piece, length), expected, "{length}");
    }
}

#[test]
fn a_hole_goes_on_behind_what_was_written_and_a_damaged_piece_begins_anew() {
    let piece = pieces(&with_blobs(&[50, 50]), 0, &ids(&[1]))[0];
    for (last_written, expected) in [(None, 50), (Some(50), 51), (Some(98), 99), (Some(99), 50)] {
        assert_eq!(behind(&piece, last_written), expected, "{last_written:?}");
    }
}

#[test]
fn more_than_was_asked_is_not_taken() {
    let lacks = all(&pieces(&with_blobs(&[10]), 0, &ids(&[0])));
    let mut intake = Intake::new(lacks.clone(), first_span(&lacks).unwrap());
    assert!(matches!(
        intake.place(1000),
        Place::Take {
            bytes: 10,
            whole: true,
            ..
        }
    ));
    assert_eq!(intake.place(1), Place::Surplus);
}

#[test]
fn a_wrong_piece_is_lacking_from_its_first_byte_on() {
    let lacks = all(&pieces(&with_blobs(&[10, 10]), 0, &ids(&[0, 1])));
    let mut intake = Intake::new(lacks.clone(), first_span(&lacks).unwrap());
    let Place::Take {
        lack, whole: true, ..
    } = intake.place(15)
    else {
        panic!()
    };
    intake.again(lack.piece);
    assert_eq!(intake.into_lacks(), lacks);
}

proptest! {
    /// Whatever blobs are wanted, wherever it breaks off, however the bytes are sliced: each byte
    /// that is needed is fetched once, in the order of the file, and gaps stay small.
    #[test]
    fn every_byte_is_fetched_once_whatever_breaks(
        lengths in prop::collection::vec(
            prop_oneof![0..200u64, 60_000..70_000u64, MIB - 1..MIB + 2, 2 * MIB..3 * MIB],
            1..10,
        ),
        wanted in prop::collection::vec(any::<bool>(), 10),
        breaks in prop::collection::vec(1..2 * MIB, 0..30),
        slice in 1..100_000u64,
        offset in 12..5000u64,
    ) {
        let manifest = with_blobs(&lengths);
        let blobs: Vec<BlobId> = (0..lengths.len() as u16)
            .filter(|n| wanted[usize::from(*n)])
            .map(BlobId)
            .collect();
        let all_pieces = pieces(&manifest, offset, &blobs);
        let needed: u64 = blobs.iter().map(|id| lengths[usize::from(id.0)]).sum();
        let mut lacks = all(&all_pieces);
        prop_assert_eq!(lacking_bytes(&lacks), needed);
        let mut breaks = breaks.into_iter();
        let (mut got, mut last, mut skipped, mut whole_pieces) = (0, 0, 0, vec![]);
        // What a spool file's length would be.
        let mut file_bytes = 0;
        while let Some(span) = first_span(&lacks) {
            prop_assert!(span.from >= last, "{} < {last}", span.from);
            let mut left = breaks.next().unwrap_or(u64::MAX).min(span.bytes());
            let mut intake = Intake::new(lacks, span);
            while left > 0 {
                match intake.place(left.min(slice)) {
                    Place::Skip(bytes) => {
                        prop_assert!(bytes < GAP_BYTES_MAX);
                        (skipped, left) = (skipped + bytes, left - bytes);
                    }
                    Place::Take { lack, bytes, whole } => {
                        prop_assert!(lack.from >= last);
                        last = lack.from + bytes;
                        file_bytes = last;
                        (got, left) = (got + bytes, left - bytes);
                        if whole {
                            whole_pieces.push(lack.piece);
                        }
                    }
                    Place::Surplus => prop_assert!(false, "asked for, and not taken"),
                }
            }
            lacks = intake.into_lacks();
            // A restart knows only the file; it must come to the same.
            let again: Vec<Lack> = all_pieces
                .iter()
                .filter_map(|piece| match held(piece, file_bytes) {
                    Held::Until(from) => Some(Lack { piece: *piece, from }),
                    Held::Perhaps => {
                        assert!(whole_pieces.contains(piece));
                        None
                    }
                })
                .collect();
            prop_assert_eq!(&again, &lacks);
        }
        prop_assert_eq!(got, needed);
        prop_assert_eq!(whole_pieces, all_pieces);
        prop_assert!(skipped < lengths.len() as u64 * GAP_BYTES_MAX * 31);
    }
}
