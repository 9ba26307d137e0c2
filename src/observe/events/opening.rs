//! When what events are written to is opened, and what is said when it does not work.
//!
//! Owns the pauses between attempts, and that a person is told once and not at each attempt.

use std::fmt;
use std::io;
use std::time::Duration;

use log::{debug, info, warn};
use mio::Registry;

use crate::count::so_many;
use crate::observe::events::lines::Lines;
use crate::observe::events::sink::{Found, Sink};
use crate::observe::events::{Events, EventsTo, KEY};
use crate::reactor::Moment;
use crate::scatter::scatter;
use crate::seconds::InWords;

/// The pauses between attempts to open or to write: each is twice the one before.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Events {
    /// Opens what is closed.
    pub(super) fn try_to_open(&mut self, now: Moment, registry: &Registry) -> io::Result<()> {
        let token = self.names.token(KEY);
        let (sink, found) = match &self.to {
            EventsTo::Stdout => (Sink::stdout(registry, token)?, Found::Ready),
            EventsTo::File(path) => Sink::file(path, registry, token)?,
            EventsTo::Unix(path) => (Sink::unix(path, registry, token)?, Found::Ready),
            EventsTo::Tcp(_) => {
                let address = self.addresses[self.failures.saturating_sub(1) as usize % self.addresses.len()];
                (Sink::tcp(address, &mut self.keepalive, now, registry, token)?, Found::Connecting)
            }
        };
        if let Some(old) = self.sink.replace(sink) {
            old.close(registry);
        }
        self.lines.again();
        #[cfg(feature = "upgrade")]
        let found = self.goes_on_in(found);
        (self.due, self.announced, self.is_over, self.is_talked_to) = (Moment::NEVER, false, false, false);
        match found {
            Found::Ready => self.is_open(now),
            Found::Torn => {
                self.lines.begin_on_a_new_line();
                self.is_open(now);
            }
            // An attempt may take as long as a peer may be silent.
            Found::Connecting => (self.connecting, self.ready) = (Some(now + self.keepalive.deadline()), false),
        }
        Ok(())
    }

    pub(super) fn is_open(&mut self, now: Moment) {
        (self.connecting, self.ready, self.since) = (None, true, now);
        if std::mem::take(&mut self.is_failing) {
            info!("events go to {} again: {}", self.to, Missing(&self.lines));
        }
    }

    /// It is gone, or cannot be opened, or does not take more: it is tried again after a pause.
    pub(super) fn is_gone(&mut self, error: &io::Error, now: Moment, registry: &Registry) {
        let is_kept = self.sink.as_ref().is_some_and(Sink::is_file);
        let is_open = self.sink.is_some() && self.connecting.is_none() && !self.is_failing;
        // One that works for a while begins anew with the first pause.
        let lasted = is_open && now.since(self.since) >= LONGEST_PAUSE;
        self.failures = if lasted { 1 } else { self.failures.saturating_add(1) };
        let pause = self.backoff.pause(self.failures, scatter(now.since(Moment::default()).as_nanos() as u64));
        (self.due, self.ready) = (now + pause, false);
        // Said once: a collector that is down for a day does not fill the log.
        if std::mem::replace(&mut self.is_failing, true) {
            debug!("events to {}: {}; tried again in {}", self.to, Said(error), InWords(pause));
        } else {
            warn!(
                "events to {}: {}; tried again, at least every 30 s; up to 1 MiB of lines waits",
                self.to,
                Said(error)
            );
        }
        if is_kept {
            return;
        }
        if let Some(mut sink) = self.sink.take() {
            if let Some(collector) = sink.collector().filter(|_| self.connecting.is_none()) {
                collector.account(&mut self.lines);
            }
            sink.close(registry);
        }
        self.connecting = None;
        self.lines.again();
    }

    /// One attempt, and what becomes of it.
    pub(super) fn open_again(&mut self, now: Moment, registry: &Registry) {
        if let Err(error) = self.try_to_open(now, registry) {
            self.is_gone(&error, now, registry);
        }
    }

    /// SIGHUP: the file has been renamed. If the new one cannot be opened, the old one is kept.
    pub(super) fn reopen_now(&mut self, now: Moment, registry: &Registry) {
        match self.try_to_open(now, registry) {
            Ok(()) => info!("{} is opened anew for the next events", self.to),
            Err(error) if self.sink.is_some() => {
                warn!("{} cannot be opened anew, and the old file is written to: {error}", self.to);
            }
            Err(error) => self.is_gone(&error, now, registry),
        }
    }
}

/// How many lines are still to come.
struct Missing<'a>(&'a Lines);

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waiting, left_out) = (self.0.waiting(), self.0.left_out_now());
        write!(f, "{} waiting, {left_out} left out", so_many(waiting as usize, "line"))
    }
}

/// What went wrong, in words. The kernel has none for the end of a stream.
struct Said<'a>(&'a io::Error);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            _ if self.0.raw_os_error() == Some(libc::ENXIO) => f.write_str("nobody reads it yet"),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => f.write_str("the reader has gone"),
            _ => self.0.fmt(f),
        }
    }
}
