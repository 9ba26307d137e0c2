//! The list of peers, and single ones.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::common::{PATIENCE, again, connect, exchange, raise_descriptor_limit};
use crate::wire::{Watched, start};

fn peers(page: &Value) -> &Vec<Value> {
    page["peers"].as_array().unwrap_or_else(|| panic!("{page}"))
}

fn address(peer: &Value) -> SocketAddr {
    peer["peer"].as_str().and_then(|peer| peer.parse().ok()).unwrap_or_else(|| panic!("{peer}"))
}

/// Each page from the first one, with something done in between.
fn pages(watched: &Watched, target: &str, mut between: impl FnMut()) -> Vec<Value> {
    let mut pages = vec![watched.json(target)];
    while let Some(next) = pages.last().unwrap()["next"].as_str().map(str::to_string) {
        between();
        pages.push(watched.json(&format!("{target}&after={next}")));
        assert!(pages.len() < 1000, "pages without end");
    }
    pages
}

/// Peers that stay, and others that come and go.
struct Crowd {
    stay: Vec<TcpStream>,
    go: Vec<TcpStream>,
}

impl Crowd {
    fn of(watched: &Watched, count: usize) -> Self {
        raise_descriptor_limit(4000);
        let mut crowd = Self { stay: Vec::new(), go: Vec::new() };
        for n in 0..count {
            let peer = watched.server.connect();
            if n % 3 == 0 { crowd.go.push(peer) } else { crowd.stay.push(peer) }
        }
        watched.wait_for_peers(count);
        crowd
    }

    /// Ten go, and ten come into their slots.
    fn change(&mut self, watched: &Watched) {
        let going = self.go.len().min(10);
        self.go.drain(..going);
        for _ in 0..10 {
            self.go.push(watched.server.connect());
        }
    }

    fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.stay.iter().map(|peer| peer.local_addr().unwrap()).collect()
    }
}

fn each_once(pages: &[Value], stay: &BTreeSet<SocketAddr>) {
    let mut seen = BTreeSet::new();
    for peer in pages.iter().flat_map(peers) {
        assert!(seen.insert(peer["id"].as_str().unwrap().to_string()), "{peer} is there twice");
    }
    let told: Vec<_> = pages.iter().flat_map(peers).map(address).filter(|peer| stay.contains(peer)).collect();
    assert_eq!(told.len(), stay.len(), "each that stays, and each once");
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), *stay);
}

pub fn paging() {
    let watched = start(&[]);
    let mut crowd = Crowd::of(&watched, 600);
    for limit in [7, 100, 1000] {
        let pages = pages(&watched, &format!("/peers?limit={limit}"), || crowd.change(&watched));
        assert!(pages.iter().all(|page| peers(page).len() <= limit && page["truncated"] == false));
        each_once(&pages, &crowd.addresses());
        // The last page is empty if those have gone in the meantime that were to follow.
        let empty = pages.iter().rev().skip(1).find(|page| peers(page).is_empty());
        assert!(empty.is_none(), "an empty page, and others follow: {empty:?}");
    }
    // As many as there are: no page follows.
    let watched = start(&[]);
    let _crowd = Crowd::of(&watched, 10);
    let page = watched.json("/peers?limit=10");
    assert_eq!((peers(&page).len(), &page["next"], &page["total"]), (10, &Value::Null, &10.into()));
    let first = peers(&page)[0].clone();
    for (name, is_there) in [
        ("id", Value::is_string as fn(&Value) -> bool),
        ("peer", Value::is_string),
        ("local", Value::is_string),
        ("connected_ms", Value::is_u64),
        ("silent_ms", Value::is_u64),
        ("probes", Value::is_u64),
        ("waiting", Value::is_u64),
        ("bytes_in", Value::is_u64),
        ("bytes_out", Value::is_u64),
        ("bytes_unacknowledged", Value::is_u64),
        ("round_trip_us", Value::is_u64),
        ("retransmissions", Value::is_u64),
        ("deadline_ms", Value::is_u64),
    ] {
        assert!(is_there(&first[name]), "{name} of {first}");
    }
    assert_eq!(first["local"], watched.server.address().to_string());
}

