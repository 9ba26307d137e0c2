//! The admin port with scripted clients, in scripted time: what takes minutes, and pieces of one byte.
//!
//! The clients are peers of the port themselves here, and their arrivals are news.

use std::time::Duration;

use super::*;
use crate::keepalive::Keepalive;
use crate::testing::Stage;

const SECOND: Duration = Duration::from_secs(1);

fn about() -> About {
    About {
        deadline: 10 * SECOND,
        latest: 11 * SECOND,
        idle: 5 * SECOND,
        interval: SECOND,
        listen: vec!["192.0.2.1:7007".parse().unwrap()],
        left_out: LeftOut::default(),
        #[cfg(feature = "upgrade")]
        refusal: Default::default(),
    }
}

fn stage() -> Stage<Admin> {
    let admin = Admin::new(Hosts::Loopback(None), None, about());
    Stage::with(admin, Keepalive::with_deadline(3600 * SECOND).unwrap(), limits().unwrap())
}

fn request(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

fn told(stage: &mut Stage<Admin>, client: PeerId) -> String {
    String::from_utf8(stage.received(client)).unwrap()
}

#[test]
fn a_byte_at_a_time_is_as_good_as_all_at_once() {
    let requests = ["/healthz", "/peers", "/nothing", "/metrics", "/readyz", "/peers?sort=age"].map(request).concat();
    let mut answers = Vec::new();
    for size in [1, 3, 100_000] {
        let mut stage = stage();
        stage.read_at_most(size);
        let client = stage.arrive();
        stage.send(client, &requests);
        stage.wait(SECOND);
        let told = told(&mut stage, client);
        let lines = told.lines().filter(|line| line.starts_with("HTTP/1.1 ") || line.starts_with("Content-Type"));
        answers.push(lines.map(str::to_string).collect::<Vec<_>>());
    }
    assert_eq!(answers[0].len(), 12, "{:?}", answers[0]);
    assert!(answers[1..].iter().all(|others| *others == answers[0]));
}

#[test]
fn time_is_limited() {
    let mut stage = stage();
    let [silent, slow, idle, slow_body] = [(); 4].map(|()| stage.arrive());
    stage.send(slow, b"GET /healthz HT");
    stage.send(idle, &request("/healthz"));
    stage.send(slow_body, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhello");
    assert!(told(&mut stage, idle).starts_with("HTTP/1.1 200 OK\r\n"));
    for _ in 0..9 {
        stage.wait(SECOND);
        stage.send(slow, b"T"); // not one of these brings the request to its end
    }
    assert_eq!(stage.connected(), 4);
    stage.wait(2 * SECOND);
    for late in [slow, slow_body] {
        let told = told(&mut stage, late);
        assert!(told.starts_with("HTTP/1.1 408 ") && told.contains("Connection: close"), "{told}");
    }
    assert_eq!(told(&mut stage, silent), "", "nothing was asked, so nothing is answered");
    stage.wait(20 * SECOND);
    assert_eq!(stage.connected(), 1);
    stage.wait(20 * SECOND);
    stage.send(idle, &request("/healthz"));
    assert!(told(&mut stage, idle).starts_with("HTTP/1.1 200 OK\r\n"));
    stage.wait(59 * SECOND);
    assert_eq!(stage.connected(), 1);
    stage.wait(20 * SECOND);
    assert_eq!(stage.connected(), 0);
}

#[test]
fn a_follower_hears_a_heartbeat_and_nothing_is_observed_a_minute_after_the_last_one() {
    let mut stage = stage();
    let reader = stage.arrive();
    stage.send(reader, &request("/events"));
    assert!(told(&mut stage, reader).contains("Content-Type: text/event-stream\r\n"));
    stage.wait(14 * SECOND);
    assert_eq!(told(&mut stage, reader), "");
    stage.wait(2 * SECOND);
    assert_eq!(told(&mut stage, reader), ":\n\n");
    stage.wait(60 * SECOND);
    assert_eq!(told(&mut stage, reader), ":\n\n".repeat(4));
    let came = stage.arrive();
    let told = told(&mut stage, reader);
    assert!(told.starts_with("id: 3\ndata: {\"event\":\"arrival\",\"seq\":3,") && told.ends_with("}\n\n"), "{told}");
    stage.reset(reader);
    stage.wait(59 * SECOND);
    // Nobody follows, and one that comes back misses nothing.
    let again = stage.arrive();
    stage.send(again, b"GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 3\r\n\r\n");
    let told = self::told(&mut stage, again);
    assert!(told.contains("id: 4\ndata: {\"event\":\"departure\",") && told.contains("id: 5\n"), "{told}");
    stage.reset(again);
    stage.reset(came);
    assert!(stage.service().deadline().is_some());
    stage.wait(61 * SECOND);
    assert_eq!(stage.service().deadline(), None, "nothing is to be done any more");
    assert_eq!(stage.connected(), 0);
}

#[test]
fn a_slow_follower_is_told_what_it_has_missed_and_a_stuck_one_is_let_go() {
    let mut stage = stage();
    let [slow, stuck, quick] = [(); 3].map(|()| stage.arrive());
    for reader in [slow, stuck, quick] {
        stage.send(reader, &request("/events"));
    }
    stage.take_at_most(slow, 1000);
    stage.take_at_most(stuck, 1000);
    let mut heard = String::new();
    for _ in 0..4000 {
        let peer = stage.arrive();
        stage.reset(peer);
        heard += &told(&mut stage, quick);
    }
    assert_eq!(heard.matches("\"event\":\"departure\"").count(), 4000, "nobody waits for the slow");
    assert!(!heard.contains("left_out"));
    // What waits for a slow one is a piece, however much it misses.
    let waiting = |stage: &Stage<Admin>| stage.service().following.ring.latest();
    assert!(waiting(&stage) > 8000);
    stage.take_all(slow);
    stage.wait(SECOND);
    let told = told(&mut stage, slow);
    let left_out = told.lines().find(|line| line.contains("left_out")).unwrap_or_else(|| panic!("{told:.2000}"));
    let count: usize = left_out.rsplit_once(':').unwrap().1.trim_end_matches('}').parse().unwrap();
    let heard = told.lines().filter(|line| line.starts_with("data: ") && !line.contains("left_out")).count();
    assert_eq!(count + heard, 8000, "each event is told or counted");
    assert!(count > 3000, "{count}");
    assert_eq!(stage.departure(stuck), None);
    stage.wait(40 * SECOND);
    assert_eq!(stage.departure(stuck).unwrap().word(), "stalled");
    assert_eq!(stage.departure(slow), None);
}

#[test]
fn so_many_may_follow_and_one_that_goes_makes_room() {
    let mut stage = stage();
    let readers: Vec<_> = (0..33).map(|_| stage.arrive()).collect();
    for reader in &readers {
        stage.send(*reader, &request("/watch"));
    }
    assert!(readers[..32].iter().all(|reader| told(&mut stage, *reader).starts_with("HTTP/1.1 200 ")));
    let refused = told(&mut stage, readers[32]);
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("Retry-After: 15\r\n"), "{refused}");
    for reader in &readers[..32] {
        stage.reset(*reader);
    }
    for _ in 0..100 {
        let reader = stage.arrive();
        stage.send(reader, &request("/watch"));
        assert!(told(&mut stage, reader).contains("event: hello\n"));
        stage.reset(reader);
    }
}

#[test]
fn only_so_many_lists_are_made_at_once_and_the_others_wait_their_turn() {
    let mut stage = stage();
    let clients: Vec<_> = (0..60).map(|_| stage.arrive()).collect();
    for client in &clients {
        stage.send(*client, &request("/peers?sort=silence&limit=3"));
    }
    for client in &clients {
        let told = told(&mut stage, *client);
        assert!(told.starts_with("HTTP/1.1 200 ") && told.contains("\"total\":60,"), "{told}");
    }
    let service = stage.service();
    assert_eq!(
        (service.listings.is_idle(), service.answers.is_empty(), service.counting.is_empty()),
        (true, true, true)
    );
}

/// It is asked of the loop, which is not there: see `tests/upgrade/` for what becomes of it.
#[cfg(feature = "upgrade")]
#[test]
fn an_upgrade_is_asked_for_by_those_who_may_and_is_told_of() {
    let mut stage = stage();
    let mut ask = |line: &str, header: &str| {
        let client = stage.arrive();
        stage.send(client, format!("{line} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n").as_bytes());
        let told = told(&mut stage, client);
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        (head[9..12].to_string(), head.to_string(), serde_json::from_str::<serde_json::Value>(body).ok())
    };
    let (status, _, value) = ask("GET /upgrade", "");
    let value = value.unwrap();
    assert_eq!(
        (status.as_str(), &value["state"], &value["because"]),
        ("200", &"none".into(), &serde_json::Value::Null)
    );
    assert_eq!((&value["generation"], &value["refused"]), (&0.into(), &0.into()));
    assert_eq!((&value["pid"], &value["version"]), (&std::process::id().into(), &env!("CARGO_PKG_VERSION").into()));
    let (status, _, value) = ask("POST /upgrade", "");
    let value = value.unwrap();
    assert_eq!((status.as_str(), &value["state"], &value["generation"]), ("202", &"rehearsing".into(), &0.into()));
    // The page of somebody else's cannot begin one.
    assert_eq!(ask("POST /upgrade", "Sec-Fetch-Site: cross-site\r\n").0, "403");
    assert_eq!(ask("POST /upgrade", "Origin: http://evil.example\r\n").0, "403");
    let (status, head, _) = ask("DELETE /upgrade", "");
    assert!(status == "405" && head.contains("\r\nAllow: GET, HEAD, POST, OPTIONS"), "{head}");
    assert_eq!(ask("POST /peers", "").0, "405");
}
