//! A connection against a scripted kernel: every order of short reads and writes, full buffers,
//! interruptions, ends and errors. Owns the kernel, the bench, and the promises that hold in any order.

use std::time::Duration;

use proptest::prelude::*;
use rustix::io::Errno;

use super::*;
use crate::keepalive::owing::{Asking, Setting};
use crate::reactor::connection::looking::{OutputState, Sign};
use crate::reactor::limits::Limits;
use crate::reactor::serving::link::{Alarm, Link, Terms};
use crate::reactor::serving::orders::Orders;
use crate::reactor::serving::peer::Peer;
use crate::reactor::time::moment::Clock;
use crate::service::{Heartbeat, Ping};
use crate::tcp_info::TcpInfo;
use scripted::Scripted;

mod one_by_one;
mod scripted;

const TERMS: Terms = Terms {
    now: Moment::after(Duration::ZERO),
    slot: 0,
    max_output: Limits::MAX_OUTPUT,
    may_hold: usize::MAX,
    alarm: Alarm::AsBefore,
    received: 0,
    sent: 0,
};

/// Echo that remembers what it was given.
#[derive(Default)]
struct Recorder {
    received: Vec<u8>,
    half_closed: u32,
    farewell: &'static [u8],
    close_at: Option<usize>,
    fail_next_write: Option<Scripted>,
}

impl Service for Recorder {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        if let Some(kernel) = self.fail_next_write.take() {
            let mut kernel = kernel.0.borrow_mut();
            (kernel.refusal, kernel.failed) = (Some(Errno::PERM), true);
        }
        peer.send(bytes);
        if self.close_at.is_some_and(|at| self.received.len() >= at) {
            peer.close();
        }
    }

    fn half_closed(&mut self, peer: &mut Peer<'_, ()>) {
        self.half_closed += 1;
        peer.send(self.farewell);
    }
}

fn serving<'a, V>(service: &'a mut V, scratch: &'a mut [u8], orders: &'a mut Orders) -> Serving<'a, V> {
    Serving { service, orders, scratch, terms: TERMS }
}

/// A connection with its kernel and its service.
struct Bench {
    kernel: Scripted,
    connection: Connection<Scripted>,
    service: Recorder,
    scratch: Vec<u8>,
    sent: Vec<u8>,
    departure: Option<Departure>,
}

/// Something that happens to the connection from outside.
#[derive(Clone, Debug)]
enum Happening {
    /// The peer sends this many bytes.
    Data(usize),
    /// And these with an urgent mark in their middle.
    Urgent(usize),
    /// The peer takes this many bytes.
    Room(usize),
    Interrupt(u32),
    Fin,
    /// The connection dies.
    Death(Errno),
    /// An edge that means nothing.
    Spurious,
    /// The kernel is short of memory for one call.
    Starve(Errno),
    /// The loop gets to run.
    Turn,
}

impl Bench {
    fn new(scratch: usize, room: usize) -> Self {
        Self::with(Recorder::default(), scratch, room)
    }

    fn with(service: Recorder, scratch: usize, room: usize) -> Self {
        let kernel = Scripted::default();
        kernel.0.borrow_mut().room = room;
        let connection = Connection::new(kernel.clone(), "192.0.2.1:7".parse().unwrap(), Stamp::NONE);
        Self { kernel, connection, service, scratch: vec![0; scratch], sent: Vec::new(), departure: None }
    }

    fn happen(&mut self, happening: &Happening) {
        let kernel = &mut *self.kernel.0.borrow_mut();
        let over = kernel.fin || kernel.dead;
        match *happening {
            Happening::Data(count) | Happening::Urgent(count) if !over => {
                let bytes = (0..count).map(|n| (self.sent.len() + n) as u8).collect::<Vec<_>>();
                kernel.input.extend(&bytes);
                kernel.news |= Readiness::READABLE;
                if matches!(happening, Happening::Urgent(_)) {
                    kernel.mark = Some(kernel.input.len() - count / 2);
                    kernel.news |= Readiness::MORE_THAN_DATA;
                }
                self.sent.extend(bytes);
            }
            Happening::Room(count) if !kernel.dead => {
                if kernel.room == 0 && kernel.tells_of_room {
                    kernel.news |= Readiness::WRITABLE;
                }
                kernel.room += count;
            }
            Happening::Interrupt(count) => {
                kernel.interrupt_reads += count;
                kernel.interrupt_writes += count / 2;
            }
            Happening::Fin if !over => {
                kernel.fin = true;
                kernel.news |= Readiness::READABLE | Readiness::MORE_THAN_DATA;
            }
            Happening::Death(errno) if !kernel.dead => {
                kernel.dead = true;
                kernel.error = Some(errno);
                kernel.news |= Readiness::READABLE | Readiness::MORE_THAN_DATA | Readiness::HUNG_UP;
            }
            Happening::Starve(errno) => kernel.refusal = Some(errno),
            Happening::Spurious if kernel.tells_of_room => kernel.news |= Readiness::READABLE | Readiness::WRITABLE,
            Happening::Spurious => kernel.news |= Readiness::READABLE,
            _ => {}
        }
    }

