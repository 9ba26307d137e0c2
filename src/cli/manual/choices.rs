//! What may stand after an option, as far as a shell can offer it.
//!
//! Owns how that is found: in the help, whose lists are all of the form `wait (default), refuse or evict-oldest-idle`; in the
//! placeholder, such as FILE; else in the lists that the program itself checks against.

use std::path::Path;

use super::commands::Described;
use crate::ask::Sort;
use crate::cli::arguments::Opt;
use crate::plan::MIDDLEBOXES;

/// What a shell offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choices {
    /// It takes no value.
    Switch,
    /// A number, a duration, an address: nothing that a shell knows.
    Free,
    OneOf(Vec<String>),
    /// Several, with commas between them.
    SomeOf(Vec<String>),
    Files,
    /// These, or `unix:` and the path of a socket; a plain path, too, if `files`.
    Places {
        words: Vec<String>,
        files: bool,
    },
    Commands,
    Users,
    Processes,
}

pub(super) fn choices(command: &Described, option: &Opt) -> Choices {
    let listed = listed(&command.words_of(option));
    match (option.name, option.value) {
        (_, "") => Choices::Switch,
        ("sort", _) => Choices::OneOf(Sort::ALL.map(|sort| sort.name().to_string()).into()),
        ("preset", _) => {
            let names = crate::cli::lab_options::presets().into_iter().chain(["all"]);
            let names = names.map(str::to_string).collect();
            Choices::SomeOf(names)
        }
        ("behind", _) => Choices::SomeOf(MIDDLEBOXES.iter().map(|one| one.key.to_string()).collect()),
        ("user-timeout", _) => Choices::OneOf(["auto", "sliding", "off"].map(str::to_string).into()),
        ("admin", _) => Choices::Places { words: vec!["127.0.0.1:7070".into(), "unix:".into()], files: false },
        ("events", _) => Choices::Places { words: vec!["-".into(), "tcp:".into(), "unix:".into()], files: true },
        ("user", _) => Choices::Users,
        ("log-format", _) => Choices::OneOf(["text", "json"].map(str::to_string).into()),
        ("profile", _) => Choices::OneOf(crate::cli::profile::names().map(str::to_string).collect()),
        (_, "FILE") => Choices::Files,
        (_, "COMMAND") => Choices::Commands,
        (_, "PID") => Choices::Processes,
        _ if listed.is_empty() => Choices::Free,
        _ => Choices::OneOf(listed),
    }
}

/// The names in a list such as `data unacked: auto (default), sliding, off or 4500ms`; none if it is no such list. What begins with
/// a digit is an example.
fn listed(help: &str) -> Vec<String> {
    let list = help.rsplit(": ").next().unwrap_or_default();
    let parts: Vec<&str> = list.split(", ").flat_map(|part| part.split(" or ")).map(|part| part.trim()).collect();
    let names: Vec<&str> = parts.iter().map(|part| part.strip_suffix(" (default)").unwrap_or(part)).collect();
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if names.len() < 2 || !names.iter().all(is_name) {
        return Vec::new();
    }
    names
        .into_iter()
        .filter(|name| !name.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_string)
        .collect()
}

#[test]
fn a_list_is_told_from_a_sentence() {
    assert_eq!(listed("wait (default), refuse or evict-oldest-idle"), ["wait", "refuse", "evict-oldest-idle"]);
    assert_eq!(listed("data unacked: auto (default), sliding, off, 4500ms"), ["auto", "sliding", "off"]);
    for sentence in
        ["silence before probes, and the probes", "only those from this address or network", "as for `serve`", ""]
    {
        assert!(listed(sentence).is_empty(), "{sentence}");
    }
}

/// What is offered is taken: the program is asked.
#[test]
fn every_choice_is_accepted() {
    let mut count = 0;
    for command in super::commands() {
        for option in command.options {
            let (Choices::OneOf(names) | Choices::SomeOf(names)) = choices(&command, option) else { continue };
            for name in names {
                // What the lab is to speak is said of a server that it does not know.
                let more = if option.name == "speak" && command.name == "lab" { " --server x" } else { "" };
                let line = format!("{} --{} {name}{more}", command.example, option.name);
                let words = line.split_whitespace().map(Into::into);
                let read =
                    crate::cli::Command::read(words, &|_: &str| None, &|_: &Path| Err("there is none".to_string()));
                let said = read.err().map(|usage| usage.to_string()).unwrap_or_default();
                assert!(!said.contains(&format!("--{} {name}", option.name)), "{line}: {said}");
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}
