//! Options by name: from the command line, else from the environment.
//!
//! Knows what an option looks like, not what it means.

use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use lexopt::Arg;

use crate::cli::Usage;
use crate::cli::nearest::nearest;

/// Looks up a variable of the environment. Passed in, so that a test can have its own.
pub type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// An option, as it is read and as the help shows it.
pub struct Opt {
    pub group: &'static str,
    pub name: &'static str,
    /// What stands behind it in the help; empty for a switch.
    pub value: &'static str,
    pub help: &'static str,
}

/// The option whose values add up when it is given again.
#[cfg(feature = "load")]
const ADDS_UP: &str = "fail-if";
/// The option that may be given more than once, each for itself.
#[cfg(feature = "lab")]
const REPEATED: &str = "file";

/// What an option was given, and where.
#[derive(Clone, Debug)]
struct Value {
    name: &'static str,
    text: String,
    in_environment: bool,
}

impl Value {
    /// How a person finds the place: `--idle 0s` or `STILLTHERE_IDLE=0s`.
    fn place(&self) -> String {
        if self.in_environment {
            format!("{}={}", variable(self.name), self.text)
        } else {
            format!("--{} {}", self.name, self.text)
        }
    }
}

/// What was given.
#[derive(Debug)]
pub enum Arguments {
    Help,
    Version,
    Given(Given),
}

/// The options that were given, each once, and the words that are not options.
#[derive(Debug, Default)]
pub struct Given {
    values: Vec<Value>,
    pub words: Vec<String>,
}

/// The variable that stands for an option.
fn variable(name: &str) -> String {
    format!("STILLTHERE_{}", name.to_ascii_uppercase().replace('-', "_"))
}

impl Arguments {
    /// The command line is read first: what it says, the environment cannot change.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: &Environment<'_>,
        options: &'static [Opt],
    ) -> Result<Self, Usage> {
        let mut given = Given::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(|error| Usage(error.to_string()))? {
            match argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(Self::Help),
                Arg::Short('V') | Arg::Long("version") => return Ok(Self::Version),
                Arg::Value(word) => given.words.push(text("a word", word)?),
                Arg::Short(letter) => {
                    return Err(Usage(format!("there is no option -{letter}; `--help` lists those that there are")));
                }
                Arg::Long(name) => {
                    let Some(option) = options.iter().find(|option| option.name == name) else {
                        let nearest = nearest(name, "--", options.iter().map(|option| option.name));
                        return Err(Usage(format!(
                            "there is no option --{name}{nearest}; `--help` lists those that there are"
                        )));
                    };
                    let value = if option.value.is_empty() {
                        OsString::from("yes")
                    } else {
                        parser.value().map_err(|_| {
                            Usage(format!("--{} wants a value: --{} {}", option.name, option.name, option.value))
                        })?
                    };
                    given.put(option.name, text(&format!("--{}", option.name), value)?, false);
                }
            }
        }
        for option in
            options.iter().filter(|option| !given.has(option.name)).map(|option| option.name).collect::<Vec<_>>()
        {
            if let Some(value) = environment(&variable(option)) {
                given.put(option, text(&variable(option), value)?, true);
            }
        }
        Ok(Self::Given(given))
    }
}

impl Given {
    /// Where no words were given, those of a variable of the environment count.
    pub fn words_from(&mut self, name: &str, environment: &Environment<'_>) -> Result<(), Usage> {
        if self.words.is_empty()
            && let Some(value) = environment(&variable(name))
        {
            self.words = text(&variable(name), value)?.split_whitespace().map(str::to_string).collect();
        }
        Ok(())
    }

    /// The last one counts; conditions add up, for one that is forgotten would be one that holds.
    fn put(&mut self, name: &'static str, text: String, in_environment: bool) {
        #[cfg(feature = "load")] // only it has such an option
        let text = match self.text(name) {
            Some(before) if name == ADDS_UP => format!("{before},{text}"),
            _ => text,
        };
        #[cfg(feature = "lab")]
        let is_replaced = name != REPEATED;
        #[cfg(not(feature = "lab"))]
        let is_replaced = true;
        self.values.retain(|value| !is_replaced || value.name != name);
        self.values.push(Value { name, text, in_environment });
    }

    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.name == name)
    }

    /// Some of these may have been set for the whole machine: if any is on the command line, those
    /// that come from the environment are forgotten.
    pub fn command_line_first(&self, names: &[&str]) -> Self {
        let values = self.values.iter().filter(|value| names.contains(&value.name));
        let on_command_line = values.clone().any(|value| !value.in_environment);
        let values = values.filter(|value| !(on_command_line && value.in_environment)).cloned().collect();
        Self { values, words: Vec::new() }
    }

    /// The first of these options that is on the command line.
    pub fn on_command_line<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| self.find(name).is_some_and(|value| !value.in_environment))
    }

    /// A complaint about an option, with its name and the value that it was given.
    pub fn complaint(&self, name: &str, because: impl Display) -> Usage {
        let place = self.find(name).map_or_else(|| format!("--{name}"), Value::place);
        Usage(format!("{place}: {because}"))
    }

    pub fn switch(&self, name: &str) -> Result<bool, Usage> {
        match self.find(name).map(|value| value.text.as_str()) {
            Some("yes" | "true" | "1" | "on") => Ok(true),
            None | Some("no" | "false" | "0" | "off" | "") => Ok(false),
            Some(_) => Err(self.complaint(name, "yes or no")),
        }
    }

    /// All that an option was given which may be given more than once.
    #[cfg(feature = "lab")]
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values.iter().filter(move |value| value.name == name).map(|value| value.text.as_str())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.find(name).map(|value| value.text.as_str())
    }

    pub fn number<T: FromStr + PartialOrd + Display>(&self, name: &str, least: T, most: T) -> Result<Option<T>, Usage> {
        let Some(value) = self.find(name) else { return Ok(None) };
        match value.text.parse() {
            Ok(number) if number >= least && number <= most => Ok(Some(number)),
            _ => Err(self.complaint(name, format!("a whole number from {least} to {most} is wanted"))),
        }
    }

    pub fn duration(&self, name: &str) -> Result<Option<Duration>, Usage> {
        let Some(value) = self.find(name) else { return Ok(None) };
        let duration = humantime::parse_duration(&value.text);
        duration.map(Some).map_err(|_| self.complaint(name, "a duration such as 500ms, 5s, 2m or 1h is wanted"))
    }
}

fn text(what: &str, value: OsString) -> Result<String, Usage> {
    value.into_string().map_err(|value| Usage(format!("{what}: {value:?} is not text")))
}
