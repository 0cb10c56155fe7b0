//! What runs on this device, for people and for scripts.
//!
//! Answers whatever state the runtime is in; what it does not tell is left out. Never changes
//! anything.

use agent_core::{AppState, OutcomeKind, Phase};
use bundle::Digest;
use relay_api::device::{AppPhase, ServiceState};
use runtime_shim::{Container, ContainerState, labels};

use super::Engine;
use super::app::App;
use super::failure;
use super::generation::Loaded;
use super::ours::{find, generation_of};
use crate::api::{
    AppView, ContainerView, DeviceView, Failure, HistoryView, LastUpdateView, PreviousView,
    ServiceView, StatusView,
};
use crate::time::to_rfc3339;

impl Engine {
    /// The device and its apps.
    pub(crate) async fn status(&self) -> StatusView {
        let history = self.history.entries();
        let apps: Vec<_> = self.apps.borrow().values().cloned().collect();
        let mut views = Vec::new();
        for app in apps {
            let last = history
                .iter()
                .rev()
                .find(|entry| entry.app == app.name.as_str());
            let state = app.state();
            // An app that was only ever refused is not on this device.
            if state != AppState::new(app.name.clone()) {
                views.push(self.app_view(&app, last).await);
            }
        }
        StatusView {
            device: DeviceView {
                id: self.device.to_string(),
                labels: self.config.labels.clone(),
            },
            relay: self.relay_view(),
            apps: views,
        }
    }

    async fn app_view(&self, app: &App, last: Option<&HistoryView>) -> AppView {
        let state = app.state();
        let current = state.current.and_then(|current| self.load(current).ok());
        let shown = match state.phase {
            Phase::Switching { incoming, .. } | Phase::Trial { incoming, .. } => {
                self.load(incoming).ok()
            }
            _ => None,
        };
        let containers = self.ours(&app.name).await.unwrap_or_default();
        let services = shown.as_ref().or(current.as_ref()).map(|shown| {
            let services = shown.services();
            services
                .map(|(place, _)| service_view(app, shown, place, &containers))
                .collect()
        });
        // A removed app has no way back: it is installed again.
        let previous = state.current.and(state.previous).and_then(|previous| {
            let loaded = self.load(previous).ok()?;
            let version = loaded.manifest().version.to_string();
            Some(PreviousView {
                version,
                seq: previous.seq,
            })
        });
        AppView {
            app: app.name.to_string(),
            version: current
                .as_ref()
                .map(|current| current.manifest().version.to_string()),
            seq: state.current.map(|current| current.seq),
            generation: state.current.map(|current| current.id.0),
            state: app_phase(&state, services_of(current.as_deref()))
                .as_str()
                .to_owned(),
            last_update: last.and_then(last_update),
            services: services.unwrap_or_default(),
            previous,
        }
    }

    /// The containers of this device.
    ///
    /// # Errors
    /// [`Failure`] if the runtime does not answer.
    pub(crate) async fn ps(&self) -> Result<Vec<ContainerView>, Failure> {
        let found = self.runtime.containers(None).await;
        let found = found.map_err(super::trouble::Trouble::runtime("list the containers"));
        let mut found = found.map_err(|trouble| failure::trouble(&trouble))?;
        found.retain(|container| self.is_ours(container));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found
            .iter()
            .map(|container| self.container_view(container))
            .collect())
    }

    fn container_view(&self, container: &Container) -> ContainerView {
        let label = |key| container.label(key).unwrap_or_default().to_owned();
        let app = container.label(labels::APP).unwrap_or_default();
        let apps = self.apps.borrow();
        let app = apps.values().find(|known| known.name.as_str() == app);
        let watched = app.and_then(|app| app.supervisor.find(&container.id));
        let restarting = watched
            .as_ref()
            .is_some_and(|watched| watched.restarting.get());
        ContainerView {
            app: label(labels::APP),
            service: label(labels::SERVICE),
            generation: generation_of(container),
            name: container.name.clone(),
            id: container.id.0.clone(),
            state: container_state(Some(container), restarting).to_owned(),
            healthy: watched.as_ref().and_then(|watched| watched.healthy.get()),
            restarts: watched.as_ref().map_or(0, |watched| watched.restarts.get()),
            exit_code: match container.state {
                ContainerState::Exited(status) => Some(status.code),
                _ => None,
            },
            image_id: container
                .image
                .as_ref()
                .map(Digest::to_string)
                .unwrap_or_default(),
            started_at: container.started_at.map(to_rfc3339),
        }
    }

    /// How updates ended, newest first.
    ///
    /// # Errors
    /// [`Failure`] if there is no such app.
    pub(crate) fn history(&self, app: Option<&str>) -> Result<Vec<HistoryView>, Failure> {
        let mut entries = self.history.entries();
        if let Some(app) = app {
            entries.retain(|entry| entry.app == app);
            if entries.is_empty() {
                self.app_named(Some(app))?;
            }
        }
        entries.reverse();
        Ok(entries)
    }
}

