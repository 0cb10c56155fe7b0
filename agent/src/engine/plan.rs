//! What applying a bundle would change, without changing anything: not a byte on the disk.

use std::path::Path;
use std::rc::Rc;

use agent_core::{Event, Generation, step};
use bundle::AppName;

use super::Engine;
use super::admit::Rejected;
use super::failure;
use super::report::service_actions;
use crate::api::{Failure, PlanView};
use crate::exit;

impl Engine {
    /// What applying this bundle would change. A bundle that is sound and for this device, but
    /// that could not be applied now, gets a plan with what stands against it.
    ///
    /// # Errors
    /// [`Failure`]: the bundle is refused, or the runtime does not answer.
    pub(crate) async fn plan(self: &Rc<Self>, path: &Path) -> Result<PlanView, Failure> {
        let (source, plan, copy_bytes, blocked_by) = match self.admit(path, &|_| {}).await {
            Ok(offer) => {
                let blocked_by =
                    self.standing_against(&offer.source.bundle().manifest().app, offer.generation);
                (offer.source, offer.plan, offer.copy_bytes, blocked_by)
            }
            Err(Rejected { failure, .. })
                if [exit::NO_SPACE, exit::ALREADY_CURRENT].contains(&failure.code) =>
            {
                let source = self.open_source(path).await?;
                let values = self.values_for(source.bundle().manifest())?;
                let planned = self.plan_for(&source, &values).await;
                let (plan, copy_bytes) = planned.map_err(|trouble| failure::trouble(&trouble))?;
                (source, plan, copy_bytes, vec![failure.message])
            }
            Err(Rejected { failure, .. }) => return Err(failure),
        };
        let manifest = source.bundle().manifest();
        let running = self.running(&manifest.app);
        Ok(PlanView {
            app: manifest.app.to_string(),
            from: running.map(|running| running.manifest().version.to_string()),
            to: manifest.version.to_string(),
            fetch_bytes: plan.needs.fetch_bytes,
            full_bytes: plan.full_bytes,
            peak_disk_bytes: plan.needs.peak_disk_bytes.saturating_add(copy_bytes),
            services: service_actions(&plan),
            blocked_by,
        })
    }

    fn standing_against(&self, app: &AppName, offered: Generation) -> Vec<String> {
        let apps = self.apps.borrow();
        let illegal = apps
            .get(app)
            .and_then(|app| step(&app.state(), Event::Offered(offered), 0).err());
        illegal.iter().map(ToString::to_string).collect()
    }
}
