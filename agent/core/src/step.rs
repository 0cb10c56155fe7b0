//! The update state machine.
//!
//! [`step`] never does anything: it says what to do. The driver makes the new state durable
//! first, then carries the effects out in their order, and answers each with an event. Every
//! effect is safe to repeat, so after a crash the event [`Event::Started`] is all it takes.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::app::{AppState, Cause, Generation, GenerationId, Intent, Outcome, OutcomeKind, Phase};

/// How often device or agent may restart between the start of a switch and the end of its trial: a
/// generation that brings the device down is rolled back too.
pub const TRIAL_RESTARTS_MAX: u8 = 3;
/// How often restoring is tried before the app counts as broken.
pub const RESTORE_ATTEMPTS_MAX: u8 = 5;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An admitted bundle (or changed settings) shall become the next generation. Its `id` is
    /// given by the machine.
    Offered(Generation),
    /// Somebody asks to return to the previous generation.
    RollbackAsked,
    /// Somebody asks to stop the update before it has started to switch.
    CancelAsked,
    /// Somebody asks to remove the app.
    RemoveAsked,
    /// All of the incoming generation is on the device.
    StageDone,
    /// Bringing it in failed.
    StageFailed(Cause),
    /// No lock and no window stands against the switch.
    Cleared,
    /// The containers of the incoming generation have been started.
    SwitchDone,
    /// They could not be.
    SwitchFailed(Cause),
    /// The trial went well.
    TrialPassed,
    /// It did not.
    TrialFailed(Cause),
    /// The generation before runs again.
    RestoreDone,
    /// It could not be brought back.
    RestoreFailed(Cause),
    /// The wait after a failed restoring is over.
    RetryDue,
    /// All containers of the app are gone.
    RemoveDone,
    /// The agent has just started, after a crash, a power cut, or in peace.
    Started,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Bring in images, files and networks of a generation, create its containers; stop nothing.
    /// Answer: [`Event::StageDone`] or [`Event::StageFailed`].
    Stage(Generation),
    /// Remove what was staged for a generation that will not run.
    Discard(Generation),
    /// Wait for leave to switch. Answer: [`Event::Cleared`].
    AwaitClearance,
    /// Make `to` run in the place of `from`, leaving services that do not change.
    /// Answer: [`Event::SwitchDone`] or [`Event::SwitchFailed`].
    Switch {
        /// What runs now.
        from: Option<Generation>,
        /// What shall run.
        to: Generation,
    },
    /// See to it that all of a generation runs, and watch it for its trial.
    /// Answer: [`Event::TrialPassed`] or [`Event::TrialFailed`].
    Try(Generation),
    /// Make `to` (or nothing) run in the place of the failed generation, and put volumes back.
    /// Answer: [`Event::RestoreDone`] or [`Event::RestoreFailed`].
    Restore {
        /// What failed.
        failed: Generation,
        /// What shall run.
        to: Option<Generation>,
    },
    /// Wait with growing pauses, then answer [`Event::RetryDue`].
    RetryLater {
        /// How many attempts have failed.
        attempts: u8,
    },
    /// See to it that all of a committed generation runs, and nothing else of this app.
    Reconcile(Option<Generation>),
    /// Stop and remove all containers of the app. Answer: [`Event::RemoveDone`].
    RemoveAll,
    /// Remove what neither the current nor the previous generation needs.
    Collect,
    /// Write the result into the history. Comes again, with the same `at`, at the next start: what
    /// the history ends with is not written twice.
    Report(Outcome),
}

/// An event that makes no sense in the phase that the app is in. The state stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Illegal {
    /// An update is past the point where it can be replaced or stopped: wait for its end.
    Busy,
    /// There is no previous generation to return to.
    NothingToRollBackTo,
    /// The previous generation is below the security floor.
    BelowFloor,
    /// The app is not on this device.
    NotInstalled,
    /// There is no update under way that could be stopped.
    NothingToCancel,
    /// An answer to an effect that is not under way: a fault in the driver.
    OutOfTurn,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "an update of this app is under way",
            Self::NothingToRollBackTo => "there is no previous generation to return to",
            Self::BelowFloor => "the previous generation is below the security floor",
            Self::NotInstalled => "this app is not on this device",
            Self::NothingToCancel => "no update is waiting that could be stopped",
            Self::OutOfTurn => "an answer came that nobody had asked for",
        })
    }
}

impl core::error::Error for Illegal {}

