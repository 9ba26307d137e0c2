//! Heartbeats and expectations as seen by peers: by one that types the protocol as a person with nc would, by peers that
//! are frozen, and by thousands.

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Server, again, raise_descriptor_limit, status};

const AFTER: Duration = Duration::from_millis(800);
const TIMEOUT: Duration = Duration::from_millis(500);
/// How late the server and this test may be on a busy machine.
const LATE: Duration = Duration::from_millis(400);

fn start(more: &[&str]) -> Server {
    let options = ["--service", "heartbeat", "--heartbeat", "800ms", "--heartbeat-timeout", "500ms"];
    Server::start(&[&options, more].concat())
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("the server sends a line");
    line
}

#[test]
fn either_side_may_send_a_ping() {
    let server = start(&[]);
    let mut peer = server.connect();
    let mut reader = BufReader::new(peer.try_clone().unwrap());
    peer.write_all(b"PING 41\r\nhello\nPING 4").unwrap();
    assert_eq!(line(&mut reader), "PONG 41\n");
    peer.write_all(b"2\n").unwrap();
    assert_eq!(line(&mut reader), "PONG 42\n");
    // The server sends pings, too, and keeps the peer as long as it is answered.
    for _ in 0..4 {
        let heard = Instant::now();
        let ping = line(&mut reader);
        let asked = heard.elapsed();
        assert!(asked >= AFTER * 3 / 4 && asked <= AFTER + LATE, "asked after {asked:?}");
        peer.write_all(ping.replace("PING", "PONG").as_bytes()).unwrap();
    }
}

#[test]
fn a_program_that_does_not_answer_is_let_go_though_its_kernel_does() {
    let mut server = start(&[]);
    let mut frozen = server.connect();
    server.wait_for(" arrived");
    let began = Instant::now();
    let (departed, told) = server.wait_for(" departed: ");
    let kept = departed - began;
    assert!(told.contains("departed: unresponsive"), "{told}");
    assert!(kept >= AFTER * 3 / 4 + TIMEOUT - LATE / 4 && kept <= AFTER + TIMEOUT + LATE, "kept for {kept:?}");
    // The peer has received everything, so the connection ends with a FIN.
    let mut received = String::new();
    frozen.read_to_string(&mut received).expect("no reset");
    assert_eq!(received, "PING 1\n");
    server.signal("USR1");
    server.wait_for("1 departed: 1 unresponsive");
}

#[test]
fn a_peer_that_is_expected_to_send_is_sent_nothing() {
    let mut server = Server::start(&["--expect", "1s"]);
    let (silent, mut speaks) = (server.connect(), server.connect());
    for _ in 0..2 {
        server.wait_for(" arrived");
    }
    let began = Instant::now();
    let other = std::thread::spawn(move || {
        for _ in 0..8 {
            speaks.write_all(b"x").unwrap();
            speaks.read_exact(&mut [0]).expect("it sends, so it is kept");
            std::thread::sleep(Duration::from_millis(400));
        }
        speaks
    });
    assert_eq!(again::read(&silent, &mut [0; 64]).expect("a FIN, and nothing before it"), 0);
    let kept = began.elapsed();
    assert!(kept >= Duration::from_millis(980) && kept < Duration::from_secs(1) + LATE, "kept for {kept:?}");
    assert!(server.wait_for(" departed: ").1.contains("departed: unresponsive"));
    let speaks = other.join().unwrap();
    drop(speaks);
    server.wait_for("departed: closed by the peer");
}

/// A peer that sends single bytes, each before its time is over, is kept, although no timer is moved for them.
#[test]
fn a_byte_now_and_then_is_enough() {
    let mut server = Server::start(&["--expect", "300ms", "--service", "discard"]);
    let mut peer = server.connect();
    for _ in 0..20 {
        peer.write_all(b".").unwrap();
        std::thread::sleep(Duration::from_millis(120));
    }
    assert_eq!(server.wait_for_within(" departed: ", Duration::ZERO), None);
    server.wait_for("departed: unresponsive");
}

