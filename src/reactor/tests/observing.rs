//! Services that observe the loop: news, figures, looks at everybody, and a port apart.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use super::{come_to_rest, connect, listening, turn_until};
use crate::reactor::{Figures, Happening, Listen, Look, News, Orders, Peer, PeerId, Reactor, Service, TurnTimes};
use crate::service::Echo;

/// What an observer was told.
#[derive(Debug, Default)]
struct Told {
    news: Vec<News>,
    looks: Vec<Look>,
    figures: Vec<Figures>,
    turns: Vec<TurnTimes>,
}

/// Does what its peer says with one letter, and notes what it is told.
#[derive(Default)]
struct Observer {
    told: Rc<RefCell<Told>>,
    after: Option<PeerId>,
}

impl Service for Observer {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        let (id, after) = (peer.id(), self.after);
        for byte in bytes {
            match byte {
                b'o' => peer.orders().observe(true),
                b'q' => {
                    peer.orders().observe(false);
                    peer.orders().time_turns(false);
                }
                b't' => peer.orders().time_turns(true),
                b'c' => peer.orders().count(Some(id)).unwrap(),
                b'l' => peer.orders().look_onwards(after, 100, Some(id)).unwrap(),
                _ => peer.send(b"?"),
            }
        }
    }

    fn observed(&mut self, news: &[News], _orders: &mut Orders) {
        self.told.borrow_mut().news.extend_from_slice(news);
    }

    fn looked(&mut self, look: &Look, _orders: &mut Orders) {
        if look.seen.is_some() {
            self.after = Some(look.peer);
        }
        self.told.borrow_mut().looks.push(*look);
    }

    fn counted(&mut self, figures: &Figures, _asker: Option<PeerId>, _orders: &mut Orders) {
        self.told.borrow_mut().figures.push(*figures);
    }

    fn turned(&mut self, times: &TurnTimes, _orders: &mut Orders) {
        self.told.borrow_mut().turns.push(*times);
    }
}

/// A loop with an observed port, and an observer apart, of whom one peer is connected.
fn observed() -> (Reactor, SocketAddr, Rc<RefCell<Told>>, TcpStream) {
    let (mut reactor, address) = listening(Echo);
    let told = Rc::<RefCell<Told>>::default();
    let observer = Observer { told: told.clone(), after: None };
    let apart = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()).apart(2), observer).unwrap().address;
    let asker = TcpStream::connect(apart).unwrap();
    (reactor, address, told, asker)
}

/// Says it, and turns until the answer is complete.
fn ask(reactor: &mut Reactor, asker: &mut TcpStream, what: &[u8], told: &RefCell<Told>) {
    asker.write_all(what).unwrap();
    turn_until(reactor, |_| {
        let told = told.borrow();
        !told.figures.is_empty() || told.looks.last().is_some_and(|look| look.left == 0)
    });
}

/// Says something that is not answered.
fn say(reactor: &mut Reactor, asker: &mut TcpStream, what: &[u8]) {
    asker.write_all(what).unwrap();
    for _ in 0..5 {
        reactor.turn_within(Duration::from_millis(30)).unwrap();
        come_to_rest(reactor);
    }
}

#[test]
fn news_are_told_in_order_to_those_who_observe_and_only_then() {
    let (mut reactor, address, told, mut asker) = observed();
    let before = connect(&mut reactor, address, 1);
    say(&mut reactor, &mut asker, b"o");
    let mut peers = connect(&mut reactor, address, 2);
    peers[0].write_all(b"12345").unwrap();
    turn_until(&mut reactor, |reactor| reactor.tally().sent == 5);
    drop(before);
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 2);
    let mut first = peers.remove(0);
    first.read_exact(&mut [0; 5]).unwrap();
    drop(first);
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 1);
    let news = std::mem::take(&mut told.borrow_mut().news);
    let mut ids = Vec::new();
    for one in &news[..2] {
        let Happening::Arrived { id, peer, local } = one.what else { panic!("{one:?}") };
        assert!(peer.ip().is_loopback() && local == Some(address), "{one:?}");
        ids.push(id);
    }
    let [first, second] = [2, 3].map(|nth: usize| match &news[nth].what {
        Happening::Departed(departed) => *departed,
        other => panic!("{other:?}"),
    });
    assert!(!ids.contains(&first.id) && second.id == ids[0], "{news:?}");
    assert_eq!((first.departure.word(), second.departure.word(), news.len()), ("closed", "closed", 4));
    let info = second.info.unwrap();
    assert_eq!((info.bytes_received, second.local), (6, Some(address)), "the kernel counts the FIN, too");
    assert!(news.is_sorted_by_key(|one| one.at));

    say(&mut reactor, &mut asker, b"q");
    drop(peers);
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 0);
    assert!(told.borrow().news.is_empty() && !reactor.orders.audience.has_news());
}

