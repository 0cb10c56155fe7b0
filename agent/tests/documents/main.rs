//! What is written about the command line is what the command table says.
//!
//! The man page, the completions and the generated part of `docs/agent-cli.md` are made from the
//! table and compared with the committed files; `CORACLE_UPDATE_DOCS=1 cargo test -p agent --test
//! documents` writes them. They are made here and not by the agent, which stays small.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails so"
)]

mod bash;
mod completions;
mod man;
mod markdown;

use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use agent::cli::{COMMANDS, Command, Flag, GLOBAL_FLAGS};
use agent::config::KEYS;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares a committed file with what it must be, or writes it.
fn check(path: &str, wanted: &str) {
    let file = repository().join(path);
    if std::env::var_os("CORACLE_UPDATE_DOCS").is_some() {
        std::fs::write(file, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is not what the command table says: \
         run CORACLE_UPDATE_DOCS=1 cargo test -p agent --test documents"
    );
}

/// Runs a tool over a text on its standard input; none, and a line that says so, if it is absent.
fn run_tool(tool: &str, arguments: &[&str], input: &str) -> Option<(bool, String)> {
    use std::io::Write as _;
    let mut process = Process::new(tool);
    process
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = process.spawn() else {
        println!("not run: {tool} is not installed");
        return None;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&both).into_owned(),
    ))
}

/// A flag as the documents need it: of a command, of all commands, or a setting.
struct AnyFlag {
    long: String,
    short: Option<char>,
    value: Option<String>,
    help: String,
}

impl AnyFlag {
    fn of(flag: &Flag) -> Self {
        Self {
            long: flag.long.into(),
            short: flag.short,
            value: flag.value.map(String::from),
            help: flag.help.into(),
        }
    }

    /// `-f, --follow`
    fn names(&self) -> Vec<String> {
        let short = self.short.map(|short| format!("-{short}"));
        short
            .into_iter()
            .chain([format!("--{}", self.long)])
            .collect()
    }
}

/// The settings as flags.
fn settings() -> Vec<AnyFlag> {
    KEYS.iter()
        .map(|key| AnyFlag {
            long: key.flag(),
            short: None,
            value: Some(key.value.into()),
            help: format!("{} [{}]", key.help, key.default),
        })
        .collect()
}

/// The flags that every command has.
fn common_flags() -> Vec<AnyFlag> {
    GLOBAL_FLAGS
        .iter()
        .map(AnyFlag::of)
        .chain(settings())
        .collect()
}

fn own_flags(command: &Command) -> Vec<AnyFlag> {
    command.flags.iter().map(AnyFlag::of).collect()
}

/// What a shell can offer for a value or an operand.
#[derive(PartialEq)]
enum Offer {
    Files,
    Folders,
    Apps,
    Nothing,
}

fn offer(placeholder: &str) -> Offer {
    match placeholder {
        "FILE" | "PATH" | "BUNDLE" => Offer::Files,
        "DIR" => Offer::Folders,
        "APP" | "[APP]" | "[APP[/SERVICE]]" => Offer::Apps,
        _ => Offer::Nothing,
    }
}

/// Prints the names of the apps on this device, one a line, in any shell.
const LIST_APPS: &str =
    r#"agent status --json 2>/dev/null | sed -n 's/^ *"app": "\([a-z0-9-]*\)",$/\1/p'"#;

#[test]
fn the_man_page_is_up_to_date() {
    check("agent/man/agent.1", &man::page());
}

#[test]
fn the_man_page_names_everything_and_is_well_formed() {
    let page = man::page();
    for command in &COMMANDS {
        assert!(
            page.contains(&format!(".SS {}", command.name)),
            "{}",
            command.name
        );
    }
    for flag in COMMANDS.iter().flat_map(own_flags).chain(common_flags()) {
        assert!(
            page.contains(&man::escape(&format!("--{}", flag.long))),
            "{}",
            flag.long
        );
    }
    let arguments = ["-man", "-Tutf8", "-ww", "-z"];
    if let Some((good, output)) = run_tool("groff", &arguments, &page) {
        assert!(good && output.is_empty(), "{output}");
    }
}

#[test]
fn the_completions_are_up_to_date() {
    check("agent/completions/agent.bash", &bash::completion());
    check("agent/completions/_agent", &completions::zsh());
    check("agent/completions/agent.fish", &completions::fish());
}

#[test]
fn the_completions_are_well_formed() {
    for (shell, text) in [
        ("bash", bash::completion()),
        ("zsh", completions::zsh()),
        ("fish", completions::fish()),
    ] {
        if let Some((good, output)) = run_tool(shell, &["-n"], &text) {
            assert!(good && output.is_empty(), "{shell}: {output}");
        }
    }
}

#[test]
fn bash_offers_what_fits() {
    let offers = |words: &str| -> Option<Vec<String>> {
        let words: Vec<&str> = words.split(' ').collect();
        let script = format!(
            "{}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_agent\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            bash::completion(),
            words
                .iter()
                .map(|word| format!("'{word}'"))
                .collect::<Vec<_>>()
                .join(" "),
            words.len() - 1
        );
        let (good, output) = run_tool("bash", &["-s"], &script)?;
        assert!(good, "{output}");
        Some(
            output
                .lines()
                .filter(|line| !line.is_empty())
                .map(String::from)
                .collect(),
        )
    };
    for (words, wanted) in [
        ("agent app", vec!["apply"]),
        ("agent --json st", vec!["status"]),
        ("agent --fleet x st", vec!["status"]),
        ("agent logs --fo", vec!["--follow"]),
        ("agent status --fo", vec![]),
        ("agent verify --any", vec!["--any-target"]),
        ("agent status --state", vec!["--state-dir"]),
        ("agent logs --tail ", vec![]),
        (
            "agent --config /etc/host",
            vec!["/etc/host.conf", "/etc/hostname", "/etc/hosts"],
        ),
    ] {
        let Some(found) = offers(words) else { return };
        if words.contains("/etc/") {
            assert!(
                found.iter().any(|path| path == "/etc/hosts"),
                "{words}: {found:?}"
            );
        } else {
            assert_eq!(found, wanted, "{words}");
        }
    }
}

#[test]
fn the_commands_are_described_as_they_are() {
    let path = "docs/agent-cli.md";
    let docs = std::fs::read_to_string(repository().join(path)).unwrap();
    check(path, &markdown::with_generated_part(&docs));
}

#[test]
fn the_settings_are_described() {
    let reference = std::fs::read_to_string(repository().join("docs/agent.toml.md")).unwrap();
    let example = std::fs::read_to_string(repository().join("agent/dist/agent.toml")).unwrap();
    for key in &KEYS {
        for text in [
            format!("`{}`", key.name),
            format!("--{}", key.flag()),
            key.variable(),
        ] {
            assert!(
                reference.contains(&text),
                "docs/agent.toml.md does not name {text}"
            );
        }
        assert!(
            example
                .lines()
                .any(|line| line.trim_start_matches("# ").starts_with(key.name)),
            "agent/dist/agent.toml does not show {}",
            key.name
        );
    }
}

#[test]
fn the_example_configuration_is_valid_as_it_is_and_with_every_line_on() {
    let text = std::fs::read_to_string(repository().join("agent/dist/agent.toml")).unwrap();
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(off) if off.starts_with('[') || off.contains(" = ") => format!("{off}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    for text in [text, all] {
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, &text).unwrap();
        let layers = agent::config::Layers {
            file: Some(file),
            flags: &[],
            environment: &|_| None,
        };
        agent::config::load(&layers).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    }
}
