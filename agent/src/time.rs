//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// What the wall clock says, in seconds since 1970-01-01 UTC; 0 if it is before that.
pub fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The time in UTC, as RFC 3339 has it: `2026-11-22T05:33:53Z`.
pub fn to_rfc3339(seconds: u64) -> String {
    bundle::Utc(seconds).to_string()
}
