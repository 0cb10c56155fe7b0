//! How often something that goes wrong may be tried: a token bucket for each address, in bounded
//! memory. Pure: the time is an argument.
//!
//! Never counts what goes well.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Most addresses that are remembered; with more, those that have been quiet longest are forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// Buckets by address.
pub(super) struct Limit {
    burst: u32,
    refill_s: u64,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

/// A whole /64 of IPv6 counts as one address: any host there can take any of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Key {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

struct Bucket {
    /// How many failures are left.
    left: u32,
    /// Up to when it has been refilled, in seconds.
    at: u64,
}

impl Limit {
    /// A limit of `burst` failures at once, and one more each `refill_s` seconds.
    pub(super) fn new(burst: u32, refill_s: u64) -> Self {
        Self {
            burst,
            refill_s: refill_s.max(1),
            buckets: Mutex::default(),
        }
    }

    /// Whether this address may try now; else in how many seconds.
    pub(super) fn check(&self, address: IpAddr, now_s: u64) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = buckets.get_mut(&address.into()) else {
            return Ok(());
        };
        self.refill(bucket, now_s);
        if bucket.left > 0 {
            return Ok(());
        }
        Err((bucket.at + self.refill_s).saturating_sub(now_s).max(1))
    }

    /// Counts a failure of this address; whether it was within the limit.
    pub(super) fn count(&self, address: IpAddr, now_s: u64) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = address.into();
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&key) {
            // Full buckets say nothing; of the others half go, those that were quiet longest.
            buckets.retain(|_, bucket| {
                self.refill(bucket, now_s);
                bucket.left < self.burst
            });
            if buckets.len() >= ADDRESSES_MAX {
                let mut times: Vec<u64> = buckets.values().map(|bucket| bucket.at).collect();
                let middle = times.len() / 2;
                let (_, &mut median, _) = times.select_nth_unstable(middle);
                let mut surplus = middle;
                buckets.retain(|_, bucket| {
                    let goes = surplus > 0 && bucket.at <= median;
                    surplus -= usize::from(goes);
                    !goes
                });
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            left: self.burst,
            at: now_s,
        });
        self.refill(bucket, now_s);
        let within = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        within
    }

    fn refill(&self, bucket: &mut Bucket, now_s: u64) {
        let steps = now_s.saturating_sub(bucket.at) / self.refill_s;
        bucket.at += steps * self.refill_s;
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        bucket.left = bucket.left.saturating_add(steps).min(self.burst);
        if bucket.left == self.burst {
            bucket.at = now_s;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_burst_then_one_each_step() {
        let limit = Limit::new(3, 10);
        for _ in 0..3 {
            assert_eq!(limit.check(address(1), 100), Ok(()));
            assert!(limit.count(address(1), 100));
        }
        assert_eq!(limit.check(address(1), 100), Err(10));
        assert!(!limit.count(address(1), 100));
        assert_eq!(limit.check(address(1), 109), Err(1));
        assert_eq!(limit.check(address(1), 110), Ok(()));
        assert!(limit.count(address(1), 110));
        assert_eq!(limit.check(address(1), 110), Err(10));
        assert_eq!(limit.check(address(2), 100), Ok(()));
    }

    #[test]
    fn a_network_of_addresses_counts_as_one() {
        let limit = Limit::new(1, 10);
        limit.count("2001:db8::1".parse().unwrap(), 0);
        let same = limit.check("2001:db8::2".parse().unwrap(), 0);
        assert!(same.is_err());
        let other = limit.check("2001:db8:0:1::1".parse().unwrap(), 0);
        assert!(other.is_ok());
        limit.count("::ffff:192.0.2.1".parse().unwrap(), 0);
        assert!(limit.check(address(1), 0).is_err());
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory() {
        let limit = Limit::new(2, 10);
        for number in 0..3 * ADDRESSES_MAX as u32 {
            limit.count(IpAddr::from(number.to_be_bytes()), 5);
        }
        let held = limit.buckets.lock().unwrap().len();
        assert!((1..=ADDRESSES_MAX).contains(&held), "{held}");
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_away() {
        let limit = Limit::new(1, 10);
        limit.count(address(1), 1000);
        assert!(limit.check(address(1), 500).is_err());
        assert_eq!(limit.check(address(1), 1010), Ok(()));
    }
}
