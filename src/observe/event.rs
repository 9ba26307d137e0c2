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

    /// The same for those who have no clock of the loop, with the moment that it is there.
    #[cfg(feature = "admin")]
    pub fn at(now: Moment) -> Self {
        Self { now, at_now: SystemTime::now() }
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

/// Writes the events of this process, with their numbers. News have theirs ([`News::number`]), so those of all who observe agree.
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
    /// From the event on that follows this many happenings of the loop ([`News::number`]): for those who do not observe it all the
    /// time.
    #[cfg(feature = "admin")]
    pub fn after(happened: u64) -> Self {
        Self { next: happened + 2 }
    }

    /// From this event on: the program before this one has told of those before it.
    #[cfg(all(feature = "events", feature = "upgrade"))]
    pub fn from(next: u64) -> Self {
        Self { next }
    }

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
        // The start is event 1.
        let (seq, at) = (news.number + 1, time.of(news.at));
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
            #[cfg(feature = "upgrade")]
            Happening::Upgraded { version: from, generation, peers } => begin("upgrade", seq, at)
                .text("from", from)
                .text("version", env!("CARGO_PKG_VERSION"))
                .number("generation", *generation)
                .number("peers", *peers as u64),
            // They have their numbers, so that whoever counts sees the gap. This one has that of the next.
            Happening::LeftOut { count } => {
                self.next = seq;
                return Some(self.left_out(*count, at));
            }
            _ => return None,
        };
        self.next = seq + 1;
        Some(Event { seq, object: event.end() })
    }

    /// Goes on behind news that nobody is told.
    pub fn skip(&mut self, news: &News) {
        self.next = self.next.max(news.number + 2);
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::reactor::PeerId;

    fn told(number: u64, what: Happening) -> (Chronicle, Value) {
        let mut chronicle = Chronicle::default();
        let time = TimeOfDay {
            now: Moment::after(Duration::from_secs(9)),
            at_now: SystemTime::UNIX_EPOCH + Duration::from_secs(9),
        };
        let event =
            chronicle.tell(&News { number, at: Moment::after(Duration::from_millis(1234)), what }, &time).unwrap();
        assert!(!event.object.contains(|c| c < ' '), "one line: {:?}", event.object);
        let value: Value = serde_json::from_str(&event.object).unwrap();
        assert_eq!(
            (value["seq"].as_u64(), value["time"].as_str()),
            (Some(event.seq), Some("1970-01-01T00:00:01.234Z"))
        );
        (chronicle, value)
    }

    fn id() -> PeerId {
        "5f5e100ff-7".parse().unwrap()
    }

    #[test]
    fn every_address_and_every_text_is_right() {
        for peer in ["192.0.2.1:5000", "[2001:db8::1]:1", "[fe80::1%7]:65535", "[::ffff:192.0.2.1]:5"] {
            let (_, event) = told(1, Happening::Arrived { id: id(), peer: peer.parse().unwrap(), local: None });
            assert_eq!((event["peer"].as_str(), event["id"].as_str()), (Some(peer), Some("5f5e100ff-7")));
            assert!(event["local"].is_null());
        }
        let all: String = (0..0xd800).chain(0xe000..0x11000).filter_map(char::from_u32).collect();
        for text in ["", "a \"quote\", a \\ and a\nnew line\u{0}\u{1f}", "zu träge \u{1F40C}", "</script>", all.leak()]
        {
            let (peer, departure) = ("[::1]:1".parse().unwrap(), Departure::Closed);
            let departed = Departed {
                id: id(),
                peer,
                local: Some(peer),
                departure,
                reason: Some(text),
                connected: Duration::MAX,
                info: None,
            };
            let (_, event) = told(1, Happening::Departed(departed));
            assert_eq!((event["service_reason"].as_str(), event["local"].as_str()), (Some(text), Some("[::1]:1")));
            let none = [
                "errno",
                "silent_ms",
                "bytes_in",
                "bytes_out",
                "bytes_unacknowledged",
                "round_trip_us",
                "retransmissions",
            ];
            assert!(none.iter().all(|name| event.get(name).is_some_and(Value::is_null)), "{event}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_news() {
        let peer = "[::1]:1".parse().unwrap();
        let (chronicle, event) = told(7, Happening::Refused { peer, departure: Departure::Full });
        assert_eq!((chronicle.next(), event["reason"].as_str()), (9, Some("full")));
        // Three are missing: the one before them was 5, and the next one is 9.
        let (mut chronicle, event) = told(8, Happening::LeftOut { count: 3 });
        assert_eq!((chronicle.next(), event["seq"].as_u64(), event["count"].as_u64()), (9, Some(9), Some(3)));
        let news = |number, what| News { number, at: Moment::default(), what };
        chronicle.skip(&news(8, Happening::LimitReached { limit: 1 }));
        let time = TimeOfDay { now: Moment::default(), at_now: SystemTime::UNIX_EPOCH };
        assert_eq!(chronicle.tell(&news(8, Happening::Stopping), &time), None);
        assert_eq!(chronicle.stop(Ending::Aborted { cut_off: 4 }).seq, 10);
        #[cfg(feature = "upgrade")]
        {
            let (_, event) = told(4, Happening::Upgraded { version: "0.0.9".into(), generation: 3, peers: 19_000 });
            assert_eq!((event["event"].as_str(), event["seq"].as_u64()), (Some("upgrade"), Some(5)));
            assert_eq!(
                (event["from"].as_str(), event["generation"].as_u64(), event["peers"].as_u64()),
                (Some("0.0.9"), Some(3), Some(19_000))
            );
            assert_eq!(event["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        }
        let (_, event) = told(1, Happening::AcceptPaused { errno: libc::EMFILE });
        assert_eq!((event["limit"].as_str(), event["detail"].as_str()), (Some("accept_paused"), Some("EMFILE")));
    }
}
