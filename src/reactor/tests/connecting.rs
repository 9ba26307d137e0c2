//! Peers that we connect to.

use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;

use rustix::io::Errno;

use super::*;

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Service for Log {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {
        self.0.borrow_mut().push("arrived".to_string());
    }

    fn connected(&mut self, peer: &mut Peer<'_, ()>, label: u64) {
        self.0.borrow_mut().push(format!("connected {label}"));
        peer.send(b"hello");
    }

    fn unreachable(&mut self, attempt: &Attempt<'_>, _orders: &mut Orders) {
        let again = if attempt.next.is_some() { "again" } else { "never again" };
        let errno = attempt.error.raw_os_error().map(Errno::from_raw_os_error);
        self.0.borrow_mut().push(format!("{errno:?} {} {again}", attempt.failures));
    }

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        peer.send(bytes);
    }

    fn departed(&mut self, _state: (), farewell: &Farewell<'_>, _orders: &mut Orders) {
        self.0.borrow_mut().push(farewell.departure.to_string());
    }
}

fn backoff(first: u64, longest: u64) -> Backoff {
    Backoff::new(Duration::from_millis(first), Duration::from_millis(longest)).unwrap()
}

/// Turns until this many things have happened.
fn happen(reactor: &mut Reactor, log: &Log, count: usize) -> Vec<String> {
    let started = Instant::now();
    while log.0.borrow().len() < count {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", log.0.borrow());
        reactor.turn_within(Duration::from_millis(10)).unwrap();
    }
    log.0.borrow().clone()
}

#[test]
fn a_peer_that_we_connect_to_is_a_peer_like_any_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut reactor, log) = (Reactor::new(10).unwrap(), Log::default());
    let keepalive = Keepalive::with_deadline(Duration::from_secs(77)).unwrap();
    let connect = Connect::to(listener.local_addr().unwrap()).label(7).keepalive(keepalive.clone());
    reactor.connect(connect, log.clone()).unwrap();
    assert_eq!(happen(&mut reactor, &log, 1), ["connected 7"]);
    let (mut end, from) = listener.accept().unwrap();
    let mut addresses = Vec::new();
    reactor.sources[0].addresses(&mut |address| addresses.push(address));
    assert_eq!(addresses, [listener.local_addr().unwrap()]);
    assert_ne!(from, addresses[0]);
    end.write_all(b"echo").unwrap();
    read(&mut reactor, &mut end, b"helloecho");
    drop(end);
    assert_eq!(happen(&mut reactor, &log, 2)[1], "closed by the peer");
    turn_until(&mut reactor, |reactor| reactor.sources[0].deadline().is_none());
    assert_eq!((log.0.borrow().len(), reactor.tally().connected), (2, 0), "without a back-off there is one attempt");
    assert_eq!(reactor.timeout(Duration::MAX), None, "and nothing is due any more");
}

#[test]
fn an_attempt_that_fails_is_repeated_after_pauses_that_grow() {
    // A port that nobody listens on; it stays bound, so nobody else can take it.
    let nobody = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = nobody.local_addr().unwrap().as_socket().unwrap();
    let (mut reactor, log) = (Reactor::new(10).unwrap(), Log::default());
    let started = Instant::now();
    reactor.connect(Connect::to(address).backoff(backoff(100, 400).jitter(false)), log.clone()).unwrap();
    let lines = happen(&mut reactor, &log, 4);
    assert_eq!(lines, [1, 2, 3, 4].map(|nth| format!("{:?} {nth} again", Some(Errno::CONNREFUSED))));
    // 100, 200 and 400 ms lie between the four.
    assert!(started.elapsed() >= Duration::from_millis(700), "{:?}", started.elapsed());
    // Somebody listens at last.
    nobody.listen(16).unwrap();
    let lines = happen(&mut reactor, &log, 5);
    assert_eq!(lines.last().unwrap(), "connected 0");
    let (mut end, _) = nobody.accept().unwrap();
    end.read_exact(&mut [0; 5]).unwrap();
    // It did not last, so it is no success: the next pause is no shorter than before.
    drop(end);
    let parted = Instant::now();
    let lines = happen(&mut reactor, &log, 7);
    assert_eq!(lines[5..], ["closed by the peer", "connected 0"]);
    assert!(parted.elapsed() >= Duration::from_millis(350), "{:?}", parted.elapsed());
}

/// A connection that lasted is a success: the next pause is the first one again. (Of others it is known that they never went
/// back, or went back after a connection of a millisecond.)
#[test]
fn a_connection_that_lasted_begins_with_the_first_pause_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut reactor, log) = (Reactor::new(10).unwrap(), Log::default());
    let connect = Connect::to(listener.local_addr().unwrap()).backoff(backoff(200, 1000).jitter(false));
    reactor.connect(connect, log.clone()).unwrap();
    let accept = |log: &Log, reactor: &mut Reactor, count| {
        happen(reactor, log, count);
        let (mut end, _) = listener.accept().unwrap();
        end.read_exact(&mut [0; 5]).unwrap();
        end
    };
    // Twice for an instant: 200 ms, then 400.
    for count in [1, 3] {
        drop(accept(&log, &mut reactor, count));
    }
    let end = accept(&log, &mut reactor, 5);
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1100) {
        reactor.turn_within(Duration::from_millis(10)).unwrap();
    }
    drop(end);
    let parted = Instant::now();
    happen(&mut reactor, &log, 7);
    let paused = parted.elapsed();
    assert!(paused >= Duration::from_millis(200) && paused < Duration::from_millis(390), "{paused:?}");
}

