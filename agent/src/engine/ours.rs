//! This device's containers of an app, and which of them runs a service as it is defined.
//!
//! Never sees, and so never touches, containers without Coracle's labels or with those of
//! another device.

use agent_core::resolve::ResolvedService;
use bundle::{AppName, ServiceName};
use runtime_shim::{Container, ContainerState, labels};

use super::Engine;
use super::trouble::Trouble;

impl Engine {
    /// This device's containers of an app.
    pub(crate) async fn ours(&self, app: &AppName) -> Result<Vec<Container>, Trouble> {
        let found = self.runtime.containers(Some(app)).await;
        let mut found = found.map_err(Trouble::runtime("list the containers"))?;
        found.retain(|container| self.is_ours(container));
        Ok(found)
    }

    /// Whether this device made a container.
    pub(crate) fn is_ours(&self, container: &Container) -> bool {
        container.label(labels::DEVICE) == Some(self.device.as_str())
    }
}

/// The generation that created a container; 0 if its label says none.
pub(crate) fn generation_of(container: &Container) -> u32 {
    let label = container.label(labels::GENERATION);
    label.and_then(|label| label.parse().ok()).unwrap_or(0)
}

/// Whether a container is one of this service, of whatever definition.
pub(crate) fn is_of(container: &Container, service: &ServiceName) -> bool {
    container.label(labels::SERVICE) == Some(service.as_str())
}

/// Whether a container runs.
pub(crate) fn is_running(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running { .. })
}

/// The container that runs a service exactly as it is defined; of several, one that runs, then
/// the newest.
pub(crate) fn find<'a>(
    containers: &'a [Container],
    service: &ResolvedService,
) -> Option<&'a Container> {
    let spec = service.spec.hex();
    containers
        .iter()
        .filter(|c| is_of(c, &service.service.name) && c.label(labels::SPEC) == Some(&*spec))
        .max_by_key(|c| (is_running(c), generation_of(c)))
}
