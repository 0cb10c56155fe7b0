//! Points in time on the command line: RFC 3339, or seconds since 1970.

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
}
