//! Tries the bundles that the relay names: each once for each rollout (clause D34).
//!
//! One attempt at an app at a time, beside further check-ins. That an attempt begins, and how it
//! ends, is durable. Never decides whether a bundle may run: the way of a bundle from the relay
//! is that of one from a stick.

use std::rc::Rc;

use agent_core::schedule::again_ms;
use agent_core::wish::{Attempt, Verdict, judge};
use agent_core::{AppState, Event, Phase};
use relay_api::device::Desired;

use super::Engine;
use super::host::spawn;
use super::link::Again;
use crate::api::{AppliedView, Failure};
use crate::exit;
use crate::relay::SharedRemote;
use crate::state::Rollout;

impl Engine {
    /// Does what is to be done about the bundles that the relay named last.
    pub(super) fn pursue(self: &Rc<Self>) {
        let now_ms = self.host.now_ms();
        for again in self.link.again.borrow_mut().values_mut() {
            again.due_ms = again.due_ms.filter(|due| *due > now_ms);
        }
        let desired = self.link.desired.borrow().clone();
        self.withdraw(&desired);
        // Nothing can be installed: no fault of any bundle.
        if self.lost.get() || self.state.borrow().is_read_only() {
            return;
        }
        for desired in desired {
            let state = self.app_state(&desired);
            let attempt = self.link.look(|record| {
                let known = record.attempt(&desired.app, desired.rollout, &desired.bundle)?;
                Some(match known.code {
                    Some(_) => Attempt::Ended,
                    None => Attempt::Begun { after: known.after },
                })
            });
            let verdict = judge(&state, &desired.bundle, desired.seq, attempt.flatten());
            if verdict == Verdict::Try && !self.is_later(&desired) {
                self.try_out_desired(desired, &state);
            }
        }
    }

    /// When the next attempt is to be made again, by the clock that never goes back.
    pub(super) fn again_due_ms(&self) -> Option<u64> {
        let again = self.link.again.borrow();
        again.values().filter_map(|again| again.due_ms).min()
    }

    fn app_state(&self, desired: &Desired) -> AppState {
        let apps = self.apps.borrow();
        let known = apps.get(&desired.app).map(|app| app.state());
        known.unwrap_or_else(|| AppState::new(desired.app.clone()))
    }

    /// Whether an attempt at this is under way, or has to wait.
    fn is_later(&self, desired: &Desired) -> bool {
        let same =
            |other: &Desired| other.rollout == desired.rollout && other.bundle == desired.bundle;
        let attempts = self.link.attempts.borrow();
        let under_way = attempts.get(&desired.app);
        if under_way.is_some_and(|(other, _)| same(other)) {
            return true;
        }
        let again = self.link.again.borrow();
        again.get(&desired.app).is_some_and(|again| {
            again.rollout == desired.rollout
                && again.bundle == desired.bundle
                && again.due_ms.is_some()
        })
    }

    /// Ends attempts at what the relay does not name any longer, where nothing has been stopped:
    /// the app stays as it is (clause D35).
    fn withdraw(&self, desired: &[Desired]) {
        let mut attempts = self.link.attempts.borrow_mut();
        let gone: Vec<_> = attempts
            .keys()
            .filter(|app| desired.iter().all(|desired| desired.app != **app))
            .cloned()
            .collect();
        for name in gone {
            let app = self.apps.borrow().get(&name).cloned();
            let phase = app.as_ref().map_or(Phase::Idle, |app| app.state().phase);
            match phase {
                // Still being fetched; or another bundle's business.
                Phase::Idle | Phase::Broken { .. } => {
                    log::info!("app={name} phase=withdrawn");
                    attempts.remove(&name);
                }
                Phase::Staging { .. } | Phase::Staged { .. } => {
                    if let Some(app) = app {
                        app.suggest(Event::CancelAsked);
                    }
                }
                _ => {}
            }
        }
        let mut again = self.link.again.borrow_mut();
        again.retain(|app, again| {
            let mut named = desired.iter();
            named.any(|d| d.app == *app && d.rollout == again.rollout && d.bundle == again.bundle)
        });
    }

