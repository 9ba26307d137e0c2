//! What has happened, as JSON: one object an event, in one line, the same for `--events` and for the admin port.
//!
//! Owns the names, the units and the numbering of events; docs/events.schema.json is their schema. Knows no reader.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::markup::json::{self, Object};
use crate::observe::errno;
use crate::reactor::{Clock, Departed, Departure, Ending, Happening, Moment, News};
use crate::tcp_info::{TCP_CLOSE, TcpInfo};

/// Tells which time of day a moment of the loop is.
///
/// Both clocks are read anew for each batch of news: the time of day may be set, and the loop's clock does not follow.
#[derive(Clone, Copy, Debug)]
pub struct TimeOfDay {
    now: Moment,
    at_now: SystemTime,
}

impl TimeOfDay {
    pub fn read(clock: Clock) -> Self {
        Self { now: clock.now(), at_now: SystemTime::now() }
    }

    /// Of a moment that is not in the future.
    pub fn of(&self, moment: Moment) -> SystemTime {
        self.at_now.checked_sub(self.now.since(moment)).unwrap_or(self.at_now)
    }

    pub fn now(&self) -> SystemTime {
        self.at_now
    }
}

/// An event, and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub seq: u64,
    /// One line, without its end.
    pub object: String,
}

/// Numbers the events of this process, and writes them. All who observe get the same news in the same order, so each can have
/// its own: the numbers agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chronicle {
    next: u64,
}

impl Default for Chronicle {
    /// Event 1 is the start, whether anybody is told of it or not: see [`Chronicle::start`].
    fn default() -> Self {
        Self { next: 2 }
    }
}

impl Chronicle {
    /// The number of the next event.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The server listens.
    pub fn start(listen: &[SocketAddr], deadline: Duration) -> Event {
        let listen = json::array(listen.iter().map(|address| format!("\"{address}\"")));
        let event = begin("start", 1, SystemTime::now())
            .text("version", env!("CARGO_PKG_VERSION"))
            .number("pid", std::process::id().into())
            .with("listen", &listen)
            .number("deadline_ms", milliseconds(deadline));
        Event { seq: 1, object: event.end() }
    }

    /// What the loop tells. `None` is no event.
    pub fn tell(&mut self, news: &News, time: &TimeOfDay) -> Option<Event> {
        let (seq, at) = (self.next, time.of(news.at));
        let event = match &news.what {
            Happening::Arrived { id, peer, local } => {
                address("local", *local, begin("arrival", seq, at).plain("id", id).plain("peer", peer))
            }
            Happening::Departed(departed) => departure(departed, begin("departure", seq, at)),
            Happening::Refused { peer, departure } => {
                begin("refusal", seq, at).plain("peer", peer).text("reason", departure.word())
            }
            Happening::LimitReached { limit } => begin("limit", seq, at)
                .text("limit", "connections")
                .plain("detail", format_args!("the limit of {limit} connections is reached")),
            Happening::AcceptPaused { errno } => {
                begin("limit", seq, at).text("limit", "accept_paused").plain("detail", errno::Name(*errno))
            }
            // They have their numbers, so that whoever counts sees the gap.
            Happening::LeftOut { count } => {
                self.next += count;
                return Some(self.left_out(*count, at));
            }
            _ => return None,
        };
        self.next += 1;
        Some(Event { seq, object: event.end() })
    }

    /// Numbers what nobody is told.
    pub fn skip(&mut self, news: &News) {
        self.next += match news.what {
            Happening::Stopping => 0,
            Happening::LeftOut { count } => count,
            _ => 1,
        };
    }

    /// The loop has ended: the last event.
    pub fn stop(&mut self, ending: Ending) -> Event {
        let (word, cut_off) = match ending {
            Ending::Aborted { cut_off } => ("aborted", cut_off),
            _ => ("orderly", 0),
        };
        let seq = self.next;
        self.next += 1;
        let event = begin("stop", seq, SystemTime::now()).text("ending", word).number("cut_off", cut_off as u64);
        Event { seq, object: event.end() }
    }

    /// In place of events that were numbered and not taken. It has the number of the next one.
    pub fn left_out(&self, count: u64, at: SystemTime) -> Event {
        Event { seq: self.next, object: begin("left_out", self.next, at).number("count", count).end() }
    }
}

/// What every event has. Most are about this long.
fn begin(word: &str, seq: u64, at: SystemTime) -> Object {
    let time = humantime::format_rfc3339_millis(at);
    Object::of(416).text("event", word).number("seq", seq).plain("time", time)
}

fn address(name: &str, address: Option<SocketAddr>, event: Object) -> Object {
    match address {
        Some(address) => event.plain(name, address),
        None => event.with(name, json::NULL),
    }
}

fn departure(departed: &Departed, event: Object) -> Object {
    let Departed { id, peer, local, departure, reason, connected, info, .. } = departed;
    // A kernel that tells nothing (gVisor) fills in no state.
    let info = info.filter(|info| info.state != 0);
    let figure = |figure: fn(&TcpInfo) -> u64| info.as_ref().map(figure);
    let event = address("local", *local, event.plain("id", id).plain("peer", peer)).text("reason", departure.word());
    let event = event.text_or_null("service_reason", *reason);
    let event = match departure.errno() {
        Some(errno) => event.plain("errno", errno::Name(errno)),
        None => event.with("errno", json::NULL),
    };
    event
        .number("connected_ms", milliseconds(*connected))
        .number_or_null("silent_ms", figure(|info| milliseconds(info.silent)))
        .number_or_null("bytes_in", info.map(|info| bytes_in(&info, *departure)))
        .number_or_null("bytes_out", info.and_then(|info| info.bytes_out()))
        .number_or_null("bytes_unacknowledged", info.and_then(|info| info.bytes_unacknowledged()))
        .number_or_null("round_trip_us", figure(|info| info.round_trip.as_micros() as u64).filter(|time| *time > 0))
        .number_or_null("retransmissions", figure(|info| info.retransmitted.into()))
}

/// A peer that was shut down has sent its FIN, which the kernel counts, by the time that the connection is over.
fn bytes_in(info: &TcpInfo, departure: Departure) -> u64 {
    let has_fin = departure == Departure::ShutDown && info.state == TCP_CLOSE;
    info.bytes_in().saturating_sub(has_fin.into())
}

fn milliseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1000).saturating_add(time.subsec_millis().into())
}
