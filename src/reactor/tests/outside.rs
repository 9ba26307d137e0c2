//! Calls from other threads.

use std::sync::mpsc::Receiver;

use super::*;
use crate::testing::Running;

/// Sends each message to everybody, a few in each turn.
struct Announce {
    messages: Receiver<u32>,
    here: Vec<PeerId>,
    sum: std::sync::Arc<std::sync::atomic::AtomicU64>,
    calls: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Service for Announce {
    type State = ();

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
        self.here.push(peer.id());
    }

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        peer.send(bytes);
    }

    fn called(&mut self, orders: &mut Orders) -> bool {
        self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for _ in 0..1000 {
            let Ok(message) = self.messages.try_recv() else { return false };
            self.sum.fetch_add(message.into(), std::sync::atomic::Ordering::Relaxed);
            if message % 100_000 == 0 {
                orders.send_to_all(self.here.iter().copied(), b".").unwrap();
            }
        }
        true
    }
}

/// Four threads put a million messages into one mailbox: none is lost, each peer is served meanwhile, and the calls are far
/// fewer than the messages.
#[test]
fn a_million_calls_from_four_threads() {
    const EACH: u32 = 250_000;
    let sum = std::sync::Arc::<std::sync::atomic::AtomicU64>::default();
    let calls = std::sync::Arc::<std::sync::atomic::AtomicU64>::default();
    let counters = (sum.clone(), calls.clone());
    let (running, (address, mailbox)) = Running::start(100, move |reactor| {
        let (mailbox, messages) = reactor.mailbox(4096)?;
        let service = Announce { messages, here: Vec::new(), sum: counters.0, calls: counters.1 };
        let address = reactor.listen(Listen::on(([127, 0, 0, 1], 0).into()), service)?.address;
        Ok((address, mailbox))
    })
    .unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(b"x").unwrap();
    peer.read_exact(&mut [0]).unwrap(); // it has arrived
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let mailbox = mailbox.clone();
            std::thread::spawn(move || {
                for n in 1..=EACH {
                    mailbox.send_when_there_is_room(thread * EACH + n).unwrap();
                }
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    while !threads.iter().all(|thread| thread.is_finished()) {
        let asked = Instant::now();
        peer.write_all(b"x").unwrap();
        while peer.read(&mut [0; 64]).unwrap() == 0 {}
        longest = longest.max(asked.elapsed());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let expected = u64::from(4 * EACH) * u64::from(4 * EACH + 1) / 2;
    let started = Instant::now();
    while sum.load(std::sync::atomic::Ordering::Relaxed) < expected {
        assert!(started.elapsed() < Duration::from_secs(30), "messages are lost");
        std::thread::yield_now();
    }
    assert_eq!(sum.load(std::sync::atomic::Ordering::Relaxed), expected);
    assert!(longest < Duration::from_secs(5), "a peer waited {longest:?}");
    let (ending, tally) = running.stop(Duration::ZERO).unwrap();
    assert_eq!((ending, tally.accepted), (Ending::Orderly, 1));
}

/// A million bare wakes from four threads; the last one is never lost.
#[test]
fn the_last_wake_is_never_lost() {
    struct Count(std::sync::Arc<std::sync::atomic::AtomicU64>, std::sync::Arc<std::sync::atomic::AtomicU64>);
    impl Service for Count {
        type State = ();
        fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}
        fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
        fn called(&mut self, _orders: &mut Orders) -> bool {
            let seen = self.0.load(std::sync::atomic::Ordering::SeqCst);
            self.1.store(seen, std::sync::atomic::Ordering::SeqCst);
            false
        }
    }
    let [written, seen] = std::array::from_fn(|_| std::sync::Arc::<std::sync::atomic::AtomicU64>::default());
    let counters = (written.clone(), seen.clone());
    let (running, ()) = Running::start(10, move |reactor| {
        reactor.listen(Listen::on(([127, 0, 0, 1], 0).into()), Count(counters.0, counters.1)).map(|_| ())
    })
    .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (handle, written) = (running.handle().clone(), written.clone());
            scope.spawn(move || {
                for _ in 0..250_000 {
                    written.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    handle.wake();
                }
            });
        }
    });
    let started = Instant::now();
    while seen.load(std::sync::atomic::Ordering::SeqCst) < 1_000_000 {
        assert!(started.elapsed() < Duration::from_secs(30), "the last wake was lost");
        std::thread::yield_now();
    }
}

#[test]
fn a_mailbox_is_bounded_and_says_so() {
    let mut reactor = Reactor::new(10).unwrap();
    let (mailbox, messages) = reactor.mailbox::<&str>(2).unwrap();
    assert_eq!((mailbox.send("one"), mailbox.send("two")), (Ok(()), Ok(())));
    let refused = mailbox.send("three").unwrap_err();
    assert_eq!(refused, CannotSend::Full("three"));
    assert!(refused.to_string().contains("the service is behind"));
    drop(messages);
    assert_eq!(mailbox.send("four").unwrap_err(), CannotSend::Gone("four"));
    let handle = reactor.handle().unwrap();
    drop(reactor);
    handle.wake(); // a loop that is gone is no error
}

/// A handle stops the loop like SIGTERM: peers get their FIN; a second call does not wait for them.
#[test]
fn a_handle_stops_the_loop() {
    let (running, address) =
        Running::start(10, |reactor| Ok(reactor.listen(Listen::on(([127, 0, 0, 1], 0).into()), Echo)?.address))
            .unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(b"x").unwrap();
    peer.read_exact(&mut [0]).unwrap();
    running.handle().stop(Duration::from_secs(60));
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "a FIN");
    drop(peer);
    let (ending, tally) = running.stop(Duration::ZERO).unwrap();
    assert_eq!(tally.departures.of(Departure::ShutDown) + tally.connected as u64, 1);
    assert!(matches!(ending, Ending::Orderly | Ending::Aborted { .. }));
}
