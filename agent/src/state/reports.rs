//! The spool: reports that the relay does not have yet, one file for each (clause D52).
//!
//! A file's name has all that is needed to keep order: `NUMBER-IMPORTANCE-KEY`. The number grows
//! with each report, so names in order are reports in order. A report is on the disk before
//! whoever made it goes on, and stays until the relay has it or the bounds push it out. Never
//! looks into a report, and writes nothing while nothing is reported.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use relay_api::device::{REPORT_BYTES_MAX, ReportKey};

use super::sealed::{self, SEAL_BYTES};
use super::vfs::Vfs;

/// Most reports that wait (clause D52).
pub(crate) const REPORTS_MAX: usize = 256;
/// Most bytes that they take together, digests included (clause D52).
pub(crate) const SPOOL_BYTES_MAX: usize = 1 << 20;
/// Most reports that wait in memory because the disk does not take them: each may have 256 KiB.
const HELD_MAX: usize = 4;

/// What goes first when there is no room: the least of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Importance {
    /// Changes of health: the next check-in tells them too.
    Health,
    /// Exits.
    Exit,
    /// How updates ended.
    Update,
}

impl Importance {
    const ALL: [Self; 3] = [Self::Health, Self::Exit, Self::Update];

    fn word(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Exit => "exit",
            Self::Update => "update",
        }
    }
}

/// A report that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    number: u64,
    importance: Importance,
    key: ReportKey,
    /// Of its file.
    bytes: usize,
}

impl Entry {
    fn name(&self) -> String {
        let Self {
            number,
            importance,
            key,
            ..
        } = self;
        format!("{number:016x}-{}-{key}", importance.word())
    }

    /// The entry with this name; its size is not in it.
    fn named(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '-');
        let (number, word, key) = (parts.next()?, parts.next()?, parts.next()?);
        let entry = Self {
            number: u64::from_str_radix(number, 16).ok()?,
            importance: Importance::ALL.into_iter().find(|i| i.word() == word)?,
            key: key.parse().ok()?,
            bytes: 0,
        };
        // One name for each entry, or names would not be in order.
        (entry.name() == name).then_some(entry)
    }
}

/// A report that the disk does not take.
struct Held {
    importance: Importance,
    key: ReportKey,
    body: Vec<u8>,
}

/// The folder `reports/`.
pub(crate) struct Reports {
    vfs: Rc<dyn Vfs>,
    folder: PathBuf,
    /// What is on the disk, oldest first.
    entries: RefCell<Vec<Entry>>,
    held: RefCell<VecDeque<Held>>,
}

impl Reports {
    /// The spool in this folder, which need not exist yet. With `write`, what is no whole report
    /// is removed, and said: files that a crash left half-written, damaged ones, those of others.
    pub(crate) fn open(vfs: Rc<dyn Vfs>, folder: PathBuf, write: bool) -> Self {
        let spool = Self {
            vfs,
            folder,
            entries: RefCell::default(),
            held: RefCell::default(),
        };
        let paths = spool.vfs.list(&spool.folder).unwrap_or_else(|error| {
            log::error!("phase=start cause=the reports cannot be read: {error}");
            Vec::new()
        });
        for path in paths {
            match spool.examine(&path) {
                Ok(entry) => spool.entries.borrow_mut().push(entry),
                Err(why) if write => {
                    log::warn!("phase=start file={} removed cause={why}", path.display());
                    spool.remove_file(&path);
                }
                Err(_) => {}
            }
        }
        spool.entries.borrow_mut().sort_by_key(|entry| entry.number);
        if write {
            // More than there may be are there if a power cut brought removed ones back.
            spool.make_room(None);
        }
        spool
    }

    fn examine(&self, path: &Path) -> Result<Entry, String> {
        let name = path.file_name().and_then(|name| name.to_str());
        let entry = name.and_then(Entry::named).ok_or("it is no report")?;
        if self.has(&entry.key) {
            return Err("it is there twice".to_owned());
        }
        let body = sealed::read(&*self.vfs, path, REPORT_BYTES_MAX).map_err(|e| e.to_string())?;
        let bytes = body.unwrap_or_default().len() + SEAL_BYTES;
        Ok(Entry { bytes, ..entry })
    }

    /// Adds a report, durably, and drops others over the bounds: the oldest of the least important,
    /// this one too if it is that. A report with a key that waits already changes nothing. A crash
    /// in the middle leaves the spool without it, and at most a `.part` file.
    ///
    /// # Errors
    /// What writing gives. The report waits in memory then, until [`Reports::write_held`].
    pub(crate) fn add(
        &self,
        importance: Importance,
        key: ReportKey,
        body: Vec<u8>,
    ) -> io::Result<()> {
        if self.has(&key) {
            return Ok(());
        }
        if body.len() > REPORT_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.write(importance, key, &body).inspect_err(|_| {
            let mut held = self.held.borrow_mut();
            held.push_back(Held {
                importance,
                key,
                body,
            });
            if held.len() > HELD_MAX {
                let least = (0..held.len()).min_by_key(|i| held.get(*i).map(|h| h.importance));
                least.and_then(|i| held.remove(i));
                log::warn!("phase=reporting dropped=1 cause=the disk takes no reports");
            }
        })
    }

