//! A peer that goes from one loop to another.

use super::*;

/// Counts what a peer has sent, and can write that down.
struct Count;

impl Service for Count {
    type State = u32;

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) -> u32 {
        0
    }

    fn received(&mut self, peer: &mut Peer<'_, u32>, bytes: &[u8]) {
        *peer.state += bytes.len() as u32;
        let answer = format!("{};", peer.state);
        peer.send(answer.as_bytes());
    }

    fn save(&self, state: &u32) -> Result<Saved, CannotSave> {
        Saved::new(2, state.to_be_bytes().to_vec())
    }

    fn restore(&mut self, _peer: &mut Peer<'_, ()>, saved: &Saved) -> Result<u32, CannotRestore> {
        if saved.version() != 2 {
            return Err(CannotRestore::Version(saved.version()));
        }
        let bytes = saved.bytes().try_into().map_err(|_| CannotRestore::Unreadable)?;
        Ok(u32::from_be_bytes(bytes))
    }
}

fn port_of(reactor: &mut Reactor) -> (PortId, SocketAddr) {
    let listening = reactor.listen(Listen::on(([127, 0, 0, 1], 0).into()), Count).unwrap();
    (listening.port, listening.address)
}

/// The id of the only peer: the orders' way to name it is a service's; a test asks the table.
fn only_peer(reactor: &mut Reactor) -> PeerId {
    let id = reactor.sources[0].as_any().and_then(|port| port.downcast_mut::<Port>()?.first_peer());
    id.unwrap_or_else(|| panic!("nobody: {}", reactor.tally()))
}

#[test]
fn a_peer_is_handed_over_with_its_state_and_notices_nothing() {
    let [mut old, mut new] = std::array::from_fn(|_| Reactor::new(10).unwrap());
    let (_, address) = port_of(&mut old);
    let (port, _) = port_of(&mut new);
    let mut peer = connect(&mut old, address, 1).remove(0);
    peer.write_all(b"12345").unwrap();
    read(&mut old, &mut peer, b"5;");
    come_to_rest(&mut old);
    let id = only_peer(&mut old);
    let carried = old.release(id).unwrap();
    assert_eq!((old.tally().connected, old.tally().departures.total(), carried.unsent.len()), (0, 0, 0));
    assert_eq!(old.release(id).unwrap_err(), CannotSave::Gone);
    peer.write_all(b"678").unwrap(); // while nobody serves it
    let id = new.adopt(port, carried).unwrap();
    assert_eq!(id.port(), port);
    read(&mut new, &mut peer, b"8;");
    drop(peer);
    turn_until(&mut new, |reactor| reactor.tally().departures.of(Departure::Closed) == 1);
}

/// Output that waits goes with the peer, in order.
#[test]
fn what_was_not_sent_yet_is_sent_by_the_other_loop() {
    const MUCH: usize = 12 << 20;
    struct Greet;
    impl Service for Greet {
        type State = ();
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
            let greeting: Vec<u8> = (0..MUCH).map(|n| (n / 1000) as u8).collect();
            peer.send(&greeting);
        }
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
        fn save(&self, _state: &()) -> Result<Saved, CannotSave> {
            Ok(Saved::default())
        }
        fn restore(&mut self, _peer: &mut Peer<'_, ()>, _saved: &Saved) -> Result<(), CannotRestore> {
            Ok(())
        }
    }
    let [mut old, mut new] = std::array::from_fn(|_| Reactor::new(10).unwrap());
    let limits = Limits::default().with_max_output(2 * MUCH).unwrap();
    let listen = Listen::on(([127, 0, 0, 1], 0).into()).limits(limits);
    let address = old.listen(listen.clone(), Greet).unwrap().address;
    let port = new.listen(listen, Greet).unwrap().port;
    let mut peer = connect(&mut old, address, 1).remove(0);
    come_to_rest(&mut old);
    let id = only_peer(&mut old);
    let carried = old.release(id).unwrap();
    assert!(carried.unsent.len() > MUCH / 4, "{} bytes waited", carried.unsent.len());
    new.adopt(port, carried).unwrap();
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; MUCH];
        peer.read_exact(&mut got).unwrap();
        got
    });
    while !reader.is_finished() {
        new.turn_within(Duration::from_millis(1)).unwrap();
    }
    assert!(reader.join().unwrap().iter().enumerate().all(|(n, byte)| *byte == (n / 1000) as u8));
}

#[test]
fn who_cannot_be_handed_over_stays_and_the_reason_is_a_sentence() {
    /// Writes nothing down.
    struct Forgetful;
    impl Service for Forgetful {
        type State = ();
        fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
    }
    let (mut reactor, address) = listening(Forgetful);
    let peer = connect(&mut reactor, address, 1);
    come_to_rest(&mut reactor);
    let id = only_peer(&mut reactor);
    let refused = reactor.release(id).unwrap_err();
    assert_eq!(refused, CannotSave::NotSupported);
    assert_eq!(refused.to_string(), "its service does not write down what it remembers of a peer");
    assert_eq!(reactor.tally().connected, 1);
    drop(peer);
    let mut old = Reactor::new(10).unwrap();
    let (port, address) = port_of(&mut old);
    let mut ends = connect(&mut old, address, 1);
    come_to_rest(&mut old);
    ends[0].write_all(b"x").unwrap();
    let id = only_peer(&mut old);
    let mut carried = old.release(id).unwrap();
    carried.saved = Saved::new(1, vec![1]).unwrap();
    let refused = old.adopt(port, carried).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    assert_eq!(refused.to_string(), "the service does not know version 1 of what was saved");
    assert_eq!((old.tally().connected, old.capacity.connected()), (0, 0));
    assert_eq!(Saved::new(1, vec![0; Saved::LIMIT + 1]).unwrap_err(), CannotSave::TooLong(Saved::LIMIT + 1));
}
