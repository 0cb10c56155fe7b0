//! Clauses B70 to B75: damaged, swapped and hostile payloads.

use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;

use proptest::prelude::*;
use zstd_safe::{CCtx, CParameter};

use super::base::*;
use crate::build::{Builder, Compression};
use crate::limits::PIECE_BYTES;
use crate::manifest::{Blob, BlobId, Encoding};
use crate::{BlobReader, Depth, Digest, ReadAt, Refused, verify, verify_payload};

/// Verifies a whole bundle file, as `agent verify` does.
fn verify_file(file: &[u8], depth: Depth) -> Result<(), Refused> {
    let head = crate::read_head(&mut &file[..])?;
    let bundle = verify(head, &trust())?;
    verify_payload(&bundle, &file, depth, &mut |_| {})
}

/// A blob of these stored bytes, as a builder would describe it, whatever they are.
fn describe(stored: &[u8], plain: &[u8], encoding: Encoding) -> Blob {
    let piece = PIECE_BYTES as usize;
    Blob {
        stored: Digest::of(stored),
        stored_bytes: stored.len() as u64,
        plain: Digest::of(plain),
        plain_bytes: plain.len() as u64,
        offset: 0,
        encoding,
        pieces: if stored.len() > piece {
            stored.chunks(piece).map(Digest::of).collect()
        } else {
            vec![]
        },
    }
}

fn read(stored: &[u8], blob: &Blob) -> Result<Vec<u8>, Refused> {
    let mut out = Vec::new();
    BlobReader::new(stored, blob, 0).read_to_end(&mut out)?;
    Ok(out)
}

fn zstd(plain: &[u8], window_log: u32) -> Vec<u8> {
    let mut context = CCtx::create();
    context
        .set_parameter(CParameter::CompressionLevel(3))
        .unwrap();
    context
        .set_parameter(CParameter::WindowLog(window_log))
        .unwrap();
    let mut out = vec![0; zstd_safe::compress_bound(plain.len())];
    let bytes = context.compress2(&mut out[..], plain).unwrap();
    out.truncate(bytes);
    out
}

/// Bytes that zstd cannot shorten; the same every time.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A bundle of one image whose layer is this, built and signed as usual.
fn built(layer: &[u8]) -> Vec<u8> {
    let spool = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(spool.path());
    let mut add = |mut content: &[u8]| {
        builder
            .add_blob(&mut content, Compression::default(), &mut |_| {})
            .unwrap()
    };
    let mut manifest = retired();
    manifest.images = vec![crate::manifest::Image {
        config: add(b"{}"),
        layers: vec![add(layer)],
    }];
    manifest.services = vec![bare_service("a", 0)];
    let mut file = Vec::new();
    builder
        .finish(manifest, &[release_key()], &mut file)
        .unwrap();
    file
}

#[test]
fn a_sound_payload_is_accepted_and_progress_reaches_its_end() {
    let layer = [noise(3 << 20), vec![7; 3 << 20]].concat();
    for file in [sample_file(), built(&layer), signed(&retired())] {
        let bundle = verify(crate::read_head(&mut &file[..]).unwrap(), &trust()).unwrap();
        for depth in [Depth::Stored, Depth::Plain] {
            let mut seen = 0;
            let mut progress = |done| {
                assert!(done > seen);
                seen = done;
            };
            verify_payload(&bundle, &file, depth, &mut progress).unwrap();
            assert_eq!(seen, bundle.file_bytes() - bundle.payload_offset());
        }
    }
}

#[test]
fn every_byte_of_a_bundle_flipped_is_refused() {
    let good = sample_file();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        assert!(verify_file(&bad, Depth::Stored).is_err(), "byte {at}");
    }
}

#[test]
fn a_bundle_truncated_at_every_length_is_refused() {
    let good = sample_file();
    for length in 0..good.len() {
        let refused = verify_file(&good[..length], Depth::Stored).unwrap_err();
        let expected = matches!(refused, Refused::Truncated | Refused::FileLength { .. });
        assert!(expected, "{length}: {refused}");
    }
}

#[test]
fn trailing_bytes_and_bytes_between_blobs_are_refused() {
    let good = sample_file();
    let trailing = [&good[..], &[0]].concat();
    assert_eq!(
        verify_file(&trailing, Depth::Stored).unwrap_err().clause(),
        "B70"
    );
    let mut between = good.clone();
    between.insert(good.len() - 3, 0);
    assert_eq!(
        verify_file(&between, Depth::Stored).unwrap_err().clause(),
        "B70"
    );
    between.pop();
    assert_eq!(
        verify_file(&between, Depth::Stored).unwrap_err().clause(),
        "B71"
    );
}