/// What `event` makes of `state`, and what is to be done then.
///
/// `now` is in seconds since 1970-01-01 UTC and goes into outcomes only; no transition depends on
/// the clock.
///
/// # Errors
/// [`Illegal`] if the event makes no sense here; `state` then stays as it was.
pub fn step(state: &AppState, event: Event, now: u64) -> Result<(AppState, Vec<Effect>), Illegal> {
    let mut next = state.clone();
    let effects = transition(&mut next, event, now)?;
    for effect in &effects {
        if let Effect::Report(outcome) = effect {
            next.last = Some(*outcome);
        }
    }
    Ok((next, effects))
}

fn transition(app: &mut AppState, event: Event, now: u64) -> Result<Vec<Effect>, Illegal> {
    use Event as E;
    use Phase as P;
    let report = |kind, generation| {
        Effect::Report(Outcome {
            kind,
            generation,
            at: now,
        })
    };
    match (app.phase, event) {
        // A wish from outside.
        (P::Idle | P::Broken { .. }, E::Offered(offered)) => {
            Ok(vec![begin(app, offered, Intent::Update)])
        }
        (P::Staged { incoming, .. } | P::Staging { incoming, .. }, E::Offered(offered)) => {
            let stage = begin(app, offered, Intent::Update);
            let superseded = report(OutcomeKind::Failed(Cause::Superseded), incoming);
            Ok(vec![superseded, Effect::Discard(incoming), stage])
        }
        (P::Idle, E::RollbackAsked) if app.current.is_none() => Err(Illegal::NotInstalled),
        (P::Idle, E::RollbackAsked) => {
            let back = app.previous.ok_or(Illegal::NothingToRollBackTo)?;
            if back.epoch < app.epoch_floor {
                return Err(Illegal::BelowFloor);
            }
            Ok(vec![begin(app, back, Intent::Rollback)])
        }
        (P::Staging { incoming, .. } | P::Staged { incoming, .. }, E::CancelAsked) => {
            app.phase = P::Idle;
            Ok(vec![
                Effect::Discard(incoming),
                report(OutcomeKind::Failed(Cause::Operator), incoming),
            ])
        }
        (P::Idle | P::Broken { .. }, E::CancelAsked) => Err(Illegal::NothingToCancel),
        (P::Idle, E::RemoveAsked) if app.current.is_none() => Err(Illegal::NotInstalled),
        (P::Idle | P::Broken { .. }, E::RemoveAsked) => {
            app.phase = P::Removing;
            app.last = None;
            Ok(vec![Effect::RemoveAll])
        }
        (P::Staging { incoming, .. } | P::Staged { incoming, .. }, E::RemoveAsked) => {
            app.phase = P::Removing;
            app.last = None;
            Ok(vec![Effect::Discard(incoming), Effect::RemoveAll])
        }
        (_, E::Offered(_) | E::RollbackAsked | E::CancelAsked | E::RemoveAsked) => {
            Err(Illegal::Busy)
        }

        // The way forward.
        (P::Staging { incoming, intent }, E::StageDone) => {
            // Only now is the number used up: staging leaves no trace in the record.
            app.next_generation = GenerationId(incoming.id.0.saturating_add(1));
            app.last = None;
            app.phase = P::Staged { incoming, intent };
            Ok(vec![Effect::AwaitClearance])
        }
        (P::Staging { incoming, .. }, E::StageFailed(cause)) => {
            app.phase = P::Idle;
            // What ran before may be in doubt (a broken app), so it is seen to again.
            Ok(vec![
                Effect::Discard(incoming),
                report(OutcomeKind::Failed(cause), incoming),
                Effect::Reconcile(app.current),
            ])
        }
        (P::Staged { incoming, intent }, E::Cleared) => {
            app.phase = P::Switching {
                incoming,
                intent,
                restarts: 0,
            };
            Ok(vec![Effect::Switch {
                from: app.current,
                to: incoming,
            }])
        }
        (
            P::Switching {
                incoming,
                intent,
                restarts,
            },
            E::SwitchDone,
        ) => {
            app.phase = P::Trial {
                incoming,
                intent,
                restarts,
            };
            Ok(vec![Effect::Try(incoming)])
        }
        (
            P::Trial {
                incoming, intent, ..
            },
            E::TrialPassed,
        ) => {
            commit(app, incoming);
            Ok(vec![
                report(OutcomeKind::Committed(intent), incoming),
                Effect::Collect,
            ])
        }

        // The way back.
        (P::Switching { incoming, .. }, E::SwitchFailed(cause))
        | (P::Trial { incoming, .. }, E::TrialFailed(cause)) => {
            Ok(vec![roll_back(app, incoming, cause)])
        }
        (P::RollingBack { failed, cause, .. }, E::RestoreDone) => {
            app.phase = P::Idle;
            Ok(vec![
                report(OutcomeKind::RolledBack(cause), failed),
                Effect::Collect,
            ])
        }
        (
            P::RollingBack {
                failed,
                cause,
                attempts,
            },
            E::RestoreFailed(why),
        ) => {
            let attempts = attempts.saturating_add(1);
            let retry = Effect::RetryLater { attempts };
            if attempts < RESTORE_ATTEMPTS_MAX {
                app.phase = P::RollingBack {
                    failed,
                    cause,
                    attempts,
                };
                return Ok(vec![retry]);
            }
            app.phase = P::Broken { failed, cause: why };
            Ok(vec![
                report(OutcomeKind::RollbackFailed(why), failed),
                retry,
            ])
        }
        (P::Broken { failed, cause }, E::RestoreDone) => {
            app.phase = P::Idle;
            Ok(vec![
                report(OutcomeKind::RolledBack(cause), failed),
                Effect::Collect,
            ])
        }
        (P::Broken { .. }, E::RestoreFailed(_)) => Ok(vec![Effect::RetryLater {
            attempts: RESTORE_ATTEMPTS_MAX,
        }]),
        (P::RollingBack { failed, .. } | P::Broken { failed, .. }, E::RetryDue) => {
            Ok(vec![Effect::Restore {
                failed,
                to: app.current,
            }])
        }

        // The way out.
        (P::Removing, E::RemoveDone) => {
            app.phase = P::Idle;
            let Some(removed) = app.current.take() else {
                return Ok(vec![Effect::Collect]);
            };
            app.previous = Some(removed);
            Ok(vec![report(OutcomeKind::Removed, removed), Effect::Collect])
        }

        // After a start: take up what was under way.
        (P::Idle, E::Started) => {
            let again = app.last.map(Effect::Report);
            let rest = [Effect::Reconcile(app.current), Effect::Collect];
            Ok(again.into_iter().chain(rest).collect())
        }
        (P::Staging { incoming, .. }, E::Started) => {
            // Never read from a record; only a driver that restarts without one comes here.
            app.phase = P::Idle;
            Ok(vec![
                Effect::Discard(incoming),
                Effect::Reconcile(app.current),
            ])
        }
        (P::Staged { .. }, E::Started) => {
            Ok(vec![Effect::Reconcile(app.current), Effect::AwaitClearance])
        }
        (
            P::Switching {
                incoming, restarts, ..
            }
            | P::Trial {
                incoming, restarts, ..
            },
            E::Started,
        ) if restarts >= TRIAL_RESTARTS_MAX => {
            Ok(vec![roll_back(app, incoming, Cause::Interrupted)])
        }
        (
            P::Switching {
                incoming,
                intent,
                restarts,
            },
            E::Started,
        ) => {
            app.phase = P::Switching {
                incoming,
                intent,
                restarts: restarts + 1,
            };
            Ok(vec![Effect::Switch {
                from: app.current,
                to: incoming,
            }])
        }
        (
            P::Trial {
                incoming,
                intent,
                restarts,
            },
            E::Started,
        ) => {
            app.phase = P::Trial {
                incoming,
                intent,
                restarts: restarts + 1,
            };
            Ok(vec![Effect::Try(incoming)])
        }
        (P::RollingBack { failed, .. } | P::Broken { failed, .. }, E::Started) => {
            let again = app.last.map(Effect::Report);
            let restore = Effect::Restore {
                failed,
                to: app.current,
            };
            Ok(again.into_iter().chain([restore]).collect())
        }
        (P::Removing, E::Started) => Ok(vec![Effect::RemoveAll]),

        (
            _,
            E::StageDone
            | E::StageFailed(_)
            | E::Cleared
            | E::SwitchDone
            | E::SwitchFailed(_)
            | E::TrialPassed
            | E::TrialFailed(_)
            | E::RestoreDone
            | E::RestoreFailed(_)
            | E::RetryDue
            | E::RemoveDone,
        ) => Err(Illegal::OutOfTurn),
    }
}

/// Gives the generation its number and begins to stage it.
fn begin(app: &mut AppState, content: Generation, intent: Intent) -> Effect {
    let incoming = Generation {
        id: app.next_generation,
        ..content
    };
    app.phase = Phase::Staging { incoming, intent };
    Effect::Stage(incoming)
}

/// The only place where floors rise.
fn commit(app: &mut AppState, incoming: Generation) {
    app.phase = Phase::Idle;
    app.previous = app.current.replace(incoming);
    app.seq_floor = app.seq_floor.max(incoming.seq);
    app.epoch_floor = app.epoch_floor.max(incoming.epoch);
}

fn roll_back(app: &mut AppState, failed: Generation, cause: Cause) -> Effect {
    app.phase = Phase::RollingBack {
        failed,
        cause,
        attempts: 0,
    };
    Effect::Restore {
        failed,
        to: app.current,
    }
}
