//! The man page and the completions of bash, zsh and fish, made from the tables of options.
//!
//! They are files of `dist/manual/`, so that who installs a package or runs `make install` needs no generator. This code is part of
//! the tests alone, and so of no program: `make manual` runs the test below with permission to write, and without that permission
//! the test fails where a file is not what the tables say.
//!
//! Owns which files there are. What an option means is not known here: see the tables.

use std::fs;
use std::path::{Path, PathBuf};

use self::commands::{Described, commands};

mod bash;
mod choices;
mod commands;
mod details;
mod fish;
mod mdoc;
mod page;
mod zsh;

/// `make manual` sets it.
const PERMISSION: &str = "STILLTHERE_MANUAL";

/// The files, by their names in `dist/manual/`.
fn files() -> [(&'static str, String); 4] {
    let commands = commands();
    [
        ("stillthere.1", page::page(&commands)),
        ("stillthere.bash", bash::script(&commands)),
        ("_stillthere", zsh::script(&commands)),
        ("stillthere.fish", fish::script(&commands)),
    ]
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/manual")
}

/// Options that are described together, because the help has one line for them.
fn together(described: &Described) -> Vec<Vec<&'static super::arguments::Opt>> {
    let (mut all, mut some) = (Vec::new(), Vec::new());
    for option in described.options {
        some.push(option);
        if !option.help.is_empty() {
            all.push(std::mem::take(&mut some));
        }
    }
    assert!(some.is_empty(), "{}: the last option has no help", described.name);
    all
}

#[test]
fn the_manual_says_what_the_tables_say() {
    let may_write = std::env::var_os(PERMISSION).is_some_and(|value| !value.is_empty());
    for (name, text) in files() {
        let path = directory().join(name);
        if may_write {
            fs::create_dir_all(directory()).unwrap();
            fs::write(&path, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        let place = text.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
        assert!(
            found == text,
            "dist/manual/{name} is out of date, from line {}: `make manual` makes it anew",
            place.unwrap_or(text.lines().count().min(found.lines().count())) + 1
        );
    }
}

/// Whoever adds a command describes it in `commands.rs`, too.
#[test]
fn every_command_is_described() {
    let names: Vec<&str> = commands().iter().map(|command| command.name).collect();
    let known = super::help::COMMANDS.iter().copied().filter(|name| *name != "help");
    assert_eq!(
        known.collect::<Vec<_>>(),
        names,
        "src/cli/manual/commands.rs describes the commands of the help, in its order"
    );
}

/// Looked for in the text of the files, and not in what the generator was given.
#[test]
fn every_option_of_every_command_is_in_every_file() {
    let [(_, page), (_, bash), (_, zsh), (_, fish)] = files();
    let mut count = 0;
    for command in commands() {
        // From the command's heading to the next one's.
        let of_page = between(&page, &format!("\n.Ss {}", command.name), "\n.Ss ", "\n.Sh ");
        let of_bash = between(&bash, &format!("\n        {})\n            offered=", command.name), ";;", ";;");
        let of_zsh = between(&zsh, &format!("\n        {})\n", command.name), "\n            ;;", "\n            ;;");
        for option in command.options {
            let name = option.name;
            let dashed = format!("Fl -{name}");
            assert!(has_word(of_page, &dashed), "{} --{name} is not in the man page", command.name);
            assert!(has_word(of_bash, &format!("--{name}")), "bash: {} --{name} is missing", command.name);
            let open = if option.value.is_empty() { "[" } else { "=[" };
            assert!(of_zsh.contains(&format!("--{name}{open}")), "zsh: {} --{name} is missing", command.name);
            let line = format!("complete -c stillthere -n '__stillthere_in {}' -l {name} ", command.name);
            assert!(fish.contains(&line), "fish: {} --{name} is missing", command.name);
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

fn between<'a>(text: &'a str, begin: &str, end: &str, or: &str) -> &'a str {
    let rest = text.split_once(begin).unwrap_or_else(|| panic!("there is no {begin:?}")).1;
    let end = rest.find(end).into_iter().chain(rest.find(or)).min().unwrap_or(rest.len());
    &rest[..end]
}

/// `--idle` is not in `--idle-time`.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        text[at + word.len()..].chars().next().is_none_or(|next| !next.is_ascii_alphanumeric() && next != '-')
    })
}
