//! Orders: peers that are reached from the calls of others, from a source and from a farewell.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::reactor::serving::orders::Orders;

/// Whoever speaks is heard by all others; whoever goes is said to have gone.
#[derive(Default)]
struct Chat {
    here: BTreeMap<PeerId, ()>,
}

impl Service for Chat {
    type State = PeerId;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> PeerId {
        self.here.insert(peer.id(), ());
        peer.id()
    }

    fn received(&mut self, peer: &mut Peer<'_, PeerId>, bytes: &[u8]) {
        let own = peer.id();
        assert_eq!(*peer.state, own);
        let others = self.here.keys().copied().filter(|id| *id != own);
        peer.orders().send_to_all(others, bytes).expect("there is room");
    }

    fn departed(&mut self, own: PeerId, _farewell: &Farewell<'_>, orders: &mut Orders) {
        self.here.remove(&own);
        orders.send_to_all(self.here.keys().copied(), b"gone").expect("there is room");
    }
}

#[test]
fn what_one_says_all_others_hear_in_the_order_in_which_it_was_said() {
    let (mut reactor, address) = listening(Chat::default());
    let mut peers = connect(&mut reactor, address, 300);
    for (n, peer) in peers.iter_mut().enumerate().take(5) {
        // More recipients than the budget of a turn: the orders wait in line.
        peer.write_all(format!("<{n}>").as_bytes()).unwrap();
        reactor.turn().unwrap();
    }
    drop(peers.pop());
    let last = peers.len() - 1;
    read(&mut reactor, &mut peers[last], b"<0><1><2><3><4>gone");
    read(&mut reactor, &mut peers[0], b"<1><2><3><4>gone");
    come_to_rest(&mut reactor);
    assert!(reactor.orders.is_empty());
}

/// Each closes the one that came after it, and the last one the first.
#[test]
fn peers_may_close_one_another_in_a_circle() {
    #[derive(Default)]
    struct Circle(Vec<PeerId>);
    impl Service for Circle {
        type State = PeerId;
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> PeerId {
            self.0.push(peer.id());
            peer.id()
        }
        fn received(&mut self, peer: &mut Peer<'_, PeerId>, _bytes: &[u8]) {
            self.end_the_next(*peer.state, peer.orders());
        }
        fn departed(&mut self, own: PeerId, _farewell: &Farewell<'_>, orders: &mut Orders) {
            self.end_the_next(own, orders);
        }
    }
    impl Circle {
        fn end_the_next(&self, own: PeerId, orders: &mut Orders) {
            let at = self.0.binary_search(&own).expect("ids are in the order of arrival");
            let next = self.0[(at + 1) % self.0.len()];
            // It may be closed already, have departed, or be this peer itself: none of that is an error.
            orders.close(next).unwrap();
            orders.let_go(next).unwrap();
        }
    }
    let (mut reactor, address) = listening(Circle::default());
    let mut peers = connect(&mut reactor, address, 100);
    peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 0);
    assert_eq!(reactor.tally().departures.total(), 100, "each departs once");
    come_to_rest(&mut reactor);
    assert!(reactor.orders.is_empty() && reactor.capacity.connected() == 0);
}

/// Looks at itself whenever it hears something or is woken, and sends what it sees.
struct Mirror;

impl Service for Mirror {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, peer: &mut Peer<'_, ()>, _bytes: &[u8]) {
        let id = peer.id();
        peer.orders().look_at([id], Some(id)).unwrap();
        peer.wake_after(Duration::from_millis(1));
    }

    fn woken(&mut self, peer: &mut Peer<'_, ()>) {
        let id = peer.id();
        peer.orders().look_at([id], Some(id)).unwrap();
    }

    fn looked(&mut self, look: &Look, orders: &mut Orders) {
        orders.send(look.peer, look.seen.unwrap().address.to_string().as_bytes()).unwrap();
    }
}

/// The answer once went to whichever port had given an order last.
#[test]
fn an_answer_goes_to_the_port_that_has_asked() {
    let (mut reactor, first) = listening(Mirror);
    let second = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Echo).unwrap().address;
    let mut mirrored = connect(&mut reactor, first, 1).remove(0);
    let _other = connect(&mut reactor, second, 1);
    mirrored.write_all(b"x").unwrap();
    let own = mirrored.local_addr().unwrap().to_string().repeat(2);
    read(&mut reactor, &mut mirrored, own.as_bytes());
}

