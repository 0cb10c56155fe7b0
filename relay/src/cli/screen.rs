//! Where answers of a relay go: tables for people, JSON for programs, on standard output; notes on
//! standard error.
//!
//! A reader that went away (`| head`) ends the printing, not the work.

use std::io::{self, IsTerminal as _, Write as _};

use jiff::Timestamp;
use relay_api::escape;
use serde::Serialize;

use super::failure::Failure;
use super::time;

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// How results are printed
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Output {
    /// The form of the result
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORM",
        default_value = "table",
        help_heading = "Output"
    )]
    output: Format,

    /// No notes and no progress, only the result
    #[arg(short, long, global = true, help_heading = "Output")]
    quiet: bool,
}

/// What a text needs to know about its reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The time, to say how long ago something was.
    pub(crate) now: Timestamp,
    /// Whether a person reads.
    pub(crate) terminal: bool,
    /// Letters in a line, if that is known.
    pub(crate) width: Option<usize>,
}

impl Look {
    /// A time in a table: `3 min ago` for a person, else as the API has it.
    pub(crate) fn time(&self, at: &str) -> String {
        if self.terminal {
            time::relative(at, self.now)
        } else {
            at.to_string()
        }
    }

    /// A time with room around it: `2026-11-22 05:33:53Z (3 min ago)`.
    pub(crate) fn moment(&self, at: &str) -> String {
        time::moment(at, self.now)
    }
}

/// Where a command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    output: Output,
    look: Look,
}

impl Screen {
    /// As the flags say, on this process's outputs.
    pub(crate) fn new(output: Output) -> Self {
        let terminal = io::stdout().is_terminal();
        let size = terminal_size::terminal_size_of(io::stdout());
        Self {
            output,
            look: Look {
                now: Timestamp::now(),
                terminal,
                width: size.map(|(width, _)| width.0.into()),
            },
        }
    }

    /// Whether nothing but the result is wanted.
    pub(crate) const fn quiet(&self) -> bool {
        self.output.quiet
    }

    /// Whether a program reads.
    pub(crate) fn json(&self) -> bool {
        self.output.output == Format::Json
    }

    /// Whether a person looks at standard output.
    pub(crate) const fn terminal(&self) -> bool {
        self.look.terminal
    }

    /// Prints a result: the value itself for programs, the text for people.
    pub(crate) fn show<T: Serialize + ?Sized>(
        &self,
        value: &T,
        text: impl FnOnce(&Look) -> String,
    ) -> Result<(), Failure> {
        if self.json() {
            let json = serde_json::to_string_pretty(value).map_err(Failure::new)?;
            print(&escape::json(&(json + "\n")));
        } else {
            // A command may have waited for what it shows.
            let now = Timestamp::now();
            print(&text(&Look { now, ..self.look }));
        }
        Ok(())
    }

    /// A sentence beside the result, for people.
    pub(crate) fn note(&self, sentence: &str) {
        if !self.output.quiet {
            // There is nobody to tell that standard error is gone.
            let _ = writeln!(io::stderr(), "{}", sentence);
        }
    }
}

fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
