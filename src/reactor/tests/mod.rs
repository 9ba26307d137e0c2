//! The loop, turn by turn, in this process and on real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::*;
use crate::keepalive::Keepalive;
use crate::service::{Discard, Echo, Expect, Heartbeat, Ping};

mod alarms;
#[cfg(any(feature = "config", feature = "upgrade"))]
mod asked;
mod connecting;
mod handing_over;
mod limiting;
#[cfg(feature = "observe")]
mod observing;
mod orders;
mod outside;
#[cfg(feature = "upgrade")]
mod upgrading;

fn reactor(limit: usize) -> (Reactor, SocketAddr) {
    let mut reactor = Reactor::new(limit).unwrap();
    let keepalive = Keepalive::with_deadline(Duration::from_secs(3)).unwrap();
    let listen = Listen::on("127.0.0.1:0".parse().unwrap()).keepalive(keepalive);
    let address = reactor.listen(listen, Echo).unwrap().address;
    (reactor, address)
}

/// A loop with room for many peers of this service.
fn listening<V: Service + 'static>(service: V) -> (Reactor, SocketAddr) {
    let mut reactor = Reactor::new(10_000).unwrap();
    let address = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), service).unwrap().address;
    (reactor, address)
}

fn connect(reactor: &mut Reactor, address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let before = reactor.tally().connected;
    let peers: Vec<_> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    turn_until(reactor, |reactor| reactor.tally().connected == before + count);
    peers
}

fn turn_until(reactor: &mut Reactor, mut holds: impl FnMut(&Reactor) -> bool) {
    let started = Instant::now();
    while !holds(reactor) {
        assert!(started.elapsed() < Duration::from_secs(30), "not in time; {}", reactor.tally());
        reactor.turn().unwrap();
    }
}

/// Turns until this peer has received these bytes, and no others.
fn read(reactor: &mut Reactor, peer: &mut TcpStream, wanted: &[u8]) {
    peer.set_nonblocking(true).unwrap();
    let (mut got, started) = (Vec::new(), Instant::now());
    while got.len() < wanted.len() {
        assert!(started.elapsed() < Duration::from_secs(30), "not in time");
        let mut piece = vec![0; wanted.len() - got.len()];
        match peer.read(&mut piece) {
            Ok(0) => panic!("closed after {got:?}"),
            Ok(count) => got.extend(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => reactor.turn_within(Duration::ZERO).unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(wanted));
}

/// Turns as long as there is work, so that the next wait would sleep.
fn come_to_rest(reactor: &mut Reactor) {
    while reactor.timeout(Duration::MAX) == Some(Duration::ZERO) {
        reactor.turn().unwrap();
    }
}

#[test]
fn nothing_is_due_when_nothing_happens() {
    let (mut reactor, address) = reactor(100);
    let mut peers = connect(&mut reactor, address, 50);
    peers[0].write_all(b"hello").unwrap();
    read(&mut reactor, &mut peers[0], b"hello");
    come_to_rest(&mut reactor);
    // What the loop wrote may be unacknowledged: the peer is looked at once, half a second later, and never again.
    let look = reactor.timeout(Duration::MAX).expect("a peer that was written to is watched");
    assert!(look > Duration::ZERO && look <= Duration::from_millis(500), "{look:?}");
    // A wait may end early: SIGCONT ends it.
    let until = Instant::now() + look;
    while Instant::now() < until {
        reactor.turn().unwrap();
    }
    come_to_rest(&mut reactor);
    assert_eq!(reactor.timeout(Duration::MAX), None, "the loop would sleep until the kernel wakes it");
}

/// Closing is expensive, so few are closed in a turn; and fewer while other peers wait to be heard.
#[test]
fn reaping_has_a_budget() {
    let (mut reactor, address) = reactor(2000);
    let peers = connect(&mut reactor, address, BATCH + 100);
    come_to_rest(&mut reactor);
    for peer in peers {
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap(); // a reset
    }
    let mut most = 0;
    while reactor.tally().connected > 0 {
        let before = reactor.tally().connected;
        reactor.turn().unwrap();
        let reaped = before - reactor.tally().connected;
        assert!(!reactor.crowded || reaped <= 1, "{reaped} were closed while events waited");
        most = most.max(reaped);
    }
    assert_eq!(most, 16, "closed in one turn");
    assert!(reactor.tally().departures.to_string().ends_with(&format!(": {} reset by the peer", BATCH + 100)));
    assert_eq!(reactor.capacity.connected(), 0);
}

#[test]
fn the_limit_is_shared_by_all_ports() {
    let (mut reactor, first) = reactor(3);
    let second = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Echo).unwrap().address;
    let mut peers = connect(&mut reactor, first, 3);
    come_to_rest(&mut reactor);
    let waiting = TcpStream::connect(second).unwrap();
    for _ in 0..3 {
        reactor.turn_within(Duration::from_millis(20)).unwrap();
        come_to_rest(&mut reactor);
    }
    assert_eq!(reactor.timeout(Duration::MAX), None, "a full loop sleeps, though somebody waits");
    assert_eq!(reactor.tally().accepted, 3);
    peers.pop();
    turn_until(&mut reactor, |reactor| reactor.tally().accepted == 4);
    assert_eq!(reactor.tally().connected, 3);
    drop(waiting);
}

/// The options are set once, on the listener; the kernel copies them.
#[test]
fn accepted_sockets_inherit_the_listener_s_options() {
    let keepalive = Keepalive::with_deadline(Duration::from_secs(77)).unwrap();
    let mut listen = Listen::on("127.0.0.1:0".parse().unwrap()).keepalive(keepalive);
    let listener = listen.open().unwrap();
    let address = listener.local_addr().unwrap();
    let _peer = TcpStream::connect(address).unwrap();
    let (accepted, _) = loop {
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            result => break result.unwrap(),
        }
    };
    assert!(listen.is_applied(&SockRef::from(&accepted)).unwrap());
    assert!(!Listen::on(address).is_applied(&SockRef::from(&accepted)).unwrap());
}

