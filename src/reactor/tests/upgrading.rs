//! A loop that goes on where another one has stopped: here with duplicates of its sockets, in one process.

use std::net::Shutdown;
use std::os::fd::RawFd;

use super::*;
use crate::inherited;

/// What another program would be sent: each socket with its number. The loop that has written it may be dropped.
fn sent(state: &State) -> State {
    let duplicate = |number: &RawFd| (*number, inherited::duplicate(*number).unwrap());
    State::sent(state.bytes().to_vec(), state.sockets().iter().map(duplicate).collect()).unwrap()
}

/// The loop that goes on with what this one has written down; `open` opens its ports.
fn go_on<R>(old: Reactor, open: impl FnOnce(&mut Reactor) -> R) -> (Reactor, Resumed) {
    let mut old = old;
    let state = sent(&old.write_down("1.2.3").unwrap());
    drop(old);
    let mut new = Reactor::new(10_000).unwrap();
    new.inherit(state).unwrap();
    open(&mut new);
    let resumed = new.take_over().unwrap();
    (new, resumed)
}

fn any() -> Listen {
    Listen::on("127.0.0.1:0".parse().unwrap())
}

fn ids(reactor: &mut Reactor) -> Vec<PeerId> {
    let port = reactor.sources.iter_mut().find_map(|source| source.as_any()?.downcast_mut::<Port>()).unwrap();
    std::iter::successors(port.next_peer(0), |id| port.next_peer(id.slot() + 1)).collect()
}

#[test]
fn peers_stay_under_their_ids_and_what_is_counted_goes_on() {
    let (mut old, address) = listening(Echo);
    let mut peers = connect(&mut old, address, 20);
    peers.remove(7);
    peers.remove(3);
    turn_until(&mut old, |reactor| reactor.tally().connected == 18);
    let (before, mut ids_before) = (old.tally(), ids(&mut old));
    assert_eq!(ids_before.len(), 18);
    peers[0].write_all(b"sent while nobody serves").unwrap();
    let arrived = old.hearing.clock.now();
    let (mut new, resumed) = go_on(old, |new| {
        let listening = new.listen(any(), Echo).unwrap();
        assert_eq!(listening.address, address, "the port that was any is the one that it was");
    });
    assert_eq!(resumed, Resumed { version: "1.2.3".to_string(), peers: 18, generation: 1 });
    assert_eq!(ids(&mut new), ids_before);
    let after = new.tally();
    assert_eq!((after.connected, after.accepted, after.departures), (18, before.accepted, before.departures));
    assert!(new.hearing.clock.now() >= arrived, "the clock goes on");
    read(&mut new, &mut peers[0], b"sent while nobody serves");
    // Newcomers get the slots that are free, and never an id that somebody had.
    peers.extend(connect(&mut new, address, 3));
    let ids_after = ids(&mut new);
    ids_before.retain(|id| !ids_after.contains(id));
    assert!(ids_before.is_empty() && ids_after.len() == 21 && ids_after[3].slot() == 3);
    for (nth, peer) in peers.iter_mut().enumerate() {
        peer.write_all(format!("{nth}").as_bytes()).unwrap();
        read(&mut new, peer, format!("{nth}").as_bytes());
    }
    // And once more, to the next one.
    let (mut newer, resumed) = go_on(new, |new| new.listen(any(), Echo).unwrap());
    assert_eq!((resumed.peers, resumed.generation, ids(&mut newer)), (21, 2, ids_after));
    drop(peers);
    turn_until(&mut newer, |reactor| reactor.tally().connected == 0);
    assert_eq!(newer.tally().accepted, 23);
}

