//! Brings in what the relay names.

use std::fs;
use std::io::Write as _;
use std::rc::Rc;

use relay_api::device::Desired;

use super::Engine;
use super::failure;
use crate::api::{AppliedView, Failure, Update};
use crate::exit;
use crate::relay::{Range, SharedRemote};

impl Engine {
    /// Fetches a bundle that the relay names, and applies it.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn apply_desired(
        self: &Rc<Self>,
        remote: &SharedRemote,
        desired: &Desired,
        updates: &dyn Fn(Update),
    ) -> Result<AppliedView, Failure> {
        let path = self.config.state_dir.join(format!("{}.bin", desired.app));
        let file = fs::File::create(&path);
        let mut file = file.map_err(|e| failure::io("the fetched bundle", &e))?;
        let range = Range {
            url: desired.url.clone(),
            from: 0,
            to: desired.file_bytes,
            etag: None,
        };
        let fetched = remote.fetch(range, Box::new(move |bytes| file.write_all(bytes)));
        fetched.await.map_err(|error| Failure {
            code: exit::DOWNLOAD_FAILED,
            message: error.to_string(),
            hint: String::new(),
        })?;
        let applied = self.apply(&path, updates).await;
        // What is left is overwritten by the next one.
        let _ = fs::remove_file(&path);
        applied
    }
}
