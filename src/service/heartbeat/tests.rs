//! Heartbeats in scripted time.

use super::*;
use crate::reactor::{Departure, PeerId};
use crate::service::{Discard, Expect, Ping};
use crate::testing::Stage;

const AFTER: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(100);

fn heartbeat(seed: u64) -> Heartbeat<Ping> {
    Heartbeat::new(Ping::default(), AFTER, TIMEOUT, seed).unwrap()
}

/// Seconds since `since`, to the step.
fn waited<V: Service + 'static>(stage: &Stage<V>, since: Moment) -> f64 {
    stage.now().since(since).as_secs_f64()
}

/// Waits until the peer is asked, which is at ¾ to all of `AFTER`.
fn is_asked<V: Service + 'static>(stage: &mut Stage<V>, peer: PeerId, question: &str) {
    let since = stage.now();
    let mut got = Vec::new();
    while got.is_empty() {
        stage.wait(STEP);
        got = stage.received(peer);
        assert!(waited(stage, since) < 30.2, "not asked");
    }
    assert_eq!(String::from_utf8_lossy(&got), question);
    assert!(waited(stage, since) >= 22.5, "asked after {}", waited(stage, since));
}

/// Waits until the peer is let go, which is when this time has passed.
fn is_let_go<V: Service + 'static>(stage: &mut Stage<V>, peer: PeerId, after: Duration) {
    stage.wait(after - 2 * STEP);
    assert_eq!(stage.departure(peer), None, "early");
    stage.wait(4 * STEP);
    assert_eq!(stage.departure(peer), Some(Departure::Unresponsive));
}

#[test]
fn a_silent_peer_is_asked_and_then_let_go() {
    let mut stage = Stage::new(heartbeat(1));
    let peer = stage.arrive();
    is_asked(&mut stage, peer, "PING 1\n");
    is_let_go(&mut stage, peer, TIMEOUT);
    assert_eq!(stage.received(peer), b"", "and told nothing more");
}

#[test]
fn whatever_comes_is_a_sign_of_life() {
    let mut stage = Stage::new(heartbeat(1));
    let peer = stage.arrive();
    // It speaks, so nothing is asked at the first deadline: the question is put off, counted from when it spoke.
    stage.wait(Duration::from_secs(20));
    stage.send(peer, b"PING 5\nanything");
    assert_eq!(stage.received(peer), b"PONG 5\n");
    is_asked(&mut stage, peer, "PING 1\n");
    stage.wait(TIMEOUT - 2 * STEP);
    stage.send(peer, b"x");
    is_asked(&mut stage, peer, "PING 2\n");
    is_let_go(&mut stage, peer, TIMEOUT);
}

/// A peer is not read while output waits: then the sign of life is that it takes the output.
#[test]
fn a_slow_reader_is_there_and_one_that_takes_nothing_is_not() {
    let mut stage = Stage::new(heartbeat(1));
    let peer = stage.arrive();
    stage.take_at_most(peer, 0);
    stage.send(peer, b"PING 5\n");
    for _ in 0..7 {
        stage.wait(Duration::from_secs(9));
        stage.take_at_most(peer, 1); // of seven
        assert_eq!((stage.received(peer).len(), stage.departure(peer)), (1, None));
        stage.send(peer, b"PING 5\n");
    }
    // All were taken, and the second answer waits. From now on it takes nothing, and is asked and let go.
    stage.take_at_most(peer, 0);
    let since = stage.now();
    while stage.departure(peer).is_none() {
        stage.wait(STEP);
        assert!(waited(&stage, since) < 40.3, "still there");
    }
    assert!(waited(&stage, since) >= 10.0, "let go after {}", waited(&stage, since));
}

/// 19 000 peers arrive in one instant: only a few of them are asked in any one millisecond, whatever
/// the seed; and they are spread anew when all have spoken in one instant.
#[test]
fn a_crowd_is_spread() {
    let at = |milliseconds| Moment::after(Duration::from_millis(milliseconds));
    for seed in 0..3 {
        let service = heartbeat(seed);
        let mut asked = vec![0u32; 7501];
        for port in 0..19_000u16 {
            let address = SocketAddr::new([10, 7, 0, 1].into(), port + 1000);
            let patience = service.patience(address, at(5));
            assert!(patience >= AFTER * 3 / 4 && patience <= AFTER, "{patience:?}");
            asked[(patience - AFTER * 3 / 4).as_millis() as usize] += 1;
        }
        let most = asked.iter().max().unwrap();
        assert!(*most <= 15, "{most} in one millisecond, where the average is 2.5");
        let other = service.patience(SocketAddr::new([10, 7, 0, 1].into(), 1000), at(6));
        assert_ne!(other, service.patience(SocketAddr::new([10, 7, 0, 1].into(), 1000), at(5)));
    }
}

#[test]
fn a_peer_that_is_expected_to_speak_is_let_go_and_never_written_to() {
    let mut stage = Stage::new(Expect::new(Discard, AFTER).unwrap());
    let [silent, speaks] = [stage.arrive(), stage.arrive()];
    stage.wait(AFTER - STEP);
    stage.send(speaks, b"x");
    assert_eq!(stage.departure(silent), None);
    stage.wait(2 * STEP);
    assert_eq!((stage.departure(silent), stage.departure(speaks)), (Some(Departure::Unresponsive), None));
    stage.wait(STEP);
    is_let_go(&mut stage, speaks, AFTER - 3 * STEP);
    assert_eq!(stage.received(speaks), b"");
}

#[test]
fn both_ways_together_keep_the_sooner_deadline() {
    let mut stage = Stage::new(Expect::new(heartbeat(1), AFTER * 3).unwrap());
    let peer = stage.arrive();
    is_asked(&mut stage, peer, "PING 1\n");
    is_let_go(&mut stage, peer, TIMEOUT);
    let mut stage = Stage::new(Expect::new(heartbeat(1), AFTER / 3).unwrap());
    let peer = stage.arrive();
    is_let_go(&mut stage, peer, AFTER / 3);
    assert_eq!(stage.received(peer), b"", "let go before it was asked");
}

#[test]
fn a_time_that_the_loop_cannot_keep_is_refused() {
    for time in [Duration::ZERO, Duration::from_millis(9), Duration::MAX] {
        assert_eq!(Heartbeat::new(Ping::default(), time, TIMEOUT, 1).unwrap_err().setting, "heartbeat");
        assert_eq!(Heartbeat::new(Ping::default(), AFTER, time, 1).unwrap_err().setting, "heartbeat-timeout");
        assert_eq!(Expect::new(Discard, time).unwrap_err().setting, "expect");
    }
}
