//! Limits against hostile clients: one that never reads, one that opens many connections, one that sends a
//! byte now and then, and a thousand that half-close. Other peers are served meanwhile.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{PATIENCE, Server, again, connect, descriptors, exchange, raise_descriptor_limit, status};
use socket2::{Domain, SockRef, Socket, Type};

const LATE: Duration = Duration::from_millis(1500);

/// Waits for the end of the connection. True if the server ended it, with a reset or a FIN.
fn is_let_go(stream: &mut TcpStream) -> bool {
    let mut rest = vec![0; 64 * 1024];
    loop {
        match again::read(&*stream, &mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Whether a newcomer is refused. The server's RST may come before connect(2) has returned, which then reports it.
fn is_refused(server: &Server) -> bool {
    match TcpStream::connect(server.address()) {
        Ok(mut stream) => {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            is_let_go(&mut stream)
        }
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Sends up to `most` bytes, until nothing is accepted for half a second. Reads nothing.
fn pour(stream: &mut TcpStream, most: usize) -> usize {
    SockRef::from(&*stream).set_recv_buffer_size(8 * 1024).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (chunk, mut sent) = (vec![b'x'; 16 * 1024], 0);
    while sent < most {
        match again::write(&*stream, &chunk[..chunk.len().min(most - sent)]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    sent
}

/// Connects from another address of the loopback network.
fn connect_from(source: &str, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
    let source: IpAddr = source.parse().unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).expect("loopback has this address");
    socket.connect(&server.into()).expect("the kernel completes the connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn one_that_never_reads_is_let_go_when_its_output_has_stalled() {
    let mut server = Server::start(&["--stalled", "3s", "--max-output", "64K", "--deadline", "30s"]);
    let mut other = server.connect();
    let mut greedy = server.connect();
    let began = Instant::now();
    pour(&mut greedy, usize::MAX);
    exchange(&mut other);
    let (departed, _) = server.wait_for(" departed: stalled");
    let kept = departed - began;
    assert!(kept >= Duration::from_secs(3) && kept < Duration::from_secs(5) + LATE, "kept for {kept:?}");
    assert!(is_let_go(&mut greedy));
    exchange(&mut other);
    server.signal("USR1");
    server.wait_for("1 departed: 1 stalled");
}

/// The output of the peer waits only in the kernel, and the server holds none of it.
#[test]
fn a_stall_in_the_kernel_is_a_stall() {
    let mut server = Server::start(&["--stalled", "2s", "--deadline", "30s"]);
    // Its window is small from the beginning.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(&server.address().into()).unwrap();
    let mut greedy = TcpStream::from(socket);
    assert_eq!(pour(&mut greedy, 40 * 1024), 40 * 1024);
    server.wait_for_within(" departed: stalled", Duration::from_secs(4) + LATE).expect("in time");
}

/// The peer reads a little before each limit is over: its output moves, and it is kept.
#[test]
fn a_slow_reader_has_not_stalled() {
    let mut server = Server::start(&["--stalled", "1500ms", "--deadline", "30s"]);
    let mut slow = server.connect();
    pour(&mut slow, 400 * 1024);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        slow.read_exact(&mut [0; 16 * 1024]).expect("it goes on");
        sleep(Duration::from_millis(500));
    }
    assert_eq!(server.wait_for_within(" departed: ", Duration::ZERO), None);
}

#[test]
fn what_waits_for_peers_that_never_read_is_bounded() {
    let server = Server::start(&["--max-output", "8K"]);
    let mut other = server.connect();
    exchange(&mut other);
    let before = status(server.pid(), "VmRSS");
    let mut greedy: Vec<_> = (0..30).map(|_| server.connect()).collect();
    std::thread::scope(|scope| {
        for stream in &mut greedy {
            scope.spawn(|| pour(stream, usize::MAX));
        }
    });
    exchange(&mut other);
    let grown = status(server.pid(), "VmRSS").saturating_sub(before);
    assert!(grown < 30 * 20, "{grown} KiB for 30 peers, of which each may have 8 KiB waiting");
    // And what waits is neither lost nor reordered.
    let mut first = vec![0; 100_000];
    greedy[0].read_exact(&mut first).unwrap();
    assert!(first.iter().all(|byte| *byte == b'x'));
}

#[test]
fn one_that_opens_many_connections_leaves_room_for_other_addresses() {
    let mut server = Server::start(&["127.0.0.1:0", "--max-per-address", "5", "--max-connections", "100"]);
    let mut inside: Vec<_> = (0..5).map(|_| server.connect()).collect();
    inside.iter_mut().for_each(exchange);
    for _ in 0..200 {
        assert!(is_refused(&server), "the sixth is refused");
    }
    let mut other = connect_from("127.0.0.2", server.address());
    exchange(&mut other);
    inside.iter_mut().for_each(exchange);
    // When one departs, there is room again.
    drop(inside.pop());
    server.wait_for("departed: closed by the peer");
    exchange(&mut server.connect());
    server.signal("USR1");
    server.wait_for("200 refused, too many from its address");
}

#[test]
fn when_full_a_newcomer_is_refused_immediately() {
    let mut server = Server::start(&["--max-connections", "10", "--when-full", "refuse"]);
    let mut inside: Vec<_> = (0..10).map(|_| server.connect()).collect();
    inside.iter_mut().for_each(exchange);
    for _ in 0..50 {
        assert!(is_refused(&server));
    }
    inside.iter_mut().for_each(exchange);
    inside.pop();
    server.wait_for("departed: closed by the peer");
    exchange(&mut server.connect());
    server.signal("USR1");
    server.wait_for("50 refused, full");
}

#[test]
fn the_one_that_has_been_idle_longest_makes_room() {
    let mut server = Server::start(&["--max-connections", "5", "--when-full", "evict-oldest-idle"]);
    let mut inside: Vec<_> = (0..5).map(|_| server.connect()).collect();
    inside.iter_mut().for_each(exchange);
    sleep(Duration::from_millis(1200));
    // No further peer has come, so none is evicted, although the server is full.
    assert_eq!(server.wait_for_within(" departed: ", Duration::ZERO), None);
    // All but the third have been active since.
    for (n, peer) in inside.iter_mut().enumerate().filter(|(n, _)| *n != 2) {
        sleep(Duration::from_millis(30));
        exchange(peer);
        assert_ne!(n, 2);
    }
    let mut newcomer = server.connect();
    exchange(&mut newcomer);
    server.wait_for(" departed: evicted, idle");
    assert!(is_let_go(&mut inside.remove(2)), "it was the most idle one");
    // Now all are busy, so the newcomer is refused.
    inside.iter_mut().for_each(exchange);
    assert!(is_refused(&server));
    server.wait_for("departed: refused, full");
    // The order is that of activity, not of arrival. The kernel measures it in ticks, so the exchanges
    // are far enough apart.
    for peer in inside.iter_mut().chain([&mut newcomer]) {
        sleep(Duration::from_millis(50));
        exchange(peer);
    }
    sleep(Duration::from_millis(1200));
    exchange(&mut inside[0]);
    for gone in [1, 2, 3] {
        let mut other = server.connect();
        exchange(&mut other);
        assert!(is_let_go(&mut inside[gone]), "the next in order goes");
        inside.push(other);
    }
    exchange(&mut inside[0]);
}

/// Each of these peers sends a byte now and then to keep its place for ever. Seconds stand for
/// minutes here.
#[test]
fn one_that_sends_a_byte_a_minute_does_not_hold_a_place() {
    let mut server = Server::start(&["--max-connections", "20", "--when-full", "evict-oldest-idle"]);
    let mut trickle: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for _ in 0..2 {
        sleep(Duration::from_millis(1500));
        trickle.iter_mut().for_each(|peer| peer.write_all(b".").unwrap());
    }
    sleep(Duration::from_millis(1500));
    let mut others: Vec<_> = (0..10).map(|_| server.connect()).collect();
    others.iter_mut().for_each(exchange);
    for _ in 0..10 {
        server.wait_for(" departed: evicted, idle");
    }
    // And with --expect such a peer is let go if it sends less often than that.
    let mut server = Server::start(&["--expect", "700ms"]);
    let mut trickle = server.connect();
    trickle.write_all(b".").unwrap();
    server.wait_for(" departed: unresponsive");
}

#[test]
fn a_flood_of_newcomers_evicts_and_stays_within_the_limit() {
    raise_descriptor_limit(4000);
    let limit = 1000;
    let mut server = Server::start(&["--max-connections", "1000", "--when-full", "evict-oldest-idle", "--log", "info"]);
    // Once a peer has been answered, the server has closed the files that it reads at the start.
    let mut first = server.connect();
    exchange(&mut first);
    let before = descriptors(server.pid()) - 1;
    let crowd: Vec<_> = (1..limit).map(|_| server.connect()).chain([first]).collect();
    let until = Instant::now() + PATIENCE;
    while descriptors(server.pid()) < before + limit {
        assert!(Instant::now() < until, "some of the crowd are still in the backlog");
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(1500));
    // As many newcomers as there are idle peers, whose places they take. On a slow machine a larger flood would find
    // its own first peers idle.
    let mut flood: Vec<_> = (0..limit).map(|_| connect(server.address())).collect();
    let mut most = 0;
    flood.iter_mut().for_each(|peer| {
        exchange(peer);
        most = most.max(descriptors(server.pid()) - before);
    });
    assert!(most <= limit + 32, "{most} connections, with a limit of {limit}");
    drop(crowd);
    server.signal("USR1");
    server.wait_for("1000 evicted, idle");
}

#[test]
fn a_thousand_half_closes_leave_nothing_behind() {
    raise_descriptor_limit(3000);
    let server = Server::start(&["--stalled", "2s", "--deadline", "30s", "--log", "info"]);
    let mut other = server.connect();
    exchange(&mut other);
    let before = descriptors(server.pid()) - 1;
    // The peers have sent their FIN and read nothing. Those that are owed little depart immediately, whether
    // they read or not; those whose output is stuck depart when it has stalled.
    let peers: Vec<_> = (0..1000)
        .map(|n| {
            let mut peer = server.connect();
            if n % 50 == 0 {
                pour(&mut peer, 160 * 1024);
            } else {
                peer.write_all(b"hello").unwrap();
            }
            peer.shutdown(Shutdown::Write).unwrap();
            peer
        })
        .collect();
    exchange(&mut other);
    let until = Instant::now() + Duration::from_secs(20);
    while descriptors(server.pid()) > before + 1 {
        assert!(Instant::now() < until, "{} are left", descriptors(server.pid()) - before - 1);
        sleep(Duration::from_millis(20));
    }
    exchange(&mut other);
    drop(peers);
}
