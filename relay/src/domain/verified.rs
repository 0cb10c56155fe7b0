//! Requests whose signature was verified a short time ago, so that a device to which nothing happens,
//! and which sends the same signed check-in again, costs a hash instead of a verification (D15).
//!
//! A cache of one process in bounded memory. Never says anything of a request that differs in a
//! single bit, and never reads a clock: the time is an argument.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bundle::Digest;
use relay_api::device::CHALLENGE_VALID_S;

/// Most requests of one generation; there are two of them, and each takes at most 10 MiB.
const GENERATION_MAX: usize = 1 << 17;
/// How long a generation grows, in seconds: what is older than two of them has a challenge that
/// does not hold any more.
const GENERATION_S: u64 = CHALLENGE_VALID_S / 2;

/// What was verified. Full digests: nobody can make a request that is taken for another one.
#[derive(Default)]
pub(crate) struct Verified(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashSet<Digest>,
    old: HashSet<Digest>,
    /// When the young one began.
    since: u64,
}

impl Verified {
    /// Whether this was added, and not forgotten yet.
    pub(crate) fn has(&self, request: &Digest, now: u64) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.turn(now);
        held.young.contains(request) || held.old.contains(request)
    }

    /// Remembers a request that has just been verified, for five minutes or more if there is room.
    pub(crate) fn add(&self, request: Digest, now: u64) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.turn(now);
        held.young.insert(request);
    }
}

impl Generations {
    /// Begins a new generation when the young one is full or has had its time.
    fn turn(&mut self, now: u64) {
        let aged = now.abs_diff(self.since) >= GENERATION_S;
        if !aged && self.young.len() < GENERATION_MAX {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: usize) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn what_was_verified_is_known_as_long_as_a_device_repeats_it() {
        let verified = Verified::default();
        assert!(!verified.has(&request(1), 1000));
        verified.add(request(1), 1000);
        for now in [1000, 1000 + GENERATION_S, 999 + 2 * GENERATION_S] {
            assert!(verified.has(&request(1), now), "{now}");
            assert!(!verified.has(&request(2), now), "{now}");
        }
        assert!(!verified.has(&request(1), 1000 + 2 * GENERATION_S));
    }

    #[test]
    fn a_flood_of_requests_takes_bounded_memory_and_forgets_the_oldest() {
        let verified = Verified::default();
        let last = 3 * GENERATION_MAX;
        for number in 0..=last {
            verified.add(request(number), 0);
        }
        assert!(verified.has(&request(last), 0) && !verified.has(&request(0), 0));
        let held = verified.0.lock().unwrap();
        assert!(held.young.len() + held.old.len() <= 2 * GENERATION_MAX);
    }
}
