//! What a failed generation's containers left behind, kept until its report is written.
//!
//! Its containers go at the beginning of a rollback, its report comes at the end: between them a
//! power cut must not take the evidence away. Never more than one file for each app.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use agent_core::Generation;
use bundle::AppName;
use relay_api::device::{self, Evidence, REPORT_BYTES_MAX};

use super::sealed;
use super::vfs::Vfs;

/// The folder `evidence/`.
pub(crate) struct EvidenceFiles {
    vfs: Rc<dyn Vfs>,
    folder: PathBuf,
}

impl EvidenceFiles {
    /// The evidence in this folder, which need not exist yet.
    pub(crate) fn new(vfs: Rc<dyn Vfs>, folder: PathBuf) -> Self {
        Self { vfs, folder }
    }

    /// Keeps the evidence of a generation durably, in the place of what the app had. A crash in
    /// the middle leaves the old one, and at most a `.part` file that the next one overwrites.
    ///
    /// # Errors
    /// What writing gives.
    pub(crate) fn keep(
        &self,
        app: &AppName,
        generation: &Generation,
        evidence: &[Evidence],
    ) -> io::Result<()> {
        self.vfs.create_dir(&self.folder)?;
        let content = device::encode(&(generation.id.0, generation.bundle, evidence));
        sealed::write(&*self.vfs, &self.path(app), &content)
    }

    /// The evidence of this generation; none if there is none, or none that is whole.
    pub(crate) fn of(&self, app: &AppName, generation: &Generation) -> Option<Vec<Evidence>> {
        let content = match sealed::read(&*self.vfs, &self.path(app), REPORT_BYTES_MAX) {
            Ok(content) => content?,
            Err(error) => {
                log::warn!("app={app} phase=reporting evidence=lost cause={error}");
                return None;
            }
        };
        let (id, bundle, evidence) = device::decode(&content).ok()?;
        let same = (generation.id.0, generation.bundle) == (id, bundle);
        same.then_some(evidence)
    }

    /// Forgets an app's evidence. Not synced: one that comes back after a power cut belongs to a
    /// generation that has been told of.
    pub(crate) fn forget(&self, app: &AppName) {
        if let Err(error) = self.vfs.remove(&self.path(app)) {
            log::warn!("app={app} phase=reporting cause={error}");
        }
    }

    fn path(&self, app: &AppName) -> PathBuf {
        self.folder.join(app.as_str())
    }
}
