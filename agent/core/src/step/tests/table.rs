//! Every pair of situation and event, and what comes of it.
//!
//! Both matches are exhaustive without a wildcard: what is new does not compile without its rows.

use alloc::vec::Vec;

use super::situation::{EffectKind, EventKind, PhaseKind, Row, Situation};
use crate::step::{Illegal, step};

/// What `event` does in `situation`.
pub(super) fn row(situation: Situation, event: EventKind) -> Row {
    use EffectKind::*;
    use EventKind as E;
    use PhaseKind as P;
    use Row::{No, To};
    use Situation as S;
    let out_of_turn = No(Illegal::OutOfTurn);
    match event {
        E::Offered => match situation {
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed
            | S::Broken => To(P::Staging, &[Stage]),
            S::Staging | S::Staged => To(P::Staging, &[Report, Discard, Stage]),
            S::Switching | S::SwitchingLast | S::Trial | S::TrialLast => No(Illegal::Busy),
            S::RollingBack | S::RollingBackLast => No(Illegal::Busy),
            S::RemovingInstalled | S::RemovingEmpty => No(Illegal::Busy),
        },
        E::RollbackAsked => match situation {
            S::Reversible | S::Unreported => To(P::Staging, &[Stage]),
            S::Empty | S::Removed => No(Illegal::NotInstalled),
            S::Installed => No(Illegal::NothingToRollBackTo),
            S::BelowFloor => No(Illegal::BelowFloor),
            S::Staging | S::Staged => No(Illegal::Busy),
            S::Switching | S::SwitchingLast | S::Trial | S::TrialLast => No(Illegal::Busy),
            S::RollingBack | S::RollingBackLast | S::Broken => No(Illegal::Busy),
            S::RemovingInstalled | S::RemovingEmpty => No(Illegal::Busy),
        },
        E::CancelAsked => match situation {
            S::Staging | S::Staged => To(P::Idle, &[Discard, Report, Reconcile]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed
            | S::Broken => No(Illegal::NothingToCancel),
            S::Switching | S::SwitchingLast | S::Trial | S::TrialLast => No(Illegal::Busy),
            S::RollingBack | S::RollingBackLast => No(Illegal::Busy),
            S::RemovingInstalled | S::RemovingEmpty => No(Illegal::Busy),
        },
        E::RemoveAsked => match situation {
            S::Empty | S::Removed => No(Illegal::NotInstalled),
            S::Installed | S::Reversible | S::Unreported | S::BelowFloor | S::Broken => {
                To(P::Removing, &[RemoveAll])
            }
            S::Staging | S::Staged => To(P::Removing, &[Discard, Report, RemoveAll]),
            S::Switching | S::SwitchingLast | S::Trial | S::TrialLast => No(Illegal::Busy),
            S::RollingBack | S::RollingBackLast => No(Illegal::Busy),
            S::RemovingInstalled | S::RemovingEmpty => No(Illegal::Busy),
        },
        E::StageDone => match situation {
            S::Staging => To(P::Staged, &[AwaitClearance]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staged | S::Switching | S::SwitchingLast | S::Trial | S::TrialLast => out_of_turn,
            S::RollingBack | S::RollingBackLast | S::Broken => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::StageFailed => match situation {
            S::Staging => To(P::Idle, &[Discard, Report, Reconcile]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staged | S::Switching | S::SwitchingLast | S::Trial | S::TrialLast => out_of_turn,
            S::RollingBack | S::RollingBackLast | S::Broken => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::Cleared => match situation {
            S::Staged => To(P::Switching, &[Switch]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Switching | S::SwitchingLast | S::Trial | S::TrialLast => out_of_turn,
            S::RollingBack | S::RollingBackLast | S::Broken => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::SwitchDone => match situation {
            S::Switching | S::SwitchingLast => To(P::Trial, &[Try]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Staged | S::Trial | S::TrialLast => out_of_turn,
            S::RollingBack | S::RollingBackLast | S::Broken => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::SwitchFailed => match situation {
            S::Switching | S::SwitchingLast => To(P::RollingBack, &[Restore]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Staged | S::Trial | S::TrialLast => out_of_turn,
            S::RollingBack | S::RollingBackLast | S::Broken => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::TrialPassed => match situation {
            S::Trial | S::TrialLast => To(P::Idle, &[Report, Collect]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Staged | S::Switching | S::SwitchingLast => out_of_turn,
            S::RollingBack | S::RollingBackLast | S::Broken => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::TrialFailed => match situation {
            S::Trial | S::TrialLast => To(P::RollingBack, &[Restore]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Staged | S::Switching | S::SwitchingLast => out_of_turn,
            S::RollingBack | S::RollingBackLast | S::Broken => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::RestoreDone => match situation {
            S::RollingBack | S::RollingBackLast | S::Broken => To(P::Idle, &[Report, Collect]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Staged | S::Switching | S::SwitchingLast => out_of_turn,
            S::Trial | S::TrialLast => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::RestoreFailed => match situation {
            S::RollingBack => To(P::RollingBack, &[RetryLater]),
            S::RollingBackLast => To(P::Broken, &[Report, RetryLater]),
            S::Broken => To(P::Broken, &[RetryLater]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Staged | S::Switching | S::SwitchingLast => out_of_turn,
            S::Trial | S::TrialLast => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::RetryDue => match situation {
            S::RollingBack | S::RollingBackLast => To(P::RollingBack, &[Restore]),
            S::Broken => To(P::Broken, &[Restore]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Staged | S::Switching | S::SwitchingLast => out_of_turn,
            S::Trial | S::TrialLast => out_of_turn,
            S::RemovingInstalled | S::RemovingEmpty => out_of_turn,
        },
        E::RemoveDone => match situation {
            S::RemovingInstalled => To(P::Idle, &[Report, Collect]),
            S::RemovingEmpty => To(P::Idle, &[Collect]),
            S::Empty
            | S::Installed
            | S::Reversible
            | S::Unreported
            | S::BelowFloor
            | S::Removed => out_of_turn,
            S::Staging | S::Staged | S::Switching | S::SwitchingLast => out_of_turn,
            S::Trial | S::TrialLast => out_of_turn,
            S::RollingBack | S::RollingBackLast | S::Broken => out_of_turn,
        },
        E::Started => match situation {
            S::Empty | S::Installed | S::Reversible | S::BelowFloor | S::Removed => {
                To(P::Idle, &[Reconcile, Collect])
            }
            S::Unreported => To(P::Idle, &[Report, Reconcile, Collect]),
            S::Staging => To(P::Idle, &[Discard, Reconcile]),
            S::Staged => To(P::Staged, &[Reconcile, AwaitClearance]),
            S::Switching => To(P::Switching, &[Switch]),
            S::Trial => To(P::Trial, &[Try]),
            S::SwitchingLast | S::TrialLast => To(P::RollingBack, &[Restore]),
            S::RollingBack | S::RollingBackLast => To(P::RollingBack, &[Restore]),
            S::Broken => To(P::Broken, &[Report, Restore]),
            S::RemovingInstalled | S::RemovingEmpty => To(P::Removing, &[RemoveAll]),
        },
    }
}

#[test]
fn every_pair_does_what_its_row_says() {
    let mut pairs = 0;
    for situation in Situation::ALL {
        for kind in EventKind::ALL {
            let before = situation.state();
            let event = kind.sample();
            assert_eq!(EventKind::of(&event), *kind);
            let expected = row(*situation, *kind);
            let state = before.clone();
            let found = match step(&state, event, 9) {
                Ok((after, effects)) => {
                    let effects: Vec<EffectKind> = effects.iter().map(EffectKind::of).collect();
                    Ok((PhaseKind::of(&after.phase), effects))
                }
                Err(illegal) => Err(illegal),
            };
            let expected = match expected {
                Row::To(phase, effects) => Ok((phase, effects.to_vec())),
                Row::No(illegal) => Err(illegal),
            };
            assert_eq!(found, expected, "{kind:?} in {situation:?}");
            assert_eq!(
                state, before,
                "a step changes no state but the one it returns"
            );
            pairs += 1;
        }
    }
    assert_eq!(pairs, 17 * 16);
}

#[test]
fn every_phase_and_every_effect_is_in_the_table() {
    for phase in PhaseKind::ALL {
        let there = |s: &Situation| PhaseKind::of(&s.state().phase) == *phase;
        assert!(Situation::ALL.iter().any(there), "{phase:?}");
    }
    for effect in EffectKind::ALL {
        let there = |s: &Situation| {
            EventKind::ALL
                .iter()
                .any(|e| matches!(row(*s, *e), Row::To(_, effects) if effects.contains(effect)))
        };
        assert!(Situation::ALL.iter().any(there), "{effect:?}");
    }
}
