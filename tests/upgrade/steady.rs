//! Peers who send without a pause, while the server executes its program again and again.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::common::{Server, descriptors, exchange, http, raise_descriptor_limit};
use crate::crowd::{Crowd, Kind};
use crate::look;
use crate::program::{Program, upgrade};
use crate::refused::left_to_children;
use crate::story::Story;

/// All kinds of peers.
pub const CROWD: [(Kind, usize); 6] = [
    (Kind::Asker(Duration::from_millis(50)), 40),
    (Kind::Asker(Duration::from_secs(2)), 300),
    (Kind::Stream, 4),
    (Kind::SlowReader, 12),
    (Kind::HalfClosed, 12),
    (Kind::Newcomer, 3),
];

pub fn plain() {
    raise_descriptor_limit(2000);
    let mut server = Server::start(&["--log", "info", "--admin", "localhost:0"]);
    let admin = http::admin(&mut server);
    let crowd = Crowd::start(server.address(), &CROWD);
    let before = (look::peers(admin), descriptors(server.pid()));
    sleep(Duration::from_secs(2));
    let after = (look::peers(admin), descriptors(server.pid()));
    for address in crowd.staying() {
        assert_eq!(before.0[&address].id, after.0[&address].id);
    }
    println!("{} descriptors, then {}", before.1, after.1);
    let ended = Instant::now();
    crowd.end().check();
    println!("everybody had what was owed after {:?}", ended.elapsed());
}

/// What a crowd is for: it finds a byte that is lost, one that comes twice, one that is changed, and an end that comes too early.
pub fn faults() {
    for (fault, part) in [
        ("lose", "is not the one that was sent"),
        ("repeat", "is not the one that was sent"),
        ("change", "is not the one that was sent"),
        ("close", "closed by the server after"),
        ("reset", "reset by peer"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                spawn(move || echo(stream, fault));
            }
        });
        let crowd = Crowd::start(address, &[(Kind::Stream, 3)]);
        sleep(Duration::from_millis(500));
        let report = crowd.end();
        assert!(report.troubles.iter().any(|trouble| trouble.contains(part)), "{fault}: {report:?}");
    }
}

/// An echo that goes wrong after some ten thousand bytes.
fn echo(mut stream: TcpStream, fault: &str) {
    let (mut buffer, mut total) = ([0; 1000], 0);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        total += count;
        let mut bytes = buffer[..count].to_vec();
        if total > 30_000 {
            match fault {
                "lose" => drop(bytes.pop()),
                "repeat" => bytes.insert(0, bytes[0] ^ 1),
                "change" => bytes[0] ^= 16,
                "close" => {
                    // One that is closed with something unread is reset.
                    let _ = stream.shutdown(Shutdown::Write);
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                    return;
                }
                _ => return drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
            }
        }
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Twenty in a row, under load.
pub fn twenty() {
    raise_descriptor_limit(2000);
    let program = Program::new();
    let events = program.directory.path("events");
    let mut server = program.start(&["--log", "info", "--admin", "localhost:0", "--events", &events]);
    let admin = http::admin(&mut server);
    let mut never_spoke: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let crowd = Crowd::start(server.address(), &CROWD);
    let (before, started) = (look::peers(admin), Instant::now());
    let (open, given) = (descriptors(server.pid()) as i64, left_to_children(&server));
    let counted = look::metric(admin, "stillthere_arrivals_total");
    for nth in 1..=20 {
        if nth % 3 == 0 {
            program.put_original();
        }
        let line = upgrade(&mut server);
        assert!(line.ends_with(&format!("(generation {nth})")), "{line}");
        println!("{line}");
    }
    let (after, passed) = (look::peers(admin), started.elapsed().as_millis() as u64);
    for address in crowd.staying().into_iter().chain(never_spoke.iter().map(|peer| peer.local_addr().unwrap())) {
        let (then, now) = (&before[&address], &after[&address]);
        assert_eq!(then.id, now.id, "{address}");
        assert!(now.bytes_in >= then.bytes_in, "{address}: {then:?} {now:?}");
        let grown = now.connected.saturating_sub(then.connected);
        assert!(grown.abs_diff(passed) < 1000, "{address} is {grown} ms older after {passed} ms");
    }
    let told = look::upgrade(admin);
    assert_eq!(
        (&told["generation"], &told["refused"], &told["state"]),
        (&20.into(), &0.into(), &"none".into()),
        "{told}"
    );
    assert_eq!(look::metric(admin, "stillthere_upgrades_total"), 20.0);
    assert!(look::metric(admin, "stillthere_arrivals_total") > counted, "counters go on");
    assert_eq!(left_to_children(&server), given, "what is handed on is handed on once");
    let left = descriptors(server.pid()) as i64;
    // Those who come and go, or are half-closed, are not always as many.
    assert!((left - open).abs() <= 20, "{open} descriptors before, {left} after");
    never_spoke.iter_mut().for_each(exchange);
    crowd.end().check();
    drop(never_spoke);
    sleep(Duration::from_millis(500));
    assert_eq!(look::metric(admin, "stillthere_peers"), 0.0);
    server.signal("TERM");
    server.wait();
    let story = Story::whole(&std::fs::read_to_string(&events).unwrap());
    assert_eq!((story.count("start"), story.count("upgrade"), story.count("stop")), (1, 20, 1));
    assert_eq!(story.count("arrival"), story.count("departure"), "each has one departure");
    let unknown: Vec<_> = story.all("departure").filter(|event| event["reason"] != "closed").collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    for (nth, event) in story.all("upgrade").enumerate() {
        assert_eq!(event["generation"].as_u64(), Some(nth as u64 + 1));
        assert!(event["peers"].as_u64() > Some(300), "{event}");
    }
}
