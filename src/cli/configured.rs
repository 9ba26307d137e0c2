//! `serve` with a configuration file: from what was given in all places to checked settings, or to all that is wrong.
//!
//! Owns the order of precedence (command line, environment, file, profile), and `--check`.

use std::path::{Path, PathBuf};

use crate::cli::arguments::{Given, Value};
use crate::cli::misspelt::LISTEN;
use crate::cli::serve_options::{place, settings};
use crate::cli::{Command, Usage, config_file, profile};
use crate::serve::{Configuration, ServeSettings};

/// How a configuration file is read: what is in it, or a sentence that says why it cannot be read.
pub type Files<'a> = dyn Fn(&Path) -> Result<Vec<u8>, String> + 'a;

/// More complaints about one file than anybody reads: it is probably another file.
const MOST_COMPLAINTS: usize = 20;

/// Options that make sense only with another one: if that one is wrong, nothing is said of them.
const DEPENDENT: [(&str, &[&str]); 2] =
    [("service", &["heartbeat", "heartbeat-timeout"]), ("admin", &["admin-token-file"])];

/// What `--check` has found.
#[derive(Debug)]
pub struct Checked {
    /// A sentence for all that is wrong.
    pub wrong: Vec<String>,
    /// The settings, if nothing is.
    pub settings: Option<Box<ServeSettings>>,
    /// Each option that was given, and where and how: `a.conf:3: user server`, `--user server`.
    places: Vec<(&'static str, String)>,
}

impl Checked {
    /// Where an option was given, as a complaint about it begins.
    pub fn place<'a>(&'a self, option: &'a str) -> &'a str {
        self.places.iter().find(|(name, _)| *name == option).map_or(option, |(_, place)| place)
    }
}

/// Reads the file, if there is one, and checks everything that was given.
pub(super) fn serve(mut given: Given, files: &Files<'_>) -> Result<Command, Usage> {
    let checks = given.switch("check")?;
    let mut wrong = Wrong::default();
    let file = given.path("config").and_then(|path| wrong.read(path, &mut given, files));
    let profile = wrong.apply_profile(&mut given);
    let settings = wrong.settle(&mut given);
    let wrong = wrong.sentences();
    let places = given.values.iter().map(|value| (value.name, value.place.clone())).collect();
    let settings = settings.filter(|_| wrong.is_empty()).map(|settings| {
        let given = given.told();
        let configuration = file.map(|(path, text)| Configuration { path, text, given });
        Box::new(ServeSettings { configuration, profile, ..settings })
    });
    match settings {
        settings if checks => Ok(Command::Check(Checked { wrong, settings, places })),
        Some(settings) => Ok(Command::Serve(settings)),
        None => Err(Usage(wrong.join("\n"))),
    }
}

/// All that is wrong, each with its line in the file, or 0.
#[derive(Default)]
struct Wrong(Vec<(usize, String)>);

impl Wrong {
    /// Adds what the file says to what was given.
    fn read(&mut self, path: PathBuf, given: &mut Given, files: &Files<'_>) -> Option<(PathBuf, String)> {
        let bytes = files(&path).map_err(|sentence| self.add((0, sentence))).ok()?;
        let text = config_file::text(&path, bytes).map_err(|complaint| self.complain(complaint)).ok()?;
        let file = config_file::read(&path, &text);
        file.complaints.into_iter().for_each(|complaint| self.complain(complaint));
        for value in file.values {
            if given.has(value.name) {
                self.check_alone(value);
            } else {
                given.values.push(value);
            }
        }
        if given.words.is_empty() {
            given.words = file.listen;
        }
        Some((path, text))
    }

    /// A value that does not count, because another one comes first, is checked all the same: one day it will count.
    fn check_alone(&mut self, value: Value) {
        // What goes with another option is not judged without it.
        if !DEPENDENT.iter().any(|(_, dependent)| dependent.contains(&value.name)) {
            self.settle(&mut Given { values: vec![value], words: Vec::new() });
        }
    }

    /// Adds what the profile sets.
    fn apply_profile(&mut self, given: &mut Given) -> Option<String> {
        profile::apply(given).unwrap_or_else(|sentence| {
            self.blame(sentence, given);
            None
        })
    }

    /// Leaves out the value that a complaint is about. False if it is not known which one that is.
    fn blame(&mut self, sentence: String, given: &mut Given) -> bool {
        let blamed = given.values.iter().position(|value| value.is_blamed_by(&sentence));
        let Some(blamed) = blamed.map(|nth| given.values.remove(nth)) else {
            self.add((0, sentence));
            return false;
        };
        self.add((blamed.line, sentence));
        let (_, dependent) = DEPENDENT.iter().find(|(name, _)| *name == blamed.name).unwrap_or(&("", &[]));
        given.values.retain(|value| !dependent.contains(&value.name));
        true
    }

    /// In the order of the lines. (A sort from the standard library would take 5 kB of the program.)
    fn add(&mut self, found: (usize, String)) {
        self.0.insert(self.0.partition_point(|(line, _)| *line <= found.0), found);
    }

    fn complain(&mut self, complaint: config_file::Complaint) {
        self.add((complaint.line, complaint.sentence));
    }

    /// The settings, once everything is left out that is wrong; none if it is not known what that is.
    fn settle(&mut self, given: &mut Given) -> Option<ServeSettings> {
        given.words.retain(|word| place(word).map_err(|usage| self.add((0, usage.0))).is_ok());
        loop {
            match settings(given) {
                Ok(settings) => return Some(settings),
                Err(Usage(sentence)) if self.blame(sentence.clone(), given) => {}
                Err(_) => return None,
            }
        }
    }

    fn sentences(self) -> Vec<String> {
        let more = self.0.len().saturating_sub(MOST_COMPLAINTS);
        let mut sentences: Vec<_> = self.0.into_iter().take(MOST_COMPLAINTS).map(|(_, sentence)| sentence).collect();
        if more > 0 {
            sentences.push(format!("and {more} more like these: is it the right file?"));
        }
        sentences
    }
}

impl Given {
    /// Each option that was given, with its value, by name: a reload compares them.
    fn told(&self) -> Vec<(&'static str, String)> {
        let mut told: Vec<(_, String)> = Vec::new();
        let mut tell = |name, text| told.insert(told.partition_point(|(other, _)| *other < name), (name, text));
        self.values.iter().for_each(|value| tell(value.name, value.text.trim().to_string()));
        if !self.words.is_empty() {
            tell(LISTEN, self.words.join(" "));
        }
        told
    }
}
