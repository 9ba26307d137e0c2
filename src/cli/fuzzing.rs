//! What the fuzzer tries at the command line, and what must hold for each. `make fuzz` runs it, and a test replays the corpus.
//!
//! Knows no socket: nothing that was read is run, but what is computed from the settings is.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::cli::arguments::Opt;
use crate::cli::{Command, Usage, serve_options};
use crate::keepalive::{Keepalive, State};

#[cfg(feature = "config")]
pub mod configuration;

/// The arguments and the environment that a file of the corpus stands for: a line is an argument, or, if it begins with `$`, a variable.
struct Lines {
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
}

impl Lines {
    fn of(bytes: &[u8]) -> Self {
        let mut lines = Self { arguments: Vec::new(), variables: Vec::new() };
        // No argument and no variable can contain a zero.
        for line in bytes.split(|byte| matches!(byte, b'\n' | 0)) {
            match line.strip_prefix(b"$") {
                None => lines.arguments.push(OsString::from_vec(line.to_vec())),
                Some(variable) => {
                    let end = variable.iter().position(|byte| *byte == b'=').unwrap_or(variable.len());
                    let value = variable.get(end + 1..).unwrap_or_default();
                    let [name, value] = [&variable[..end], value].map(|part| OsString::from_vec(part.to_vec()));
                    lines.variables.push((name, value));
                }
            }
        }
        lines
    }

    fn read(&self, arguments: &[OsString]) -> Result<Command, Usage> {
        let variable =
            |name: &str| self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        #[cfg(feature = "config")]
        return Command::read(arguments.iter().cloned(), &variable, &|_| Err("no file is read here".to_string()));
        #[cfg(not(feature = "config"))]
        Command::read(arguments.iter().cloned(), &variable)
    }

    /// The same command line, with `--name=value` for each `--name value`.
    fn joined(&self) -> Vec<OsString> {
        let mut joined: Vec<OsString> = self.arguments.first().cloned().into_iter().collect();
        let options = options(self.arguments.first());
        let mut rest = self.arguments.iter().skip(1);
        while let Some(argument) = rest.next() {
            let name = argument.as_bytes().strip_prefix(b"--").unwrap_or_default();
            let takes_a_value = options.iter().any(|option| option.name.as_bytes() == name && !option.value.is_empty());
            joined.push(argument.clone());
            if let Some(value) = takes_a_value.then(|| rest.next()).flatten() {
                let last = joined.last_mut().expect("it was just pushed");
                last.push("=");
                last.push(value);
            }
            if argument == "--" {
                joined.extend(rest.by_ref().cloned());
            }
        }
        joined
    }
}

fn options(command: Option<&OsString>) -> &'static [Opt] {
    match command.and_then(|command| command.to_str()) {
        Some("serve") => serve_options::OPTIONS,
        #[cfg(feature = "admin")]
        Some("who") => super::ask_options::WHO,
        #[cfg(feature = "admin")]
        Some("drop") => super::ask_options::DROP,
        #[cfg(feature = "top")]
        Some("top") => super::ask_options::TOP,
        #[cfg(feature = "lab")]
        Some("lab") => super::lab_options::OPTIONS,
        #[cfg(feature = "load")]
        Some("load") => super::load_options::OPTIONS,
        #[cfg(feature = "plan")]
        Some("plan") => super::plan_options::OPTIONS,
        _ => &[],
    }
}

/// One try. It panics if something does not hold.
pub fn command_line(bytes: &[u8]) {
    // `lab --file NAME=PATH` is read at once, and a device may have no end.
    if bytes.windows(4).any(|word| matches!(word, b"/dev" | b"/pro")) {
        return;
    }
    let lines = Lines::of(bytes);
    let command = lines.arguments.first().map(OsString::as_os_str);
    for sentence in Command::misspelt(command, lines.variables.iter().cloned()) {
        assert!(!sentence.trim().is_empty());
    }
    let read = lines.read(&lines.arguments);
    let again = lines.read(&lines.joined());
    assert_eq!(format!("{read:?}"), format!("{again:?}"), "--name value is not as --name=value");
    match read {
        Err(usage) => assert!(!usage.to_string().trim().is_empty(), "an error says nothing"),
        Ok(command) => look_into(&command),
    }
}

/// What is computed from the settings, without running anything.
fn look_into(command: &Command) {
    let _ = command.warns_of_misspelling();
    match command {
        Command::Tell(text) => assert!(!text.trim().is_empty(), "there is nothing to print"),
        Command::Serve(settings) => {
            assert!(!settings.places.is_empty(), "there is nowhere to listen");
            predict(&settings.keepalive);
        }
        #[cfg(feature = "config")]
        Command::Check(checked) => {
            assert_eq!(checked.wrong.is_empty(), checked.settings.is_some());
            assert!(checked.wrong.iter().all(|sentence| !sentence.trim().is_empty()));
        }
        #[cfg(feature = "admin")]
        Command::Who(settings) => assert!(!settings.server.patience.is_zero(), "no server is that quick"),
        #[cfg(feature = "admin")]
        Command::Drop(settings) => {
            assert!(!settings.ids.is_empty(), "nobody is to be dropped");
            assert!(settings.ids.iter().all(|id| crate::ask::is_id(id)), "{:?}", settings.ids);
        }
        #[cfg(feature = "admin")]
        Command::Upgrade(settings) => assert!(!settings.server.patience.is_zero(), "no server is that quick"),
        #[cfg(feature = "top")]
        Command::Top(_) => {}
        #[cfg(feature = "plan")]
        Command::Plan(question) => match crate::plan::in_all_forms(question) {
            Ok(texts) => assert!(texts.iter().all(|text| !text.contains("NaN")), "{texts:?}"),
            Err(sentence) => assert!(!sentence.trim().is_empty()),
        },
        #[cfg(feature = "lab")]
        Command::Lab(_) => {}
        #[cfg(feature = "load")]
        Command::Load(settings) => assert!(settings.active <= settings.connections),
    }
}

fn predict(keepalive: &Keepalive) {
    for state in [State::Idle, State::InFlight, State::Deaf, State::Shrunk, State::QueueStuck] {
        if let Some(prediction) = keepalive.predict(state) {
            assert!(prediction.from <= prediction.to, "{keepalive:?}: {prediction}");
        }
    }
    keepalive.warnings().iter().for_each(|warning| assert!(!warning.to_string().is_empty()));
    let _ = (keepalive.pace(), keepalive.shortfall(&Keepalive::default()), keepalive.given_up_after(15));
}

/// The corpus in `fuzz/corpus/`, so that what was once found stays mended.
#[test]
fn the_corpus_is_read() {
    let mut read = 0;
    for entry in
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/command_line")).expect("it is there")
    {
        let path = entry.expect("it can be listed").path();
        println!("{}", path.display()); // the last one, if it fails
        command_line(&std::fs::read(&path).expect("it can be read"));
        read += 1;
    }
    assert!(read >= 20, "{read}");
}
