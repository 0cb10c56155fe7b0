//! The state machine, proven three ways: a table of every pair of situation and event
//! ([`table`]), every state that can be reached in a small world ([`model`]), and long random
//! lives in a large one ([`lives`]). The diagram in the docs is generated from the table
//! ([`diagram`]).

mod diagram;
mod invariants;
mod lives;
mod model;
mod situation;
mod table;

use alloc::string::ToString;

use super::*;
use crate::app::{GenerationId, Intent, OutcomeKind, Phase};
use situation::{CURRENT, INCOMING, PREVIOUS, Situation};

fn after(situation: Situation, event: Event) -> (AppState, alloc::vec::Vec<Effect>) {
    step(&situation.state(), event, 77).unwrap()
}

#[test]
fn the_machine_gives_the_number_and_keeps_the_content() {
    let offered = Generation {
        id: GenerationId(999),
        ..INCOMING
    };
    let (state, effects) = after(Situation::Reversible, Event::Offered(offered));
    assert_eq!(state.incoming(), Some(INCOMING));
    assert_eq!(effects, [Effect::Stage(INCOMING)]);
}

#[test]
fn a_rollback_is_the_previous_content_under_a_new_number() {
    let (state, _) = after(Situation::Reversible, Event::RollbackAsked);
    let incoming = state.incoming().unwrap();
    assert!(incoming.same_content(&PREVIOUS));
    assert_eq!(incoming.id, GenerationId(4));
    assert_eq!(
        (incoming.seq, incoming.epoch),
        (PREVIOUS.seq, PREVIOUS.epoch)
    );
}

#[test]
fn a_commit_moves_generations_and_floors() {
    let before = Situation::Trial.state();
    let (state, effects) = after(Situation::Trial, Event::TrialPassed);
    let outcome = Outcome {
        kind: OutcomeKind::Committed(Intent::Update),
        generation: INCOMING,
        at: 77,
    };
    assert_eq!(effects, [Effect::Report(outcome), Effect::Collect]);
    let expected = AppState {
        phase: Phase::Idle,
        current: Some(INCOMING),
        previous: Some(CURRENT),
        seq_floor: INCOMING.seq,
        epoch_floor: INCOMING.epoch,
        last: Some(outcome),
        ..before
    };
    assert_eq!(state, expected);
}

#[test]
fn committing_an_older_sequence_after_a_rollback_lowers_no_floor() {
    let mut state = Situation::Reversible.state();
    for event in [
        Event::RollbackAsked,
        Event::StageDone,
        Event::Cleared,
        Event::SwitchDone,
        Event::TrialPassed,
    ] {
        state = step(&state, event, 0).unwrap().0;
    }
    assert!(state.current.unwrap().same_content(&PREVIOUS));
    assert_eq!(state.seq_floor, CURRENT.seq);
    assert_eq!(state.previous, Some(CURRENT));
}

#[test]
fn a_failed_trial_restores_what_was_committed_and_keeps_all_facts() {
    let before = Situation::Trial.state();
    let cause = Cause::Crashed {
        service: 1,
        exit_code: 137,
    };
    let (state, effects) = after(Situation::Trial, Event::TrialFailed(cause));
    let restore = Effect::Restore {
        failed: INCOMING,
        to: Some(CURRENT),
    };
    assert_eq!(effects, [restore]);
    let (state, effects) = step(&state, Event::RestoreDone, 78).unwrap();
    let outcome = Outcome {
        kind: OutcomeKind::RolledBack(cause),
        generation: INCOMING,
        at: 78,
    };
    assert_eq!(effects, [Effect::Report(outcome), Effect::Collect]);
    let expected = AppState {
        phase: Phase::Idle,
        last: Some(outcome),
        ..before
    };
    assert_eq!(state, expected);
}

