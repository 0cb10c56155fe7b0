//! Byte ranges of a file that never changes (RFC 9110, sections 13 and 14): which bytes a request
//! gets. Pure.
//!
//! Never gives more than one range: a request for several gets the whole file, as section 14.2
//! allows, and devices ask for one (clause D41).

/// What a request gets of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: 200.
    Whole,
    /// These bytes: 206.
    Range {
        /// The first byte.
        first: u64,
        /// The last byte, which is in the range too.
        last: u64,
    },
    /// Nothing: it has the file already. 304.
    NotModified,
    /// The range lies outside: 416.
    Outside,
}

/// The conditional headers of a request, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions<'a> {
    pub(super) range: Option<&'a str>,
    pub(super) if_range: Option<&'a str>,
    pub(super) if_none_match: Option<&'a str>,
}

/// Decides which part of a file with this strong `ETag` (quotes and all) a `GET` gets.
pub(super) fn part(conditions: Conditions<'_>, etag: &str, bytes: u64) -> Part {
    if conditions
        .if_none_match
        .is_some_and(|list| names(list, etag))
    {
        return Part::NotModified;
    }
    // A date, or the tag of another file: the range was meant for something else.
    if conditions.if_range.is_some_and(|tag| tag.trim() != etag) {
        return Part::Whole;
    }
    match conditions.range {
        Some(range) => single(range, bytes),
        None => Part::Whole,
    }
}

/// Whether an `If-None-Match` list names the tag; compared weakly (section 13.1.2).
fn names(list: &str, etag: &str) -> bool {
    list.trim() == "*"
        || list.split(',').any(|one| {
            let one = one.trim();
            one.strip_prefix("W/").unwrap_or(one) == etag
        })
}

/// A `Range` header. One that makes no sense is ignored (section 14.2).
fn single(range: &str, bytes: u64) -> Part {
    let Some(spec) = range.trim().strip_prefix("bytes=") else {
        return Part::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Part::Whole;
    };
    let (first, last) = (number(first), number(last));
    match (first, last) {
        (Position::At(first), Position::At(last)) if first > last => Part::Whole,
        (Position::At(first), _) if first >= bytes => match last {
            Position::Wrong => Part::Whole,
            _ => Part::Outside,
        },
        (Position::At(first), Position::At(last)) => Part::Range {
            first,
            last: last.min(bytes - 1),
        },
        (Position::At(first), Position::None) => Part::Range {
            first,
            last: bytes - 1,
        },
        // The last so many bytes.
        (Position::None, Position::At(0)) => Part::Outside,
        (Position::None, Position::At(_)) if bytes == 0 => Part::Outside,
        (Position::None, Position::At(count)) => Part::Range {
            first: bytes.saturating_sub(count),
            last: bytes - 1,
        },
        _ => Part::Whole,
    }
}

#[derive(Clone, Copy)]
enum Position {
    None,
    At(u64),
    Wrong,
}

/// Digits only: `+5`, which Rust would take, is none. What is too large is as good as endless.
fn number(text: &str) -> Position {
    let text = text.trim();
    if text.is_empty() {
        return Position::None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Position::Wrong;
    }
    Position::At(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";

    fn check(range: &str, bytes: u64, want: Part) {
        let conditions = Conditions {
            range: Some(range),
            ..Conditions::default()
        };
        assert_eq!(part(conditions, TAG, bytes), want, "{range} of {bytes}");
    }

    fn range(first: u64, last: u64) -> Part {
        Part::Range { first, last }
    }

    #[test]
    fn ranges_as_the_rfc_says() {
        check("bytes=0-0", 10, range(0, 0));
        check("bytes=0-9", 10, range(0, 9));
        check("bytes=2-", 10, range(2, 9));
        check("bytes=2-99", 10, range(2, 9));
        check("bytes=-3", 10, range(7, 9));
        check("bytes=-30", 10, range(0, 9));
        check("bytes=0-18446744073709551616", 10, range(0, 9));
        check("bytes=9223372036854775808-", 1 << 40, Part::Outside);
        check("bytes=10-", 10, Part::Outside);
        check("bytes=10-12", 10, Part::Outside);
        check("bytes=99999999999999999999-", 10, Part::Outside);
        check("bytes=-0", 10, Part::Outside);
        check("bytes=0-", 0, Part::Outside);
        check("bytes=-1", 0, Part::Outside);
    }

    #[test]
    fn what_is_no_single_range_gets_the_whole() {
        for wrong in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2,4-5",
            "items=0-1",
            "bytes=1--2",
            "bytes=0x1-2",
            "bytes=20-1x",
        ] {
            check(wrong, 10, Part::Whole);
        }
    }

    #[test]
    fn if_range_holds_only_for_the_same_file() {
        let with = |if_range| Conditions {
            range: Some("bytes=1-2"),
            if_range: Some(if_range),
            if_none_match: None,
        };
        assert_eq!(part(with(TAG), TAG, 10), range(1, 2));
        for other in [
            "\"abd\"",
            "W/\"abc\"",
            "Wed, 25 Nov 2026 00:00:00 GMT",
            "abc",
        ] {
            assert_eq!(part(with(other), TAG, 10), Part::Whole, "{other}");
        }
    }

    #[test]
    fn if_none_match_comes_first() {
        let with = |list| Conditions {
            range: Some("bytes=1-2"),
            if_range: None,
            if_none_match: Some(list),
        };
        for same in [TAG, "*", "\"x\", \"abc\"", "W/\"abc\""] {
            assert_eq!(part(with(same), TAG, 10), Part::NotModified, "{same}");
        }
        assert_eq!(part(with("\"x\""), TAG, 10), range(1, 2));
    }
}