/// Sends something to the first peer that ever came, each time that one arrives.
struct ToTheFirst(Option<PeerId>);

impl Service for ToTheFirst {
    type State = ();

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
        let first = *self.0.get_or_insert(peer.id());
        peer.orders().send(first, b"for the first\n").unwrap();
        peer.send(b"welcome\n");
    }

    fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
}

/// A newcomer gets the slot of one who has gone, and nothing that was meant for that one.
#[test]
fn what_is_meant_for_one_who_has_gone_reaches_no_newcomer() {
    let (mut reactor, address) = listening(ToTheFirst(None));
    let mut first = connect(&mut reactor, address, 1).remove(0);
    read(&mut reactor, &mut first, b"welcome\nfor the first\n");
    drop(first);
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 0);
    let mut newcomer = connect(&mut reactor, address, 1).remove(0);
    read(&mut reactor, &mut newcomer, b"welcome\n");
    come_to_rest(&mut reactor);
    newcomer.set_nonblocking(true).unwrap();
    let more = newcomer.read(&mut [0; 64]).map_err(|error| error.kind());
    assert_eq!(more, Err(std::io::ErrorKind::WouldBlock), "something else has come");
}

/// A source of one's own, which gives orders for the peers of every port as long as it may.
struct Flood {
    peers: std::sync::mpsc::Receiver<PeerId>,
    known: Vec<PeerId>,
    given: u32,
    most: u32,
}

impl Source for Flood {
    fn latch(&mut self, _key: usize, _event: &mio::event::Event) {}

    fn drive(&mut self, turn: &mut Turn<'_>) {
        self.known.extend(self.peers.try_iter());
        while self.given < self.most && !turn.orders.are_many() {
            let line = format!("{:7}\n", self.given);
            turn.orders.send_to_all(self.known.iter().copied(), line.as_bytes()).unwrap();
            self.given += 1;
        }
    }

    fn is_runnable(&self, _capacity: &Capacity) -> bool {
        self.given < self.most
    }
}

/// Echoes, and tells the flood who is there.
struct Introduce(std::sync::mpsc::Sender<PeerId>);

impl Service for Introduce {
    type State = ();

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
        self.0.send(peer.id()).unwrap();
    }

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        peer.send(bytes);
    }
}

#[test]
fn a_source_that_floods_reaches_every_port_and_nothing_is_lost() {
    let (tells, peers) = std::sync::mpsc::channel();
    let (mut reactor, first) = listening(Introduce(tells.clone()));
    let second = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Introduce(tells)).unwrap().address;
    let mut ends = VecDeque::from(connect(&mut reactor, first, 3));
    ends.extend(connect(&mut reactor, second, 3));
    // One of them has gone, and a newcomer has its slot: what is for the one must not reach the other.
    drop(ends.pop_front());
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 5);
    ends.extend(connect(&mut reactor, first, 1));
    let most = 5000;
    reactor.add(|_, _| Ok(Flood { peers, known: Vec::new(), given: 0, most })).unwrap();
    let expected: Vec<u8> = (0..most).flat_map(|n| format!("{n:7}\n").into_bytes()).collect();
    let readers = ends.into_iter().map(|mut end| {
        end.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        std::thread::spawn(move || {
            let mut got = vec![0; 8 * most as usize];
            end.read_exact(&mut got).unwrap();
            (end, got)
        })
    });
    let readers: Vec<_> = readers.collect();
    let started = Instant::now();
    while !readers.iter().all(|reader| reader.is_finished()) {
        assert!(started.elapsed() < Duration::from_secs(30), "not in time; {}", reactor.tally());
        reactor.turn_within(Duration::from_millis(1)).unwrap();
    }
    for reader in readers {
        assert!(reader.join().unwrap().1 == expected, "in order, and complete");
    }
}

