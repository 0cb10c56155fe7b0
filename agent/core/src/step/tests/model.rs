//! Every state that can be reached in a small world: three bundles, five numbers, every event,
//! every order, with crashes.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use std::collections::HashSet;

use bundle::{AppName, Digest};

use super::invariants::{check_crash, check_state, check_step, steps_to_idle};
use super::situation::{EventKind, PhaseKind, generation};
use crate::admit::{Admitted, sequence};
use crate::app::{AppState, Generation, GenerationId};
use crate::step::{Event, step};

/// Numbers up to this one are given; beyond, the world ends.
const NUMBERS_MAX: GenerationId = GenerationId(5);
/// The longest way from any durable state to idle when all goes well.
const STEPS_TO_IDLE_MAX: usize = 3;

/// Two versions, a third that raises the epoch, and the second with other settings.
fn offers() -> [Generation; 4] {
    let second = generation(0, 2, 1);
    let settings = Generation {
        variables: Digest::from_bytes([1; 32]),
        ..second
    };
    [generation(0, 1, 1), second, settings, generation(0, 3, 2)]
}

/// All events that the world outside can bring in this state; of offers, those that are admitted.
fn events(state: &AppState) -> impl Iterator<Item = Event> {
    let admitted = |offer: &Generation| sequence(state, offer) == Ok(Admitted::New);
    let offers: alloc::vec::Vec<Generation> = offers().into_iter().filter(admitted).collect();
    let others = EventKind::ALL
        .iter()
        .filter(|kind| **kind != EventKind::Offered);
    offers
        .into_iter()
        .map(Event::Offered)
        .chain(others.map(|kind| kind.sample()))
}

#[test]
fn every_reachable_state_is_sound() {
    let start = AppState::new(AppName::new("kiosk").unwrap());
    let key = |state: &AppState| -> String { format!("{state:?}") };
    let mut seen = HashSet::from([key(&start)]);
    let mut queue = VecDeque::from([start]);
    let (mut steps, mut refusals) = (0u32, 0u32);
    let mut phases = HashSet::new();
    while let Some(state) = queue.pop_front() {
        check_state(&state);
        phases.insert(format!("{:?}", PhaseKind::of(&state.phase)));
        let durable = check_crash(&state);
        assert!(
            steps_to_idle(&durable, false) <= STEPS_TO_IDLE_MAX,
            "{durable:?}"
        );
        assert!(
            steps_to_idle(&durable, true) <= STEPS_TO_IDLE_MAX + 2,
            "{durable:?}"
        );
        let mut reached = alloc::vec![durable];
        for event in events(&state) {
            match step(&state, event, 0) {
                Ok((after, effects)) => {
                    check_step(&state, event, &after, &effects);
                    reached.push(after);
                    steps += 1;
                }
                Err(_) => refusals += 1,
            }
        }
        for after in reached {
            if after.next_generation <= NUMBERS_MAX && seen.insert(key(&after)) {
                queue.push_back(after);
            }
        }
    }
    assert_eq!(
        phases.len(),
        PhaseKind::ALL.len(),
        "a phase was never reached"
    );
    // The world is not smaller than it was thought to be: a search that stops early proves nothing.
    assert!(seen.len() > 10_000, "{} states", seen.len());
    std::println!("{} states, {steps} steps, {refusals} refusals", seen.len());
}
