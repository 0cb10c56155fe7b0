//! What is certain about the time, on devices that boot with wrong clocks.
//!
//! Never takes the wall clock into account: it may be wrong in both directions, so it neither
//! refuses a bundle nor moves the floor.

/// What is certain about the time now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// It is at least this late: seconds since 1970-01-01 UTC.
    pub floor: u64,
}

/// What is certain about the time, going on by itself: the latest of what was certain at some
/// instant (the build time of the agent, the issue time of a verified bundle, the floor in the
/// record), and what has passed since that instant.
///
/// Instants are milliseconds of one clock that never goes back and starts anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeFloor {
    floor: u64,
    since_ms: u64,
}

impl TimeFloor {
    /// It is `floor` or later now.
    pub const fn new(floor: u64, now_ms: u64) -> Self {
        Self {
            floor,
            since_ms: now_ms,
        }
    }

    /// It is also `floor` or later now. To say so again, or late, is never wrong: what passed
    /// before the first time it was said does not count.
    pub const fn raise(&mut self, floor: u64, now_ms: u64) {
        if floor > self.clock(now_ms).floor {
            *self = Self::new(floor, now_ms);
        }
    }

    /// What is certain now. A part of a second does not count.
    pub const fn clock(&self, now_ms: u64) -> Clock {
        let passed_s = now_ms.saturating_sub(self.since_ms) / 1000;
        Clock {
            floor: self.floor.saturating_add(passed_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_floor_goes_on_from_when_it_was_learned() {
        let mut floor = TimeFloor::new(100, 5_000_000);
        assert_eq!(floor.clock(5_000_000), Clock { floor: 100 });
        assert_eq!(floor.clock(5_000_999), Clock { floor: 100 });
        assert_eq!(floor.clock(5_001_000), Clock { floor: 101 });
        // Less than what is certain already.
        floor.raise(150, 5_060_000);
        assert_eq!(floor.clock(5_060_000), Clock { floor: 160 });
        // More: what has passed before does not count on top.
        floor.raise(1_000, 5_060_000);
        assert_eq!(floor.clock(5_060_000), Clock { floor: 1_000 });
        assert_eq!(floor.clock(5_070_000), Clock { floor: 1_010 });
    }

    /// A device that has been up for a year takes a bundle of today: its uptime makes today no
    /// later.
    #[test]
    fn uptime_before_a_floor_was_learned_does_not_move_it() {
        const YEAR_MS: u64 = 365 * 86_400_000;
        let today = 1_800_000_000;
        let mut floor = TimeFloor::new(1_700_000_000, 0);
        floor.raise(today, YEAR_MS);
        assert_eq!(floor.clock(YEAR_MS), Clock { floor: today });
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let floor = TimeFloor::new(u64::MAX, 7);
        assert_eq!(floor.clock(0), Clock { floor: u64::MAX });
        assert_eq!(floor.clock(u64::MAX), Clock { floor: u64::MAX });
    }

    proptest! {
        /// Whatever true things it is told: it never says later than it is, and never goes back.
        #[test]
        fn the_floor_is_never_ahead_of_the_truth(
            booted in 0u64..4_000_000_000,
            told in proptest::collection::vec((0u64..10_000_000, 0u64..5_000_000_000), 1..30),
        ) {
            // The true time is `booted` and what has passed; what is told lies behind it.
            let mut floor = TimeFloor::new(0, 0);
            let (mut now_ms, mut before) = (0, 0);
            for (later_ms, claim) in told {
                now_ms += later_ms;
                let truth = booted + now_ms / 1000;
                floor.raise(claim.min(truth), now_ms);
                let says = floor.clock(now_ms).floor;
                prop_assert!(says <= truth);
                prop_assert!(says >= claim.min(truth));
                prop_assert!(says >= before);
                before = says;
            }
        }
    }
}
