//! Makes the services of a generation run, in the place of whatever ran of the app before.
//!
//! Switching, restoring and reconciling all come down to this. It stops what it replaces but
//! removes nothing: whoever calls decides what may go. Safe to repeat at any point.

use std::collections::BTreeMap;

use agent_core::resolve::ResolvedService;
use bundle::AppName;
use bundle::manifest::{Condition, SwitchMode};
use runtime_shim::{Container, ContainerId, ContainerSpec, ContainerState, RuntimeError, labels};

use super::Engine;
use super::generation::{Loaded, file_name};
use super::ours::{find, is_of, is_running};
use super::trouble::Trouble;

/// How to bring a generation up.
pub(crate) struct How<'a> {
    /// How a container takes another's place.
    pub(crate) mode: SwitchMode,
    /// Whether the existing container of the service at this place is started even though it has
    /// exited: because the agent stopped it, or the device was off. Others that have exited are
    /// left to supervision, which knows their restart policy.
    pub(crate) start_exited: &'a dyn Fn(usize) -> bool,
    /// Whether what a service depends on must be there before it starts; otherwise it is waited
    /// for as long, and the service then starts all the same.
    pub(crate) strict: bool,
    /// Told of each service before it is started.
    pub(crate) progress: &'a dyn Fn(&ResolvedService),
}

impl Engine {
    /// Brings up the services of `target` in their start order, each in the place of other
    /// containers of that service, after those of services that `target` does not have were
    /// stopped.
    ///
    /// # Errors
    /// [`Trouble`], at the first service that cannot be brought up; those before it run.
    pub(crate) async fn bring_up(&self, target: &Loaded, how: &How<'_>) -> Result<(), Trouble> {
        let mut containers = self.ours(&target.app.app).await?;
        for container in containers.iter().rev().filter(|c| is_running(c)) {
            if target
                .services()
                .all(|(_, service)| !is_of(container, &service.service.name))
            {
                self.stop(target, container).await?;
            }
        }
        let mut ids = BTreeMap::new();
        for place in &target.start_order {
            let Some(service) = target.app.services.get(*place) else {
                continue;
            };
            (how.progress)(service);
            let met = self.await_dependencies(target, *place, &ids).await;
            if how.strict {
                met?;
            } else if let Err(trouble) = met {
                log::warn!(
                    "app={} service={} cause={trouble}",
                    target.app.app,
                    service.service.name
                );
            }
            let found = find(&containers, service).cloned();
            let id = self
                .run_service(target, *place, found, &containers, how)
                .await?;
            ids.insert(*place, id);
        }
        containers.clear();
        Ok(())
    }

    async fn run_service(
        &self,
        target: &Loaded,
        place: usize,
        found: Option<Container>,
        containers: &[Container],
        how: &How<'_>,
    ) -> Result<ContainerId, Trouble> {
        let Some(service) = target.app.services.get(place) else {
            return Err(Trouble::ImageMissing(target.generation.bundle));
        };
        let name = &service.service.name;
        let start = match found.as_ref().map(|container| container.state) {
            None | Some(ContainerState::Created) => true,
            Some(ContainerState::Running { .. }) => false,
            Some(ContainerState::Exited(_) | ContainerState::Other) => (how.start_exited)(place),
        };
        let id = match found {
            Some(container) => container.id,
            None => self.create_service(target, place).await?,
        };
        let others: Vec<&Container> = containers
            .iter()
            .filter(|other| is_of(other, name) && other.id != id && is_running(other))
            .collect();
        if how.mode != SwitchMode::StartFirst {
            for other in &others {
                self.stop(target, other).await?;
            }
        }
        if start {
            let started = self.runtime.start(&id).await;
            started.map_err(Trouble::runtime(format!("start {name}")))?;
            log::info!(
                "app={} service={name} phase=started container={}",
                target.app.app,
                id.0
            );
        }
        if how.mode == SwitchMode::StartFirst {
            for other in &others {
                self.stop(target, other).await?;
            }
        }
        Ok(id)
    }

    /// Stops a container with the grace that its service has now, or the default one.
    async fn stop(&self, target: &Loaded, container: &Container) -> Result<(), Trouble> {
        let service = target
            .services()
            .find(|(_, s)| is_of(container, &s.service.name));
        let grace_s = service.map_or(GRACE_S, |(_, s)| s.service.stop_grace_s);
        self.stop_container(&target.app.app, container, grace_s)
            .await
    }

