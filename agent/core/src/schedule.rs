//! When a device speaks to its relay (clauses D6, D32 and D33 of `docs/device-protocol.md`).
//!
//! Never reads a clock, never draws random numbers and never waits: time and chance come in as
//! arguments, the wait goes out as milliseconds.

use bundle::{DeviceId, Digest};

use crate::retry::full_jitter;

/// The longest wait before the first check-in after a start, in milliseconds: a fleet that gets
/// its power back at once comes spread over it.
const FIRST_MS_MAX: u64 = 10_000;
/// The wait before the first new attempt after a failure, in milliseconds; it doubles.
const FAILED_MS: u64 = 5_000;
/// The least wait after a failure, in milliseconds.
const FAILED_MS_MIN: u64 = 1_000;
/// The longest wait after a failure where the interval is shorter than this, in milliseconds: a
/// quarter of an hour.
const FAILED_MS_MAX: u64 = 900_000;
/// The least wait before a bundle is tried again, in milliseconds.
const AGAIN_MS_MIN: u64 = 5_000;
/// What is added before the second attempt at most, in milliseconds; it doubles.
const AGAIN_MS: u64 = 10_000;
/// The most that is added, in milliseconds: an hour.
const AGAIN_MS_MAX: u64 = 3_600_000;
/// The interval of a device that no relay has told one, in seconds.
pub const INTERVAL_S_DEFAULT: u32 = 60;
/// The longest interval that a device obeys, in seconds: a day. A relay that asks for more would
/// lose the device for as long.
pub const INTERVAL_S_MAX: u32 = 86_400;
/// The longest `Retry-After` that a device obeys, in seconds: a day.
pub const RETRY_AFTER_S_MAX: u32 = 86_400;
/// The least time between the starts of two check-ins, in milliseconds: what happens meanwhile is
/// told at once afterwards, and no storm of events is a storm of requests.
pub const APART_MS: u64 = 2_000;

/// An interval as a device obeys it: 1 second to a day.
pub const fn interval_s(asked: u32) -> u32 {
    if asked == 0 {
        1
    } else if asked > INTERVAL_S_MAX {
        INTERVAL_S_MAX
    } else {
        asked
    }
}

/// The second of the interval at which a device checks in: what its id hashes to, so that a fleet
/// spreads itself evenly and each device keeps its place.
pub fn slot_s(device: &DeviceId, interval_s: u32) -> u32 {
    let digest = Digest::of(device.as_str().as_bytes());
    let head = digest.as_bytes().first_chunk().copied().unwrap_or_default();
    let hash = u64::from_be_bytes(head);
    // Multiply and shift: even, without division.
    ((u128::from(hash) * u128::from(interval_s)) >> 64) as u32
}

/// The wait until the device's next slot, in milliseconds: more than nothing, and at most the
/// interval and a second. `now_s` is the wall clock, whose phase a fleet shares where it is right
/// and each device keeps where it is not; `random` moves the start within the second.
pub fn until_slot_ms(device: &DeviceId, asked_s: u32, now_s: u64, random: u64) -> u64 {
    let interval = interval_s(asked_s);
    let (slot, length) = (u64::from(slot_s(device, interval)), u64::from(interval));
    let phase = now_s % length;
    let wait_s = if slot > phase {
        slot - phase
    } else {
        slot + length - phase
    };
    wait_s * 1_000 + full_jitter(0, 999, 999, random)
}

/// The wait before the first check-in after a start, in milliseconds.
pub fn first_ms(asked_s: u32, random: u64) -> u64 {
    let most = (u64::from(interval_s(asked_s)) * 1_000).min(FIRST_MS_MAX);
    full_jitter(0, most, most, random)
}

/// The wait after the `failures`-th failure in a row (from 1), in milliseconds: full jitter that
/// grows up to the interval or a quarter of an hour, whichever is more.
pub fn failed_ms(asked_s: u32, failures: u32, random: u64) -> u64 {
    let most = (u64::from(interval_s(asked_s)) * 1_000).max(FAILED_MS_MAX);
    FAILED_MS_MIN.max(full_jitter(
        failures.saturating_sub(1),
        FAILED_MS,
        most,
        random,
    ))
}

/// The wait before a bundle is tried again for the same rollout, after the `failures`-th attempt
/// (from 1) that may pass by itself, in milliseconds: ever longer, up to an hour.
pub fn again_ms(failures: u32, random: u64) -> u64 {
    AGAIN_MS_MIN + full_jitter(failures.saturating_sub(1), AGAIN_MS, AGAIN_MS_MAX, random)
}

