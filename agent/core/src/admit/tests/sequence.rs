//! Does an offer move the app forward? Told as the lives of an app.

use bundle::{AppName, Digest};
use proptest::prelude::*;

use crate::admit::{Admitted, NotAdmitted, sequence};
use crate::app::{AppState, Generation, GenerationId};
use crate::step::{Event, step};

/// A bundle of this number; `content` tells two of one number apart.
fn bundle(seq: u64, epoch: u64, content: u8) -> Generation {
    let mut digest = [content; 32];
    digest[..8].copy_from_slice(&seq.to_le_bytes());
    Generation {
        id: GenerationId(0),
        seq,
        epoch,
        bundle: Digest::from_bytes(digest),
        variables: Digest::from_bytes([0; 32]),
    }
}

fn with_settings(generation: Generation, settings: u8) -> Generation {
    Generation {
        variables: Digest::from_bytes([settings; 32]),
        ..generation
    }
}

fn fresh() -> AppState {
    AppState::new(AppName::new("kiosk").unwrap())
}

/// The app after these events.
fn lived(mut app: AppState, events: &[Event]) -> AppState {
    for event in events {
        app = step(&app, *event, 0).unwrap().0;
    }
    app
}

const THROUGH: [Event; 4] = [
    Event::StageDone,
    Event::Cleared,
    Event::SwitchDone,
    Event::TrialPassed,
];

fn committed(app: AppState, offer: Generation) -> AppState {
    assert_eq!(sequence(&app, &offer), Ok(Admitted::New));
    lived(lived(app, &[Event::Offered(offer)]), &THROUGH)
}

fn rolled_back(app: AppState) -> AppState {
    lived(lived(app, &[Event::RollbackAsked]), &THROUGH)
}

const fn older(wanted: u64, found: u64) -> Result<Admitted, NotAdmitted> {
    Err(NotAdmitted::Sequence { wanted, found })
}

#[test]
fn a_new_app_takes_any_number() {
    for seq in [0, 1, 7, u64::MAX] {
        assert_eq!(sequence(&fresh(), &bundle(seq, 0, 1)), Ok(Admitted::New));
    }
}

#[test]
fn a_higher_number_comes_in_a_lower_one_does_not() {
    let app = committed(fresh(), bundle(5, 0, 1));
    assert_eq!(sequence(&app, &bundle(6, 0, 1)), Ok(Admitted::New));
    assert_eq!(sequence(&app, &bundle(u64::MAX, 0, 1)), Ok(Admitted::New));
    for seq in [0, 1, 4] {
        assert_eq!(sequence(&app, &bundle(seq, 0, 1)), older(6, seq));
    }
}

#[test]
fn a_replay_of_an_older_bundle_is_refused_for_ever() {
    let mut app = fresh();
    for seq in 1..20 {
        app = committed(app, bundle(seq, 0, 1));
        for old in 1..seq {
            assert_eq!(sequence(&app, &bundle(old, 0, 1)), older(seq + 1, old));
        }
    }
}

#[test]
fn what_runs_is_already_current() {
    let app = committed(fresh(), bundle(5, 0, 1));
    let offer = bundle(5, 0, 1);
    assert_eq!(sequence(&app, &offer), Ok(Admitted::AlreadyCurrent));
    let other_settings = with_settings(offer, 1);
    assert_eq!(sequence(&app, &other_settings), Ok(Admitted::New));
}

#[test]
fn the_same_number_with_another_content_is_refused() {
    let app = committed(fresh(), bundle(5, 0, 1));
    let refusal = NotAdmitted::SameSequence {
        seq: 5,
        wanted: Some(bundle(5, 0, 1).bundle),
        found: bundle(5, 0, 2).bundle,
    };
    assert_eq!(sequence(&app, &bundle(5, 0, 2)), Err(refusal));
}

#[test]
fn what_was_rolled_back_on_request_may_come_again() {
    let app = committed(committed(fresh(), bundle(4, 0, 1)), bundle(5, 0, 1));
    let app = rolled_back(app);
    assert_eq!(app.current.unwrap().seq, 4);
    assert_eq!(
        sequence(&app, &bundle(4, 0, 1)),
        Ok(Admitted::AlreadyCurrent)
    );
    assert_eq!(sequence(&app, &bundle(5, 0, 1)), Ok(Admitted::New));
    assert!(sequence(&app, &bundle(5, 0, 2)).is_err(), "another content");
    assert_eq!(sequence(&app, &bundle(4, 0, 2)), older(6, 4));
    // What runs after a rollback may get other settings, and nothing older comes with that.
    let settings = with_settings(bundle(4, 0, 1), 1);
    assert_eq!(sequence(&app, &settings), Ok(Admitted::New));
    // With those, the digest of number 5 is forgotten: it is refused, not guessed.
    let app = committed(app, settings);
    let forgotten = NotAdmitted::SameSequence {
        seq: 5,
        wanted: None,
        found: bundle(5, 0, 1).bundle,
    };
    assert_eq!(sequence(&app, &bundle(5, 0, 1)), Err(forgotten));
}