/// Whatever is going on with a peer goes on: output that waits, a half that is closed, our own FIN.
#[test]
fn what_was_begun_is_brought_to_its_end() {
    const MUCH: usize = 12 << 20;
    /// Sends much when it is asked to, closes, or waits with a half-closed peer.
    #[derive(Clone)]
    struct Obeys;
    impl Service for Obeys {
        type State = ();
        fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}
        fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
            match bytes {
                b"much" => peer.send(&(0..MUCH).map(|n| (n / 1000) as u8).collect::<Vec<_>>()),
                b"close" => peer.close_for(Reason(7)),
                _ => {}
            }
        }
        fn half_closed(&mut self, peer: &mut Peer<'_, ()>) {
            peer.stay();
            peer.wake_after(Duration::from_millis(300));
        }
        fn woken(&mut self, peer: &mut Peer<'_, ()>) {
            peer.send(b"late");
            peer.close();
        }
        fn save(&self, _state: &()) -> Result<Saved, CannotSave> {
            Ok(Saved::default())
        }
        fn restore(&mut self, _peer: &mut Peer<'_, ()>, _saved: &Saved) -> Result<(), CannotRestore> {
            Ok(())
        }
    }
    let limits = Limits::default().with_max_output(2 * MUCH).unwrap();
    let mut old = Reactor::new(100).unwrap();
    let address = old.listen(any().limits(limits), Obeys).unwrap().address;
    let mut peers = connect(&mut old, address, 3);
    peers[0].write_all(b"much").unwrap();
    peers[1].write_all(b"close").unwrap();
    peers[2].shutdown(Shutdown::Write).unwrap();
    old.turn_within(Duration::from_millis(50)).unwrap();
    come_to_rest(&mut old);
    old.turn_within(Duration::from_millis(20)).unwrap();
    let left = old.tally().connected;
    assert!(left >= 2, "the one that is being closed may have gone already");
    let (mut new, resumed) = go_on(old, |new| new.listen(any().limits(limits), Obeys).unwrap());
    assert_eq!((resumed.peers, new.ending()), (left, None));
    read(&mut new, &mut peers[2], b"late");
    let mut much = peers.remove(0);
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; MUCH];
        much.read_exact(&mut got).unwrap();
        (much, got)
    });
    while !reader.is_finished() {
        new.turn_within(Duration::from_millis(1)).unwrap();
    }
    let (_much, got) = reader.join().unwrap();
    assert!(got.iter().enumerate().all(|(n, byte)| *byte == (n / 1000) as u8));
    peers.clear();
    turn_until(&mut new, |reactor| reactor.tally().connected == 1);
    let departures = new.tally().departures;
    assert_eq!((departures.of(Departure::ByService(Reason(7))), departures.of(Departure::Closed)), (1, 1));
}

/// Heartbeats and expectations go on with what they know: nobody is asked anew, and nobody gets more time.
#[test]
fn alarms_come_when_they_would_have() {
    let millis = Duration::from_millis;
    let service = || Expect::new(Heartbeat::new(Ping::default(), millis(400), millis(500), 1).unwrap(), millis(3000));
    let mut old = Reactor::new(100).unwrap();
    let address = old.listen(any(), service().unwrap()).unwrap().address;
    let mut peers = connect(&mut old, address, 2);
    let connected = Instant::now();
    peers[0].write_all(b"PING 12").unwrap();
    old.turn_within(millis(100)).unwrap();
    // The silent one is asked between 300 and 400 ms; the other one may be asked, too.
    peers[1].set_nonblocking(true).unwrap();
    let mut asked = [0; 100];
    let asked = loop {
        old.turn_within(millis(20)).unwrap();
        if let Ok(count) = peers[1].read(&mut asked) {
            break &asked[..count];
        }
        assert!(connected.elapsed() < Duration::from_secs(20));
    };
    assert!(asked.starts_with(b"PING "));
    let (mut new, _) = go_on(old, |new| new.listen(any(), service().unwrap()).unwrap());
    peers[0].set_nonblocking(false).unwrap();
    peers[0].write_all(b"3\n").unwrap();
    // The other one was asked meanwhile or not: its own line goes on where it was.
    let mut got = Vec::new();
    peers[0].set_nonblocking(true).unwrap();
    while !got.ends_with(b"PONG 123\n") {
        new.turn_within(millis(20)).unwrap();
        let mut piece = [0; 100];
        if let Ok(count) = peers[0].read(&mut piece) {
            got.extend_from_slice(&piece[..count]);
        }
        assert!(connected.elapsed() < Duration::from_secs(20), "{:?}", String::from_utf8_lossy(&got));
    }
    turn_until(&mut new, |reactor| reactor.tally().departures.of(Departure::Unresponsive) >= 1);
    let silent = connected.elapsed();
    assert!(silent >= millis(790) && silent < Duration::from_secs(5), "{silent:?}");
}

