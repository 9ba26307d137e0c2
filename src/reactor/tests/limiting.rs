//! Limits that change while peers are there.

use super::*;

/// Answers with the room that is left for output, in eight bytes.
struct Room;

impl Service for Room {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, peer: &mut Peer<'_, ()>, _bytes: &[u8]) {
        let room = peer.room() as u64;
        peer.send(&room.to_be_bytes());
    }
}

fn room(reactor: &mut Reactor, peer: &mut TcpStream) -> u64 {
    peer.set_nonblocking(true).unwrap();
    peer.write_all(b"?").unwrap();
    let mut answer = [0; 8];
    let (mut got, started) = (0, Instant::now());
    while got < answer.len() {
        assert!(started.elapsed() < Duration::from_secs(30), "not in time");
        match peer.read(&mut answer[got..]) {
            Ok(count) if count > 0 => got += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                reactor.turn_within(Duration::from_millis(10)).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    u64::from_be_bytes(answer)
}

#[test]
fn output_is_bounded_anew_for_peers_that_are_there() {
    let mut reactor = Reactor::new(10).unwrap();
    let listening = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Room).unwrap();
    let mut peers = connect(&mut reactor, listening.address, 1);
    assert_eq!(room(&mut reactor, &mut peers[0]), Limits::MAX_OUTPUT as u64);
    for bytes in [4096, 1 << 20] {
        reactor.limit_peers(&[listening.port], Limits::default().with_max_output(bytes).unwrap()).unwrap();
        assert_eq!(room(&mut reactor, &mut peers[0]), bytes as u64);
    }
    let mut newcomer = connect(&mut reactor, listening.address, 1);
    assert_eq!(room(&mut reactor, &mut newcomer[0]), 1 << 20);
}

#[test]
fn a_port_that_is_not_there_changes_none() {
    let mut reactor = Reactor::new(10).unwrap();
    let listening = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Room).unwrap();
    let less = Limits::default().with_max_output(4096).unwrap();
    let error = reactor.limit_peers(&[listening.port, PortId::of(7)], less).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    let mut peers = connect(&mut reactor, listening.address, 1);
    assert_eq!(room(&mut reactor, &mut peers[0]), Limits::MAX_OUTPUT as u64);
}

/// A port apart keeps its room, whatever the others may have.
#[test]
fn connections_are_limited_anew() {
    let (mut reactor, address) = reactor(1);
    let apart = Listen::on("127.0.0.1:0".parse().unwrap()).apart(3);
    reactor.listen(apart, Echo).unwrap();
    let reach = reactor.within_reach();
    assert_eq!(reach, 1);
    let _first = connect(&mut reactor, address, 1);
    let _second = TcpStream::connect(address).unwrap();
    for _ in 0..5 {
        reactor.turn_within(Duration::from_millis(10)).unwrap();
    }
    assert_eq!(reactor.tally().connected, 1, "it waits");
    assert_eq!(reactor.limit_connections(0).unwrap_err().setting, "max-connections");
    reactor.limit_connections(2).unwrap();
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 2);
    assert_eq!(reactor.within_reach(), 2);
    reactor.limit_connections(Reactor::NO_LIMIT).unwrap();
    let most = reactor.within_reach();
    let (mut alone, _) = self::reactor(1);
    alone.limit_connections(Reactor::NO_LIMIT).unwrap();
    assert_eq!(alone.within_reach(), most + 3, "three are kept for the port apart");
}
