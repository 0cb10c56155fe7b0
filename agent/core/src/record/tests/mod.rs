//! The record against its specification: the numbers in brackets are clauses of
//! `docs/state-file.md`.

mod properties;

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use super::*;
use crate::app::{Cause, Generation, GenerationId, Intent, Outcome, OutcomeKind, Phase};
use bundle::AppName;

fn generation(id: u32) -> Generation {
    Generation {
        id: GenerationId(id),
        seq: u64::from(id) * 10,
        epoch: 3,
        bundle: Digest::from_bytes([id as u8; 32]),
        variables: Digest::from_bytes([0x80 | id as u8; 32]),
    }
}

fn app(name: &str, phase: Phase) -> AppState {
    AppState {
        phase,
        current: Some(generation(2)),
        previous: Some(generation(1)),
        next_generation: GenerationId(4),
        seq_floor: 20,
        epoch_floor: 3,
        ..AppState::new(AppName::new(name).unwrap())
    }
}

/// One app for each phase that a record knows, and the first with an outcome.
fn sample() -> Record {
    let incoming = generation(3);
    let mut idle = app("idle", Phase::Idle);
    idle.last = Some(Outcome {
        kind: OutcomeKind::RolledBack(Cause::Crashed {
            service: 2,
            exit_code: -9,
        }),
        generation: incoming,
        at: 1_800_000_000,
    });
    let intent = Intent::Rollback;
    let cause = Cause::Unhealthy { service: 7 };
    let phases = [
        Phase::Staged { incoming, intent },
        Phase::Switching {
            incoming,
            intent,
            restarts: 1,
        },
        Phase::Trial {
            incoming,
            intent: Intent::Update,
            restarts: 2,
        },
        Phase::RollingBack {
            failed: incoming,
            cause,
            attempts: 4,
        },
        Phase::Broken {
            failed: incoming,
            cause: Cause::RestoreRuntime,
        },
        Phase::Removing,
    ];
    let mut record = Record {
        sequence: 0x0102_0304_0506_0708,
        previous: Digest::from_bytes([0xcc; 32]),
        clock_floor: 1_790_000_000,
        keyring_version: 9,
        keyring: Digest::from_bytes([0xdd; 32]),
        ..Record::first([0xaa; 32])
    };
    record.set(idle).unwrap();
    for (at, phase) in phases.into_iter().enumerate() {
        record.set(app(&format!("app-{at}"), phase)).unwrap();
    }
    record
        .set(AppState::new(AppName::new(&"n".repeat(32)).unwrap()))
        .unwrap();
    record
}

/// Puts the right checksum under changed bytes.
fn seal(bytes: &mut [u8; RECORD_BYTES]) {
    let checksum = Digest::of(&bytes[..CHECKSUM_AT]);
    bytes[CHECKSUM_AT..].copy_from_slice(checksum.as_bytes());
}

/// What decoding says of the sample after a change that its checksum covers.
#[track_caller]
fn check_changed(change: impl Fn(&mut [u8; RECORD_BYTES]), expected: RecordError) {
    let mut bytes = sample().encode(Slot::A);
    change(&mut bytes);
    seal(&mut bytes);
    assert_eq!(Record::decode(&bytes, Slot::A), Err(expected));
}

/// The start of an app in the record.
const fn entry_at(app: usize) -> usize {
    176 + 324 * app
}

/// Sixteen bytes a line, lines of zeros left out.
fn hex(bytes: &[u8]) -> String {
    let line = |(at, line): (usize, &[u8])| {
        let digits: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:04x} {digits}\n", at * 16)
    };
    let lines = bytes.chunks(16).enumerate();
    lines
        .filter(|(_, line)| line.iter().any(|b| *b != 0))
        .map(line)
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let mut out = vec![0; RECORD_BYTES];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (at, digits) = line.split_once(' ').unwrap();
        let at = usize::from_str_radix(at, 16).unwrap();
        for (n, pair) in digits.as_bytes().chunks(2).enumerate() {
            let pair = core::str::from_utf8(pair).unwrap();
            out[at + n] = u8::from_str_radix(pair, 16).unwrap();
        }
    }
    out
}

/// A record that an earlier agent wrote must stay readable: if this fails, the version must rise.
#[test]
fn the_golden_vector_is_encoded_and_decoded() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/record-v1-slot-a.hex"
    );
    let encoded = sample().encode(Slot::A);
    if std::env::var_os("CORACLE_UPDATE_VECTORS").is_some() {
        let head = "# sample() of src/record/tests.rs in slot A; lines of zeros are left out\n";
        std::fs::write(path, format!("{head}{}", hex(&encoded))).unwrap();
    }
    let golden = unhex(&std::fs::read_to_string(path).unwrap());
    assert_eq!(hex(&encoded), hex(&golden));
    let golden: [u8; RECORD_BYTES] = golden.try_into().unwrap();
    assert_eq!(Record::decode(&golden, Slot::A), Ok(sample()));
}

