//! Where an update is: one line redrawn on a terminal, else a plain line for each step.

use std::fmt::Write as _;

use super::quantity::bytes;
use crate::api::{Progress, Step};
use relay_api::escape::text;

/// Cells of the bar.
const BAR_WIDTH: u64 = 24;

/// What is on the screen, so that only what changed is written.
pub(crate) struct ProgressText {
    /// Columns of the terminal; none if there is no terminal.
    columns: Option<usize>,
    step: Option<Step>,
    shown: String,
}

impl ProgressText {
    /// Nothing shown yet; `columns` of the terminal, none if there is none.
    pub(crate) fn new(columns: Option<usize>) -> Self {
        Self {
            columns,
            step: None,
            shown: String::new(),
        }
    }

    /// What to write for this progress; may be nothing.
    pub(crate) fn show(&mut self, progress: &Progress) -> String {
        let new_step = self.step.replace(progress.step) != Some(progress.step);
        match self.columns {
            None if new_step => format!("{}\n", words(progress.step)),
            None => String::new(),
            Some(columns) => {
                let line = cut(&bar(progress), columns.saturating_sub(1));
                if line == self.shown {
                    return String::new();
                }
                self.shown.clone_from(&line);
                format!("\r{line}\x1b[K")
            }
        }
    }

    /// What to write before anything else is printed: clears the line.
    pub(crate) fn clear(&mut self) -> String {
        if std::mem::take(&mut self.shown).is_empty() {
            String::new()
        } else {
            "\r\x1b[K".into()
        }
    }
}

/// What a step does, in words.
pub(crate) fn words(step: Step) -> &'static str {
    match step {
        Step::Verify => "Checking the bundle",
        Step::Fetch => "Fetching the bundle",
        Step::Stage => "Bringing the images in",
        Step::Wait => "Waiting for a lock or a window",
        Step::Switch => "Replacing services",
        Step::Trial => "Watching the new version",
        Step::Rollback => "Going back to the version before",
    }
}

fn bar(progress: &Progress) -> String {
    let mut line = format!("{:<24}", words(progress.step));
    if progress.total > 0 {
        let done = progress.done.min(progress.total);
        let cells = |of: u64| u128::from(done) * u128::from(of) / u128::from(progress.total);
        let filled = cells(BAR_WIDTH) as usize;
        let bar = "#".repeat(filled) + &"-".repeat(BAR_WIDTH as usize - filled);
        let amount = match progress.step {
            Step::Trial => format!("{} of {} s", done / 1000, progress.total.div_ceil(1000)),
            Step::Verify | Step::Fetch | Step::Stage => {
                format!("{} of {}", bytes(done), bytes(progress.total))
            }
            _ => format!("{done} of {}", progress.total),
        };
        let _ = write!(line, " [{bar}] {:>3} %  {amount}", cells(100));
    }
    if !progress.what.is_empty() {
        let _ = write!(line, "  {}", text(&progress.what));
    }
    line.truncate(line.trim_end().len());
    line
}

fn cut(line: &str, columns: usize) -> String {
    line.chars().take(columns).collect()
}
