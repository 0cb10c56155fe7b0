//! What the wall clock says, and RFC 3339 for the views.
//!
//! The calendar is [`bundle::Utc`]'s.

use std::time::{SystemTime, UNIX_EPOCH};

use bundle::Utc;

/// What the wall clock says, in seconds since 1970; 0 if it is before that.
pub fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The time in UTC to the second: `2026-11-22T05:33:53Z`.
pub fn to_rfc3339(seconds: u64) -> String {
    Utc(seconds).to_string()
}

/// Seconds since 1970-01-01 UTC of an RFC 3339 time; none if it is not one.
pub fn from_rfc3339(text: &str) -> Option<u64> {
    text.parse().ok().map(|Utc(seconds)| seconds)
}
