//! RFC 3339 times, as runtimes write them, to and from seconds.
//!
//! Knows no time zones but the offset in the text, and no leap seconds.

/// Seconds since 1970-01-01 UTC of a time like `2026-11-22T05:33:53.123456789+01:00`; none if it
/// is not one, or before 1970 (podman writes year 1 for "never").
#[cfg(any(feature = "podman", test))]
pub(crate) fn parse(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        digits.parse().ok()
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let bytes = text.as_bytes();
    if separators
        .iter()
        .any(|(at, byte)| bytes.get(*at) != Some(byte))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let rest = text.get(19..)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let offset = match zone.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), ..] if zone.len() == 6 => {
            let at = text.len() - 6;
            let seconds = number(at + 1, at + 3)? * 3600 + number(at + 4, at + 6)? * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    // Days from civil: years begin in March, so that the leap day is the last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second - offset).ok()
}

/// The time in UTC, to the second.
#[cfg(any(feature = "fake", test))]
pub(crate) fn format(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let day = of_year - (153 * m + 2) / 5 + 1;
    let (month, carry) = if m < 10 { (m + 3, 0) } else { (m - 9, 1) };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        year + era * 400 + carry,
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-22T05:33:53.123456789Z", Some(1_795_325_633)),
            ("2026-11-22T06:33:53.1+01:00", Some(1_795_325_633)),
            ("2026-11-21T22:33:53-07:00", Some(1_795_325_633)),
            ("0001-01-01T00:00:00Z", None),
            ("2026-11-22 05:33:53Z", None),
            ("2026-11-22T05:33:53", None),
            ("2026-1é-22T05:33:53Z", None),
            ("", None),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }

    #[test]
    fn format_and_parse_agree() {
        for seconds in (0..5_000_000_000).step_by(86_400 * 13 + 7_331) {
            assert_eq!(parse(&format(seconds)), Some(seconds));
        }
    }
}
