//! Named states, one or more for each phase, and the kinds of phases, events and effects.
//!
//! Every `kind` is an exhaustive match: a new variant does not compile until it is listed here, and
//! then it needs rows in the table.

use bundle::{AppName, Digest};

use crate::app::*;
use crate::step::{Effect, Event, Illegal, RESTORE_ATTEMPTS_MAX, TRIAL_RESTARTS_MAX};

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident: $($kind:ident),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum $name { $($kind),* }
        impl $name {
            pub(super) const ALL: &'static [Self] = &[$(Self::$kind),*];
        }
    };
}

kinds! {
    /// States that differ in what an event does.
    Situation: Empty, Installed, Reversible, Unreported, BelowFloor, Removed, Staging, Staged, Switching,
    SwitchingLast, Trial, TrialLast, RollingBack, RollingBackLast, Broken, RemovingInstalled,
    RemovingEmpty,
}

kinds! {
    PhaseKind: Idle, Staging, Staged, Switching, Trial, RollingBack, Broken, Removing,
}

kinds! {
    EventKind: Offered, RollbackAsked, CancelAsked, RemoveAsked, StageDone, StageFailed, Cleared,
    SwitchDone, SwitchFailed, TrialPassed, TrialFailed, RestoreDone, RestoreFailed, RetryDue,
    RemoveDone, Started,
}

kinds! {
    EffectKind: Stage, Discard, AwaitClearance, Switch, Try, Restore, RetryLater, Reconcile,
    RemoveAll, Collect, Report,
}

pub(super) const fn generation(id: u32, seq: u64, epoch: u64) -> Generation {
    Generation {
        id: GenerationId(id),
        seq,
        epoch,
        bundle: Digest::from_bytes([seq as u8; 32]),
        variables: Digest::from_bytes([0xee; 32]),
    }
}

pub(super) const PREVIOUS: Generation = generation(2, 20, 1);
pub(super) const CURRENT: Generation = generation(3, 30, 1);
pub(super) const INCOMING: Generation = generation(4, 40, 2);
const INTENT: Intent = Intent::Update;
const CAUSE: Cause = Cause::Unhealthy { service: 1 };

impl Situation {
    /// The state; the floors and numbers are as a life up to here would have left them.
    pub(super) fn state(self) -> AppState {
        let mut state = AppState::new(AppName::new("kiosk").unwrap());
        state.phase = self.phase();
        if self == Self::Empty || self == Self::RemovingEmpty {
            return state;
        }
        state.seq_floor = CURRENT.seq;
        state.epoch_floor = CURRENT.epoch;
        state.next_generation = INCOMING.id;
        match self {
            Self::Removed => state.previous = Some(CURRENT),
            Self::Installed => state.current = Some(CURRENT),
            Self::BelowFloor => {
                state.current = Some(CURRENT);
                state.previous = Some(generation(2, 20, 0));
            }
            _ => {
                state.current = Some(CURRENT);
                state.previous = Some(PREVIOUS);
            }
        }
        match PhaseKind::of(&state.phase) {
            PhaseKind::Idle => state.last = self.last(),
            PhaseKind::Staging | PhaseKind::Removing => {}
            PhaseKind::Broken => state.last = self.last(),
            _ => state.next_generation = GenerationId(INCOMING.id.0 + 1),
        }
        if self == Self::Broken {
            state.next_generation = GenerationId(INCOMING.id.0 + 1);
        }
        state
    }

    fn last(self) -> Option<Outcome> {
        let (kind, generation) = match self {
            Self::Unreported => (OutcomeKind::Committed(INTENT), CURRENT),
            Self::Broken => (OutcomeKind::RollbackFailed(CAUSE), INCOMING),
            _ => return None,
        };
        Some(Outcome {
            kind,
            generation,
            at: 5,
        })
    }

    fn phase(self) -> Phase {
        let incoming = INCOMING;
        let intent = INTENT;
        let failed = INCOMING;
        let cause = CAUSE;
        let switching = |restarts| Phase::Switching {
            incoming,
            intent,
            restarts,
        };
        let trial = |restarts| Phase::Trial {
            incoming,
            intent,
            restarts,
        };
        let rolling_back = |attempts| Phase::RollingBack {
            failed,
            cause,
            attempts,
        };
        match self {
            Self::Empty
            | Self::Installed
            | Self::Reversible
            | Self::Unreported
            | Self::BelowFloor
            | Self::Removed => Phase::Idle,
            Self::Staging => Phase::Staging { incoming, intent },
            Self::Staged => Phase::Staged { incoming, intent },
            Self::Switching => switching(0),
            Self::SwitchingLast => switching(TRIAL_RESTARTS_MAX),
            Self::Trial => trial(0),
            Self::TrialLast => trial(TRIAL_RESTARTS_MAX),
            Self::RollingBack => rolling_back(0),
            Self::RollingBackLast => rolling_back(RESTORE_ATTEMPTS_MAX - 1),
            Self::Broken => Phase::Broken { failed, cause },
            Self::RemovingInstalled | Self::RemovingEmpty => Phase::Removing,
        }
    }