/// All connect in one instant and send nothing but "PONG". The pings are spread over the last quarter
/// of the silence, and no peer is let go.
#[test]
fn thousands_answer_and_are_kept() {
    const PEERS: usize = 3000;
    raise_descriptor_limit(PEERS as u64 + 100);
    let options = ["--service", "heartbeat", "--heartbeat", "4s", "--heartbeat-timeout", "4s", "--log", "info"];
    let mut server = Server::start(&options);
    let mut peers: Vec<TcpStream> = (0..PEERS).map(|_| server.connect()).collect();
    let connected = Instant::now();
    peers.iter().for_each(|peer| peer.set_nonblocking(true).unwrap());
    let (mut asked, mut seconds) = (vec![0; PEERS], [0u32; 40]);
    let woken = status(server.pid(), "voluntary_ctxt_switches");
    while connected.elapsed() < Duration::from_secs(9) {
        for (peer, asked) in peers.iter_mut().zip(&mut asked) {
            let mut ping = [0; 32];
            match peer.read(&mut ping) {
                Ok(0) => panic!("a peer that answers was let go"),
                Ok(count) => {
                    let ping = std::str::from_utf8(&ping[..count]).unwrap();
                    peer.write_all(ping.replace("PING", "PONG").as_bytes()).unwrap();
                    *asked += 1;
                    seconds[(connected.elapsed().as_millis() / 250) as usize] += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("pings in each quarter of a second: {seconds:?}");
    println!("wake-ups: {}", status(server.pid(), "voluntary_ctxt_switches") - woken);
    assert!(asked.iter().all(|asked| (1..=3).contains(asked)), "each is asked every 3 to 4 seconds");
    assert!(seconds.iter().max().unwrap() < &(PEERS as u32 / 2), "not in one instant: {seconds:?}");
    assert_eq!(server.wait_for_within(" departed", Duration::ZERO), None);
}

#[test]
fn a_frozen_process_is_let_go() {
    let mut server = start(&[]);
    // `cat` sends back what it receives: a ping that comes back is a sign of life, too.
    let line = format!("exec 3<>/dev/tcp/127.0.0.1/{}; exec cat <&3 >&3", server.address().port());
    let Ok(mut cat) = Command::new("bash").args(["-c", &line]).spawn() else {
        return eprintln!("NOT TESTED: there is no bash");
    };
    server.wait_for(" arrived");
    assert_eq!(server.wait_for_within(" departed: ", Duration::from_secs(3)), None, "it answers");
    let stop = |signal: &str| Command::new("kill").args(["-s", signal, &cat.id().to_string()]).status().unwrap();
    stop("STOP");
    let told = server.wait_for_within(" departed: ", AFTER + TIMEOUT + LATE);
    stop("KILL");
    cat.wait().unwrap();
    assert!(told.expect("let go in time").1.contains("departed: unresponsive"));
}

/// Peers that send something three times a second, or only when they are pinged.
struct Crowd {
    peers: Vec<TcpStream>,
    only_answer: bool,
}

impl Crowd {
    fn join(&mut self, server: &Server, count: usize) {
        for _ in 0..count {
            let peer = server.connect();
            peer.set_nonblocking(true).unwrap();
            self.peers.push(peer);
        }
    }

    fn speak_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let next = Instant::now() + Duration::from_millis(300);
            for (nth, peer) in self.peers.iter_mut().enumerate() {
                let asked = match peer.read(&mut [0; 64]) {
                    Ok(0) => panic!("peer {nth}, which sent in time, was let go"),
                    Ok(_) => true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                    Err(error) => panic!("peer {nth}, which sent in time, was let go: {error}"),
                };
                if asked || !self.only_answer {
                    peer.write_all(b"x").unwrap();
                }
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// The server is stopped for longer than it waits for a peer. When it is resumed the time is over for all peers, but
/// what they sent meanwhile waits to be read; some peers wait to be accepted. `PEERS=9000` tests it with more.
fn is_stopped_and_keeps_everybody(options: &[&str], only_answer: bool) {
    let peers = std::env::var("PEERS").map_or(3000, |peers| peers.parse().expect("PEERS is a number"));
    raise_descriptor_limit(peers as u64 + 400);
    let mut server = Server::start(&[options, &["--log", "info"]].concat());
    let mut crowd = Crowd { peers: Vec::new(), only_answer };
    crowd.join(&server, peers);
    if only_answer {
        // All have been pinged, and none has answered yet.
        std::thread::sleep(Duration::from_millis(2500));
    } else {
        crowd.speak_for(Duration::from_secs(4));
    }
    for stopped in [6, 8] {
        server.signal("STOP");
        crowd.join(&server, 100);
        crowd.speak_for(Duration::from_secs(stopped));
        server.signal("CONT");
        crowd.speak_for(Duration::from_secs(4));
        assert_eq!(server.wait_for_within(" departed", Duration::ZERO), None);
    }
    server.signal("USR1");
    server.wait_for(&format!("{0} connected, {0} accepted, 0 departed", peers + 200));
}

#[test]
fn a_stopped_server_keeps_peers_that_sent_in_time() {
    // The peers are also written to, so that the loop reads the kernel's figures about them: the kernel was not stopped.
    is_stopped_and_keeps_everybody(&["--expect", "3s", "--deadline", "4s", "--stalled", "3s"], false);
}

#[test]
fn a_stopped_server_keeps_peers_that_answered() {
    let beats = ["--service", "heartbeat", "--heartbeat", "2s", "--heartbeat-timeout", "4s"];
    is_stopped_and_keeps_everybody(&beats, true);
}

/// Output waits in the stopped server, and not because of the peer, which has taken all that the kernel held.
#[test]
fn a_stopped_server_keeps_peers_whose_output_it_holds() {
    let mut server = Server::start(&["--expect", "2s", "--stalled", "2s"]);
    let mut peer = server.connect();
    peer.set_nonblocking(true).unwrap();
    let (mut sent, mut received, mut buffer) = (0, 0, vec![0; 1 << 20]);
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(500) {
        match peer.write(&[7; 64 * 1024]) {
            Ok(count) => (sent, quiet) = (sent + count, Instant::now()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    server.signal("STOP");
    // The peer reads all that is in the kernels; the rest is in the server's outbox.
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(4) {
        match peer.read(&mut buffer) {
            Ok(count) => (received, quiet) = (received + count, Instant::now()),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    assert!(received < sent, "all {sent} bytes came back from the kernel alone");
    server.signal("CONT");
    peer.set_nonblocking(false).unwrap();
    while received < sent {
        let count = again::read(&peer, &mut buffer).expect("it is kept");
        assert!(count > 0, "let go with {} of {sent} bytes to come", sent - received);
        received += count;
    }
    assert!(server.wait_for(" departed: ").1.contains("departed: unresponsive"), "and now it is silent");
}
