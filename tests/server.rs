//! The server as seen by its peers: bytes, half-closes, resets, floods, and how it stops.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use common::{Server, again, ask, connect, descriptors, raise_descriptor_limit, status};
use socket2::SockRef;

const MIB: usize = 1024 * 1024;

/// Bytes by which lost, doubled and reordered pieces are noticed.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(length).collect()
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("lingering can be set");
}

/// Sends from another thread, so that this one can read, or not read.
fn send_aside(stream: &TcpStream, bytes: Vec<u8>) -> thread::JoinHandle<std::io::Result<()>> {
    let mut stream = stream.try_clone().expect("a stream can be cloned");
    thread::spawn(move || {
        stream.write_all(&bytes)?;
        stream.shutdown(Shutdown::Write)
    })
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + common::PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn echo_of_16_mib_through_a_slow_reader_is_whole() {
    let server = Server::start(&[]);
    let stream = server.connect();
    SockRef::from(&stream).set_recv_buffer_size(16 * 1024).unwrap();
    let sent = pattern(16 * MIB);
    let sender = send_aside(&stream, sent.clone());
    let (mut received, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    for read in 0.. {
        if read % 32 == 0 {
            thread::sleep(Duration::from_millis(5)); // slow
        }
        match again::read(&stream, &mut buffer).expect("the answer comes") {
            0 => break,
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
    sender.join().unwrap().expect("all was sent");
    assert!(received == sent, "{} of {} bytes came back, or not in order", received.len(), sent.len());
}

#[test]
fn a_half_closed_peer_gets_everything_it_is_owed() {
    let mut server = Server::start(&[]);
    let mut stream = server.connect();
    let sent = pattern(3 * MIB);
    let sender = send_aside(&stream, sent.clone());
    // Nothing is read until the FIN has been sent: the server then holds output and has
    // reached the end of the input.
    thread::sleep(Duration::from_millis(300));
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("the end comes after the last byte");
    sender.join().unwrap().unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    server.wait_for("departed: closed by the peer");
}

#[test]
fn data_and_fin_on_one_edge_are_both_seen() {
    let server = Server::start(&[]);
    for _ in 0..200 {
        let mut stream = server.connect();
        stream.write_all(b"last words").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"last words");
    }
}

/// A read stops at the mark of urgent data, although more data are there.
#[test]
fn urgent_data_stay_in_the_stream() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    for round in 0..50 {
        stream.write_all(b"before").unwrap();
        SockRef::from(&stream).send_out_of_band(b"!").unwrap();
        stream.write_all(b"after").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(&answer, b"before!after");
    }
}

#[test]
fn a_reset_is_reported_as_one() {
    let mut server = Server::start(&[]);
    let mut stream = server.connect();
    ask(&mut stream, b"hello");
    reset(stream);
    server.wait_for("departed: reset by the peer");
}

#[test]
fn a_reset_is_noticed_while_reading_is_paused() {
    let mut server = Server::start(&[]);
    let stream = server.connect();
    let sender = send_aside(&stream, pattern(32 * MIB));
    thread::sleep(Duration::from_millis(500));
    stream.shutdown(Shutdown::Both).unwrap(); // ends the sender
    assert!(sender.join().unwrap().is_err(), "the server took 32 MiB from a peer that reads nothing");
    drop(stream); // with unread input: the kernel sends a reset
    server.wait_for("departed: reset by the peer");
}

#[test]
fn a_peer_that_never_reads_costs_little_and_harms_no_other() {
    let server = Server::start(&[]);
    let mut other = server.connect();
    ask(&mut other, b"before");
    let before = status(server.pid(), "VmRSS");
    let stalled: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for stream in &stalled {
        stream.set_nonblocking(true).unwrap();
    }
    let mut sent = vec![0; stalled.len()];
    let bytes = pattern(64 * 1024);
    // They send until none can send any more for a while.
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(500) {
        for (stream, sent) in stalled.iter().zip(&mut sent) {
            match (&mut &*stream).write(&bytes[*sent % bytes.len()..]) {
                Ok(count) => {
                    *sent += count;
                    quiet = Instant::now();
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        ask(&mut other, b"and still served");
    }
    let grown = status(server.pid(), "VmRSS").saturating_sub(before);
    assert!(grown < 20 * 128, "{grown} KiB for 20 peers that never read: more than a read buffer each");
    // And nothing is lost: they get everything when they read.
    for (stream, sent) in stalled.iter().zip(sent) {
        stream.set_nonblocking(false).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        (&mut &*stream).read_to_end(&mut received).unwrap();
        let expected: Vec<u8> = bytes.iter().copied().cycle().take(sent).collect();
        assert!(received == expected, "{} of {sent} bytes", received.len());
    }
}

#[test]
fn five_thousand_peers_on_one_thread() {
    raise_descriptor_limit(6000);
    let server = Server::start(&["--log", "info"]);
    let mut peers: Vec<_> = (0..5000).map(|_| server.connect()).collect();
    for (n, peer) in peers.iter_mut().enumerate() {
        ask(peer, format!("peer {n}").as_bytes());
    }
    assert_eq!(status(server.pid(), "Threads"), 1);
    drop(peers);
    wait_until("every descriptor is closed", || descriptors(server.pid()) < 20);
}

#[test]
fn a_flood_of_short_connections_leaves_nothing_behind() {
    let server = Server::start(&["--log", "info"]);
    // Once the server has answered, it no longer has files open that it reads at the start.
    let mut first = server.connect();
    ask(&mut first, b"first");
    let before = descriptors(server.pid());
    thread::scope(|scope| {
        for thread in 0..4 {
            let address = server.address();
            scope.spawn(move || {
                for n in 0..1500 {
                    let stream = connect(address);
                    match (n + thread) % 3 {
                        0 => drop(stream),
                        1 => reset(stream),
                        _ => ask(&mut { stream }, b"short"),
                    }
                }
            });
        }
    });
    wait_until("every descriptor is closed", || descriptors(server.pid()) == before);
    ask(&mut first, b"and it goes on");
}

/// Events of peers that have gone are pending while others take their slots: no peer may get the bytes of another,
/// or be closed in its place.
#[test]
fn slots_are_reused_without_confusion() {
    let server = Server::start(&["--log", "info"]);
    thread::scope(|scope| {
        for thread in 0..4u32 {
            let address = server.address();
            scope.spawn(move || {
                let mut peers: Vec<(TcpStream, String)> = Vec::new();
                for n in 0..2000u32 {
                    let mut stream = connect(address);
                    let text = format!("thread {thread}, peer {n};");
                    stream.write_all(text.as_bytes()).unwrap();
                    peers.push((stream, text));
                    if peers.len() == 20 {
                        // Some are reset with their answer unread; others read their answer later than they were sent it.
                        let (gone, stays) = (n as usize * 7 % 20, n as usize * 3 % 19);
                        reset(peers.swap_remove(gone).0);
                        let (mut stream, text) = peers.swap_remove(stays);
                        let mut answer = vec![0; text.len()];
                        stream.read_exact(&mut answer).expect("an answer for a peer that has not gone");
                        assert_eq!(String::from_utf8_lossy(&answer), text);
                    }
                }
                for (mut stream, text) in peers {
                    let mut answer = vec![0; text.len()];
                    stream.read_exact(&mut answer).expect("an answer for a peer that has not gone");
                    assert_eq!(String::from_utf8_lossy(&answer), text);
                }
            });
        }
    });
}

/// Thousands vanish in one instant: a living peer is answered long before all of them are closed.
#[test]
fn the_living_are_served_while_thousands_depart() {
    raise_descriptor_limit(6000);
    let server = Server::start(&["--log", "info"]);
    let mut living = server.connect();
    ask(&mut living, b"here");
    let crowd: Vec<_> = (0..5000).map(|_| server.connect()).collect();
    ask(&mut living, b"still here");
    server.signal("STOP");
    crowd.into_iter().for_each(reset);
    living.write_all(b"ping").unwrap();
    let started = Instant::now();
    server.signal("CONT");
    living.read_exact(&mut [0; 4]).unwrap();
    let answered = started.elapsed();
    let left = descriptors(server.pid());
    wait_until("the crowd is gone", || descriptors(server.pid()) < 20);
    let all = started.elapsed();
    println!("answered after {answered:?}, with {left} descriptors still to close; all closed after {all:?}");
    assert!(left > 2500, "answered only when {left} of 5000 were left");
}

#[test]
fn at_the_limit_others_wait_and_are_accepted_without_a_new_syn() {
    let mut server = Server::start(&["--max-connections", "10"]);
    let mut peers: Vec<_> = (0..10).map(|_| server.connect()).collect();
    peers.iter_mut().for_each(|peer| ask(peer, b"inside"));
    let mut waiting = server.connect();
    server.wait_for("the limit of 10 connections is reached");
    waiting.write_all(b"may I?").unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let refused = again::read(&waiting, &mut [0; 6]).expect_err("there is no room yet");
    assert!(matches!(refused.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    peers.iter_mut().for_each(|peer| ask(peer, b"still inside"));
    peers.pop();
    waiting.set_read_timeout(Some(common::PATIENCE)).unwrap();
    waiting.read_exact(&mut [0; 6]).expect("one has left, so there is room");
}

#[test]
fn out_of_descriptors_the_connected_stay_and_accepting_resumes() {
    let mut command = std::process::Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_stillthere");
    let line = format!("ulimit -n 40; exec {binary} serve 127.0.0.1:0 --max-connections 1000 --log debug");
    command.args(["-c", &line]);
    let mut server = Server::start_with(command);
    let mut peers: Vec<_> = (0..60).map(|_| server.connect()).collect();
    server.wait_for("accepting on 127.0.0.1:0 pauses");
    let inside = server.log.iter().filter(|(_, line)| line.ends_with(" arrived")).count();
    assert!((10..40).contains(&inside), "{inside} peers with 40 descriptors");
    for _ in 0..3 {
        peers[..inside].iter_mut().for_each(|peer| ask(peer, b"inside"));
    }
    let left: Vec<_> = peers.drain(..5).collect();
    drop(left);
    let next = inside - 5;
    peers[..next + 5].iter_mut().for_each(|peer| ask(peer, b"inside, or come in"));
}

#[test]
fn sigterm_lets_output_drain() {
    let mut server = Server::start(&[]);
    let stream = server.connect();
    let sent = pattern(8 * MIB);
    let sender = {
        let mut stream = stream.try_clone().unwrap();
        let sent = sent.clone();
        thread::spawn(move || {
            let _ = stream.write_all(&sent); // the server stops in the middle of it
        })
    };
    thread::sleep(Duration::from_millis(500));
    let mut idle = server.connect();
    ask(&mut idle, b"here");
    server.signal("TERM");
    server.wait_for("SIGTERM: stops");
    assert_eq!(again::read(&idle, &mut [0; 1]).unwrap(), 0, "an idle peer gets a FIN");
    let refused = TcpStream::connect(server.address()).expect_err("no peer is accepted any more");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    // The client reads slowly: the server must deliver the answer to what it has read before it ends.
    let (mut received, mut buffer) = (Vec::new(), vec![0; 100_000]);
    loop {
        thread::sleep(Duration::from_millis(2));
        match again::read(&stream, &mut buffer).expect("orderly, with a FIN and no reset") {
            0 => break,
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
    assert!(received.len() > 100_000 && sent.starts_with(&received), "{} bytes came back", received.len());
    drop(stream);
    sender.join().unwrap();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sigterm_does_not_wait_for_peers_that_are_owed_nothing() {
    let mut server = Server::start(&["--grace", "60s"]);
    let mut peers: Vec<_> = (0..100).map(|_| server.connect()).collect();
    peers.iter_mut().for_each(|peer| ask(peer, b"here"));
    let started = Instant::now();
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(20), "it waited for {:?}", started.elapsed());
    peers.iter_mut().for_each(|peer| assert_eq!(again::read(peer, &mut [0; 1]).unwrap(), 0));
}

#[test]
fn the_grace_time_ends() {
    let mut server = Server::start(&["--grace", "1s"]);
    let stream = server.connect();
    let sender = send_aside(&stream, pattern(32 * MIB));
    thread::sleep(Duration::from_millis(500));
    server.signal("TERM");
    server.wait_for("some output was not acknowledged by 1 peer");
    assert_eq!(server.wait().code(), Some(0));
    assert!(sender.join().unwrap().is_err());
}

#[test]
fn a_second_signal_ends_it_immediately() {
    let mut server = Server::start(&["--grace", "1h"]);
    let stream = server.connect();
    let sender = send_aside(&stream, pattern(32 * MIB));
    thread::sleep(Duration::from_millis(300));
    server.signal("TERM");
    server.wait_for("SIGTERM: stops");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
    server.wait_for("1 peer cut off");
    assert!(sender.join().unwrap().is_err());
}

#[test]
fn sigusr1_logs_a_line_of_figures() {
    let mut server = Server::start(&["[::1]:0"]);
    let _peer = server.connect();
    drop(server.connect());
    server.wait_for("departed: closed by the peer");
    server.signal("USR1");
    server.wait_for("1 connected, 2 accepted, 1 departed: 1 closed by the peer");
}

/// A terminal that is closed, logrotate, somebody's idea of "reload": no peer is cut off by these signals.
#[test]
fn signals_that_mean_nothing_are_logged_and_end_no_connection() {
    let mut server = Server::start(&[]);
    let mut peer = server.connect();
    ask(&mut peer, b"before");
    for name in ["HUP", "USR2", "QUIT", "ALRM", "VTALRM", "PROF", "IO"] {
        if name == "USR2" && cfg!(feature = "upgrade") {
            continue; // it means an upgrade: tests/upgrade/
        }
        server.signal(name);
        server.wait_for(&format!("SIG{name} is ignored"));
        ask(&mut peer, b"after");
    }
    // SIGPIPE and SIGXFSZ come from a log that nobody reads, or that may not grow: the write handles them.
    ["PIPE", "XFSZ"].iter().for_each(|name| server.signal(name));
    ask(&mut peer, b"and still here");
    server.signal("TERM");
    server.wait_for("stopped: 0 connected, 1 accepted");
    assert_eq!(server.wait().code(), Some(0));
}

/// If the log file may not grow any more, the server goes on without a log.
#[test]
fn a_log_at_its_limit_ends_nobody() {
    let path = std::env::temp_dir().join(format!("stillthere-log-{}", std::process::id()));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The unit is 512 or 1024 bytes, depending on the shell.
    let line = format!(
        "ulimit -f 4; exec {} serve 127.0.0.1:{port} --log debug 2>{}",
        env!("CARGO_BIN_EXE_stillthere"),
        path.display()
    );
    let mut child = std::process::Command::new("sh").args(["-c", &line]).spawn().unwrap();
    wait_until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    for _ in 0..100 {
        ask(&mut connect(([127, 0, 0, 1], port).into()), b"served");
    }
    let status = child.try_wait().unwrap();
    let _ = child.kill();
    let _ = child.wait();
    let length = std::fs::metadata(&path).map(|log| log.len());
    let _ = std::fs::remove_file(&path);
    assert_eq!(status, None, "it ended when its log could not grow");
    assert!(length.is_ok_and(|length| (1024..=4096).contains(&length)), "the log was at its limit");
}

#[test]
fn several_addresses_and_both_families() {
    let server = Server::start(&["127.0.0.1:0", "[::]:0", "--service", "discard"]);
    assert_eq!(server.addresses.len(), 2);
    let port = server.addresses[1].port();
    // Dual stack: over IPv6, and over IPv4 on the same socket.
    for address in [format!("[::1]:{port}"), format!("127.0.0.1:{port}"), server.address().to_string()] {
        let mut stream = TcpStream::connect(&address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.write_all(b"into the void").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(again::read(&stream, &mut [0; 1]).unwrap(), 0, "discard answers nothing");
    }
}

#[test]
fn processes_share_a_port() {
    let first = Server::start(&["--reuse-port"]);
    let address = first.address().to_string();
    let _second = Server::start(&[&address, "--reuse-port"]);
    for _ in 0..20 {
        ask(&mut first.connect(), b"one of the two");
    }
}
