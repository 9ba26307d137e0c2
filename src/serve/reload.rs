//! SIGHUP: the configuration is read again while peers are served.
//!
//! Owns which options change at once and which want an upgrade, and that all of it changes or nothing. What was given is compared
//! as text, so that an option that this file has never heard of is named, too. The events are opened anew each time, whatever
//! the file says: a log that was rotated must not wait for somebody to mend a configuration.

use crate::count::so_many;
use crate::observe::log::Logger;
use crate::reactor::{Listening, PortId, Reactor};
use crate::serve::ServeSettings;
use crate::serve::configuration::Configuration;

/// Reads the settings again, as they were read at the start.
///
/// # Errors
/// All that is wrong, a line for each.
pub type ReadAgain<'a> = dyn Fn() -> Result<Box<ServeSettings>, String> + 'a;

/// Options that change while peers are served. Every other one wants a new start of the program, with its peers or without.
const AT_ONCE: [&str; 7] =
    ["log", "max-connections", "max-memory", "max-output", "max-per-address", "stalled", "when-full"];

/// A profile is one word for several options: what changes are these.
const IN_OTHERS: &str = "profile";

/// How to change what wants more than a reload.
const UPGRADE: &str = if cfg!(feature = "upgrade") { "an upgrade (SIGUSR2)" } else { "a restart" };

/// What holds, and where to look for what is to hold.
pub(super) struct Reload<'a> {
    again: &'a ReadAgain<'a>,
    log: &'a Logger,
    settings: ServeSettings,
    ports: Vec<PortId>,
}

impl<'a> Reload<'a> {
    pub(super) fn new(
        settings: &ServeSettings,
        bound: &[Listening],
        log: &'a Logger,
        again: &'a ReadAgain<'a>,
    ) -> Self {
        Self { again, log, settings: settings.clone(), ports: bound.iter().map(|listening| listening.port).collect() }
    }

    /// Reads the configuration again, does what has changed, and logs that in one line.
    pub(super) fn reload(&mut self, reactor: &mut Reactor) {
        let opens = reactor.reopen();
        let Some(now) = &self.settings.configuration else {
            let stops = "SIGTERM stops the server, SIGUSR1 logs the figures";
            return if opens {
                info!("SIGHUP: there is no configuration to read again, for none was given by --config");
            } else {
                info!("SIGHUP is ignored: no file is written to, and none was given by --config; {stops}");
            };
        };
        let read = (self.again)().and_then(|new| match new.configuration.clone() {
            Some(configuration) => Ok((new, configuration)),
            None => Err("no configuration was given".to_string()),
        });
        let (new, configuration) = match read {
            Ok(read) => read,
            Err(sentences) => return refuse(&sentences),
        };
        let changes = Changes::between(now, &configuration);
        if let Err(because) = self.apply(&new, &changes, reactor) {
            return refuse(&because);
        }
        // A line that tells of a new level is logged if the old or the new one allows it.
        let is_told = log::log_enabled!(log::Level::Info);
        if !is_told {
            self.log.set_levels(&new.log);
        }
        info!("reloaded {}: {changes}", configuration.path.display());
        if is_told {
            self.log.set_levels(&new.log);
        }
        self.keep(*new, configuration);
    }

    /// Sets the limits that have changed.
    ///
    /// # Errors
    /// A sentence; nothing has changed.
    fn apply(&self, new: &ServeSettings, changes: &Changes, reactor: &mut Reactor) -> Result<(), String> {
        let old = &self.settings;
        let no_memory = |error: std::io::Error| format!("the limits cannot be changed: {error}");
        if new.limits != old.limits {
            reactor.limit_peers(&self.ports, new.limits).map_err(no_memory)?;
        }
        if new.max_per_address != old.max_per_address {
            reactor.limit_per_address(new.max_per_address).map_err(|error| {
                // They have just held, so there is memory for them.
                let _ = reactor.limit_peers(&self.ports, old.limits);
                no_memory(error)
            })?;
        }
        // What follows cannot fail: the values were checked.
        if changes.has("max-memory") {
            let _ = reactor.limit_memory(new.max_memory.unwrap_or_else(Reactor::usual_memory_limit));
        }
        if changes.has("max-connections") {
            let _ = reactor.limit_connections(new.max_connections.unwrap_or(Reactor::NO_LIMIT));
        }
        Ok(())
    }

