//! Arguments → run → exit code; nothing else.

use std::io::{self, Write};
use std::process::ExitCode;

use stillthere::cli::Command;
#[cfg(feature = "lab")]
use stillthere::lab;
#[cfg(feature = "load")]
use stillthere::load;
#[cfg(feature = "plan")]
use stillthere::plan;
use stillthere::reactor::Ending;
use stillthere::{observe, serve};

/// Could not run, or was told to stop at once.
const FAILED: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let settings = match Command::read(std::env::args_os().skip(1), &|name| std::env::var_os(name)) {
        Ok(Command::Serve(settings)) => settings,
        #[cfg(feature = "lab")]
        Ok(Command::Lab(command)) => {
            return match lab::obey(&command) {
                Ok(lab::Promise::Kept) => ExitCode::SUCCESS,
                Ok(lab::Promise::Broken) => ExitCode::from(FAILED),
                Err(sentence) => {
                    let _ = writeln!(io::stderr(), "stillthere: {sentence}");
                    ExitCode::from(FAILED)
                }
            };
        }
        #[cfg(feature = "plan")]
        Ok(Command::Plan(question)) => {
            return match plan::answer(&question) {
                Ok(()) => ExitCode::SUCCESS,
                Err(sentence) => {
                    let _ = writeln!(io::stderr(), "stillthere: {sentence}");
                    ExitCode::from(FAILED)
                }
            };
        }
        #[cfg(feature = "load")]
        Ok(Command::Load(settings)) => {
            return match load::run(&settings) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::from(FAILED),
                Err(sentence) => {
                    let _ = writeln!(io::stderr(), "stillthere: {sentence}");
                    ExitCode::from(FAILED)
                }
            };
        }
        Ok(Command::Tell(text)) => {
            let _ = writeln!(io::stdout(), "{text}"); // the reader may have gone
            return ExitCode::SUCCESS;
        }
        Err(usage) => {
            let _ = writeln!(io::stderr(), "stillthere: {usage}");
            return ExitCode::from(USAGE);
        }
    };
    observe::log::start(&settings.log);
    match serve::run(&settings) {
        Ok(Ending::Orderly) => ExitCode::SUCCESS,
        Ok(Ending::Aborted { .. }) => ExitCode::from(FAILED),
        Err(sentence) => {
            let _ = writeln!(io::stderr(), "stillthere: {sentence}");
            ExitCode::from(FAILED)
        }
    }
}
