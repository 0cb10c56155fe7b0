//! Trials in virtual time, as tables: what was seen when, and the verdict then.

use alloc::vec;
use alloc::vec::Vec;

use bundle::manifest::{HealthCheck, Policy, Probe, Restart, Service};
use proptest::prelude::*;

use super::Observation::{Exited, Probe as Probed, Started};
use super::{Health, Observation, Trial, Verdict};
use crate::app::Cause;
use crate::fixtures::{resolved, service};

/// Every trial opens at this time, so that nothing works by counting from zero.
const OPEN: u64 = 1_000_000;

/// 10 s of trial, healthy within 20 s.
fn policy(restarts_max: u8) -> Policy {
    Policy {
        trial_s: 10,
        healthy_within_s: 20,
        restarts_max,
        ..Policy::default()
    }
}

fn plain(restart: Restart) -> Service {
    Service {
        restart,
        ..service("plain")
    }
}

/// Checked with 2 retries after a start period of 5 s.
fn checked() -> Service {
    let health = Some(HealthCheck {
        probe: Probe::Tcp { port: 80 },
        interval_ms: 1_000,
        timeout_ms: 500,
        retries: 2,
        start_period_ms: 5_000,
    });
    Service {
        health,
        ..service("checked")
    }
}

enum Line {
    /// At this many milliseconds after the opening, this was seen.
    Seen(u64, Observation),
    /// At this time, this is the verdict; the time of a [`Verdict::Wait`] counts from the opening.
    Is(u64, Verdict),
}
use Line::{Is, Seen};

const fn wait(until_ms: u64) -> Verdict {
    Verdict::Wait { until_ms }
}

const fn crashed(service: u8, exit_code: i32) -> Verdict {
    Verdict::Fail(Cause::Crashed { service, exit_code })
}

#[track_caller]
fn check(policy: Policy, services: Vec<Service>, lines: &[Line]) {
    let mut trial = Trial::new(&policy, &resolved(services), OPEN);
    for (at, line) in lines.iter().enumerate() {
        match line {
            Seen(ms, observation) => trial.observe(*observation, OPEN + ms),
            Is(ms, expected) => {
                let expected = match expected {
                    Verdict::Wait { until_ms } => wait(OPEN + until_ms),
                    other => *other,
                };
                assert_eq!(trial.verdict(OPEN + ms), expected, "line {at}");
            }
        }
    }
}

const fn started(service: u8) -> Observation {
    Started { service }
}

const fn exited(service: u8, code: i32) -> Observation {
    Exited { service, code }
}

const fn probed(service: u8, passed: bool) -> Observation {
    Probed { service, passed }
}

#[test]
fn a_trial_passes_when_its_time_is_over_to_the_millisecond() {
    check(
        policy(0),
        vec![plain(Restart::Always)],
        &[
            Is(0, wait(20_000)),
            Seen(300, started(0)),
            Is(300, wait(10_300)),
            Is(10_299, wait(10_300)),
            Is(10_300, Verdict::Pass),
            Is(99_999, Verdict::Pass),
        ],
    );
}

#[test]
fn a_trial_begins_when_the_last_service_has_started() {
    check(
        policy(0),
        vec![plain(Restart::Always), service("late")],
        &[
            Seen(0, started(0)),
            Is(9_000, wait(20_000)),
            Seen(9_000, started(1)),
            Is(10_000, wait(19_000)),
            Is(18_999, wait(19_000)),
            Is(19_000, Verdict::Pass),
        ],
    );
}

#[test]
fn a_service_that_never_starts_fails_the_trial() {
    let waited = Verdict::Fail(Cause::Dependency { service: 1 });
    check(
        policy(0),
        vec![plain(Restart::Always), service("late")],
        &[
            Seen(0, started(0)),
            Is(19_999, wait(20_000)),
            Is(20_000, waited),
        ],
    );
}

#[test]
fn an_app_without_services_passes_at_once() {
    check(policy(0), vec![], &[Is(0, Verdict::Pass)]);
}

#[test]
fn a_crash_fails_the_trial_at_once() {
    check(
        policy(0),
        vec![plain(Restart::Always), service("other")],
        &[
            Seen(0, started(0)),
            Seen(0, started(1)),
            Seen(700, exited(1, 137)),
            Is(700, crashed(1, 137)),
        ],
    );
}

#[test]
fn restarts_within_the_limit_are_forgiven_one_more_is_not() {
    check(
        policy(2),
        vec![plain(Restart::Always)],
        &[
            Seen(0, started(0)),
            Seen(1_000, exited(0, 1)),
            Is(1_000, wait(20_000)),
            Seen(2_000, started(0)),
            Is(2_000, wait(10_000)),
            Seen(3_000, exited(0, 1)),
            Seen(4_000, started(0)),
            Is(4_000, wait(10_000)),
            Seen(5_000, exited(0, 9)),
            Is(5_000, crashed(0, 9)),
        ],
    );
}

