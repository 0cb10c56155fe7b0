//! The keys folder: absence is not permission.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::base::*;
use crate::base64;
use crate::build::key::generate;
use crate::minisig::{KeyId, PublicKey, Record};
use crate::{AppName, TrustError, TrustStore, verify};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn a_folder_with_keys_is_loaded() {
    let keys = folder();
    put(keys.path(), "release.pub", release_key().public_text());
    put(keys.path(), "kiosk/own.pub", other_key().public_text());
    put(keys.path(), "README", "not a key");
    put(keys.path(), ".hidden.pub", "not a key");
    let store = TrustStore::load(keys.path()).unwrap();
    let kiosk = AppName::new("kiosk").unwrap();
    let listed: Vec<_> = store
        .keys()
        .iter()
        .map(|k| (k.id(), k.scope().cloned()))
        .collect();
    assert_eq!(
        listed,
        [(other_key().id(), Some(kiosk)), (release_key().id(), None)]
    );
    assert!(!store.is_empty());
}

#[test]
fn one_key_may_be_trusted_in_two_scopes() {
    let keys = folder();
    put(keys.path(), "release.pub", release_key().public_text());
    put(
        keys.path(),
        "kiosk/release.pub",
        release_key().public_text(),
    );
    let store = TrustStore::load(keys.path()).unwrap();
    assert!(verify(signed(&sample()), &store).is_ok());
}

#[test]
fn missing_empty_and_corrupt_key_folders_are_errors() {
    let keys = folder();
    let path = keys.path();
    assert!(matches!(
        TrustStore::load(&path.join("absent")),
        Err(TrustError::Read(..))
    ));
    assert!(matches!(TrustStore::load(path), Err(TrustError::Empty(_))));
    put(path, "notes.txt", "no key here");
    assert!(matches!(TrustStore::load(path), Err(TrustError::Empty(_))));
    put(path, "release.pub", release_key().public_text());
    assert!(TrustStore::load(path).is_ok());
    fs::create_dir(path.join("kiosk")).unwrap();
    assert!(
        matches!(TrustStore::load(path), Err(TrustError::Empty(_))),
        "an empty sub-folder"
    );
    fs::remove_dir(path.join("kiosk")).unwrap();
    fs::create_dir(path.join("Not-An-App")).unwrap();
    assert!(matches!(TrustStore::load(path), Err(TrustError::Folder(_))));
    fs::remove_dir(path.join("Not-An-App")).unwrap();
    std::os::unix::fs::symlink("nowhere", path.join("gone.pub")).unwrap();
    assert!(matches!(TrustStore::load(path), Err(TrustError::Read(..))));
}

#[test]
fn one_corrupt_key_beside_a_good_one_is_an_error() {
    let good = release_key().public_text();
    let line = good.lines().nth(1).unwrap().to_string();
    let secret = RELEASE_KEY.to_string();
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("blank", b"\n\n".to_vec()),
        ("comment only", b"untrusted comment: x\n".to_vec()),
        ("cut", good.as_bytes()[..good.len() - 8].to_vec()),
        ("two keys", format!("{good}{line}\n").into_bytes()),
        ("not UTF-8", vec![0xff; 56]),
        ("secret key", secret.into_bytes()),
        (
            "too long",
            format!("untrusted comment: {}\n{line}\n", "x".repeat(5000)).into_bytes(),
        ),
        ("zeros", vec![0; 100]),
    ];
    for (name, content) in bad {
        let keys = folder();
        put(keys.path(), "a.pub", &good);
        put(keys.path(), "b.pub", content);
        let loaded = TrustStore::load(keys.path());
        assert!(
            matches!(loaded, Err(TrustError::Corrupt(_))),
            "{name}: {loaded:?}"
        );
    }
}

#[test]
fn an_unreadable_key_is_an_error() {
    let keys = folder();
    put(keys.path(), "a.pub", release_key().public_text());
    put(keys.path(), "b.pub", other_key().public_text());
    fs::set_permissions(keys.path().join("b.pub"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(keys.path().join("b.pub")).is_ok() {
        println!("not run: root reads every file");
        return;
    }
    assert!(matches!(
        TrustStore::load(keys.path()),
        Err(TrustError::Read(..))
    ));
}

#[test]
fn two_keys_under_one_id_are_an_error() {
    let mut bytes: [u8; 42] =
        base64::decode(other_key().public_text().lines().nth(1).unwrap()).unwrap();
    bytes[2..10].copy_from_slice(release_key().id().as_bytes());
    let twin = base64::encode(&bytes);
    let store = TrustStore::from_keys(vec![(None, release_key().public_text()), (None, twin)]);
    assert!(matches!(store, Err(TrustError::Conflict(..))));
}

#[test]
fn a_key_without_its_comment_line_is_read() {
    let text = release_key().public_text();
    let line = text.lines().nth(1).unwrap();
    assert!(TrustStore::from_keys(vec![(None, line.to_string())]).is_ok());
}

#[test]
fn generated_keys_differ_and_are_trusted() {
    let (secret, public) = generate(None).unwrap();
    let (other, _) = generate(None).unwrap();
    assert_ne!(secret, other);
    let store = TrustStore::from_keys(vec![(None, public)]).unwrap();
    let head = sign(&postcard::to_allocvec(&sample()).unwrap(), &[&key(&secret)]);
    assert!(verify(head, &store).is_ok());
}

/// A public key's file with this point.
fn public_text(point: [u8; 32]) -> String {
    let mut bytes = b"Ed12345678".to_vec();
    bytes.extend(point);
    base64::encode(&bytes)
}

fn point(hex: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    out
}

/// The points of small order, canonical and not, and other encodings that are not canonical.
fn weak_points() -> Vec<[u8; 32]> {
    let mut points: Vec<[u8; 32]> = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .into_iter()
    .map(point)
    .collect();
    for i in 0..points.len() {
        let mut negative = points[i];
        negative[31] |= 0x80;
        points.push(negative);
    }
    points
}

#[test]
fn public_keys_of_small_order_or_not_canonical_are_refused() {
    for weak in weak_points() {
        let store = TrustStore::from_keys(vec![(None, public_text(weak))]);
        assert!(matches!(store, Err(TrustError::Corrupt(_))), "{weak:02x?}");
    }
    // A point one beside a weak one is no reason to refuse.
    let mut sound = [0u8; 32];
    sound[0] = 2;
    assert!(PublicKey::parse(&public_text(sound)).is_some());
}

#[test]
fn a_key_of_small_order_would_accept_forgeries() {
    // Why the clause is there: under such a key, R = identity and S = 0 fit one message in eight
    // (each half of a minisign signature, so about one in sixty-four tries). The signature check
    // that we build on lets these through.
    let weak = point("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    let key = minisign_verify::PublicKey::from_base64(&public_text(weak)).unwrap();
    let mut forged = [0u8; 64];
    forged[0] = 1;
    let fits = (0..4096).any(|i| {
        let record = Record {
            key: KeyId(*b"12345678"),
            signature: forged,
            comment: format!("try {i}").into_bytes(),
            global: forged,
        };
        let signature = minisign_verify::Signature::decode(&record.text().unwrap()).unwrap();
        let message = format!("message {}", i % 64);
        key.verify(message.as_bytes(), &signature, false).is_ok()
    });
    assert!(fits, "no forgery was found, so the test proves nothing");
}
