//! The help texts, made from the table.

use super::table::{COMMANDS, COMMON_CODES, Command, EXIT_CODES, Flag, GLOBAL_FLAGS};
use crate::config::KEYS;

/// Columns of a help text.
const COLUMNS: usize = 80;

/// What `agent --help` says.
pub fn overview() -> String {
    let mut out =
        "Apply signed bundles of containers to this device, watch them, and go back by itself.\n\n\
                   Usage: agent COMMAND [OPTIONS]\n\nCommands:\n"
            .to_owned();
    let commands = COMMANDS
        .iter()
        .map(|command| (synopsis(command), command.summary.to_owned()));
    out += &list(commands.collect());
    out += "\nOptions of every command:\n";
    out += &list(GLOBAL_FLAGS.iter().map(flag_line).collect());
    out += "\nSettings, each also a key of agent.toml and a variable of the environment\n\
            (`state_dir`, CORACLE_STATE_DIR); the command line wins, then the environment:\n";
    let keys = KEYS.iter().map(|key| {
        let help = format!("{} [{}]", key.help, key.default);
        (format!("    --{} {}", key.flag(), key.value), help)
    });
    out += &list(keys.collect());
    out + "\nSee `agent COMMAND --help` for examples and exit codes.\n"
}

/// What `agent COMMAND --help` says.
pub fn command_help(command: &Command) -> String {
    let mut out = format!(
        "{}.\n\nUsage: agent {} [OPTIONS]\n",
        command.summary,
        synopsis(command)
    );
    for paragraph in command.about {
        out.push('\n');
        out += &wrap(paragraph, 0);
    }
    out += "\nOptions:\n";
    let flags = command.flags.iter().chain(&GLOBAL_FLAGS[..]);
    out += &list(flags.map(flag_line).collect());
    out += "\nThe settings of `agent --help` are options too.\n\nExamples:\n";
    for (line, what) in command.examples {
        out += &format!("  {line}\n      {what}\n");
    }
    out += "\nExit codes:\n";
    let codes = EXIT_CODES
        .iter()
        .filter(|(code, _)| COMMON_CODES.contains(code) || command.codes.contains(code))
        .map(|(code, meaning)| (format!("{code:>2}"), (*meaning).to_owned()));
    out + &list(codes.collect())
}

fn synopsis(command: &Command) -> String {
    format!("{} {}", command.name, command.operand)
        .trim_end()
        .to_owned()
}

fn flag_line(flag: &Flag) -> (String, String) {
    let short = flag
        .short
        .map_or("    ".to_owned(), |short| format!("-{short}, "));
    let value = flag
        .value
        .map(|value| format!(" {value}"))
        .unwrap_or_default();
    (
        format!("{short}--{}{value}", flag.long),
        flag.help.to_owned(),
    )
}

/// Two columns, the second one wrapped.
fn list(rows: Vec<(String, String)>) -> String {
    const INDENT: usize = 2;
    let width = rows
        .iter()
        .map(|(left, _)| left.chars().count())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for (left, right) in rows {
        let column = INDENT + width + 2;
        let head = format!("{:INDENT$}{left:<width$}  ", "");
        out += &head;
        out += wrap(&right, column).trim_start();
    }
    out
}

/// The text in lines of at most [`COLUMNS`], each after `indent` blanks.
fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let wanted = indent + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && wanted > COLUMNS {
            out += &format!("{:indent$}{line}\n", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    out + &format!("{:indent$}{line}\n", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_a_narrow_terminal() {
        for text in COMMANDS.iter().map(command_help).chain([overview()]) {
            for line in text.lines() {
                assert!(line.chars().count() <= COLUMNS + 10, "too wide: {line}");
                assert_eq!(line, line.trim_end());
            }
        }
    }

    #[test]
    fn help_of_a_command_is_complete() {
        let command = Command::find("verify").unwrap_or(&COMMANDS[0]);
        assert_eq!(
            command_help(command),
            "\
Check a bundle's signature, target and every byte.

Usage: agent verify BUNDLE [OPTIONS]

Needs the release keys, but neither the daemon nor a container runtime, and
changes nothing. Says who signed it and what it is for.

Options:
      --any-target   Accept a bundle for other devices too
  -h, --help         Say what the agent, or a command, can do
  -V, --version      Print the version
      --json         Print JSON on standard output, and nothing else there
  -q, --quiet        Print results and errors only; log warnings and errors only
  -v, --verbose      Log more; twice: log everything
      --no-color     Print without colours (so does NO_COLOR in the environment)
      --config FILE  Configuration, with conf.d next to it (CORACLE_CONFIG)

The settings of `agent --help` are options too.

Examples:
  agent verify kiosk.bin
      would this device take it?
  agent verify --any-target --keys-dir keys kiosk.bin
      on another machine

Exit codes:
   0  done
   1  failed, for a reason that no other code names
   2  the command line or the configuration is wrong
  10  the bundle was refused: signature, target, expiry, sequence
  13  the bundle could not be read to its end, or the relay does not answer
"
        );
    }
}
