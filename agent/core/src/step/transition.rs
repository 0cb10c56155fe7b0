//! The transitions, event by event.
//!
//! A state is changed only together with `Ok`: whoever gets an `Err` throws the state away. Every
//! pair of phase and event that is not named is out of turn; the table in the tests names all.

use alloc::vec;
use alloc::vec::Vec;

use super::{Effect, Event, Illegal, RESTORE_ATTEMPTS_MAX, TRIAL_RESTARTS_MAX};
use crate::app::{AppState, Cause, Generation, GenerationId, Intent, Outcome, OutcomeKind, Phase};

type Effects = Result<Vec<Effect>, Illegal>;

/// What [`super::step`] does, in place.
pub(super) fn transition(app: &mut AppState, event: Event, now: u64) -> Effects {
    match event {
        Event::Offered(offered) => offer(app, offered, now),
        Event::RollbackAsked => rollback_asked(app),
        Event::CancelAsked => cancel_asked(app, now),
        Event::RemoveAsked => remove_asked(app, now),
        Event::StageDone => stage_done(app),
        Event::StageFailed(cause) => stage_failed(app, cause, now),
        Event::Cleared => cleared(app),
        Event::SwitchDone => switch_done(app),
        Event::TrialPassed => trial_passed(app, now),
        Event::SwitchFailed(cause) => match app.phase {
            Phase::Switching { incoming, .. } => Ok(vec![roll_back(app, incoming, cause)]),
            _ => Err(Illegal::OutOfTurn),
        },
        Event::TrialFailed(cause) => match app.phase {
            Phase::Trial { incoming, .. } => Ok(vec![roll_back(app, incoming, cause)]),
            _ => Err(Illegal::OutOfTurn),
        },
        Event::RestoreDone => restore_done(app, now),
        Event::RestoreFailed(why) => restore_failed(app, why, now),
        Event::RetryDue => match app.phase {
            Phase::RollingBack { failed, .. } | Phase::Broken { failed, .. } => {
                Ok(vec![restore(app, failed)])
            }
            _ => Err(Illegal::OutOfTurn),
        },
        Event::RemoveDone => remove_done(app, now),
        Event::Started => started(app),
    }
}

// Wishes from outside.

fn offer(app: &mut AppState, offered: Generation, now: u64) -> Effects {
    match app.phase {
        Phase::Idle | Phase::Broken { .. } => Ok(vec![begin(app, offered, Intent::Update)]),
        Phase::Staging { incoming, .. } | Phase::Staged { incoming, .. } => Ok(vec![
            report(OutcomeKind::Failed(Cause::Superseded), incoming, now),
            Effect::Discard(incoming),
            begin(app, offered, Intent::Update),
        ]),
        _ => Err(Illegal::Busy),
    }
}

fn rollback_asked(app: &mut AppState) -> Effects {
    if app.phase != Phase::Idle {
        return Err(Illegal::Busy);
    }
    if app.current.is_none() {
        return Err(Illegal::NotInstalled);
    }
    let back = app.previous.ok_or(Illegal::NothingToRollBackTo)?;
    if back.epoch < app.epoch_floor {
        return Err(Illegal::BelowFloor);
    }
    Ok(vec![begin(app, back, Intent::Rollback)])
}

fn cancel_asked(app: &mut AppState, now: u64) -> Effects {
    match app.phase {
        Phase::Staging { incoming, .. } | Phase::Staged { incoming, .. } => {
            app.phase = Phase::Idle;
            // What ran before may be in doubt (a broken app), so it is seen to again.
            Ok(vec![
                Effect::Discard(incoming),
                report(OutcomeKind::Failed(Cause::Operator), incoming, now),
                Effect::Reconcile(app.current),
            ])
        }
        Phase::Idle | Phase::Broken { .. } => Err(Illegal::NothingToCancel),
        _ => Err(Illegal::Busy),
    }
}

fn remove_asked(app: &mut AppState, now: u64) -> Effects {
    match app.phase {
        Phase::Idle if app.current.is_none() => Err(Illegal::NotInstalled),
        Phase::Idle | Phase::Broken { .. } => {
            app.phase = Phase::Removing;
            Ok(vec![Effect::RemoveAll])
        }
        Phase::Staging { incoming, .. } | Phase::Staged { incoming, .. } => {
            app.phase = Phase::Removing;
            Ok(vec![
                Effect::Discard(incoming),
                report(OutcomeKind::Failed(Cause::Operator), incoming, now),
                Effect::RemoveAll,
            ])
        }
        _ => Err(Illegal::Busy),
    }
}

// The way forward.

/// Gives the generation its number and begins to stage it.
fn begin(app: &mut AppState, content: Generation, intent: Intent) -> Effect {
    let incoming = Generation {
        id: app.next_generation,
        ..content
    };
    app.phase = Phase::Staging { incoming, intent };
    Effect::Stage(incoming)
}

fn stage_done(app: &mut AppState) -> Effects {
    let Phase::Staging { incoming, intent } = app.phase else {
        return Err(Illegal::OutOfTurn);
    };
    // Only now is the number used up: staging leaves no trace in the record.
    app.next_generation = GenerationId(incoming.id.0.saturating_add(1));
    app.last = None;
    app.phase = Phase::Staged { incoming, intent };
    Ok(vec![Effect::AwaitClearance])
}

fn stage_failed(app: &mut AppState, cause: Cause, now: u64) -> Effects {
    let Phase::Staging { incoming, .. } = app.phase else {
        return Err(Illegal::OutOfTurn);
    };
    app.phase = Phase::Idle;
    // As after a cancellation, what ran before is seen to again.
    Ok(vec![
        Effect::Discard(incoming),
        report(OutcomeKind::Failed(cause), incoming, now),
        Effect::Reconcile(app.current),
    ])
}

