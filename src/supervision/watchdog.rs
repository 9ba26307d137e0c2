//! A source of the loop that tells the supervisor that the loop turns, where it wants to know that, and that it stops.
//!
//! It wakes the loop only where WATCHDOG_USEC asks for it (sd_watchdog_enabled(3)): twice as often as the supervisor expects. While
//! it does so anyway, it tells how many peers there are, if that has changed.

use std::env;
use std::ffi::OsString;
use std::process;
use std::time::Duration;

use mio::event::Event;

use crate::count::so_many;
use crate::reactor::{Moment, Source, Turn};
use crate::seconds::InWords;
use crate::supervision::notify::Notifier;

/// See the head of this file.
#[derive(Debug)]
pub struct Watchdog {
    notifier: Notifier,
    every: Option<Duration>,
    next: Moment,
    /// How many peers there were when the supervisor was told last.
    told: Option<usize>,
    grace: Duration,
    stops: bool,
}

impl Watchdog {
    /// Tells this one, as often as the environment asks for it. `grace` is how long peers have when the loop stops.
    pub fn open(notifier: Notifier, grace: Duration) -> Self {
        let every = interval(&|name| env::var_os(name), process::id()).filter(|_| notifier.is_heard());
        Self { notifier, every, next: Moment::default(), told: None, grace, stops: false }
    }
}

/// How often the supervisor is told that the loop turns.
fn interval(environment: &dyn Fn(&str) -> Option<OsString>, own: u32) -> Option<Duration> {
    let number = |name| environment(name)?.to_str()?.parse::<u64>().ok();
    // It may be meant for another process, from which we have the environment.
    if environment("WATCHDOG_PID").is_some() && number("WATCHDOG_PID") != Some(own.into()) {
        return None;
    }
    let microseconds = number("WATCHDOG_USEC").filter(|microseconds| *microseconds > 1)?;
    Some(Duration::from_micros(microseconds / 2))
}

impl Source for Watchdog {
    fn latch(&mut self, _key: usize, _event: &Event) {}

    fn drive(&mut self, _turn: &mut Turn<'_>) {}

    fn expire(&mut self, turn: &mut Turn<'_>) {
        let Some(every) = self.every.filter(|_| self.next <= turn.now) else { return };
        self.next = turn.now + every;
        let connected = turn.capacity.connected();
        let status = self.told.is_some_and(|told| told != connected).then(|| {
            let peers = so_many(connected, "peer");
            if self.stops { format!("stops; {peers} left") } else { format!("serves {peers}") }
        });
        self.told = Some(connected);
        self.notifier.alive(status.as_deref());
    }

    fn deadline(&self) -> Option<Moment> {
        self.every.map(|_| self.next)
    }

    fn stop(&mut self, _by: Moment) {
        let status = format!("stops; peers have {} to read their output", InWords(self.grace));
        self.notifier.stopping(&status, self.grace);
        self.stops = true;
    }

    #[cfg(feature = "upgrade")]
    fn stop_evenly(&mut self, _now: Moment, over: Duration, grace: Duration) {
        let status = format!("drains; the peers are closed one by one over {}", InWords(over));
        self.notifier.stopping(&status, over.saturating_add(grace));
        self.stops = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_wakes_only_where_it_is_asked_to() {
        let asked = |variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| value.into());
            interval(&find, 7)
        };
        assert_eq!(asked(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "7")]), Some(Duration::from_secs(15)));
        assert_eq!(asked(&[("WATCHDOG_USEC", "30000000")]), Some(Duration::from_secs(15)));
        for other in [
            &[][..],
            &[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "8")],
            &[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "seven")],
            &[("WATCHDOG_USEC", "0")],
            &[("WATCHDOG_USEC", "-5")],
            &[("WATCHDOG_USEC", "soon")],
            &[("WATCHDOG_PID", "7")],
        ] {
            assert_eq!(asked(other), None, "{other:?}");
        }
    }
}
