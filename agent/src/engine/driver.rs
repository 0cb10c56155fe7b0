//! Drives one app through the state machine: step, make durable, do, answer.
//!
//! One effect at a time for each app. A wish from outside is taken between effects; while a bundle
//! is being staged, or a broken app waits, it may also cut the effect short. Never acts on a state
//! that is not durable.

use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;

use agent_core::{AppState, Effect, Event, Generation, Illegal, Phase, step};
use bundle::AppName;
use smol::future::or;

use super::app::{App, Ask, Detail, Named, Notice};
use super::failure;
use super::generation::{Loaded, load};
use super::trouble::{Doing, LoadError, Trouble};
use super::{Engine, Mode};
use crate::api::Failure;
use crate::state::StateError;
use agent_core::retry::full_jitter;

/// The pause before the first new attempt of something that has failed, in milliseconds.
const RETRY_MS: u64 = 1_000;
/// The longest such pause: a quarter of an hour.
const RETRY_MS_MAX: u64 = 900_000;

enum Next {
    Answer(Option<Event>),
    Asked(Ask),
}

impl Engine {
    pub(super) async fn drive(self: Rc<Self>, app: Rc<App>, first: Option<Event>) {
        let mut effects = VecDeque::new();
        if let Some(event) = first {
            app.recovering.set(true);
            effects = self.take(&app, event).await.unwrap_or_default();
        }
        loop {
            let next = match effects.pop_front() {
                Some(effect) => self.carry_out(&app, effect).await,
                None => {
                    app.recovering.set(false);
                    self.rest(&app).await
                }
            };
            match next {
                Next::Answer(None) => {}
                Next::Answer(Some(event)) => {
                    effects.extend(self.take(&app, event).await.unwrap_or_default());
                }
                Next::Asked(ask) => {
                    app.detail.take();
                    if let Some(offer) = &ask.offer {
                        app.named.replace(Some(Named::new(offer.source.bundle())));
                    }
                    let before = app.offer.replace(ask.offer.clone());
                    match self.take(&app, ask.event).await {
                        Ok(taken) => {
                            effects = taken;
                            if let (Event::Offered(_) | Event::RollbackAsked, Some(incoming)) =
                                (ask.event, app.state().incoming())
                            {
                                let rollout = ask.offer.as_ref().and_then(|offer| offer.rollout);
                                app.note_wanted(incoming.bundle, rollout);
                            }
                            // Who asked may have gone; the wish stands.
                            let _ = ask.answer.try_send(Ok(app.subject(ask.event)));
                        }
                        Err(refused) => {
                            app.offer.replace(before);
                            let _ = ask.answer.try_send(Err(refused));
                        }
                    }
                }
            }
        }
    }

    /// Nothing to do: waits for a wish, or until it is time to reconcile again.
    async fn rest(self: &Rc<Self>, app: &Rc<App>) -> Next {
        let runs = app.state().phase == Phase::Idle && app.unreconciled.get().is_none();
        if self.mode == Mode::Daemon && runs && !app.settings_compared.replace(true) {
            self.offer_new_settings(app);
        }
        app.set_busy(false);
        let asked = async {
            match app.asks.1.recv().await {
                Ok(ask) => Next::Asked(ask),
                // This app holds a sender itself.
                Err(_) => Next::Answer(None),
            }
        };
        let failures = app.unreconciled.get().max(app.uncollected.get());
        let failures = failures.filter(|_| self.mode == Mode::Daemon);
        let next = match failures {
            None => asked.await,
            Some(failures) => {
                let again = async {
                    self.wait_to_retry(failures).await;
                    Next::Answer(None)
                };
                or(asked, again).await
            }
        };
        app.set_busy(true);
        if let (Next::Answer(None), Phase::Idle) = (&next, app.state().phase) {
            if app.unreconciled.get().is_some() {
                self.reconcile(app, app.state().current).await;
            }
            self.collect(app).await;
        }
        next
    }

