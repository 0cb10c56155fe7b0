//! Text from elsewhere, made safe to print: no control characters, bounded length.
//!
//! A log line or a version label that holds an escape sequence could move the cursor, forge
//! lines, or retitle the terminal of whoever reads it.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write as _;

/// Most bytes of a short text: a name, a message.
const TEXT_BYTES_MAX: usize = 2 << 10;
/// Most bytes of a line of a log.
const LOG_BYTES_MAX: usize = 16 << 10;

/// A short text: control characters become `\n`, `\t`, `\u{1b}`; too much is cut off.
pub fn text(from: &str) -> Cow<'_, str> {
    escaped(from, TEXT_BYTES_MAX, false)
}

/// A line of a log: as [`text`], but tabs stay, and it may be longer.
pub fn log_line(from: &str) -> Cow<'_, str> {
    escaped(from, LOG_BYTES_MAX, true)
}

/// JSON as `serde_json` writes it, with the control characters escaped that JSON allows in a
/// string and a terminal obeys (DEL, C1, text direction).
pub fn json(from: &str) -> Cow<'_, str> {
    if from.chars().all(|c| c == '\n' || !is_unsafe(c)) {
        return from.into();
    }
    let mut out = String::with_capacity(from.len() + 16);
    for c in from.chars() {
        if c != '\n' && is_unsafe(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out.into()
}

fn escaped(from: &str, bytes_max: usize, tabs: bool) -> Cow<'_, str> {
    let fits = |c: char| !is_unsafe(c) || (tabs && c == '\t');
    if from.len() <= bytes_max && from.chars().all(fits) {
        return from.into();
    }
    let mut out = String::with_capacity(from.len().min(bytes_max) + 16);
    for (at, c) in from.char_indices() {
        if at >= bytes_max {
            let _ = write!(out, "… ({} bytes more)", from.len() - at);
            break;
        }
        if fits(c) {
            out.push(c)
        } else {
            out.extend(escape(c))
        }
    }
    out.into()
}

/// Control characters, line separators, and what changes the direction of text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(c: char) -> impl Iterator<Item = char> {
    let short = matches!(c, '\n' | '\r' | '\t');
    c.escape_default()
        .filter(move |_| short)
        .chain(c.escape_unicode().filter(move |_| !short))
}

/// Cuts a text to at most so many bytes, between two characters.
pub fn cut(text: &mut String, bytes_max: usize) {
    let mut ends = (0..=bytes_max.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Log injection: what attackers put into lines that an operator will look at.
    const CORPUS: [(&str, &str); 12] = [
        ("plain text, ä, 日本", "plain text, ä, 日本"),
        ("ok\r\nerror: forged line", "ok\\r\\nerror: forged line"),
        ("\x1b[2J\x1b[H", "\\u{1b}[2J\\u{1b}[H"),
        ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
        ("\x1b]52;c;ZXZpbA==\x07", "\\u{1b}]52;c;ZXZpbA==\\u{7}"),
        ("\x1bP+q544e\x1b\\", "\\u{1b}P+q544e\\u{1b}\\"),
        ("\u{9b}31m", "\\u{9b}31m"),
        ("overwritten\rnew", "overwritten\\rnew"),
        ("back\x08\x08\x08\x08", "back\\u{8}\\u{8}\\u{8}\\u{8}"),
        ("nul\0 del\x7f", "nul\\u{0} del\\u{7f}"),
        ("abc\u{202e}fdp.exe", "abc\\u{202e}fdp.exe"),
        ("two\u{2028}lines", "two\\u{2028}lines"),
    ];

    #[test]
    fn log_injection_is_shown_and_not_obeyed() {
        for (from, wanted) in CORPUS {
            assert_eq!(text(from), wanted);
            assert_eq!(log_line(from), wanted);
        }
        assert_eq!(text("a\tb"), "a\\tb");
        assert_eq!(log_line("a\tb"), "a\tb");
    }

    #[test]
    fn json_stays_the_same_value_and_obeys_nothing() {
        for (from, _) in CORPUS {
            let written = serde_json::to_string(from).unwrap();
            let safe = json(&written);
            assert!(safe.chars().all(|c| !is_unsafe(c)), "{safe}");
            assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), from);
        }
    }

    #[test]
    fn length_is_capped_at_a_letter() {
        let long = "ä".repeat(TEXT_BYTES_MAX);
        let short = text(&long);
        assert!(short.len() < TEXT_BYTES_MAX + 32);
        assert!(
            short.ends_with("ä… (2048 bytes more)"),
            "{}",
            &short[short.len() - 40..]
        );
    }
}
