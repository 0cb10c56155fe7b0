//! Completion for bash.

use agent::cli::COMMANDS;

use crate::{AnyFlag, LIST_APPS, Offer, common_flags, offer, own_flags};

fn names(flags: &[AnyFlag]) -> String {
    flags
        .iter()
        .flat_map(AnyFlag::names)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The names of the flags whose value is offered so.
fn with_value(wanted: &Offer) -> String {
    let own = COMMANDS.iter().flat_map(own_flags);
    let flags = common_flags().into_iter().chain(own);
    let fits = |flag: &AnyFlag| {
        flag.value
            .as_ref()
            .is_some_and(|value| offer(value) == *wanted)
    };
    flags
        .filter(fits)
        .flat_map(|flag| flag.names())
        .collect::<Vec<_>>()
        .join("|")
}

/// The script.
pub(crate) fn completion() -> String {
    let commands: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let (files, folders, others) = (
        with_value(&Offer::Files),
        with_value(&Offer::Folders),
        with_value(&Offer::Nothing),
    );
    let mut own = String::new();
    let mut operands = String::new();
    for command in &COMMANDS {
        if !command.flags.is_empty() {
            own += &format!(
                "        {}) flags+=\" {}\" ;;\n",
                command.name,
                names(&own_flags(command))
            );
        }
        operands += &match offer(command.operand) {
            Offer::Files => format!(
                "        {}) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n",
                command.name
            ),
            Offer::Apps => format!(
                "        {}) COMPREPLY=($(compgen -W \"$({LIST_APPS})\" -- \"$cur\")) ;;\n",
                command.name
            ),
            _ => String::new(),
        };
    }
    format!(
        r#"# Completion of the agent's command line for bash.
# Made from the command table: do not edit (agent/tests/documents).

_agent() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command= skip= word
    local flags="{common}"
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        if [[ $skip ]]; then skip=; continue; fi
        case $word in
        {files}|{folders}|{others}) skip=1 ;;
        -*) ;;
        *) command=${{command:-$word}} ;;
        esac
    done
    COMPREPLY=()
    case $prev in
        {files}) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        {folders}) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
        {others}) return ;;
    esac
    if [[ $cur == -* ]]; then
        case $command in
{own}        esac
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
        return
    fi
    case $command in
        "") COMPREPLY=($(compgen -W "{commands}" -- "$cur")) ;;
{operands}    esac
}}

complete -o filenames -F _agent agent
"#,
        common = names(&common_flags()),
        commands = commands.join(" "),
    )
}
