//! Options by name: from the command line, else from the environment.
//!
//! Knows what an option looks like, not what it means.

use std::ffi::OsString;
use std::fmt::{self, Display};
#[cfg(any(feature = "admin", feature = "config", feature = "lab", feature = "load", feature = "plan"))]
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::Arg;

use crate::cli::Usage;
use crate::cli::nearest::nearest;
use crate::seconds::InWords;

/// Looks up a variable of the environment. Passed in, so that a test can have its own.
pub(super) type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// The options of a command, and under which names the environment has them.
///
/// Each is `STILLTHERE_COMMAND_OPTION`, and so means one thing. An option of `serve` is `STILLTHERE_OPTION` as
/// well; and what of those the other commands ask for in the same sense is taken from there: see [`SHARED`].
#[derive(Clone, Copy)]
pub(super) struct Options {
    pub command: &'static str,
    pub own: &'static [Opt],
    /// Those of `serve`.
    pub of_server: &'static [Opt],
}

/// An option, as it is read and as the help prints it.
pub(super) struct Opt {
    pub group: &'static str,
    pub name: &'static str,
    /// The placeholder for its value in the help; empty for a switch.
    pub value: &'static str,
    /// `{}` is where the help prints the default, which is stated in the settings and not here.
    pub help: &'static str,
}

/// A default, printed as a person would give it.
pub(super) enum Preset {
    /// The help prints none, or has it in its words.
    None,
    Number(usize),
    Time(Duration),
    #[cfg(feature = "plan")]
    Share(f64),
    #[cfg(any(feature = "admin", feature = "load"))]
    Text(String),
}

impl Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Number(number) => number.fmt(f),
            Self::Time(time) => InWords(*time).fmt(f),
            #[cfg(feature = "plan")]
            Self::Share(share) => write!(f, "{}%", share * 100.0),
            #[cfg(any(feature = "admin", feature = "load"))]
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The option whose values are joined when it is given again.
#[cfg(feature = "load")]
const ADDS_UP: &str = "fail-if";
/// The option that may be given more than once, and each time counts.
#[cfg(feature = "lab")]
const REPEATED: &str = "file";

/// Where an option was given. A later variant takes precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A profile, which is one word for several options.
    #[cfg(feature = "config")]
    Profile,
    /// A line of the configuration file.
    #[cfg(feature = "config")]
    File,
    /// `STILLTHERE_OPTION`, for the whole machine.
    Machine,
    /// `STILLTHERE_COMMAND_OPTION`.
    Command,
    CommandLine,
}

/// The value of an option, and where it was given.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub name: &'static str,
    pub text: String,
    pub origin: Origin,
    /// How it was written: `--idle 0s`, `STILLTHERE_IDLE=0s` or `/etc/stillthere.conf:7: idle 0s`.
    pub place: String,
    /// In a file; 0 elsewhere.
    #[cfg(feature = "config")]
    pub line: usize,
}

/// What was given.
#[derive(Debug)]
pub(super) enum Arguments {
    Help,
    /// A page of the help.
    #[cfg(any(feature = "config", feature = "notify", feature = "sandbox", feature = "upgrade"))]
    Page(String),
    Version,
    Given(Given),
}

/// The options that were given, each once, and the words that are not options.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub values: Vec<Value>,
    pub words: Vec<String>,
}

/// Options that mean the same for other commands as for `serve`: the deadline of `plan` and `lab` is that of the server, and
/// where its admin port is, `who` has to know. An option that only has the same name, such as the grace of `load`, is not among
/// them.
pub(super) const SHARED: [&str; 9] = [
    "deadline",
    "idle",
    "interval",
    "count",
    "user-timeout",
    "heartbeat",
    "heartbeat-timeout",
    "admin",
    "admin-token-file",
];

/// What all our variables begin with.
pub(super) const PREFIX: &str = "STILLTHERE_";

