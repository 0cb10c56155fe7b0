//! Two slots in every condition, and a disk that tears and rots under the way of writing that
//! `docs/state-file.md` prescribes (clause numbers in brackets).

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::app::{AppState, Phase};

const DEVICE: [u8; 32] = [0xd0; 32];

fn name() -> AppName {
    AppName::new("kiosk").unwrap()
}

/// A record with one app; `floor` is its sequence floor.
fn record(sequence: u64, floor: u64) -> Record {
    let mut record = Record {
        sequence,
        ..Record::first(DEVICE)
    };
    let mut app = AppState::new(name());
    app.seq_floor = floor;
    record.set(app).unwrap();
    record
}

/// Two records as they follow each other, the older in A.
fn pair() -> (Record, Record) {
    let older = record(7, 1);
    let mut newer = older.next(Slot::A);
    newer.apps[0].phase = Phase::Removing;
    (older, newer)
}

fn bytes(bytes: &[u8]) -> SlotRead<'_> {
    SlotRead::Bytes(bytes)
}

fn use_(record: &Record, from: Slot, repair: Option<Slot>) -> Choice {
    Choice::Use {
        record: Box::new(record.clone()),
        from,
        repair,
    }
}

#[test]
fn the_newest_good_record_wins_wherever_it_lies() {
    let (older, newer) = pair();
    let (a, b) = (older.encode(Slot::A), newer.encode(Slot::B));
    let choice = choose(bytes(&a), bytes(&b), DEVICE);
    assert_eq!(choice, use_(&newer, Slot::B, None));
    let newest = newer.next(Slot::B);
    let a = newest.encode(Slot::A);
    let choice = choose(bytes(&a), bytes(&b), DEVICE);
    assert_eq!(choice, use_(&newest, Slot::A, None));
}

/// Every condition of one slot against every condition of the other.
#[test]
fn every_pair_of_conditions() {
    let good = record(3, 0);
    let mut foreign = record(3, 0);
    foreign.device = [0xf0; 32];
    for slot in [Slot::A, Slot::B] {
        let whole = good.encode(slot);
        let theirs = foreign.encode(slot);
        let mut torn = whole;
        torn[3000] ^= 1;
        let zeros = vec![0; RECORD_BYTES];
        let blank = [
            SlotRead::Missing,
            bytes(b""),
            bytes(&zeros),
            bytes(&zeros[..100]),
        ];
        let long: Vec<u8> = whole.iter().copied().chain([0]).collect();
        let bad = [
            SlotRead::Unreadable,
            bytes(&torn),
            bytes(&whole[..RECORD_BYTES - 1]),
            bytes(&long),
            bytes(b"x"),
        ];
        let order = |this, that| match slot {
            Slot::A => choose(this, that, DEVICE),
            Slot::B => choose(that, this, DEVICE),
        };
        let other = slot.other();
        let clone = Choice::Clone {
            device: foreign.device,
        };
        for (at, that) in blank.into_iter().chain(bad).enumerate() {
            let used = use_(&good, slot, Some(other));
            assert_eq!(order(bytes(&whole), that), used, "condition {at}");
            assert_eq!(order(bytes(&theirs), that), clone, "condition {at}");
        }
        for this in blank {
            for that in blank {
                assert_eq!(order(this, that), Choice::Fresh);
            }
            for that in bad {
                assert_eq!(order(this, that), Choice::Lost);
            }
        }
        for this in bad {
            for that in bad {
                assert_eq!(order(this, that), Choice::Lost);
            }
        }
        let ours = good.encode(other);
        assert_eq!(order(bytes(&theirs), bytes(&ours)), clone);
        let theirs_too = foreign.encode(other);
        assert_eq!(order(bytes(&theirs), bytes(&theirs_too)), clone);
    }
}

#[test]
fn swapped_files_are_no_records() {
    let (older, newer) = pair();
    let (a, b) = (newer.encode(Slot::B), older.encode(Slot::A));
    assert_eq!(choose(bytes(&a), bytes(&b), DEVICE), Choice::Lost);
}

