//! Long random lives: many bundles, any order of events, crashes at any time.

use alloc::vec::Vec;
use std::collections::HashSet;

use bundle::{AppName, Digest};
use proptest::prelude::*;

use super::invariants::{check_crash, check_state, check_step, steps_to_idle};
use super::situation::EventKind;
use crate::admit::{Admitted, sequence};
use crate::app::{AppState, Cause, Generation, GenerationId};
use crate::step::{Effect, Event, step};

/// Something that happens in a life.
#[derive(Clone, Debug)]
enum Happening {
    Event(Event),
    /// The answer that the last effects asked for: `true` if it went well.
    Answer(bool),
    /// The power fails, and comes back.
    Crash,
}

fn generations() -> impl Strategy<Value = Generation> {
    (0u64..40, 0u64..4, 0u8..3, 0u8..3).prop_map(|(seq, epoch, content, variables)| Generation {
        id: GenerationId(0),
        seq,
        epoch,
        // Two bundles may claim one number, and then they differ.
        bundle: Digest::from_bytes([seq as u8 * 3 + content; 32]),
        variables: Digest::from_bytes([variables; 32]),
    })
}

fn causes() -> impl Strategy<Value = Cause> {
    prop_oneof![
        Just(Cause::NoSpace),
        Just(Cause::StageSource),
        Just(Cause::RestoreRuntime),
        (any::<u8>(), any::<i32>())
            .prop_map(|(service, exit_code)| Cause::Crashed { service, exit_code }),
        any::<u8>().prop_map(|service| Cause::Dependency { service }),
    ]
}

fn happenings() -> impl Strategy<Value = Happening> {
    let kinds = proptest::sample::select(EventKind::ALL);
    prop_oneof![
        3 => generations().prop_map(|generation| Happening::Event(Event::Offered(generation))),
        2 => kinds.prop_map(|kind| Happening::Event(kind.sample())),
        2 => causes().prop_map(|cause| Happening::Event(Event::TrialFailed(cause))),
        12 => any::<bool>().prop_map(Happening::Answer),
        1 => Just(Happening::Crash),
    ]
}

/// The event that the last effects ask for.
fn answer(effects: &[Effect], well: bool) -> Option<Event> {
    let kinds = effects.iter().map(super::situation::EffectKind::of);
    let (good, bad) = kinds
        .map(|kind| kind.answers())
        .find(|answers| answers.0.is_some())?;
    let kind = if well { good } else { bad.or(good) };
    Some(kind?.sample())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_life_is_sound(life in proptest::collection::vec(happenings(), 1..120)) {
        let mut state = AppState::new(AppName::new("kiosk").unwrap());
        let mut effects: Vec<Effect> = Vec::new();
        let mut staged = HashSet::new();
        for happening in life {
            let event = match happening {
                Happening::Event(Event::Offered(offer))
                    if sequence(&state, &offer) != Ok(Admitted::New) => continue,
                Happening::Event(event) => event,
                Happening::Answer(well) => match answer(&effects, well) {
                    Some(event) => event,
                    None => continue,
                },
                Happening::Crash => {
                    state = check_crash(&state);
                    Event::Started
                }
            };
            let Ok((after, wanted)) = step(&state, event, 0) else {
                continue;
            };
            check_state(&after);
            check_step(&state, event, &after, &wanted);
            if event == Event::StageDone {
                let id = after.incoming().unwrap().id;
                prop_assert!(staged.insert(id.0), "{} was staged twice", id);
            }
            (state, effects) = (after, wanted);
        }
        steps_to_idle(&check_crash(&state), false);
    }
}
