//! The generated part of `docs/agent-cli.md`.

use agent::cli::{COMMANDS, EXIT_CODES, GLOBAL_FLAGS};

use crate::{AnyFlag, own_flags};

const BEGIN: &str = "<!-- made from the command table: begin -->";
const END: &str = "<!-- made from the command table: end -->";

/// The text with its generated part as the table says.
pub(crate) fn with_generated_part(docs: &str) -> String {
    let begin = docs
        .find(BEGIN)
        .expect("docs/agent-cli.md has no generated part")
        + BEGIN.len();
    let end = docs.find(END).expect("docs/agent-cli.md has no end mark");
    format!("{}\n{}{}", &docs[..begin], generated(), &docs[end..])
}

fn rows(flags: &[AnyFlag]) -> String {
    let mut out = "\n| Option | |\n|---|---|\n".to_owned();
    for flag in flags {
        let value = flag
            .value
            .as_ref()
            .map(|value| format!(" {value}"))
            .unwrap_or_default();
        out += &format!(
            "| `{}{value}` | {} |\n",
            flag.names().join("`, `"),
            flag.help
        );
    }
    out
}

fn generated() -> String {
    let mut out = String::new();
    for command in &COMMANDS {
        let line = format!("agent {} {}", command.name, command.operand);
        out += &format!("\n### `{}`\n\n{}.\n", line.trim_end(), command.summary);
        for paragraph in command.about {
            out += &format!("\n{paragraph}\n");
        }
        if !command.flags.is_empty() {
            out += &rows(&own_flags(command));
        }
        out += "\n```sh\n";
        for (line, what) in command.examples {
            out += &format!("{line}    # {what}\n");
        }
        out += "```\n";
        let codes: Vec<String> = command.codes.iter().map(ToString::to_string).collect();
        if !codes.is_empty() {
            out += &format!("\nExit codes beside 0, 1 and 2: {}.\n", codes.join(", "));
        }
    }
    out += "\n### Options of every command\n";
    out += &rows(&GLOBAL_FLAGS.iter().map(AnyFlag::of).collect::<Vec<_>>());
    out += "\nEvery setting of [agent.toml](agent.toml.md) is an option of every command too.\n";
    out += "\n### Exit codes\n\n| Code | Meaning |\n|---|---|\n";
    for (code, meaning) in &EXIT_CODES {
        out += &format!("| {code} | {meaning} |\n");
    }
    out
}
