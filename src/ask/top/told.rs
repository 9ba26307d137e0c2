//! What `GET /watch` tells: its events, out of their JSON.
//!
//! Knows the form of each, and nothing of what is done with it. What is not known here is skipped: a later server may tell more.

use serde_json::Value;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Hello(Hello),
    Peers(Slice),
    News(News),
    Turns(Vec<Turn>),
    Figures(Figures),
}

/// Said first. Times are in milliseconds; those of a clock count from 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hello {
    pub version: String,
    pub time: u64,
    pub deadline: u64,
    pub idle: u64,
    pub interval: u64,
    pub listen: Vec<String>,
    pub limit: u64,
}

/// A part of a sweep over all peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    /// All peers are told, and not only those of which something has changed.
    pub full: bool,
    pub last: bool,
    pub entries: Vec<Entry>,
}

/// One peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub id: String,
    /// Only in a full sweep.
    pub address: Option<String>,
    /// When the last sign of life came.
    pub heard: u64,
    pub probes: u64,
    pub waiting: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Arrival {
        id: String,
        peer: String,
    },
    Departure {
        id: String,
        words: String,
    },
    /// So many events were not told: who is there is told anew.
    LeftOut(u64),
    /// Words for anything else that is worth a line.
    Other(String),
}

/// Microseconds that each part of a turn took, in the order of [`PARTS`], and how many events it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    pub number: u64,
    pub parts: [u64; PARTS.len()],
    pub events: u64,
}

/// The parts of a turn, and how each is named in the event.
pub(super) const PARTS: [(&str, &str); 7] = [
    ("wait", "wait_us"),
    ("latch", "latch_us"),
    ("drive", "drive_us"),
    ("accept", "accept_us"),
    ("expire", "expire_us"),
    ("carry out", "carry_out_us"),
    ("reap", "reap_us"),
];

/// What the server counts, since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub at: u64,
    pub peers: u64,
    pub limit: u64,
    pub arrivals: u64,
    /// By reason.
    pub departures: Vec<(String, u64)>,
    pub refusals: u64,
    pub received: u64,
    pub sent: u64,
    pub turns: u64,
    /// How many peers were found dead, and how long they had been silent on average, in milliseconds.
    pub found_dead: u64,
    pub detection: u64,
    pub outboxes: u64,
    pub late: u64,
    pub is_stopping: bool,
}

impl Told {
    /// Reads an event; none if it is of a kind that is not known.
    ///
    /// # Errors
    /// It is of a known kind, and not of its form: what is missing.
    pub(super) fn of(name: &str, data: &str) -> Result<Option<Self>, &'static str> {
        if !["hello", "peers", "news", "turns", "figures"].contains(&name) {
            return Ok(None);
        }
        let value: Value = serde_json::from_str(data).map_err(|_| "JSON in it")?;
        Ok(Some(match name {
            "hello" => Self::Hello(hello(&value).ok_or("hello that can be read")?),
            "peers" => Self::Peers(slice(&value).ok_or("list of peers that can be read")?),
            "news" => match news(&value) {
                Some(news) => Self::News(news),
                None => return Ok(None),
            },
            "turns" => {
                let turns = value.get("turns").and_then(Value::as_array).ok_or("turns that can be read")?;
                Self::Turns(turns.iter().map(turn).collect())
            }
            _ => Self::Figures(figures(&value).ok_or("figures that can be read")?),
        }))
    }
}

fn number(value: &Value, name: &str) -> Option<u64> {
    let value = value.get(name)?;
    // A clock may be told with a fraction.
    value.as_u64().or_else(|| value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64))
}

fn text(value: &Value, name: &str) -> Option<String> {
    Some(value.get(name)?.as_str()?.to_string())
}

fn hello(value: &Value) -> Option<Hello> {
    let or_none = |name: &str| number(value, name).unwrap_or_default();
    let listen = value.get("listen").and_then(Value::as_array);
    Some(Hello {
        version: text(value, "version")?,
        time: number(value, "time")?,
        deadline: number(value, "deadline_ms")?,
        idle: or_none("idle_ms"),
        interval: or_none("interval_ms"),
        listen: listen.into_iter().flatten().filter_map(|place| Some(place.as_str()?.to_string())).collect(),
        limit: or_none("limit"),
    })
}

fn slice(value: &Value) -> Option<Slice> {
    let is = |name: &str| value.get(name).and_then(Value::as_bool);
    let full = is("full")?;
    let entry = |value: &Value| {
        let value = value.as_array()?;
        let address = if full { Some(value.get(1)?.as_str()?.to_string()) } else { None };
        let number = |nth: usize| value.get(nth + usize::from(full))?.as_f64().map(|number| number as u64);
        let id = value.first()?.as_str()?.to_string();
        Some(Entry { id, address, heard: number(1)?, probes: number(2)?, waiting: number(3)? })
    };
    let entries = value.get("peers")?.as_array()?.iter().map(entry).collect::<Option<_>>()?;
    Some(Slice { full, last: is("last")?, entries })
}

