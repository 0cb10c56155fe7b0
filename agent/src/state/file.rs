//! The A/B state file: two slots, of which the older is overwritten.
//!
//! `agent_core::slots` says which slot holds the truth and where the next record goes; here is
//! the order of writes that makes it so. Never trusts a write that it has not read back, and
//! never an fsync that has failed once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use agent_core::record::{RECORD_BYTES, Record, Slot};
use agent_core::slots::{Choice, SlotRead, choose, needs_both, target};

use super::vfs::{Vfs, VfsFile};

/// Why the state cannot be used, or cannot be changed.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum StateError {
    /// A file or folder cannot be made or read.
    Open(PathBuf, io::Error),
    /// Both slots are damaged, or they tell two different stories.
    Lost,
    /// It belongs to other hardware, or to another device id.
    Clone,
    /// A record could not be written, twice: nothing more is written until the next start.
    ReadOnly,
    /// More apps than a record holds.
    TooManyApps,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Lost => f.write_str("both slots of the state file are damaged"),
            Self::Clone => f.write_str(
                "the state belongs to another device: its disk was copied, or its id was changed",
            ),
            Self::ReadOnly => f.write_str("the state file cannot be written"),
            Self::TooManyApps => write!(f, "{}", agent_core::record::TooManyApps),
        }
    }
}

impl std::error::Error for StateError {}

/// What opening gave.
pub(crate) enum Opened {
    /// A state that can be used.
    Good(StateFile),
    /// There has never been one: [`StateFile::create`] makes it. Nothing has been written yet.
    Fresh(StateFile),
    /// No usable record; this one starts over, under the binding of this device. Nothing has
    /// been written yet.
    Lost(StateFile),
}

/// The two slots, open, and the newest record.
pub(crate) struct StateFile {
    vfs: Rc<dyn Vfs>,
    folder: PathBuf,
    record: Record,
    newest: Slot,
    /// Neither slot holds `record` yet.
    unwritten: bool,
    read_only: bool,
}

impl StateFile {
    /// Reads both slots and repairs what needs it. `bindings` are the digests that may stand for
    /// this device; a new record is bound to the first. With `write` unset nothing is written,
    /// and [`StateFile::commit`] fails.
    ///
    /// # Errors
    /// [`StateError::Clone`], [`StateError::Open`].
    pub(crate) fn open(
        vfs: Rc<dyn Vfs>,
        folder: &Path,
        bindings: &[[u8; 32]],
        write: bool,
    ) -> Result<Opened, StateError> {
        let (a, b) = (
            read_slot(&*vfs, folder, Slot::A),
            read_slot(&*vfs, folder, Slot::B),
        );
        let known = bindings.iter().find(|binding| {
            !matches!(
                choose(a.as_read(), b.as_read(), **binding),
                Choice::Clone { .. }
            )
        });
        let Some(binding) = known else {
            return Err(StateError::Clone);
        };
        let mut file = Self {
            vfs,
            folder: folder.to_path_buf(),
            record: Record::first(*binding),
            newest: Slot::B,
            unwritten: true,
            read_only: !write,
        };
        match choose(a.as_read(), b.as_read(), *binding) {
            Choice::Use {
                record,
                from,
                repair,
            } => {
                (file.record, file.newest, file.unwritten) = (*record, from, false);
                if let Some(slot) = repair.filter(|_| write) {
                    log::warn!("phase=start slot={} cause=repaired", name(slot));
                    // The good slot stays as it is; if this fails, so will commits.
                    if file.write(slot).is_err() {
                        file.read_only = true;
                    }
                }
                Ok(Opened::Good(file))
            }
            Choice::Clone { .. } => Err(StateError::Clone),
            Choice::Fresh => Ok(Opened::Fresh(file)),
            // Damaged slots stay for whoever looks into it, until the record is rebuilt.
            _ => Ok(Opened::Lost(file)),
        }
    }