/// A service may end a connection: what it sent arrives, then a FIN, though the peer does not close.
#[test]
fn a_service_can_close_a_connection() {
    struct Goodbye;
    impl Service for Goodbye {
        type State = ();
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
            peer.send(b"goodbye");
            peer.close();
        }
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {
            panic!("input after close() is dropped");
        }
    }
    let mut reactor = Reactor::new(10).unwrap();
    let address = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Goodbye).unwrap().address;
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(b"too late").unwrap();
    // The peer keeps its own half open, and still the connection departs.
    turn_until(&mut reactor, |reactor| reactor.tally().departures.of(Departure::ShutDown) == 1);
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"goodbye");
}

/// The FIN waits for nothing that the peer might do: neither after a greeting nor when time has passed.
#[test]
fn a_service_can_close_a_connection_whose_peer_says_nothing() {
    struct Goodbye {
        patience: Option<Duration>,
    }
    impl Service for Goodbye {
        type State = ();
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
            match self.patience {
                None => peer.close(),
                Some(patience) => peer.wake_after(patience),
            }
        }
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
        fn woken(&mut self, peer: &mut Peer<'_, ()>) {
            peer.close();
        }
    }
    for patience in [None, Some(Duration::from_millis(50))] {
        let (mut reactor, address) = listening(Goodbye { patience });
        let mut peer = connect(&mut reactor, address, 1).remove(0);
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(300) && reactor.timeout(Duration::MAX).is_some() {
            reactor.turn().unwrap();
        }
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(peer.read_to_end(&mut Vec::new()).unwrap(), 0, "a FIN, and no reset");
    }
}

/// The process was stopped for ten seconds, and more peers spoke meanwhile than fit into one batch: the
/// clock is past their deadline before all of them were read.
#[test]
fn a_loop_that_was_stopped_hears_everybody_before_it_judges() {
    let (mut reactor, address) = listening(Expect::new(Discard, Duration::from_secs(4)).unwrap());
    let mut peers = connect(&mut reactor, address, 2 * BATCH + 300);
    peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
    reactor.hearing.clock.jump(Duration::from_secs(10));
    for _ in 0..10 {
        reactor.turn().unwrap();
    }
    assert_eq!(reactor.tally().departures.total(), 0, "{}", reactor.tally());
    // And they are counted from the moment at which they were read.
    turn_until(&mut reactor, |reactor| {
        reactor.tally().departures.of(Departure::Unresponsive) == 2 * BATCH as u64 + 300
    });
}

