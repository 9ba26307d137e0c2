//! The configuration file of `serve`: lines of `option value`.
//!
//! Owns what such a file looks like, and what a person may have meant by a line that is not like that. Knows no option's
//! meaning, and reads no file.
//!
//! ```text
//! # from here to the end of the line is a comment
//! listen [::]:7007              # as often as there are places
//! deadline 30s
//! reuse-port                    # a switch needs no value
//! events "/var/log/a b.json"    # quotation marks keep blanks, and #
//! ```

use std::path::Path;

use crate::cli::arguments::{Opt, Origin, PREFIX, Value};
use crate::cli::misspelt::LISTEN;
use crate::cli::nearest::nearest;
use crate::cli::serve_options::{OPTIONS, place};

/// Options that make no sense in a file, and why.
const ELSEWHERE: [(&str, &str); 6] = [
    ("config", "a configuration cannot name another one: it is for the command line, and for STILLTHERE_CONFIG"),
    ("check", "it is for the command line: `stillthere serve --config FILE --check`"),
    ("help", "it is for the command line: `stillthere serve --help`"),
    ("version", "it is for the command line: `stillthere --version`"),
    ("serve", "the file is about `serve` anyway: leave it out"),
    ("include", "there is one file, and it includes no other"),
];

/// What is quoted of a line, at most.
const MOST_QUOTED: usize = 60;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    pub values: Vec<Value>,
    pub listen: Vec<String>,
    pub complaints: Vec<Complaint>,
}

/// What is wrong in a line: a sentence that begins with the file and the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub line: usize,
    pub sentence: String,
}

/// The text of a file: UTF-8, with or without a byte order mark.
///
/// # Errors
/// It is no text.
pub(super) fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Complaint> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(complaint(path, 1, "it is UTF-16; save the file as UTF-8"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
        complaint(path, line, "a byte that is not text (UTF-8)")
    })
}

/// Reads a configuration; `path` is for the complaints. Every line is read, whatever is wrong in others.
pub(super) fn read(path: &Path, text: &str) -> ConfigFile {
    let mut file = ConfigFile::default();
    for (line, number) in text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').zip(1..) {
        if let Err(because) = file.take(path, line.strip_suffix('\r').unwrap_or(line), number) {
            file.complaints.push(complaint(path, number, &because));
        }
    }
    file
}

impl ConfigFile {
    fn take(&mut self, path: &Path, line: &str, number: usize) -> Result<(), String> {
        if let Some(odd) = line.chars().find(|letter| letter.is_control() && *letter != '\t') {
            let name = if odd == '\0' { "a zero byte".into() } else { format!("the control character {odd:?}") };
            return Err(format!("{name} in the line: is it a text file?"));
        }
        let Some((name, value)) = split(line)? else { return Ok(()) };
        let place = |value: &str| format!("{}:{number}: {name} {}", path.display(), short(value));
        if name == LISTEN {
            let value = value.filter(|value| !value.is_empty()).ok_or("listen needs a value: listen ADDR:PORT")?;
            for word in value.split_whitespace() {
                place_of(word)?;
                self.listen.push(word.to_string());
            }
            return Ok(());
        }
        let option = known(name, value)?;
        let text = match value.filter(|value| !value.trim().is_empty()) {
            Some(value) => value.to_string(),
            None if option.value.is_empty() => "yes".to_string(),
            None => return Err(format!("{name} needs a value: {name} {}", option.value)),
        };
        if let Some(before) = self.values.iter().find(|value| value.name == option.name) {
            return Err(format!("{name} is given in line {} already: leave one of the two out", before.line));
        }
        let value = Value { name: option.name, place: place(&text), text, origin: Origin::File, line: number };
        self.values.push(value);
        Ok(())
    }
}

/// The name and the value of a line; `None` if it says nothing.
fn split(line: &str) -> Result<Option<(&str, Option<&str>)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, behind) = quoted.split_once('"').ok_or("a quotation mark is opened and not closed")?;
        if !behind.is_empty() && !is_comment(behind) {
            return Err(format!("{:?} stands behind the closing quotation mark", short(behind.trim())));
        }
        return Ok(Some((name, Some(value))));
    }
    // A # in a word belongs to it.
    let end =
        rest.match_indices('#').map(|(at, _)| at).find(|at| rest[..*at].ends_with(char::is_whitespace) || *at == 0);
    let value = rest[..end.unwrap_or(rest.len())].trim_end();
    Ok(Some((name, (!value.is_empty()).then_some(value))))
}

fn is_comment(text: &str) -> bool {
    text.starts_with(char::is_whitespace) && matches!(text.trim_start().chars().next(), None | Some('#'))
}

fn place_of(word: &str) -> Result<(), String> {
    place(word).map(|_| ()).map_err(|usage| format!("listen {}: {usage}", short(word)))
}

/// The option of this name, or what may have been meant.
fn known(name: &str, value: Option<&str>) -> Result<&'static Opt, String> {
    // `idle=5s`, `idle: 5s`, `--idle 5s`, `max_output 64K`, `STILLTHERE_IDLE=5s`.
    let (left, right) = name.split_once(['=', ':']).unwrap_or((name, ""));
    let plain = left.trim_start_matches('-');
    let plain = plain.strip_prefix(PREFIX).unwrap_or(plain).to_ascii_lowercase().replace('_', "-");
    if let Some((_, because)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == plain) {
        return Err(format!("{plain}: {because}"));
    }
    let option = OPTIONS.iter().find(|option| option.name == plain);
    let has_equals_sign = value.is_some_and(|value| value.starts_with('='));
    let value = [right, value.unwrap_or_default().trim_start_matches('=').trim()].concat();
    match option {
        Some(option) if option.name == name && !has_equals_sign => Ok(option),
        Some(option) => Err(meant(name, option.name, if value.is_empty() { option.value } else { &value })),
        None if plain == LISTEN => Err(meant(name, LISTEN, &value)),
        None if name.starts_with('[') && name.ends_with(']') => {
            Err("there are no sections in this file: leave the line out".to_string())
        }
        None if place(name).is_ok() => Err(meant(name, LISTEN, name)),
        None => {
            let nearest = nearest(&plain, "", OPTIONS.iter().map(|option| option.name).chain([LISTEN]));
            Err(format!("there is no option {}{nearest}; `stillthere serve --help all` lists the options", short(left)))
        }
    }
}

fn meant(written: &str, name: &str, value: &str) -> String {
    let line = [name, short(value)].join(" ");
    format!("{:?}: a line is an option and its value: did you mean `{}`?", short(written), line.trim_end())
}

fn short(text: &str) -> &str {
    text.char_indices().nth(MOST_QUOTED).map_or(text, |(end, _)| &text[..end])
}

fn complaint(path: &Path, line: usize, because: &str) -> Complaint {
    Complaint { line, sentence: format!("{}:{line}: {because}", path.display()) }
}
