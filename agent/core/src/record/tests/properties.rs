//! Any record, and any bytes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bundle::{AppName, Digest};
use proptest::prelude::*;

use super::{sample, seal};
use crate::app::*;
use crate::record::{APPS_MAX, CHECKSUM_AT, Record, Slot};

fn generations() -> impl Strategy<Value = Generation> {
    (
        any::<(u32, u64, u64)>(),
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
    )
        .prop_map(|((id, seq, epoch), bundle, variables)| Generation {
            id: GenerationId(id),
            seq,
            epoch,
            bundle: Digest::from_bytes(bundle),
            variables: Digest::from_bytes(variables),
        })
}

/// Every cause there is: the match below does not compile without the newest.
fn causes() -> impl Strategy<Value = Cause> {
    (0usize..11, any::<u8>(), any::<i32>()).prop_map(|(which, service, exit_code)| {
        let all = [
            Cause::StageRuntime,
            Cause::StageSource,
            Cause::NoSpace,
            Cause::SwitchRuntime,
            Cause::Crashed { service, exit_code },
            Cause::Unhealthy { service },
            Cause::Dependency { service },
            Cause::Interrupted,
            Cause::RestoreRuntime,
            Cause::Operator,
            Cause::Superseded,
        ];
        match all[which] {
            Cause::StageRuntime
            | Cause::StageSource
            | Cause::NoSpace
            | Cause::SwitchRuntime
            | Cause::Crashed { .. }
            | Cause::Unhealthy { .. }
            | Cause::Dependency { .. }
            | Cause::Interrupted
            | Cause::RestoreRuntime
            | Cause::Operator
            | Cause::Superseded => all[which],
        }
    })
}

fn intents() -> impl Strategy<Value = Intent> {
    any::<bool>().prop_map(|back| {
        if back {
            Intent::Rollback
        } else {
            Intent::Update
        }
    })
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let kinds = prop_oneof![
        intents().prop_map(OutcomeKind::Committed),
        causes().prop_map(OutcomeKind::Failed),
        causes().prop_map(OutcomeKind::RolledBack),
        causes().prop_map(OutcomeKind::RollbackFailed),
        Just(OutcomeKind::Removed),
    ];
    (kinds, generations(), any::<u64>()).prop_map(|(kind, generation, at)| Outcome {
        kind,
        generation,
        at,
    })
}

fn phases() -> impl Strategy<Value = Phase> {
    (0u8..8, generations(), intents(), causes(), any::<u8>()).prop_map(
        |(which, incoming, intent, cause, count)| match which {
            0 => Phase::Idle,
            1 => Phase::Staging { incoming, intent },
            2 => Phase::Staged { incoming, intent },
            3 => Phase::Switching {
                incoming,
                intent,
                restarts: count,
            },
            4 => Phase::Trial {
                incoming,
                intent,
                restarts: count,
            },
            5 => Phase::RollingBack {
                failed: incoming,
                cause,
                attempts: count,
            },
            6 => Phase::Broken {
                failed: incoming,
                cause,
            },
            _ => Phase::Removing,
        },
    )
}

fn names() -> impl Strategy<Value = AppName> {
    let letters = proptest::collection::vec(proptest::sample::select(b"abz019-".as_slice()), 0..30);
    letters.prop_map(|middle| {
        let middle = String::from_utf8(middle).unwrap();
        AppName::new(&format!("n{middle}0")).unwrap()
    })
}

fn apps() -> impl Strategy<Value = AppState> {
    let held = || proptest::option::of(generations());
    let facts = (any::<u32>(), any::<u64>(), any::<u64>());
    let last = proptest::option::of(outcomes());
    (names(), phases(), held(), held(), facts, last).prop_map(
        |(name, phase, current, previous, (next, seq_floor, epoch_floor), last)| {
            // A broken app has the outcome of its breaking.
            let last = match (phase, last) {
                (Phase::Broken { failed, cause }, Some(last)) => Some(Outcome {
                    kind: OutcomeKind::RollbackFailed(cause),
                    generation: failed,
                    ..last
                }),
                (_, last) => last,
            };
            AppState {
                name,
                phase,
                current,
                previous,
                next_generation: GenerationId(next),
                seq_floor,
                epoch_floor,
                last,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_durable_comes_back(
        states in proptest::collection::vec(apps(), 0..=APPS_MAX),
        facts: ([u8; 32], u64, [u8; 32], u64, u32, [u8; 32]),
    ) {
        let (device, sequence, previous, clock_floor, keyring_version, keyring) = facts;
        let mut record = Record {
            sequence,
            previous: Digest::from_bytes(previous),
            clock_floor,
            keyring_version,
            keyring: Digest::from_bytes(keyring),
            ..Record::first(device)
        };
        for state in states {
            record.set(state).unwrap();
        }
        for slot in [Slot::A, Slot::B] {
            let decoded = Record::decode(&record.encode(slot), slot).unwrap();
            let durable: Vec<AppState> = record.apps.iter().map(AppState::durable).collect();
            prop_assert_eq!(&decoded.apps[..], &durable[..]);
            prop_assert_eq!(Record { apps: record.apps.clone(), ..decoded }, record.clone());
        }
    }

    /// Rotten bytes under a right checksum: a record or an error, never a panic.
    #[test]
    fn anything_may_be_in_a_slot(changes in proptest::collection::vec((10..CHECKSUM_AT, any::<u8>()), 1..20)) {
        let mut bytes = sample().encode(Slot::A);
        for (at, value) in changes {
            bytes[at] = value;
        }
        seal(&mut bytes);
        if let Ok(record) = Record::decode(&bytes, Slot::A) {
            prop_assert_eq!(record.encode(Slot::A), bytes);
        }
    }
}
