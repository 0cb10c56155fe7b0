//! The project's commands: `cargo xtask COMMAND`.
//!
//! One file per command. Results go to stdout, progress to stderr, and the last line of stdout
//! says how it ended (`cross: ok`), unless `--json` asked for JSON and nothing else. This program
//! never runs on a device, and no crate of ours depends on it.

mod bench;
mod cross;
mod demo;
mod host;
mod pip;
mod shell;
mod size;
mod test;
mod tidy;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

/// One sub-command: what the list shows, what `--help` shows, and what runs.
struct Command {
    /// The word after `cargo xtask`.
    name: &'static str,
    /// Its line in the list of commands.
    summary: &'static str,
    /// The whole of `cargo xtask NAME --help`.
    help: &'static str,
    /// Runs it; an [`Usage`] error becomes exit code 2, any other 1.
    run: fn(lexopt::Parser) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    test::COMMAND,
    cross::COMMAND,
    size::COMMAND,
    tidy::COMMAND,
    demo::COMMAND,
    bench::COMMAND,
];

/// A command line that cannot be understood.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Self {
        Usage(error.to_string())
    }
}

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.is_empty() {
        eprint!("{}", overview());
        return ExitCode::from(EXIT_USAGE);
    }
    let name = args.remove(0);
    if name == cross::zig::AS_COMPILER {
        return cross::zig::run_as_compiler(args);
    }
    if name == "--help" || name == "-h" || name == "help" {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| name == command.name) else {
        eprintln!("xtask: there is no command {name:?}\n");
        eprint!("{}", overview());
        return ExitCode::from(EXIT_USAGE);
    };
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{}", command.help);
        return ExitCode::SUCCESS;
    }
    let json = args.iter().any(|arg| arg == "--json");
    let (code, verdict) = match (command.run)(lexopt::Parser::from_args(args)) {
        Ok(()) => (0, "ok"),
        Err(error) if error.is::<Usage>() => {
            eprintln!("xtask {}: {error}\n\n{}", command.name, command.help);
            return ExitCode::from(EXIT_USAGE);
        }
        Err(error) => {
            eprintln!("{}: {error:#}", command.name);
            (EXIT_FAILED, "FAILED")
        }
    };
    if !json {
        println!("{}: {verdict}", command.name);
    }
    ExitCode::from(code)
}

/// The list of commands.
fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND [OPTIONS]\n\nCommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:8} {}\n", command.name, command.summary));
    }
    text.push_str(
        "\n`cargo xtask COMMAND --help` says more. Exit codes: 0 ok, 1 failed, 2 usage.\n",
    );
    text
}
