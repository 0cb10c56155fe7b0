//! The builder: reproducible, and never writes what a device would refuse.

use std::fs;

use super::base::*;
use crate::build::{BuildError, Builder, Compression, KeyError, SecretKey, join, key, split};
use crate::manifest::{BlobId, Encoding};
use crate::{Depth, Manifest, Refused, TrustStore, read_head, verify, verify_payload};

/// The sample, its blobs compressed like this, signed by these keys.
fn build(
    compression: Compression,
    signers: &[SecretKey],
    change: fn(&mut Manifest),
) -> Result<Vec<u8>, BuildError> {
    let spool = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(spool.path());
    for mut content in CONTENTS {
        builder.add_blob(&mut content, compression, &mut |_| {})?;
    }
    let mut manifest = sample();
    manifest.blobs.clear();
    change(&mut manifest);
    let mut file = Vec::new();
    builder.finish(manifest, signers, &mut file)?;
    Ok(file)
}

fn check_file(file: &[u8], trust: &TrustStore) {
    let bundle = verify(read_head(&mut &file[..]).unwrap(), trust).unwrap();
    verify_payload(&bundle, &file, Depth::Plain, &mut |_| {}).unwrap();
}

/// Text that zstd shortens, in several pieces even so.
fn large() -> Vec<u8> {
    let mut state = 1u32;
    let mut word = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x} coracle ", state >> 8)
    };
    let mut out = Vec::new();
    while out.len() < 5 << 20 {
        out.extend(word().into_bytes());
    }
    out
}

#[test]
fn what_is_built_is_accepted() {
    for compression in [Compression::None, Compression::default()] {
        check_file(
            &build(compression, &[release_key()], |_| {}).unwrap(),
            &trust(),
        );
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let keys = || [release_key(), other_key()];
    let twice = [(); 2].map(|()| build(Compression::default(), &keys(), |_| {}).unwrap());
    assert!(twice[0] == twice[1]);
    let spools = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let compressed = spools.each_ref().map(|spool| {
        let mut builder = Builder::new(spool.path());
        builder
            .add_blob(&mut &large()[..], Compression::default(), &mut |_| {})
            .unwrap();
        assert_eq!(builder.blob(BlobId(0)).unwrap().encoding, Encoding::Zstd);
        fs::read(spool.path().join("blob-0")).unwrap()
    });
    assert!(compressed[0].len() > 1 << 20 && compressed[0] == compressed[1]);
}

#[test]
fn a_source_that_comes_in_drops_gives_the_same_bytes() {
    /// Gives at most seven bytes at a time.
    struct Drops<'a>(&'a [u8]);
    impl std::io::Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let bytes = buffer.len().min(7);
            self.0.read(&mut buffer[..bytes])
        }
    }
    let content = large();
    let spool = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(spool.path());
    let mut add = |source: &mut dyn std::io::Read| {
        builder
            .add_blob(source, Compression::default(), &mut |_| {})
            .unwrap()
    };
    assert_eq!(
        add(&mut &content[..]),
        add(&mut Drops(&content)),
        "found as the same blob"
    );
}

#[test]
fn the_same_content_is_stored_once() {
    let spool = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(spool.path());
    let mut add = |mut content: &[u8]| {
        let mut seen = vec![];
        let mut progress = |done| seen.push(done);
        let id = builder
            .add_blob(&mut content, Compression::default(), &mut progress)
            .unwrap();
        (id, seen.last().copied())
    };
    assert_eq!(add(b"one"), (BlobId(0), Some(3)));
    assert_eq!(add(b"three"), (BlobId(1), Some(5)));
    assert_eq!(
        add(b"one"),
        (BlobId(0), Some(3)),
        "progress is made even so"
    );
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 2);
}

#[test]
fn content_that_does_not_shrink_is_stored_raw() {
    let spool = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(spool.path());
    let mut encoding = |mut content: &[u8]| {
        let id = builder
            .add_blob(&mut content, Compression::default(), &mut |_| {})
            .unwrap();
        let blob = builder.blob(id).unwrap();
        assert!(blob.stored_bytes <= blob.plain_bytes);
        blob.encoding
    };
    assert_eq!(encoding(b""), Encoding::Raw);
    assert_eq!(encoding(b"short"), Encoding::Raw);
    assert_eq!(encoding(&[7; 4096]), Encoding::Zstd);
}