/// An option's name in the environment's spelling.
pub(super) fn shout(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

impl Value {
    /// Whether this complaint is about it: see [`Given::complaint`].
    #[cfg(feature = "config")]
    pub(super) fn is_blamed_by(&self, complaint: &str) -> bool {
        complaint.strip_prefix(self.place.as_str()).is_some_and(|rest| rest.starts_with(": "))
    }
}

impl Options {
    /// Whether `STILLTHERE_OPTION` is meant for this command.
    fn is_for_all(&self, name: &str) -> bool {
        self.command == "serve" || SHARED.contains(&name)
    }

    /// The value of an option from the environment: from the command's own variable or else, where that is allowed, from the one for
    /// all commands. An empty or blank variable counts as not set.
    fn look_up(
        &self,
        name: &'static str,
        for_all: bool,
        environment: &Environment<'_>,
    ) -> Result<Option<Value>, Usage> {
        let mut variable = format!("{PREFIX}{}_{}", shout(self.command), shout(name));
        let mut origin = Origin::Command;
        loop {
            if let Some(value) = environment(&variable) {
                let text = text(&variable, value)?;
                if !text.trim().is_empty() {
                    return Ok(Some(Value {
                        name,
                        place: format!("{variable}={text}"),
                        text,
                        origin,
                        #[cfg(feature = "config")]
                        line: 0,
                    }));
                }
            }
            if origin == Origin::Machine || !for_all {
                return Ok(None);
            }
            origin = Origin::Machine;
            variable = format!("{PREFIX}{}", shout(name));
        }
    }
}

impl Arguments {
    /// The command line is read first, and takes precedence over the environment.
    pub(super) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: &Environment<'_>,
        options: Options,
    ) -> Result<Self, Usage> {
        let mut given = Given::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(|error| Usage(error.to_string()))? {
            match argument {
                #[cfg(any(feature = "config", feature = "notify", feature = "sandbox", feature = "upgrade"))]
                Arg::Short('h') | Arg::Long("help") if options.command == "serve" => {
                    return crate::cli::help::pages::of_serve(&mut parser).map(Self::Page);
                }
                Arg::Short('h') | Arg::Long("help") => return Ok(Self::Help),
                Arg::Short('V') | Arg::Long("version") => return Ok(Self::Version),
                Arg::Value(word) => given.words.push(text("a word", word)?),
                Arg::Short(letter) => {
                    return Err(Usage(format!("there is no option -{letter}; `--help` lists the options")));
                }
                Arg::Long(name) => {
                    let Some(option) = options.own.iter().find(|option| option.name == name) else {
                        let nearest = nearest(name, "--", options.own.iter().map(|option| option.name));
                        return Err(Usage(format!("there is no option --{name}{nearest}; `--help` lists the options")));
                    };
                    let value = if option.value.is_empty() {
                        // `--reuse-port`, and `--reuse-port=no` as well.
                        parser.optional_value().unwrap_or_else(|| OsString::from("yes"))
                    } else {
                        parser.value().map_err(|_| {
                            Usage(format!("--{} needs a value: --{} {}", option.name, option.name, option.value))
                        })?
                    };
                    let text = text(&format!("--{}", option.name), value)?;
                    let place = format!("--{} {text}", option.name);
                    given.put(Value {
                        name: option.name,
                        text,
                        origin: Origin::CommandLine,
                        place,
                        #[cfg(feature = "config")]
                        line: 0,
                    });
                }
            }
        }
        for Opt { name, .. } in options.own {
            if !given.has(name) {
                given.values.extend(options.look_up(name, options.is_for_all(name), environment)?);
            }
        }
        Ok(Self::Given(given))
    }
}

impl Given {
    /// If no words were given, they are taken from a variable of the environment.
    pub(super) fn words_from(
        &mut self,
        name: &'static str,
        options: Options,
        environment: &Environment<'_>,
    ) -> Result<(), Usage> {
        if self.words.is_empty() {
            let value = options.look_up(name, true, environment)?;
            self.words = value.iter().flat_map(|value| value.text.split_whitespace()).map(str::to_string).collect();
        }
        Ok(())
    }

