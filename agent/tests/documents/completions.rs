//! Completions for zsh and fish.

use agent::cli::COMMANDS;

use crate::{AnyFlag, LIST_APPS, Offer, common_flags, offer, own_flags};

const HEAD: &str = "Made from the command table: do not edit (agent/tests/documents).";

/// A text within the single quotes of a shell.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

fn zsh_flag(flag: &AnyFlag) -> String {
    let help = quoted(&flag.help)
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:");
    let value = match &flag.value {
        None => String::new(),
        Some(value) => {
            let action = match offer(value) {
                Offer::Files => "_files",
                Offer::Folders => "_files -/",
                _ => "",
            };
            format!(":{}:{action}", value.replace(':', "\\:"))
        }
    };
    let assigned = if flag.value.is_some() { "=" } else { "" };
    match flag.short {
        None => format!("'--{}{assigned}[{help}]{value}'", flag.long),
        Some(short) => {
            let short_assigned = if flag.value.is_some() { "+" } else { "" };
            format!(
                "'(-{short} --{long})'{{-{short}{short_assigned},--{long}{assigned}}}'[{help}]{value}'",
                long = flag.long
            )
        }
    }
}

/// The function for zsh.
pub(crate) fn zsh() -> String {
    let mut commands = String::new();
    let mut cases = String::new();
    for command in &COMMANDS {
        commands += &format!("    '{}:{}'\n", command.name, quoted(command.summary));
        let mut arguments: Vec<String> = own_flags(command).iter().map(zsh_flag).collect();
        match offer(command.operand) {
            Offer::Files => arguments.push(format!("'1:{}:_files'", command.operand)),
            Offer::Apps => arguments.push("'1:app:_agent_apps'".into()),
            _ => {}
        }
        cases += &format!("    {}) _arguments -s $common", command.name);
        for argument in arguments {
            cases += &format!(" \\\n        {argument}");
        }
        cases += " ;;\n";
    }
    let common: Vec<String> = common_flags()
        .iter()
        .map(|flag| format!("    {}\n", zsh_flag(flag)))
        .collect();
    format!(
        r#"#compdef agent
# {HEAD}

_agent_apps() {{
  local -a apps
  apps=(${{(f)"$({LIST_APPS})"}})
  compadd -a apps
}}

_agent() {{
  local curcontext=$curcontext state line
  local -a common commands
  common=(
{common}  )
  commands=(
{commands}  )
  _arguments -C -s $common '1:command:->command' '*::operand:->operand' && return
  case $state in
  command) _describe command commands ;;
  operand)
    case $line[1] in
{cases}    esac ;;
  esac
}}

_agent "$@"
"#,
        common = common.concat(),
    )
}

fn fish_flag(condition: &str, flag: &AnyFlag) -> String {
    let short = flag
        .short
        .map(|short| format!(" -s {short}"))
        .unwrap_or_default();
    let value = match flag.value.as_deref().map(offer) {
        None => "",
        Some(Offer::Files) => " -rF",
        Some(Offer::Folders) => " -xa '(__fish_complete_directories)'",
        Some(_) => " -x",
    };
    let help = flag.help.replace('\\', "\\\\").replace('\'', "\\'");
    format!(
        "complete -c agent{condition}{short} -l {}{value} -d '{help}'\n",
        flag.long
    )
}

/// The completions for fish.
pub(crate) fn fish() -> String {
    let mut out = format!("# Completion of the agent's command line for fish.\n# {HEAD}\n\n");
    out += "complete -c agent -f\n";
    for command in &COMMANDS {
        let help = command.summary.replace('\'', "\\'");
        out += &format!(
            "complete -c agent -n __fish_use_subcommand -a {} -d '{help}'\n",
            command.name
        );
    }
    for command in &COMMANDS {
        let condition = format!(" -n '__fish_seen_subcommand_from {}'", command.name);
        for flag in own_flags(command) {
            out += &fish_flag(&condition, &flag);
        }
        match offer(command.operand) {
            Offer::Files => out += &format!("complete -c agent{condition} -F\n"),
            Offer::Apps => {
                let list = LIST_APPS.replace('\\', "\\\\").replace('\'', "\\'");
                out += &format!("complete -c agent{condition} -a '({list})'\n");
            }
            _ => {}
        }
    }
    for flag in common_flags() {
        out += &fish_flag("", &flag);
    }
    out
}
