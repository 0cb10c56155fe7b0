//! Whether and when a container that has exited by itself is started again.
//!
//! Never counts and never waits: the driver keeps the count of failures in a row that
//! [`failures_after`] gives it, and the clock.

use bundle::manifest::Restart;

use crate::retry::full_jitter;

/// The shortest wait before a restart, in milliseconds: even an unlucky draw does not let a
/// container that exits at once take the processor.
pub const RESTART_MS_MIN: u64 = 100;
/// The longest wait before a restart, in milliseconds: five minutes. A service that has failed all
/// night is back soon after its cause is gone.
pub const RESTART_MS_MAX: u64 = 300_000;
/// A container that ran at least this long, in milliseconds, has started well: its next exit
/// counts as the first in a row (as `dockerd` has it).
pub const RAN_WELL_MS: u64 = 10_000;

/// What to do about a container that has exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartDecision {
    /// Leave it.
    Stay,
    /// Start it again.
    After {
        /// So many milliseconds from now.
        ms: u64,
    },
}

/// How many failures in a row it is after an exit: `before` and this one, or this one only if the
/// container `ran_ms` long enough to have started well.
pub const fn failures_after(before: u32, ran_ms: u64) -> u32 {
    if ran_ms >= RAN_WELL_MS {
        1
    } else {
        before.saturating_add(1)
    }
}

/// Whether and when a container starts again after it exited with `code`.
///
/// `failures_in_a_row` counts the exits before this one, as [`failures_after`] gave it then;
/// `ran_ms` is how long the container ran, `random` 64 random bits. The wait is between
/// [`RESTART_MS_MIN`] and twice that after the first exit; its upper end doubles with every further
/// one, up to [`RESTART_MS_MAX`].
pub const fn on_exit(
    restart: Restart,
    failures_in_a_row: u32,
    code: i32,
    ran_ms: u64,
    random: u64,
) -> RestartDecision {
    let failures = failures_after(failures_in_a_row, ran_ms);
    let again = match restart {
        Restart::Always => true,
        Restart::OnFailure { max: None } => code != 0,
        Restart::OnFailure { max: Some(max) } => code != 0 && failures <= max,
        // `No`, and what later formats add: not started by somebody who does not know it.
        _ => false,
    };
    if !again {
        return RestartDecision::Stay;
    }
    let jitter = full_jitter(
        failures - 1,
        RESTART_MS_MIN,
        RESTART_MS_MAX - RESTART_MS_MIN,
        random,
    );
    RestartDecision::After {
        ms: RESTART_MS_MIN + jitter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHORT: u64 = RAN_WELL_MS - 1;

    /// `None` is [`RestartDecision::Stay`], otherwise the longest wait.
    #[track_caller]
    fn check(restart: Restart, before: u32, code: i32, ran_ms: u64, expected: Option<u64>) {
        let decision = on_exit(restart, before, code, ran_ms, u64::MAX);
        let expected = expected.map_or(RestartDecision::Stay, |ms| RestartDecision::After { ms });
        assert_eq!(decision, expected);
    }

    #[test]
    fn the_policy_decides_whether() {
        let twice = Restart::OnFailure { max: Some(2) };
        for code in [0, 1, 137, -1] {
            check(Restart::No, 0, code, SHORT, None);
            check(Restart::Always, 0, code, SHORT, Some(200));
        }
        check(Restart::OnFailure { max: None }, 0, 0, SHORT, None);
        check(Restart::OnFailure { max: None }, 0, 1, SHORT, Some(200));
        check(twice, 0, 0, SHORT, None);
        check(twice, 0, 1, SHORT, Some(200));
        check(twice, 1, 1, SHORT, Some(300));
        check(twice, 2, 1, SHORT, None);
        check(Restart::OnFailure { max: Some(0) }, 0, 1, SHORT, None);
    }

    #[test]
    fn the_wait_grows_to_the_cap_and_never_further() {
        check(Restart::Always, 2, 1, SHORT, Some(500));
        check(Restart::Always, 10, 1, SHORT, Some(100 + 102_400));
        check(Restart::Always, 12, 1, SHORT, Some(RESTART_MS_MAX));
        check(Restart::Always, u32::MAX, 1, SHORT, Some(RESTART_MS_MAX));
    }

    #[test]
    fn running_well_for_exactly_ten_seconds_resets() {
        check(Restart::Always, 12, 1, RAN_WELL_MS, Some(200));
        check(
            Restart::OnFailure { max: Some(2) },
            2,
            1,
            RAN_WELL_MS,
            Some(200),
        );
        assert_eq!(failures_after(7, RAN_WELL_MS - 1), 8);
        assert_eq!(failures_after(7, RAN_WELL_MS), 1);
        assert_eq!(failures_after(u32::MAX, 0), u32::MAX);
    }

    proptest! {
        #[test]
        fn waits_stay_within_bounds(before: u32, code: i32, ran: u64, random: u64) {
            let decision = on_exit(Restart::Always, before, code, ran, random);
            let RestartDecision::After { ms } = decision else {
                return Err(TestCaseError::fail("always means always"));
            };
            prop_assert!((RESTART_MS_MIN..=RESTART_MS_MAX).contains(&ms));
        }

        #[test]
        fn a_crash_loop_under_on_failure_ends(max in 0u32..50, random: u64) {
            let restart = Restart::OnFailure { max: Some(max) };
            let (mut failures, mut restarts) = (0, 0);
            while let RestartDecision::After { .. } = on_exit(restart, failures, 1, 0, random) {
                failures = failures_after(failures, 0);
                restarts += 1;
                prop_assert!(restarts <= max);
            }
            prop_assert_eq!(restarts, max);
        }
    }
}
