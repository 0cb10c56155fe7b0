//! What a person sees while packing: a bar on a terminal, plain lines elsewhere, or nothing.
//!
//! Never writes to standard output, which belongs to results.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress of one command.
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
    quiet: bool,
}

impl Progress {
    /// Progress on standard error; `quiet` leaves only warnings.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal && !quiet {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10))
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            lines: !terminal && !quiet,
            quiet,
        }
    }

    /// A step of known or unknown length in bytes begins.
    pub(crate) fn step(&self, what: &str, bytes: u64) {
        if self.lines {
            eprintln!("{what}");
        }
        self.step_quietly(what, bytes);
    }

    /// A step that is worth a bar, but no line where there is none.
    pub(crate) fn step_quietly(&self, what: &str, bytes: u64) {
        let template = if bytes > 0 {
            "{msg:<44!} [{bar:24}] {bytes:>10}/{total_bytes:<10} {eta}"
        } else {
            "{msg:<44!} {spinner} {bytes}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_position(0);
        self.bar.reset_eta();
        self.bar.set_length(bytes);
        self.bar.set_message(what.to_string());
    }

    /// So many bytes more are done.
    pub(crate) fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// So many bytes are done in all.
    pub(crate) fn set(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// A step has ended; a line of it stays.
    pub(crate) fn done(&self, what: &str) {
        if self.lines {
            eprintln!("{what}");
        } else if !self.quiet {
            self.bar.println(what);
        }
    }

    /// Something that a person should know, also with `--quiet`.
    pub fn warn(&self, message: &str) {
        self.bar.suspend(|| eprintln!("warning: {message}"));
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
