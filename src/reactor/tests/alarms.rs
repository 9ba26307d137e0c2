//! Alarms of peers, and timers of the service itself.

use super::*;
use crate::testing::Stage;

/// A peer says how many milliseconds of silence it may keep, and is let go after that; until then it has ten seconds.
struct Patience;

impl Service for Patience {
    type State = Duration;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Duration {
        let patience = Duration::from_secs(10);
        peer.wake_at(peer.now() + patience);
        patience
    }

    fn received(&mut self, peer: &mut Peer<'_, Duration>, bytes: &[u8]) {
        match std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()) {
            Some(milliseconds) => *peer.state = Duration::from_millis(milliseconds),
            None => return peer.let_sleep(),
        }
        peer.wake_at(peer.now() + *peer.state);
    }

    fn woken(&mut self, peer: &mut Peer<'_, Duration>) {
        peer.let_go_for(Reason(3));
    }

    fn reason(&self, _reason: Reason) -> &'static str {
        "silent for longer than it said"
    }
}

/// What was wrong: a timer that was set at arrival could not be moved earlier, so that 3 s became 10 s.
#[test]
fn an_alarm_is_moved_either_way_and_cancelled() {
    let mut stage = Stage::new(Patience);
    let [sooner, later, never, untouched] = std::array::from_fn(|_| stage.arrive());
    stage.send(sooner, b"3000");
    stage.send(later, b"30000");
    stage.send(never, b"stop");
    for (peer, end) in [(sooner, 3000), (untouched, 10_000), (later, 30_000)] {
        let passed = stage.now().since(Moment::after(Duration::from_secs(1)));
        stage.wait(Duration::from_millis(end - 1) - passed);
        assert_eq!(stage.departure(peer), None, "early");
        stage.wait(Duration::from_millis(3));
        assert_eq!(stage.departure(peer), Some(Departure::ByService(Reason(3))));
    }
    stage.wait(Duration::from_secs(3600));
    assert_eq!((stage.departure(never), stage.connected()), (None, 1));
}

/// Under load a moment may have passed before the alarm is set.
#[test]
fn an_alarm_in_the_past_comes_at_once() {
    struct Late(u32);
    impl Service for Late {
        type State = ();
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
            peer.wake_at(Moment::default());
        }
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
        fn woken(&mut self, _peer: &mut Peer<'_, ()>) {
            self.0 += 1;
        }
    }
    let mut stage = Stage::new(Late(0));
    stage.arrive();
    stage.wait(Duration::from_millis(2));
    assert_eq!(stage.service().0, 1);
}

/// Counts how often each peer is woken, and when.
#[derive(Default)]
struct Alarmed {
    woken: Vec<Moment>,
    at: Option<Moment>,
}

impl Service for Alarmed {
    type State = ();

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
        peer.wake_at(self.at.unwrap_or(peer.now() + Duration::from_secs(60)));
    }

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        peer.send(bytes);
    }

    fn woken(&mut self, peer: &mut Peer<'_, ()>) {
        self.woken.push(peer.now());
        peer.send(b"wake up");
    }
}

#[test]
fn nineteen_thousand_are_woken_at_one_moment_once_each_and_none_early() {
    let mut stage = Stage::new(Alarmed::default());
    let due = stage.now() + Duration::from_secs(60);
    let peers: Vec<_> = (0..19_000).map(|_| stage.arrive()).collect();
    stage.wait(Duration::from_secs(59));
    assert!(stage.service().woken.is_empty());
    stage.wait(Duration::from_secs(2));
    assert_eq!(stage.service().woken.len(), 19_000);
    assert!(stage.service().woken.iter().all(|woken| *woken >= due));
    assert!(peers.iter().all(|peer| stage.received(*peer) == b"wake up"));
    stage.wait(Duration::from_secs(3600));
    assert_eq!(stage.service().woken.len(), 19_000, "once each");
}

/// On real sockets: while thousands are woken, one that asks is answered in the turn that hears it.
#[test]
fn others_are_served_while_thousands_are_woken() {
    let mut reactor = Reactor::new(10_000).unwrap();
    let at = reactor.hearing.clock.now() + Duration::from_secs(3);
    let service = Alarmed { at: Some(at), ..Alarmed::default() };
    let address = reactor.listen(Listen::on("127.0.0.1:0".parse().unwrap()), service).unwrap().address;
    let mut peers = connect(&mut reactor, address, 4000);
    come_to_rest(&mut reactor);
    assert!(reactor.hearing.clock.now() < at, "the machine is too slow for this test");
    let before = at.since(Moment::default()) - Duration::from_millis(20);
    while reactor.hearing.clock.now() < Moment::after(before) {
        reactor.turn_within(Duration::from_millis(10)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(30));
    let asks = peers.last_mut().unwrap();
    asks.set_nonblocking(true).unwrap();
    asks.write_all(b"ping").unwrap();
    let (mut got, mut turns) = (Vec::new(), 0);
    let asks = peers.last_mut().unwrap();
    while reactor.timeout(Duration::MAX) == Some(Duration::ZERO) || turns == 0 {
        reactor.turn().unwrap();
        turns += 1;
        let mut piece = [0; 64];
        if let Ok(count) = asks.read(&mut piece) {
            got.extend_from_slice(&piece[..count]);
        }
        assert!(turns < 3 || got.starts_with(b"ping"), "not answered in {turns} turns: {got:?}");
    }
    assert!((60..80).contains(&turns), "{turns} turns for 4000 peers, 64 in each");
}

/// A service's own timer: it is called in each turn until it names a later moment, and never early.
#[test]
fn a_service_has_a_timer_of_its_own() {
    #[derive(Default)]
    struct Ticks {
        peers: Vec<PeerId>,
        next: Option<Moment>,
        count: u32,
    }
    impl Service for Ticks {
        type State = ();
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
            self.peers.push(peer.id());
            self.next.get_or_insert(peer.now() + Duration::from_secs(1));
        }
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
        fn deadline(&self) -> Option<Moment> {
            self.next
        }
        fn expired(&mut self, now: Moment, orders: &mut Orders) {
            assert!(now >= self.next.unwrap(), "early");
            self.count += 1;
            self.next = (self.count < 5).then_some(now + Duration::from_secs(1));
            orders.send_to_all(self.peers.iter().copied(), b"tick ").unwrap();
        }
    }
    let mut stage = Stage::new(Ticks::default());
    let peer = stage.arrive();
    stage.wait(Duration::from_millis(2500));
    assert_eq!(stage.received(peer), b"tick tick ");
    stage.wait(Duration::from_secs(100));
    assert_eq!(stage.received(peer), b"tick tick tick ");
}
