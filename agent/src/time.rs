//! Seconds since 1970-01-01 UTC, and RFC 3339 to and fro.
//!
//! The calendar arithmetic is Howard Hinnant's `days_from_civil` and `civil_from_days`
//! (<https://howardhinnant.github.io/date_algorithms.html>): years begin in March, so that a
//! leap day is the last day of its year, and 400 years have always 146,097 days. Knows no time
//! zones but the offset in a text, and no leap seconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
/// Days in 400 years.
const ERA_DAYS: u64 = 146_097;
/// Seconds in a day.
const DAY_S: u64 = 86_400;

/// What the wall clock says, in seconds since 1970; 0 if it is before that.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The time in UTC to the second: `2026-11-22T05:33:53Z`.
pub fn to_rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / DAY_S + EPOCH_DAYS, seconds % DAY_S);
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let (month, carry) =
        if from_march < 10 { (from_march + 3, 0) } else { (from_march - 9, 1) };
    let year = era * 400 + year_of_era + carry;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds since 1970-01-01 UTC of a time like `2026-11-22T05:33:53.123+01:00`; a fraction is cut
/// off. None if it is not such a time, or before 1970.
pub fn from_rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize, range: std::ops::RangeInclusive<u64>| -> Option<u64> {
        let digits = text.get(from..to)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().filter(|n| range.contains(n))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| text.as_bytes().get(*at) != Some(byte)) {
        return None;
    }
    let (year, month) = (number(0, 4, 1..=9999)?, number(5, 7, 1..=12)?);
    let day = number(8, 10, 1..=month_days(year, month))?;
    let (hour, minute) = (number(11, 13, 0..=23)?, number(14, 16, 0..=59)?);
    let second = number(17, 19, 0..=60)?;
    let rest = text.get(19..)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => {
            fraction.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        Some(_) => return None,
        None => rest,
    };
    let (east, west) = match zone.as_bytes() {
        b"Z" => (0, 0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let at = text.len() - 5;
            let offset = number(at, at + 2, 0..=23)? * 3600 + number(at + 3, at + 5, 0..=59)? * 60;
            if *sign == b'+' { (offset, 0) } else { (0, offset) }
        }
        _ => return None,
    };
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + day - 1;
    let local = days.checked_sub(EPOCH_DAYS)? * DAY_S + hour * 3600 + minute * 60 + second;
    (local + west).checked_sub(east)
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-22T05:33:53Z", Some(1_795_325_633)),
            ("2026-11-22T05:33:53.123456789Z", Some(1_795_325_633)),
            ("2026-11-22T06:33:53.1+01:00", Some(1_795_325_633)),
            ("2026-11-21T22:33:53-07:00", Some(1_795_325_633)),
            ("0001-01-01T00:00:00Z", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22 05:33:53Z", None),
            ("2026-11-22T05:33:53.Z", None),
            ("2026-11-22T05:33:53+1:00", None),
            ("2026-11-22T05:33:53", None),
            ("2026-1é-22T05:33:53Z", None),
            ("1970-01-01T00:30:00+01:00", None),
            ("", None),
        ] {
            assert_eq!(from_rfc3339(text), seconds, "{text}");
        }
    }

    #[test]
    fn writing_and_reading_agree() {
        for seconds in (0..5_000_000_000).step_by(86_400 * 13 + 7_331) {
            assert_eq!(from_rfc3339(&to_rfc3339(seconds)), Some(seconds));
        }
        assert_eq!(to_rfc3339(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(to_rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
