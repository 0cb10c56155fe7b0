//! The update state machine.
//!
//! [`step`] never does anything: it says what to do. The driver makes the new state durable
//! first, then carries the effects out in their order, and answers each with an event. Every
//! effect is safe to repeat, so after a crash the event [`Event::Started`] is all it takes.

#[cfg(test)]
mod tests;
mod transition;

use alloc::vec::Vec;
use core::fmt;

use crate::app::{AppState, Cause, Generation, Outcome, Phase};

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
    /// Write the result into the history. Comes again, with the same `at`, at the next start, but
    /// for what ended while it was staged: what the history ends with is not written twice.
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
/// A crash after the new state is durable and before its effects are carried out costs nothing:
/// [`Event::Started`] brings them again.
///
/// # Errors
/// [`Illegal`] if the event makes no sense here; `state` then stays as it was.
///
/// ```
/// use agent_core::{AppState, Effect, Event, Illegal, Phase, step};
/// let app = AppState::new(bundle::AppName::new("kiosk")?);
/// assert_eq!(step(&app, Event::RollbackAsked, 0), Err(Illegal::NotInstalled));
/// let (app, effects) = step(&app, Event::Started, 0)?;
/// assert_eq!(effects, [Effect::Reconcile(None), Effect::Collect]);
/// assert_eq!(app.phase, Phase::Idle);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub fn step(state: &AppState, event: Event, now: u64) -> Result<(AppState, Vec<Effect>), Illegal> {
    let mut next = state.clone();
    let effects = transition::transition(&mut next, event, now)?;
    // Staging leaves no trace in the record, also when it fails.
    let staging = matches!(state.phase, Phase::Staging { .. });
    for effect in &effects {
        if let Effect::Report(outcome) = effect
            && !staging
        {
            next.last = Some(*outcome);
        }
    }
    Ok((next, effects))
}