#[test]
fn each_digest_swapped_in_turn_is_refused() {
    // Mix and match under a good signature: a builder at fault, or a key misused.
    let layer = [noise(2 << 20), vec![7; 1 << 20]].concat();
    let file = built(&layer);
    let head = crate::read_head(&mut &file[..]).unwrap();
    let payload = &file[head.len()..];
    let sound = verify(head, &trust()).unwrap().manifest().clone();
    let swaps: [(&str, Change); 6] = [
        ("B71", |m| m.blobs[1].pieces[0] = m.blobs[1].stored),
        ("B71", |m| m.blobs[1].pieces.swap(0, 1)),
        ("B71", |m| {
            *m.blobs[1].pieces.last_mut().unwrap() = m.blobs[0].plain
        }),
        ("B72", |m| m.blobs[1].stored = m.blobs[0].plain),
        ("B75", |m| m.blobs[1].plain = Digest::of(b"another layer")),
        ("B71", |m| {
            let blob = &mut m.blobs[0];
            blob.stored = Digest::of(b"another");
            blob.plain = blob.stored;
        }),
    ];
    for (i, (clause, swap)) in swaps.iter().enumerate() {
        let mut m = sound.clone();
        swap(&mut m);
        let file = [&signed(&m)[..], payload].concat();
        let refused = verify_file(&file, Depth::Plain).unwrap_err();
        assert_eq!(refused.clause(), *clause, "swap {i}: {refused}");
    }
}

#[test]
fn sizes_declared_other_than_they_are_are_refused() {
    let plain = vec![7; 100_000];
    let stored = zstd(&plain, 21);
    let good = describe(&stored, &plain, Encoding::Zstd);
    assert_eq!(read(&stored, &good), Ok(plain.clone()));
    for wrong in [
        0,
        1,
        plain.len() as u64 - 1,
        plain.len() as u64 + 1,
        u64::MAX,
    ] {
        let mut blob = good.clone();
        blob.plain_bytes = wrong;
        assert_eq!(read(&stored, &blob).unwrap_err().clause(), "B74", "{wrong}");
    }
}

#[test]
fn an_empty_blob_is_read() {
    let raw = describe(b"", b"", Encoding::Raw);
    assert_eq!(read(b"", &raw), Ok(vec![]));
    let framed = zstd(b"", 21);
    assert_eq!(
        read(&framed, &describe(&framed, b"", Encoding::Zstd)),
        Ok(vec![])
    );
    // No stored bytes are not a zstd frame.
    let none = describe(b"", b"", Encoding::Zstd);
    assert_eq!(read(b"", &none).unwrap_err().clause(), "B73");
}

#[test]
fn streams_that_are_not_one_zstd_frame_are_refused() {
    let plain = noise(5000);
    let frame = zstd(&plain, 21);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"junk"].concat();
    let twice = [&plain[..], &plain].concat();
    let attempts: [(&str, Vec<u8>, &[u8]); 7] = [
        ("not zstd", noise(100), &plain),
        ("cut", frame[..frame.len() - 1].to_vec(), &plain),
        ("a byte after it", [&frame[..], &[0]].concat(), &plain),
        ("two frames", [&frame[..], &frame].concat(), &twice),
        (
            "a skippable frame before it",
            [&skippable[..], &frame].concat(),
            &plain,
        ),
        (
            "a skippable frame after it",
            [&frame[..], &skippable].concat(),
            &plain,
        ),
        ("a skippable frame alone", skippable.clone(), b""),
    ];
    for (attempt, stored, plain) in attempts {
        let verdict = read(&stored, &describe(&stored, plain, Encoding::Zstd));
        if attempt == "a skippable frame alone" {
            // It decodes to nothing, as declared: harmless, and nobody's content is changed.
            assert_eq!(verdict, Ok(vec![]), "{attempt}");
        } else {
            assert_eq!(verdict.unwrap_err().clause(), "B73", "{attempt}");
        }
    }
}

#[test]
fn a_window_beyond_the_bound_is_refused() {
    let plain = noise(5 << 20);
    let within = zstd(&plain, 21);
    assert_eq!(
        read(&within, &describe(&within, &plain, Encoding::Zstd)),
        Ok(plain.clone())
    );
    let beyond = zstd(&plain, 23);
    let refused = read(&beyond, &describe(&beyond, &plain, Encoding::Zstd)).unwrap_err();
    assert_eq!(refused.clause(), "B73");
}

