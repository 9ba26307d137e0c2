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
            return code(lab::obey(&command).map(|promise| promise == lab::Promise::Kept));
        }
        #[cfg(feature = "plan")]
        Ok(Command::Plan(question)) => return code(plan::answer(&question).map(|()| true)),
        #[cfg(feature = "load")]
        Ok(Command::Load(settings)) => {
            observe::stderr::Stderr::open(); // its bar is drawn in the loop
            return code(load::run(&settings));
        }
        Ok(Command::Tell(text)) => return code(observe::stdout::tell(&(text + "\n")).map(|()| true)),
        Err(usage) => {
            let _ = writeln!(io::stderr(), "stillthere: {usage}");
            return ExitCode::from(USAGE);
        }
    };
    let log = observe::log::start(&settings.log);
    let ending = serve::run(&settings);
    log.end(ending.as_ref().err().map(String::as_str));
    ExitCode::from(if ending == Ok(Ending::Orderly) { 0 } else { FAILED })
}

/// Of a command that came to `true`, to `false`, or to nothing for the reason that is said.
fn code(result: Result<bool, String>) -> ExitCode {
    if let Err(sentence) = &result {
        let _ = writeln!(io::stderr(), "stillthere: {sentence}");
    }
    ExitCode::from(if result == Ok(true) { 0 } else { FAILED })
}