#[test]
fn what_a_device_would_refuse_is_not_written() {
    let refused = |change| match build(Compression::None, &[release_key()], change) {
        Err(BuildError::Refused(refused)) => refused.clause(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(|m| m.services[0].ports[0].host = 0), "B33");
    assert_eq!(refused(|m| m.files.clear()), "B25");
    assert_eq!(refused(|m| m.tag = *b"whatever"), "B11");
    let draft = build(Compression::None, &[], |m| m.services[0].ports[0].host = 0);
    assert!(
        matches!(draft, Err(BuildError::Refused(_))),
        "nor is it drafted"
    );
    let twice = build(Compression::None, &[release_key(), release_key()], |_| {});
    assert!(matches!(twice, Err(BuildError::DuplicateKey(_))));
    let five = [(); 5].map(|()| release_key());
    let five = build(Compression::None, &five, |_| {});
    assert!(matches!(five, Err(BuildError::TooManySignatures)));
    let listed = build(Compression::None, &[release_key()], |m| {
        m.blobs = sample().blobs
    });
    assert!(matches!(listed, Err(BuildError::ManifestHasBlobs)));
    let huge = build(Compression::None, &[release_key()], |m| {
        let line = text(&"x".repeat(16 << 10));
        m.services[0].command = Some(vec![line; 80]);
    });
    assert!(matches!(huge, Err(BuildError::HeadTooLarge)));
}

#[test]
fn a_draft_is_refused_until_it_is_signed_elsewhere() {
    let file = build(Compression::None, &[], |_| {}).unwrap();
    let draft = read_head(&mut &file[..]).unwrap();
    assert_eq!(
        verify(draft.clone(), &trust()),
        Err(Refused::SignatureCount(0))
    );
    let parts = split(&draft).unwrap();
    assert!(parts.signatures.is_empty());
    let minisig = release_key()
        .sign(&parts.manifest, "made elsewhere")
        .text()
        .unwrap();
    let head = join(&draft, &minisig).unwrap();
    let bundle = verify(head.clone(), &trust()).unwrap();
    assert_eq!(bundle.manifest().app, sample().app);
    check_file(&[&head[..], &file[draft.len()..]].concat(), &trust());
}

#[test]
fn split_and_join_are_inverse() {
    let head = sign(
        &postcard::to_allocvec(&sample()).unwrap(),
        &[&release_key(), &other_key()],
    );
    let parts = split(&head).unwrap();
    let mut again = sign(&parts.manifest, &[]);
    for minisig in &parts.signatures {
        again = join(&again, minisig).unwrap();
    }
    assert_eq!(again, head);
    for minisig in &parts.signatures {
        assert_eq!(
            join(&head, minisig).unwrap(),
            head,
            "a signature replaces its like"
        );
    }
}

#[test]
fn signatures_that_do_not_fit_a_bundle_are_not_joined() {
    let bytes = postcard::to_allocvec(&sample()).unwrap();
    let head = sign(&bytes, &[&release_key()]);
    let good = other_key().sign(&bytes, "x").text().unwrap();
    let lines: Vec<&str> = good.lines().collect();
    // `ED` begins a prehashed signature; `Ed` begins a legacy one.
    let legacy = good.replace("\nRUQ", "\nRWQ").replace("\nRUT", "\nRWT");
    assert_ne!(legacy, good);
    for bad in [
        String::new(),
        lines[..3].join("\n"),
        format!("{good}{good}"),
        good.replace(
            "trusted comment: x",
            &format!("trusted comment: {}", "x".repeat(256)),
        ),
        good.replace("trusted comment: x", "trusted comment: x\u{7}"),
        legacy,
    ] {
        assert!(
            matches!(join(&head, &bad), Err(BuildError::Signature)),
            "{bad}"
        );
    }
    let mut full = head;
    for _ in 0..3 {
        let (secret, _) = key::generate(None).unwrap();
        full = join(
            &full,
            &super::base::key(&secret).sign(&bytes, "x").text().unwrap(),
        )
        .unwrap();
    }
    assert!(matches!(
        join(&full, &good),
        Err(BuildError::TooManySignatures)
    ));
}

#[test]
fn damaged_and_foreign_secret_keys_are_refused() {
    let no_password = || -> std::io::Result<String> { panic!("no password is needed") };
    let load = |text: &str| SecretKey::from_text(text, no_password);
    assert!(load(RELEASE_KEY).is_ok());
    let good: Vec<&str> = RELEASE_KEY.lines().collect();
    for bad in [
        "",
        good[0],
        &good.join("\n")[..200],
        &release_key().public_text(),
        // A byte of the seed.
        &RELEASE_KEY.replace(&good[1][100..104], "AAAA"),
    ] {
        assert_ne!(bad, RELEASE_KEY);
        assert!(matches!(load(bad), Err(KeyError::Corrupt)), "{bad}");
    }
    let absent = SecretKey::load(std::path::Path::new("/nowhere/release.key"), no_password);
    assert!(matches!(absent, Err(KeyError::Read(..))));
    assert!(!format!("{:?}", release_key()).contains(&good[1][80..90]));
}

#[test]
fn encrypted_keys_open_with_their_password_only() {
    let (secret, public) = key::generate(Some("correct horse")).unwrap();
    let open = |password: &str| SecretKey::from_text(&secret, || Ok(password.to_string()));
    assert_eq!(open("correct horse").unwrap().public_text(), public);
    assert!(matches!(open("wrong"), Err(KeyError::WrongPassword)));
    assert!(matches!(open(""), Err(KeyError::WrongPassword)));
    let none = SecretKey::from_text(&secret, || Err(std::io::ErrorKind::NotFound.into()));
    assert!(matches!(none, Err(KeyError::Password(_))));
}
