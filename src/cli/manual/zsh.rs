//! The completion of zsh, for its `_arguments`.

use super::choices::{Choices, choices};
use super::commands::{Described, Offered};
use crate::cli::arguments::Opt;

const HEAD: &str = r#"#compdef stillthere
# Completion of stillthere for zsh. Made from the tables of options by `make manual`: changes to this file are lost.

# The ids of the peers of the server that the line names, or of the one on this machine.
_stillthere_ids() {
    local -a asked ids
    local option expl
    for option in --admin --admin-token-file; do
        [[ -n ${opt_args[$option]} ]] && asked+=("$option" "${(Q)opt_args[$option]}")
    done
    ids=(${(f)"$(_call_program ids ${(q)service} who --patience 500ms ${(q)asked} 2>/dev/null)"})
    ids=(${ids%% *})
    ids=(${(M)ids:#*-*})
    _wanted ids expl 'id of a peer' compadd -a ids
}

# These words, or the path of a socket after `unix:`; with `files`, any path.
_stillthere_place() {
    local files=$1
    shift
    if compset -P unix:; then
        _files
        return
    fi
    local expl
    local -a prefixes=(${(M)@:#*:}) whole=(${@:#*:})
    _wanted places expl 'place' compadd -a whole
    _wanted places expl 'place' compadd -S '' -a prefixes
    [[ $files == files ]] && _files
}

_stillthere() {
    local curcontext=$curcontext state line expl ret=1
    typeset -A opt_args

"#;

pub(super) fn script(commands: &[Described]) -> String {
    let mut script = HEAD.to_string();
    script += "    if ((CURRENT == 2)); then\n        local -a commands=(\n";
    for command in commands {
        script +=
            &format!("            {}\n", quoted(&format!("{}:{}", command.name, command.summary.replace(':', "\\:"))));
    }
    script +=
        "            'help:list the commands'\n        )\n        _describe -t commands command commands && ret=0\n";
    script += "        _arguments : '(- *)'{-h,--help}'[list the commands]' '(- *)'{-V,--version}'[print the version]' && ret=0\n";
    script += "        return ret\n    fi\n\n    local command=$words[2]\n    shift words\n    ((CURRENT--))\n";
    script += "    curcontext=${curcontext%:*}-$command:\n    case $command in\n";
    for command in commands {
        script += &format!("        {})\n            _arguments -s : \\\n", command.name);
        script += "                '(- *)'{-h,--help}'[list the options]' \\\n";
        script += "                '(- *)'{-V,--version}'[print the version]' \\\n";
        for option in command.options {
            script += &format!("                {} \\\n", specification(command, option));
        }
        script += &words(command);
        script += "            ;;\n";
    }
    script + "    esac\n    return ret\n}\n\n_stillthere \"$@\"\n"
}

fn quoted(words: &str) -> String {
    format!("'{}'", words.replace('\'', "'\\''"))
}

fn specification(command: &Described, option: &Opt) -> String {
    let words = command.short(option).replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
    let value = option.value.replace(':', "\\:");
    let action = match choices(command, option) {
        Choices::Switch => return quoted(&format!("--{}[{words}]", option.name)),
        Choices::Free => " ".to_string(),
        Choices::OneOf(names) => format!("({})", names.join(" ")),
        Choices::SomeOf(names) => format!("_values -s , '' {}", names.join(" ")),
        Choices::Files => "_files".to_string(),
        Choices::Places { words, files } => {
            let kind = if files { "files" } else { "none" };
            format!(
                "_stillthere_place {kind} {}",
                words.iter().map(|word| word.replace(':', "\\:")).collect::<Vec<_>>().join(" ")
            )
        }
        Choices::Commands => "_command_names -e".to_string(),
        Choices::Users => "_users".to_string(),
        Choices::Processes => "_pids".to_string(),
    };
    quoted(&format!("*--{}=[{words}]:{value}:{action}", option.name))
}

/// The last arguments of `_arguments`, and what follows from its state.
fn words(command: &Described) -> String {
    match &command.offered {
        Offered::Nothing => "                '*:word: ' && ret=0\n".to_string(),
        Offered::Ids => "                '*:id:_stillthere_ids' && ret=0\n".to_string(),
        Offered::Lab { first, scenes } => {
            let first: Vec<String> =
                first.iter().map(|(name, words)| format!("{name}\\:{}", quoted_in(words))).collect();
            format!(
                "                '1:lab command:(({}))' \\\n                '*:: :->rest' && ret=0\n            \
                 if [[ $state == rest ]]; then\n                case $line[1] in\n                    \
                 run | matrix) _wanted scenes expl scene compadd {} && ret=0 ;;\n                    \
                 compare) _files -/ && ret=0 ;;\n                esac\n            fi\n",
                first.join(" "),
                scenes.join(" ")
            )
        }
    }
}

fn quoted_in(words: &str) -> String {
    format!("\"{words}\"")
}
