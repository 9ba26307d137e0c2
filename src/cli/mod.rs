//! Arguments: from the command line and the environment to a checked command.
//!
//! Knows all the rooms; no room knows it.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::cli::arguments::{Arguments, Environment, Given, Options};
use crate::cli::misspelt::{LISTEN, misspelt};
use crate::cli::nearest::nearest;
use crate::serve;

#[cfg(feature = "config")]
pub use self::configured::{Checked, Files};

mod arguments;
#[cfg(feature = "admin")]
mod ask_options;
#[cfg(feature = "config")]
mod config_file;
#[cfg(feature = "config")]
mod configured;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod help;
#[cfg(feature = "lab")]
mod lab_options;
#[cfg(feature = "load")]
mod load_options;
/// The man page and the completions. They are about the whole program, so they are made where all of it is built.
#[cfg(all(
    test,
    feature = "config",
    feature = "events",
    feature = "lab",
    feature = "load",
    feature = "notify",
    feature = "plan",
    feature = "sandbox",
    feature = "top",
    feature = "upgrade"
))]
mod manual;
mod misspelt;
mod nearest;
#[cfg(feature = "plan")]
mod plan_options;
#[cfg(feature = "config")]
mod profile;
mod serve_options;

const fn options(command: &'static str, own: &'static [arguments::Opt]) -> Options {
    Options { command, own, of_server: serve_options::OPTIONS }
}

const SERVE: Options = options("serve", serve_options::OPTIONS);
#[cfg(feature = "admin")]
const WHO: Options = options("who", ask_options::WHO);
#[cfg(feature = "admin")]
const DROP: Options = options("drop", ask_options::DROP);
#[cfg(feature = "admin")]
const UPGRADE: Options = options("upgrade", ask_options::UPGRADE);
#[cfg(feature = "top")]
const TOP: Options = options("top", ask_options::TOP);
#[cfg(feature = "lab")]
const LAB: Options = options("lab", lab_options::OPTIONS);
#[cfg(feature = "plan")]
const PLAN: Options = options("plan", plan_options::OPTIONS);
#[cfg(feature = "load")]
const LOAD: Options = options("load", load_options::OPTIONS);

/// What the program was asked to do.
#[derive(Debug)]
pub enum Command {
    /// Print this text.
    Tell(String),
    /// Run the server.
    Serve(Box<serve::ServeSettings>),
    /// Say what is wrong with the settings of a server.
    #[cfg(feature = "config")]
    Check(Checked),
    /// List the peers of a server.
    #[cfg(feature = "admin")]
    Who(Box<crate::ask::WhoSettings>),
    /// Have a server let peers go.
    #[cfg(feature = "admin")]
    Drop(Box<crate::ask::DropSettings>),
    /// Have a server upgraded, and see what becomes of it.
    #[cfg(feature = "admin")]
    Upgrade(Box<crate::ask::UpgradeSettings>),
    /// Show the peers of a server, live.
    #[cfg(feature = "top")]
    Top(Box<crate::ask::TopSettings>),
    /// Run the lab.
    #[cfg(feature = "lab")]
    Lab(Box<crate::lab::Task>),
    /// Compute a plan, and print it.
    #[cfg(feature = "plan")]
    Plan(Box<crate::plan::Question>),
    /// Open very many connections.
    #[cfg(feature = "load")]
    Load(Box<crate::load::LoadSettings>),
}

/// A command line that makes no sense: the sentence says which option, what was given, and what
/// is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