/// Peak resident memory of this process, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A zstd frame of 128 KiB blocks of one repeated byte (RFC 8878, RLE blocks): 4 bytes each.
fn rle_bomb(blocks: usize) -> Vec<u8> {
    let block_bytes = 128u32 << 10;
    // Magic; no content size, no checksum; window of 128 KiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3];
    for i in 0..blocks {
        let last = u32::from(i + 1 == blocks);
        let header = last | (1 << 1) | (block_bytes << 3);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b'x');
    }
    frame
}

#[test]
fn a_bomb_is_stopped_at_its_declared_size_and_memory_stays_bounded() {
    // 1 : 32,768 is the most that zstd blocks give; 1 : 10^6 by the declared size of 64 KiB: the
    // frame would fill 64 GiB, and the reader must stop after the first of these.
    let bomb = rle_bomb(1 << 19);
    assert_eq!(bomb.len(), (2 << 20) + 6);
    let mut blob = describe(&bomb, &[b'x'; 64 << 10], Encoding::Zstd);
    let mut given = 0u64;
    let before = peak_kib();
    let refused = drain(BlobReader::new(&bomb[..], &blob, 0), &mut given).unwrap_err();
    assert_eq!(refused.clause(), "B74");
    assert_eq!(given, 64 << 10, "never more than declared");

    // Declared as it is, 1 GiB of it: memory does not follow the size.
    blob.plain_bytes = 1 << 30;
    given = 0;
    let refused = drain(BlobReader::new(&bomb[..], &blob, 0), &mut given).unwrap_err();
    assert_eq!(refused.clause(), "B74");
    assert_eq!(given, 1 << 30);
    // Other tests run in this process too, so this is a bound on them all: they hold some tens
    // of MiB, a bomb would hold a GiB.
    let grown = peak_kib().saturating_sub(before);
    assert!(grown < 256 << 10, "grew by {grown} KiB");
}

fn drain(mut reader: impl Read, given: &mut u64) -> Result<(), Refused> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            bytes => *given += bytes as u64,
        }
    }
}

#[test]
fn nothing_is_decoded_before_its_piece_is_hashed() {
    let plain = noise(3 << 20);
    let mut stored = zstd(&plain, 21);
    let blob = describe(&stored, &plain, Encoding::Zstd);
    // A byte of the second piece: all that is given before comes from the first.
    stored[(1 << 20) + 5] ^= 1;
    let mut given = 0;
    let refused = drain(BlobReader::new(&stored[..], &blob, 0), &mut given).unwrap_err();
    assert_eq!(
        refused,
        Refused::Piece {
            offset: 0,
            piece: 1
        }
    );
    assert!(given <= 1 << 20, "{given}");
}

#[test]
fn a_refusal_stays_a_refusal() {
    let mut blob = describe(b"abc", b"abc", Encoding::Raw);
    blob.plain = Digest::of(b"xyz");
    let mut reader = BlobReader::new(&b"abc"[..], &blob, 0);
    let mut out = [0; 16];
    assert_eq!(reader.read(&mut out).unwrap(), 3);
    for _ in 0..3 {
        let refused = Refused::from(reader.read(&mut out).unwrap_err());
        assert_eq!(
            refused,
            Refused::Plain { offset: 0 },
            "an error, never the end"
        );
    }
}

#[test]
fn content_swapped_between_check_and_use_is_refused() {
    /// Gives the good bytes once, other bytes from then on.
    struct Swapped<'a>(&'a [u8], Cell<bool>);
    impl ReadAt for Swapped<'_> {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            self.0.read_exact_at(buffer, offset)?;
            if self.1.get() {
                buffer.fill(b'!');
            }
            Ok(())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }
    let file = sample_file();
    let bundle = verify(crate::read_head(&mut &file[..]).unwrap(), &trust()).unwrap();
    let medium = Swapped(&file, Cell::new(false));
    verify_payload(&bundle, &medium, Depth::Plain, &mut |_| {}).unwrap();
    medium.1.set(true);
    let blob = bundle.manifest().blob(BlobId(1)).unwrap();
    let mut out = Vec::new();
    let error = BlobReader::new(&medium, blob, bundle.payload_offset())
        .read_to_end(&mut out)
        .unwrap_err();
    assert_eq!(Refused::from(error).clause(), "B71");
    assert!(
        out.is_empty(),
        "not a byte of the swapped content came through"
    );
}