#[test]
fn refusals_and_the_stop_are_news_too() {
    let mut reactor = Reactor::new(1).unwrap();
    let limits = crate::reactor::Limits::default().with_when_full(crate::reactor::WhenFull::Refuse);
    let listen = Listen::on("127.0.0.1:0".parse().unwrap()).limits(limits);
    let address = reactor.listen(listen, Echo).unwrap().address;
    let told = Rc::<RefCell<Told>>::default();
    let observer = Observer { told: told.clone(), after: None };
    let apart = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()).apart(2), observer).unwrap().address;
    let mut asker = TcpStream::connect(apart).unwrap();
    say(&mut reactor, &mut asker, b"o");
    let _held = connect(&mut reactor, address, 1);
    let _refused = TcpStream::connect(address).unwrap();
    turn_until(&mut reactor, |reactor| reactor.tally().accepted == 2);
    reactor.handle().unwrap().stop(Duration::ZERO);
    while reactor.ending().is_none() {
        reactor.turn_within(Duration::from_secs(1)).unwrap();
    }
    let told = told.borrow();
    let kinds: Vec<_> = told
        .news
        .iter()
        .map(|news| match &news.what {
            Happening::Arrived { .. } => "arrived",
            Happening::Departed(departed) => departed.departure.word(),
            Happening::Refused { departure, .. } => departure.word(),
            Happening::LimitReached { limit: 1 } => "limit",
            Happening::Stopping => "stopping",
            _ => "?",
        })
        .collect();
    assert_eq!(kinds, ["arrived", "limit", "full", "stopping", "shut_down"]);
}

#[test]
fn everybody_is_looked_at_once_page_by_page_while_others_come_and_go() {
    let (mut reactor, address, told, mut asker) = observed();
    let second = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Echo).unwrap().address;
    ask(&mut reactor, &mut asker, b"l", &told);
    let look = told.borrow_mut().looks.pop().unwrap();
    assert!(look.seen.is_none() && look.left == 0 && look.asker.is_some(), "nobody is there: {look:?}");

    let mut staying = connect(&mut reactor, address, 150);
    let mut going = connect(&mut reactor, address, 50);
    staying.extend(connect(&mut reactor, second, 150));
    // Both ends: the same port may be connected to two others.
    let ends: Vec<_> = staying.iter().map(|peer| (peer.local_addr().unwrap(), peer.peer_addr().ok())).collect();
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        ask(&mut reactor, &mut asker, b"l", &told);
        let looks = std::mem::take(&mut told.borrow_mut().looks);
        pages += 1;
        assert!(
            looks.len() <= 100
                && looks.last().unwrap().left == 0
                && looks.iter().rev().skip(1).all(|look| look.left > 0)
        );
        if looks[0].seen.is_none() {
            break;
        }
        seen.extend(looks.iter().filter_map(|look| look.seen).map(|seen| (seen.address, seen.local)));
        // The one after which the next page begins may be among those that go.
        going.truncate(going.len().saturating_sub(20));
        let connected = 300 + going.len();
        turn_until(&mut reactor, |reactor| reactor.tally().connected == connected);
    }
    for end in &ends {
        assert_eq!(seen.iter().filter(|seen| *seen == end).count(), 1, "{end:?} in {pages} pages");
    }
}