fn service_view(app: &App, shown: &Loaded, place: usize, containers: &[Container]) -> ServiceView {
    let service = shown.app.services.get(place);
    let container = service.and_then(|service| find(containers, service));
    let watched = container.and_then(|container| app.supervisor.find(&container.id));
    let restarting = watched
        .as_ref()
        .is_some_and(|watched| watched.restarting.get());
    ServiceView {
        name: service
            .map(|service| service.service.name.to_string())
            .unwrap_or_default(),
        state: container_state(container, restarting).to_owned(),
        healthy: watched.as_ref().and_then(|watched| watched.healthy.get()),
        restarts: watched.as_ref().map_or(0, |watched| watched.restarts.get()),
        image_id: service
            .map(|service| service.image.to_string())
            .unwrap_or_default(),
        started_at: container
            .and_then(|container| container.started_at)
            .map(to_rfc3339),
    }
}

/// The state of a service whose container is this one, if it has any.
pub(crate) fn service_state(container: Option<&Container>, restarting: bool) -> ServiceState {
    match container.map(|container| container.state) {
        Some(ContainerState::Running { .. }) => ServiceState::Running,
        _ if restarting => ServiceState::Restarting,
        None | Some(ContainerState::Created) => ServiceState::Created,
        Some(ContainerState::Exited(_) | ContainerState::Other) => ServiceState::Exited,
    }
}

fn container_state(container: Option<&Container>, restarting: bool) -> &'static str {
    service_state(container, restarting).as_str()
}

/// How many services a generation has, if it can be verified.
pub(crate) fn services_of(current: Option<&Loaded>) -> Option<usize> {
    current.map(|current| current.app.services.len())
}

/// Where an app is; `services` are those of its committed generation, none if that cannot be
/// verified.
pub(crate) fn app_phase(state: &AppState, services: Option<usize>) -> AppPhase {
    match state.phase {
        Phase::Broken { .. } => AppPhase::Failed,
        Phase::Trial { .. } => AppPhase::Trial,
        Phase::Idle => match (state.current, services) {
            (Some(_), Some(0)) => AppPhase::Stopped,
            (Some(_), Some(_)) => AppPhase::Running,
            // Its signed head cannot be verified: it is left alone.
            (Some(_), None) => AppPhase::Failed,
            (None, _) => match state.last.map(|last| last.kind) {
                Some(
                    OutcomeKind::Failed(_)
                    | OutcomeKind::RolledBack(_)
                    | OutcomeKind::RollbackFailed(_),
                ) => AppPhase::Failed,
                _ => AppPhase::Stopped,
            },
        },
        _ => AppPhase::Updating,
    }
}

/// The last update as `status` shows it; a removal is none.
fn last_update(entry: &HistoryView) -> Option<LastUpdateView> {
    (entry.result != "removed").then(|| LastUpdateView {
        version: entry.version.clone(),
        seq: entry.seq,
        result: entry.result.clone(),
        cause: entry.cause.clone(),
        at: entry.at.clone(),
    })
}