#[test]
fn the_same_record_in_both_slots_is_fine() {
    let one = record(5, 2);
    let (a, b) = (one.encode(Slot::A), one.encode(Slot::B));
    let choice = choose(bytes(&a), bytes(&b), DEVICE);
    assert_eq!(choice, use_(&one, Slot::A, None));
}

#[test]
fn one_sequence_with_two_contents_is_a_fork() {
    let (left, right) = (record(5, 2), record(5, 3));
    let (a, b) = (left.encode(Slot::A), right.encode(Slot::B));
    let fork = Choice::Fork {
        a: Box::new(left),
        b: Box::new(right),
    };
    assert_eq!(choose(bytes(&a), bytes(&b), DEVICE), fork);
}

/// One slot put back from a copy of the disk: numbers fit, histories do not.
#[test]
fn a_successor_of_another_record_is_a_fork() {
    let (older, newer) = pair();
    let mut changed = older.clone();
    changed.clock_floor = 99;
    let (a, b) = (changed.encode(Slot::A), newer.encode(Slot::B));
    let fork = Choice::Fork {
        a: Box::new(changed),
        b: Box::new(newer),
    };
    assert_eq!(choose(bytes(&a), bytes(&b), DEVICE), fork);
}

/// A disk that swallowed a write: the newest stands, the stale slot is written anew.
#[test]
fn a_slot_left_behind_is_repaired() {
    let (stale, newest) = (record(5, 2), record(8, 2));
    let (a, b) = (stale.encode(Slot::A), newest.encode(Slot::B));
    let choice = choose(bytes(&a), bytes(&b), DEVICE);
    assert_eq!(choice, use_(&newest, Slot::B, Some(Slot::A)));
}

/// A crash between the two writes of a security change.
#[test]
fn an_older_floor_is_repaired_before_anything_acts_on_the_new() {
    let older = record(7, 1);
    let mut newer = older.next(Slot::A);
    newer.apps[0].seq_floor = 2;
    let (a, b) = (older.encode(Slot::A), newer.encode(Slot::B));
    let choice = choose(bytes(&a), bytes(&b), DEVICE);
    assert_eq!(choice, use_(&newer, Slot::B, Some(Slot::A)));
}

#[test]
fn security_facts_need_both_slots_and_nothing_else_does() {
    let old = record(1, 1);
    let check = |change: fn(&mut Record), expected: bool| {
        let mut new = old.next(Slot::A);
        change(&mut new);
        assert_eq!(needs_both(&old, &new), expected);
        assert_eq!(needs_both(&new, &old), expected, "falling is a change, too");
    };
    check(|_| {}, false);
    check(|new| new.apps[0].phase = Phase::Removing, false);
    check(|new| new.apps[0].next_generation.0 += 1, false);
    check(|new| new.apps[0].seq_floor += 1, true);
    check(|new| new.apps[0].epoch_floor += 1, true);
    check(|new| new.clock_floor += 1, true);
    check(|new| new.keyring_version += 1, true);
    check(|new| new.keyring = bundle::Digest::of(b"keyring"), true);
    check(|new| new.apps.clear(), true);
    let other = |new: &mut Record| {
        let app = AppState::new(AppName::new("other").unwrap());
        new.set(app).unwrap();
    };
    check(other, false);
}

/// Two slots that are written as clause [4] says, and that can be torn in the middle of it.
#[derive(Clone)]
struct Disk {
    a: Vec<u8>,
    b: Vec<u8>,
}

impl Disk {
    fn slot(&mut self, slot: Slot) -> &mut Vec<u8> {
        match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        }
    }

    fn choose(&self) -> Choice {
        choose(bytes(&self.a), bytes(&self.b), DEVICE)
    }

    /// [4.2] to [4.4]: the writes that bring `new` in after `old`, which lies in `from`.
    fn writes(old: &Record, new: &Record, from: Slot) -> Vec<(Slot, Vec<u8>)> {
        let first = target(from);
        let mut writes = vec![(first, new.encode(first).to_vec())];
        if needs_both(old, new) {
            writes.push((from, new.encode(from).to_vec()));
        }
        writes
    }

    /// [3.5]: what a start does before anything else. Returns the record and where it lies.
    #[track_caller]
    fn start(&mut self) -> (Record, Slot) {
        let Choice::Use {
            record,
            from,
            repair,
        } = self.choose()
        else {
            panic!("the record is gone: {:?}", self.choose());
        };
        if let Some(slot) = repair {
            *self.slot(slot) = record.encode(slot).to_vec();
        }
        (*record, from)
    }
}

