//! Clauses B4 to B8 and B12: who signed what.

use proptest::prelude::*;

use super::base::*;
use crate::build::SecretKey;
use crate::head::Head;
use crate::minisig::{PublicKey, Record};
use crate::{AppName, Refused, TrustStore, verify};

fn bytes() -> Vec<u8> {
    postcard::to_allocvec(&sample()).unwrap()
}

fn head_of(records: Vec<Record>, manifest: &[u8]) -> Vec<u8> {
    Head { records, manifest }.encode().unwrap()
}

fn both_trusted() -> TrustStore {
    TrustStore::from_keys(vec![
        (None, release_key().public_text()),
        (None, other_key().public_text()),
    ])
    .unwrap()
}

#[test]
fn unsigned_is_refused() {
    let head = head_of(vec![], &bytes());
    assert_eq!(verify(head, &trust()), Err(Refused::SignatureCount(0)));
}

#[test]
fn five_signatures_are_refused() {
    let records = (0..5)
        .map(|i| {
            let mut record = release_key().sign(&bytes(), "x");
            record.key.0[0] = i;
            record
        })
        .collect();
    let head = head_of(records, &bytes());
    assert_eq!(verify(head, &trust()), Err(Refused::SignatureCount(5)));
}

#[test]
fn one_key_signing_twice_is_refused() {
    let head = sign(&bytes(), &[&release_key(), &release_key()]);
    let id = release_key().id();
    assert_eq!(verify(head, &trust()), Err(Refused::DuplicateKey(id)));
}

#[test]
fn an_unknown_key_is_refused() {
    let head = sign(&bytes(), &[&other_key()]);
    let id = other_key().id();
    assert_eq!(verify(head, &trust()), Err(Refused::NoTrustedKey(vec![id])));
}

#[test]
fn a_trusted_key_beside_an_unknown_one_suffices_in_any_order() {
    for keys in [[release_key(), other_key()], [other_key(), release_key()]] {
        let head = sign(&bytes(), &[&keys[0], &keys[1]]);
        let bundle = verify(head, &trust()).unwrap();
        assert_eq!(bundle.signers(), [release_key().id()]);
    }
}

#[test]
fn a_wrong_signature_of_a_trusted_key_spoils_a_good_one_beside_it() {
    let good = release_key().sign(&bytes(), "x");
    let mut bad = other_key().sign(&bytes(), "x");
    bad.signature[0] ^= 1;
    let head = head_of(vec![good, bad], &bytes());
    let refused = verify(head, &both_trusted()).unwrap_err();
    assert_eq!(refused, Refused::Signature(other_key().id()));
}

#[test]
fn a_signature_over_another_manifest_is_refused() {
    let mut other = sample();
    other.seq += 1;
    let record = release_key().sign(&postcard::to_allocvec(&other).unwrap(), "x");
    let head = head_of(vec![record], &bytes());
    let id = release_key().id();
    assert_eq!(verify(head, &trust()), Err(Refused::Signature(id)));
}

#[test]
fn another_key_under_a_trusted_id_is_refused() {
    let mut record = other_key().sign(&bytes(), "x");
    record.key = release_key().id();
    let id = record.key;
    let head = head_of(vec![record], &bytes());
    assert_eq!(verify(head, &trust()), Err(Refused::Signature(id)));
}

#[test]
fn a_changed_trusted_comment_is_refused() {
    let mut record = release_key().sign(&bytes(), "seq 7");
    record.comment = b"seq 8".to_vec();
    let head = head_of(vec![record], &bytes());
    assert_eq!(verify(head, &trust()).unwrap_err().clause(), "B7");
}

#[test]
fn comments_that_a_text_file_would_change_are_refused() {
    for comment in ["a\nb", "a\r", "\n", "a\0", "\u{85}x"] {
        let record = release_key().sign(&bytes(), comment);
        let head = head_of(vec![record], &bytes());
        assert_eq!(
            verify(head, &trust()).unwrap_err().clause(),
            "B7",
            "{comment:?}"
        );
    }
    let mut record = release_key().sign(&bytes(), "x");
    record.comment = vec![0xff, 0xfe];
    let head = head_of(vec![record], &bytes());
    assert_eq!(verify(head, &trust()).unwrap_err().clause(), "B7");
}

#[test]
fn comments_of_every_length_are_read_without_a_panic() {
    for length in 0..=255 {
        let record = release_key().sign(&bytes(), &"c".repeat(length));
        let head = head_of(vec![record], &bytes());
        assert!(verify(head, &trust()).is_ok(), "{length}");
    }
}

