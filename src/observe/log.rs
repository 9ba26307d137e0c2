//! The log, on stderr.
//!
//! simple_logger decides what is told. It does not write the lines: it prints with `eprintln!`,
//! which panics when stderr cannot be written, and so a full disk or a closed pipe behind stderr
//! would end the server and cut off every peer. Here such a line is lost, counted, and told of.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

/// What is to be told: a level, and other levels for some modules.
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

struct Stderr {
    filter: SimpleLogger,
    lost: AtomicU64,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let lost = self.lost.load(Ordering::Relaxed);
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let mut line = String::new();
        if lost > 0 {
            line = format!("{now} WARN  {lost} lines before this one could not be written to stderr\n");
        }
        line += &format!("{now} {:5} {}\n", record.level(), record.args());
        match std::io::stderr().write_all(line.as_bytes()) {
            Ok(()) => self.lost.fetch_sub(lost, Ordering::Relaxed),
            Err(_) => self.lost.fetch_add(1, Ordering::Relaxed),
        };
    }

    fn flush(&self) {}
}

/// Starts the log. Once in a process; a second call changes nothing.
pub fn start(levels: &Levels) {
    let filter = levels.modules.iter().fold(
        SimpleLogger::new().with_level(levels.default).with_module_level("mio", LevelFilter::Warn),
        |filter, (module, level)| filter.with_module_level(module, *level),
    );
    let most = filter.max_level();
    if log::set_boxed_logger(Box::new(Stderr { filter, lost: AtomicU64::new(0) })).is_ok() {
        log::set_max_level(most);
    }
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
