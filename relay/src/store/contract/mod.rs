//! What every implementation of [`Store`](super::Store) does, as tests: SQLite passes them, and so
//! will PostgreSQL.
//!
//! Each test gets a store of its own that is empty. Never looks below the trait.

mod access;
mod devices;
mod reports;
mod rollouts;

pub(super) use access::*;
pub(super) use devices::*;
pub(super) use reports::*;
pub(super) use rollouts::*;

use bundle::manifest::{AgentVersion, Target, Text, Variable, VariableKind};
use bundle::{Arch, DeviceId, Digest, Label};
use relay_api::device::{AppFacts, AppPhase, DeviceFacts, Running};
use relay_api::operator;

use super::{
    EnrollOutcome, Enrolment, LabelOutcome, NewEnrollToken, NewRollout, PublishOutcome,
    RolloutOutcome, Store,
};
use crate::domain::audit::By;
use crate::domain::desired::Want;
use crate::domain::labels;
use crate::domain::release::Bundle;
use crate::domain::token::SecretHash;

/// When the tests happen.
pub(super) const NOW: u64 = 1_800_000_000;

/// A test for each function of the suite, on the store that `$open` gives.
macro_rules! contract {
    ($open:ident: $($test:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let (store, _folder) = $open().await;
            crate::store::contract::$test(&store).await;
            crate::store::Store::close(&store).await;
        }
    )*};
}
pub(super) use contract;

pub(super) fn ada() -> By {
    By::operator("ada", "192.0.2.1")
}

pub(super) fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

pub(super) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> labels::Labels {
    let texts = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    labels::parse(&texts.collect()).unwrap()
}

pub(super) fn facts() -> DeviceFacts {
    DeviceFacts {
        agent: AgentVersion(0, 1, 0),
        arch: Arch::Amd64,
        fleet: label("default"),
        class: None,
        time_zone: Some("Europe/Rome".to_string()),
        labels: vec![],
    }
}

/// The app `kiosk` with this bundle committed.
pub(super) fn runs(bundle: &Bundle) -> AppFacts {
    AppFacts {
        app: bundle.app.clone(),
        phase: AppPhase::Running,
        running: Some(Running {
            version: bundle.version.clone(),
            seq: bundle.seq,
            bundle: bundle.digest,
            generation: 1,
        }),
        previous_seq: None,
        services: vec![],
    }
}

/// A bundle of the app `kiosk`, version `seq`.0.
pub(super) fn kiosk(seq: u64) -> Bundle {
    Bundle {
        file: Digest::of(format!("file {seq}").as_bytes()),
        bytes: 1_000_000,
        digest: Digest::of(format!("manifest {seq}").as_bytes()),
        app: "kiosk".parse().unwrap(),
        version: format!("{seq}.0").parse().unwrap(),
        seq,
        epoch: 0,
        issued_at: NOW - 60,
        not_after: None,
        target: Target {
            arch: Arch::Amd64,
            fleet: label("default"),
            classes: vec![],
            devices: vec![],
            agent_min: AgentVersion(0, 1, 0),
        },
        variables: vec![
            Variable {
                name: "SITE".parse().unwrap(),
                kind: VariableKind::Text { pattern: None },
                default: None,
                secret: false,
                description: Text::default(),
            },
            Variable {
                name: "PIN".parse().unwrap(),
                kind: VariableKind::Integer { min: 0, max: 9999 },
                default: None,
                secret: true,
                description: Text::default(),
            },
        ],
        keys: vec!["0123456789ABCDEF".to_string()],
    }
}

/// Publishes a bundle that is new.
pub(super) async fn publish(store: &dyn Store, bundle: &Bundle) {
    let outcome = store.publish(bundle.clone(), &ada(), NOW).await.unwrap();
    assert!(matches!(outcome, PublishOutcome::New { .. }), "{outcome:?}");
}

