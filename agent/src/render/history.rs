//! `agent history` and `agent doctor`: lists of what was found.

use super::quantity::moment;
use super::status::{result_tone, result_words};
use super::table::{Cell, plain, table};
use super::{Style, Tone};
use crate::api::{CheckView, HistoryView};

/// How updates ended.
pub(super) fn history(entries: &[HistoryView], style: Style) -> String {
    if entries.is_empty() {
        return "No updates yet.\n".into();
    }
    let rows: Vec<Vec<Cell>> = entries
        .iter()
        .map(|entry| {
            vec![
                plain(&moment(&entry.at)),
                plain(&entry.app),
                plain(&entry.version),
                plain(&entry.seq.to_string()),
                (
                    plain(result_words(&entry.result)).0,
                    result_tone(&entry.result),
                ),
                plain(entry.cause.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    table(
        "",
        &["WHEN", "APP", "VERSION", "SEQ", "RESULT", "CAUSE"],
        &rows,
        style,
    )
}

/// Whether the device is fit.
pub(super) fn checks(checks: &[CheckView], style: Style) -> String {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for check in checks {
        let tone = match check.result.as_str() {
            "ok" => Tone::Good,
            "warning" => Tone::Warning,
            _ => Tone::Bad,
        };
        rows.push(vec![
            (plain(&check.result).0, tone),
            plain(&check.name),
            plain(&check.found),
        ]);
        if !check.hint.is_empty() {
            let hint = format!("hint: {}", check.hint);
            rows.push(vec![plain(""), plain(""), (plain(&hint).0, Tone::Dim)]);
        }
    }
    table("", &[], &rows, style)
}
