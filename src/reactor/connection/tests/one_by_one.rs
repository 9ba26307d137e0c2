//! Each rule of a connection by itself, on the scripted kernel; `tests.rs` tries them in any mix.

use super::*;

/// The peer's FIN was read, and then the peer dies before it took what it is owed: from here on recv(2)
/// returns 0 for ever, and only SO_ERROR has the reason.
#[test]
fn a_half_closed_peer_that_dies_is_heard_of() {
    let mut bench = Bench::with(Recorder { farewell: b"goodbye", ..Recorder::default() }, 64, 3);
    bench.happen(&Happening::Fin);
    let news = std::mem::take(&mut bench.kernel.0.borrow_mut().news);
    bench.connection.latch(news);
    assert_eq!(bench.once(), Ok(Flow::Blocked));
    assert_eq!(bench.kernel.0.borrow().output, b"goo");
    bench.happen(&Happening::Death(Errno::TIMEDOUT));
    bench.turn();
    assert_eq!(bench.departure, Some(Departure::ProbesUnanswered));
}

/// A write that fails though the connection lives: what came is received, then it departs.
#[test]
fn a_failed_write_ends_a_connection_that_could_still_be_read() {
    let mut bench = Bench::new(8, 1000);
    bench.happen(&Happening::Data(20));
    bench.kernel.0.borrow_mut().interrupt_reads = 1;
    let news = std::mem::take(&mut bench.kernel.0.borrow_mut().news);
    bench.connection.latch(news);
    bench.service.fail_next_write = Some(bench.kernel.clone());
    assert_eq!(bench.once(), Err(Departure::of(&Errno::PERM.into(), || None)), "and not blocked for ever");
    assert_eq!(bench.service.received.len(), 20);
}

/// Urgent data and the end share an edge with ordinary data: nothing is left behind.
#[test]
fn a_short_read_is_not_trusted_when_more_than_data_came() {
    let mut bench = Bench::new(64, 1000);
    bench.happen(&Happening::Urgent(10));
    bench.turn();
    assert_eq!(bench.service.received.len(), 10);
    bench.happen(&Happening::Data(10));
    bench.happen(&Happening::Fin);
    bench.turn();
    assert_eq!((bench.service.received.len(), bench.departure), (20, Some(Departure::Closed)));
}

/// A peer that sends without end moves a budget's worth; then the others have their turn.
#[test]
fn nobody_holds_the_loop_longer_than_a_budget() {
    for (scratch, most) in [(64 * 1024, BUDGET), (1, BUDGET / LEAST_CHARGE)] {
        let mut bench = Bench::new(scratch, usize::MAX / 2);
        bench.happen(&Happening::Data(4 * BUDGET));
        bench.connection.latch(Readiness::READABLE);
        assert_eq!(bench.once(), Ok(Flow::Yield));
        assert_eq!(bench.service.received.len(), most, "with reads of {scratch} bytes");
        assert!(!bench.connection.take_place(), "it is in the run queue already");
    }
}

/// The kernel would try for a quarter of an hour. The loop looks instead, and counts from the last ACK.
#[test]
fn a_peer_that_owes_an_ack_is_dead_after_the_deadline_of_silence() {
    let (pace, rto_max) = (Duration::from_secs(1), Some(Duration::from_millis(2500)));
    let asking = Asking { deadline: Duration::from_secs(5), pace, rto_max };
    let silent = |seconds| {
        let silent = Duration::from_secs(seconds);
        TcpInfo { silent, received: silent, window: Some(0), ..TcpInfo::default() }
    };
    let mut bench = Bench::new(64, 30);
    assert!(!bench.connection.take_wish_to_be_watched(), "nothing was written");
    bench.happen(&Happening::Data(10));
    bench.turn();
    assert_eq!([bench.connection.take_wish_to_be_watched(), bench.connection.take_wish_to_be_watched()], [true, false]);
    let look = |bench: &mut Bench, info| {
        bench.kernel.0.borrow_mut().info = Some(info);
        bench.connection.look(&asking, None, TERMS.now + Duration::from_secs(3600))
    };
    let after = |sign| if let Sign::Owes { after, .. } = sign { after.as_secs() } else { panic!("{sign:?}") };
    // Acknowledged: however long it is silent, keepalive sees to it.
    assert_eq!(look(&mut bench, silent(100)), Sign::Acknowledged);
    assert!(!bench.connection.take_wish_to_be_watched());
    bench.happen(&Happening::Data(40));
    bench.turn();
    assert!(bench.connection.take_wish_to_be_watched());
    // Its window is shut, but its answers arrive: it is kept, and asked more often.
    assert_eq!(after(look(&mut bench, TcpInfo { not_sent: 10, ..silent(4) })), 1);
    assert_eq!(bench.kernel.0.borrow().set, [Setting::RtoMax(pace)]);
    assert_eq!(after(look(&mut bench, TcpInfo { not_sent: 10, ..silent(0) })), 1);
    // The kernel has delivered all, but the outbox has not.
    assert_eq!(after(look(&mut bench, silent(4))), 1);
    bench.happen(&Happening::Data(7));
    assert_eq!(look(&mut bench, TcpInfo { unacknowledged: 1, probes: 2, ..silent(5) }), Sign::None);
    assert!(bench.kernel.0.borrow().reset, "a peer that comes back is told");
    bench.kernel.0.borrow_mut().failed = true; // what it was owed is lost
    let departure = bench.once();
    assert_eq!(departure, Err(Departure::DataUnacknowledged));
    assert_eq!(bench.service.received.len(), 57, "what came before the death is received");
}

