//! Clauses B53 to B56: trials without end, overlap of old and new.

use super::base::*;
use crate::limits::TRIAL_S_MAX;
use crate::manifest::{NetworkMode, SwitchMode};

#[test]
fn trials_out_of_bounds_are_refused() {
    refuses(&[
        ("no trial", "B53", |m| m.policy.trial_s = 0),
        ("a trial of weeks", "B53", |m| {
            m.policy.trial_s = u32::MAX;
            m.policy.healthy_within_s = u32::MAX;
        }),
        ("less time for health than the trial", "B53", |m| {
            m.policy.healthy_within_s = m.policy.trial_s - 1;
        }),
        ("health after weeks", "B53", |m| {
            m.policy.healthy_within_s = TRIAL_S_MAX + 1
        }),
        ("no download", "B54", |m| {
            m.policy.fetch_bytes_per_s_max = Some(0)
        }),
    ]);
    accepts(&[("the longest trial", |m| {
        m.policy.trial_s = TRIAL_S_MAX;
        m.policy.healthy_within_s = TRIAL_S_MAX;
    })]);
}

#[test]
fn restoring_volumes_that_do_not_exist_is_refused() {
    refuses(&[
        ("undeclared", "B55", |m| {
            m.policy.restore_on_rollback.push(volume("other"))
        }),
        ("one twice", "B55", |m| {
            m.policy.restore_on_rollback.push(volume("data"))
        }),
    ]);
}

#[test]
fn overlap_of_old_and_new_is_refused_where_they_would_collide() {
    refuses(&[
        ("published ports", "B56", |m| {
            m.policy.switch = SwitchMode::StartFirst;
            m.services[0].volumes.clear();
        }),
        ("a writable volume", "B56", |m| {
            m.policy.switch = SwitchMode::StartFirst;
            m.services[0].ports.clear();
        }),
    ]);
    accepts(&[
        ("a volume that is only read", |m| {
            m.policy.switch = SwitchMode::StartFirst;
            m.services[0].ports.clear();
            m.services[0].volumes[0].read_only = true;
        }),
        ("the device's network", |m| {
            m.policy.switch = SwitchMode::StartFirst;
            m.services[0].ports.clear();
            m.services[0].volumes.clear();
            m.services[0].network = NetworkMode::Host;
        }),
    ]);
}
