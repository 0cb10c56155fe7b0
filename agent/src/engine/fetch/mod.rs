//! Brings in what the relay names.

use std::rc::Rc;

use relay_api::device::Desired;

use super::Engine;
use crate::api::{AppliedView, Failure, Update};
use crate::exit;
use crate::relay::SharedRemote;

impl Engine {
    /// Fetches a bundle that the relay names, and applies it.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn apply_desired(
        self: &Rc<Self>,
        _remote: &SharedRemote,
        _desired: &Desired,
        _updates: &dyn Fn(Update),
    ) -> Result<AppliedView, Failure> {
        Err(Failure {
            code: exit::DOWNLOAD_FAILED,
            message: "bundles of a relay cannot be fetched yet".into(),
            hint: String::new(),
        })
    }
}
