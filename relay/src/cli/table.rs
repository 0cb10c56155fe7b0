//! Aligned columns under headings, two spaces apart, without blanks at the end of a line.
//!
//! Never wraps: on a terminal that is too narrow, the columns that may be are cut, with `…`.

use relay_api::escape;

/// Narrowest that a column is cut to.
const CUT_MIN: usize = 8;
/// Between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    heading: &'static str,
    cut: bool,
}

/// A column that is always shown whole: what people copy.
pub(crate) const fn whole(heading: &'static str) -> Column {
    Column {
        heading,
        cut: false,
    }
}

/// A column that gives way on a narrow terminal.
pub(crate) const fn cut(heading: &'static str) -> Column {
    Column { heading, cut: true }
}

/// Rows as lines, each after `indent`; no line is longer than `width`, if there is one and only
/// columns that may be cut stand in the way. Cells are escaped, and `-` where there is nothing.
pub(crate) fn table(
    indent: &str,
    columns: &[Column],
    rows: &[Vec<String>],
    width: Option<usize>,
) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|text| cell(text)).collect())
        .collect();
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            let longest = cells.map(|cell| letters(cell)).max().unwrap_or(0);
            longest.max(letters(column.heading))
        })
        .collect();
    if let Some(width) = width {
        shrink(&mut widths, columns, width.saturating_sub(letters(indent)));
    }
    let headings: Vec<String> = columns.iter().map(|column| column.heading.into()).collect();
    let mut out = String::new();
    for row in std::iter::once(&headings).chain(&rows) {
        let mut line = indent.to_string();
        for (cell, width) in row.iter().zip(&widths) {
            let shown = shortened(cell, *width);
            line.push_str(&shown);
            line.extend(std::iter::repeat_n(' ', width - letters(&shown) + GAP));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Takes from the widest column that may be cut, until all fits or none can give any more.
fn shrink(widths: &mut [usize], columns: &[Column], room: usize) {
    let gaps = GAP * columns.len().saturating_sub(1);
    loop {
        let total = widths.iter().sum::<usize>() + gaps;
        let widest = (0..columns.len())
            .filter(|at| {
                columns[*at].cut && widths[*at] > CUT_MIN.max(letters(columns[*at].heading))
            })
            .max_by_key(|at| widths[*at]);
        match widest {
            Some(at) if total > room => widths[at] -= 1,
            _ => return,
        }
    }
}

fn cell(text: &str) -> String {
    if text.is_empty() {
        "-".to_string()
    } else {
        escape::text(text).into_owned()
    }
}

fn shortened(text: &str, width: usize) -> String {
    if letters(text) <= width {
        return text.to_string();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

fn letters(text: &str) -> usize {
    text.chars().count()
}

/// Names and values, the values in one column; rows without a value are left out.
pub(crate) fn facts(indent: &str, rows: &[(&str, String)]) -> String {
    let rows: Vec<_> = rows.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = rows
        .iter()
        .map(|(name, _)| letters(name))
        .max()
        .unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| {
        let value = escape::text(value);
        format!("{indent}{name:width$}  {value}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [whole("ID"), cut("LABELS"), whole("SEEN")];

    fn rows() -> Vec<Vec<String>> {
        let row = |id: &str, labels: &str, seen: &str| vec![id.into(), labels.into(), seen.into()];
        vec![
            row("dev-1", "role=kiosk site=harbour-north", "3 min ago"),
            row("d", "", ""),
        ]
    }

    #[test]
    fn columns_are_aligned_and_nothing_is_a_dash() {
        assert_eq!(
            table("", &COLUMNS, &rows(), None),
            "\
ID     LABELS                         SEEN
dev-1  role=kiosk site=harbour-north  3 min ago
d      -                              -
"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_what_may_be_cut() {
        assert_eq!(
            table("", &COLUMNS, &rows(), Some(32)),
            "\
ID     LABELS          SEEN
dev-1  role=kiosk si…  3 min ago
d      -               -
"
        );
        let narrowest = table("", &COLUMNS, &rows(), Some(1));
        assert!(
            narrowest.contains("dev-1  role=ki…  3 min ago\n"),
            "{narrowest}"
        );
    }

    #[test]
    fn a_device_cannot_draw_on_the_terminal() {
        let rows = vec![vec!["a\x1b[2J\r\nb".to_string()]];
        assert_eq!(
            table("  ", &[whole("ID")], &rows, None),
            "  ID\n  a\\u{1b}[2J\\r\\nb\n"
        );
        assert_eq!(
            facts(
                "",
                &[
                    ("a", "\x07".into()),
                    ("long", "x".into()),
                    ("none", String::new())
                ]
            ),
            "a     \\u{7}\nlong  x\n"
        );
    }
}