    /// What holds from now on: what wants an upgrade is as before, and is named each time.
    fn keep(&mut self, new: ServeSettings, mut configuration: Configuration) {
        let Some(old) = self.settings.configuration.take() else { return };
        configuration.given.retain(|(name, _)| AT_ONCE.contains(name));
        configuration.given.extend(old.given.into_iter().filter(|(name, _)| !AT_ONCE.contains(name)));
        let ServeSettings { log, max_connections, limits, max_per_address, max_memory, .. } = new;
        let settings = &mut self.settings;
        (settings.log, settings.limits, settings.configuration) = (log, limits, Some(configuration));
        (settings.max_connections, settings.max_per_address) = (max_connections, max_per_address);
        settings.max_memory = max_memory;
    }
}

/// Why nothing is changed: the first sentence, and how many more there are.
fn refuse(sentences: &str) {
    let (first, more) = (sentences.lines().next().unwrap_or_default(), sentences.lines().count().saturating_sub(1));
    let more = match more {
        0 => String::new(),
        more => format!(" ({} in all; --check names them)", so_many(more + 1, "mistake")),
    };
    warn!("SIGHUP: the settings stay as they are: {first}{more}");
}

/// Options whose value is another one than before.
#[derive(Debug, PartialEq, Eq)]
struct Changes(Vec<Change>);

#[derive(Debug, PartialEq, Eq)]
struct Change {
    name: &'static str,
    /// `None`: not given, so the default holds.
    old: Option<String>,
    new: Option<String>,
}

impl Changes {
    fn between(old: &Configuration, new: &Configuration) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in old.given.iter().chain(&new.given).filter(|(name, _)| *name != IN_OTHERS) {
            if let Err(place) = names.binary_search(name) {
                names.insert(place, name);
            }
        }
        let value = |of: &Configuration, name: &str| {
            of.given.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone())
        };
        let change = |name| Change { name, old: value(old, name), new: value(new, name) };
        Self(names.into_iter().map(change).filter(|change| change.old != change.new).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|change| change.name == name)
    }
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (done, wanted): (Vec<_>, Vec<_>) = self.0.iter().partition(|change| AT_ONCE.contains(&change.name));
        let list = |changes: &[&Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (done.is_empty(), wanted.is_empty()) {
            (true, true) => f.write_str("nothing has changed"),
            (false, true) => f.write_str(&list(&done)),
            (true, false) => write!(f, "nothing changes at once; {UPGRADE} is wanted for {}", list(&wanted)),
            (false, false) => write!(f, "{}; {UPGRADE} is wanted for {}", list(&done), list(&wanted)),
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [old, new] = [&self.old, &self.new].map(|value| value.as_deref().unwrap_or("default"));
        write!(f, "{} {old} → {new}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(given: &[(&'static str, &str)]) -> Configuration {
        let given = given.iter().map(|(name, value)| (*name, value.to_string())).collect();
        Configuration { path: "a.conf".into(), text: String::new(), given }
    }

    #[test]
    fn what_has_changed_is_named_and_what_wants_more() {
        let before = configuration(&[("log", "info"), ("max-output", "64K"), ("deadline", "30s"), ("profile", "tiny")]);
        let between = |after: &[(&'static str, &str)]| Changes::between(&before, &configuration(after)).to_string();
        assert_eq!(Changes::between(&before, &before).to_string(), "nothing has changed");
        assert_eq!(
            between(&[("log", "debug"), ("deadline", "30s"), ("stalled", "60s")]),
            "log info → debug, max-output 64K → default, stalled default → 60s"
        );
        let upgrade = if cfg!(feature = "upgrade") { "an upgrade (SIGUSR2)" } else { "a restart" };
        assert_eq!(
            between(&[("log", "info"), ("max-output", "64K"), ("listen", "[::]:1 [::1]:2")]),
            format!(
                "nothing changes at once; {upgrade} is wanted for deadline 30s → default, listen default → [::]:1 [::1]:2"
            )
        );
        assert_eq!(
            between(&[("log", "warn"), ("max-output", "64K"), ("deadline", "31s")]),
            format!("log info → warn; {upgrade} is wanted for deadline 30s → 31s")
        );
    }
}
