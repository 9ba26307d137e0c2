//! The log, on stderr.
//!
//! simple_logger decides what is logged. It does not write the lines: it prints with `eprintln!`, which blocks while the reader
//! is stuck, and panics when stderr cannot be written. Here no write blocks: a line that is not taken is left out, counted, and
//! reported with the next one, or at the end.
//!
//! How a line looks is in `log/form.rs`.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

#[cfg(feature = "notify")]
pub use self::form::Format;
use crate::observe::stderr::Stderr;

#[cfg(feature = "notify")]
mod form;

/// What is logged: a level, and other levels for some modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    default: LevelFilter,
    modules: Vec<(String, LevelFilter)>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { default: LevelFilter::Info, modules: Vec::new() }
    }
}

impl std::str::FromStr for Levels {
    type Err = log::ParseLevelError;

    /// `debug`, or `warn,stillthere::reactor::port=trace`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut levels = Self::default();
        for part in text.split(',') {
            match part.split_once('=') {
                Some((module, level)) => levels.modules.push((module.to_string(), level.parse()?)),
                None => levels.default = part.parse()?,
            }
        }
        Ok(levels)
    }
}

/// The log of this process.
pub struct Logger {
    #[cfg(not(feature = "config"))]
    filter: SimpleLogger,
    /// It may change: see [`Logger::set_levels`].
    #[cfg(feature = "config")]
    filter: std::sync::RwLock<SimpleLogger>,
    stderr: Mutex<Stderr>,
    #[cfg(feature = "notify")]
    form: form::Form,
}

impl Logger {
    /// Logs at these levels from now on.
    #[cfg(feature = "config")]
    pub fn set_levels(&self, levels: &Levels) {
        let filter = filter(levels);
        log::set_max_level(filter.max_level());
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = filter;
    }

    fn tell(&self, line: impl FnOnce(&str) -> String) {
        let mut stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let left_out = |words: fmt::Arguments<'_>| self.line(&now, Level::Warn, module_path!(), words);
        let mut lines = match stderr.left_out() {
            0 => String::new(),
            1 => left_out(format_args!("1 line was left out here: stderr did not take it")),
            count => left_out(format_args!("{count} lines were left out here: stderr did not take them")),
        };
        lines += &line(&now);
        if !lines.is_empty() {
            stderr.write(lines);
        }
    }

    fn line(&self, now: &str, level: Level, target: &str, words: fmt::Arguments<'_>) -> String {
        #[cfg(feature = "notify")]
        return self.form.line(now, level, target, words);
        #[cfg(not(feature = "notify"))]
        {
            let _ = target;
            format!("{now} {level:5} {words}\n")
        }
    }

    /// How many lines stderr has not taken so far: the count goes on while it is held.
    pub fn left_out(&self) -> Arc<AtomicU64> {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).left_out_so_far()
    }

    /// What another program has to know to write on: see [`Stderr::save`].
    #[cfg(feature = "upgrade")]
    pub fn save(&self) -> Vec<u8> {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).save()
    }

    /// Writes on where another program has stopped. Before the first line.
    #[cfg(feature = "upgrade")]
    pub fn go_on(&self, saved: &[u8]) {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).go_on(saved);
    }

    /// Writes the last lines: a sentence without a time, if there is one, and how many lines were left out. No peer is served
    /// any more, so it waits up to a second for a slow reader.
    pub fn end(&self, sentence: Option<&str>) {
        let waits = self.stderr.lock().unwrap_or_else(PoisonError::into_inner).wait_for_room(sentence.is_some());
        if waits {
            #[cfg(feature = "notify")]
            let last = |now: &str, sentence: &str| self.form.last_line(now, sentence);
            #[cfg(not(feature = "notify"))]
            let last = |_: &str, sentence: &str| format!("stillthere: {sentence}\n");
            self.tell(|now| sentence.map_or_else(String::new, |sentence| last(now, sentence)));
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        #[cfg(feature = "config")]
        return self.filter.read().unwrap_or_else(PoisonError::into_inner).enabled(metadata);
        #[cfg(not(feature = "config"))]
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.tell(|now| self.line(now, record.level(), record.target(), *record.args()));
        }
    }

    fn flush(&self) {}
}

/// Starts the log. Once in a process; a second call changes nothing.
pub fn start(levels: &Levels) -> &'static Logger {
    #[cfg(feature = "notify")]
    return start_as(levels, Format::Text, false);
    #[cfg(not(feature = "notify"))]
    begin(levels)
}

/// The same in this format. With priorities for systemd's journal, if it goes there.
#[cfg(feature = "notify")]
pub fn start_as(levels: &Levels, format: Format, goes_to_the_journal: bool) -> &'static Logger {
    begin(levels, form::Form { format, has_priorities: goes_to_the_journal })
}

fn begin(levels: &Levels, #[cfg(feature = "notify")] form: form::Form) -> &'static Logger {
    let filter = filter(levels);
    let most = filter.max_level();
    #[cfg(feature = "config")]
    let filter = filter.into();
    let logger = Box::leak(Box::new(Logger {
        filter,
        stderr: Mutex::new(Stderr::open()),
        #[cfg(feature = "notify")]
        form,
    }));
    if log::set_logger(logger).is_ok() {
        log::set_max_level(most);
    }
    logger
}

fn filter(levels: &Levels) -> SimpleLogger {
    levels.modules.iter().fold(
        SimpleLogger::new().with_level(levels.default).with_module_level("mio", LevelFilter::Warn),
        |filter, (module, level)| filter.with_module_level(module, *level),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_they_are_written() {
        let levels: Levels = "warn,stillthere::reactor=trace".parse().unwrap();
        assert_eq!(levels.default, LevelFilter::Warn);
        assert_eq!(levels.modules, [("stillthere::reactor".to_string(), LevelFilter::Trace)]);
        assert!("loud".parse::<Levels>().is_err());
        assert_eq!("info".parse::<Levels>().unwrap(), Levels::default());
    }
}