#[test]
fn a_source_that_fails_is_no_refusal_and_one_that_ends_early_is() {
    struct Broken;
    impl ReadAt for Broken {
        fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
            Err(io::Error::other("unplugged"))
        }
        fn len(&self) -> io::Result<u64> {
            Ok(3)
        }
    }
    let blob = describe(b"abc", b"abc", Encoding::Raw);
    let mut out = Vec::new();
    let error = BlobReader::new(Broken, &blob, 0)
        .read_to_end(&mut out)
        .unwrap_err();
    assert_eq!(Refused::from(error), Refused::Read(io::ErrorKind::Other));
    assert_eq!(read(b"ab", &blob), Err(Refused::Truncated));
    let error = BlobReader::new(&b"abc"[..], &blob, u64::MAX)
        .read_to_end(&mut out)
        .unwrap_err();
    assert_eq!(Refused::from(error), Refused::Truncated);
}

#[test]
fn a_reader_can_be_sent_to_another_thread() {
    let source: Arc<dyn ReadAt + Send + Sync> = Arc::new(b"abc".to_vec());
    let blob = describe(b"abc", b"abc", Encoding::Raw);
    let mut reader: Box<dyn Read + Send> = Box::new(BlobReader::new(source, &blob, 0));
    let read = std::thread::spawn(move || {
        let mut out = Vec::new();
        reader.read_to_end(&mut out).map(|_| out)
    });
    assert_eq!(read.join().unwrap().unwrap(), b"abc");
    let boxed: Box<dyn ReadAt + Send + Sync> = Box::new(b"abc".to_vec());
    assert_eq!(boxed.len().unwrap(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The streaming reader gives what decoding the whole at once gives, whatever the sizes.
    #[test]
    fn reading_in_pieces_equals_decoding_the_whole(
        length in prop_oneof![0usize..5000, (1usize << 20) - 3..(1 << 20) + 3, 2_000_000usize..2_500_000],
        noisy in any::<bool>(),
        window_log in 10u32..=21,
        step in prop_oneof![1usize..100, 4000usize..100_000],
        offset in 0usize..100,
    ) {
        let plain = if noisy { noise(length) } else { vec![3; length] };
        let framed = zstd(&plain, window_log);
        let mut whole = vec![0; length];
        zstd_safe::decompress(&mut whole[..], &framed).unwrap();
        prop_assert!(whole == plain);
        for (stored, encoding) in [(&framed, Encoding::Zstd), (&plain, Encoding::Raw)] {
            let source = [&vec![0xaa; offset][..], stored].concat();
            let mut blob = describe(stored, &plain, encoding);
            blob.offset = offset as u64 / 2;
            let mut reader = BlobReader::new(&source[..], &blob, offset as u64 - blob.offset);
            let mut out: Vec<u8> = Vec::with_capacity(length);
            let mut buffer = vec![0; step.max(length / 1000)];
            loop {
                match reader.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(bytes) => out.extend(&buffer[..bytes]),
                    Err(error) => panic!("{error}"),
                }
            }
            prop_assert!(out == plain);
        }
    }

    #[test]
    fn decoding_any_stored_bytes_never_panics(
        stored in prop::collection::vec(any::<u8>(), 0..300),
        plain_bytes in 0u64..1000,
    ) {
        let framed = [&[0x28, 0xb5, 0x2f, 0xfd][..], &stored].concat();
        for bytes in [stored, framed] {
            let mut blob = describe(&bytes, b"", Encoding::Zstd);
            blob.plain_bytes = plain_bytes;
            let mut given = 0;
            let _ = drain(BlobReader::new(&bytes[..], &blob, 0), &mut given);
            prop_assert!(given <= plain_bytes);
        }
    }

    #[test]
    fn reading_any_bytes_as_a_bundle_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        count in 0u8..6,
    ) {
        prop_assert!(crate::read_head(&mut &bytes[..]).is_err());
        let mut framed = b"CORACLE\x01".to_vec();
        framed.extend((bytes.len() as u32 + 1).to_le_bytes());
        framed.push(count);
        framed.extend(&bytes);
        prop_assert!(verify(framed, &trust()).is_err());
    }

    #[test]
    fn decoding_any_signed_bytes_as_a_manifest_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        at in 0usize..400,
    ) {
        let good = postcard::to_allocvec(&sample()).unwrap();
        let mut mixed = good.clone();
        let at = 8 + at % (good.len() - 8);
        let end = (at + bytes.len()).min(good.len());
        mixed.splice(at..end, bytes);
        let head = sign(&mixed, &[&release_key()]);
        if let Ok(bundle) = verify(head, &trust()) {
            prop_assert_eq!(postcard::to_allocvec(bundle.manifest()).unwrap(), mixed);
        }
    }
}
