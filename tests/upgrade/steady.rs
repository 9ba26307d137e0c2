//! Peers who send without a pause, while the server executes its program again and again.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::common::{Server, descriptors, http, raise_descriptor_limit};
use crate::crowd::{Crowd, Kind};
use crate::look;

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
    let mut server = Server::start(&["--log", "info", "--admin", "127.0.0.1:0"]);
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