    async fn wait_to_retry(&self, failures: u32) {
        let wait = full_jitter(failures, RETRY_MS, RETRY_MS_MAX, self.host.random());
        self.host.sleep(RETRY_MS + wait).await;
    }

    /// Carries an effect out. Wishes that make sense cut it short where nothing has been stopped.
    async fn carry_out(self: &Rc<Self>, app: &Rc<App>, effect: Effect) -> Next {
        let phase = app.state().phase;
        let may_be_cut = matches!(
            phase,
            Phase::Staging { .. } | Phase::Staged { .. } | Phase::Broken { .. }
        );
        let mut work = pin!(self.run(app, effect));
        if !may_be_cut {
            return Next::Answer(work.await);
        }
        loop {
            let answer = async { Next::Answer(work.as_mut().await) };
            let asked = async {
                match app.asks.1.recv().await {
                    Ok(ask) => Next::Asked(ask),
                    Err(_) => std::future::pending().await,
                }
            };
            match or(answer, asked).await {
                Next::Asked(ask) => match step(&app.state(), ask.event, 0) {
                    Ok(_) => return Next::Asked(ask),
                    Err(illegal) => {
                        let _ = ask.answer.try_send(Err(failure::illegal(illegal)));
                    }
                },
                answer => return answer,
            }
        }
    }

    /// Steps the machine and makes the new state durable; the effects may then begin.
    async fn take(
        self: &Rc<Self>,
        app: &Rc<App>,
        event: Event,
    ) -> Result<VecDeque<Effect>, Failure> {
        let before = app.state();
        let (next, effects) = match step(&before, event, self.host.now_s()) {
            Ok(stepped) => stepped,
            Err(illegal) => {
                if illegal == Illegal::OutOfTurn {
                    log::error!("app={} cause={illegal}", app.name);
                }
                return Err(failure::illegal(illegal));
            }
        };
        if let Err(error) = self.persist(&before, &next) {
            let failed = failure::state(&error, &self.config.state_dir);
            log::error!(
                "app={} phase={} cause={error}",
                app.name,
                phase_name(&before.phase)
            );
            self.give_up(app, &before, &failed).await;
            return Err(failed);
        }
        if before.phase != next.phase {
            log_transition(&app.name, &next);
            if let Phase::Trial { .. } = next.phase {
                self.nudge();
            }
        }
        if !matches!(next.phase, Phase::Staging { .. }) {
            // The bundle's file is needed for staging only; a stick may be pulled from here on.
            let offer = app.offer.replace(None);
            if let (Phase::Staged { .. }, Some(rest)) = (
                &next.phase,
                offer.as_ref().and_then(|offer| offer.rest.as_ref()),
            ) {
                // Its space is needed before copies of volumes are made.
                self.drop_spooled(rest.file());
            }
        }
        *app.state.borrow_mut() = next;
        Ok(effects.into())
    }

    /// A state that cannot be made durable: whoever waits is told, what was staged is dropped if
    /// it can be, everything else stays as it is until the next start.
    async fn give_up(self: &Rc<Self>, app: &Rc<App>, before: &AppState, failed: &Failure) {
        let awaited = match before.phase {
            Phase::RollingBack { failed, .. } | Phase::Broken { failed, .. } => Some(failed),
            Phase::Removing => before.current,
            _ => before.incoming(),
        };
        let Some(generation) = awaited else {
            return;
        };
        app.tell(&Notice::Ended {
            generation,
            result: Box::new(Err(failed.clone())),
        });
        if let Phase::Staging { incoming, .. } = before.phase {
            *app.state.borrow_mut() = before.durable();
            self.discard(app, incoming).await;
        }
    }

    /// Makes a state durable. A commit moves the clock's floor to the bundle's issue time.
    fn persist(&self, before: &AppState, next: &AppState) -> Result<(), StateError> {
        let mut state = self.state.borrow_mut();
        let mut record = state.record().clone();
        let durable = next.durable();
        let never_had = AppState::new(next.name.clone());
        if record.app(&next.name).unwrap_or(&never_had) != &durable {
            record.set(durable).map_err(|_| StateError::TooManyApps)?;
        }
        if let Some(current) = next.current.filter(|_| before.current != next.current)
            && let Ok(committed) = self.load(current)
        {
            record.clock_floor = record.clock_floor.max(committed.manifest().issued_at);
        }
        state.commit(record)
    }

