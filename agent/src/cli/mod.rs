//! The command line: from words to an exit code.
//!
//! [`args`] reads the words by the [`table`], [`ask`] puts the request to the daemon or to an
//! engine in this process, [`daemon`] is `agent run`, [`terminal`] prints. Never touches a
//! container or the state itself.

mod args;
mod ask;
mod daemon;
mod enroll;
mod help;
mod nearest;
mod signals;
mod table;
mod terminal;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use log::LevelFilter;

use crate::api::Failure;
use crate::config::{self, Layers};
use crate::{exit, logging, time};
use args::{Ask, Invocation};
use terminal::Terminal;

pub use help::{command_help, overview};
pub(crate) use nearest::nearest;
pub use table::{COMMANDS, COMMON_CODES, Command, EXIT_CODES, Flag, GLOBAL_FLAGS};

/// The program: does what the command line says, and returns its exit code (`docs/agent-cli.md`).
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let json = words.iter().any(|word| word == "--json");
    ExitCode::from(match args::parse(words, time::now_s()) {
        Ok(invocation) => {
            let terminal = Terminal::new(invocation.json, invocation.quiet, invocation.no_color);
            run(invocation, &terminal)
        }
        Err(error) => Terminal::new(json, false, false).failure(&error.into()),
    })
}

fn run(invocation: Invocation, terminal: &Terminal) -> u8 {
    match invocation.ask {
        Ask::Help(command) => {
            terminal.print(&match command.and_then(Command::find) {
                Some(command) => command_help(command),
                None => overview(),
            });
            return exit::DONE;
        }
        Ask::Version => {
            terminal.print(&format!("agent {}\n", env!("CARGO_PKG_VERSION")));
            return exit::DONE;
        }
        _ => {}
    }
    let layers = Layers {
        file: invocation.config,
        flags: &invocation.settings,
        environment: &|name| std::env::var_os(name),
    };
    let config = match config::load(&layers) {
        Ok(config) => config,
        Err(error) => return terminal.failure(&error.into()),
    };
    let is_daemon = invocation.ask == Ask::Run;
    // What goes wrong in a request is in its answer; the log would say it twice.
    let usual = match invocation.verbose {
        _ if is_daemon => config.log_level,
        0 => LevelFilter::Off,
        _ => LevelFilter::Warn,
    };
    logging::start(level(usual, invocation.quiet, invocation.verbose));
    let done = match invocation.ask {
        Ask::Run => daemon::run(config).map(|()| exit::DONE),
        Ask::Verify { bundle, any_target } => ask::verify(&config, &bundle, any_target, terminal),
        Ask::Enroll { url, token } => enroll::request(&config, url, token)
            .and_then(|request| ask::ask(config, request, terminal)),
        Ask::Request(request) => ask::ask(config, request, terminal),
        Ask::Help(_) | Ask::Version => Ok(exit::DONE),
    };
    done.unwrap_or_else(|failure: Failure| terminal.failure(&failure))
}

/// The level to log at: `usual`, one step more for each `--verbose`, warnings only if quiet.
fn level(usual: LevelFilter, quiet: bool, verbose: u8) -> LevelFilter {
    let usual = if quiet {
        usual.min(LevelFilter::Warn)
    } else {
        usual
    };
    (0..verbose).fold(usual, |level, _| level.increment_severity())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbose_adds_and_quiet_caps() {
        use LevelFilter::{Debug, Error, Info, Trace, Warn};
        for (usual, quiet, verbose, wanted) in [
            (Info, false, 0, Info),
            (Info, false, 1, Debug),
            (Info, false, 9, Trace),
            (Info, true, 0, Warn),
            (Error, true, 0, Error),
            (Warn, false, 2, Debug),
        ] {
            assert_eq!(level(usual, quiet, verbose), wanted);
        }
    }
}
