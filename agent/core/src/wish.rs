//! Whether a bundle that the relay names is to be tried (clause D34 of `docs/device-protocol.md`).
//!
//! Never asks whether a bundle may run here: [`crate::admit`] does, once its signed head is there.

use bundle::Digest;

use crate::app::{AppState, Generation, OutcomeKind, Phase};

/// An attempt that a rollout has had on this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It began, and how it ended is not known: the agent ended before it did.
    Begun {
        /// The number of the generation whose end was the app's last one when it began; 0 if
        /// there was none.
        after: u32,
    },
    /// It ended, and whatever the end was, it does not pass.
    Ended,
}

/// What to do about a bundle that the relay names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, now and for this rollout: it runs, or is behind what ran, or had its attempt.
    Leave,
    /// Something else is under way that has to end first.
    Wait,
    /// Fetch and offer it.
    Try,
}

/// What to do about the bundle `bundle` with this `seq`, given the app as it is (what is being
/// staged included) and the attempt that its rollout has had.
pub fn judge(state: &AppState, bundle: &Digest, seq: u64, attempt: Option<Attempt>) -> Verdict {
    let runs = |generation: Option<Generation>| generation.is_some_and(|g| g.bundle == *bundle);
    if seq < state.seq_floor || runs(state.current) {
        return Verdict::Leave;
    }
    match attempt {
        Some(Attempt::Ended) => return Verdict::Leave,
        Some(Attempt::Begun { after }) if ended_since(state, bundle, after) => {
            return Verdict::Leave;
        }
        _ => {}
    }
    match state.phase {
        _ if runs(state.incoming()) => Verdict::Wait,
        Phase::Idle | Phase::Broken { .. } | Phase::Staging { .. } | Phase::Staged { .. } => {
            Verdict::Try
        }
        _ => Verdict::Wait,
    }
}

/// Whether the app's last update was of this bundle and came after the generation `after`. One
/// that was not staged whole does not count: it used no number up, and may simply be tried again.
fn ended_since(state: &AppState, bundle: &Digest, after: u32) -> bool {
    state.last.is_some_and(|last| {
        last.generation.bundle == *bundle
            && last.generation.id.0 != after
            && !matches!(last.kind, OutcomeKind::Failed(_))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Cause, GenerationId, Intent, Outcome};

    fn generation(id: u32, seq: u64) -> Generation {
        Generation {
            id: GenerationId(id),
            seq,
            epoch: 0,
            bundle: digest(seq),
            variables: Digest::of(b"none"),
        }
    }

    fn digest(seq: u64) -> Digest {
        Digest::of(&seq.to_be_bytes())
    }

    /// An app that runs `seq` 2.
    fn running() -> AppState {
        AppState {
            current: Some(generation(2, 2)),
            seq_floor: 2,
            ..AppState::new("shop".parse().unwrap())
        }
    }

    fn in_phase(phase: Phase) -> AppState {
        AppState { phase, ..running() }
    }

    #[test]
    fn a_bundle_is_tried_only_where_it_changes_something() {
        let new = AppState::new("shop".parse().unwrap());
        assert_eq!(judge(&new, &digest(1), 1, None), Verdict::Try);
        for (seq, wanted) in [(1, Verdict::Leave), (2, Verdict::Leave), (3, Verdict::Try)] {
            assert_eq!(judge(&running(), &digest(seq), seq, None), wanted, "{seq}");
        }
    }

    #[test]
    fn a_technician_who_is_ahead_stays_ahead() {
        // Seq 5 was installed by hand, and then rolled back by hand.
        let state = AppState {
            seq_floor: 5,
            ..running()
        };
        assert_eq!(judge(&state, &digest(4), 4, None), Verdict::Leave);
        assert_eq!(judge(&state, &digest(6), 6, None), Verdict::Try);
    }

    #[test]
    fn what_is_under_way_ends_first_unless_nothing_was_stopped() {
        let (incoming, intent) = (generation(3, 3), Intent::Update);
        let cause = Cause::Interrupted;
        for (phase, same, newer) in [
            (
                Phase::Staging { incoming, intent },
                Verdict::Wait,
                Verdict::Try,
            ),
            (
                Phase::Staged { incoming, intent },
                Verdict::Wait,
                Verdict::Try,
            ),
            (
                Phase::Trial {
                    incoming,
                    intent,
                    restarts: 0,
                },
                Verdict::Wait,
                Verdict::Wait,
            ),
            (
                Phase::RollingBack {
                    failed: incoming,
                    cause,
                    attempts: 0,
                },
                Verdict::Wait,
                Verdict::Wait,
            ),
            (
                Phase::Broken {
                    failed: incoming,
                    cause,
                },
                Verdict::Try,
                Verdict::Try,
            ),
            (Phase::Removing, Verdict::Wait, Verdict::Wait),
        ] {
            let state = in_phase(phase);
            assert_eq!(judge(&state, &digest(3), 3, None), same, "{phase:?}");
            assert_eq!(judge(&state, &digest(4), 4, None), newer, "{phase:?}");
        }
    }

    #[test]
    fn a_rollout_gets_one_attempt() {
        let state = running();
        let ended = Some(Attempt::Ended);
        assert_eq!(judge(&state, &digest(3), 3, ended), Verdict::Leave);
        // The agent ended in the middle, and nothing came of it.
        let begun = Some(Attempt::Begun { after: 2 });
        assert_eq!(judge(&state, &digest(3), 3, begun), Verdict::Try);
    }

    #[test]
    fn an_end_that_came_after_a_restart_counts() {
        let ends = |kind, id| AppState {
            last: Some(Outcome {
                kind,
                generation: generation(id, 3),
                at: 0,
            }),
            ..running()
        };
        let begun = Some(Attempt::Begun { after: 4 });
        let rolled_back = OutcomeKind::RolledBack(Cause::Interrupted);
        let at = |state: &AppState| judge(state, &digest(3), 3, begun);
        assert_eq!(at(&ends(rolled_back, 5)), Verdict::Leave);
        // That was the attempt of an earlier rollout.
        assert_eq!(at(&ends(rolled_back, 4)), Verdict::Try);
        // Never staged whole.
        let failed = OutcomeKind::Failed(Cause::NoSpace);
        assert_eq!(at(&ends(failed, 5)), Verdict::Try);
    }
}