#[test]
fn records_of_unknown_keys_change_nothing_whatever_they_hold() {
    let good = release_key().sign(&bytes(), "x");
    let mut junk = other_key().sign(&bytes(), "x");
    junk.comment = (0..=254).collect();
    let head = head_of(vec![good, junk.clone()], &bytes());
    let bundle = verify(head.clone(), &trust()).unwrap();
    assert_eq!(bundle.digest(), crate::Digest::of(&bytes()));
    // Each byte of the junk record but its key id and its length flipped: accepted as before.
    let start = head.len() - bytes().len() - (8 + 64 + 1 + junk.comment.len() + 64);
    let end = head.len() - bytes().len();
    for at in start..end {
        let mut flipped = head.clone();
        flipped[at] ^= 0x10;
        let verdict = verify(flipped, &trust());
        let framing = at == start + 72;
        assert_eq!(
            verdict.is_ok(),
            !framing,
            "byte {} of the record",
            at - start
        );
        if let Ok(same) = verdict {
            assert_eq!(same.manifest(), bundle.manifest());
            assert_eq!(same.digest(), bundle.digest());
        }
    }
}

#[test]
fn a_key_for_one_app_cannot_sign_another() {
    let scoped = |app: &str| {
        TrustStore::from_keys(vec![
            (None, release_key().public_text()),
            (Some(AppName::new(app).unwrap()), other_key().public_text()),
        ])
        .unwrap()
    };
    let kiosk = AppName::new("kiosk").unwrap();
    let by = |key: &SecretKey| sign(&bytes(), &[key]);
    // The app has keys of its own: only these sign it.
    assert!(verify(by(&other_key()), &scoped("kiosk")).is_ok());
    let refused = verify(by(&release_key()), &scoped("kiosk")).unwrap_err();
    assert_eq!(refused, Refused::Scope(kiosk.clone()));
    // Another app has: its keys do not sign this one.
    assert!(verify(by(&release_key()), &scoped("signage")).is_ok());
    let refused = verify(by(&other_key()), &scoped("signage")).unwrap_err();
    assert_eq!(refused, Refused::Scope(kiosk));
    // Both signed: only the one in scope counts as a signer.
    let head = sign(&bytes(), &[&release_key(), &other_key()]);
    let bundle = verify(head, &scoped("kiosk")).unwrap();
    assert_eq!(bundle.signers(), [other_key().id()]);
}

#[test]
fn signing_twice_gives_the_same_bytes() {
    assert_eq!(
        sign(&bytes(), &[&release_key(), &other_key()]),
        sign(&bytes(), &[&release_key(), &other_key()])
    );
}

#[test]
fn signatures_with_a_scalar_beyond_the_group_order_are_refused() {
    // S + L verifies under a verifier that does not reduce the range (RFC 8032 section 5.1.7).
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let add_l = |signature: &mut [u8; 64]| {
        let mut carry = 0u16;
        for (byte, add) in signature[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
    };
    let mut first = release_key().sign(&bytes(), "x");
    add_l(&mut first.signature);
    let mut second = release_key().sign(&bytes(), "x");
    add_l(&mut second.global);
    for record in [first, second] {
        let head = head_of(vec![record], &bytes());
        assert_eq!(verify(head, &trust()).unwrap_err().clause(), "B7");
    }
}

#[test]
fn special_signature_bytes_are_refused() {
    let identity = {
        let mut point = [0u8; 32];
        point[0] = 1;
        point
    };
    for r in [[0u8; 32], identity, [0xff; 32]] {
        for s in [[0u8; 32], identity, [0xff; 32]] {
            let mut record = release_key().sign(&bytes(), "x");
            record.signature[..32].copy_from_slice(&r);
            record.signature[32..].copy_from_slice(&s);
            record.global = record.signature;
            let head = head_of(vec![record], &bytes());
            assert_eq!(verify(head, &trust()).unwrap_err().clause(), "B7");
        }
    }
}

proptest! {
    #[test]
    fn reading_any_text_as_keys_or_signatures_never_panics(
        text in "(untrusted comment: .{0,8}\n)?[A-Za-z0-9+/=]{0,120}\n(trusted comment: .{0,8}\n[A-Za-z0-9+/=]{0,90})?",
    ) {
        let _ = PublicKey::parse(&text);
        let _ = Record::parse(&text);
        let _ = SecretKey::from_text(&text, || Ok(String::new()));
    }

    #[test]
    fn verifying_any_record_of_a_trusted_key_never_panics(
        comment in prop::collection::vec(any::<u8>(), 0..255),
        junk in prop::collection::vec(any::<u8>(), 128),
    ) {
        let mut record = release_key().sign(&bytes(), "x");
        record.comment = comment;
        record.global.copy_from_slice(&junk[..64]);
        let head = head_of(vec![record.clone()], &bytes());
        prop_assert_eq!(verify(head, &trust()).unwrap_err().clause(), "B7");
        record.signature.copy_from_slice(&junk[64..]);
        let head = head_of(vec![record], &bytes());
        prop_assert_eq!(verify(head, &trust()).unwrap_err().clause(), "B7");
    }
}
