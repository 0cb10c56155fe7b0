//! Answers requests.
//!
//! A request that is dropped stops waiting; the update that it began goes on.

use std::path::Path;
use std::rc::Rc;

use agent_core::Event;
use bundle::AppName;

use super::app::{App, Notice};
use super::failure;
use super::{Engine, Mode};
use crate::api::{AppliedView, Failure, Reply, Request, Update};
use crate::state::StateError;

impl Engine {
    /// Does what is asked; `updates` is told of what happens on the way.
    ///
    /// # Errors
    /// [`Failure`], in words and with an exit code.
    pub async fn handle(
        self: &Rc<Self>,
        request: Request,
        updates: &dyn Fn(Update),
    ) -> Result<Reply, Failure> {
        let changes = matches!(
            request,
            Request::Apply { .. }
                | Request::Rollback { .. }
                | Request::Remove { .. }
                | Request::Enroll { .. }
        );
        if changes {
            self.may_change()?;
        }
        match request {
            Request::Apply { bundle } => self.apply(&bundle, updates).await.map(Reply::Applied),
            Request::Plan { bundle } => self.plan(&bundle).await.map(Reply::Plan),
            Request::Status => Ok(Reply::Status(self.status().await)),
            Request::Ps => self.ps().await.map(Reply::Containers),
            Request::History { app } => self.history(app.as_deref()).map(Reply::History),
            Request::Logs {
                app,
                service,
                tail,
                since,
                follow,
            } => {
                let query = runtime_shim::LogQuery {
                    tail,
                    since,
                    follow,
                };
                let app = self.app_named(app.as_deref())?;
                self.logs(&app, service.as_deref(), &query, updates).await?;
                Ok(Reply::Done)
            }
            Request::Rollback { app } => {
                let app = self.app_named(app.as_deref())?;
                self.reachable().await?;
                self.ask_and_wait(&app, Event::RollbackAsked, None, updates)
                    .await
                    .map(Reply::Applied)
            }
            Request::Remove { app } => {
                let app = self.app_named(Some(&app))?;
                self.reachable().await?;
                self.ask_and_wait(&app, Event::RemoveAsked, None, updates)
                    .await?;
                Ok(Reply::Done)
            }
            Request::Enroll { url, token, ca } => {
                self.enroll(&url, token, ca).await.map(Reply::Enrolled)
            }
            Request::Doctor => Ok(Reply::Doctor(self.doctor().await)),
        }
    }

    pub(super) async fn apply(
        self: &Rc<Self>,
        path: &Path,
        updates: &dyn Fn(Update),
    ) -> Result<AppliedView, Failure> {
        self.is_known()?;
        let offer = match self.admit(path, updates).await {
            Ok(offer) => offer,
            Err(rejected) => {
                if let Some(bundle) = &rejected.bundle {
                    self.report_refusal(bundle, None, &rejected.failure);
                }
                return Err(rejected.failure);
            }
        };
        self.offer_and_wait(offer, updates).await
    }

    /// Whether anything on this device may be changed.
    ///
    /// # Errors
    /// [`Failure`] if not.
    pub(crate) fn may_change(&self) -> Result<(), Failure> {
        if self.mode == Mode::ReadOnly {
            return Err(failure::read_only());
        }
        if self.state.borrow().is_read_only() {
            return Err(failure::state(
                &StateError::ReadOnly,
                &self.config.state_dir,
            ));
        }
        Ok(())
    }

    /// Whether it is known what runs.
    ///
    /// # Errors
    /// [`Failure`] if the record was lost and is not rebuilt yet.
    pub(crate) fn is_known(&self) -> Result<(), Failure> {
        if self.lost.get() {
            return Err(failure::state(&StateError::Lost, &self.config.state_dir));
        }
        Ok(())
    }

    /// Offers a bundle to its app, and waits for the verdict.
    ///
    /// # Errors
    /// [`Failure`]: how the update ended badly, or why it makes no sense now.
    pub(crate) async fn offer_and_wait(
        self: &Rc<Self>,
        offer: super::admit::Offer,
        updates: &dyn Fn(Update),
    ) -> Result<AppliedView, Failure> {
        let app = self.app(&offer.source.bundle().manifest().app);
        let event = Event::Offered(offer.generation);
        self.ask_and_wait(&app, event, Some(Rc::new(offer)), updates)
            .await
    }

    /// Asks an app for something that ends as updates do, and waits for that end.
    async fn ask_and_wait(
        self: &Rc<Self>,
        app: &Rc<App>,
        event: Event,
        offer: Option<Rc<super::admit::Offer>>,
        updates: &dyn Fn(Update),
    ) -> Result<AppliedView, Failure> {
        let notices = app.notices();
        let waits_for = app.ask(self, event, offer).await?;
        loop {
            match notices.recv().await {
                Ok(Notice::Progress(progress)) => updates(Update::Progress(progress)),
                Ok(Notice::Ended { generation, result }) if Some(generation) == waits_for => {
                    if self.mode == Mode::OneShot {
                        // What is left to do is done before the process goes.
                        app.at_rest().await;
                    }
                    return *result;
                }
                Ok(Notice::Ended { .. }) => {}
                Err(_) => return Err(failure::stopped()),
            }
        }
    }

    /// Whether the runtime answers.
    ///
    /// # Errors
    /// [`Failure`] if not.
    pub(crate) async fn reachable(&self) -> Result<(), Failure> {
        let info = self.runtime_info().await;
        info.map(|_| ())
            .map_err(|trouble| failure::trouble(&trouble))
    }

    /// The app of this name; without one, the only app.
    pub(crate) fn app_named(&self, name: Option<&str>) -> Result<Rc<App>, Failure> {
        let apps = self.apps.borrow();
        let known = || {
            apps.values().filter(|app| {
                let state = app.state();
                state.current.is_some() || state.previous.is_some() || state.incoming().is_some()
            })
        };
        let found = match name {
            Some(name) => AppName::new(name).ok().and_then(|name| apps.get(&name)),
            None => {
                let mut known = known();
                known.next().filter(|_| known.next().is_none())
            }
        };
        found.cloned().ok_or_else(|| {
            let names: Vec<String> = known().map(|app| app.name.to_string()).collect();
            failure::which_app(&names, name)
        })
    }
}
