//! How long to wait before trying again.
//!
//! Never draws random numbers and never waits: chance comes in as an argument, the wait goes out
//! as milliseconds.

/// The wait before attempt `attempt + 1`, in milliseconds: anything from 0 to
/// `min(cap_ms, base_ms · 2^attempt)`, both included, evenly by `random` (64 random bits).
///
/// This is "full jitter" as the AWS Architecture Blog names it ("Exponential Backoff And Jitter",
/// 2015): of the variants compared there it asks least of the server that everybody waits for.
/// `attempt` counts from 0.
pub const fn full_jitter(attempt: u32, base_ms: u64, cap_ms: u64, random: u64) -> u64 {
    scale(random, ceiling(attempt, base_ms, cap_ms))
}

/// `min(cap_ms, base_ms · 2^attempt)` without overflow.
pub const fn ceiling(attempt: u32, base_ms: u64, cap_ms: u64) -> u64 {
    let grown = if base_ms == 0 {
        0
    } else if attempt > base_ms.leading_zeros() {
        u64::MAX
    } else {
        base_ms << attempt
    };
    if grown < cap_ms { grown } else { cap_ms }
}

/// Maps 64 random bits evenly to 0 ..= `most` (multiply and shift: no division, and a bias of at
/// most one part in 2^64 / `most`).
const fn scale(random: u64, most: u64) -> u64 {
    ((random as u128 * (most as u128 + 1)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let grown: alloc::vec::Vec<u64> = (0..8).map(|n| ceiling(n, 100, 5_000)).collect();
        assert_eq!(grown, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(ceiling(u32::MAX, 1, u64::MAX), u64::MAX);
        assert_eq!(ceiling(63, 1, u64::MAX), 1 << 63);
        assert_eq!(ceiling(64, 1, u64::MAX), u64::MAX);
        assert_eq!(ceiling(9, 0, 5_000), 0);
    }

    #[test]
    fn both_ends_can_come() {
        assert_eq!(full_jitter(3, 100, 5_000, 0), 0);
        assert_eq!(full_jitter(3, 100, 5_000, u64::MAX), 800);
        assert_eq!(full_jitter(99, 100, u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(full_jitter(5, 0, 0, u64::MAX), 0);
    }

    /// Fed with evenly spaced bits, the waits are even too: each of four quarters gets a quarter.
    #[test]
    fn waits_are_spread_evenly() {
        let mut quarters = [0u32; 4];
        for n in 0..4_000u64 {
            let wait = full_jitter(2, 1_000, 60_000, n * (u64::MAX / 4_000));
            quarters[(wait / 1_001).min(3) as usize] += 1;
        }
        assert!(
            quarters.iter().all(|n| (990..=1_010).contains(n)),
            "{quarters:?}"
        );
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_ceiling(attempt: u32, base: u64, cap: u64, random: u64) {
            let wait = full_jitter(attempt, base, cap, random);
            prop_assert!(wait <= ceiling(attempt, base, cap));
            prop_assert!(wait <= cap);
        }

        #[test]
        fn more_attempts_never_lower_the_ceiling(attempt in 0u32..200, base: u64, cap: u64) {
            prop_assert!(ceiling(attempt, base, cap) <= ceiling(attempt + 1, base, cap));
        }

        #[test]
        fn more_chance_is_a_longer_wait(attempt in 0u32..80, base: u64, cap: u64, a: u64, b: u64) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(
                full_jitter(attempt, base, cap, low) <= full_jitter(attempt, base, cap, high)
            );
        }
    }
}