#[test]
fn what_is_not_repeated_is_reported_once() {
    let nobody = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = nobody.local_addr().unwrap().as_socket().unwrap();
    let (mut reactor, log) = (Reactor::new(10).unwrap(), Log::default());
    let port = reactor.connect(Connect::to(address), log.clone()).unwrap();
    // No such address of this machine.
    let from = "203.0.113.77:0".parse().unwrap();
    reactor.connect_through(port, Connect::to(address).from(from)).unwrap();
    let mut lines = happen(&mut reactor, &log, 2);
    lines.sort();
    let expected = [Errno::ADDRNOTAVAIL, Errno::CONNREFUSED].map(|errno| format!("{:?} 1 never again", Some(errno)));
    assert!(lines.iter().all(|line| expected.contains(line)) && lines[0] != lines[1], "{lines:?}");
    assert_eq!(reactor.timeout(Duration::MAX), None);
    assert_eq!(
        reactor.connect_through(PortId::of(9), Connect::to(address)).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}

/// Nobody answers the SYN: the kernel alone would try for two minutes.
#[test]
fn an_attempt_takes_no_longer_than_the_deadline() {
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let _first = TcpStream::connect(address).unwrap(); // it fills the backlog
    let (mut reactor, log) = (Reactor::new(10).unwrap(), Log::default());
    let keepalive = Keepalive::with_deadline(Duration::from_secs(3)).unwrap();
    let started = Instant::now();
    reactor.connect(Connect::to(address).keepalive(keepalive), log.clone()).unwrap();
    assert_eq!(happen(&mut reactor, &log, 1), [format!("{:?} 1 never again", Some(Errno::TIMEDOUT))]);
    let kept = started.elapsed();
    assert!(kept >= Duration::from_secs(3) && kept < Duration::from_secs(5), "{kept:?}");
}

/// The kernel may choose the very port that is connected to as the port of our end.
#[test]
fn a_socket_that_is_connected_to_itself_is_no_peer() {
    let (mut reactor, log) = (Reactor::new(10).unwrap(), Log::default());
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    reactor.connect(Connect::to(address).from(address), log.clone()).unwrap();
    assert_eq!(happen(&mut reactor, &log, 1), [format!("{:?} 1 never again", Some(Errno::CONNREFUSED))]);
}

/// Peers that we connect to count, and a loop that is full waits with it.
#[test]
fn the_limit_holds_for_those_that_we_connect_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (mut reactor, log) = (Reactor::new(2).unwrap(), Log::default());
    let port = reactor.connect(Connect::to(address).label(1), log.clone()).unwrap();
    for label in 2..5 {
        reactor.connect_through(port, Connect::to(address).label(label)).unwrap();
    }
    happen(&mut reactor, &log, 2);
    let ends = [listener.accept().unwrap().0, listener.accept().unwrap().0];
    for _ in 0..50 {
        reactor.turn_within(Duration::from_millis(1)).unwrap();
    }
    assert_eq!((reactor.tally().connected, log.0.borrow().len()), (2, 2), "{:?}", log.0.borrow());
    drop(ends);
    let lines = happen(&mut reactor, &log, 6);
    assert_eq!((reactor.tally().accepted, lines.iter().filter(|line| line.starts_with("connected")).count()), (4, 4));
}

/// A loop that stops gives up what it was about to connect to.
#[test]
fn a_loop_that_stops_connects_to_nobody_any_more() {
    let (mut reactor, log) = (Reactor::new(10).unwrap(), Log::default());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    reactor.connect(Connect::to(free).backoff(backoff(10, 20)), log.clone()).unwrap();
    happen(&mut reactor, &log, 2);
    reactor.handle().unwrap().stop(Duration::from_secs(10));
    assert_eq!(reactor.run().unwrap(), Ending::Orderly);
}

/// A service may connect out for a peer that it serves: a forwarder.
#[test]
fn a_service_connects_to_an_upstream_for_its_peer() {
    #[derive(Default)]
    struct Forward {
        upstream: Option<SocketAddr>,
        next: u64,
        waiting: std::collections::BTreeMap<u64, (PeerId, Vec<u8>)>,
    }
    enum Side {
        Client(u64),
        Upstream(PeerId),
    }
    impl Service for Forward {
        type State = Side;
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Side {
            self.next += 1;
            self.waiting.insert(self.next, (peer.id(), Vec::new()));
            peer.orders().connect(Connect::to(self.upstream.unwrap()).label(self.next)).unwrap();
            Side::Client(self.next)
        }
        fn connected(&mut self, peer: &mut Peer<'_, ()>, label: u64) -> Side {
            let (client, early) = self.waiting.remove(&label).unwrap();
            peer.send(&early);
            Side::Upstream(client)
        }
        fn received(&mut self, peer: &mut Peer<'_, Side>, bytes: &[u8]) {
            match peer.state {
                Side::Client(label) => self.waiting.get_mut(label).unwrap().1.extend_from_slice(bytes),
                Side::Upstream(client) => {
                    let client = *client;
                    peer.orders().send(client, bytes).unwrap();
                }
            }
        }
    }
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = Forward { upstream: Some(upstream.local_addr().unwrap()), ..Forward::default() };
    let (mut reactor, address) = listening(service);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"question").unwrap();
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 2);
    let (mut end, _) = upstream.accept().unwrap();
    let mut question = [0; 8];
    end.read_exact(&mut question).unwrap();
    assert_eq!(&question, b"question");
    end.write_all(b"answer").unwrap();
    read(&mut reactor, &mut client, b"answer");
}
