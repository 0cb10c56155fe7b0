//! Tokens, enrolment, secrets, the audit log.

use super::*;
use crate::domain::audit::{Action, Entry};
use crate::domain::token::State;
use crate::store::NewToken;

pub(in crate::store) async fn a_token_used_by_1000_at_once_makes_one_device(
    store: &(impl Store + 'static),
) {
    token(store, "cet_1", &[("site", "rome")]).await;
    let tries = (0..1000u16).map(|i| {
        let mut enrolment = enrolment("cet_1", &format!("pump-{i}"), 1);
        enrolment.public_key[..2].copy_from_slice(&i.to_be_bytes());
        store.enroll(enrolment, "192.0.2.7", NOW)
    });
    let outcomes = futures_util::future::join_all(tries).await;
    let of = |wanted: &EnrollOutcome| {
        let same = |outcome: &&_| matches!(outcome, Ok(outcome) if outcome == wanted);
        outcomes.iter().filter(same).count()
    };
    assert_eq!(of(&EnrollOutcome::Enrolled(labels(&[("site", "rome")]))), 1);
    assert_eq!(of(&EnrollOutcome::TokenUsed), 999);
    let devices = store.devices(None).await.unwrap();
    assert_eq!(devices.len(), 1);
    let tokens = store.enroll_tokens(NOW).await.unwrap();
    assert_eq!(tokens[0].state, "used");
    assert_eq!(tokens[0].device.as_ref(), Some(&devices[0].id));
}

pub(in crate::store) async fn a_device_whose_answer_was_lost_enrols_once_more(store: &dyn Store) {
    enroll(store, "pump-7", &[("site", "rome")]).await;
    let again = || enrolment("cet_pump-7", "pump-7", 1);
    let same = EnrollOutcome::Enrolled(labels(&[("site", "rome")]));
    // Also when the token's time is over: it was used in time.
    for now in [NOW, NOW + 10_000] {
        assert_eq!(store.enroll(again(), "", now).await.unwrap(), same);
    }
    assert_eq!(store.devices(None).await.unwrap().len(), 1);
    // Not with another key, and not as another device.
    for other in [
        enrolment("cet_pump-7", "pump-7", 2),
        enrolment("cet_pump-7", "pump-8", 1),
    ] {
        let outcome = store.enroll(other, "", NOW).await.unwrap();
        assert_eq!(outcome, EnrollOutcome::TokenUsed);
    }
}

pub(in crate::store) async fn a_token_that_is_unknown_expired_or_revoked_makes_no_device(
    store: &dyn Store,
) {
    token(store, "cet_1", &[]).await;
    token(store, "cet_2", &[]).await;
    let revoked = store.enroll_tokens(NOW).await.unwrap()[0].id;
    assert!(
        store
            .revoke_enroll_token(revoked, &ada(), NOW)
            .await
            .unwrap()
    );
    assert!(!store.revoke_enroll_token(99, &ada(), NOW).await.unwrap());
    for (secret, now, wanted) in [
        ("cet_0", NOW, EnrollOutcome::TokenUnknown),
        ("cet_1", NOW + 3600, EnrollOutcome::TokenExpired),
        ("cet_2", NOW, EnrollOutcome::TokenRevoked),
    ] {
        let outcome = store
            .enroll(enrolment(secret, "a", 1), "192.0.2.7", now)
            .await;
        assert_eq!(outcome.unwrap(), wanted);
    }
    assert!(store.devices(None).await.unwrap().is_empty());
    let audit = audit_after(store, 3).await;
    assert_eq!(audit, ["nobody device.enroll a refused"; 3]);
    let entry = &store.audit_page(None, 1).await.unwrap()[0];
    assert_eq!(
        (&*entry.detail, &*entry.from),
        ("the token was revoked", "192.0.2.7")
    );
}

pub(in crate::store) async fn an_id_that_another_key_has_is_not_taken_over(store: &dyn Store) {
    enroll(store, "pump-7", &[]).await;
    token(store, "cet_2", &[("site", "oslo")]).await;
    let other = || enrolment("cet_2", "pump-7", 2);
    let outcome = store.enroll(other(), "", NOW).await.unwrap();
    assert_eq!(outcome, EnrollOutcome::DeviceExists);
    assert_eq!(
        store.device_key(&id("pump-7")).await.unwrap(),
        Some([1; 32])
    );
    // The token is not lost by that; and when the device was removed, its id is free.
    assert!(
        store
            .remove_device(&id("pump-7"), &ada(), NOW)
            .await
            .unwrap()
    );
    assert!(
        !store
            .remove_device(&id("pump-7"), &ada(), NOW)
            .await
            .unwrap()
    );
    assert_eq!(store.device_key(&id("pump-7")).await.unwrap(), None);
    let outcome = store.enroll(other(), "", NOW).await.unwrap();
    assert_eq!(
        outcome,
        EnrollOutcome::Enrolled(labels(&[("site", "oslo")]))
    );
    assert_eq!(
        store.device_key(&id("pump-7")).await.unwrap(),
        Some([2; 32])
    );
    // The token of the removed one does not bring it back.
    let outcome = store
        .enroll(enrolment("cet_pump-7", "pump-7", 1), "", NOW)
        .await;
    assert_eq!(outcome.unwrap(), EnrollOutcome::TokenUsed);
}

pub(in crate::store) async fn a_known_device_with_a_new_token_gets_its_labels(store: &dyn Store) {
    enroll(store, "pump-7", &[("site", "rome"), ("ring", "1")]).await;
    token(store, "cet_2", &[("site", "oslo")]).await;
    let outcome = store.enroll(enrolment("cet_2", "pump-7", 1), "", NOW).await;
    assert_eq!(
        outcome.unwrap(),
        EnrollOutcome::Enrolled(labels(&[("site", "oslo")]))
    );
    let device = store.device(&id("pump-7")).await.unwrap().unwrap().device;
    assert_eq!(device.labels, labels::texts(&labels(&[("site", "oslo")])));
}

pub(in crate::store) async fn an_operators_token_is_found_by_its_hash_until_it_ends(
    store: &dyn Store,
) {
    let new = |name: &str| NewToken {
        name: name.to_string(),
        hash: SecretHash::of(name),
        expires_at: NOW + 60,
    };
    assert!(
        store
            .add_first_token(new("admin"), &By::relay(), NOW)
            .await
            .unwrap()
    );
    assert!(
        !store
            .add_first_token(new("second"), &By::relay(), NOW)
            .await
            .unwrap()
    );
    let ci = store.add_token(new("ci"), &ada(), NOW).await.unwrap();
    assert_eq!((ci.state.as_str(), ci.token), ("open", None));
    let found = async |name: &str, now| {
        let token = store.operator_token(&SecretHash::of(name), now).await;
        token.unwrap().map(|token| (token.name, token.state))
    };
    let is = |name: &str, state| Some((name.to_string(), state));
    assert_eq!(found("admin", NOW).await, is("admin", State::Open));
    assert_eq!(found("admin", NOW + 60).await, is("admin", State::Expired));
    assert_eq!(found("second", NOW).await, None);
    assert!(store.revoke_token(ci.id, &ada(), NOW).await.unwrap());
    assert_eq!(found("ci", NOW).await, is("ci", State::Revoked));
    let states: Vec<_> = store.tokens(NOW).await.unwrap();
    let states: Vec<_> = states.iter().map(|t| (&*t.name, &*t.state)).collect();
    assert_eq!(states, [("ci", "revoked"), ("admin", "open")]);
    // Revoked is not absent: a new start prints no new admin token.
    assert!(
        !store
            .add_first_token(new("third"), &By::relay(), NOW)
            .await
            .unwrap()
    );
}

pub(in crate::store) async fn a_secret_is_made_once(store: &dyn Store) {
    assert_eq!(store.secret("challenge", [1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.secret("challenge", [2; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.secret("other", [2; 32]).await.unwrap(), [2; 32]);
}

pub(in crate::store) async fn the_audit_log_is_read_page_by_page(store: &dyn Store) {
    for i in 1..=5u64 {
        let entry = Entry::refused(NOW, &ada(), Action::Publish, i, "why");
        assert_eq!(store.audit(entry).await.unwrap(), i);
    }
    let ids = async |before, limit| {
        let page = store.audit_page(before, limit).await.unwrap();
        page.iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2).await, [5, 4]);
    assert_eq!(ids(Some(4), 2).await, [3, 2]);
    assert_eq!(ids(Some(1), 2).await, [0u64; 0]);
    assert_eq!(ids(Some(u64::MAX), u32::MAX).await, [5, 4, 3, 2, 1]);
}
