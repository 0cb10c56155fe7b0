//! Seconds since 1970-01-01 UTC, and RFC 3339 to and fro.
//!
//! Never reads a clock; knows no time zone but the offset in a text, and no leap seconds.

use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
/// Days in 400 years.
const ERA_DAYS: u64 = 146_097;
/// Seconds in a day.
const DAY_S: u64 = 86_400;

/// A time in seconds since 1970-01-01 UTC, shown as RFC 3339 has it: `2026-11-22T05:36:04Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY_S, self.0 % DAY_S);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// The text is not an RFC 3339 time from 1970 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseUtcError;

impl fmt::Display for ParseUtcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a time like 2026-11-22T05:36:04Z")
    }
}

impl core::error::Error for ParseUtcError {}

impl FromStr for Utc {
    type Err = ParseUtcError;

    /// Reads a time like `2026-11-22T05:33:53.123+01:00`; a fraction is cut off.
    fn from_str(text: &str) -> Result<Self, ParseUtcError> {
        parse(text).map(Self).ok_or(ParseUtcError)
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
///
/// Years are counted from March, so that the leap day is their last, in eras of 400 years
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
const fn civil(days: u64) -> (u64, u64, u64) {
    let since_march_0000 = days + EPOCH_DAYS;
    let era = since_march_0000 / ERA_DAYS;
    let day_of_era = since_march_0000 % ERA_DAYS;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let january_or_february = (month <= 2) as u64;
    (era * 400 + year_of_era + january_or_february, month, day)
}

/// [`Utc`] from text, by Hinnant's `days_from_civil`.
fn parse(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize, range: RangeInclusive<u64>| -> Option<u64> {
        let digits = text.get(from..to)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().filter(|n| range.contains(n))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators
        .iter()
        .any(|(at, byte)| text.as_bytes().get(*at) != Some(byte))
    {
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
            if *sign == b'+' {
                (offset, 0)
            } else {
                (0, offset)
            }
        }
        _ => return None,
    };
    let (year, from_march) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        year * 365 + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + day - 1;
    let local = days.checked_sub(EPOCH_DAYS)? * DAY_S + hour * 3600 + minute * 60 + second;
    (local + west).checked_sub(east)
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn known_times_are_written() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (2_147_483_648, "2038-01-19T03:14:08Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Utc(seconds).to_string(), text);
        }
        // The end of the range is a year far out, not a panic.
        assert!(Utc(u64::MAX).to_string().ends_with('Z'));
    }

    /// Every day of 800 years follows the one before it by the rules of the calendar.
    #[test]
    fn days_follow_each_other() {
        let mut expected = (1970, 1, 1);
        for days in 0..292_194 {
            assert_eq!(civil(days), expected);
            let (year, month, day) = expected;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, day) if day == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }

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
            assert_eq!(parse(text), seconds, "{text}");
        }
    }

    #[test]
    fn writing_and_reading_agree() {
        for seconds in (0..5_000_000_000).step_by(86_400 * 13 + 7_331) {
            assert_eq!(Utc(seconds).to_string().parse(), Ok(Utc(seconds)));
        }
    }
}