fn news(value: &Value) -> Option<News> {
    let (event, peer) = (text(value, "event")?, text(value, "peer").unwrap_or_default());
    // 2026-11-26T14:38:58.123Z: the time of day is enough here.
    let time = text(value, "time").and_then(|time| Some(time.get(11..19)?.to_string())).unwrap_or_default();
    Some(match event.as_str() {
        "arrival" => News::Arrival { id: text(value, "id")?, peer },
        "departure" => {
            let reason = text(value, "service_reason").or_else(|| text(value, "reason")).unwrap_or_default();
            let ago = |name: &str, words: &str| match number(value, name) {
                Some(time) => format!(", {words} {}", crate::ask::amount::age(time)),
                None => String::new(),
            };
            let (connected, silent) = (ago("connected_ms", "connected"), ago("silent_ms", "silent"));
            News::Departure { id: text(value, "id")?, words: format!("{time} {peer} {reason}{silent}{connected}") }
        }
        "refusal" => News::Other(format!("{time} {peer} refused: {}", text(value, "reason").unwrap_or_default())),
        "limit" => News::Other(format!(
            "{time} limit: {}",
            text(value, "detail").or_else(|| text(value, "limit")).unwrap_or_default()
        )),
        "left_out" => News::LeftOut(number(value, "count").unwrap_or_default()),
        "stop" => News::Other(format!("{time} the server stops")),
        _ => return None,
    })
}

fn turn(value: &Value) -> Turn {
    let number = |name: &str| number(value, name).unwrap_or_default();
    Turn { number: number("n"), parts: PARTS.map(|(_, name)| number(name)), events: number("events") }
}

fn figures(value: &Value) -> Option<Figures> {
    let or_none = |name: &str| number(value, name).unwrap_or_default();
    let counts = |name: &str| -> Vec<(String, u64)> {
        let counts = value.get(name).and_then(Value::as_object);
        counts.into_iter().flatten().filter_map(|(reason, count)| Some((reason.clone(), count.as_u64()?))).collect()
    };
    let detection = value.get("detection").unwrap_or(&Value::Null);
    let found_dead = number(detection, "count").unwrap_or_default();
    let sum = detection.get("sum").and_then(Value::as_f64).unwrap_or_default();
    Some(Figures {
        at: number(value, "at")?,
        peers: number(value, "peers")?,
        limit: or_none("limit"),
        arrivals: or_none("arrivals"),
        departures: counts("departures"),
        refusals: counts("refusals").iter().map(|(_, count)| count).sum(),
        received: or_none("received_bytes"),
        sent: or_none("sent_bytes"),
        turns: or_none("turns"),
        found_dead,
        detection: ((sum * 1000.0) as u64).checked_div(found_dead).unwrap_or_default(),
        outboxes: or_none("outbox_bytes"),
        late: or_none("late"),
        is_stopping: value.get("stopping") == Some(&Value::Bool(true)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_read() {
        let full = Told::of(
            "peers",
            r#"{"sweep":1,"full":true,"last":false,"peers":[["1-a","192.0.2.1:1",1700000000123,2,3]]}"#,
        );
        let entry = Entry {
            id: "1-a".into(),
            address: Some("192.0.2.1:1".into()),
            heard: 1_700_000_000_123,
            probes: 2,
            waiting: 3,
        };
        let slice = Slice { full: true, last: false, entries: vec![entry.clone()] };
        assert_eq!(full, Ok(Some(Told::Peers(slice))));
        let part = Told::of("peers", r#"{"sweep":2,"full":false,"last":true,"peers":[["1-a",1700000000123,2,3]]}"#);
        let slice = Slice { full: false, last: true, entries: vec![Entry { address: None, ..entry }] };
        assert_eq!(part, Ok(Some(Told::Peers(slice))));
        let gone = r#"{"event":"departure","time":"2026-11-26T14:38:58.123Z","id":"1-a","peer":"192.0.2.1:1","reason":"closed",
            "connected_ms":61000,"silent_ms":null,"service_reason":null}"#;
        let words = "14:38:58 192.0.2.1:1 closed, connected 1m 1s".to_string();
        assert_eq!(Told::of("news", gone), Ok(Some(Told::News(News::Departure { id: "1-a".into(), words }))));
        let turns = r#"{"turns":[{"n":7,"wait_us":900.75,"drive_us":90,"reap_us":10,"events":3}]}"#;
        let turn = Turn { number: 7, parts: [900, 0, 90, 0, 0, 0, 10], events: 3 };
        assert_eq!(Told::of("turns", turns), Ok(Some(Told::Turns(vec![turn]))));
        let figures = r#"{"at":5000,"peers":2,"limit":9,"arrivals":7,"departures":{"closed":3,"reset":1},"refusals":{"full":1,"x":2},
            "received_bytes":1,"sent_bytes":2,"turns":3,"detection":{"le":[1],"counts":[0,4],"sum":40.8,"count":4},"outbox_bytes":5,"late":1}"#;
        let Ok(Some(Told::Figures(figures))) = Told::of("figures", figures) else { panic!() };
        assert_eq!((figures.detection, figures.found_dead, figures.refusals, figures.late), (10_200, 4, 3, 1));
        assert_eq!(figures.departures, [("closed".to_string(), 3), ("reset".to_string(), 1)]);
    }

    #[test]
    fn what_is_not_known_is_skipped_and_what_is_broken_is_told() {
        assert_eq!(Told::of("weather", "{"), Ok(None));
        assert_eq!(Told::of("news", r#"{"event":"eclipse"}"#), Ok(None));
        for name in ["hello", "peers", "figures", "turns"] {
            for data in ["", "{", "[]", "null", r#"{"peers":[1],"full":true,"last":true}"#] {
                let told = Told::of(name, data);
                assert!(matches!(told, Err(_) | Ok(Some(Told::Figures(_)))), "{name} {data}: {told:?}");
            }
        }
    }
}