/// While an order for thousands is carried out, a peer that asks is answered in the turn that hears it.
#[test]
fn others_are_served_while_an_order_is_carried_out() {
    let (tells, peers) = std::sync::mpsc::channel();
    let (mut reactor, address) = listening(Introduce(tells));
    let mut ends = connect(&mut reactor, address, 4000);
    come_to_rest(&mut reactor);
    reactor.add(|_, _| Ok(Flood { peers, known: Vec::new(), given: 0, most: 1 })).unwrap();
    reactor.turn_within(Duration::ZERO).unwrap();
    let last = ends.last_mut().unwrap();
    last.write_all(b"ping").unwrap();
    let (mut turns, mut got) = (0, 0);
    let mut told = [0; 12];
    last.set_nonblocking(true).unwrap();
    while !reactor.orders.is_empty() {
        reactor.turn().unwrap();
        turns += 1;
        if let Ok(count) = last.read(&mut told[got..]) {
            got += count;
        }
        assert!(turns < 2 || got >= 4, "still not answered in the second turn");
    }
    assert!((20..40).contains(&turns), "{turns} turns for 4000 peers, 128 in each");
    last.set_nonblocking(false).unwrap();
    last.read_exact(&mut told[got..]).unwrap();
    assert_eq!(&told, b"ping      0\n", "the answer does not wait for its place in the order");
}

/// Any peer of any port can be looked at, in the order in which it was asked, also one that has departed.
#[test]
fn who_is_there_is_told_with_what_the_kernel_knows() {
    #[derive(Default)]
    struct Board {
        here: Vec<PeerId>,
    }
    impl Service for Board {
        type State = PeerId;
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> PeerId {
            self.here.push(peer.id());
            peer.id()
        }
        fn received(&mut self, peer: &mut Peer<'_, PeerId>, _bytes: &[u8]) {
            let asker = peer.id();
            peer.orders().look_at(self.here.iter().copied(), Some(asker)).unwrap();
            assert!(peer.silent().unwrap() < Duration::from_secs(20) && peer.info().is_some());
        }
        fn looked(&mut self, look: &Look, orders: &mut Orders) {
            let told = match &look.seen {
                Some(seen) => {
                    let info = seen.info.expect("figures");
                    assert!(info.silent < Duration::from_secs(20) && seen.waiting == 0);
                    format!("{} left={};", seen.address.ip(), look.left)
                }
                None => format!("gone left={};", look.left),
            };
            orders.send(look.asker.unwrap(), told.as_bytes()).unwrap();
        }
    }
    let (mut reactor, address) = listening(Board::default());
    let mut peers = connect(&mut reactor, address, 3);
    drop(peers.remove(0));
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 2);
    peers[1].write_all(b"WHO").unwrap();
    read(&mut reactor, &mut peers[1], b"gone left=2;127.0.0.1 left=1;127.0.0.1 left=0;");
}

/// A reason of the service's own is counted as one, and is the same in the farewell whatever the log's level.
#[test]
fn a_service_ends_a_peer_for_a_reason_that_it_names() {
    #[derive(Default)]
    struct Strict {
        told: std::rc::Rc<std::cell::RefCell<Vec<String>>>,
    }
    impl Service for Strict {
        type State = ();
        fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}
        fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
            match bytes {
                b"bye" => peer.close_for(Reason(1)),
                _ => peer.let_go_for(Reason(2)),
            }
        }
        fn reason(&self, reason: Reason) -> &'static str {
            if reason == Reason(1) { "said goodbye" } else { "broke the protocol" }
        }
        fn departed(&mut self, (): (), farewell: &Farewell<'_>, _orders: &mut Orders) {
            assert!(farewell.id.is_some() && farewell.info().is_some(), "always the same");
            let Departure::ByService(_) = farewell.departure else { panic!("{farewell}") };
            self.told.borrow_mut().push(farewell.reason.unwrap().to_string());
        }
    }
    let told = std::rc::Rc::default();
    let (mut reactor, address) = listening(Strict { told: std::rc::Rc::clone(&told) });
    let mut peers = connect(&mut reactor, address, 2);
    peers[0].write_all(b"bye").unwrap();
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 1);
    assert_eq!(peers[0].read(&mut [0]).unwrap(), 0, "a FIN");
    peers[1].write_all(b"nonsense").unwrap();
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 0);
    assert_eq!(*told.borrow(), ["said goodbye", "broke the protocol"]);
    assert_eq!(reactor.tally().departures.of(Departure::ByService(Reason(0))), 2);
}