#[test]
fn what_failed_its_trial_may_come_again_and_leaves_the_floor() {
    let app = committed(fresh(), bundle(4, 0, 1));
    let failed = [
        Event::Offered(bundle(9, 7, 1)),
        Event::StageDone,
        Event::Cleared,
        Event::SwitchFailed(crate::Cause::SwitchRuntime),
        Event::RestoreDone,
    ];
    let app = lived(app, &failed);
    assert_eq!(sequence(&app, &bundle(9, 7, 1)), Ok(Admitted::New));
    assert_eq!(sequence(&app, &bundle(5, 0, 1)), Ok(Admitted::New));
    assert_eq!(
        sequence(&app, &bundle(4, 0, 1)),
        Ok(Admitted::AlreadyCurrent)
    );
}

#[test]
fn after_a_removal_only_the_removed_bundle_or_a_newer_one_comes() {
    let app = committed(committed(fresh(), bundle(4, 0, 1)), bundle(5, 0, 1));
    let app = lived(app, &[Event::RemoveAsked, Event::RemoveDone]);
    assert_eq!(sequence(&app, &bundle(4, 0, 1)), older(6, 4));
    assert_eq!(sequence(&app, &bundle(5, 0, 1)), Ok(Admitted::New));
    assert!(sequence(&app, &bundle(5, 0, 2)).is_err());
    assert_eq!(sequence(&app, &bundle(6, 0, 1)), Ok(Admitted::New));
}

#[test]
fn below_the_epoch_floor_nothing_comes_however_high_its_number() {
    let app = committed(fresh(), bundle(5, 3, 1));
    let refusal = NotAdmitted::Epoch {
        wanted: 3,
        found: 2,
    };
    assert_eq!(sequence(&app, &bundle(9, 2, 1)), Err(refusal.clone()));
    assert_eq!(
        sequence(&app, &bundle(5, 2, 1)).err(),
        None,
        "what runs is no news"
    );
    assert_eq!(sequence(&app, &bundle(9, 3, 1)), Ok(Admitted::New));
    assert_eq!(sequence(&app, &bundle(9, 4, 1)), Ok(Admitted::New));
    let app = lived(app, &[Event::RemoveAsked, Event::RemoveDone]);
    assert_eq!(sequence(&app, &bundle(9, 2, 1)), Err(refusal));
}

#[test]
fn what_is_on_its_way_in_is_no_news() {
    let app = committed(fresh(), bundle(4, 0, 1));
    let mut app = lived(app, &[Event::Offered(bundle(5, 0, 1))]);
    for event in THROUGH {
        assert_eq!(
            sequence(&app, &bundle(5, 0, 1)),
            Ok(Admitted::UnderWay),
            "{event:?}"
        );
        let settings = with_settings(bundle(5, 0, 1), 1);
        assert_eq!(sequence(&app, &settings), Ok(Admitted::New));
        // What runs is not simply current while something else is coming in its place.
        assert_eq!(sequence(&app, &bundle(4, 0, 1)), Ok(Admitted::New));
        app = lived(app, &[event]);
    }
    assert_eq!(
        sequence(&app, &bundle(5, 0, 1)),
        Ok(Admitted::AlreadyCurrent)
    );
}

proptest! {
    /// Whatever was committed, offered and rolled back: below the floor nothing new is admitted,
    /// and under a number that is taken nothing but what took it.
    #[test]
    fn the_floor_holds(
        life in proptest::collection::vec((1u64..8, 0u64..3, 0u8..2, 0u8..2, 0u8..6), 1..40),
    ) {
        let mut app = fresh();
        for (seq, epoch, content, settings, fate) in life {
            let offer = with_settings(bundle(seq, epoch, content), settings);
            match fate {
                0 => {
                    if let Ok((asked, _)) = step(&app, Event::RollbackAsked, 0) {
                        app = lived(asked, &THROUGH);
                    }
                    continue;
                }
                1 => {
                    if let Ok((asked, _)) = step(&app, Event::RemoveAsked, 0) {
                        app = lived(asked, &[Event::RemoveDone]);
                    }
                    continue;
                }
                _ => {}
            }
            match sequence(&app, &offer) {
                Ok(Admitted::New) => {
                    let runs = app.current.is_some_and(|current| current.bundle == offer.bundle);
                    prop_assert!(offer.epoch >= app.epoch_floor);
                    prop_assert!(offer.seq >= app.seq_floor || runs);
                    if offer.seq == app.seq_floor && !runs {
                        prop_assert_eq!(app.previous.map(|p| p.bundle), Some(offer.bundle));
                    }
                    app = lived(lived(app, &[Event::Offered(offer)]), &THROUGH);
                }
                Ok(Admitted::AlreadyCurrent) => {
                    prop_assert!(app.current.unwrap().same_content(&offer));
                }
                Ok(Admitted::UnderWay) => prop_assert!(false, "nothing is under way"),
                Err(_) => prop_assert!(
                    offer.seq <= app.seq_floor || offer.epoch < app.epoch_floor
                ),
            }
        }
    }
}
