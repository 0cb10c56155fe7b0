//! Printing: results on standard output, everything else on standard error.
//!
//! Whether anybody still reads is not the agent's business: a closed pipe ends the printing, not
//! the work.

use std::cell::{Cell, RefCell};
use std::env;
use std::io::{self, IsTerminal as _, Write as _};

use crate::api::{Failure, Reply, Update, VerifyView};
use crate::render::{self, ProgressText, Style};

/// Columns of a terminal that does not say how many it has.
const COLUMNS_USUAL: usize = 80;

/// Where and how to print.
pub(super) struct Terminal {
    json: bool,
    quiet: bool,
    out: Style,
    err: Style,
    progress: RefCell<ProgressText>,
    closed: Cell<bool>,
}

impl Terminal {
    /// As the flags, the environment and the two outputs say.
    pub(super) fn new(json: bool, quiet: bool, no_color: bool) -> Self {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colors = !no_color && !dumb && !set("NO_COLOR");
        let drawn = io::stderr().is_terminal() && !dumb;
        Self {
            json,
            quiet,
            out: Style {
                color: colors && io::stdout().is_terminal(),
            },
            err: Style {
                color: colors && io::stderr().is_terminal(),
            },
            progress: RefCell::new(ProgressText::new(drawn.then(columns))),
            closed: Cell::new(false),
        }
    }

    /// Prints a text as it is.
    pub(super) fn print(&self, text: &str) {
        self.clear();
        let mut out = io::stdout().lock();
        if out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            self.closed.set(true);
        }
    }

    /// Whether nobody reads the results any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Prints what happens on the way to an answer.
    pub(super) fn update(&self, update: &Update) {
        match update {
            Update::Progress(_) if self.quiet => {}
            Update::Progress(progress) => write_err(&self.progress.borrow_mut().show(progress)),
            Update::Log {
                service,
                stream,
                at,
                text,
            } if self.json => {
                self.print(&render::log_json(service, stream, at, text));
            }
            Update::Log {
                service,
                stream,
                at,
                text,
            } => {
                self.print(&render::log_line(service, stream, at, text, self.out));
            }
        }
    }

    /// Prints the answer; for people, `done` stands for [`Reply::Done`].
    pub(super) fn reply(&self, reply: &Reply, done: &str) {
        match reply {
            _ if self.json => self.print(&render::reply_json(reply)),
            Reply::Done => self.print(done),
            _ => self.print(&render::reply(reply, self.out)),
        }
    }

    /// Prints a bundle that is in order.
    pub(super) fn verified(&self, view: &VerifyView) {
        if self.json {
            self.print(&render::verified_json(view));
        } else {
            self.print(&render::verified(view, self.out));
        }
    }

    /// Prints a sentence for a person, unless there shall be none.
    pub(super) fn note(&self, sentence: &str) {
        self.clear();
        if !self.quiet {
            write_err(&format!("{sentence}\n"));
        }
    }

    /// Prints a failure; its exit code.
    pub(super) fn failure(&self, failure: &Failure) -> u8 {
        self.clear();
        if self.json {
            self.print(&render::failure_json(failure));
        }
        write_err(&render::failure(failure, self.err));
        failure.code
    }

    fn clear(&self) {
        write_err(&self.progress.borrow_mut().clear());
    }
}

fn write_err(text: &str) {
    // There is nobody to tell that standard error is gone.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn columns() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => COLUMNS_USUAL,
    }
}