/// The wait after an answer that asked to wait, in milliseconds: that long, at most a day, and up
/// to a quarter more, so that those who were told the same do not come back together.
pub fn busy_ms(retry_after_s: u32, random: u64) -> u64 {
    let asked_ms = u64::from(retry_after_s.min(RETRY_AFTER_S_MAX)) * 1_000;
    asked_ms + full_jitter(0, asked_ms / 4 + 1_000, u64::MAX, random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn device(n: u32) -> DeviceId {
        alloc::format!("device-{n}").parse().unwrap()
    }

    #[test]
    fn a_fleet_spreads_itself_evenly_over_the_interval() {
        for interval in [10, 60, 3_600, 86_400] {
            let mut tenths = vec![0u32; 10];
            for n in 0..1_000 {
                let slot = slot_s(&device(n), interval);
                tenths[(u64::from(slot) * 10 / u64::from(interval)) as usize] += 1;
            }
            // 100 each, and four standard deviations (9.5) around it.
            assert!(
                tenths.iter().all(|n| (62..=138).contains(n)),
                "{interval}: {tenths:?}"
            );
        }
    }

    #[test]
    fn the_next_slot_is_never_now() {
        let id = device(1);
        let slot = u64::from(slot_s(&id, 60));
        let base = 1_750_000_020 / 60 * 60;
        for (now, wait_s) in [
            (base + slot, 60),
            (base + slot + 1, 59),
            (base + slot + 59, 1),
            (base + slot + 60, 60),
        ] {
            assert_eq!(until_slot_ms(&id, 60, now, 0), wait_s * 1_000, "{now}");
            assert_eq!(
                until_slot_ms(&id, 60, now, u64::MAX),
                wait_s * 1_000 + 999,
                "{now}"
            );
        }
    }

    #[test]
    fn the_first_check_in_comes_soon_and_not_at_once_for_all() {
        for (interval, most) in [(60, 10_000), (3_600, 10_000), (4, 4_000), (0, 1_000)] {
            assert_eq!(first_ms(interval, 0), 0, "{interval}");
            assert_eq!(first_ms(interval, u64::MAX), most, "{interval}");
        }
    }

    #[test]
    fn failures_make_the_wait_grow_up_to_its_cap() {
        let most = |interval, failures| failed_ms(interval, failures, u64::MAX);
        assert_eq!(most(60, 1), 5_000);
        assert_eq!(most(60, 2), 10_000);
        assert_eq!(most(60, 8), 640_000);
        assert_eq!(most(60, 9), 900_000);
        assert_eq!(most(60, u32::MAX), 900_000);
        assert_eq!(most(3_600, 99), 3_600_000);
        assert_eq!(most(u32::MAX, 99), 86_400_000);
        assert_eq!(failed_ms(60, 1, 0), 1_000, "never at once");
        assert_eq!(failed_ms(60, 0, 0), 1_000);
    }

    #[test]
    fn attempts_become_ever_rarer() {
        assert_eq!(again_ms(1, 0), 5_000);
        assert_eq!(again_ms(1, u64::MAX), 15_000);
        assert_eq!(again_ms(3, u64::MAX), 45_000);
        assert_eq!(again_ms(u32::MAX, u64::MAX), 3_605_000);
    }

    #[test]
    fn a_relay_that_asks_to_wait_is_waited_for() {
        for (asked, least) in [
            (0, 0),
            (30, 30_000),
            (86_400, 86_400_000),
            (u32::MAX, 86_400_000),
        ] {
            assert_eq!(busy_ms(asked, 0), least, "{asked}");
            assert_eq!(busy_ms(asked, u64::MAX), least + least / 4 + 1_000);
        }
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_bounds(n: u32, interval: u32, now: u64, failures: u32, random: u64) {
            let id = device(n);
            let obeyed = interval_s(interval);
            prop_assert!(slot_s(&id, obeyed) < obeyed);
            let wait = until_slot_ms(&id, interval, now, random);
            prop_assert!(wait >= 1_000 && wait < u64::from(obeyed) * 1_000 + 1_000);
            let due = u128::from(now) + u128::from(wait / 1_000);
            prop_assert_eq!(due % u128::from(obeyed), u128::from(slot_s(&id, obeyed)));
            prop_assert!(first_ms(interval, random) <= 10_000);
            let failed = failed_ms(interval, failures, random);
            prop_assert!((1_000..=86_400_000).contains(&failed));
        }
    }
}