    /// Passes the edges on, and drives for as long as there is something to do.
    fn turn(&mut self) {
        let news = std::mem::take(&mut self.kernel.0.borrow_mut().news);
        let news = if news == Readiness::default() { return } else { news };
        if self.departure.is_some() {
            assert!(!self.connection.latch(news), "queued after its departure");
            return;
        }
        self.connection.latch(news);
        self.drive();
    }

    /// One drive, of one turn.
    fn once(&mut self) -> Result<Flow, Departure> {
        let mut orders = Orders::new(Clock::start());
        self.connection.drive(&mut serving(&mut self.service, &mut self.scratch, &mut orders))
    }

    fn drive(&mut self) {
        for _ in 0..100_000 {
            let before = self.kernel.0.borrow().reads;
            match self.once() {
                // The port drives it again at once, or after a pause.
                Ok(Flow::Yield | Flow::Starved) => self.hear_of_room(),
                Ok(Flow::Blocked) => {
                    self.check_blocked();
                    return self.hear_of_room();
                }
                Err(departure) => {
                    assert_eq!(self.departure.replace(departure), None, "departed twice");
                    assert!(!self.connection.take_place(), "queued after its departure");
                    assert!(self.connection.outbox.is_none(), "memory is kept for a peer that has gone");
                    return;
                }
            }
            assert!(self.kernel.0.borrow().reads - before <= BUDGET / LEAST_CHARGE, "more reads than a budget");
        }
        panic!("the connection never comes to rest");
    }

    /// What the port does when output waits for the first time. Room that is there already is announced, too.
    fn hear_of_room(&mut self) {
        if self.connection.take_wish_for_room() {
            let kernel = &mut *self.kernel.0.borrow_mut();
            assert!(!kernel.tells_of_room, "registered twice");
            kernel.tells_of_room = true;
            if kernel.room > 0 {
                kernel.news |= Readiness::WRITABLE;
            }
        }
    }

    /// When it is blocked, there must be nothing that could be done.
    fn check_blocked(&self) {
        let kernel = self.kernel.0.borrow();
        let waiting = self.connection.outbox.as_ref().map_or(0, |outbox| outbox.waiting().len());
        assert!(waiting <= self.scratch.len(), "{waiting} bytes wait: more than one read brought");
        assert_eq!(waiting, kernel.owed, "what was read and not written waits");
        if waiting == 0 {
            assert!(kernel.input.is_empty(), "{} bytes are not read, though nothing waits", kernel.input.len());
        } else {
            assert_eq!(kernel.room, 0, "bytes wait, though there is room");
        }
        assert!(!kernel.dead, "a death was not heard of");
    }

    /// The peer takes all there is and ends, if it has not.
    fn finish(&mut self) {
        self.turn();
        for happening in [Happening::Room(usize::MAX / 2), Happening::Fin] {
            self.happen(&happening);
            self.turn();
        }
    }
}

fn errno() -> impl Strategy<Value = Errno> {
    let errnos = [Errno::CONNRESET, Errno::TIMEDOUT, Errno::HOSTUNREACH, Errno::NETUNREACH, Errno::PIPE, Errno::IO];
    proptest::sample::select(errnos.to_vec())
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (1usize..200).prop_map(Happening::Data),
        2 => (2usize..200).prop_map(Happening::Urgent),
        8 => (1usize..200).prop_map(Happening::Room),
        2 => (1u32..4).prop_map(Happening::Interrupt),
        1 => Just(Happening::Fin),
        1 => errno().prop_map(Happening::Death),
        2 => Just(Happening::Spurious),
        1 => proptest::sample::select(vec![Errno::NOMEM, Errno::NOBUFS]).prop_map(Happening::Starve),
        12 => Just(Happening::Turn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, in whatever order: echo loses nothing and reorders nothing, what came
    /// before a death is received, and there is exactly one departure, for the right reason.
    #[test]
    fn an_echo_is_whole_or_ends_for_one_reason(
        happenings in proptest::collection::vec(happening(), 0..60),
        scratch in 1usize..100,
        room in 0usize..300,
    ) {
        let mut bench = Bench::new(scratch, room);
        let mut death = None;
        for happening in &happenings {
            match happening {
                Happening::Turn => bench.turn(),
                Happening::Death(errno) if death.is_none() && bench.departure.is_none() => {
                    death = Some(*errno);
                    bench.happen(happening);
                }
                _ => bench.happen(happening),
            }
        }
        bench.finish();
        let output = bench.kernel.0.borrow().output.clone();
        prop_assert_eq!(&output[..], &bench.sent[..output.len()], "what came back is what was sent");
        let departure = bench.departure.expect("the peer has ended, so the connection has");
        match death {
            // A peer that had closed and had everything is closed, even if it died in the same turn.
            Some(_) if departure == Departure::Closed => prop_assert_eq!(output.len(), bench.sent.len()),
            Some(errno) => {
                prop_assert_eq!(departure, Departure::of(&errno.into(), || None));
                prop_assert_eq!(&bench.service.received, &bench.sent, "bytes that came before the death");
            }
            None => {
                prop_assert_eq!(departure, Departure::Closed);
                prop_assert_eq!(&output, &bench.sent);
                prop_assert_eq!(bench.service.half_closed, 1);
            }
        }
    }
}