pub fn sorted() {
    let watched = start(&[]);
    let mut crowd = Crowd::of(&watched, 400);
    // Each has sent another number of bytes, and some have spoken lately.
    for (n, peer) in crowd.stay.iter_mut().enumerate() {
        peer.write_all(&vec![7; n + 1]).unwrap();
        peer.read_exact(&mut vec![0; n + 1]).unwrap();
    }
    sleep(Duration::from_millis(600));
    crowd.stay.iter_mut().take(50).for_each(exchange);
    for sort in ["silence", "age", "bytes"] {
        let target = format!("/peers?limit=30&sort={sort}");
        let pages = pages(&watched, &target, || crowd.change(&watched));
        assert!(pages.len() > 5, "{} pages", pages.len());
        each_once(&pages, &crowd.addresses());
    }
    let rank = |sort: &str, name: &str| -> Vec<u64> {
        let page = watched.json(&format!("/peers?limit=1000&sort={sort}"));
        assert_eq!(page["next"], Value::Null);
        peers(&page).iter().map(|peer| peer[name].as_u64().unwrap()).collect()
    };
    let bytes = rank("bytes", "bytes_in");
    assert!(bytes.is_sorted_by(|one, next| one >= next) && bytes[0] > 200, "{bytes:?}");
    // The page is looked at again, over several turns, in which everybody grows older.
    let turns = 200;
    let ages = rank("age", "connected_ms");
    assert!(ages.is_sorted_by(|one, next| one + turns >= *next), "{ages:?}");
    let silences = rank("silence", "silent_ms");
    assert!(silences.is_sorted_by(|one, next| one + turns >= *next), "{silences:?}");
    assert!(silences[0] >= 600 && silences[silences.len() - 1] + 300 < silences[0], "{silences:?}");
    // Of more lists than four, the one goes that was asked for longest ago.
    let first = watched.json("/peers?limit=1&sort=age")["next"].as_str().unwrap().to_string();
    for _ in 0..4 {
        watched.json("/peers?limit=1&sort=bytes");
    }
    let answer = watched.get(&format!("/peers?limit=1&after={first}"));
    assert_eq!(answer.status, 410, "{answer:?}");
    assert!(answer.text().contains("ask for the first page again"), "{}", answer.text());
    assert_eq!(watched.get(&format!("/peers?limit=1&after={first}x")).status, 400);
}