/// MCUboot raised its security counter before the trial had passed.
#[test]
fn the_floor_rises_on_commit_only() {
    let mut state = Situation::Empty.state();
    for event in [
        Event::Offered(INCOMING),
        Event::StageDone,
        Event::Cleared,
        Event::SwitchDone,
        Event::Started,
    ] {
        state = step(&state, event, 0).unwrap().0;
        assert_eq!((state.seq_floor, state.epoch_floor), (0, 0), "{event:?}");
    }
    state = step(&state, Event::TrialPassed, 0).unwrap().0;
    assert_eq!(
        (state.seq_floor, state.epoch_floor),
        (INCOMING.seq, INCOMING.epoch)
    );
}

/// A generation that takes the device down before it has started is given up, too.
#[test]
fn restarts_are_counted_from_switch_to_verdict() {
    let mut state = Situation::Staged.state();
    state = step(&state, Event::Cleared, 0).unwrap().0;
    state = step(&state, Event::Started, 0).unwrap().0;
    state = step(&state, Event::SwitchDone, 0).unwrap().0;
    for _ in 1..TRIAL_RESTARTS_MAX {
        let (next, effects) = step(&state, Event::Started, 0).unwrap();
        assert_eq!(effects, [Effect::Try(INCOMING)]);
        state = next;
    }
    let (state, _) = step(&state, Event::Started, 0).unwrap();
    let expected = Phase::RollingBack {
        failed: INCOMING,
        cause: Cause::Interrupted,
        attempts: 0,
    };
    assert_eq!(state.phase, expected);
}

#[test]
fn restoring_is_tried_five_times_before_the_app_is_broken_and_for_ever_after() {
    let mut state = after(
        Situation::Switching,
        Event::SwitchFailed(Cause::SwitchRuntime),
    )
    .0;
    let failed = Event::RestoreFailed(Cause::RestoreRuntime);
    for attempts in 1..RESTORE_ATTEMPTS_MAX {
        let (next, effects) = step(&state, failed, 0).unwrap();
        assert_eq!(effects, [Effect::RetryLater { attempts }]);
        state = step(&next, Event::RetryDue, 0).unwrap().0;
        assert!(matches!(state.phase, Phase::RollingBack { .. }));
    }
    let (state, effects) = step(&state, failed, 0).unwrap();
    assert!(matches!(state.phase, Phase::Broken { .. }));
    assert!(matches!(effects[0], Effect::Report(_)), "{effects:?}");
    let (state, effects) = step(&state, failed, 0).unwrap();
    let retry = Effect::RetryLater {
        attempts: RESTORE_ATTEMPTS_MAX,
    };
    assert_eq!(effects, [retry]);
    let (state, _) = step(&state, Event::RestoreDone, 0).unwrap();
    assert_eq!(state.phase, Phase::Idle);
    assert_eq!(state.current, Some(CURRENT));
}

#[test]
fn a_removed_app_keeps_its_floors_and_what_it_was() {
    let before = Situation::RemovingInstalled.state();
    let (state, _) = after(Situation::RemovingInstalled, Event::RemoveDone);
    assert_eq!(state.current, None);
    assert_eq!(state.previous, before.current);
    assert_eq!(state.seq_floor, before.seq_floor);
    assert_eq!(state.epoch_floor, before.epoch_floor);
    assert_eq!(state.next_generation, before.next_generation);
}

#[test]
fn an_unreported_outcome_is_reported_again_at_the_next_start() {
    let (state, effects) = after(Situation::Trial, Event::TrialPassed);
    let (_, again) = step(&state.durable(), Event::Started, 99).unwrap();
    assert_eq!(effects[0], again[0], "with the time that it had");
}

#[test]
fn staging_leaves_no_trace_in_the_record() {
    let before = Situation::Reversible.state();
    let (state, _) = after(Situation::Reversible, Event::Offered(INCOMING));
    assert_ne!(state, before);
    assert_eq!(state.durable(), before);
}

#[test]
fn refusals_are_sentences() {
    for illegal in [
        Illegal::Busy,
        Illegal::NothingToRollBackTo,
        Illegal::BelowFloor,
        Illegal::NotInstalled,
        Illegal::NothingToCancel,
        Illegal::OutOfTurn,
    ] {
        assert!(illegal.to_string().len() > 20);
    }
}