#[test]
fn a_service_that_is_down_at_the_end_of_the_trial_does_not_pass() {
    check(
        policy(1),
        vec![plain(Restart::Always)],
        &[
            Seen(0, started(0)),
            Seen(9_999, exited(0, 3)),
            Is(10_000, wait(20_000)),
            Is(19_999, wait(20_000)),
            Is(20_000, crashed(0, 3)),
        ],
    );
    check(
        policy(1),
        vec![plain(Restart::Always)],
        &[
            Seen(0, started(0)),
            Seen(9_999, exited(0, 3)),
            Seen(12_000, started(0)),
            Is(12_000, Verdict::Pass),
        ],
    );
}

#[test]
fn services_that_are_done_are_fine_unless_they_always_run() {
    for (restart, fine) in [
        (Restart::No, true),
        (Restart::OnFailure { max: None }, true),
        (Restart::OnFailure { max: Some(1) }, true),
        (Restart::Always, false),
    ] {
        let end = if fine { Verdict::Pass } else { crashed(0, 0) };
        check(
            policy(0),
            vec![plain(restart)],
            &[
                Seen(0, started(0)),
                Seen(1_000, exited(0, 0)),
                Is(10_000, end),
            ],
        );
    }
}

#[test]
fn one_that_was_done_before_the_trial_needs_no_start() {
    check(
        policy(0),
        vec![plain(Restart::No)],
        &[
            Seen(0, exited(0, 0)),
            Is(0, wait(10_000)),
            Is(10_000, Verdict::Pass),
        ],
    );
}

#[test]
fn a_job_that_fails_for_good_fails_the_trial_whatever_is_forgiven() {
    check(
        policy(9),
        vec![plain(Restart::No)],
        &[
            Seen(0, started(0)),
            Seen(5, exited(0, 2)),
            Is(5, crashed(0, 2)),
        ],
    );
    check(
        policy(9),
        vec![plain(Restart::OnFailure { max: Some(1) })],
        &[
            Seen(0, started(0)),
            Seen(5, exited(0, 2)),
            Is(5, wait(20_000)),
            Seen(6, started(0)),
            Seen(7, exited(0, 2)),
            Is(7, crashed(0, 2)),
        ],
    );
}

#[test]
fn a_checked_service_must_be_healthy() {
    let ill = Verdict::Fail(Cause::Unhealthy { service: 0 });
    // Healthy in time.
    check(
        policy(0),
        vec![checked()],
        &[
            Seen(0, started(0)),
            Is(0, wait(20_000)),
            Seen(4_000, probed(0, true)),
            Is(4_000, wait(10_000)),
            Is(10_000, Verdict::Pass),
        ],
    );
    // Healthy only after the trial's time, and still within the deadline.
    check(
        policy(0),
        vec![checked()],
        &[
            Seen(0, started(0)),
            Is(10_000, wait(20_000)),
            Seen(15_000, probed(0, true)),
            Is(15_000, Verdict::Pass),
        ],
    );
    // Never: to the millisecond.
    check(
        policy(0),
        vec![checked()],
        &[
            Seen(0, started(0)),
            Is(19_999, wait(20_000)),
            Is(20_000, ill),
        ],
    );
    // On the very edge, being well wins.
    check(
        policy(0),
        vec![checked()],
        &[
            Seen(0, started(0)),
            Seen(20_000, probed(0, true)),
            Is(20_000, Verdict::Pass),
        ],
    );
}

#[test]
fn turning_unhealthy_fails_at_once_but_not_within_the_start_period() {
    let ill = Verdict::Fail(Cause::Unhealthy { service: 0 });
    check(
        policy(0),
        vec![checked()],
        &[
            Seen(0, started(0)),
            Seen(1_000, probed(0, false)),
            Seen(2_000, probed(0, false)),
            Seen(4_999, probed(0, false)),
            Is(4_999, wait(20_000)),
            Seen(5_000, probed(0, false)),
            Is(5_000, wait(20_000)),
            Seen(6_000, probed(0, false)),
            Is(6_000, ill),
            // A later pass does not undo it.
            Seen(7_000, probed(0, true)),
            Is(10_000, ill),
        ],
    );
}

#[test]
fn a_restart_makes_health_start_again() {
    check(
        policy(1),
        vec![checked()],
        &[
            Seen(0, started(0)),
            Seen(100, probed(0, true)),
            Seen(8_000, exited(0, 1)),
            // Probes that were under way when the container died say nothing.
            Seen(8_100, probed(0, false)),
            Seen(8_100, probed(0, false)),
            Is(8_100, wait(20_000)),
            Seen(8_100, probed(0, true)),
            Is(8_100, wait(20_000)),
            Seen(9_000, started(0)),
            Is(10_000, wait(20_000)),
            Seen(13_999, probed(0, false)),
            Seen(13_999, probed(0, false)),
            Is(13_999, wait(20_000)),
            Seen(14_500, probed(0, true)),
            Is(14_500, Verdict::Pass),
        ],
    );
}

