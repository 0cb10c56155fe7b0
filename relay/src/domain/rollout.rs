//! How a rollout goes: on one device, and as a whole.
//!
//! A rollout has targets: a device, and the bundle of the release that it gets. It has one stage
//! for now; stages with limits, soaking and approval come between [`Counts`] and [`State`], and
//! decide which targets a device is told of (`super::desired`).
//!
//! | Target is | and what is seen | it becomes |
//! |---|---|---|
//! | any | a check-in: the bundle is committed, no trial | succeeded |
//! | pending | a report: committed | succeeded |
//! | pending | a report: rolled back, failed, rollback failed, refused | failed, as reported |
//! | pending | a check-in: a higher `seq` is committed | failed: ahead |
//! | pending | a newer rollout of the app has the device | failed: superseded |
//! | pending | an operator aborts the rollout, or removes the device | failed: aborted, removed |
//!
//! Never takes a success back: what went wrong later is the matter of a later rollout. A device
//! reports only what is final; what may pass it tries again by itself.

use std::fmt;

use bundle::Digest;
use relay_api::device::{AppFacts, AppPhase, UpdateResult, Updated};

use super::audit::cut;
use super::limits::CAUSE_BYTES_MAX;

/// How a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// Nothing is known yet.
    Pending,
    /// The device runs the bundle, after its trial.
    Succeeded,
    /// The device does not, and will not by this rollout.
    Failed,
}

impl TargetState {
    /// The word of the operator's API and of the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// From the word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Succeeded, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// Why a target failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The device reported so.
    Reported(UpdateResult, Option<String>),
    /// The device has committed this higher `seq`.
    Ahead(u64),
    /// This newer rollout of the app has the device.
    Superseded(u64),
    /// This operator aborted the rollout.
    Aborted(String),
    /// The device was removed.
    Removed,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported(result, cause) => {
                f.write_str(match result {
                    UpdateResult::RolledBack => "rolled back",
                    UpdateResult::RollbackFailed => "failed, and so did the rollback",
                    UpdateResult::Refused => "refused by the device",
                    UpdateResult::Failed | UpdateResult::Committed | UpdateResult::Removed => {
                        "failed on the device"
                    }
                })?;
                match cause {
                    Some(cause) => write!(f, ": {}", cut(cause, CAUSE_BYTES_MAX)),
                    None => Ok(()),
                }
            }
            Self::Ahead(seq) => write!(f, "the device runs a newer version (seq {seq})"),
            Self::Superseded(rollout) => write!(f, "superseded by rollout {rollout}"),
            Self::Aborted(who) => write!(f, "aborted by {who}"),
            Self::Removed => f.write_str("the device was removed"),
        }
    }
}

/// Something that a target may change by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// The device checked in with this about the app.
    CheckedIn(&'a AppFacts),
    /// The device reported this about the rollout, or about the bundle.
    Reported(&'a Updated),
    /// This newer rollout of the app has the device.
    Superseded(u64),
    /// This operator aborted the rollout.
    Aborted(&'a str),
    /// The device was removed.
    Removed,
}

/// What a target is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    /// SHA-256 of the bundle's manifest.
    pub(crate) bundle: Digest,
    /// Its `seq`.
    pub(crate) seq: u64,
}

/// A change of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It succeeded.
    Succeed,
    /// It failed.
    Fail(Cause),
}

/// How a target changes by what is seen; none if it stays as it is.
pub(crate) fn step(state: TargetState, goal: Goal, seen: Seen<'_>) -> Option<Change> {
    let pending = state == TargetState::Pending;
    match seen {
        Seen::CheckedIn(app) => {
            let running = app.running.as_ref()?;
            if running.bundle == goal.bundle {
                let settled = matches!(app.phase, AppPhase::Running | AppPhase::Stopped);
                return (settled && state != TargetState::Succeeded).then_some(Change::Succeed);
            }
            (pending && running.seq > goal.seq).then_some(Change::Fail(Cause::Ahead(running.seq)))
        }
        Seen::Reported(updated) => match updated.result {
            _ if !pending || updated.bundle != goal.bundle => None,
            UpdateResult::Committed => Some(Change::Succeed),
            UpdateResult::RolledBack
            | UpdateResult::Failed
            | UpdateResult::RollbackFailed
            | UpdateResult::Refused => Some(Change::Fail(Cause::Reported(
                updated.result,
                updated.cause.clone(),
            ))),
            UpdateResult::Removed => None,
        },
        Seen::Superseded(rollout) => pending.then_some(Change::Fail(Cause::Superseded(rollout))),
        Seen::Aborted(who) => pending.then(|| Change::Fail(Cause::Aborted(who.to_string()))),
        Seen::Removed => pending.then_some(Change::Fail(Cause::Removed)),
    }
}

/// How many targets of a rollout stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Targets that succeeded.
    pub(crate) succeeded: u64,
    /// Targets that failed.
    pub(crate) failed: u64,
    /// Targets that are pending.
    pub(crate) pending: u64,
}

impl Counts {
    /// All of them.
    pub(crate) const fn targets(self) -> u64 {
        self.succeeded + self.failed + self.pending
    }
}

/// How a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Something is pending.
    Running,
    /// Every target succeeded.
    Succeeded,
    /// Nothing is pending and something failed, or an operator aborted it.
    Failed,
}

impl State {
    /// The word of the operator's API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// How a rollout with these targets stands. A device that becomes a target later makes one
    /// that had ended run again.
    pub(crate) const fn of(counts: Counts, aborted: bool) -> Self {
        match counts {
            _ if aborted => Self::Failed,
            Counts { pending: 1.., .. } => Self::Running,
            Counts { failed: 1.., .. } => Self::Failed,
            _ => Self::Succeeded,
        }
    }
}

/// Why a rollout failed, in words: an abort, else what happened on its devices. `first` is one of
/// the causes of its targets, `distinct` how many different ones there are.
pub(crate) fn summary(
    counts: Counts,
    aborted_by: Option<&str>,
    first: Option<&str>,
    distinct: u64,
) -> Option<String> {
    if let Some(who) = aborted_by {
        return Some(Cause::Aborted(who.to_string()).to_string());
    }
    if State::of(counts, false) != State::Failed {
        return None;
    }
    let so_many = match (counts.failed, counts.targets()) {
        (1, 1) => String::new(),
        (failed, targets) => format!("{failed} of {targets} devices: "),
    };
    let others = match distinct {
        0 | 1 => String::new(),
        _ => format!(", and {} other causes", distinct - 1),
    };
    Some(format!("{so_many}{}{others}", first.unwrap_or("failed")))
}