/// A life of twenty records, some of which raise a floor; of every write, each subset of its eight
/// sectors reaches the disk before the power fails. What was acknowledged is never lost.
#[test]
fn a_torn_write_leaves_the_old_record_or_the_new_one() {
    let mut disk = Disk {
        a: vec![0; RECORD_BYTES],
        b: vec![0; RECORD_BYTES],
    };
    let first = Record::first(DEVICE);
    disk.a = first.encode(Slot::A).to_vec();
    disk.b = first.encode(Slot::B).to_vec();
    let (mut torn, mut repaired) = (0, 0);
    for round in 0..20u64 {
        let (old, from) = disk.start();
        let mut new = old.next(from);
        let mut app = new.app(&name()).cloned().unwrap_or(AppState::new(name()));
        app.phase = match round % 2 {
            0 => Phase::Removing,
            _ => Phase::Idle,
        };
        app.seq_floor = round / 3;
        new.set(app).unwrap();
        let writes = Disk::writes(&old, &new, from);
        for (at, (slot, content)) in writes.iter().enumerate() {
            let sectors = (0u32..256).map(|subset| {
                let mut mixed = disk.slot(*slot).clone();
                for sector in (0..8usize).filter(|sector| subset >> sector & 1 == 1) {
                    let range = sector * 512..(sector + 1) * 512;
                    mixed[range.clone()].copy_from_slice(&content[range]);
                }
                mixed
            });
            let mixes: Vec<Vec<u8>> = sectors.collect();
            for mixed in mixes {
                let mut crashed = disk.clone();
                *crashed.slot(*slot) = mixed;
                let needs_repair = matches!(
                    crashed.choose(),
                    Choice::Use {
                        repair: Some(_),
                        ..
                    }
                );
                let (found, lies_in) = crashed.start();
                assert!(found == new || (at == 0 && found == old), "round {round}");
                torn += 1;
                repaired += u32::from(needs_repair);
                // And the next record goes in as if nothing had been.
                let next = found.next(lies_in);
                for (slot, content) in Disk::writes(&found, &next, lies_in) {
                    *crashed.slot(slot) = content;
                }
                assert_eq!(crashed.start().0, next);
            }
            *disk.slot(*slot) = content.clone();
        }
    }
    // The injector fired.
    assert!(
        torn > 5_000 && repaired > 4_000,
        "{torn} torn, {repaired} repaired"
    );
}

/// The newest slot rots away, and the other revives no older floor: not after a whole write, and
/// not after a crash in the middle of one, once the next start has been.
#[test]
fn rot_of_either_slot_never_lowers_a_floor() {
    let old = record(1, 5);
    let (a, b) = (old.encode(Slot::A).to_vec(), old.encode(Slot::B).to_vec());
    let mut new = old.next(Slot::A);
    new.apps[0].seq_floor = 6;
    let writes = Disk::writes(&old, &new, Slot::A);
    assert_eq!(writes.len(), 2);
    for written in 1..=2 {
        let mut disk = Disk {
            a: a.clone(),
            b: b.clone(),
        };
        for (slot, content) in &writes[..written] {
            *disk.slot(*slot) = content.clone();
        }
        disk.start();
        for slot in [Slot::A, Slot::B] {
            let mut rotten = disk.clone();
            rotten.slot(slot)[1000] ^= 0x10;
            let (found, _) = rotten.start();
            assert_eq!(found.app(&name()).unwrap().seq_floor, 6, "{slot:?}");
        }
    }
}

#[test]
fn the_next_record_never_goes_over_the_newest() {
    assert_eq!(target(Slot::A), Slot::B);
    assert_eq!(target(Slot::B), Slot::A);
}
