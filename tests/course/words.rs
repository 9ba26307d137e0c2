//! The words of the house: docs/architecture.md has a table of them, and the code uses them.
//!
//! A word of the table that the code does not use is found; so is a synonym in the code that the table was made against; and a word that
//! the code explains as one of the house and the table does not have.

use std::fs;
use std::path::Path;

use crate::text::{pages, root};

/// What nobody in the house is called. Each stands for several things, so it explains none.
const AVOIDED: [&str; 6] = ["session", "manager", "handler", "zombie", "util", "helper"];
/// What is about something that is not ours and has that name: the handlers of signals, the processes of the lab and of a load,
/// systemd.
const FOREIGN: [&str; 4] = ["signal", "service manager", "/lab/", "/load/"];

fn sources(of: &Path, all: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(of).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push((path.display().to_string(), fs::read_to_string(&path).expect("text").to_lowercase()));
        }
    }
}

fn code() -> Vec<(String, String)> {
    let mut all = Vec::new();
    sources(&root().join("src"), &mut all);
    all
}

/// The words of the table: the first column, its commas taken apart.
fn words() -> Vec<String> {
    let house = fs::read_to_string(root().join("docs/architecture.md")).expect("the house");
    let table = house.split("\n## The words\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("its words");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.flat_map(|row| {
        row.split('|').nth(1).unwrap_or("").split(',').map(|word| word.trim().to_string()).collect::<Vec<_>>()
    })
    .collect()
}

/// How a word may stand in code: as a name, in a sentence, as a type.
fn forms(word: &str) -> Vec<String> {
    vec![word.to_string(), word.replace(' ', "_"), word.replace(' ', ""), word.replace('-', "_"), word.replace('-', "")]
}

/// Whether a word stands in a text by itself, or as a part of a name between underscores; its beginning is enough, so that
/// "reaped" is a use of "reap".
fn is_used(word: &str, text: &str) -> bool {
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric()))
}

/// A line of code, without what it says about itself.
fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

pub fn the_code_uses_the_words_of_the_table() {
    let words = words();
    assert!(words.len() > 30, "{words:?}");
    let code = code();
    for word in &words {
        let in_names = code.iter().filter(|(path, _)| path.contains("/reactor/") || path.contains("/keepalive/"));
        let is_name = in_names.flat_map(|(_, text)| text.lines()).any(|line| {
            let line = without_comment(line);
            forms(word).iter().any(|form| is_used(form, line))
        });
        // Some are what happens, and not what has a name: they stand in sentences only.
        let is_said = code.iter().any(|(path, text)| path.contains("/reactor/") && is_used(word, text));
        assert!(is_name || is_said, "the code does not use the word {word:?} of docs/architecture.md");
    }
}

pub fn the_code_uses_no_other_words_for_them() {
    for (path, text) in code() {
        for (number, line) in text.lines().enumerate() {
            for word in AVOIDED {
                let is_ours = !FOREIGN.iter().any(|foreign| line.contains(foreign) || path.contains(foreign));
                assert!(
                    !is_ours || !is_used(word, line),
                    "{path}:{}: {word:?} is no word of the house: {line}",
                    number + 1
                );
            }
        }
    }
}

/// The other way round: the rooms that the code is made of, and the states and reasons that it names, are in the table.
pub fn the_table_has_the_words_of_the_code() {
    let (words, house) =
        (words(), fs::read_to_string(root().join("docs/architecture.md")).expect("the house").to_lowercase());
    let turn = fs::read_to_string(root().join("src/reactor/turn.rs")).expect("the turn");
    let parts = turn.lines().next().and_then(|line| line.split("turn: ").nth(1)).expect("it names its parts");
    let row = house.lines().find(|line| line.starts_with("| turn |")).expect("the table has the turn");
    for part in parts.trim_end_matches('.').split(", ") {
        assert!(row.contains(part), "turn.rs has the part {part:?}, and the table's row of the turn does not");
    }
    let connection = fs::read_to_string(root().join("src/reactor/connection/mod.rs")).expect("the connection");
    for verb in connection.split("**").skip(1).step_by(2) {
        assert!(
            words.iter().any(|word| word == verb),
            "connection/mod.rs explains {verb:?}, and the table has no such word"
        );
    }
    // What the course's glossary says about the house is in the table, by the same name.
    let glossary = fs::read_to_string(root().join("docs/course/glossary.md")).expect("the glossary");
    let of_the_house = glossary.split("\n## The house\n").nth(1).expect("its words of the house");
    for word in of_the_house.lines().filter_map(|line| line.strip_prefix("### ")) {
        let is_there =
            words.iter().any(|known| known == word) || ["dead peer", "drive", "outbox", "slot"].contains(&word);
        assert!(is_there, "the glossary has {word:?}, and docs/architecture.md does not");
    }
}

/// The text of the course avoids the same words.
pub fn the_course_uses_no_other_words_for_them() {
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page").to_lowercase();
        for word in AVOIDED {
            assert!(!is_used(word, &text), "{}: {word:?} is no word of the house", page.display());
        }
    }
}
