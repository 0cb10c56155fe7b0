//! What survives a power cut, as exactly 4,096 bytes: one slot of the A/B state file.
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic `CRCLSTAT` |
//! | 8 | version: 1 |
//! | 9 | slot: `a` or `b` |
//! | 10..16 | zero |
//! | 16..48 | device binding: SHA-256 of the hardware's id |
//! | 48..56 | sequence of the record, from 1 |
//! | 56..88 | SHA-256 of the previous record (its last 32 bytes); zero for the first |
//! | 88..92 | payload length: 80 + 324 · apps |
//! | 92..96 | zero |
//! | 96..104 | clock floor: seconds since 1970-01-01 UTC |
//! | 104..108 | keyring version; 0 for plain key files |
//! | 108..140 | SHA-256 of the keyring; zero for plain key files |
//! | 140..175 | reserved for the keyring: zero |
//! | 175 | number of apps, at most 12 |
//! | 176..4064 | apps, 324 bytes each ([`entry`]); zero after the last |
//! | 4064..4096 | SHA-256 of bytes 0..4064 |
//!
//! Whole numbers are little-endian. `docs/state-file.md` is the specification. Each record has one
//! encoding only: what is not used is zero, and decoding refuses anything else. Never reads or
//! writes a file, and never decides between two slots: [`crate::slots`] does.

mod bytes;
pub mod entry;
#[cfg(test)]
mod tests;

use core::fmt;

use bundle::{AppName, Digest};

use crate::app::AppState;
use bytes::{Reader, Writer};

/// Bytes of a record, and of a slot.
pub const RECORD_BYTES: usize = 4096;
/// The most apps on a device: as many as fit.
pub const APPS_MAX: usize = 12;

const MAGIC: [u8; 8] = *b"CRCLSTAT";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 96;
/// Of the payload, what comes before the apps.
const DEVICE_FIELDS_BYTES: usize = 80;
const KEYRING_RESERVED_BYTES: usize = 35;
const CHECKSUM_AT: usize = RECORD_BYTES - 32;
const _: () = assert!(
    HEADER_BYTES + DEVICE_FIELDS_BYTES + APPS_MAX * entry::ENTRY_BYTES == CHECKSUM_AT,
    "twelve apps fill the record exactly"
);

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `state.a`.
    A,
    /// `state.b`.
    B,
}

impl Slot {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::A => b'a',
            Self::B => b'b',
        }
    }
}

/// What a device remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The hardware that it belongs to: a digest of its id.
    pub device: [u8; 32],
    /// Its number: each record's is one above that of the record before.
    pub sequence: u64,
    /// [`Record::checksum`] of the record before; zero for the first.
    pub previous: Digest,
    /// It is at least this late: seconds since 1970-01-01 UTC. Never falls.
    pub clock_floor: u64,
    /// The version of the keyring; 0 for plain key files. Never falls.
    pub keyring_version: u32,
    /// SHA-256 of the keyring; zero for plain key files.
    pub keyring: Digest,
    /// The apps, each name once. An app stays after its removal, for its floors.
    pub apps: heapless::Vec<AppState, APPS_MAX>,
}

/// The device has [`APPS_MAX`] apps already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyApps;

impl fmt::Display for TooManyApps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this device has had {APPS_MAX} apps already, and remembers no more"
        )
    }
}

impl core::error::Error for TooManyApps {}

/// Why bytes are not a record. A torn, rotten or foreign slot ends here, never in a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// Not a record at all.
    Magic,
    /// A record of a version that this agent does not know.
    Version {
        /// Which.
        found: u8,
    },
    /// A record of the other slot: the files were swapped or copied.
    Slot,
    /// The bytes are not those that were written.
    Checksum,
    /// A code that stands for nothing: of a phase, a cause, an outcome or an intent.
    Code {
        /// The app's place in the record.
        app: u8,
    },
    /// A name that is not an app's.
    Name {
        /// The app's place in the record.
        app: u8,
    },
    /// An app that comes twice.
    Duplicate {
        /// The place of the second.
        app: u8,
    },
    /// More apps than there is room for, or a length that does not fit their number.
    Length,
    /// Bytes that must be zero are not.
    NotZero,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("not a state record"),
            Self::Version { found } => write!(f, "a state record of unknown version {found}"),
            Self::Slot => f.write_str("a state record of the other slot"),
            Self::Checksum => f.write_str("a damaged state record"),
            Self::Code { app } => write!(f, "an unknown code in app {app} of the state record"),
            Self::Name { app } => write!(f, "no valid name in app {app} of the state record"),
            Self::Duplicate { app } => {
                write!(f, "app {app} of the state record has the name of another")
            }
            Self::Length => f.write_str("a wrong length in the state record"),
            Self::NotZero => f.write_str("stray bytes in the state record"),
        }
    }
}

