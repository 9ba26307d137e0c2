//! What is told of the peers.

use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;

use crate::common::again::fill;
use crate::common::{Server, again, ask, exchange};
use crate::story::{Directory, Story};

/// A server whose events are in a file.
pub struct Written {
    pub server: Server,
    pub directory: Directory,
}

impl Written {
    pub fn start(options: &[&str]) -> Self {
        let directory = Directory::new();
        let file = directory.path("events");
        let server = Server::start(&[options, &["--events", &file]].concat());
        Self { server, directory }
    }

    pub fn wait_for(&self, part: &str) -> Story {
        Story::whole(&self.directory.wait_for("events", part))
    }

    /// Ends the server in an orderly way; all that was told.
    pub fn ends(&mut self) -> Story {
        self.server.signal("TERM");
        self.server.wait();
        self.wait_for("\"stop\"")
    }
}

/// A close that the other end learns as a reset.
pub fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("an option can be set");
}

fn number(event: &Value, name: &str) -> u64 {
    event[name].as_u64().unwrap_or_else(|| panic!("{name} is a number in {event}"))
}

pub fn figures() {
    let mut written = Written::start(&["--deadline", "10s"]);
    let mut peer = written.server.connect();
    let (there, here) = (peer.local_addr().unwrap().to_string(), written.server.address().to_string());
    ask(&mut peer, &[7; 1000]);
    exchange(&mut peer);
    sleep(Duration::from_millis(300));
    drop(peer);
    written.wait_for("\"departure\"");
    let story = written.ends();
    let start = story.one("start");
    assert_eq!(
        story.0.iter().map(|event| event["event"].as_str().unwrap()).collect::<Vec<_>>(),
        ["start", "arrival", "departure", "stop"]
    );
    assert_eq!((&start["listen"], &start["deadline_ms"]), (&json!([here]), &json!(10_000)));
    assert_eq!(number(start, "pid"), u64::from(written.server.pid()));
    assert_eq!(start["version"], env!("CARGO_PKG_VERSION"));
    let (arrival, departure) = (story.one("arrival"), story.one("departure"));
    assert_eq!(arrival["id"], departure["id"]);
    for event in [arrival, departure] {
        assert_eq!((&event["peer"], &event["local"]), (&json!(there), &json!(here)), "{event}");
    }
    assert_eq!((&departure["reason"], &departure["errno"]), (&json!("closed"), &Value::Null));
    assert_eq!(departure["service_reason"], Value::Null);
    assert_eq!((number(departure, "bytes_in"), number(departure, "bytes_out")), (1005, 1005));
    assert_eq!((number(departure, "bytes_unacknowledged"), number(departure, "retransmissions")), (0, 0));
    assert!((300..5000).contains(&number(departure, "connected_ms")), "{departure}");
    assert!(number(departure, "silent_ms") < 5000 && (1..1_000_000).contains(&number(departure, "round_trip_us")));
    // The log names the connection by the same id.
    let id = arrival["id"].as_str().unwrap();
    written.server.wait_for(&format!("{id} "));
    assert!(arrival["time"].as_str() <= departure["time"].as_str());
    assert_eq!((&story.one("stop")["ending"], &story.one("stop")["cut_off"]), (&json!("orderly"), &json!(0)));
}

pub fn reasons() {
    let mut written = Written::start(&[]);
    let mut closed = written.server.connect();
    exchange(&mut closed);
    closed.shutdown(Shutdown::Write).unwrap();
    assert_eq!(again::read(&closed, &mut [0; 8]).unwrap(), 0);
    written.wait_for("\"closed\"");
    let mut gone = written.server.connect();
    exchange(&mut gone);
    reset(gone);
    let story = written.wait_for("\"reset\"");
    let told = story.all("departure").last().unwrap();
    assert_eq!(told["errno"], "ECONNRESET", "{told}");
    let mut left = written.server.connect();
    exchange(&mut left);
    let story = written.ends();
    let told = story.all("departure").last().unwrap();
    assert_eq!((&told["reason"], &told["errno"]), (&json!("shut_down"), &Value::Null));
    let bytes = ["bytes_in", "bytes_out", "bytes_unacknowledged"].map(|name| number(told, name));
    assert_eq!(bytes, [5, 5, 0], "a FIN is no byte: {told}");
    assert_eq!((story.count("arrival"), story.count("departure")), (3, 3));
}

