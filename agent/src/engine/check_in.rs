//! The device's side of the relay's check-in: what it learns, and when it asks.
//!
//! Nothing that comes from a relay runs unless a release key has signed it, and a relay that is
//! away changes nothing here: what runs goes on for ever. Writes nothing while nothing changes.

use std::collections::BTreeSet;
use std::rc::Rc;

use agent_core::Phase;
use agent_core::schedule::until_slot_ms;
use agent_core::schedule::{APART_MS, INTERVAL_S_DEFAULT, busy_ms, failed_ms, first_ms};
use relay_api::device::{Answer, LONG_POLL_S_MAX};
use smol::future::or;

use super::Engine;
use super::app::App;
use super::host::spawn;
use super::link::{NOT_ENROLLED, values_of};
use crate::relay::RemoteError;
use crate::state::{LinkRecord, Wait};

/// When the relay is asked next.
#[derive(Clone, Copy, Debug)]
struct Next {
    /// By the clock that never goes back, in milliseconds.
    at_ms: u64,
    /// Whether news on this device may bring it forward.
    hasten: bool,
}

/// How a turn ended.
enum Turn {
    /// The relay has answered.
    Answered,
    /// There was news on this device while the relay held its answer back.
    BrokenOff,
    /// It could not be spoken to.
    Failed(RemoteError),
}

impl Engine {
    /// There is something to tell the relay: it is told soon, where there is one.
    pub(crate) fn nudge(&self) {
        // One that waits already is enough.
        let _ = self.nudges.0.try_send(());
    }

    /// Begins to speak to the relay, beside everything else.
    pub(super) fn begin_to_speak(self: &Rc<Self>) {
        let mut task = self.link.task.borrow_mut();
        if task.is_none() {
            if self.lacks_enrolment() {
                log::warn!("relay={} cause={NOT_ENROLLED}", self.relay_url());
            }
            *task = Some(spawn(&self.executor, Rc::clone(self).speak()));
        }
    }

    /// Ends every conversation, and every attempt that has not reached its app.
    pub(super) async fn end_to_speak(&self) {
        let speaking = self.link.task.borrow_mut().take();
        if let Some(speaking) = speaking {
            speaking.cancel().await;
        }
        let attempts = std::mem::take(&mut *self.link.attempts.borrow_mut());
        for (_, attempt) in attempts.into_values() {
            attempt.cancel().await;
        }
    }

    async fn speak(self: Rc<Self>) {
        let mut next = self.first();
        let mut began_ms = None;
        loop {
            if !self.link.is_there() {
                self.nudged().await;
                next = self.soon(began_ms);
                continue;
            }
            let now_ms = self.host.now_ms();
            let due_ms = next.at_ms.min(self.again_due_ms().unwrap_or(u64::MAX));
            if now_ms < due_ms {
                let due = async {
                    self.host.sleep(due_ms - now_ms).await;
                    false
                };
                let news = async {
                    self.nudged().await;
                    true
                };
                if or(due, news).await {
                    let soon = self.soon(began_ms);
                    if self.link.fresh.take() || (next.hasten && soon.at_ms < next.at_ms) {
                        next = soon;
                    }
                }
                continue;
            }
            if now_ms < next.at_ms {
                self.pursue();
                continue;
            }
            began_ms = Some(now_ms);
            self.link.fresh.set(false);
            let turn = self.turn().await;
            next = self.after(turn, began_ms);
        }
    }

    /// The first check-in after a start: soon, and not at once for a fleet whose power is back. A
    /// device that was enrolled while no agent ran has somebody before it who waits.
    fn first(&self) -> Next {
        let (now_s, random) = (self.host.now_s(), self.host.random());
        let wait = self.link.look(|record| record.wait).flatten();
        let left_ms = wait.map_or(0, |wait| wait.left_s(now_s) * 1_000);
        // 0 is never one (clause D31): nothing was answered since the enrolment.
        let new = self.link.look(|record| record.revision == 0) == Some(true);
        let spread_ms = if new {
            0
        } else {
            first_ms(self.interval_s(), random)
        };
        Next {
            at_ms: self.host.now_ms() + left_ms.max(spread_ms),
            hasten: false,
        }
    }

    /// As soon as there may be another check-in.
    fn soon(&self, began_ms: Option<u64>) -> Next {
        let now_ms = self.host.now_ms();
        Next {
            at_ms: began_ms.map_or(now_ms, |began| now_ms.max(began + APART_MS)),
            hasten: true,
        }
    }

    fn interval_s(&self) -> u32 {
        let given = self.link.look(|record| record.interval_s).unwrap_or(0);
        if given == 0 {
            INTERVAL_S_DEFAULT
        } else {
            given
        }
    }

    async fn nudged(&self) {
        // The engine holds a sender itself.
        let _ = self.nudges.1.recv().await;
    }