/// It lives and takes nothing: that is no time-out. While the last probe of its window is not answered
/// it may be dead, and the deadline decides.
#[test]
fn output_that_does_not_move_has_stalled() {
    const LIMIT: Duration = Duration::from_secs(60);
    let mut bench = Bench::new(64, 30);
    assert!(!bench.connection.take_chance_of_a_stall(), "nothing was written");
    bench.happen(&Happening::Data(40));
    bench.turn();
    assert_eq!([bench.connection.take_chance_of_a_stall(), bench.connection.take_chance_of_a_stall()], [true, false]);
    let sent = |seconds| TcpInfo { sent: Duration::from_secs(seconds), not_sent: 10, ..TcpInfo::default() };
    let look = |bench: &mut Bench, info| {
        bench.kernel.0.borrow_mut().info = Some(info);
        bench.connection.look_at_output(LIMIT)
    };
    assert!(matches!(look(&mut bench, sent(50)), OutputState::Waits { after } if after > Duration::from_secs(10)));
    assert!(
        matches!(look(&mut bench, TcpInfo { probes: 1, ..sent(70) }), OutputState::Waits { after } if after < LIMIT)
    );
    // The kernel has nothing to send, and the outbox has: we were stopped, and the peer waits for us.
    let ours = TcpInfo { not_sent: 0, ..sent(70) };
    assert!(matches!(look(&mut bench, ours), OutputState::Waits { after } if after < LIMIT));
    // The kernel has sent all it had, and waits for the peer; the outbox waits, too.
    assert_eq!(look(&mut bench, TcpInfo { unacknowledged: 1, ..ours }), OutputState::Stalled);
    bench.connection.let_go(Departure::Stalled);
    assert!(bench.kernel.0.borrow().reset, "its output is not left to the kernel");
    assert_eq!(bench.once(), Err(Departure::Stalled));
    // One that has taken everything is forgotten until it is written to again.
    let mut bench = Bench::new(64, 100);
    bench.happen(&Happening::Data(40));
    bench.turn();
    assert!(bench.connection.take_chance_of_a_stall());
    assert_eq!(look(&mut bench, TcpInfo { not_sent: 0, ..sent(100) }), OutputState::Gone);
    bench.happen(&Happening::Data(1));
    bench.turn();
    assert!(bench.connection.take_chance_of_a_stall());
}

/// A short read saves the one that would say WouldBlock.
#[test]
fn an_exchange_takes_one_read() {
    let mut bench = Bench::new(64, 1000);
    bench.happen(&Happening::Data(10));
    bench.turn();
    assert_eq!(bench.kernel.0.borrow().reads, 1);
}

/// close(): what was sent is delivered, then our FIN goes; what still comes is dropped.
#[test]
fn closing_delivers_what_was_sent_and_then_lingers() {
    let mut bench = Bench::with(Recorder { close_at: Some(10), ..Recorder::default() }, 64, 4);
    bench.happen(&Happening::Data(10));
    bench.turn();
    assert_eq!((bench.connection.lingers(), bench.kernel.0.borrow().shut), (false, false));
    bench.happen(&Happening::Room(100));
    bench.turn();
    assert_eq!((bench.connection.lingers(), bench.kernel.0.borrow().output.len()), (true, 10));
    bench.kernel.0.borrow_mut().owed = 0;
    bench.happen(&Happening::Data(5));
    let news = std::mem::take(&mut bench.kernel.0.borrow_mut().news);
    bench.connection.latch(news);
    assert_eq!(bench.once(), Ok(Flow::Blocked));
    assert_eq!(bench.service.received.len(), 10, "input after close() is dropped");
    bench.kernel.0.borrow_mut().owed = 0;
    bench.happen(&Happening::Fin);
    bench.turn();
    assert_eq!(bench.departure, Some(Departure::ShutDown));
}

/// A service that sends more than the outbox holds loses the peer, not the memory.
#[test]
fn the_outbox_is_bounded() {
    struct Flood;
    impl Service for Flood {
        type State = ();
        fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
            assert_eq!(peer.room(), Limits::MAX_OUTPUT);
            peer.send(&vec![0; Limits::MAX_OUTPUT]);
            assert_eq!(peer.room(), 0);
        }
        fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
            peer.send(bytes);
        }
    }
    let kernel = Scripted::default();
    let mut connection = Connection::new(kernel.clone(), "192.0.2.1:7".parse().unwrap(), Stamp::NONE);
    let mut orders = Orders::new(Clock::start());
    serving(&mut Flood, &mut [], &mut orders).call(&mut connection, |service, peer| service.arrived(peer));
    let mut drive =
        |connection: &mut Connection<Scripted>| connection.drive(&mut serving(&mut Flood, &mut [0; 64], &mut orders));
    assert_eq!(drive(&mut connection), Ok(Flow::Blocked), "full, but not too full");
    kernel.0.borrow_mut().room = 10;
    connection.latch(Readiness::WRITABLE);
    assert_eq!(drive(&mut connection), Ok(Flow::Blocked));
    Link::send(&mut connection, &[0; 11], &mut TERMS.clone());
    assert_eq!(drive(&mut connection), Err(Departure::OutboxFull));
}

/// The promise of 64 bytes for an idle peer, its slot in the table included. `slab` keeps an enum
/// like this one.
#[test]
fn a_slot_for_echo_is_a_cache_line() {
    #[allow(dead_code)]
    enum Slot {
        Vacant(usize),
        Occupied(Connection<mio::net::TcpStream>),
    }
    assert!(size_of::<Slot>() <= 64, "{} bytes", size_of::<Slot>());
    // In a release build mio's stream is four bytes, like this one.
    assert!(size_of::<Connection<i32>>() <= 48, "{} bytes", size_of::<Connection<i32>>());
    let beating = size_of::<Connection<i32>>() + size_of::<Option<<Heartbeat<Ping> as Service>::State>>();
    assert!(beating <= 64, "{beating} bytes with heartbeats");
}