    /// Stops a container and says so in the log.
    ///
    /// # Errors
    /// What the runtime gives.
    pub(crate) async fn stop_container(
        &self,
        app: &AppName,
        container: &Container,
        grace_s: u32,
    ) -> Result<(), Trouble> {
        let stopped = self.runtime.stop(&container.id, grace_s).await;
        stopped.map_err(Trouble::runtime(format!("stop {}", container.name)))?;
        log::info!("app={app} phase=stopped container={}", container.name);
        Ok(())
    }

    /// Creates the container of a service, with the files that it mounts. One of that name that
    /// a half-undone attempt left behind is removed first.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn create_service(
        &self,
        target: &Loaded,
        place: usize,
    ) -> Result<ContainerId, Trouble> {
        let Some(service) = target.app.services.get(place) else {
            return Err(Trouble::ImageMissing(target.generation.bundle));
        };
        self.check_binds(&service.service)?;
        self.place_files(target, service).await?;
        let spec = self.container_spec(target, service);
        let failed =
            || Trouble::runtime(format!("create the container of {}", service.service.name));
        match self.runtime.create(&spec).await {
            Ok(id) => Ok(id),
            Err(RuntimeError::Conflict(words)) => {
                let other = self.runtime.inspect(&spec.name).await.map_err(failed())?;
                let Some(other) = other.filter(|c| self.is_ours(c) && !is_running(c)) else {
                    return Err(failed()(RuntimeError::Conflict(words)));
                };
                self.runtime.remove(&other.id).await.map_err(failed())?;
                self.runtime.create(&spec).await.map_err(failed())
            }
            Err(RuntimeError::NotFound)
                if matches!(self.runtime.has_image(&spec.image).await, Ok(false)) =>
            {
                Err(Trouble::ImageMissing(spec.image))
            }
            Err(error) => Err(failed()(error)),
        }
    }

    fn container_spec(&self, target: &Loaded, service: &ResolvedService) -> ContainerSpec {
        let (app, definition) = (&target.app.app, &service.service);
        let generation = target.generation.id;
        let own = definition.labels.iter();
        let mut all: BTreeMap<String, String> = own
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        let ours = [
            (labels::APP, app.to_string()),
            (labels::SERVICE, definition.name.to_string()),
            (labels::GENERATION, generation.to_string()),
            (labels::BUNDLE, target.generation.bundle.hex()),
            (labels::DEVICE, self.device.to_string()),
            (labels::SPEC, service.spec.hex()),
        ];
        all.extend(ours.map(|(key, value)| (key.to_owned(), value)));
        let mounts = service.files.iter().zip(&definition.files);
        ContainerSpec {
            app: app.clone(),
            name: format!("coracle-{app}-{}-{generation}", definition.name),
            image: service.image,
            service: definition.clone(),
            labels: all,
            file_sources: mounts
                .map(|(file, mount)| self.files.join(file_name(&file.content, mount)))
                .collect(),
            api_socket: None,
        }
    }

    /// Waits for what the service at this place depends on; `ids` are the containers of the
    /// services before it.
    async fn await_dependencies(
        &self,
        target: &Loaded,
        place: usize,
        ids: &BTreeMap<usize, ContainerId>,
    ) -> Result<(), Trouble> {
        let Some(waiting) = target.app.services.get(place) else {
            return Ok(());
        };
        let bound_ms = u64::from(target.manifest().policy.healthy_within_s).saturating_mul(1000);
        for dependency in &waiting.service.depends_on {
            let on = target
                .services()
                .find(|(_, s)| s.service.name == dependency.service);
            let Some((on_place, on)) = on else { continue };
            let Some(id) = ids.get(&on_place) else {
                continue;
            };
            let met = async {
                match dependency.condition {
                    Condition::Healthy => self.until_healthy(on, id).await,
                    Condition::CompletedSuccessfully => self.until_completed(id).await,
                    _ => true,
                }
            };
            let late = async {
                self.host.sleep(bound_ms).await;
                false
            };
            if !smol::future::or(met, late).await {
                return Err(Trouble::Dependency {
                    service: u8::try_from(place).unwrap_or(u8::MAX),
                    on: dependency.service.clone(),
                });
            }
        }
        Ok(())
    }

    async fn until_completed(&self, id: &ContainerId) -> bool {
        match self.runtime.wait(id).await {
            Ok(status) => status.code == 0,
            Err(error) => {
                log::warn!("phase=waiting container={} cause={error}", id.0);
                false
            }
        }
    }
}

/// Grace for containers whose service is no longer known, in seconds: Docker's default.
pub(crate) const GRACE_S: u32 = 10;
