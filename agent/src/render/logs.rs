//! `agent logs`: a line as it comes.

use super::quantity::moment;
use super::{Style, Tone};
use relay_api::escape;

/// `2026-11-22 05:33:53Z nginx: text`; what went to standard error is marked by its colour only.
pub(crate) fn log_line(service: &str, stream: &str, at: &str, text: &str, style: Style) -> String {
    let mut head = String::new();
    if !at.is_empty() {
        head += &moment(at);
        head.push(' ');
    }
    head += &escape::text(service);
    head.push(':');
    let tone = if stream == "stderr" {
        Tone::Warning
    } else {
        Tone::Dim
    };
    format!("{} {}\n", style.paint(tone, &head), escape::log_line(text))
}