    /// Tries once more to write what waits in memory.
    pub(crate) fn write_held(&self) {
        for held in self.held.take() {
            if self.write(held.importance, held.key, &held.body).is_err() {
                self.held.borrow_mut().push_back(held);
            }
        }
    }

    fn write(&self, importance: Importance, key: ReportKey, body: &[u8]) -> io::Result<()> {
        let last = self.entries.borrow().last().map_or(0, |last| last.number);
        let entry = Entry {
            number: last.saturating_add(1),
            importance,
            key,
            bytes: body.len() + SEAL_BYTES,
        };
        if !self.make_room(Some(entry)) {
            return Ok(());
        }
        let path = self.folder.join(entry.name());
        self.vfs.create_dir(&self.folder)?;
        while let Err(error) = sealed::write(&*self.vfs, &path, body) {
            // Whole, but perhaps not durable: as if it had never been there.
            self.remove_file(&path);
            let full = error.kind() == io::ErrorKind::StorageFull;
            let before = |other: &Entry| other.importance < importance;
            if !full || !self.drop_least(before, "the disk is full") {
                return Err(error);
            }
        }
        self.entries.borrow_mut().push(entry);
        Ok(())
    }

    /// Drops reports until `new` fits; says whether it may come in.
    fn make_room(&self, new: Option<Entry>) -> bool {
        loop {
            let (count, bytes) = {
                let entries = self.entries.borrow();
                let all = entries.iter().chain(&new);
                (all.clone().count(), all.map(|e| e.bytes).sum::<usize>())
            };
            if count <= REPORTS_MAX && bytes <= SPOOL_BYTES_MAX {
                return true;
            }
            let may_go = |other: &Entry| new.is_none_or(|new| other.importance <= new.importance);
            if !self.drop_least(may_go, "the spool is full") {
                log::warn!("phase=reporting dropped=1 cause=the spool is full");
                return false;
            }
        }
    }

    /// Drops the oldest of the least important reports that `may_go`; says whether there was one.
    fn drop_least(&self, may_go: impl Fn(&Entry) -> bool, why: &str) -> bool {
        let least = {
            let entries = self.entries.borrow();
            let least = entries.iter().filter(|entry| may_go(entry));
            least
                .min_by_key(|entry| (entry.importance, entry.number))
                .copied()
        };
        let Some(entry) = least else {
            return false;
        };
        log::warn!(
            "phase=reporting dropped=1 importance={} key={} cause={why}",
            entry.importance.word(),
            entry.key
        );
        self.remove(&entry.key);
        true
    }

    /// The oldest report, with its body; none if nothing waits. One that cannot be read any longer
    /// is dropped, and said.
    pub(crate) fn oldest(&self) -> Option<(ReportKey, Vec<u8>)> {
        loop {
            let first = self.entries.borrow().first().copied();
            let Some(entry) = first else {
                let held = self.held.borrow();
                return held.front().map(|held| (held.key, held.body.clone()));
            };
            let path = self.folder.join(entry.name());
            let why = match sealed::read(&*self.vfs, &path, REPORT_BYTES_MAX) {
                Ok(Some(body)) => return Some((entry.key, body)),
                Ok(None) => "it is gone".to_owned(),
                Err(error) => error.to_string(),
            };
            log::warn!("phase=reporting dropped=1 key={} cause={why}", entry.key);
            self.remove(&entry.key);
        }
    }

    /// Removes a report: the relay has it, or never takes it. Not synced: one that comes back
    /// after a power cut is delivered again, which changes nothing there.
    pub(crate) fn remove(&self, key: &ReportKey) {
        self.held.borrow_mut().retain(|held| held.key != *key);
        let gone = {
            let mut entries = self.entries.borrow_mut();
            let place = entries.iter().position(|entry| entry.key == *key);
            place.map(|place| entries.remove(place))
        };
        if let Some(entry) = gone {
            self.remove_file(&self.folder.join(entry.name()));
        }
    }

    /// How many reports wait.
    pub(crate) fn count(&self) -> usize {
        self.entries.borrow().len() + self.held.borrow().len()
    }

    fn has(&self, key: &ReportKey) -> bool {
        self.entries.borrow().iter().any(|entry| entry.key == *key)
            || self.held.borrow().iter().any(|held| held.key == *key)
    }

    fn remove_file(&self, path: &Path) {
        if let Err(error) = self.vfs.remove(path) {
            log::warn!("phase=reporting file={} cause={error}", path.display());
        }
    }
}