#[test]
fn figures_tell_what_was_moved_and_how_the_loop_turned() {
    let (mut reactor, address, told, mut asker) = observed();
    let mut peers = connect(&mut reactor, address, 3);
    for peer in &mut peers {
        peer.write_all(&[7; 1000]).unwrap();
    }
    turn_until(&mut reactor, |reactor| reactor.tally().sent == 3000);
    drop(peers.pop());
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 2);
    ask(&mut reactor, &mut asker, b"c", &told);
    let figures = told.borrow_mut().figures.pop().unwrap();
    let tally = figures.tally;
    assert_eq!(
        (tally.connected, tally.accepted, tally.received, tally.sent),
        (2, 3, 3000, 3000),
        "those apart do not count"
    );
    assert_eq!((tally.departures.total(), figures.is_stopping, figures.detection.count()), (1, false, 0));
    assert!(figures.turns.count > 2 && figures.turns.events.count() == figures.turns.count, "{figures:?}");
    assert!(figures.turns.work.count() > 0 && figures.turns.work.sum() > 0);
    assert_eq!(reactor.figures().tally.received, 3000);
}

#[test]
fn a_turn_is_timed_for_those_who_want_it() {
    let (mut reactor, _, told, mut asker) = observed();
    say(&mut reactor, &mut asker, b"t");
    std::thread::sleep(Duration::from_millis(1));
    say(&mut reactor, &mut asker, b"x");
    let turns = std::mem::take(&mut told.borrow_mut().turns);
    assert!(turns.iter().any(|turn| turn.events > 0 && turn.drive > Duration::ZERO), "{turns:?}");
    assert!(turns.is_sorted_by(|one, next| one.number < next.number));
    say(&mut reactor, &mut asker, b"q");
    told.borrow_mut().turns.clear();
    say(&mut reactor, &mut asker, b"x");
    assert!(told.borrow().turns.is_empty());
}

#[test]
fn a_port_apart_has_its_own_room() {
    let mut reactor = Reactor::new(2).unwrap();
    let address = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Echo).unwrap().address;
    let apart = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()).apart(1), Echo).unwrap().address;
    // It is full, and so is the other one: neither keeps a peer of the other out.
    let mut observer = TcpStream::connect(apart).unwrap();
    let _peers = connect(&mut reactor, address, 2);
    let _waiting = TcpStream::connect(address).unwrap();
    let mut next = TcpStream::connect(apart).unwrap();
    for end in [&mut observer, &mut next] {
        end.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        end.write_all(b"x").unwrap();
    }
    for _ in 0..5 {
        reactor.turn_within(Duration::from_millis(20)).unwrap();
    }
    observer.read_exact(&mut [0]).unwrap();
    assert!(next.read_exact(&mut [0]).is_err(), "there is room for one");
    drop(observer);
    for _ in 0..5 {
        reactor.turn_within(Duration::from_millis(20)).unwrap();
    }
    next.read_exact(&mut [0]).unwrap();
    assert_eq!((reactor.tally().connected, reactor.tally().accepted), (2, 2));
}

/// Sleeping sources are not forgotten: what one port's peer sets free, another port's newcomer gets.
#[test]
fn a_departure_at_one_port_makes_room_at_another_that_sleeps() {
    let mut reactor = Reactor::new(1).unwrap();
    let [first, second] =
        [(), ()].map(|()| reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Echo).unwrap().address);
    let held = connect(&mut reactor, first, 1);
    let mut waiting = TcpStream::connect(second).unwrap();
    waiting.write_all(b"x").unwrap();
    for _ in 0..5 {
        reactor.turn_within(Duration::from_millis(20)).unwrap();
    }
    drop(held);
    waiting.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    turn_until(&mut reactor, |_| waiting.read_exact(&mut [0]).is_ok());
}

#[test]
fn a_port_at_a_path_is_open_to_those_who_may_write_there() {
    let path = std::env::temp_dir().join(format!("stillthere-{}-port.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut reactor = Reactor::new(10).unwrap();
    reactor.listen(Listen::at_path(&path, 0o660), Echo).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut peers: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for peer in &mut peers {
        peer.write_all(b"hello").unwrap();
    }
    turn_until(&mut reactor, |reactor| reactor.tally().sent == 15);
    for peer in &mut peers {
        let mut got = [0; 5];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
    }
    drop(peers);
    turn_until(&mut reactor, |reactor| reactor.tally().departures.total() == 3);
    let taken = reactor.listen(Listen::at_path(&path, 0o660), Echo).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    std::fs::remove_file(&path).unwrap();
}