/// [2.3] to [2.6]: where the fields lie.
#[test]
fn fields_lie_where_the_table_says() {
    let bytes = sample().encode(Slot::B);
    assert_eq!(&bytes[..10], b"CRCLSTAT\x01b");
    assert_eq!(bytes[10..16], [0; 6]);
    assert_eq!(bytes[16..48], [0xaa; 32]);
    assert_eq!(bytes[48..56], [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(bytes[56..88], [0xcc; 32]);
    assert_eq!(bytes[88..92], (80u32 + 8 * 324).to_le_bytes());
    assert_eq!(bytes[92..96], [0; 4]);
    assert_eq!(bytes[96..104], 1_790_000_000u64.to_le_bytes());
    assert_eq!(bytes[104..108], 9u32.to_le_bytes());
    assert_eq!(bytes[108..140], [0xdd; 32]);
    assert_eq!(bytes[140..175], [0; 35]);
    assert_eq!(bytes[175], 8);
    assert_eq!(bytes[entry_at(8)..4064], [0; 4 * 324]);
    assert_eq!(bytes[4064..], *Digest::of(&bytes[..4064]).as_bytes());

    let idle = &bytes[entry_at(0)..entry_at(1)];
    assert_eq!(&idle[..4], b"idle");
    assert_eq!(idle[4..32], [0; 28]);
    assert_eq!(idle[32..36], [1, 0, 5, 2]);
    assert_eq!(idle[36..40], (-9i32).to_le_bytes());
    assert_eq!(idle[40..44], [0, 0b111, 3, 0]);
    assert_eq!(idle[44..48], 4u32.to_le_bytes());
    assert_eq!(idle[48..56], 20u64.to_le_bytes());
    assert_eq!(idle[56..64], 3u64.to_le_bytes());
    assert_eq!(idle[64..72], 1_800_000_000u64.to_le_bytes());
    for (at, id) in [(72, 2u8), (156, 1), (240, 3)] {
        assert_eq!(idle[at..at + 4], u32::from(id).to_le_bytes());
        assert_eq!(idle[at + 4..at + 12], (u64::from(id) * 10).to_le_bytes());
        assert_eq!(idle[at + 12..at + 20], 3u64.to_le_bytes());
        assert_eq!(idle[at + 20..at + 52], [id; 32]);
        assert_eq!(idle[at + 52..at + 84], [0x80 | id; 32]);
    }
    let phases: Vec<u8> = (0..8).map(|n| bytes[entry_at(n) + 32]).collect();
    assert_eq!(phases, [1, 2, 3, 4, 5, 6, 7, 1]);
    let counts: Vec<u8> = (0..8).map(|n| bytes[entry_at(n) + 40]).collect();
    assert_eq!(counts, [0, 0, 1, 2, 4, 0, 0, 0]);
}

#[test]
fn twelve_apps_fit_and_no_more() {
    let mut record = Record::first([1; 32]);
    for n in 0..APPS_MAX {
        let name = AppName::new(&format!("app-{n}")).unwrap();
        assert_eq!(record.set(AppState::new(name)), Ok(()));
    }
    let decoded = Record::decode(&record.encode(Slot::A), Slot::A);
    assert_eq!(decoded.as_ref(), Ok(&record));
    let before = record.clone();
    let more = AppState::new(AppName::new("more").unwrap());
    assert_eq!(record.set(more), Err(TooManyApps));
    assert_eq!(record, before);
    // One that is there already is replaced all the same.
    assert_eq!(record.set(app("app-3", Phase::Removing)), Ok(()));
    assert_eq!(record.apps.len(), APPS_MAX);
}

/// RAUC and MCUboot had bytes that no checksum covered: here every one is.
#[test]
fn every_flipped_bit_is_refused() {
    let good = sample().encode(Slot::A);
    for at in 0..RECORD_BYTES {
        for bit in 0..8 {
            let mut bytes = good;
            bytes[at] ^= 1 << bit;
            assert!(
                Record::decode(&bytes, Slot::A).is_err(),
                "bit {bit} of byte {at}"
            );
        }
    }
}

/// Even with a right checksum there is one encoding for each record, and no other is taken.
#[test]
fn no_byte_is_ignored() {
    let good = sample().encode(Slot::A);
    for at in 0..CHECKSUM_AT {
        for change in [0x01, 0x04, 0x80, 0xff] {
            let mut bytes = good;
            bytes[at] ^= change;
            seal(&mut bytes);
            if let Ok(record) = Record::decode(&bytes, Slot::A) {
                assert_ne!(record, sample(), "byte {at} has no meaning");
                assert_eq!(record.encode(Slot::A), bytes, "byte {at}");
            }
        }
    }
}

#[test]
fn a_torn_write_is_refused_at_every_length() {
    let old = Record::first([1; 32]).encode(Slot::A);
    let new = sample().encode(Slot::A);
    for at in 1..RECORD_BYTES {
        let mut torn = old;
        torn[..at].copy_from_slice(&new[..at]);
        let decoded = Record::decode(&torn, Slot::A);
        let whole = torn == old || torn == new;
        assert_eq!(decoded.is_ok(), whole, "torn after {at} bytes");
    }
}

#[test]
fn each_fault_has_its_name() {
    let good = sample().encode(Slot::A);
    assert_eq!(Record::decode(&good, Slot::B), Err(RecordError::Slot));
    let blank = [0; RECORD_BYTES];
    assert_eq!(Record::decode(&blank, Slot::A), Err(RecordError::Magic));
    let mut rotten = good;
    rotten[2000] ^= 1;
    assert_eq!(Record::decode(&rotten, Slot::A), Err(RecordError::Checksum));

    let version = RecordError::Version { found: 2 };
    check_changed(|bytes| bytes[8] = 2, version);
    check_changed(|bytes| bytes[9] = b'c', RecordError::Slot);
    check_changed(|bytes| bytes[10] = 1, RecordError::NotZero);
    check_changed(|bytes| bytes[88] += 1, RecordError::Length);
    check_changed(|bytes| bytes[92] = 1, RecordError::NotZero);
    check_changed(|bytes| bytes[140] = 1, RecordError::NotZero);
    check_changed(|bytes| bytes[174] = 1, RecordError::NotZero);
    check_changed(|bytes| bytes[175] = 13, RecordError::Length);
    check_changed(|bytes| bytes[175] = 255, RecordError::Length);
    check_changed(|bytes| bytes[175] = 7, RecordError::Length);
    // Fewer apps than there are: what is left over must be zero.
    check_changed(
        |bytes| {
            bytes[175] = 7;
            bytes[88..92].copy_from_slice(&(80u32 + 7 * 324).to_le_bytes());
        },
        RecordError::NotZero,
    );
    // More apps than there are: nothing has no name.
    check_changed(
        |bytes| {
            bytes[175] = 9;
            bytes[88..92].copy_from_slice(&(80u32 + 9 * 324).to_le_bytes());
        },
        RecordError::Name { app: 8 },
    );
    check_changed(|bytes| bytes[entry_at(8)] = 1, RecordError::NotZero);
    check_changed(|bytes| bytes[4063] = 1, RecordError::NotZero);
}

#[test]
fn each_fault_in_an_app_has_its_name() {
    let name = RecordError::Name { app: 0 };
    let code = RecordError::Code { app: 0 };
    let at = entry_at(0);
    check_changed(|bytes| bytes[at] = b'I', name);
    check_changed(|bytes| bytes[at] = 0, name);
    check_changed(|bytes| bytes[at] = 0xff, name);
    check_changed(|bytes| bytes[at + 31] = b'x', RecordError::NotZero);
    let phase = |phase: u8| move |bytes: &mut [u8; RECORD_BYTES]| bytes[at + 32] = phase;
    for unknown in [0, 8, 255] {
        check_changed(phase(unknown), code);
    }
    // A phase without what belongs to it: an intent, a cause, a generation.
    for wanting in [2, 3, 4] {
        check_changed(phase(wanting), code);
    }
    for unknown in [0, 12, 255] {
        check_changed(|bytes| bytes[at + 34] = unknown, code);
    }
    for unknown in [6, 255] {
        check_changed(|bytes| bytes[at + 42] = unknown, code);
    }
    check_changed(|bytes| bytes[at + 41] = 0b011, code);
    // What the phase, the cause or the outcome does not use.
    check_changed(|bytes| bytes[at + 33] = 1, RecordError::NotZero);
    check_changed(|bytes| bytes[at + 34] = 1, RecordError::NotZero);
    check_changed(|bytes| bytes[at + 40] = 1, RecordError::NotZero);
    check_changed(|bytes| bytes[at + 41] = 0b1111, RecordError::NotZero);
    check_changed(|bytes| bytes[at + 41] = 0b110, RecordError::NotZero);
    check_changed(|bytes| bytes[at + 42] = 0, RecordError::NotZero);
    check_changed(|bytes| bytes[at + 43] = 1, RecordError::NotZero);
    let intent = RecordError::Code { app: 1 };
    check_changed(|bytes| bytes[entry_at(1) + 33] = 0, intent);
    check_changed(|bytes| bytes[entry_at(1) + 33] = 3, intent);
}

#[test]
fn an_app_that_comes_twice_is_refused() {
    check_changed(
        |bytes| bytes.copy_within(entry_at(0)..entry_at(1), entry_at(5)),
        RecordError::Duplicate { app: 5 },
    );
}

#[test]
fn the_next_record_is_chained_to_where_this_one_lies() {
    let first = Record::first([1; 32]);
    let next = first.next(Slot::A);
    assert_eq!((first.sequence, next.sequence), (1, 2));
    assert_eq!(next.previous.as_bytes()[..], first.encode(Slot::A)[4064..]);
    assert_ne!(next.previous, first.checksum(Slot::B));
}