/// An open enrolment token with these labels.
pub(super) async fn token(store: &dyn Store, secret: &str, pairs: &[(&str, &str)]) {
    let new = NewEnrollToken {
        labels: labels(pairs),
        hash: SecretHash::of(secret),
        expires_at: NOW + 3600,
    };
    store.add_enroll_token(new, &ada(), NOW).await.unwrap();
}

/// A device that wants to enrol with this token; its key is made of `key`.
pub(super) fn enrolment(secret: &str, device: &str, key: u8) -> Enrolment {
    Enrolment {
        token: SecretHash::of(secret),
        device: id(device),
        public_key: [key; 32],
        facts: facts(),
    }
}

/// Enrols a device with labels, by a token of its own.
pub(super) async fn enroll(store: &dyn Store, device: &str, pairs: &[(&str, &str)]) {
    token(store, &format!("cet_{device}"), pairs).await;
    let enrolment = enrolment(&format!("cet_{device}"), device, 1);
    let outcome = store.enroll(enrolment, "192.0.2.7", NOW).await.unwrap();
    assert_eq!(outcome, EnrollOutcome::Enrolled(labels(pairs)));
}

/// The rollout of a version of `kiosk`.
pub(super) fn rollout(seq: u64, to: &str) -> NewRollout {
    NewRollout {
        app: "kiosk".parse().unwrap(),
        version: format!("{seq}.0").parse().unwrap(),
        to: to.parse().unwrap(),
        skip_unfit: false,
    }
}

/// Starts a rollout that can be; gives its id.
pub(super) async fn start(store: &dyn Store, seq: u64, to: &str) -> u64 {
    let new = rollout(seq, to);
    match store.start_rollout(new, &ada(), NOW).await.unwrap() {
        RolloutOutcome::Started(rollout) => rollout.id,
        other => panic!("{other:?}"),
    }
}

/// Checks a device in that is known; gives what it shall run.
pub(super) async fn check_in(store: &dyn Store, device: &str, apps: &[AppFacts]) -> Vec<Want> {
    let answer = store.check_in(&id(device), &facts(), apps, NOW).await;
    answer.unwrap().unwrap().meant.wants.clone()
}

/// Rollout and `seq` of what a device shall run.
pub(super) fn brief(wants: &[Want]) -> Vec<(u64, u64)> {
    wants.iter().map(|want| (want.rollout, want.seq)).collect()
}

/// State and cause of a rollout, and of each of its devices.
pub(super) async fn stand(store: &dyn Store, rollout: u64) -> (String, Vec<String>) {
    let operator::RolloutDetail { rollout, devices } =
        store.rollout(rollout).await.unwrap().unwrap();
    let with = |state: &str, cause: &Option<String>| match cause {
        Some(cause) => format!("{state}: {cause}"),
        None => state.to_string(),
    };
    let of = |device: &operator::RolloutDevice| {
        format!("{} {}", device.id, with(&device.state, &device.cause))
    };
    assert_eq!(
        rollout.ended_at.is_some(),
        devices.iter().all(|device| device.state != "pending"),
    );
    assert_eq!(rollout.stages[0].targets, devices.len() as u64);
    (
        with(&rollout.state, &rollout.cause),
        devices.iter().map(of).collect(),
    )
}

/// Actions and results of the audit log, oldest first, from the entry after `from` on.
pub(super) async fn audit_after(store: &dyn Store, from: u64) -> Vec<String> {
    let mut page = store.audit_page(None, 100).await.unwrap();
    page.retain(|entry| entry.id > from);
    page.reverse();
    let text = |e: operator::AuditEntry| format!("{} {} {} {}", e.who, e.action, e.on, e.result);
    page.into_iter().map(text).collect()
}

/// Changes the labels that operators gave a device.
pub(super) async fn relabel(
    store: &dyn Store,
    device: &str,
    set: &[(&str, &str)],
    remove: &[&str],
) -> LabelOutcome {
    let remove = remove.iter().map(|name| label(name)).collect();
    let outcome = store
        .label_device(&id(device), labels(set), remove, &ada(), NOW)
        .await;
    outcome.unwrap()
}
