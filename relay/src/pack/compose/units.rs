//! Durations, byte sizes and numbers in the grammar of Compose ("Value units" of the Compose
//! specification).
//!
//! Never guesses: a number without a unit is a duration only where Compose takes one.

/// A duration such as `1h30m`, `90s`, `500ms`, `100us`, in milliseconds (below one, up to one).
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut micros: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let micros_per_unit: u64 = match unit {
            "us" | "µs" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            _ => return None,
        };
        micros = micros.checked_add(scaled(number, micros_per_unit)?)?;
        rest = next;
    }
    Some(micros.div_ceil(1_000))
}

/// A byte size such as `64m`, `1.5gb`, `2048`, `10kb`; units are powers of 1024 as in Compose.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    scaled(number, 1 << shift)
}

/// A decimal number in thousandths: `0.5` is 500.
pub(crate) fn milli(text: &str) -> Option<u64> {
    scaled(text, 1_000)
}

/// `number` (decimal, possibly with a fraction) times `factor`, rounded down, without floats.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { digits(whole)? };
    let part = if fraction.is_empty() {
        0
    } else {
        let power = 10u128.pow(u32::try_from(fraction.len()).ok()?);
        u64::try_from(u128::from(digits(fraction)?) * u128::from(factor) / power).ok()?
    };
    whole.checked_mul(factor)?.checked_add(part)
}

fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, want) in [
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("1.5s", Some(1_500)),
            ("250ms", Some(250)),
            ("10us", Some(1)),
            ("0s", Some(0)),
            ("30", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1d", None),
            ("99999999999999h", None),
        ] {
            assert_eq!(duration_ms(text), want, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, want) in [
            ("64m", Some(64 << 20)),
            ("64M", Some(64 << 20)),
            ("1.5gb", Some(3 << 29)),
            ("2048", Some(2048)),
            ("10kb", Some(10 << 10)),
            ("5b", Some(5)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1t", None),
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
        assert_eq!(milli("0.5"), Some(500));
        assert_eq!(milli("2"), Some(2000));
        assert_eq!(milli(".25"), Some(250));
        assert_eq!(milli("a"), None);
    }
}
