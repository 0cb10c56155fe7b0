//! Clears away a generation that failed, before the one before comes back.
//!
//! Never touches a container that the generation before uses too, except to stop it while its
//! volume is put back.

use std::rc::Rc;

use agent_core::Generation;

use super::Engine;
use super::app::App;
use super::bring_up::GRACE_S;
use super::generation::Loaded;
use super::ours::{find, generation_of, is_of, is_running};
use super::stage::mounts_volume;
use super::trouble::Trouble;

impl Engine {
    /// Stops and removes the containers of the failed generation that `back` does not use, and
    /// stops those that mount a volume that is to be put back.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn remove_failed(
        &self,
        app: &App,
        failed: Generation,
        back: Option<&Loaded>,
    ) -> Result<(), Trouble> {
        let containers = self.ours(&app.name).await?;
        let kept: Vec<_> = back
            .iter()
            .flat_map(|back| back.services())
            .filter_map(|(_, service)| find(&containers, service))
            .map(|container| container.id.clone())
            .collect();
        // The order of their starts cannot be asked of a generation that may not even load.
        for container in containers.iter().rev() {
            let keep = kept.contains(&container.id);
            if !keep && generation_of(container) == failed.id.0 {
                self.stop_container(&app.name, container, self.grace_s(failed, container))
                    .await?;
                let removed = self.runtime.remove(&container.id).await;
                removed.map_err(Trouble::runtime(format!("remove {}", container.name)))?;
            }
        }
        let copied = self.copied_volumes(&app.name, failed.id);
        for container in containers
            .iter()
            .filter(|c| kept.contains(&c.id) && is_running(c))
        {
            let service = back.iter().flat_map(|back| back.services());
            let service = service
                .map(|(_, s)| s)
                .find(|s| is_of(container, &s.service.name));
            if let Some(service) = service
                && copied.iter().any(|volume| mounts_volume(service, volume))
            {
                self.stop_container(&app.name, container, service.service.stop_grace_s)
                    .await?;
            }
        }
        Ok(())
    }

    /// A committed generation whose signature can still be verified; none, with a warning, if it
    /// cannot be taken from the disk.
    pub(super) fn load_if_trusted(&self, app: &App, generation: Generation) -> Option<Rc<Loaded>> {
        let loaded = self.load(generation);
        if let Err(error) = &loaded {
            log::warn!(
                "app={} generation={} cause={error}",
                app.name,
                generation.id
            );
        }
        loaded.ok()
    }

    /// Starts the containers that are left, without knowing what they should be: the key of the
    /// version before is gone, but what it had created ran until this update.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn start_as_they_were(&self, app: &App) -> Result<(), Trouble> {
        for container in self.ours(&app.name).await? {
            let started = self.runtime.start(&container.id).await;
            started.map_err(Trouble::runtime(format!("start {}", container.name)))?;
            log::warn!(
                "app={} phase=started container={}",
                app.name,
                container.name
            );
        }
        Ok(())
    }

    /// Waits until the services with a health check are healthy again, as long as their bundle
    /// gives them; if they are not by then, they run all the same.
    ///
    /// # Errors
    /// [`Trouble`] if the runtime does not tell which containers there are.
    pub(super) async fn await_health(&self, back: &Loaded) -> Result<(), Trouble> {
        let containers = self.ours(&back.app.app).await?;
        let healthy = async {
            for (_, service) in back.services() {
                if let Some(container) = find(&containers, service) {
                    self.until_healthy(service, &container.id).await;
                }
            }
        };
        let bound_ms = u64::from(back.manifest().policy.healthy_within_s).saturating_mul(1000);
        smol::future::or(healthy, self.host.sleep(bound_ms)).await;
        Ok(())
    }

    fn grace_s(&self, generation: Generation, container: &runtime_shim::Container) -> u32 {
        let loaded = self.load(generation);
        let grace = loaded.ok().and_then(|loaded| {
            let mut services = loaded.services();
            let found = services.find(|(_, s)| is_of(container, &s.service.name));
            found.map(|(_, s)| s.service.stop_grace_s)
        });
        grace.unwrap_or(GRACE_S)
    }

    /// Stops and removes every container of an app; keeps trying until the runtime has done it.
    pub(super) async fn remove_all(&self, app: &App) {
        app.supervisor.stop().await;
        let mut attempts = 0;
        while let Err(trouble) = self.try_remove_all(app).await {
            log::warn!("app={} phase=removing cause={trouble}", app.name);
            self.pause(&mut attempts).await;
        }
    }

    async fn try_remove_all(&self, app: &App) -> Result<(), Trouble> {
        let current = app.state().current;
        for container in self.ours(&app.name).await?.iter().rev() {
            let grace_s = current.map_or(GRACE_S, |current| self.grace_s(current, container));
            self.stop_container(&app.name, container, grace_s).await?;
            let removed = self.runtime.remove(&container.id).await;
            removed.map_err(Trouble::runtime(format!("remove {}", container.name)))?;
        }
        Ok(())
    }
}