/// One recipient that reads nothing costs its own outbox and no more: it is let go, and the others miss nothing.
#[test]
fn a_recipient_that_does_not_read_holds_up_nobody() {
    let mut stage = crate::testing::Stage::new(Chat::default());
    let [says, hears, stuck] = std::array::from_fn(|_| stage.arrive());
    stage.take_at_most(stuck, 1000);
    let line = [b'x'; 10_000];
    for _ in 0..100 {
        stage.send(says, &line);
    }
    assert_eq!(stage.departure(stuck), Some(Departure::OutboxFull));
    let heard = stage.received(hears);
    assert_eq!(heard.len(), 100 * line.len() + b"gone".len());
}

/// Tells a peer, when its service is called for it, how often that was and how much may wait for it.
#[derive(Default)]
struct Bell {
    looked: usize,
}

impl Service for Bell {
    type State = usize;

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) -> usize {
        0
    }

    fn received(&mut self, peer: &mut Peer<'_, usize>, _bytes: &[u8]) {
        let own = peer.id();
        peer.orders().look_at([own], Some(own)).unwrap();
    }

    fn looked(&mut self, look: &Look, orders: &mut Orders) {
        self.looked += 1;
        orders.call_for(look.asker.unwrap()).unwrap();
    }

    fn called_for(&mut self, peer: &mut Peer<'_, usize>) {
        *peer.state += 1;
        let told = format!("<{} {}>", peer.state, peer.room());
        peer.send(told.as_bytes());
        // An alarm that is set in this call counts, too.
        if *peer.state == 2 {
            peer.wake_at(Moment::default());
        }
    }

    fn woken(&mut self, peer: &mut Peer<'_, usize>) {
        peer.send(b"woken");
    }
}

/// The answer to a look comes to the one who has ordered it, whoever was served last.
#[test]
fn a_service_is_called_for_a_peer_that_another_call_was_about() {
    let (mut reactor, address) = listening(Bell::default());
    let other = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), Echo).unwrap().address;
    let mut peer = connect(&mut reactor, address, 1).remove(0);
    // The port of the echo was the last one to call its service.
    let mut echo = connect(&mut reactor, other, 1).remove(0);
    echo.write_all(b"hello").unwrap();
    read(&mut reactor, &mut echo, b"hello");
    peer.write_all(b"x").unwrap();
    read(&mut reactor, &mut peer, format!("<1 {}>", Limits::MAX_OUTPUT).as_bytes());
    peer.write_all(b"x").unwrap();
    read(&mut reactor, &mut peer, format!("<2 {}>woken", Limits::MAX_OUTPUT).as_bytes());
    // One that has gone is called for in vain.
    let gone = reactor.sources[0].next_peer(0).unwrap();
    drop(peer);
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 1);
    reactor.orders.call_for(gone).unwrap();
    come_to_rest(&mut reactor);
}

/// Answers by and by, also to those who have asked and closed their half.
struct Slow;

impl Service for Slow {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, peer: &mut Peer<'_, ()>, _bytes: &[u8]) {
        peer.wake_after(Duration::from_millis(50));
    }

    fn half_closed(&mut self, peer: &mut Peer<'_, ()>) {
        peer.stay();
    }

    fn woken(&mut self, peer: &mut Peer<'_, ()>) {
        let own = peer.id();
        peer.orders().call_for(own).unwrap();
    }

    fn called_for(&mut self, peer: &mut Peer<'_, ()>) {
        peer.send(b"here it is");
        peer.close();
    }
}

#[test]
fn a_peer_that_has_closed_its_half_stays_while_its_service_owes_it_something() {
    let (mut reactor, address) = listening(Slow);
    let mut peers = connect(&mut reactor, address, 3);
    for peer in &mut peers {
        peer.write_all(b"what?").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    }
    // One of them does not wait for it: it resets.
    let gone = peers.pop().unwrap();
    for _ in 0..5 {
        reactor.turn_within(Duration::from_millis(2)).unwrap();
    }
    assert_eq!(reactor.tally().connected, 3, "they stay");
    SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
    drop(gone);
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 2);
    peers.iter_mut().for_each(|peer| read(&mut reactor, peer, b"here it is"));
    turn_until(&mut reactor, |reactor| reactor.tally().connected == 0);
    let departures = reactor.tally().departures;
    assert_eq!(departures.of(Departure::Closed), 2, "{departures}");
}