    /// What sets it apart from the other situations of its phase, in words.
    pub(super) fn guard(self) -> &'static str {
        match self {
            Self::Empty => "never installed",
            Self::Installed => "no previous generation",
            Self::Reversible => "a previous generation",
            Self::Unreported => "an outcome to report",
            Self::BelowFloor => "the previous generation below the floor",
            Self::Removed => "removed",
            Self::SwitchingLast | Self::TrialLast => "restarted too often",
            Self::RollingBackLast => "the last attempt",
            Self::RemovingInstalled => "an app that runs",
            Self::RemovingEmpty => "an app that never ran",
            Self::Staging
            | Self::Staged
            | Self::Switching
            | Self::Trial
            | Self::RollingBack
            | Self::Broken => "otherwise",
        }
    }
}

impl PhaseKind {
    pub(super) fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Idle => Self::Idle,
            Phase::Staging { .. } => Self::Staging,
            Phase::Staged { .. } => Self::Staged,
            Phase::Switching { .. } => Self::Switching,
            Phase::Trial { .. } => Self::Trial,
            Phase::RollingBack { .. } => Self::RollingBack,
            Phase::Broken { .. } => Self::Broken,
            Phase::Removing => Self::Removing,
        }
    }
}

impl EventKind {
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Offered(_) => Self::Offered,
            Event::RollbackAsked => Self::RollbackAsked,
            Event::CancelAsked => Self::CancelAsked,
            Event::RemoveAsked => Self::RemoveAsked,
            Event::StageDone => Self::StageDone,
            Event::StageFailed(_) => Self::StageFailed,
            Event::Cleared => Self::Cleared,
            Event::SwitchDone => Self::SwitchDone,
            Event::SwitchFailed(_) => Self::SwitchFailed,
            Event::TrialPassed => Self::TrialPassed,
            Event::TrialFailed(_) => Self::TrialFailed,
            Event::RestoreDone => Self::RestoreDone,
            Event::RestoreFailed(_) => Self::RestoreFailed,
            Event::RetryDue => Self::RetryDue,
            Event::RemoveDone => Self::RemoveDone,
            Event::Started => Self::Started,
        }
    }

    /// An event of this kind.
    pub(super) fn sample(self) -> Event {
        match self {
            Self::Offered => Event::Offered(INCOMING),
            Self::RollbackAsked => Event::RollbackAsked,
            Self::CancelAsked => Event::CancelAsked,
            Self::RemoveAsked => Event::RemoveAsked,
            Self::StageDone => Event::StageDone,
            Self::StageFailed => Event::StageFailed(Cause::NoSpace),
            Self::Cleared => Event::Cleared,
            Self::SwitchDone => Event::SwitchDone,
            Self::SwitchFailed => Event::SwitchFailed(Cause::SwitchRuntime),
            Self::TrialPassed => Event::TrialPassed,
            Self::TrialFailed => Event::TrialFailed(CAUSE),
            Self::RestoreDone => Event::RestoreDone,
            Self::RestoreFailed => Event::RestoreFailed(Cause::RestoreRuntime),
            Self::RetryDue => Event::RetryDue,
            Self::RemoveDone => Event::RemoveDone,
            Self::Started => Event::Started,
        }
    }
}

impl EffectKind {
    pub(super) fn of(effect: &Effect) -> Self {
        match effect {
            Effect::Stage(_) => Self::Stage,
            Effect::Discard(_) => Self::Discard,
            Effect::AwaitClearance => Self::AwaitClearance,
            Effect::Switch { .. } => Self::Switch,
            Effect::Try(_) => Self::Try,
            Effect::Restore { .. } => Self::Restore,
            Effect::RetryLater { .. } => Self::RetryLater,
            Effect::Reconcile(_) => Self::Reconcile,
            Effect::RemoveAll => Self::RemoveAll,
            Effect::Collect => Self::Collect,
            Effect::Report(_) => Self::Report,
        }
    }

    /// The events that answer an effect of this kind: when it went well, and when it did not.
    pub(super) fn answers(self) -> (Option<EventKind>, Option<EventKind>) {
        use EventKind as E;
        match self {
            Self::Stage => (Some(E::StageDone), Some(E::StageFailed)),
            Self::AwaitClearance => (Some(E::Cleared), None),
            Self::Switch => (Some(E::SwitchDone), Some(E::SwitchFailed)),
            Self::Try => (Some(E::TrialPassed), Some(E::TrialFailed)),
            Self::Restore => (Some(E::RestoreDone), Some(E::RestoreFailed)),
            Self::RetryLater => (Some(E::RetryDue), None),
            Self::RemoveAll => (Some(E::RemoveDone), None),
            Self::Discard | Self::Reconcile | Self::Collect | Self::Report => (None, None),
        }
    }
}

/// What the table says of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    To(PhaseKind, &'static [EffectKind]),
    No(Illegal),
}
