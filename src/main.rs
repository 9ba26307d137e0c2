//! Arguments → run → exit code; nothing else.

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
#[cfg(feature = "config")]
use std::path::Path;
use std::process::ExitCode;

#[cfg(feature = "admin")]
use stillthere::ask;
use stillthere::cli::Command;
#[cfg(feature = "config")]
use stillthere::cli::{Checked, Usage};
#[cfg(feature = "lab")]
use stillthere::lab;
#[cfg(feature = "load")]
use stillthere::load;
#[cfg(feature = "plan")]
use stillthere::plan;
use stillthere::reactor::Ending;
#[cfg(feature = "config")]
use stillthere::serve::configuration::{self, Occasion};
#[cfg(feature = "notify")]
use stillthere::supervision;
use stillthere::{observe, serve};
#[cfg(feature = "upgrade")]
use stillthere::{serve::upgrading::note, upgrade};

/// Could not run, or was told to stop at once.
const FAILED: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // Before anything else opens descriptors.
    #[cfg(feature = "upgrade")]
    let handed_over = upgrade::handed_over();
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    let passed = passed(handed_over.as_ref().ok().and_then(|state| state.as_ref()?.noted(note::PASSED)));
    #[cfg(all(feature = "notify", not(feature = "upgrade")))]
    let passed = passed(None);
    #[cfg(not(feature = "notify"))]
    let passed = serve::Passed;
    #[cfg(feature = "config")]
    let read = {
        #[cfg(feature = "upgrade")]
        let rehearsed = handed_over.as_ref().ok().and_then(|state| state.as_ref()?.noted(note::CONFIGURATION));
        #[cfg(not(feature = "upgrade"))]
        let rehearsed = None;
        read(Occasion::Start, rehearsed)
    };
    #[cfg(not(feature = "config"))]
    let read = Command::read(env::args_os().skip(1), &|name| env::var_os(name));
    #[cfg_attr(not(feature = "notify"), allow(unused_mut))]
    let mut command = match read {
        Ok(command) => command,
        Err(usage) => {
            #[cfg(feature = "upgrade")]
            if upgrade::is_rehearsal() {
                let _ = observe::stdout::tell(&upgrade::answer(Err(&usage.to_string())));
            }
            say(usage);
            return ExitCode::from(USAGE);
        }
    };
    #[cfg(feature = "notify")]
    if let Command::Serve(settings) = &mut command {
        serve::complete(settings, &passed);
    }
    let misspelt = Command::misspelt(env::args_os().nth(1).as_deref(), env::vars_os());
    if command.warns_of_misspelling() {
        misspelt.iter().for_each(say);
    }
    code(match command {
        Command::Tell(text) => observe::stdout::tell(&(text + "\n")).map(|()| true),
        #[cfg(feature = "upgrade")]
        Command::Serve(settings) if upgrade::is_rehearsal() => rehearse(&settings, handed_over),
        #[cfg(feature = "upgrade")]
        Command::Serve(settings) => Ok(serve(&settings, &misspelt, handed_over, passed)),
        #[cfg(not(feature = "upgrade"))]
        Command::Serve(settings) => Ok(serve(&settings, &misspelt, Ok(()), passed)),
        #[cfg(feature = "config")]
        Command::Check(checked) => check(&checked),
        #[cfg(feature = "admin")]
        Command::Who(settings) => ask::tell(&settings),
        #[cfg(feature = "admin")]
        Command::Drop(settings) => ask::let_go(&settings),
        #[cfg(feature = "admin")]
        Command::Upgrade(settings) => ask::upgrade(&settings),
        #[cfg(feature = "top")]
        Command::Top(settings) => ask::show(&settings),
        #[cfg(feature = "lab")]
        Command::Lab(task) => lab::obey(&task).map(|promise| promise == lab::Promise::Kept),
        #[cfg(feature = "plan")]
        Command::Plan(question) => plan::answer(&question).map(|()| true),
        #[cfg(feature = "load")]
        Command::Load(settings) => load::run(&settings),
    })
}