    fn try_out_desired(self: &Rc<Self>, desired: Desired, state: &AppState) {
        let name = desired.app.clone();
        let remote = match self.remote() {
            Ok(remote) => remote,
            Err(error) => {
                log::warn!("app={name} phase=fetching cause={error}");
                return;
            }
        };
        let begun = Rollout {
            app: name.clone(),
            rollout: desired.rollout,
            bundle: desired.bundle,
            after: state.last.map_or(0, |last| last.generation.id.0),
            code: None,
        };
        let noted = self.link.change(|record| {
            let again = record
                .attempt(&name, desired.rollout, &desired.bundle)
                .is_some();
            if !again {
                record.note(begun);
            }
        });
        if let Err(error) = noted {
            log::warn!("app={name} phase=fetching cause={error}");
            return;
        }
        log::info!("app={name} rollout={} phase=fetching", desired.rollout);
        let attempt = Rc::clone(self).attempt(desired.clone(), remote);
        let task = spawn(&self.executor, attempt);
        // A newer wish takes the place of an older one that has stopped nothing yet.
        self.link
            .attempts
            .borrow_mut()
            .insert(name, (desired, task));
    }

    async fn attempt(self: Rc<Self>, desired: Desired, remote: SharedRemote) {
        let result = self.apply_desired(&remote, &desired, &|_| {}).await;
        // This very task, unless a newer one has taken its place.
        let mut attempts = self.link.attempts.borrow_mut();
        if let Some((_, task)) = attempts.remove(&desired.app) {
            task.detach();
        }
        drop(attempts);
        self.note_end(&desired, result);
        self.nudge();
        self.pursue();
        let app = self.apps.borrow().get(&desired.app).cloned();
        if let Some(app) = app {
            self.compare_settings(&app);
        }
    }

    /// Notes how an attempt ended: for good, or to be made again.
    fn note_end(&self, desired: &Desired, result: Result<AppliedView, Failure>) {
        let (app, rollout) = (&desired.app, desired.rollout);
        let code = match &result {
            Ok(_) => exit::DONE,
            Err(failure) => {
                log::warn!(
                    "app={app} rollout={rollout} phase=ended code={} cause={}",
                    failure.code,
                    failure.message
                );
                failure.code
            }
        };
        if self.may_pass(desired, code) {
            let failures = {
                let again = self.link.again.borrow();
                let before = again
                    .get(app)
                    .filter(|again| again.rollout == rollout && again.bundle == desired.bundle);
                before.map_or(1, |before| before.failures.saturating_add(1))
            };
            let wait_ms = again_ms(failures, self.host.random());
            let again = Again {
                rollout,
                bundle: desired.bundle,
                failures,
                due_ms: Some(self.host.now_ms() + wait_ms),
            };
            self.link.again.borrow_mut().insert(app.clone(), again);
            return;
        }
        self.link.again.borrow_mut().remove(app);
        let noted = self.link.change(|record| {
            let known = record.attempt(app, rollout, &desired.bundle).cloned();
            if let Some(known) = known {
                record.note(Rollout {
                    code: Some(code),
                    ..known
                });
            }
        });
        if let Err(error) = noted {
            log::warn!("app={app} rollout={rollout} phase=ended cause={error}");
        }
    }

    /// Whether an end with this code may be another one later: no space, no runtime, a broken
    /// download, or somebody else's update in the way.
    fn may_pass(&self, desired: &Desired, code: u8) -> bool {
        let in_the_way = || {
            let state = self.app_state(desired);
            let other = state
                .incoming()
                .filter(|other| other.bundle != desired.bundle);
            other.is_some() || matches!(state.phase, Phase::RollingBack { .. } | Phase::Removing)
        };
        match code {
            exit::FAILURE => in_the_way(),
            _ => exit::may_pass(code),
        }
    }
}
