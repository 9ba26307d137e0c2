//! The completion of bash.
//!
//! It needs nothing but bash, 4.3 or later. It puts together again what bash parts at `=` and `:`, so that `--log=de` and
//! `unix:/run/a` are one word each, and answers with the part of it that bash replaces.

use super::choices::{Choices, choices};
use super::commands::{Described, Offered};

const HEAD: &str = r#"# Completion of stillthere for bash. Made from the tables of options by `make manual`: changes to this file are lost.

_stillthere() {
    local -a words=() matches=()
    local cur command option='' value='' joined='' glued='' token last strip line i
    local choices='' offered='' several='' kind='' IFS=$' \t\n'
    COMPREPLY=()

    # `=` and `:` part words for bash, and do not for the program.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        token=${COMP_WORDS[i]}
        if [[ -z $token && $i == "$COMP_CWORD" && ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]]; then
            words+=('')
        elif ((${#words[@]})) && [[ $token =~ ^[:=]+$ ]]; then
            words[-1]+=$token
            glued=yes
            continue
        elif [[ $glued ]]; then
            words[-1]+=$token
        else
            words+=("$token")
        fi
        glued=
    done
    cur=${words[-1]}
    # Bash replaces this much of it; an answer is without what comes before.
    last=${COMP_WORDS[COMP_CWORD]}
    [[ $last =~ ^[:=]+$ ]] && last=
    strip=${cur%"$last"}

"#;

const TAIL: &str = r#"
    case $kind in
        '') ;;
        files | places)
            local before=$joined
            if [[ $kind == places ]]; then
                case $value in
                    unix:*) before=${joined}unix: value=${value#unix:} ;;
                    *) choices=$offered ;;
                esac
            fi
            if [[ $kind == files || $before == *unix: || $several ]]; then
                while IFS= read -r line; do
                    [[ $line ]] && matches+=("$before$line")
                done < <(compgen -f -- "$value")
                # Only while bash completes: then it quotes names, and adds a slash to directories.
                compopt -o filenames 2>/dev/null
            fi
            ;;
        commands) while IFS= read -r line; do matches+=("$joined$line"); done < <(compgen -c -- "$value") ;;
        users) while IFS= read -r line; do matches+=("$joined$line"); done < <(compgen -u -- "$value") ;;
        processes)
            for line in /proc/[0-9]*; do
                [[ ${line#/proc/} == "$value"* ]] && matches+=("$joined${line#/proc/}")
            done
            ;;
        some)
            # After the last comma.
            local listed=''
            [[ $value == *,* ]] && listed=${value%,*},
            for line in $choices; do
                [[ $listed$line == "$value"* ]] && matches+=("$joined$listed$line")
            done
            choices=
            compopt -o nospace 2>/dev/null
            ;;
        ids) choices=$(_stillthere_ids "${words[@]}") ;;
        words) ;;
    esac
    for line in $choices; do
        [[ $joined$line == "$cur"* ]] && matches+=("$joined$line")
        [[ $line == *: && $joined$line == "$cur"* ]] && compopt -o nospace 2>/dev/null
    done
    for line in "${matches[@]}"; do
        COMPREPLY+=("${line#"$strip"}")
    done
}

# The ids of the peers of the server that the line names, or of the one on this machine.
_stillthere_ids() {
    local -a asked=()
    local i
    for ((i = 1; i < $#; i++)); do
        case ${!i} in
            --admin=* | --admin-token-file=*) asked+=("${!i}") ;;
            --admin | --admin-token-file)
                asked+=("${!i}")
                ((i++))
                asked+=("${!i}")
                ;;
        esac
    done
    "${COMP_WORDS[0]}" who --patience 500ms "${asked[@]}" 2>/dev/null | while read -r id rest; do
        [[ $id == *-* ]] && printf '%s\n' "$id"
    done
}

complete -F _stillthere stillthere
"#;

pub(super) fn script(commands: &[Described]) -> String {
    let mut script = HEAD.to_string();
    let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
    script += "    if ((${#words[@]} == 1)); then\n";
    script += &format!("        choices='{} help --help --version' kind=words\n", names.join(" "));
    script += "    fi\n    command=${words[0]}\n\n    # The options of the command, and which of them take a value.\n    local takes=''\n";
    script += "    ((${#words[@]} > 1)) && case $command in\n";
    for command in commands {
        let all = command
            .options
            .iter()
            .map(|option| format!("--{}", option.name))
            .chain(["--help".into(), "--version".into()]);
        let takes =
            command.options.iter().filter(|option| !option.value.is_empty()).map(|option| format!("--{}", option.name));
        script += &format!("        {})\n", command.name);
        script += &format!("            offered='{}'\n", all.collect::<Vec<_>>().join(" "));
        script += &format!("            takes=' {} '\n            ;;\n", takes.collect::<Vec<_>>().join(" "));
    }
    script += r#"    esac

    # The option whose value this is, if it is one.
    if [[ $offered ]]; then
        if [[ $cur == --*=* ]]; then
            option=${cur%%=*} value=${cur#*=} joined=${cur%%=*}=
        elif ((${#words[@]} > 2)) && [[ $takes == *" ${words[-2]} "* ]]; then
            option=${words[-2]} value=$cur
        elif [[ $cur == -* ]]; then
            choices=$offered kind=words
        else
            option=words value=$cur
        fi
    fi

    case $command:$option in
"#;
    for command in commands {
        script += &values(command);
        script += &words(command);
    }
    script + "    esac\n" + TAIL
}

/// What is offered after each option of a command.
fn values(command: &Described) -> String {
    let mut script = String::new();
    for option in command.options {
        let offer = match choices(command, option) {
            Choices::Free => continue,
            Choices::Switch => "choices='yes no' kind=words".to_string(),
            Choices::OneOf(names) => format!("choices='{}' kind=words", names.join(" ")),
            Choices::SomeOf(names) => format!("choices='{}' kind=some", names.join(" ")),
            Choices::Files => "kind=files".to_string(),
            Choices::Places { words, files } => {
                let several = if files { " several=yes" } else { "" };
                format!("offered='{}' kind=places{several}", words.join(" "))
            }
            Choices::Commands => "kind=commands".to_string(),
            Choices::Users => "kind=users".to_string(),
            Choices::Processes => "kind=processes".to_string(),
        };
        script += &format!("        {}:--{}) {offer} ;;\n", command.name, option.name);
    }
    script
}

/// What is offered in place of words.
fn words(command: &Described) -> String {
    match &command.offered {
        Offered::Nothing => String::new(),
        Offered::Ids => format!("        {}:words) kind=ids ;;\n", command.name),
        Offered::Lab { first, scenes } => {
            let first: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
            format!(
                "        {}:words)\n            kind=words\n            case ${{words[1]}}:${{#words[@]}} in\n                \
                 *:2) choices='{}' ;;\n                compare:*) kind=files ;;\n                run:* | matrix:*) choices='{}' ;;\n            \
                 esac\n            ;;\n",
                command.name,
                first.join(" "),
                scenes.join(" ")
            )
        }
    }
}
