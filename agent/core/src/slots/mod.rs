//! Which of the two slots holds the truth, and where the next record goes.
//!
//! Pure: what was read goes in, what to do comes out. Never reads or writes a file, and never
//! repairs anything by itself.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;

use bundle::AppName;

use crate::record::{RECORD_BYTES, Record, Slot};

/// What reading a slot gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotRead<'a> {
    /// There is no such file.
    Missing,
    /// It could not be read.
    Unreadable,
    /// All of its bytes.
    Bytes(&'a [u8]),
}

/// What the two slots say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This is what the device remembers.
    Use {
        /// The record.
        record: Box<Record>,
        /// Where it lies.
        from: Slot,
        /// The slot to repair before anything else is written: with this same record,
        /// [`Record::encode`]d for it.
        repair: Option<Slot>,
    },
    /// Neither slot has ever been written: a new device. (If there are objects or containers all
    /// the same, the slots were lost: whoever calls looks.)
    Fresh,
    /// Neither slot is good: leave what runs alone, and rebuild the record from the containers'
    /// labels and the stored heads, with the highest floors seen.
    Lost,
    /// Both slots are good, and they do not tell one story: two histories were mixed. Rebuild as
    /// if lost.
    Fork {
        /// What slot A says.
        a: Box<Record>,
        /// What slot B says.
        b: Box<Record>,
    },
    /// The record belongs to other hardware: a copied disk. Enrol again.
    Clone {
        /// The other hardware.
        device: [u8; 32],
    },
}

/// What one slot holds.
enum Content {
    /// Never written: missing, empty, or nothing but zeros.
    Blank,
    /// Written, and not good.
    Bad,
    Good(Box<Record>),
}

impl Content {
    fn new(read: SlotRead<'_>, slot: Slot) -> Self {
        let bytes = match read {
            SlotRead::Missing => return Self::Blank,
            SlotRead::Unreadable => return Self::Bad,
            SlotRead::Bytes(bytes) if bytes.iter().all(|b| *b == 0) => return Self::Blank,
            SlotRead::Bytes(bytes) => bytes,
        };
        let Ok(bytes) = <&[u8; RECORD_BYTES]>::try_from(bytes) else {
            return Self::Bad;
        };
        Record::decode(bytes, slot).map_or(Self::Bad, |record| Self::Good(Box::new(record)))
    }
}

/// What the two slots say to the device with this binding.
///
/// The newest good record wins. The other slot is repaired if it is not good, or if going by it
/// would let a security fact fall ([`needs_both`]), or if it is more than one record behind.
///
/// ```
/// use agent_core::record::{Record, Slot};
/// use agent_core::slots::{Choice, SlotRead, choose};
/// let record = Record::first([7; 32]);
/// let a = record.encode(Slot::A);
/// let torn = &record.encode(Slot::B)[..4000];
/// let choice = choose(SlotRead::Bytes(&a), SlotRead::Bytes(torn), [7; 32]);
/// let expected = Choice::Use { record: Box::new(record), from: Slot::A, repair: Some(Slot::B) };
/// assert_eq!(choice, expected);
/// ```
pub fn choose(a: SlotRead<'_>, b: SlotRead<'_>, device: [u8; 32]) -> Choice {
    match (Content::new(a, Slot::A), Content::new(b, Slot::B)) {
        (Content::Good(record), _) | (_, Content::Good(record)) if record.device != device => {
            Choice::Clone {
                device: record.device,
            }
        }
        (Content::Good(a), Content::Good(b)) => choose_good(a, b),
        (Content::Good(record), _) => use_one(record, Slot::A),
        (_, Content::Good(record)) => use_one(record, Slot::B),
        (Content::Blank, Content::Blank) => Choice::Fresh,
        _ => Choice::Lost,
    }
}

fn use_one(record: Box<Record>, from: Slot) -> Choice {
    Choice::Use {
        record,
        from,
        repair: Some(from.other()),
    }
}

fn choose_good(a: Box<Record>, b: Box<Record>) -> Choice {
    if a == b {
        // Written to both on purpose.
        return Choice::Use {
            record: a,
            from: Slot::A,
            repair: None,
        };
    }
    let (newer, older, from) = if a.sequence > b.sequence {
        (&a, &b, Slot::A)
    } else {
        (&b, &a, Slot::B)
    };
    let behind = newer.sequence - older.sequence;
    let chained = newer.previous == older.checksum(from.other());
    if behind == 0 || (behind == 1 && !chained) {
        return Choice::Fork { a, b };
    }
    let repair = (behind > 1 || needs_both(older, newer)).then_some(from.other());
    let record = if from == Slot::A { a } else { b };
    Choice::Use {
        record,
        from,
        repair,
    }
}

/// The slot that the next record goes to: not the one that holds the newest.
pub const fn target(newest: Slot) -> Slot {
    newest.other()
}

/// Whether the way from one record to the next changes a security fact, so that the new one must
/// be in both slots before anything acts on it: else the newest slot rots, and the other revives
/// the old floor.
///
/// Security facts: the clock floor, the keyring, and the sequence and epoch floors of each app.
pub fn needs_both(old: &Record, new: &Record) -> bool {
    let device = |record: &Record| (record.clock_floor, record.keyring_version, record.keyring);
    let mut names = old.apps.iter().chain(&new.apps).map(|app| &app.name);
    device(old) != device(new) || names.any(|app| floors(old, app) != floors(new, app))
}

fn floors(record: &Record, app: &AppName) -> (u64, u64) {
    record
        .app(app)
        .map_or((0, 0), |app| (app.seq_floor, app.epoch_floor))
}