/// A link-local address has its interface behind it, by number; here that of loopback, which has no such address, so a
/// listener on all addresses is asked for through it where the machine has one.
pub fn ipv6() {
    if TcpStream::connect("[::1]:1").is_err_and(|error| error.kind() != std::io::ErrorKind::ConnectionRefused) {
        return eprintln!("NOT TESTED: this machine has no IPv6");
    }
    let mut written = Written::start(&["[::]:0"]);
    let port = written.server.address().port();
    let mut peer = crate::common::connect(format!("[::1]:{port}").parse().unwrap());
    exchange(&mut peer);
    let here = peer.local_addr().unwrap().to_string();
    let mut fourth = crate::common::connect(format!("127.0.0.1:{port}").parse().unwrap());
    exchange(&mut fourth);
    let fourth_here = fourth.local_addr().unwrap().to_string();
    let scoped = link_local(port);
    let scoped_here = scoped.as_ref().map(|peer| peer.local_addr().unwrap().to_string());
    let story = written.ends();
    let told: Vec<_> = story.all("arrival").map(|event| event["peer"].as_str().unwrap().to_string()).collect();
    assert!(told.contains(&here), "{here} in {told:?}");
    // A dual-stack listener knows IPv4 peers by their mapped addresses; they are told as what they are.
    assert!(told.iter().any(|peer| peer.ends_with(&fourth_here) || peer.contains("::ffff:127.0.0.1")), "{told:?}");
    match scoped_here {
        Some(here) => assert!(here.contains('%') && told.contains(&here), "{here} in {told:?}"),
        None => eprintln!("NOT TESTED: no interface here has a link-local address that can be connected to"),
    }
}

/// A connection to a link-local address of this machine.
fn link_local(port: u16) -> Option<TcpStream> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (hex, index) = (words.next()?, u32::from_str_radix(words.next()?, 16).ok()?);
        let address = std::net::Ipv6Addr::from(u128::from_str_radix(hex, 16).ok()?);
        let place = std::net::SocketAddrV6::new(address, port, 0, index);
        address
            .is_unicast_link_local()
            .then(|| TcpStream::connect_timeout(&place.into(), Duration::from_secs(2)).ok())?
    })
}

pub fn limits() {
    let mut written = Written::start(&["--max-connections", "2", "--when-full", "refuse", "--max-per-address", "2"]);
    let mut peers: Vec<_> = (0..2).map(|_| written.server.connect()).collect();
    peers.iter_mut().for_each(exchange);
    let refused = written.server.connect();
    let here = refused.local_addr().unwrap().to_string();
    let story = written.wait_for("\"refusal\"");
    let refusal = story.one("refusal");
    assert_eq!(refusal["peer"], json!(here), "{refusal}");
    assert!(["full", "too_many_from_address"].contains(&refusal["reason"].as_str().unwrap()), "{refusal}");
    let story = written.ends();
    assert_eq!(story.count("arrival"), 2, "who was refused has not arrived");
    assert_eq!(story.count("departure"), 2);
    // Without refusing, the limit itself is told.
    let mut written = Written::start(&["--max-connections", "2"]);
    let _peers: Vec<_> = (0..3).map(|_| written.server.connect()).collect();
    let story = written.wait_for("\"limit\"");
    let limit = story.one("limit");
    assert_eq!(limit["limit"], "connections");
    assert!(limit["detail"].as_str().unwrap().contains("2 connections"), "{limit}");
    written.ends();
}

pub fn unresponsive() {
    let mut written =
        Written::start(&["--service", "heartbeat", "--heartbeat", "300ms", "--heartbeat-timeout", "300ms"]);
    let _peer = written.server.connect();
    let story = written.wait_for("\"departure\"");
    let told = story.one("departure");
    assert_eq!((&told["reason"], &told["errno"]), (&json!("unresponsive"), &Value::Null));
    assert!(number(told, "bytes_out") > 0, "it was pinged: {told}");
    written.ends();
}

pub fn aborted() {
    let mut written = Written::start(&["--grace", "20s"]);
    let peers: Vec<_> = (0..2).map(|_| written.server.connect()).collect();
    // They do not read what they are owed, so they stay for the grace time.
    for peer in &peers {
        fill(peer, usize::MAX);
    }
    written.server.signal("TERM");
    written.server.wait_for("SIGTERM: stops");
    written.server.signal("TERM");
    written.server.wait();
    let story = written.wait_for("\"stop\"");
    assert_eq!((&story.one("stop")["ending"], &story.one("stop")["cut_off"]), (&json!("aborted"), &json!(2)));
    assert_eq!((story.count("arrival"), story.count("departure")), (2, 0));
}