    /// The last value counts; but conditions add up, because one that was dropped would silently hold.
    fn put(&mut self, value: Value) {
        #[cfg(feature = "load")] // only it has such an option
        let value = match self.text(value.name) {
            Some(before) if value.name == ADDS_UP => {
                let text = format!("{before},{}", value.text);
                Value { place: format!("--{} {text}", value.name), text, ..value }
            }
            _ => value,
        };
        #[cfg(feature = "lab")]
        let is_replaced = value.name != REPEATED;
        #[cfg(not(feature = "lab"))]
        let is_replaced = true;
        self.values.retain(|other| !is_replaced || other.name != value.name);
        self.values.push(value);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.name == name)
    }

    /// These options exclude one another. Some may be set for the whole machine, and others for one command: those with a lower
    /// precedence than another one that was given are ignored.
    pub(super) fn command_line_first(&self, names: &[&str]) -> Self {
        let values = self.values.iter().filter(|value| names.contains(&value.name));
        let most = values.clone().map(|value| value.origin).max();
        Self { values: values.filter(|value| Some(value.origin) == most).cloned().collect(), words: Vec::new() }
    }

    /// The first of these options that was given for this server, and not for the whole machine: on the command line, or in its
    /// file.
    pub(super) fn on_command_line<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        #[cfg(feature = "config")]
        let is_own = |origin| matches!(origin, Origin::CommandLine | Origin::File);
        #[cfg(not(feature = "config"))]
        let is_own = |origin| origin == Origin::CommandLine;
        let is_there = |name: &str| self.find(name).is_some_and(|value| is_own(value.origin));
        names.iter().copied().find(|name| is_there(name))
    }

    /// A complaint about an option, with its name and the value that it was given.
    pub(super) fn complaint(&self, name: &str, because: impl Display) -> Usage {
        let place = self.find(name).map_or_else(|| format!("--{name}"), |value| value.place.clone());
        Usage(format!("{place}: {because}"))
    }

    pub(super) fn switch(&self, name: &str) -> Result<bool, Usage> {
        match self.text(name) {
            Some("yes" | "true" | "1" | "on") => Ok(true),
            None | Some("no" | "false" | "0" | "off" | "") => Ok(false),
            Some(_) => Err(self.complaint(name, "it must be yes or no")),
        }
    }

    /// All values of an option that may be given more than once, blanks included.
    #[cfg(feature = "lab")]
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values.iter().filter(move |value| value.name == name).map(|value| value.text.as_str())
    }

    /// The value as it was given: blanks at its ends may be intended.
    #[cfg(feature = "lab")]
    pub(super) fn verbatim(&self, name: &str) -> Option<&str> {
        self.find(name).map(|value| value.text.as_str())
    }

    /// The value without blanks at its ends.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.find(name).map(|value| value.text.trim())
    }

    /// A file's name may begin and end with blanks.
    #[cfg(any(feature = "admin", feature = "config", feature = "lab", feature = "load", feature = "plan"))]
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.find(name).map(|value| (&value.text).into())
    }

    pub(super) fn number<T: FromStr + PartialOrd + Display>(
        &self,
        name: &str,
        least: T,
        most: T,
    ) -> Result<Option<T>, Usage> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if number >= least && number <= most => Ok(Some(number)),
            _ => Err(self.complaint(name, format!("it must be a whole number from {least} to {most}"))),
        }
    }

    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, Usage> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let duration = humantime::parse_duration(text);
        duration.map(Some).map_err(|_| self.complaint(name, "it must be a duration such as 500ms, 5s, 2m or 1h"))
    }
}

fn text(what: &str, value: OsString) -> Result<String, Usage> {
    value.into_string().map_err(|value| Usage(format!("{what}: {value:?} is not text")))
}
