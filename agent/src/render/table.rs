//! Aligned columns, two spaces apart, without blanks at the end of a line.

use super::{Style, Tone};
use relay_api::escape::text;

/// A cell: its text and its tone.
pub(super) type Cell = (String, Tone);

/// A cell of plain text, escaped.
pub(super) fn plain(from: &str) -> Cell {
    (text(from).into_owned(), Tone::Plain)
}

/// The rows under their headings, each line after `indent`. Columns without headings have none.
pub(super) fn table(indent: &str, headings: &[&str], rows: &[Vec<Cell>], style: Style) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let heading = headings
            .get(column)
            .map_or(0, |heading| heading.chars().count());
        cells
            .map(|(text, _)| text.chars().count())
            .max()
            .unwrap_or(0)
            .max(heading)
    };
    let columns = rows
        .iter()
        .map(Vec::len)
        .max()
        .unwrap_or(0)
        .max(headings.len());
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    if !headings.is_empty() {
        let cells: Vec<Cell> = headings
            .iter()
            .map(|heading| ((*heading).to_owned(), Tone::Dim))
            .collect();
        out += &line(indent, &cells, &widths, style);
    }
    for row in rows {
        out += &line(indent, row, &widths, style);
    }
    out
}

fn line(indent: &str, cells: &[Cell], widths: &[usize], style: Style) -> String {
    let mut out = indent.to_owned();
    let mut blanks = 0;
    for ((text, tone), width) in cells.iter().zip(widths) {
        if !text.is_empty() {
            out.extend(std::iter::repeat_n(' ', blanks));
            blanks = 0;
            out += &style.paint(*tone, text);
        }
        blanks += width - text.chars().count() + 2;
    }
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
    out
}