impl Command {
    /// Reads the arguments after the program's name, and the environment's `STILLTHERE_*`. Nothing is asked of the machine, and no
    /// name is resolved; only the configuration file that is named is read, by `files`. With the same text for it, the same
    /// arguments and the same environment, the same command comes of it.
    ///
    /// # Errors
    /// See [`Usage`]. If there is a configuration file, it has a line for each thing that is wrong.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: &Environment<'_>,
        #[cfg(feature = "config")] files: &Files<'_>,
    ) -> Result<Self, Usage> {
        let mut arguments = arguments.into_iter();
        let Some(first) = arguments.next() else {
            return Err(Usage(format!("which command?\n\n{}", help::overview())));
        };
        match first.to_str().unwrap_or_default() {
            "serve" => Self::of(arguments, environment, SERVE, help::of_serve, |mut given| {
                given.words_from(LISTEN, SERVE, environment)?;
                #[cfg(feature = "config")]
                return configured::serve(given, files);
                #[cfg(not(feature = "config"))]
                Ok(Self::Serve(Box::new(serve_options::settings(&given)?)))
            }),
            #[cfg(feature = "admin")]
            "who" => Self::of(arguments, environment, WHO, help::of_who, |given| {
                Ok(Self::Who(Box::new(ask_options::who(&given)?)))
            }),
            #[cfg(feature = "admin")]
            "drop" => Self::of(arguments, environment, DROP, help::of_drop, |given| {
                Ok(Self::Drop(Box::new(ask_options::let_go(&given)?)))
            }),
            #[cfg(feature = "admin")]
            "upgrade" => Self::of(arguments, environment, UPGRADE, help::of_upgrade, |given| {
                Ok(Self::Upgrade(Box::new(ask_options::upgrade(&given)?)))
            }),
            #[cfg(feature = "top")]
            "top" => Self::of(arguments, environment, TOP, help::of_top, |given| {
                Ok(Self::Top(Box::new(ask_options::top(&given, environment)?)))
            }),
            #[cfg(feature = "lab")]
            "lab" => Self::of(arguments, environment, LAB, help::of_lab, Self::lab),
            #[cfg(feature = "plan")]
            "plan" => Self::of(arguments, environment, PLAN, help::of_plan, |given| {
                Ok(Self::Plan(Box::new(plan_options::question(&given)?)))
            }),
            #[cfg(feature = "load")]
            "load" => Self::of(arguments, environment, LOAD, help::of_load, |given| {
                Ok(Self::Load(Box::new(load_options::settings(&given)?)))
            }),
            "-h" | "--help" | "help" => Ok(Self::Tell(help::overview())),
            "-V" | "--version" => Ok(Self::version()),
            other => {
                let nearest = nearest(other, "", help::COMMANDS.iter().copied());
                Err(Usage(format!("{other:?} is not a command{nearest}; `stillthere --help` lists them")))
            }
        }
    }

    /// A sentence for each variable of the environment that looks like an option and is none. `command` is the
    /// first argument after the program's name.
    pub fn misspelt(command: Option<&OsStr>, variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
        let options = match command.and_then(OsStr::to_str) {
            Some("serve") => SERVE,
            #[cfg(feature = "admin")]
            Some("who") => WHO,
            #[cfg(feature = "admin")]
            Some("drop") => DROP,
            #[cfg(feature = "admin")]
            Some("upgrade") => UPGRADE,
            #[cfg(feature = "top")]
            Some("top") => TOP,
            #[cfg(feature = "lab")]
            Some("lab") => LAB,
            #[cfg(feature = "plan")]
            Some("plan") => PLAN,
            #[cfg(feature = "load")]
            Some("load") => LOAD,
            _ => return Vec::new(),
        };
        misspelt(options, variables)
    }

    /// Whether variables of the environment that look like options are warned of on stderr: not where only help is printed, not by
    /// the server, whose log warns of them, and not by a process that the lab starts for itself, many times.
    pub fn warns_of_misspelling(&self) -> bool {
        match self {
            Self::Tell(_) | Self::Serve(_) => false,
            #[cfg(feature = "config")]
            Self::Check(_) => true,
            #[cfg(feature = "admin")]
            Self::Who(settings) => settings.whom != crate::ask::Whom::Nobody,
            #[cfg(feature = "admin")]
            Self::Drop(_) | Self::Upgrade(_) => true,
            #[cfg(feature = "top")]
            Self::Top(_) => true,
            #[cfg(feature = "lab")]
            Self::Lab(task) => !task.is_of_a_scene(),
            #[cfg(feature = "plan")]
            Self::Plan(_) => true,
            #[cfg(feature = "load")]
            Self::Load(_) => true,
        }
    }

    fn version() -> Self {
        Self::Tell(concat!("stillthere ", env!("CARGO_PKG_VERSION")).to_string())
    }

    /// What is the same for each command: its options, its help, its version.
    fn of(
        arguments: impl Iterator<Item = OsString>,
        environment: &Environment<'_>,
        options: Options,
        help: fn() -> String,
        command: impl FnOnce(Given) -> Result<Self, Usage>,
    ) -> Result<Self, Usage> {
        match Arguments::read(arguments, environment, options)? {
            Arguments::Help => Ok(Self::Tell(help())),
            #[cfg(any(feature = "config", feature = "notify", feature = "sandbox", feature = "upgrade"))]
            Arguments::Page(page) => Ok(Self::Tell(page)),
            Arguments::Version => Ok(Self::version()),
            Arguments::Given(given) => command(given),
        }
    }

    #[cfg(feature = "lab")]
    fn lab(mut given: Given) -> Result<Self, Usage> {
        if let Some(own) = lab_options::own_process(&given.words) {
            return Ok(Self::Lab(Box::new(own)));
        }
        if given.words.is_empty() {
            return Err(Usage(format!("which lab command?\n\n{}", help::of_lab())));
        }
        let name = given.words.remove(0);
        if name == "help" {
            return Ok(Self::Tell(help::of_lab()));
        }
        Ok(Self::Lab(Box::new(lab_options::command(&name, &given)?)))
    }
}

#[cfg(test)]
mod tests;