/// The whole machine was held up: what the peer has sent arrives a moment after the loop goes on.
#[test]
fn a_machine_that_was_held_up_is_given_time_to_hear() {
    let (mut reactor, address) = listening(Expect::new(Discard, Duration::from_secs(3)).unwrap());
    let peers = connect(&mut reactor, address, 2);
    come_to_rest(&mut reactor);
    reactor.hearing.clock.jump(Duration::from_secs(10));
    let mut speaks = peers[0].try_clone().unwrap();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        speaks.write_all(b"x").unwrap();
    });
    turn_until(&mut reactor, |reactor| reactor.tally().departures.total() > 0);
    assert_eq!(reactor.tally().connected, 1, "the one that spoke is kept");
    late.join().unwrap();
}

/// A peer has the whole time for its answer, however late it is asked.
#[test]
fn a_question_that_goes_out_late_is_waited_for_from_then_on() {
    let (after, timeout) = (Duration::from_millis(400), Duration::from_secs(2));
    let (mut reactor, address) = listening(Heartbeat::new(Ping::default(), after, timeout, 1).unwrap());
    let mut peers = connect(&mut reactor, address, 1);
    come_to_rest(&mut reactor);
    reactor.hearing.clock.jump(Duration::from_secs(60));
    let began = Instant::now();
    turn_until(&mut reactor, |reactor| reactor.tally().departures.total() > 0);
    let kept = began.elapsed();
    assert!(kept >= timeout && kept < timeout + Duration::from_secs(2), "let go after {kept:?}");
    let mut received = String::new();
    peers[0].read_to_string(&mut received).unwrap();
    assert_eq!(received, "PING 1\n");
}

/// An impossible value is refused where it is given, with a sentence.
#[test]
fn a_loop_for_nobody_is_refused() {
    let error = Reactor::new(0).expect_err("nobody could ever come");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (io::ErrorKind::InvalidInput, "max-connections 0: 1 is the least")
    );
    assert_eq!(Reactor::new(usize::MAX - 1).unwrap().capacity.limit(), MOST_CONNECTIONS);
    let as_many_as_there_are = Reactor::new(Reactor::NO_LIMIT).unwrap();
    assert_eq!(as_many_as_there_are.within_reach(), as_many_as_there_are.capacity.limit());
    for backlog in [0, u32::MAX] {
        assert_eq!(Listen::on("127.0.0.1:0".parse().unwrap()).backlog(backlog).unwrap_err().setting, "backlog");
    }
    let (mut reactor, _) = reactor(1);
    assert_eq!(reactor.limit_per_address(Some(0)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

/// A loop with the smallest outbox that may be set still reads, and does not take a living peer for closed.
#[test]
fn the_least_outbox_serves() {
    let mut reactor = Reactor::new(10).unwrap();
    let limits = Limits::default().with_max_output(4096).unwrap();
    let address = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()).limits(limits), Echo).unwrap().address;
    let mut peer = connect(&mut reactor, address, 1).remove(0);
    peer.write_all(&[7; 10_000]).unwrap();
    peer.set_nonblocking(true).unwrap();
    let mut count = 0;
    while count < 10_000 {
        reactor.turn().unwrap();
        while let Ok(more @ 1..) = peer.read(&mut [0; 4096]) {
            count += more;
        }
    }
    assert_eq!((reactor.tally().connected, reactor.tally().departures.total()), (1, 0));
}

/// A limit that is set again, or late, counts the peers that are already connected.
#[test]
fn a_second_limit_per_address_forgets_nobody() {
    let (mut reactor, address) = reactor(100);
    let peers = connect(&mut reactor, address, 3);
    for most in [Some(4), None, Some(5)] {
        reactor.limit_per_address(most).unwrap();
    }
    let _more = connect(&mut reactor, address, 2);
    let _refused = TcpStream::connect(address).unwrap();
    turn_until(&mut reactor, |reactor| reactor.tally().departures.of(Departure::TooManyFromAddress) == 1);
    drop(peers);
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 2);
    reactor.limit_per_address(Some(3)).unwrap();
    let _again = connect(&mut reactor, address, 1);
    let _refused = TcpStream::connect(address).unwrap();
    turn_until(&mut reactor, |reactor| reactor.tally().departures.of(Departure::TooManyFromAddress) == 2);
}
