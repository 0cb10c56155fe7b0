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

#[cfg(test)]
mod tests {
    use super::*;
    use relay_api::device::Running;

    fn app(phase: AppPhase, seq: u64) -> AppFacts {
        AppFacts {
            app: "kiosk".parse().unwrap(),
            phase,
            running: Some(Running {
                version: "1".parse().unwrap(),
                seq,
                bundle: Digest::of(&seq.to_be_bytes()),
                generation: 1,
            }),
            previous_seq: None,
            services: vec![],
        }
    }

    fn report(result: UpdateResult, seq: u64) -> Updated {
        Updated {
            result,
            version: "1".parse().unwrap(),
            seq,
            bundle: Digest::of(&seq.to_be_bytes()),
            generation: None,
            rollout: Some(1),
            cause: Some("why".to_string()),
            running: vec![],
            evidence: vec![],
        }
    }

    #[test]
    fn a_target_changes_by_what_is_seen() {
        use AppPhase::{Failed, Running, Stopped, Trial, Updating};
        use UpdateResult as U;
        let mut nothing = app(Running, 5);
        nothing.running = None;
        let reported = |result| Some(format!("{}: why", Cause::Reported(result, None)));
        let checked = |app| (app, None::<Updated>);
        let said = |result, seq| (nothing.clone(), Some(report(result, seq)));
        // What is seen, and what a pending, a failed and a succeeded target becomes.
        let good = || Some("succeeded".to_string());
        let ahead = || Some("the device runs a newer version (seq 6)".to_string());
        let cases = [
            (checked(app(Running, 5)), good(), good()),
            // A version that retires the app.
            (checked(app(Stopped, 5)), good(), good()),
            // Something else is under way on it, or it has failed since.
            (checked(app(Updating, 5)), None, None),
            (checked(app(Trial, 5)), None, None),
            (checked(app(Failed, 5)), None, None),
            (checked(app(Running, 4)), None, None),
            (checked(app(Running, 6)), ahead(), None),
            (checked(app(Trial, 6)), ahead(), None),
            (checked(nothing.clone()), None, None),
            (said(U::Committed, 5), good(), None),
            (said(U::RolledBack, 5), reported(U::RolledBack), None),
            (said(U::Failed, 5), reported(U::Failed), None),
            (
                said(U::RollbackFailed, 5),
                reported(U::RollbackFailed),
                None,
            ),
            (said(U::Refused, 5), reported(U::Refused), None),
            (said(U::Removed, 5), None, None),
            // About another bundle, whatever rollout it names.
            (said(U::RolledBack, 4), None, None),
            (said(U::Committed, 6), None, None),
        ];
        let goal = Goal {
            bundle: Digest::of(&5u64.to_be_bytes()),
            seq: 5,
        };
        for ((app, updated), pending, failed) in &cases {
            let seen = match updated {
                Some(updated) => Seen::Reported(updated),
                None => Seen::CheckedIn(app),
            };
            let becomes = |state| {
                step(state, goal, seen).map(|change| match change {
                    Change::Succeed => "succeeded".to_string(),
                    Change::Fail(cause) => cause.to_string(),
                })
            };
            assert_eq!(becomes(TargetState::Pending), *pending, "{seen:?}");
            assert_eq!(becomes(TargetState::Failed), *failed, "{seen:?}");
            assert_eq!(becomes(TargetState::Succeeded), None, "{seen:?}");
        }
        for seen in [Seen::Superseded(9), Seen::Aborted("ada"), Seen::Removed] {
            assert!(matches!(
                step(TargetState::Pending, goal, seen),
                Some(Change::Fail(_))
            ));
            assert_eq!(step(TargetState::Failed, goal, seen), None);
            assert_eq!(step(TargetState::Succeeded, goal, seen), None);
        }
    }

    #[test]
    fn a_rollout_stands_as_its_targets_do() {
        let counts = |succeeded, failed, pending| Counts {
            succeeded,
            failed,
            pending,
        };
        for (counts, aborted, state) in [
            (counts(1, 0, 1), false, "running"),
            (counts(0, 1, 1), false, "running"),
            (counts(2, 0, 0), false, "succeeded"),
            (counts(1, 1, 0), false, "failed"),
            (counts(2, 0, 0), true, "failed"),
            (counts(0, 0, 1), true, "failed"),
        ] {
            assert_eq!(State::of(counts, aborted).as_str(), state, "{counts:?}");
        }
        let said = |counts, by, distinct| summary(counts, by, Some("rolled back"), distinct);
        assert_eq!(said(counts(1, 1, 1), None, 1), None);
        assert_eq!(said(counts(0, 1, 0), None, 1).unwrap(), "rolled back");
        assert_eq!(
            said(counts(7, 3, 0), None, 3).unwrap(),
            "3 of 10 devices: rolled back, and 2 other causes"
        );
        assert_eq!(
            said(counts(0, 1, 0), Some("ada"), 1).unwrap(),
            "aborted by ada"
        );
    }

    #[test]
    fn a_devices_endless_cause_is_cut() {
        let cause = Cause::Reported(UpdateResult::Failed, Some("x".repeat(100_000)));
        assert!(cause.to_string().len() < CAUSE_BYTES_MAX + 100);
    }
}
