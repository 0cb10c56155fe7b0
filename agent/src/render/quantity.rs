//! Numbers and times as people read them.

use bundle::Utc;

use relay_api::escape::text;

/// Bytes with three figures: `17 B`, `1.5 KiB`, `31.2 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1 << 10 {
        return format!("{count} B");
    }
    let mut unit = 0;
    // Tenths, so that no floating point is needed; rounding up may reach the next unit.
    let mut tenths = (u128::from(count) * 10 + 512) >> 10;
    while tenths >= 10_235 && unit + 1 < UNITS.len() {
        tenths = (tenths + 512) >> 10;
        unit += 1;
    }
    if tenths < 1000 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", (tenths + 5) / 10, UNITS[unit])
    }
}

/// A time of an answer (RFC 3339) to the second: `2026-11-22 05:33:53Z`.
pub(super) fn moment(at: &str) -> String {
    match at.parse::<Utc>() {
        Ok(utc) => utc.to_string().replacen('T', " ", 1),
        Err(_) => text(at).into_owned(),
    }
}

/// `1 service`, `2 services`.
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_figures() {
        for (count, wanted) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (102_348, "99.9 KiB"),
            (102_400, "100 KiB"),
            (1_048_575, "1.0 MiB"),
            (1 << 20, "1.0 MiB"),
            (32_715_571, "31.2 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(count), wanted, "{count}");
        }
    }

    #[test]
    fn moments_are_in_utc() {
        assert_eq!(
            moment("2026-11-22T06:33:53.25+01:00"),
            "2026-11-22 05:33:53Z"
        );
        assert_eq!(moment("never\x1b"), "never\\u{1b}");
    }
}