    /// Sends what waits, checks in, and takes the answer in.
    async fn turn(self: &Rc<Self>) -> Turn {
        // What has happened until here is told in this turn.
        while self.nudges.1.try_recv().is_ok() {}
        let remote = match self.remote() {
            Ok(remote) => remote,
            Err(error) => return Turn::Failed(error),
        };
        let mut undelivered = None;
        match self.deliver_reports(&remote).await {
            Ok(()) => {}
            // A relay that does not take reports may still say what shall run.
            Err(error @ (RemoteError::Refused { .. } | RemoteError::Garbage(_))) => {
                undelivered = Some(error);
            }
            Err(error) => return Turn::Failed(error),
        }
        let hold_s = match undelivered {
            None => self.link.hold_s.get(),
            Some(_) => 0,
        };
        let message = match self.check_in_message(hold_s).await {
            Ok(message) => message,
            Err(failure) => return Turn::Failed(RemoteError::Unreachable(failure.message)),
        };
        let asked = remote.check_in(message);
        let answer = if hold_s == 0 {
            asked.await
        } else {
            let asked = async { Some(asked.await) };
            let news = async {
                self.nudged().await;
                None
            };
            match or(asked, news).await {
                Some(answer) => answer,
                None => return Turn::BrokenOff,
            }
        };
        match answer.and_then(|answer| self.take_in(answer)) {
            Ok(()) => match undelivered {
                None => Turn::Answered,
                Some(error) => Turn::Failed(error),
            },
            Err(error) => Turn::Failed(error),
        }
    }

    /// Takes an answer in: what must last is durable before anything is done about it.
    fn take_in(self: &Rc<Self>, answer: Answer) -> Result<(), RemoteError> {
        let named: BTreeSet<_> = answer.desired.iter().map(|desired| &desired.app).collect();
        if answer.revision == 0 || named.len() < answer.desired.len() {
            return Err(RemoteError::Garbage("it contradicts itself"));
        }
        self.link.contact.set(Some(self.host.now_s()));
        let before = self.link.look(|record| record.variables.clone());
        let before = before.unwrap_or_default();
        let stored = self.link.change(|record| {
            record.revision = answer.revision;
            record.interval_s = answer.interval_s;
            record.variables.clone_from(&answer.variables);
        });
        stored.map_err(RemoteError::Sink)?;
        self.link
            .hold_s
            .set(answer.long_poll_s.min(LONG_POLL_S_MAX));
        let apps: Vec<_> = self.apps.borrow().values().cloned().collect();
        for app in &apps {
            let old = values_of(&before, &app.name);
            if !old.eq(values_of(&answer.variables, &app.name)) {
                app.settings_compared.set(false);
            }
        }
        self.keep_spooled(&answer.desired);
        *self.link.desired.borrow_mut() = answer.desired;
        self.pursue();
        for app in &apps {
            self.compare_settings(app);
        }
        Ok(())
    }

    /// Offers new settings to an app at rest, unless a new version is on its way, which brings
    /// them along. An app that is not at rest compares them itself once it is.
    pub(super) fn compare_settings(&self, app: &App) {
        let rests = app.state().phase == Phase::Idle && app.unreconciled.get().is_none();
        let waits = self.link.attempts.borrow().contains_key(&app.name);
        if rests && !waits && !app.settings_compared.replace(true) {
            self.offer_new_settings(app);
        }
    }

    /// When to ask again, after a turn.
    fn after(&self, turn: Turn, began_ms: Option<u64>) -> Next {
        let (now_ms, random) = (self.host.now_ms(), self.host.random());
        match turn {
            Turn::BrokenOff => self.soon(began_ms),
            Turn::Answered => {
                if self.link.trouble.take().is_some() {
                    log::info!("relay={} phase=back", self.relay_url());
                }
                self.link.failures.set(0);
                if self.link.hold_s.get() > 0 {
                    return self.soon(began_ms);
                }
                let now_s = self.host.now_s();
                let wait_ms = until_slot_ms(&self.device, self.interval_s(), now_s, random);
                Next {
                    at_ms: now_ms + wait_ms,
                    hasten: true,
                }
            }
            Turn::Failed(error) => {
                let known = self.link.trouble.replace(Some(error.to_string()));
                if known.is_none() {
                    log::warn!("relay={} phase=away cause={error}", self.relay_url());
                }
                let failures = self.link.failures.get().saturating_add(1);
                self.link.failures.set(failures);
                self.link.hold_s.set(0);
                let wait_ms = match error {
                    RemoteError::Busy { retry_after_s } => {
                        let wait_ms = busy_ms(retry_after_s, random);
                        self.note_wait(wait_ms);
                        wait_ms
                    }
                    _ => failed_ms(self.interval_s(), failures, random),
                };
                Next {
                    at_ms: now_ms + wait_ms,
                    hasten: false,
                }
            }
        }
    }

    /// A wait that the relay asked for holds over a restart too.
    fn note_wait(&self, wait_ms: u64) {
        let length_s = wait_ms.div_ceil(1_000);
        let until = self.host.now_s() + length_s;
        let noted = self.link.change(|record: &mut LinkRecord| {
            record.wait = Some(Wait { until, length_s });
        });
        if let Err(error) = noted {
            log::warn!("relay={} phase=waiting cause={error}", self.relay_url());
        }
    }

    fn relay_url(&self) -> String {
        self.relay_view().url.unwrap_or_default()
    }
}
