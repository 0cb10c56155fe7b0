//! The man page, in the macros of man(7).

use agent::cli::{COMMANDS, Command, EXIT_CODES, GLOBAL_FLAGS};
use agent::config::KEYS;

use crate::{AnyFlag, own_flags};

/// Text as troff prints it literally.
pub(crate) fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// As [`escape`], with `code` set in bold.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for (index, piece) in text.split('`').enumerate() {
        if index % 2 == 1 {
            out += &format!("\\fB{}\\fR", escape(piece));
        } else {
            out += &escape(piece);
        }
    }
    out
}

fn flag(flag: &AnyFlag) -> String {
    let names: Vec<String> = flag
        .names()
        .iter()
        .map(|name| format!("\\fB{}\\fR", escape(name)))
        .collect();
    let value = flag
        .value
        .as_ref()
        .map(|value| format!(" \\fI{}\\fR", escape(value)));
    format!(
        ".TP\n{}{}\n{}\n",
        names.join(", "),
        value.unwrap_or_default(),
        prose(&flag.help)
    )
}

fn command(command: &Command) -> String {
    let mut out = format!(".SS {} {}", command.name, command.operand)
        .trim_end()
        .to_owned()
        + "\n";
    out += &format!("{}.\n", prose(command.summary));
    for paragraph in command.about {
        out += &format!(".PP\n{}\n", prose(paragraph));
    }
    for own in own_flags(command) {
        out += &flag(&own);
    }
    for (line, what) in command.examples {
        out += &format!(".PP\n\\fB{}\\fR\n.br\n{}\n", escape(line), prose(what));
    }
    let codes: Vec<String> = command.codes.iter().map(ToString::to_string).collect();
    if !codes.is_empty() {
        out += &format!(".PP\nExit codes beside 0, 1 and 2: {}.\n", codes.join(", "));
    }
    out
}

/// The page.
pub(crate) fn page() -> String {
    let mut out = "\
.\\\" Made from the command table: do not edit (agent/tests/documents).
.TH AGENT 1 \"\" Coracle \"User Commands\"
.SH NAME
agent \\- apply signed bundles of containers to this device, watch them, and go back by itself
.SH SYNOPSIS
\\fBagent\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]
.SH DESCRIPTION
The agent runs nothing that it cannot verify. It brings everything in before it stops anything,
watches what is new for a while, and returns to the version before if that is not well. Its
containers keep running whether it runs or not.
.PP
Results go to standard output, everything else to standard error.
.SH COMMANDS
"
    .to_owned();
    out.extend(COMMANDS.iter().map(command));
    out += ".SH OPTIONS\nEvery command takes these.\n";
    out.extend(GLOBAL_FLAGS.iter().map(|global| flag(&AnyFlag::of(global))));
    out += "\
.SH SETTINGS
Every command takes these too. Each is also a key of the configuration file and a variable of the
environment. The command line wins over the environment, and that over the file.
";
    for key in &KEYS {
        out += &format!(
            ".TP\n\\fB{}\\fR \\fI{}\\fR\n{}; {} unless set. Key \\fB{}\\fR, variable \\fB{}\\fR.\n",
            escape(&format!("--{}", key.flag())),
            escape(key.value),
            prose(key.help),
            escape(key.default),
            key.name,
            key.variable(),
        );
    }
    out += ".SH EXIT STATUS\n";
    for (code, meaning) in &EXIT_CODES {
        out += &format!(".TP\n\\fB{code}\\fR\n{}\n", escape(meaning));
    }
    out + "\
.SH ENVIRONMENT
.TP
\\fBCORACLE_CONFIG\\fR
The configuration file, as \\fB\\-\\-config\\fR.
.TP
\\fBNO_COLOR\\fR
No colours, as \\fB\\-\\-no\\-color\\fR.
.TP
\\fBNOTIFY_SOCKET\\fR, \\fBWATCHDOG_USEC\\fR
Set by systemd: where to report, and how often.
.SH FILES
.TP
\\fI/etc/coracle/agent.toml\\fR, \\fI/etc/coracle/conf.d/*.toml\\fR
Configuration.
.TP
\\fI/etc/coracle/keys/*.pub\\fR
Release keys, in minisign's format.
.TP
\\fI/var/lib/coracle\\fR
State.
.TP
\\fI/run/coracle/agent.sock\\fR
Control socket.
.SH SEE ALSO
\\fBminisign\\fR(1), \\fBpodman\\fR(1), \\fBsystemd.service\\fR(5)
"
}