    /// The newest record.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Whether a commit can still succeed.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Makes `record` the newest one; its sequence and chaining are filled in here. Returned means
    /// durable. A record with the same facts is not written.
    ///
    /// A crash in the middle leaves the old record or the new one; a change of security facts
    /// reaches both slots before this returns.
    ///
    /// # Errors
    /// [`StateError::ReadOnly`]: a slot could not be written, twice; the newest record that is
    /// known to be durable stays the newest.
    pub(crate) fn commit(&mut self, facts: Record) -> Result<(), StateError> {
        let mut next = if self.unwritten {
            self.record.clone()
        } else {
            self.record.next(self.newest)
        };
        (next.clock_floor, next.keyring_version) = (facts.clock_floor, facts.keyring_version);
        (next.keyring, next.apps) = (facts.keyring, facts.apps);
        let same = |a: &Record, b: &Record| {
            (a.clock_floor, a.keyring_version, a.keyring, &a.apps)
                == (b.clock_floor, b.keyring_version, b.keyring, &b.apps)
        };
        if same(&next, &self.record) && !self.unwritten {
            return Ok(());
        }
        if self.read_only {
            return Err(StateError::ReadOnly);
        }
        let both = self.unwritten || needs_both(&self.record, &next);
        let (before, newest) = (std::mem::replace(&mut self.record, next), self.newest);
        let mut slots = vec![target(newest)];
        if both {
            slots.push(newest);
        }
        for (nth, slot) in slots.into_iter().enumerate() {
            if self.write(slot).is_err() {
                self.read_only = true;
                if nth == 0 {
                    self.record = before;
                }
                return Err(StateError::ReadOnly);
            }
            if nth == 0 {
                (self.newest, self.unwritten) = (slot, false);
            } else {
                // `choose` reads equal slots as "from A".
                self.newest = Slot::A;
            }
        }
        Ok(())
    }

    /// Writes the record to a slot: in full, synced, read back. A second attempt after a failure
    /// writes all of it again: what a failed fsync has dropped is not in the cache any longer.
    fn write(&self, slot: Slot) -> io::Result<()> {
        let bytes = self.record.encode(slot);
        let path = slot_path(&self.folder, slot);
        let attempt = || {
            let file = match self.vfs.open(&path, true) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    self.vfs.create(&path, SLOT_MODE)?
                }
                other => other?,
            };
            write_through(&*file, &bytes)?;
            self.vfs.sync_dir(&self.folder)
        };
        attempt().or_else(|first| {
            log::error!("phase=commit slot={} cause={first}", name(slot));
            attempt()
        })
    }

    /// Makes both slots, in full size, so that no commit ever needs a new block, and the first
    /// record in both. From here on, slots without a record are slots that were lost.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn create(&mut self) -> Result<(), StateError> {
        let open = |error| StateError::Open(self.folder.clone(), error);
        self.vfs.create_dir(&self.folder).map_err(open)?;
        for slot in [Slot::A, Slot::B] {
            let path = slot_path(&self.folder, slot);
            let made = self.vfs.create(&path, SLOT_MODE);
            let made = made.and_then(|file| write_through(&*file, &[0; RECORD_BYTES]));
            made.map_err(|error| StateError::Open(path, error))?;
        }
        self.vfs.sync_dir(&self.folder).map_err(open)?;
        self.commit(self.record.clone())
    }
}

/// Slots name bundles and floors, no secrets; still nobody's business.
const SLOT_MODE: u32 = 0o600;

fn write_through(file: &dyn VfsFile, bytes: &[u8]) -> io::Result<()> {
    file.write_at(bytes, 0)?;
    file.sync()?;
    let mut back = vec![0; bytes.len()];
    if file.read_at(&mut back, 0)? == bytes.len() && back == bytes {
        Ok(())
    } else {
        Err(io::Error::other("what was written is not what is read"))
    }
}

enum SlotBytes {
    Missing,
    Unreadable,
    Bytes(Vec<u8>),
}

impl SlotBytes {
    fn as_read(&self) -> SlotRead<'_> {
        match self {
            Self::Missing => SlotRead::Missing,
            Self::Unreadable => SlotRead::Unreadable,
            Self::Bytes(bytes) => SlotRead::Bytes(bytes),
        }
    }
}

fn read_slot(vfs: &dyn Vfs, folder: &Path, slot: Slot) -> SlotBytes {
    // One byte more than a record: a longer file is not good.
    match super::vfs::read(vfs, &slot_path(folder, slot), RECORD_BYTES + 1) {
        Ok(Some(bytes)) => SlotBytes::Bytes(bytes),
        Ok(None) => SlotBytes::Missing,
        Err(error) => {
            log::error!("phase=start slot={} cause={error}", name(slot));
            SlotBytes::Unreadable
        }
    }
}

fn slot_path(folder: &Path, slot: Slot) -> PathBuf {
    folder.join(name(slot))
}

fn name(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "state.a",
        Slot::B => "state.b",
    }
}
