//! The completion of fish.

use super::choices::{Choices, choices};
use super::commands::{Described, Offered};

const HEAD: &str = r#"# Completion of stillthere for fish. Made from the tables of options by `make manual`: changes to this file are lost.

# Whether the line is one of this command, whose name comes first.
function __stillthere_in
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

# Whether the second word is one of these; without any, whether there is none yet.
function __stillthere_lab
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = lab; or return 1
    if test (count $argv) -eq 0
        test (count $words) -eq 2
    else
        test (count $words) -ge 3; and contains -- $words[3] $argv
    end
end

# The ids of the peers of the server that the line names, or of the one on this machine.
function __stillthere_ids
    set -l words (commandline -opc)
    set -l asked
    for at in (seq 2 (count $words))
        switch $words[$at]
            case '--admin=*' '--admin-token-file=*'
                set -a asked $words[$at]
            case --admin --admin-token-file
                set -a asked $words[$at] $words[(math $at + 1)]
        end
    end
    $words[1] who --patience 500ms $asked 2>/dev/null | string match -rg '^(\S+-\S+)\s'
end

# What a list with commas may go on with.
function __stillthere_some
    set -l before (string replace -r '[^,=]*$' '' -- (commandline -ct) | string replace -r '^--[a-z-]+=' '')
    printf "$before%s\n" $argv
end

"#;

pub(super) fn script(commands: &[Described]) -> String {
    let mut script = HEAD.to_string();
    script += "complete -c stillthere -f\n";
    script += "complete -c stillthere -s h -l help -d 'list the options'\n";
    script += "complete -c stillthere -s V -l version -d 'print the version'\n";
    let none = "'test (count (commandline -opc)) -eq 1'";
    for command in commands {
        script += &format!("complete -c stillthere -n {none} -a {} -d {}\n", command.name, quoted(command.summary));
    }
    script += &format!("complete -c stillthere -n {none} -a help -d 'list the commands'\n");
    for command in commands {
        script.push('\n');
        for option in command.options {
            let values = match choices(command, option) {
                Choices::Switch => String::new(),
                Choices::Free => "-x ".to_string(),
                Choices::OneOf(names) => format!("-x -a {} ", quoted(&names.join(" "))),
                Choices::SomeOf(names) => {
                    format!("-x -a {} ", quoted(&format!("(__stillthere_some {})", names.join(" "))))
                }
                Choices::Files => "-r -F ".to_string(),
                Choices::Places { words, files } => {
                    let files = if files { "-r -F" } else { "-x" };
                    format!("{files} -a {} ", quoted(&words.join(" ")))
                }
                Choices::Commands => "-x -a '(__fish_complete_command)' ".to_string(),
                Choices::Users => "-x -a '(__fish_complete_users)' ".to_string(),
                Choices::Processes => "-x -a '(__fish_complete_pids)' ".to_string(),
            };
            script += &format!(
                "complete -c stillthere -n '__stillthere_in {}' -l {} {values}-d {}\n",
                command.name,
                option.name,
                quoted(&command.short(option))
            );
        }
        match &command.offered {
            Offered::Nothing => {}
            Offered::Ids => {
                script += &format!(
                    "complete -c stillthere -n '__stillthere_in {}' -a '(__stillthere_ids)' -d peer\n",
                    command.name
                );
            }
            Offered::Lab { first, scenes } => {
                for (name, words) in first {
                    script += &format!("complete -c stillthere -n __stillthere_lab -a {name} -d {}\n", quoted(words));
                }
                script += &format!(
                    "complete -c stillthere -n '__stillthere_lab run matrix' -a {}\n",
                    quoted(&scenes.join(" "))
                );
                script += "complete -c stillthere -n '__stillthere_lab compare' -F\n";
            }
        }
    }
    script
}

fn quoted(words: &str) -> String {
    format!("'{}'", words.replace('\\', "\\\\").replace('\'', "\\'"))
}
