//! Those who follow: events, and everything at a glance.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{exchange, memory, raise_descriptor_limit};
use crate::wire::{Client, Watched, start};

fn follow(watched: &Watched, target: &str, headers: &str) -> Client<TcpStream> {
    let mut client = watched.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes());
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/event-stream"), "{head}");
    client
}

pub fn events() {
    let watched = start(&[]);
    let mut reader = follow(&watched, "/events", "");
    let mut peer = watched.server.connect();
    exchange(&mut peer);
    let (name, first, arrival) = reader.event();
    assert_eq!((name.as_str(), &arrival["event"]), ("message", &"arrival".into()));
    assert_eq!(arrival["peer"], peer.local_addr().unwrap().to_string());
    assert_eq!(Some(arrival["seq"].as_u64().unwrap()), first);
    drop(peer);
    let (_, second, departure) = reader.event();
    assert_eq!((&departure["event"], &departure["reason"]), (&"departure".into(), &"closed".into()));
    assert_eq!((&departure["id"], second), (&arrival["id"], first.map(|first| first + 1)));
    let first = first.unwrap();
    drop(reader);
    // While nobody reads, for a minute, nothing is missed.
    drop(watched.server.connect());
    let told = |reader: &mut Client<TcpStream>, count: usize| -> Vec<(u64, Value)> {
        let events = (0..count).map(|_| reader.event());
        events.map(|(_, id, event)| (id.unwrap(), event["event"].clone())).collect()
    };
    let (arrives, departs) = (Value::from("arrival"), Value::from("departure"));
    let wanted = vec![(first + 1, departs.clone()), (first + 2, arrives.clone()), (first + 3, departs.clone())];
    let header = format!("Last-Event-ID: {first}\r\n");
    assert_eq!(told(&mut follow(&watched, "/events", &header), 3), wanted);
    assert_eq!(told(&mut follow(&watched, &format!("/events?after={first}"), ""), 3), wanted);
    // The header is newer than the query, which a browser repeats.
    let mut reader = follow(&watched, "/events?after=1", &format!("Last-Event-ID: {}\r\n", first + 2));
    assert_eq!(told(&mut reader, 1), wanted[2..]);
    // A number of another life of the server: what there is, from the beginning.
    let mut reader = follow(&watched, "/events?after=5000", "");
    assert_eq!(told(&mut reader, 4)[1..], wanted);

    // What happened before anybody followed was not kept, but is counted.
    let watched = start(&[]);
    for _ in 0..3 {
        exchange(&mut watched.server.connect());
    }
    watched.wait_for_peers(0);
    let mut reader = follow(&watched, "/events?after=2", "");
    let (_, id, left_out) = reader.event();
    assert_eq!((&left_out["event"], &left_out["count"]), (&"left_out".into(), &5.into()), "{left_out}");
    assert_eq!((id, left_out["seq"].as_u64()), (Some(7), Some(8)));
    let _peer = watched.server.connect();
    assert_eq!(told(&mut reader, 1), [(8, arrives)]);
}

/// What a page knows of the peers, from what it is told.
#[derive(Default)]
struct Page {
    peers: BTreeMap<String, (String, u64)>,
    sweeps: usize,
    seen: BTreeMap<String, usize>,
    hello: Value,
    figures: Value,
    news: Vec<Value>,
}

impl Page {
    fn take(&mut self, (name, _, data): (String, Option<u64>, Value), full: &mut BTreeMap<String, (String, u64)>) {
        *self.seen.entry(name.clone()).or_default() += 1;
        match name.as_str() {
            "hello" => self.hello = data,
            "figures" => self.figures = data,
            "news" => {
                match data["event"].as_str().unwrap() {
                    "arrival" => {
                        let peer = (data["peer"].as_str().unwrap().to_string(), 0);
                        self.peers.insert(data["id"].as_str().unwrap().to_string(), peer);
                    }
                    "departure" => drop(self.peers.remove(data["id"].as_str().unwrap())),
                    _ => {}
                }
                self.news.push(data);
            }
            "peers" => {
                for peer in data["peers"].as_array().unwrap() {
                    let id = peer[0].as_str().unwrap().to_string();
                    if data["full"] == true {
                        full.insert(id, (peer[1].as_str().unwrap().to_string(), peer[2].as_u64().unwrap()));
                    } else {
                        let known = self.peers.get_mut(&id).unwrap_or_else(|| panic!("{id} was never told"));
                        known.1 = peer[1].as_u64().unwrap();
                    }
                }
                if data["last"] == true {
                    self.sweeps += 1;
                    if data["full"] == true {
                        self.peers = std::mem::take(full);
                    }
                }
            }
            "turns" => {
                let turns = data["turns"].as_array().unwrap();
                assert!(!turns.is_empty() && turns.len() <= 32);
                for part in [
                    "n",
                    "events",
                    "wait_us",
                    "latch_us",
                    "drive_us",
                    "accept_us",
                    "expire_us",
                    "carry_out_us",
                    "reap_us",
                ] {
                    assert!(turns.iter().all(|turn| turn[part].is_number()), "{part} of {data}");
                }
            }
            other => panic!("{other} is no event of the contract: {data}"),
        }
    }
}

