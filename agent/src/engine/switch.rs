//! Puts the incoming generation in the place of the current one.
//!
//! What is replaced is stopped, never removed: a rollback starts it again. Services whose
//! definition did not change keep their containers, untouched.

use std::rc::Rc;

use agent_core::Generation;
use bundle::manifest::SwitchMode;

use super::Engine;
use super::app::App;
use super::bring_up::How;
use super::stage::mounts_volume;
use super::trouble::Trouble;
use crate::api::Step;

impl Engine {
    /// Makes `to` run in the place of `from`. Safe to repeat from any point of an earlier attempt.
    ///
    /// # Errors
    /// [`Trouble`]; both generations may run in part then.
    pub(crate) async fn switch(
        self: &Rc<Self>,
        app: &App,
        from: Option<Generation>,
        to: Generation,
    ) -> Result<(), Trouble> {
        let next = self.load(to)?;
        // One that cannot be verified any longer (its key is gone) is replaced like any other.
        let running = from.and_then(|from| self.load_if_trusted(app, from));
        app.supervisor.stop().await;
        self.await_runtime().await?;
        self.ensure_surroundings(&next).await?;
        let copied = match from {
            Some(_) => self.copy_volumes(running.as_deref(), &next).await?,
            None => Vec::new(),
        };
        let stopped_here = |place: usize| {
            next.app.services.get(place).is_some_and(|service| {
                let kept = running
                    .as_ref()
                    .is_some_and(|running| running.has_spec(&service.spec));
                !kept
                    || app.booted.get()
                    || copied.iter().any(|volume| mounts_volume(service, volume))
            })
        };
        let how = How {
            mode: next.manifest().policy.switch,
            start_exited: &stopped_here,
            strict: true,
            progress: &|service| app.progress(Step::Switch, service.service.name.as_str(), 0, 0),
        };
        self.bring_up(&next, &how).await?;
        app.booted.set(false);
        Ok(())
    }

    /// Brings the previous generation back in the place of one that failed, data included.
    ///
    /// # Errors
    /// [`Trouble`]; what was stopped stays stopped, and the next attempt goes on.
    pub(crate) async fn restore(
        self: &Rc<Self>,
        app: &App,
        failed: Generation,
        to: Option<Generation>,
    ) -> Result<(), Trouble> {
        app.progress(Step::Rollback, "", 0, 0);
        app.supervisor.stop().await;
        self.await_runtime().await?;
        self.keep_evidence(app, failed).await;
        let back = to.and_then(|to| self.load_if_trusted(app, to));
        self.remove_failed(app, failed, back.as_deref()).await?;
        if to.is_none() {
            return Ok(());
        }
        self.put_volumes_back(&app.name, failed.id).await?;
        let Some(back) = back else {
            return self.start_as_they_were(app).await;
        };
        self.ensure_surroundings(&back).await?;
        // Whether a container was stopped for this update, or ended by itself before, cannot be
        // told any longer after a crash: all that does not run is started.
        let how = How {
            mode: SwitchMode::StopFirst,
            start_exited: &|_| true,
            strict: false,
            progress: &|service| app.progress(Step::Rollback, service.service.name.as_str(), 0, 0),
        };
        self.bring_up(&back, &how).await?;
        app.booted.set(false);
        self.await_health(&back).await?;
        self.watch(&app.supervisor, &back).await
    }
}
