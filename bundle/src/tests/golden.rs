//! Golden vectors: bundles of format version 1 that every later version must read alike.
//!
//! `tests/golden/` holds each bundle and, as text, what it says. `CORACLE_BLESS=1` writes them
//! anew; a difference in a committed one means that the format has changed.

use std::fs;
use std::path::PathBuf;

use super::base::*;
use crate::build::{Builder, Compression};
use crate::manifest::Image;
use crate::{Depth, Manifest, TrustStore, VerifiedBundle, oci, read_head, verify, verify_payload};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Compares with a committed file, or writes it if asked to.
fn is_golden(name: &str, content: &[u8]) {
    if std::env::var_os("CORACLE_BLESS").is_some() {
        fs::write(path(name), content).unwrap();
    }
    let golden = fs::read(path(name)).unwrap();
    assert!(golden == content, "{name} is not what this version writes");
}

/// Reads a committed bundle as a device does, to its last byte.
fn accepted(name: &str) -> VerifiedBundle {
    let keys = fs::read_to_string(path("release.pub")).unwrap();
    let trust = TrustStore::from_keys(vec![(None, keys)]).unwrap();
    let file = fs::File::open(path(name)).unwrap();
    let bundle = verify(read_head(&mut &file).unwrap(), &trust).unwrap();
    verify_payload(&bundle, &file, Depth::Plain, &mut |_| {}).unwrap();
    bundle
}

fn build(manifest: Manifest, contents: &[&[u8]], compression: Compression) -> Vec<u8> {
    let spool = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(spool.path());
    for mut content in contents.iter().copied() {
        builder
            .add_blob(&mut content, compression, &mut |_| {})
            .unwrap();
    }
    let mut file = Vec::new();
    builder
        .finish(manifest, &[release_key()], &mut file)
        .unwrap();
    file
}

fn without_blobs(manifest: Manifest) -> Manifest {
    Manifest {
        blobs: vec![],
        ..manifest
    }
}

#[test]
fn every_part_of_the_format_is_written_and_read_as_ever() {
    let file = build(without_blobs(sample()), &CONTENTS, Compression::None);
    is_golden("kiosk.bin", &file);
    let bundle = accepted("kiosk.bin");
    assert_eq!(bundle.manifest(), &sample());
    let said = format!("digest: {}\n{:#?}\n", bundle.digest(), bundle.manifest());
    is_golden("kiosk.txt", said.as_bytes());
}

#[test]
fn a_retired_app_is_written_and_read_as_ever() {
    is_golden("retired.bin", &build(retired(), &[], Compression::None));
    assert_eq!(accepted("retired.bin").manifest(), &retired());
}

#[test]
fn a_compressed_payload_is_read_as_ever() {
    // Only read: another version of zstd may well compress better.
    let layer = b"all work and no play makes jack a dull boy\n".repeat(4096);
    let manifest = Manifest {
        services: vec![bare_service("a", 0)],
        images: vec![Image {
            config: crate::manifest::BlobId(0),
            layers: vec![crate::manifest::BlobId(1)],
        }],
        ..retired()
    };
    if std::env::var_os("CORACLE_BLESS").is_some() {
        let file = build(manifest, &[b"{}", &layer], Compression::default());
        fs::write(path("zstd.bin"), file).unwrap();
    }
    let bundle = accepted("zstd.bin");
    assert_eq!(bundle.manifest().blobs[1].plain, crate::Digest::of(&layer));
    assert!(bundle.file_bytes() < 1000);
}

#[test]
fn the_oci_manifest_of_an_image_is_written_as_ever() {
    let (json, digest) = oci::image_manifest(&sample(), crate::manifest::ImageId(0)).unwrap();
    is_golden("image-manifest.json", &json);
    assert_eq!(digest, crate::Digest::of(&json));
    assert!(oci::image_manifest(&sample(), crate::manifest::ImageId(2)).is_none());
}

/// The bytes that a line of the specification's example shows: where they begin, those before
/// the `…`, and those after it.
fn shown(line: &str) -> Option<(usize, Vec<u8>, Vec<u8>)> {
    let (offset, rest) = line.split_once("  ")?;
    let offset = usize::from_str_radix(offset, 16).ok()?;
    let (before, after) = match rest.split("   ").next()?.split_once('…') {
        Some(halves) => halves,
        None => (rest.split("   ").next()?, ""),
    };
    let bytes = |text: &str| {
        text.split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect()
    };
    Some((offset, bytes(before), bytes(after)))
}

#[test]
fn the_example_of_the_specification_is_the_file_byte_for_byte() {
    let file = fs::read(path("retired.bin")).unwrap();
    let text = fs::read_to_string(path("../../../docs/bundle-format.md")).unwrap();
    let example = text.split("### Example").nth(1).unwrap();
    let lines: Vec<_> = example.lines().filter_map(shown).collect();
    assert!(lines.len() > 15);
    for (i, (offset, before, after)) in lines.iter().enumerate() {
        let end = lines.get(i + 1).map_or(file.len(), |next| next.0);
        let bytes = &file[*offset..end];
        assert!(bytes.starts_with(before), "at {offset:x}");
        assert!(bytes.ends_with(after), "at {offset:x}");
        let whole = after.is_empty();
        assert!(
            !whole || bytes.len() == before.len(),
            "at {offset:x}: not all is shown"
        );
    }
}