/// A port keeps its number, which is part of its peers' ids, also if the ports before it are gone. An address that is listened on no
/// more keeps its peers.
#[test]
fn a_port_that_is_gone_keeps_its_peers_and_the_others_their_numbers() {
    let mut old = Reactor::new(100).unwrap();
    let [first, second] = std::array::from_fn(|_| old.listen(any(), Echo).unwrap());
    let mut peers = connect(&mut old, first.address, 1);
    peers.extend(connect(&mut old, second.address, 1));
    let (mut new, resumed) = go_on(old, |new| {
        let third = new.listen(any(), Discard);
        assert_eq!(third.unwrap().port, first.port, "the first that was any");
        assert_eq!(new.unclaimed(), [Unclaimed { address: second.address, is_open: true }]);
        let closed = new.listen(Listen::on(second.address).closed(), Echo).unwrap();
        assert_eq!((closed.port, closed.address), (second.port, second.address));
        assert_eq!(new.listen(any(), Echo).unwrap().port, PortId::of(2), "a new one has a number of its own");
    });
    assert_eq!(resumed.peers, 2);
    peers[1].write_all(b"still served").unwrap();
    read(&mut new, &mut peers[1], b"still served");
    assert_eq!(TcpStream::connect(second.address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

/// Peers stay also where the listener that accepted them is lost.
#[test]
fn a_lost_listener_keeps_its_peers() {
    let (mut old, address) = listening(Echo);
    let mut peers = connect(&mut old, address, 1);
    let state = old.write_down("1").unwrap();
    let mut sockets = Vec::new();
    for number in state.sockets() {
        let socket = inherited::duplicate(*number).unwrap();
        if !socket2::SockRef::from(&socket).is_listener().unwrap() {
            sockets.push((*number, socket));
        }
    }
    let bytes = state.bytes().to_vec();
    drop((state, old));
    let mut new = Reactor::new(100).unwrap();
    new.inherit(State::sent(bytes, sockets).unwrap()).unwrap();
    assert_eq!(new.listen(any(), Echo).unwrap().address, address);
    assert_eq!(new.take_over().unwrap().peers, 1);
    peers[0].write_all(b"still served").unwrap();
    read(&mut new, &mut peers[0], b"still served");
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

/// Whose port nobody opens is closed: a socket that stays open without being served would answer its peer's kernel for ever.
#[test]
fn peers_that_nobody_claims_are_closed() {
    let mut old = Reactor::new(100).unwrap();
    let [first, second] = std::array::from_fn(|_| old.listen(any(), Echo).unwrap());
    let mut peers = connect(&mut old, first.address, 1);
    peers.extend(connect(&mut old, second.address, 1));
    let bytes = old.write_down("1").unwrap().bytes().to_vec();
    // As after execve(2): the sockets have their numbers, and nobody else owns them.
    let old = std::mem::ManuallyDrop::new(old);
    let mut new = Reactor::new(100).unwrap();
    new.inherit(State::inherited(bytes).unwrap()).unwrap();
    new.listen(Listen::on(first.address), Echo).unwrap();
    assert_eq!(new.take_over().unwrap().peers, 1);
    peers[1].set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(peers[1].read_to_end(&mut Vec::new()).unwrap(), 0, "a FIN");
    assert_eq!(TcpStream::connect(second.address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    peers[0].write_all(b"served").unwrap();
    read(&mut new, &mut peers[0], b"served");
    let _ = &old;
}

/// Services that never stop giving orders do not hold the loop.
#[test]
fn orders_without_end_refuse_it() {
    struct Restless;
    impl Service for Restless {
        type State = ();
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
            let id = peer.id();
            peer.orders().call_for(id).unwrap();
        }
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
        fn called_for(&mut self, peer: &mut Peer<'_, ()>) {
            let id = peer.id();
            peer.orders().call_for(id).unwrap();
        }
    }
    let (mut reactor, address) = listening(Restless);
    let _peers = connect(&mut reactor, address, 1);
    assert_eq!(reactor.write_down("1").unwrap_err(), CannotWriteDown::Orders);
    reactor.turn_within(Duration::ZERO).unwrap();
}

/// A changed deadline holds for the peers that are there, too.
#[test]
fn old_peers_get_the_new_options() {
    let keepalive = |seconds| Keepalive::with_deadline(Duration::from_secs(seconds)).unwrap();
    let mut old = Reactor::new(1000).unwrap();
    let address = old.listen(any().keepalive(keepalive(70)), Echo).unwrap().address;
    let mut peers = connect(&mut old, address, 600);
    peers[0].write_all(b"x").unwrap();
    read(&mut old, &mut peers[0], b"x");
    let (mut new, _) = go_on(old, |new| new.listen(any().keepalive(keepalive(21)), Echo).unwrap());
    let idle = |reactor: &mut Reactor| -> Vec<u64> {
        let ids = ids(reactor);
        let port = reactor.sources.iter_mut().find_map(|source| source.as_any()?.downcast_mut::<Port>()).unwrap();
        ids.iter().map(|id| port.idle_of(*id).as_secs()).collect()
    };
    let first = idle(&mut new);
    assert!(first[0] < 10, "a peer that is watched has the new options before anything else: {first:?}");
    assert!(first[1..].iter().all(|idle| *idle >= 10), "and the others have the old ones so far: {first:?}");
    let mut turns = 0;
    while new.timeout(Duration::MAX) == Some(Duration::ZERO) {
        new.turn().unwrap();
        turns += 1;
    }
    let idle = idle(&mut new);
    assert!(idle.iter().all(|idle| (3..=6).contains(idle)) && idle.iter().any(|other| *other != idle[0]), "{idle:?}");
    assert!(turns >= 3, "a few at a time: {turns} turns");
}

#[test]
fn who_cannot_be_written_down_says_so_and_serves_on() {
    /// Writes nothing down.
    struct Forgetful;
    impl Service for Forgetful {
        type State = ();
        fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
    }
    let (mut reactor, address) = listening(Forgetful);
    assert!(reactor.write_down("1").is_ok(), "nobody is there");
    let _peers = connect(&mut reactor, address, 1);
    assert_eq!(reactor.write_down("1").unwrap_err(), CannotWriteDown::Service(CannotSave::NotSupported));
    let (mut reactor, address) = listening(Echo);
    let mut peers = connect(&mut reactor, address, 1);
    reactor.handle().unwrap().stop(Duration::from_secs(1));
    reactor.turn().unwrap();
    assert_eq!(reactor.write_down("1").unwrap_err(), CannotWriteDown::Stopping);
    let (mut reactor, address) = listening(Echo);
    peers.extend(connect(&mut reactor, address, 1));
    let state = reactor.write_down("1").unwrap();
    peers[1].write_all(b"served on").unwrap();
    read(&mut reactor, &mut peers[1], b"served on");
    drop(state);
}

/// On paper, everything is read and nobody is served; what is torn or garbled is an error, and nothing worse.
#[test]
fn a_rehearsal_finds_what_cannot_be_gone_on_with() {
    let millis = Duration::from_millis;
    let service = || Heartbeat::new(Ping::default(), millis(400), millis(500), 1).unwrap();
    let mut old = Reactor::new(100).unwrap();
    let address = old.listen(any(), service()).unwrap().address;
    let mut peers = connect(&mut old, address, 5);
    peers[2].write_all(b"PING 1").unwrap();
    old.turn_within(millis(20)).unwrap();
    let bytes = old.write_down("1.2.3").unwrap().bytes().to_vec();
    let rehearse = |bytes: Vec<u8>| -> Result<usize, String> {
        let state = State::inherited(bytes).map_err(|because| because.to_string())?.on_paper();
        let mut new = Reactor::new(100).unwrap();
        new.inherit(state).map_err(|because| because.to_string())?;
        new.listen(any(), service()).map_err(|because| because.to_string())?;
        assert!(new.is_rehearsal());
        Ok(new.take_over().unwrap().peers)
    };
    assert_eq!(rehearse(bytes.clone()), Ok(5));
    for length in 0..bytes.len() {
        let _ = rehearse(bytes[..length].to_vec());
    }
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut garbled = bytes.clone();
            garbled[at] ^= flip;
            let _ = rehearse(garbled);
        }
    }
    peers[2].set_nonblocking(false).unwrap();
    peers[2].write_all(b"7\n").unwrap();
    read(&mut old, &mut peers[2], b"PONG 17\n");
    // Whoever has something of another service begins anew with this one.
    let mut new = Reactor::new(100).unwrap();
    new.inherit(State::inherited(bytes).unwrap().on_paper()).unwrap();
    new.listen(any(), Echo).unwrap();
    assert_eq!(new.take_over().unwrap().peers, 5);
}
