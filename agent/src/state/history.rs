//! How updates ended: a bounded file, for people.
//!
//! One JSON object a line, oldest first. Written only when an update ends or is refused; nothing
//! is decided by it, so a file that cannot be read counts as empty.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use super::vfs::{self, Vfs};
use crate::api::HistoryView;
use relay_api::escape;

/// Most entries: some years of weekly updates of several apps.
const ENTRIES_MAX: usize = 256;
/// Most bytes of the file that are read.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a cause, which may quote a runtime.
pub(crate) const CAUSE_BYTES_MAX: usize = 1024;

/// The file `history.jsonl`.
pub(crate) struct History {
    vfs: Rc<dyn Vfs>,
    path: PathBuf,
}

impl History {
    /// The history in this file, which need not exist yet.
    pub(crate) fn new(vfs: Rc<dyn Vfs>, path: PathBuf) -> Self {
        Self { vfs, path }
    }

    /// All entries, oldest first.
    pub(crate) fn entries(&self) -> Vec<HistoryView> {
        let bytes = vfs::read(&*self.vfs, &self.path, FILE_BYTES_MAX);
        let bytes = bytes.ok().flatten().unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// Adds an entry, and forgets the oldest ones over the bound. A crash in the middle leaves
    /// the history without the entry.
    ///
    /// # Errors
    /// What writing gives.
    pub(crate) fn add(&self, mut entry: HistoryView) -> io::Result<()> {
        if let Some(cause) = &mut entry.cause {
            escape::cut(cause, CAUSE_BYTES_MAX);
        }
        let mut entries = self.entries();
        entries.push(entry);
        let surplus = entries.len().saturating_sub(ENTRIES_MAX);
        let mut text = Vec::new();
        for entry in entries.iter().skip(surplus) {
            text.extend(serde_json::to_vec(entry)?);
            text.push(b'\n');
        }
        vfs::replace(&*self.vfs, &self.path, &text, 0o600)
    }
}
