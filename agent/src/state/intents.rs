//! What was begun at the runtime and must be undone if it never ended.
//!
//! A runtime's store does not survive power cuts whole, so an import has a durable intent before
//! it and is synced after it. An intent that is still there at a start, for a generation that the
//! record does not know, is undone.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use agent_core::GenerationId;
use bundle::{AppName, Digest};

use super::vfs::{self, Vfs};

/// Most bytes of an intent: a number, a digest, and slack.
const INTENT_BYTES_MAX: usize = 128;

/// A generation that is being staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Its number.
    pub(crate) generation: GenerationId,
    /// Its bundle, whose head is stored.
    pub(crate) bundle: Digest,
}

/// The folder `staging/`: at most one file for each app.
pub(crate) struct Intents {
    vfs: Rc<dyn Vfs>,
    folder: PathBuf,
}

impl Intents {
    /// The intents in this folder, which need not exist yet.
    pub(crate) fn new(vfs: Rc<dyn Vfs>, folder: PathBuf) -> Self {
        Self { vfs, folder }
    }

    /// Notes durably that a generation is about to be staged.
    ///
    /// # Errors
    /// What writing gives.
    pub(crate) fn begin(&self, app: &AppName, intent: Intent) -> io::Result<()> {
        self.vfs.create_dir(&self.folder)?;
        let text = format!("{} {}\n", intent.generation, intent.bundle);
        vfs::replace(
            &*self.vfs,
            &self.folder.join(app.as_str()),
            text.as_bytes(),
            0o600,
        )
    }

    /// Takes an app's intent away: it was done, or undone.
    ///
    /// # Errors
    /// What removing gives.
    pub(crate) fn end(&self, app: &AppName) -> io::Result<()> {
        self.vfs.remove(&self.folder.join(app.as_str()))
    }

    /// The intents that were never ended; files that are none are passed over.
    ///
    /// # Errors
    /// What reading gives.
    pub(crate) fn open(&self) -> io::Result<Vec<(AppName, Intent)>> {
        let mut open = Vec::new();
        for path in self.vfs.list(&self.folder)? {
            let app = path.file_name().and_then(|name| name.to_str());
            let Some(app) = app.and_then(|name| AppName::new(name).ok()) else {
                continue;
            };
            let bytes = vfs::read(&*self.vfs, &path, INTENT_BYTES_MAX)?.unwrap_or_default();
            if let Some(intent) = std::str::from_utf8(&bytes).ok().and_then(parse) {
                open.push((app, intent));
            }
        }
        Ok(open)
    }
}

fn parse(text: &str) -> Option<Intent> {
    let (generation, bundle) = text.trim_end().split_once(' ')?;
    Some(Intent {
        generation: GenerationId(generation.parse().ok()?),
        bundle: bundle.parse().ok()?,
    })
}
