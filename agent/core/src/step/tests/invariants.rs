//! What holds of every step, whatever came before.

use alloc::vec::Vec;

use super::situation::{EffectKind, EventKind, PhaseKind};
use crate::app::{AppState, Generation, Phase};
use crate::record::{Record, Slot};
use crate::step::{Effect, Event, step};

/// What holds of every state.
pub(super) fn check_state(state: &AppState) {
    let held = [state.current, state.previous].into_iter().flatten();
    for generation in held {
        assert!(
            generation.id < state.next_generation,
            "a number would be used twice: {state:?}"
        );
        assert!(generation.seq <= state.seq_floor, "{state:?}");
        assert!(generation.epoch <= state.epoch_floor, "{state:?}");
    }
    if let Some(current) = state.current {
        assert!(
            current.epoch == state.epoch_floor,
            "what is committed is below the security floor: {state:?}"
        );
    }
    match state.phase {
        Phase::Staging { incoming, .. } => assert_eq!(incoming.id, state.next_generation),
        _ => {
            if let Some(under_way) = under_way(state) {
                assert!(under_way.id < state.next_generation, "{state:?}");
                assert!(
                    Some(under_way.id) != state.current.map(|g| g.id),
                    "what is not committed is current: {state:?}"
                );
            }
        }
    }
}

/// The generation that the phase is about.
fn under_way(state: &AppState) -> Option<Generation> {
    match state.phase {
        Phase::RollingBack { failed, .. } | Phase::Broken { failed, .. } => Some(failed),
        _ => state.incoming(),
    }
}

/// What holds of every step from `before` to `after`.
pub(super) fn check_step(before: &AppState, event: Event, after: &AppState, effects: &[Effect]) {
    let context = || alloc::format!("{event:?} made {before:?} into {after:?} with {effects:?}");
    let commits = matches!(event, Event::TrialPassed);

    // Floors never fall, and rise on commit only.
    let floors = |state: &AppState| (state.seq_floor, state.epoch_floor);
    assert!(after.seq_floor >= before.seq_floor, "{}", context());
    assert!(after.epoch_floor >= before.epoch_floor, "{}", context());
    assert!(commits || floors(after) == floors(before), "{}", context());

    // Numbers of generations go up, whenever one has been staged.
    let staged = matches!(event, Event::StageDone);
    let numbers = (before.next_generation, after.next_generation);
    assert!(
        if staged {
            numbers.0 < numbers.1
        } else {
            numbers.0 == numbers.1
        },
        "{}",
        context()
    );

    // Only a commit and a removal change what is committed, to what was tried or to nothing.
    match event {
        Event::TrialPassed => {
            assert_eq!(after.current, before.incoming(), "{}", context());
            assert_eq!(after.previous, before.current, "{}", context());
        }
        Event::RemoveDone => assert_eq!(after.current, None, "{}", context()),
        _ => {
            assert_eq!(after.current, before.current, "{}", context());
            assert_eq!(after.previous, before.previous, "{}", context());
        }
    }

    // An update that ends is reported, in the state too; staging alone may end in silence, by a
    // restart that it leaves no trace over, and a broken app's report was the failed rollback.
    let reports: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Report(outcome) => Some(*outcome),
            _ => None,
        })
        .collect();
    let ended = under_way(before)
        .filter(|was| under_way(after).is_none_or(|is| is.id != was.id || is.bundle != was.bundle));
    let silent = matches!(
        (before.phase, event),
        (Phase::Staging { .. }, Event::Started)
            | (Phase::Broken { .. }, Event::Offered(_) | Event::RemoveAsked)
    );
    if let Some(ended) = ended.filter(|_| !silent) {
        assert!(
            reports.iter().any(|report| report.generation == ended),
            "{}",
            context()
        );
    }
    // Staging leaves no trace in the record, also when it fails.
    let staging = matches!(before.phase, Phase::Staging { .. });
    if staging && !reports.is_empty() {
        assert_eq!(after.last, before.last, "{}", context());
    } else if let Some(report) = reports.last() {
        assert_eq!(after.last, Some(*report), "{}", context());
        assert_eq!(after.durable().last, Some(*report), "{}", context());
    }

    // Whatever the driver answers is legal, and only one effect asks for an answer.
    let answers = effects
        .iter()
        .map(|effect| EffectKind::of(effect).answers());
    let answers: Vec<_> = answers.filter(|answers| answers.0.is_some()).collect();
    assert!(answers.len() <= 1, "{}", context());
    for answer in answers
        .iter()
        .flat_map(|(well, ill)| [*well, *ill])
        .flatten()
    {
        assert!(
            step(after, answer.sample(), 0).is_ok(),
            "{answer:?} after {}",
            context()
        );
    }
    // And without one there is nothing left to wait for; unless all containers are known to be as
    // they should, which a passed trial, a restoring and a removal prove, they are seen to.
    if answers.is_empty() {
        assert_eq!(after.phase, Phase::Idle, "{}", context());
        let proven = matches!(
            event,
            Event::TrialPassed | Event::RestoreDone | Event::RemoveDone
        );
        let seen_to = effects.contains(&Effect::Reconcile(after.current));
        assert!(proven || seen_to, "{}", context());
    }
}

/// A crash: what the record keeps is what it was, and from there a start leads on.
pub(super) fn check_crash(state: &AppState) -> AppState {
    let mut record = Record::first([7; 32]);
    record.set(state.clone()).unwrap();
    let decoded = Record::decode(&record.encode(Slot::B), Slot::B).unwrap();
    let durable = state.durable();
    assert_eq!(decoded.app(&state.name), Some(&durable));
    let (after, effects) = step(&durable, Event::Started, 0).unwrap();
    check_step(&durable, Event::Started, &after, &effects);
    let leads_on = |effect: &Effect| !matches!(effect, Effect::Report(_) | Effect::Collect);
    assert!(
        effects.iter().any(leads_on),
        "{durable:?} stays where it is"
    );
    durable
}

/// Answers every effect with success from a restart on, and counts the steps to idle.
pub(super) fn steps_to_idle(durable: &AppState, fail_first: bool) -> usize {
    let (mut state, mut effects) = step(durable, Event::Started, 0).unwrap();
    let mut fail = fail_first;
    for steps in 0..50 {
        let asks = effects
            .iter()
            .map(|effect| EffectKind::of(effect).answers());
        let Some((well, ill)) = asks.into_iter().find(|answers| answers.0.is_some()) else {
            assert_eq!(PhaseKind::of(&state.phase), PhaseKind::Idle);
            return steps;
        };
        let answer: Option<EventKind> = if fail && ill.is_some() {
            fail = false;
            ill
        } else {
            well
        };
        (state, effects) = step(&state, answer.unwrap().sample(), 0).unwrap();
    }
    panic!("{durable:?} never comes to rest");
}
