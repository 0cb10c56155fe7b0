//! Answers as text for people and as JSON for scripts.
//!
//! Pure: from the types of [`crate::api`] to text. Whatever comes from a bundle, a log or a
//! runtime goes through `crate::escape`. Never prints, and never asks the terminal anything.

mod history;
mod json;
mod logs;
mod plan;
mod progress;
mod quantity;
mod status;
mod table;
mod update;
mod verify;

#[cfg(test)]
mod tests;

use crate::api::{Failure, Reply};
use crate::exit;
use relay_api::escape::text;

pub(crate) use json::verified as verified_json;
pub(crate) use json::{failure as failure_json, log_line as log_json, reply as reply_json};
pub(crate) use logs::log_line;
pub(crate) use progress::{ProgressText, words as step_words};
pub(crate) use update::removed;
pub(crate) use verify::verified;

/// How to print.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// Whether colours may be used.
    pub(crate) color: bool,
}

/// What a piece of text says about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Dim,
}

impl Style {
    /// The text in its tone's colour.
    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.into(),
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
        };
        if self.color && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.into()
        }
    }
}

/// The answer for a person; ends with a line feed unless it is empty.
pub(crate) fn reply(reply: &Reply, style: Style) -> String {
    match reply {
        Reply::Done => String::new(),
        Reply::Applied(applied) => update::applied(applied),
        Reply::Plan(plan) => plan::plan(plan, style),
        Reply::Status(status) => status::status(status, style),
        Reply::Containers(containers) => status::containers(containers, style),
        Reply::History(entries) => history::history(entries, style),
        Reply::Doctor(checks) => history::checks(checks, style),
        Reply::Enrolled(enrolled) => update::enrolled(enrolled),
    }
}

/// The failure for a person: what is wrong, then what to do.
pub(crate) fn failure(failure: &Failure, style: Style) -> String {
    let (tone, word) = match failure.code {
        exit::ALREADY_CURRENT => (Tone::Plain, "note:"),
        _ => (Tone::Bad, "error:"),
    };
    let mut out = format!("{} {}\n", style.paint(tone, word), text(&failure.message));
    if !failure.hint.is_empty() {
        out += &format!(
            "{} {}\n",
            style.paint(Tone::Dim, "hint:"),
            text(&failure.hint)
        );
    }
    out
}