pub fn watch() {
    raise_descriptor_limit(4000);
    let watched = start(&["--deadline", "10s"]);
    let mut peers: Vec<_> = (0..1000).map(|_| watched.server.connect()).collect();
    watched.wait_for_peers(1000);
    let mut reader = follow(&watched, "/watch", "");
    let (mut page, mut full) = (Page::default(), BTreeMap::new());
    let first = reader.event();
    assert_eq!(first.0, "hello");
    page.take(first, &mut full);
    while page.sweeps == 0 {
        page.take(reader.event(), &mut full);
    }
    assert_eq!(
        (page.peers.len(), &page.hello["count"], &page.hello["deadline_ms"]),
        (1000, &1000.into(), &10_000.into())
    );
    let addresses: Vec<_> = page.peers.values().map(|(address, _)| address.clone()).collect();
    assert!(peers.iter().all(|peer| addresses.contains(&peer.local_addr().unwrap().to_string())));
    // Some speak, some go, some come: the table follows.
    std::thread::sleep(Duration::from_millis(1500));
    peers.iter_mut().take(10).for_each(exchange);
    peers.drain(500..600);
    peers.extend((0..50).map(|_| watched.server.connect()));
    let spoke: Vec<_> = peers.iter().take(10).map(|peer| peer.local_addr().unwrap().to_string()).collect();
    let quiet = peers[20].local_addr().unwrap().to_string();
    let started = Instant::now();
    let heard =
        |page: &Page, address: &str| page.peers.values().find(|peer| peer.0 == address).map_or(0, |peer| peer.1);
    while page.peers.len() != 950
        || page.figures["peers"] != 950
        || !spoke.iter().all(|address| heard(&page, address) > heard(&page, &quiet) + 1000)
    {
        assert!(started.elapsed() < Duration::from_secs(20), "{} peers, {}", page.peers.len(), page.figures);
        page.take(reader.event(), &mut full);
    }
    assert_eq!(page.figures["departures"]["closed"], 100, "{}", page.figures);
    assert_eq!((&page.figures["arrivals"], page.news.len()), (&1050.into(), 150));
    let detection = &page.figures["detection"];
    assert_eq!(detection["counts"].as_array().unwrap().len(), detection["le"].as_array().unwrap().len() + 1);
    assert!(page.seen["turns"] > 1 && page.seen["figures"] > 1, "{:?}", page.seen);
    drop(reader);
    peers.iter_mut().for_each(exchange);
}

/// Followers that vanish are forgotten, and their places are free again (a reader in CLOSE_WAIT kept its queue growing for ever in
/// anomalyco/opencode#31923).
pub fn vanishing() {
    raise_descriptor_limit(4000);
    let watched = start(&[]);
    let mut peer = watched.server.connect();
    exchange(&mut peer);
    // So many that a sweep takes several turns, in the middle of which somebody vanishes.
    let _others: Vec<_> = (0..1000).map(|_| watched.server.connect()).collect();
    watched.wait_for_peers(1001);
    let before = memory(watched.server.pid(), "Private_Dirty");
    for n in 0..500 {
        let mut reader = watched.client();
        let target = if n % 2 == 0 { "/events" } else { "/watch" };
        reader.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        if n % 3 == 0 {
            reader.head();
        }
        drop(reader);
        if n % 50 == 0 {
            // The last ones may still be going.
            std::thread::sleep(Duration::from_millis(50));
            follow(&watched, target, "");
        }
    }
    exchange(&mut peer);
    std::thread::sleep(Duration::from_millis(50));
    let (mut reader, mut told) = (follow(&watched, "/watch", ""), 0);
    let started = Instant::now();
    while told < 1001 {
        assert!(started.elapsed() < Duration::from_secs(10), "only {told} peers were told");
        let (name, _, data) = reader.event();
        if name == "peers" && data["full"] == true {
            told += data["peers"].as_array().unwrap().len();
        }
    }
    drop(reader);
    let held = memory(watched.server.pid(), "Private_Dirty").saturating_sub(before);
    assert!(held < 4 << 20, "{} KiB more", held >> 10);
}

/// Readers that never read: they hold a piece each, the others are served, and after half a minute they are gone.
pub fn stuck() {
    let watched = start(&[]);
    let mut peers: Vec<_> = (0..100).map(|_| watched.server.connect()).collect();
    watched.wait_for_peers(100);
    let before = memory(watched.server.pid(), "Private_Dirty");
    let readers = (0..40).map(|n| {
        let mut client = watched.client();
        let target = if n % 2 == 0 { "/events" } else { "/watch" };
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        client
    });
    let mut readers: Vec<_> = readers.collect();
    let refused = readers.iter_mut().skip(32).map(|reader| reader.answer(false));
    for answer in refused {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("15")), "{answer:?}");
    }
    // Far more than the buffers hold that are between us.
    for _ in 0..200 {
        peers.truncate(50);
        peers.extend((0..50).map(|_| watched.server.connect()));
    }
    peers.iter_mut().for_each(exchange);
    let held = memory(watched.server.pid(), "Private_Dirty").saturating_sub(before);
    assert!(held < 12 << 20, "{} KiB more", held >> 10);
    assert_eq!(watched.get("/healthz").text(), "ok\n");
}
