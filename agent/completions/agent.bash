# Completion of the agent's command line for bash.
# Made from the command table: do not edit (agent/tests/documents).

_agent() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= skip= word
    local flags="-h --help -V --version --json -q --quiet -v --verbose --no-color --config --state-dir --keys-dir --runtime --control-socket --relay --relay-ca --labels --log-level --device-id --fleet --device-class --policy-file --time-zone --proxy --rate-max --byte-budget-month"
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ $skip ]]; then skip=; continue; fi
        case $word in
        --config|--control-socket|--relay-ca|--policy-file|--token-file|--state-dir|--keys-dir|--runtime|--relay|--labels|--log-level|--device-id|--fleet|--device-class|--time-zone|--proxy|--rate-max|--byte-budget-month|-n|--tail|--since|--token) skip=1 ;;
        -*) ;;
        *) command=${command:-$word} ;;
        esac
    done
    COMPREPLY=()
    case $prev in
        --config|--control-socket|--relay-ca|--policy-file|--token-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --state-dir|--keys-dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
        --runtime|--relay|--labels|--log-level|--device-id|--fleet|--device-class|--time-zone|--proxy|--rate-max|--byte-budget-month|-n|--tail|--since|--token) return ;;
    esac
    if [[ $cur == -* ]]; then
        case $command in
        verify) flags+=" --any-target" ;;
        logs) flags+=" -f --follow -n --tail --since" ;;
        enroll) flags+=" --token --token-file" ;;
        esac
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
        return
    fi
    case $command in
        "") COMPREPLY=($(compgen -W "run apply plan verify status ps logs history rollback remove doctor enroll" -- "$cur")) ;;
        apply) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        plan) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        verify) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        logs) COMPREPLY=($(compgen -W "$(agent status --json 2>/dev/null | sed -n 's/^ *"app": "\([a-z0-9-]*\)",$/\1/p')" -- "$cur")) ;;
        history) COMPREPLY=($(compgen -W "$(agent status --json 2>/dev/null | sed -n 's/^ *"app": "\([a-z0-9-]*\)",$/\1/p')" -- "$cur")) ;;
        rollback) COMPREPLY=($(compgen -W "$(agent status --json 2>/dev/null | sed -n 's/^ *"app": "\([a-z0-9-]*\)",$/\1/p')" -- "$cur")) ;;
        remove) COMPREPLY=($(compgen -W "$(agent status --json 2>/dev/null | sed -n 's/^ *"app": "\([a-z0-9-]*\)",$/\1/p')" -- "$cur")) ;;
    esac
}

complete -o filenames -F _agent agent
