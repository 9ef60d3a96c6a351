# Completion of `python -m src.train` in bash: eval "$(python -m src.train -sc install=bash)"
# Hydra's own script knows `python file.py` alone.
_src_train() {
    local line="${COMP_LINE:0:COMP_POINT}"
    [[ $line =~ ^([^ ]+)\ +-m\ +src\.train\ (.*)$ ]] || return
    local choices
    choices=$(COMP_LINE="src.train ${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}" -m src.train -sc query=bash 2> /dev/null)
    COMPREPLY=($(compgen -W "$choices" -- "${line##* }"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _src_train python python3