    /// Takes a generation from the disk.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn load(&self, generation: Generation) -> Result<Rc<Loaded>, LoadError> {
        let trust = bundle::TrustStore::load(&self.config.keys_dir).map_err(LoadError::Trust)?;
        load(&self.objects, &trust, generation).map(Rc::new)
    }

    async fn run(self: &Rc<Self>, app: &Rc<App>, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Stage(incoming) => Some(match self.stage(app, incoming).await {
                Ok(()) => Event::StageDone,
                Err(trouble) => Event::StageFailed(note(app, &trouble, Doing::Stage)),
            }),
            Effect::Discard(incoming) => {
                self.discard(app, incoming).await;
                None
            }
            // Locks and windows come with their own issues.
            Effect::AwaitClearance => Some(Event::Cleared),
            Effect::Switch { from, to } => Some(match self.switch(app, from, to).await {
                Ok(()) => Event::SwitchDone,
                Err(trouble) => Event::SwitchFailed(note(app, &trouble, Doing::Switch)),
            }),
            Effect::Try(incoming) => Some(match self.try_out(app, incoming).await {
                Ok(()) => Event::TrialPassed,
                Err(cause) => Event::TrialFailed(cause),
            }),
            Effect::Restore { failed, to } => Some(match self.restore(app, failed, to).await {
                Ok(()) => Event::RestoreDone,
                Err(trouble) => {
                    log::error!("app={} phase=restoring cause={trouble}", app.name);
                    Event::RestoreFailed(trouble.cause(Doing::Restore))
                }
            }),
            Effect::RetryLater { attempts } => {
                // Nobody should wait for the end of this.
                app.set_busy(false);
                self.wait_to_retry(u32::from(attempts)).await;
                app.set_busy(true);
                Some(Event::RetryDue)
            }
            Effect::Reconcile(current) => {
                self.reconcile(app, current).await;
                None
            }
            Effect::RemoveAll => {
                self.remove_all(app).await;
                Some(Event::RemoveDone)
            }
            Effect::Collect => {
                self.collect(app).await;
                None
            }
            Effect::Report(outcome) => {
                self.report(app, outcome);
                None
            }
        }
    }
}

/// Keeps the words of a failure for whoever asked, and gives the kind for the record.
pub(crate) fn note(app: &App, trouble: &Trouble, doing: Doing) -> agent_core::Cause {
    log::error!("app={} phase={doing:?} cause={trouble}", app.name);
    app.detail.replace(Some(Detail {
        words: trouble.to_string(),
        code: failure::special_code(trouble),
    }));
    trouble.cause(doing)
}

fn log_transition(app: &AppName, state: &AppState) {
    let phase = phase_name(&state.phase);
    match state.phase {
        Phase::Idle => match state.current {
            Some(current) => log::info!("app={app} generation={} phase={phase}", current.id),
            None => log::info!("app={app} phase={phase}"),
        },
        Phase::RollingBack { failed, cause, .. } | Phase::Broken { failed, cause } => {
            log::warn!(
                "app={app} generation={} phase={phase} cause={cause:?}",
                failed.id
            );
        }
        _ => match state.incoming() {
            Some(incoming) => log::info!("app={app} generation={} phase={phase}", incoming.id),
            None => log::info!("app={app} phase={phase}"),
        },
    }
}

pub(crate) fn phase_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Idle => "idle",
        Phase::Staging { .. } => "staging",
        Phase::Staged { .. } => "staged",
        Phase::Switching { .. } => "switching",
        Phase::Trial { .. } => "trial",
        Phase::RollingBack { .. } => "rolling_back",
        Phase::Broken { .. } => "broken",
        Phase::Removing => "removing",
    }
}