/// A long list is made in slices: whoever asks for little meanwhile is answered at once (envoyproxy/envoy#16425: its `/ready` hung
/// until `/stats` was done). Lists that are too many at once wait their turn.
pub fn crowded() {
    let watched = start(&[]);
    let mut crowd = Crowd::of(&watched, 1500);
    let mut lists: Vec<_> = (0..50).map(|_| watched.client()).collect();
    for list in &mut lists {
        list.send(b"GET /peers?sort=silence&limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    let started = Instant::now();
    assert_eq!(watched.get("/readyz").text(), "ready\n");
    let ready = started.elapsed();
    exchange(&mut crowd.stay[0]);
    let exchanged = started.elapsed();
    let answers: Vec<_> = lists.iter_mut().map(|list| list.answer(false)).collect();
    let all = started.elapsed();
    println!("ready after {ready:?}, echo after {exchanged:?}, all lists after {all:?}");
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(made >= 32, "{made} lists");
    for answer in &answers {
        match answer.status {
            200 => assert_eq!(peers(&answer.json()).len(), 500),
            _ => assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}"),
        }
    }
    assert!(exchanged < all / 2, "the others waited for the lists: {exchanged:?} of {all:?}");
    // One that goes before its list is made holds nobody up.
    let mut gone = watched.client();
    gone.send(b"GET /peers?sort=silence&limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    drop(gone);
    assert_eq!(watched.json("/peers?limit=1")["total"], 1500);
}

pub fn filter() {
    let watched = start(&[]);
    let from = |last: u8| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(Ipv4Addr::new(127, 0, 9, last).into(), 0).into()).unwrap();
        socket.connect(&watched.server.address().into()).unwrap();
        TcpStream::from(socket)
    };
    let _some: Vec<_> = (0..20).map(|last| from(16 + last)).collect();
    let _others: Vec<_> = (0..200).map(|_| connect(watched.server.address())).collect();
    watched.wait_for_peers(220);
    let count = |filter: &str| -> usize {
        let pages = pages(&watched, &format!("/peers?limit=3&from={filter}"), || ());
        assert!(pages.iter().all(|page| page["total"] == 220));
        pages.iter().map(|page| peers(page).len()).sum()
    };
    assert_eq!(count("127.0.9.0/24"), 20);
    assert_eq!(count("127.0.9.16/28"), 16);
    assert_eq!(count("127.0.9.17"), 1);
    assert_eq!(count("127.0.9.16%2F31&sort=silence"), 2);
    assert_eq!(count("192.0.2.0/24"), 0);
    assert_eq!(count("::/0"), 0);
    let answer = watched.get("/peers?from=127.0.9.1/24");
    assert!(answer.status == 400 && answer.text().contains("did you mean 127.0.9.0/24?"), "{answer:?}");
}

pub fn one() {
    let watched = start(&[]);
    let mut one = watched.server.connect();
    exchange(&mut one);
    let mut other = watched.server.connect();
    exchange(&mut other);
    let page = watched.json("/peers");
    let own = one.local_addr().unwrap();
    let id = peers(&page).iter().find(|peer| address(peer) == own).unwrap()["id"].as_str().unwrap();
    let target = format!("/peers/{id}");
    let story = watched.json(&target);
    assert_eq!((&story["id"], &story["state"]), (&id.into(), &"established".into()));
    assert_eq!((&story["bytes_in"], &story["bytes_out"], &story["waiting"]), (&5.into(), &5.into(), &0.into()));
    for name in ["retransmits", "rto_us", "not_sent", "window", "pure_acks", "sent_ms", "received_ms"] {
        assert!(story[name].is_u64(), "{name} of {story}");
    }
    let mut events = watched.client();
    events.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    events.head();
    // Twice in one piece: the second time it is going, or has gone.
    let mut client = watched.client();
    let request = format!("DELETE {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.send(request.repeat(2).as_bytes());
    let first = client.answer(false);
    assert_eq!((first.status, &first.json()["id"]), (202, &id.into()));
    assert!(matches!(client.answer(false).status, 202 | 404));
    assert_eq!(again::read(&one, &mut [0]).unwrap_or(0), 0, "it was let go");
    let event = events.event().2;
    assert_eq!(
        (&event["event"], &event["id"], &event["reason"]),
        (&"departure".into(), &id.into(), &"by_service".into()),
        "{event}"
    );
    assert_eq!(event["service_reason"], "by the operator", "{event}");
    for method in ["GET", "DELETE"] {
        let answer = watched.ask(method, &target);
        assert!(answer.status == 404 && answer.text().contains("there is no peer"), "{answer:?}");
    }
    exchange(&mut other);
    // Peers that go just then: each DELETE is answered, one way or the other, and nobody else goes.
    let started = Instant::now();
    for _ in 0..100 {
        let peer = watched.server.connect();
        let own = peer.local_addr().unwrap();
        let id = loop {
            let page = watched.json("/peers");
            if let Some(peer) = peers(&page).iter().find(|peer| address(peer) == own) {
                break peer["id"].as_str().unwrap().to_string();
            }
            assert!(started.elapsed() < PATIENCE);
        };
        client.send(format!("DELETE /peers/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        drop(peer);
        assert!(matches!(client.answer(false).status, 202 | 404));
    }
    exchange(&mut other);
}
