# SPDX-License-Identifier: Apache-2.0
# bash completion of mqdump, mqshark, mqfuzz and mqbroker: the options are asked of the program's own --help, so they never differ.
_mqshark()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local IFS=$' \t\n'
    COMPREPLY=()
    case $prev in
    -i) mapfile -t COMPREPLY < <(compgen -W "any $(ls /sys/class/net 2>/dev/null)" -- "$cur") ;;
    -T) mapfile -t COMPREPLY < <(compgen -W 'text fields json eve' -- "$cur") ;;
    -t) mapfile -t COMPREPLY < <(compgen -W 'a ad d dd e r u ud' -- "$cur") ;;
    --fail-on) mapfile -t COMPREPLY < <(compgen -W 'note warning error' -- "$cur") ;;
    --color) mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$cur") ;;
    *)
        if [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null | grep -oE '(^|[ ,])--?[a-zA-Z][a-z-]*' | tr -d ' ,')" -- "$cur")
        else
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
        ;;
    esac
}
complete -F _mqshark mqdump mqshark mqfuzz mqbroker