/// Sockets that a supervisor has opened. A program that goes on with another one has that one's, under the same numbers.
#[cfg(feature = "notify")]
fn passed(saved: Option<&[u8]>) -> serve::Passed {
    #[cfg(feature = "upgrade")]
    if upgrade::is_handed_over() {
        return serve::Passed::of_the_program_before(saved.unwrap_or_default());
    }
    let _ = saved;
    serve::Passed::from_environment()
}

/// Runs the server, with a log for all that is to be said. Whether it ended in order.
fn serve(
    settings: &serve::ServeSettings,
    misspelt: &[String],
    handed_over: Result<serve::HandedOver, String>,
    passed: serve::Passed,
) -> bool {
    #[cfg(feature = "notify")]
    let log = observe::log::start_as(&settings.log, settings.log_format, supervision::journal::is_stderr());
    #[cfg(not(feature = "notify"))]
    let log = observe::log::start(&settings.log);
    #[cfg(feature = "upgrade")]
    if let Some(saved) = handed_over.as_ref().ok().and_then(|state| state.as_ref()?.noted(note::LOG)) {
        log.go_on(saved);
    }
    misspelt.iter().for_each(|sentence| log::warn!("{sentence}"));
    let ending = run(settings, log, handed_over, passed);
    log.end(ending.as_ref().err().map(String::as_str));
    ending == Ok(Ending::Orderly)
}

/// Runs the server with what it may use.
fn run(
    settings: &serve::ServeSettings,
    log: &'static observe::log::Logger,
    handed_over: Result<serve::HandedOver, String>,
    passed: serve::Passed,
) -> Result<Ending, String> {
    let start = serve::Start {
        log,
        #[cfg(feature = "config")]
        again: &read_again,
        handed_over: handed_over?,
        passed,
    };
    serve::run(settings, start)
}

/// Says whether this program could go on with what was handed over, and serves nobody.
#[cfg(feature = "upgrade")]
fn rehearse(settings: &serve::ServeSettings, handed_over: Result<serve::HandedOver, String>) -> Result<bool, String> {
    let log = observe::log::start(&settings.log);
    log::set_max_level(log::LevelFilter::Off);
    let ending = run(settings, log, handed_over, Default::default());
    let result = ending.as_ref().map(|_| ()).map_err(String::as_str);
    observe::stdout::tell(&upgrade::answer(result))?;
    Ok(ending.is_ok())
}

/// Reads what the program was given.
#[cfg(feature = "config")]
fn read(occasion: Occasion, rehearsed: Option<&[u8]>) -> Result<Command, Usage> {
    // The program before has read the file, and its rehearsal has found it right.
    let files = |path: &Path| rehearsed.map_or_else(|| configuration::read(path, occasion), |text| Ok(text.to_vec()));
    Command::read(env::args_os().skip(1), &|name| env::var_os(name), &files)
}

/// Reads it again while peers are served: the file may have changed.
#[cfg(feature = "config")]
fn read_again() -> Result<Box<serve::ServeSettings>, String> {
    match read(Occasion::Serving, None) {
        Ok(Command::Serve(settings)) => Ok(settings),
        Ok(_) => Err("it is no configuration to serve with".to_string()),
        Err(Usage(sentence)) => Err(sentence),
    }
}

/// Says what is wrong with the settings, or what they come to.
#[cfg(feature = "config")]
fn check(checked: &Checked) -> Result<bool, String> {
    checked.wrong.iter().for_each(say);
    let Some(settings) = &checked.settings else { return Ok(false) };
    let tried = serve::try_out(settings);
    tried.wrong.iter().for_each(|(option, because)| say(format_args!("{}: {because}", checked.place(option))));
    tried.warnings.iter().for_each(|warning| say(format_args!("a warning: {warning}")));
    if !tried.wrong.is_empty() {
        return Ok(false);
    }
    observe::stdout::tell(&serve::in_words(settings)).map(|()| true)
}

/// The exit code of a command: success for `true` only. A command that could not run has its reason printed.
fn code(result: Result<bool, String>) -> ExitCode {
    if let Err(sentence) = &result {
        say(sentence);
    }
    ExitCode::from(if result == Ok(true) { 0 } else { FAILED })
}

fn say(sentence: impl Display) {
    let _ = writeln!(io::stderr(), "stillthere: {sentence}");
}