impl core::error::Error for RecordError {}

impl Record {
    /// The first record of a device: no apps, no floors.
    pub fn first(device: [u8; 32]) -> Self {
        Self {
            device,
            sequence: 1,
            previous: Digest::from_bytes([0; 32]),
            clock_floor: 0,
            keyring_version: 0,
            keyring: Digest::from_bytes([0; 32]),
            apps: heapless::Vec::new(),
        }
    }

    /// The record that comes after this one, which lies in `slot`: same facts, next number, chained
    /// to this one. Change it, then write it to [`crate::slots::target`].
    pub fn next(&self, slot: Slot) -> Self {
        Self {
            sequence: self.sequence.saturating_add(1),
            previous: self.checksum(slot),
            ..self.clone()
        }
    }

    /// The app with this name.
    pub fn app(&self, name: &AppName) -> Option<&AppState> {
        self.apps.iter().find(|app| app.name == *name)
    }

    /// Puts an app in, in the place of the one with its name.
    ///
    /// # Errors
    /// [`TooManyApps`] if it is a new one and there is no room; the record stays as it was.
    pub fn set(&mut self, app: AppState) -> Result<(), TooManyApps> {
        if let Some(old) = self.apps.iter_mut().find(|old| old.name == app.name) {
            *old = app;
            return Ok(());
        }
        self.apps.push(app).map_err(|_| TooManyApps)
    }

    /// The bytes of this record for a slot. Apps go in as [`AppState::durable`] has them.
    pub fn encode(&self, slot: Slot) -> [u8; RECORD_BYTES] {
        let mut out = [0; RECORD_BYTES];
        let mut writer = Writer::new(&mut out);
        writer.bytes(&MAGIC);
        writer.bytes(&[VERSION, slot.code()]);
        writer.zero(6);
        writer.bytes(&self.device);
        writer.u64(self.sequence);
        writer.bytes(self.previous.as_bytes());
        writer.u32(payload_bytes(self.apps.len()));
        writer.zero(4);
        writer.u64(self.clock_floor);
        writer.u32(self.keyring_version);
        writer.bytes(self.keyring.as_bytes());
        writer.zero(KEYRING_RESERVED_BYTES);
        writer.u8(self.apps.len() as u8);
        for app in &self.apps {
            entry::encode(&app.durable(), &mut writer);
        }
        let checksum = Digest::of(&out[..CHECKSUM_AT]);
        out[CHECKSUM_AT..].copy_from_slice(checksum.as_bytes());
        out
    }

    /// The SHA-256 that ends this record in a slot: what the next one names as its previous.
    pub fn checksum(&self, slot: Slot) -> Digest {
        Digest::of(&self.encode(slot)[..CHECKSUM_AT])
    }

    /// The record that these bytes of a slot are.
    ///
    /// # Errors
    /// [`RecordError`]: the checksum is looked at before anything behind it is believed, and
    /// only the one encoding of a record is taken.
    pub fn decode(bytes: &[u8; RECORD_BYTES], slot: Slot) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        if reader.array() != MAGIC {
            return Err(RecordError::Magic);
        }
        let checksum = Digest::of(&bytes[..CHECKSUM_AT]);
        let version = reader.u8();
        if version != VERSION {
            return Err(RecordError::Version { found: version });
        }
        if checksum.as_bytes()[..] != bytes[CHECKSUM_AT..] {
            return Err(RecordError::Checksum);
        }
        if reader.u8() != slot.code() {
            return Err(RecordError::Slot);
        }
        reader.skip(6);
        let device = reader.array();
        let sequence = reader.u64();
        let previous = Digest::from_bytes(reader.array());
        let length = reader.u32();
        reader.skip(4);
        let mut record = Self {
            device,
            sequence,
            previous,
            clock_floor: reader.u64(),
            keyring_version: reader.u32(),
            keyring: Digest::from_bytes(reader.array()),
            apps: heapless::Vec::new(),
        };
        reader.skip(KEYRING_RESERVED_BYTES);
        let apps = reader.u8();
        if usize::from(apps) > APPS_MAX || length != payload_bytes(apps.into()) {
            return Err(RecordError::Length);
        }
        for at in 0..apps {
            let app = entry::decode(&mut reader, at)?;
            if record.app(&app.name).is_some() {
                return Err(RecordError::Duplicate { app: at });
            }
            record.set(app).map_err(|_| RecordError::Length)?;
        }
        // Whatever was skipped, or has no meaning in an app's phase, must be zero.
        if record.encode(slot) != *bytes {
            return Err(RecordError::NotZero);
        }
        Ok(record)
    }
}

const fn payload_bytes(apps: usize) -> u32 {
    (DEVICE_FIELDS_BYTES + apps * entry::ENTRY_BYTES) as u32
}
