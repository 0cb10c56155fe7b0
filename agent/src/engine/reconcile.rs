//! Sees to it that what is committed runs, and nothing else of the app.
//!
//! At each start, and again after whatever kept it from succeeding. Containers that ended while
//! the agent was away are left to supervision; after a boot, all are started. Never touches an
//! app whose signed head cannot be verified: it goes on as it is.

use std::rc::Rc;

use agent_core::{Event, Generation, OutcomeKind};
use bundle::manifest::SwitchMode;

use super::app::App;
use super::bring_up::How;
use super::generation::Loaded;
use super::ours::{find, generation_of};
use super::trouble::Trouble;
use super::{Engine, Mode};

impl Engine {
    /// Brings up what is committed. A failure is logged and kept for `status`; as a daemon, the
    /// driver comes back to it.
    pub(crate) async fn reconcile(self: &Rc<Self>, app: &Rc<App>, current: Option<Generation>) {
        match self.try_reconcile(app, current).await {
            Ok(()) => {
                if app.unreconciled.take().is_some() {
                    log::info!("app={} phase=reconciled", app.name);
                }
            }
            Err(trouble) => {
                let failures = app.unreconciled.get().unwrap_or(0);
                app.unreconciled.set(Some(failures.saturating_add(1)));
                log::warn!("app={} phase=reconciling cause={trouble}", app.name);
            }
        }
    }

    async fn try_reconcile(
        self: &Rc<Self>,
        app: &Rc<App>,
        current: Option<Generation>,
    ) -> Result<(), Trouble> {
        self.runtime_info().await?;
        self.undo_staging(app).await?;
        let Some(current) = current else {
            app.supervisor.stop().await;
            return self.remove_strangers(app, None).await;
        };
        let running = self.load(current)?;
        app.supervisor.stop().await;
        self.ensure_surroundings(&running).await?;
        let mut problem = None;
        let how = How {
            mode: SwitchMode::StopFirst,
            start_exited: &|_| app.booted.get(),
            strict: false,
            progress: &|_| {},
        };
        match self.bring_up(&running, &how).await {
            Ok(()) => app.booted.set(false),
            Err(trouble) => problem = Some(trouble),
        }
        if self.mode == Mode::Daemon {
            self.watch(&app.supervisor, &running).await?;
        }
        if let Some(trouble) = problem {
            return Err(trouble);
        }
        self.remove_strangers(app, Some(&running)).await
    }

    /// If this device's settings have changed since the current generation was made, they make a
    /// new one of the same bundle; ones that failed as the last thing are not tried again.
    pub(crate) fn offer_new_settings(&self, app: &App) {
        if self.link.is_damaged() {
            // What the relay had given is not known: what runs keeps it.
            return;
        }
        let current = app.state().current;
        // What cannot be loaded has been complained about by reconciling.
        let Some(running) = current.and_then(|current| self.load(current).ok()) else {
            return;
        };
        let values = match self.values_for(running.manifest()) {
            Ok(values) => values,
            Err(failure) => {
                log::warn!(
                    "app={} phase=reconciling cause={}",
                    app.name,
                    failure.message
                );
                return;
            }
        };
        let offered = Generation {
            variables: values.digest(),
            ..running.generation
        };
        let failed = app.state().last.is_some_and(|last| {
            !matches!(last.kind, OutcomeKind::Committed(_))
                && last.generation.same_content(&offered)
        });
        if offered.same_content(&running.generation) || failed {
            return;
        }
        match self.objects.put(&values.digest(), &values.encode()) {
            Ok(()) => {
                log::info!("app={} phase=reconciling cause=new settings", app.name);
                app.suggest(Event::Offered(offered));
            }
            Err(error) => log::warn!("app={} phase=reconciling cause={error}", app.name),
        }
    }

    /// Removes this device's containers of the app that neither `running` nor a generation on its
    /// way in uses.
    pub(super) async fn remove_strangers(
        &self,
        app: &App,
        running: Option<&Loaded>,
    ) -> Result<(), Trouble> {
        let incoming = app.state().incoming();
        let containers = self.ours(&app.name).await?;
        let used: Vec<_> = running
            .iter()
            .flat_map(|running| running.services())
            .filter_map(|(_, service)| find(&containers, service))
            .map(|container| container.id.clone())
            .collect();
        for container in &containers {
            let waits = incoming.is_some_and(|incoming| incoming.id.0 == generation_of(container));
            if !waits && !used.contains(&container.id) {
                let removed = self.runtime.remove(&container.id).await;
                removed.map_err(Trouble::runtime(format!("remove {}", container.name)))?;
                log::info!(
                    "app={} phase=removed container={}",
                    app.name,
                    container.name
                );
            }
        }
        Ok(())
    }
}
