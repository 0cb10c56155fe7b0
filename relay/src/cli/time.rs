//! Times and durations on the command line, and as people read them.

use jiff::Timestamp;

use super::failure::Failure;

/// Reads `2026-11-22T06:00:00Z` or `1795327200`.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(seconds);
    }
    let timestamp: Timestamp = text
        .parse()
        .map_err(|error| format!("expected RFC 3339 or seconds since 1970: {error}"))?;
    u64::try_from(timestamp.as_second()).map_err(|_| "before 1970".to_string())
}

/// When a bundle is issued if no flag says: `SOURCE_DATE_EPOCH` (reproducible-builds.org), else
/// now.
pub(crate) fn issued_at() -> Result<u64, Failure> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.trim().parse().map_err(|_| {
            Failure::usage(format_args!(
                "SOURCE_DATE_EPOCH is {text:?}, not seconds since 1970"
            ))
        }),
        Err(_) => Ok(u64::try_from(Timestamp::now().as_second()).unwrap_or(0)),
    }
}

/// A time for people: RFC 3339, in UTC.
pub(crate) fn show(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| seconds.to_string(), |timestamp| timestamp.to_string())
}

/// Units of durations, with their seconds.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];

/// Reads `90s`, `15m`, `1h`, `7d`; gives seconds, at least one.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    let expected = || "expected a duration such as 90s, 15m, 1h or 7d".to_string();
    let unit = |last| UNITS.iter().find(|(letter, _)| *letter == last);
    let (last, number) = {
        let mut letters = text.chars();
        (letters.next_back(), letters.as_str())
    };
    let (_, seconds) = last.and_then(unit).ok_or_else(expected)?;
    // `parse` would take a sign.
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(expected());
    }
    let number: u64 = number.parse().map_err(|_| expected())?;
    match number.checked_mul(*seconds) {
        Some(0) => Err("a duration of nothing".to_string()),
        Some(seconds) => Ok(seconds),
        None => Err(expected()),
    }
}

/// `3 min ago`, `in 2 h`; a time that nobody understands as it is.
pub(crate) fn relative(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else {
        return at.to_string();
    };
    let seconds = now.as_second() - at.as_second();
    let (number, unit) = match seconds.unsigned_abs() {
        seconds @ ..60 => (seconds, "s"),
        seconds @ ..3_600 => (seconds / 60, "min"),
        seconds @ ..172_800 => (seconds / 3_600, "h"),
        seconds => (seconds / 86_400, "d"),
    };
    match seconds {
        -4..=4 => "now".to_string(),
        5.. => format!("{number} {unit} ago"),
        _ => format!("in {number} {unit}"),
    }
}

/// A time to the second, and how long ago that is: `2026-11-22 05:33:53Z (3 min ago)`.
pub(crate) fn moment(at: &str, now: Timestamp) -> String {
    match at.parse::<Timestamp>() {
        Ok(time) => format!("{} ({})", time.strftime("%F %TZ"), relative(at, now)),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        assert_eq!(parse("1700000000"), Ok(1_700_000_000));
        assert_eq!(parse("2023-11-14T22:13:20Z"), Ok(1_700_000_000));
        assert_eq!(parse("2023-11-14T23:13:20+01:00"), Ok(1_700_000_000));
        assert!(parse("2023-11-14").is_err());
        assert!(parse("1960-01-01T00:00:00Z").is_err());
        assert_eq!(show(1_700_000_000), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "1w",
            "-1h",
            "+1h",
            "1.5h",
            "0s",
            "1 h",
            "1h30m",
            "ä",
            "9999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn times_as_people_say_them() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (at, wanted) in [
            ("2026-11-22T12:00:03Z", "now"),
            ("2026-11-22T11:59:20Z", "40 s ago"),
            ("2026-11-22T11:57:00Z", "3 min ago"),
            ("2026-11-21T09:00:00Z", "27 h ago"),
            ("2026-11-12T12:00:00Z", "10 d ago"),
            ("2026-11-22T13:30:00Z", "in 1 h"),
            ("soon", "soon"),
        ] {
            assert_eq!(relative(at, now), wanted, "{at}");
        }
        assert_eq!(
            moment("2026-11-22T12:57:00.5+01:00", now),
            "2026-11-22 11:57:00Z (3 min ago)"
        );
    }
}