fn cleared(app: &mut AppState) -> Effects {
    let Phase::Staged { incoming, intent } = app.phase else {
        return Err(Illegal::OutOfTurn);
    };
    app.phase = Phase::Switching {
        incoming,
        intent,
        restarts: 0,
    };
    Ok(vec![switch(app, incoming)])
}

fn switch_done(app: &mut AppState) -> Effects {
    let Phase::Switching {
        incoming,
        intent,
        restarts,
    } = app.phase
    else {
        return Err(Illegal::OutOfTurn);
    };
    app.phase = Phase::Trial {
        incoming,
        intent,
        restarts,
    };
    Ok(vec![Effect::Try(incoming)])
}

/// The only place where floors rise.
fn trial_passed(app: &mut AppState, now: u64) -> Effects {
    let Phase::Trial {
        incoming, intent, ..
    } = app.phase
    else {
        return Err(Illegal::OutOfTurn);
    };
    app.phase = Phase::Idle;
    app.previous = app.current.replace(incoming);
    app.seq_floor = app.seq_floor.max(incoming.seq);
    app.epoch_floor = app.epoch_floor.max(incoming.epoch);
    Ok(vec![
        report(OutcomeKind::Committed(intent), incoming, now),
        Effect::Collect,
    ])
}

// The way back.

fn roll_back(app: &mut AppState, failed: Generation, cause: Cause) -> Effect {
    app.phase = Phase::RollingBack {
        failed,
        cause,
        attempts: 0,
    };
    restore(app, failed)
}

fn restore_done(app: &mut AppState, now: u64) -> Effects {
    let (Phase::RollingBack { failed, cause, .. } | Phase::Broken { failed, cause }) = app.phase
    else {
        return Err(Illegal::OutOfTurn);
    };
    app.phase = Phase::Idle;
    Ok(vec![
        report(OutcomeKind::RolledBack(cause), failed, now),
        Effect::Collect,
    ])
}

fn restore_failed(app: &mut AppState, why: Cause, now: u64) -> Effects {
    match app.phase {
        Phase::RollingBack {
            failed,
            cause,
            attempts,
        } => {
            let attempts = attempts.saturating_add(1);
            let retry = Effect::RetryLater { attempts };
            if attempts < RESTORE_ATTEMPTS_MAX {
                app.phase = Phase::RollingBack {
                    failed,
                    cause,
                    attempts,
                };
                return Ok(vec![retry]);
            }
            app.phase = Phase::Broken { failed, cause: why };
            Ok(vec![
                report(OutcomeKind::RollbackFailed(why), failed, now),
                retry,
            ])
        }
        Phase::Broken { .. } => Ok(vec![Effect::RetryLater {
            attempts: RESTORE_ATTEMPTS_MAX,
        }]),
        _ => Err(Illegal::OutOfTurn),
    }
}

// The way out.

fn remove_done(app: &mut AppState, now: u64) -> Effects {
    if app.phase != Phase::Removing {
        return Err(Illegal::OutOfTurn);
    }
    app.phase = Phase::Idle;
    let Some(removed) = app.current.take() else {
        return Ok(vec![Effect::Collect]);
    };
    app.previous = Some(removed);
    Ok(vec![
        report(OutcomeKind::Removed, removed, now),
        Effect::Collect,
    ])
}

/// Takes up what was under way when the agent stopped, whatever the reason.
fn started(app: &mut AppState) -> Effects {
    let mut effects: Vec<Effect> = app.last.map(Effect::Report).into_iter().collect();
    match &mut app.phase {
        Phase::Idle => effects.extend([Effect::Reconcile(app.current), Effect::Collect]),
        // Never read from a record; only a driver that restarts without one comes here.
        Phase::Staging { incoming, .. } => {
            effects.extend([Effect::Discard(*incoming), Effect::Reconcile(app.current)]);
            app.phase = Phase::Idle;
        }
        Phase::Staged { .. } => {
            effects.extend([Effect::Reconcile(app.current), Effect::AwaitClearance]);
        }
        Phase::Switching {
            incoming, restarts, ..
        }
        | Phase::Trial {
            incoming, restarts, ..
        } if *restarts >= TRIAL_RESTARTS_MAX => {
            let incoming = *incoming;
            effects.push(roll_back(app, incoming, Cause::Interrupted));
        }
        Phase::Switching {
            incoming, restarts, ..
        } => {
            *restarts += 1;
            let incoming = *incoming;
            effects.push(switch(app, incoming));
        }
        Phase::Trial {
            incoming, restarts, ..
        } => {
            *restarts += 1;
            effects.push(Effect::Try(*incoming));
        }
        Phase::RollingBack { failed, .. } | Phase::Broken { failed, .. } => {
            let failed = *failed;
            effects.push(restore(app, failed));
        }
        Phase::Removing => effects.push(Effect::RemoveAll),
    }
    Ok(effects)
}

// Effects that name what runs.

fn switch(app: &AppState, to: Generation) -> Effect {
    Effect::Switch {
        from: app.current,
        to,
    }
}

fn restore(app: &AppState, failed: Generation) -> Effect {
    Effect::Restore {
        failed,
        to: app.current,
    }
}

fn report(kind: OutcomeKind, generation: Generation, now: u64) -> Effect {
    Effect::Report(Outcome {
        kind,
        generation,
        at: now,
    })
}