#[test]
fn the_first_failure_is_the_cause() {
    check(
        policy(0),
        vec![plain(Restart::Always), service("other")],
        &[
            Seen(0, started(0)),
            Seen(0, started(1)),
            Seen(1, exited(1, 5)),
            Seen(2, exited(0, 6)),
            Is(3, crashed(1, 5)),
        ],
    );
}

#[test]
fn services_that_do_not_exist_and_probes_that_nobody_ordered_change_nothing() {
    check(
        policy(0),
        vec![plain(Restart::Always)],
        &[
            Seen(0, started(0)),
            Seen(1, exited(7, 1)),
            Seen(1, started(9)),
            Seen(1, probed(0, false)),
            Is(10_000, Verdict::Pass),
        ],
    );
}

#[test]
fn a_deadline_before_the_end_of_the_trial_counts_as_its_end() {
    let policy = Policy {
        healthy_within_s: 1,
        ..policy(0)
    };
    check(
        policy,
        vec![checked()],
        &[
            Seen(0, started(0)),
            Is(9_999, wait(10_000)),
            Is(10_000, Verdict::Fail(Cause::Unhealthy { service: 0 })),
        ],
    );
}

#[test]
fn health_is_as_docker_counts_it() {
    let service = checked();
    let check = service.health.as_ref().unwrap();
    let mut health = Health::new(check, OPEN);
    let mut probe = |passed, ms, expected| {
        health.probed(passed, OPEN + ms);
        assert_eq!(health.healthy(), expected, "at {ms}");
    };
    // Failures in the start period do not count until a probe has passed.
    probe(false, 0, None);
    probe(false, 1_000, None);
    probe(true, 2_000, Some(true));
    probe(false, 3_000, Some(true));
    probe(true, 3_500, Some(true));
    probe(false, 4_000, Some(true));
    probe(false, 4_500, Some(false));
    // One pass heals.
    probe(true, 6_000, Some(true));
    health.started(OPEN + 7_000);
    assert_eq!(health.healthy(), None);
}

#[test]
fn probes_come_quickly_after_a_start_and_count_once_per_interval() {
    let mut service = checked();
    let check = service.health.as_mut().unwrap();
    (check.interval_ms, check.retries, check.start_period_ms) = (5_000, 2, 0);
    let mut health = Health::new(check, OPEN);
    assert_eq!(health.wait_ms(OPEN), 1_000);
    for ms in [0, 1_000, 2_000, 3_000, 4_999] {
        health.probed(false, OPEN + ms);
        assert_eq!(health.healthy(), None, "at {ms}");
    }
    health.probed(false, OPEN + 5_000);
    assert_eq!(health.healthy(), Some(false));
    assert_eq!(health.wait_ms(OPEN + 5_000), 5_000);
    // One that is healthy, and one that never gets there, are probed at the interval.
    health.started(OPEN);
    health.probed(true, OPEN + 10);
    assert_eq!(health.wait_ms(OPEN + 10), 5_000);
    health.started(OPEN);
    assert_eq!(health.wait_ms(OPEN + 29_999), 1_000);
    assert_eq!(health.wait_ms(OPEN + 30_000), 5_000);
}

fn observations() -> impl Strategy<Value = Observation> {
    prop_oneof![
        (0u8..4).prop_map(|service| Started { service }),
        (0u8..4, -1i32..3).prop_map(|(service, code)| Exited { service, code }),
        (0u8..4, any::<bool>()).prop_map(|(service, passed)| Probed { service, passed }),
    ]
}

proptest! {
    /// Whatever is seen, the verdict comes by the deadline; a wait ends later than now, and on
    /// from a failure it stays a failure with the same cause.
    #[test]
    fn every_trial_ends(
        seen in proptest::collection::vec((0u64..3_000, observations()), 0..40),
        restarts_max in 0u8..4,
    ) {
        let services = vec![
            plain(Restart::Always),
            checked(),
            plain(Restart::OnFailure { max: Some(2) }),
        ];
        let mut trial = Trial::new(&policy(restarts_max), &resolved(services), OPEN);
        let (mut now, mut failed) = (OPEN, None);
        for (later, observation) in seen {
            now += later;
            trial.observe(observation, now);
            match trial.verdict(now) {
                Verdict::Wait { until_ms } => {
                    prop_assert!(until_ms > now);
                    prop_assert!(until_ms <= now + 20_000);
                }
                Verdict::Fail(cause) if failed.is_none() && trial.verdict(OPEN) == trial.verdict(now) => {
                    failed = Some(cause);
                }
                _ => {}
            }
            if let Some(cause) = failed {
                prop_assert_eq!(trial.verdict(now), Verdict::Fail(cause));
            }
        }
        let end = trial.verdict(now + 40_000);
        prop_assert!(!matches!(end, Verdict::Wait { .. }), "{:?}", end);
    }
}
