//! Clauses B1 to B6, B9 to B13: framing, decoding, canonical form.

use std::io::Read;

use super::base::*;
use crate::manifest::{Extension, TYPE_TAG};
use crate::{Refused, read_head, verify};

#[test]
fn a_sound_bundle_is_accepted() {
    for manifest in [sample(), retired()] {
        let head = signed(&manifest);
        let bundle = verify(head.clone(), &trust()).unwrap();
        assert_eq!(bundle.manifest(), &manifest);
        assert_eq!(bundle.head(), head);
        assert_eq!(bundle.payload_offset(), head.len() as u64);
        assert_eq!(bundle.signers(), [release_key().id()]);
        let payload: u64 = manifest.blobs.iter().map(|blob| blob.stored_bytes).sum();
        assert_eq!(bundle.file_bytes(), head.len() as u64 + payload);
        let bytes = postcard::to_allocvec(&manifest).unwrap();
        assert_eq!(bundle.digest(), crate::Digest::of(&bytes));
    }
}

#[test]
fn every_byte_of_a_head_flipped_in_every_bit_is_refused() {
    let (good, trust) = (signed(&sample()), trust());
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let read = read_head(&mut bad.as_slice()).and_then(|head| verify(head, &trust));
            assert!(read.is_err(), "byte {at}, bit {bit}: accepted");
        }
    }
}

#[test]
fn truncated_at_every_length_is_refused() {
    let good = signed(&sample());
    for length in 0..good.len() {
        let refused = read_head(&mut &good[..length]).unwrap_err();
        assert_eq!(refused, Refused::Truncated, "{length}");
        assert!(
            verify(good[..length].to_vec(), &trust()).is_err(),
            "{length}"
        );
    }
}

#[test]
fn bytes_after_the_head_are_refused() {
    let mut head = signed(&sample());
    head.push(0);
    assert_eq!(verify(head, &trust()), Err(Refused::HeadTrailing));
}

#[test]
fn reading_a_head_leaves_the_payload() {
    let file = sample_file();
    let mut source = file.as_slice();
    let head = read_head(&mut source).unwrap();
    assert_eq!(head, signed(&sample()));
    assert_eq!(source, CONTENTS.concat());
}

#[test]
fn a_head_declared_too_long_or_empty_takes_no_memory() {
    /// A source that must not be read beyond the first twelve bytes.
    struct Preamble([u8; 12], usize);
    impl Read for Preamble {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let left = &self.0[self.1..];
            assert!(!left.is_empty(), "read beyond the declared length");
            let bytes = left.len().min(buffer.len());
            buffer[..bytes].copy_from_slice(&left[..bytes]);
            self.1 += bytes;
            Ok(bytes)
        }
    }
    for declared in [0, (1 << 20) + 1, i32::MAX as u32, 1 << 31, u32::MAX] {
        let mut preamble = *b"CORACLE\x01....";
        preamble[8..].copy_from_slice(&declared.to_le_bytes());
        let refused = read_head(&mut Preamble(preamble, 0)).unwrap_err();
        assert_eq!(refused, Refused::HeadLength(declared));
    }
}

#[test]
fn a_head_of_the_greatest_length_is_read_and_one_byte_more_is_not() {
    let mut file = b"CORACLE\x01".to_vec();
    file.extend((1u32 << 20).to_le_bytes());
    file.resize(12 + (1 << 20), 0);
    assert_eq!(read_head(&mut file.as_slice()), Ok(file.clone()));
    file.pop();
    assert_eq!(read_head(&mut file.as_slice()), Err(Refused::Truncated));
}

#[test]
fn another_magic_or_version_is_refused() {
    let good = signed(&sample());
    let mut elf = good.clone();
    elf[..4].copy_from_slice(b"\x7fELF");
    assert_eq!(verify(elf, &trust()), Err(Refused::Magic));
    for version in [0, 2, 255] {
        let mut other = good.clone();
        other[7] = version;
        assert_eq!(verify(other, &trust()), Err(Refused::Version(version)));
    }
}

#[test]
fn a_read_error_is_no_refusal() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::TimedOut.into())
        }
    }
    let refused = read_head(&mut Broken).unwrap_err();
    assert_eq!(refused, Refused::Read(std::io::ErrorKind::TimedOut));
    assert!(refused.is_retryable() && refused.clause().is_empty());
}

#[test]
fn a_signed_manifest_with_trailing_bytes_is_refused() {
    let mut bytes = postcard::to_allocvec(&sample()).unwrap();
    bytes.push(0);
    let head = sign(&bytes, &[&release_key()]);
    assert_eq!(verify(head, &trust()), Err(Refused::Manifest));
}

#[test]
fn a_signed_manifest_cut_at_every_length_is_refused() {
    let bytes = postcard::to_allocvec(&sample()).unwrap();
    for length in 1..bytes.len() {
        let head = sign(&bytes[..length], &[&release_key()]);
        assert!(verify(head, &trust()).is_err(), "{length}");
    }
}

#[test]
fn two_encodings_of_one_manifest_are_not_both_accepted() {
    // `seq` 7 as the varint 0x87 0x00 instead of 0x07.
    let bytes = postcard::to_allocvec(&sample()).unwrap();
    let at = 8 + 1 + "kiosk".len() + 1 + "1.2.3".len();
    assert_eq!(bytes[at], 7, "the test knows where seq lies");
    let mut longer = bytes.clone();
    longer.splice(at..=at, [0x87, 0x00]);
    let head = sign(&longer, &[&release_key()]);
    assert_eq!(verify(head, &trust()), Err(Refused::NotCanonical));
}

#[test]
fn another_document_signed_by_a_release_key_is_no_bundle() {
    let mut manifest = sample();
    manifest.tag = *b"crcl-key";
    assert_eq!(check(&manifest), Err(Refused::Tag));
    let head = sign(b"hello", &[&release_key()]);
    assert_eq!(verify(head, &trust()), Err(Refused::Tag));
    assert_eq!(&TYPE_TAG, b"crcl-app");
}

#[test]
fn an_unknown_critical_extension_is_refused_and_others_are_passed_over() {
    let extension = |id, critical| Extension {
        id,
        critical,
        body: vec![],
    };
    let mut manifest = sample();
    manifest.extensions = vec![extension(1, false), extension(2, true)];
    assert_eq!(check(&manifest), Err(Refused::Extension(2)));
    manifest.extensions = vec![extension(1, false), extension(2, false)];
    assert!(check(&manifest).is_ok());
    manifest.extensions = vec![extension(1, false), extension(1, false)];
    assert_eq!(check(&manifest).unwrap_err().clause(), "B13");
}

#[test]
fn lists_declared_far_beyond_their_bounds_are_refused() {
    // The count of services is a varint; here it is 2^63.
    let mut bytes = postcard::to_allocvec(&retired()).unwrap();
    let after_keyring = {
        let mut shorter = retired();
        shorter.services = vec![bare_service("a", 0)];
        let with_one = postcard::to_allocvec(&shorter).unwrap();
        bytes
            .iter()
            .zip(&with_one)
            .position(|(a, b)| a != b)
            .unwrap()
    };
    bytes.splice(
        after_keyring..=after_keyring,
        [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    );
    let head = sign(&bytes, &[&release_key()]);
    assert_eq!(verify(head, &trust()), Err(Refused::Manifest));
}
