//! Heartbeats in scripted time, against a peer that remembers what was written to it.

use super::*;
use crate::reactor::{Departure, Script};
use crate::service::{Discard, Expect, Ping};

const AFTER: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

fn at(milliseconds: u64) -> Moment {
    Moment::after(Duration::from_millis(milliseconds))
}

fn heartbeat(seed: u64) -> Heartbeat<Ping> {
    Heartbeat::new(Ping::default(), AFTER, TIMEOUT, seed).unwrap()
}

/// The next question is due within these milliseconds, and is asked then. Returns when to come back.
fn asks<V: Service>(service: &mut V, script: &mut Script, state: &mut V::State, within: (u64, u64)) -> Option<Moment> {
    let due = service.quiet(&mut script.peer(state)).expect("a deadline");
    assert!(due >= at(within.0) && due <= at(within.1), "{due:?} is not within {within:?}");
    script.now = due;
    service.quiet(&mut script.peer(state))
}

#[test]
fn a_silent_peer_is_asked_and_then_let_go() {
    let (mut service, mut script) = (heartbeat(1), Script::at(at(1000)));
    let mut state = service.arrived(&mut script.peer(&mut ()));
    let end = asks(&mut service, &mut script, &mut state, (23_500, 31_000)).unwrap();
    assert_eq!((script.line.sent.as_str(), end), ("PING 1\n", script.now + TIMEOUT));
    // The deadline is checked when it is due, not before: so nothing is decided early.
    script.now = end;
    assert_eq!(
        (service.quiet(&mut script.peer(&mut state)), script.line.departure),
        (None, Some(Departure::Unresponsive))
    );
    assert_eq!(script.line.sent, "PING 1\n", "and told nothing more");
}

#[test]
fn whatever_comes_is_a_sign_of_life() {
    let (mut service, mut script) = (heartbeat(1), Script::at(at(1000)));
    let mut state = service.arrived(&mut script.peer(&mut ()));
    // It speaks, so nothing is asked at the first deadline: the question is put off, counted from when it spoke.
    script.now = at(20_000);
    service.received(&mut script.peer(&mut state), b"PING 5\nanything");
    script.now = at(31_000);
    let end = asks(&mut service, &mut script, &mut state, (42_500, 50_000)).unwrap();
    assert_eq!(script.line.sent, "PONG 5\nPING 1\n");
    script.now = script.now + (TIMEOUT - Duration::from_millis(1));
    service.received(&mut script.peer(&mut state), b"x");
    script.now = end;
    let due = service.quiet(&mut script.peer(&mut state)).unwrap();
    assert!(due > end + TIMEOUT && script.line.departure.is_none(), "it was heard a millisecond before the end");
}

/// A peer is not read while output waits: then the sign of life is that it takes the output.
#[test]
fn a_slow_reader_is_there_and_one_that_takes_nothing_is_not() {
    let (mut service, mut script) = (heartbeat(1), Script::at(at(1000)));
    let mut state = service.arrived(&mut script.peer(&mut ()));
    script.now = at(40_000);
    script.line.took = Some(Duration::from_secs(2));
    assert_eq!(service.quiet(&mut script.peer(&mut state)), Some(at(50_000)));
    script.line.took = Some(Duration::from_secs(12));
    script.now = at(50_000);
    assert_eq!(service.quiet(&mut script.peer(&mut state)), Some(at(60_000)));
    assert_eq!(script.line.sent, "PING 1\n");
    (script.now, script.line.took) = (at(60_000), Some(Duration::from_secs(3)));
    assert_eq!(service.quiet(&mut script.peer(&mut state)), Some(at(67_000)));
    (script.now, script.line.took) = (at(67_000), Some(TIMEOUT));
    assert_eq!(
        (service.quiet(&mut script.peer(&mut state)), script.line.departure),
        (None, Some(Departure::Unresponsive))
    );
}

/// 19 000 peers arrive in one instant: only a few of them are asked in any one millisecond, whatever
/// the seed; and they are spread anew when all have spoken in one instant.
#[test]
fn a_crowd_is_spread() {
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
    let (mut service, mut script) = (Expect::new(Discard, AFTER).unwrap(), Script::at(at(1000)));
    let mut state = service.arrived(&mut script.peer(&mut ()));
    assert_eq!(service.quiet(&mut script.peer(&mut state)), Some(at(31_000)));
    script.now = at(30_999);
    service.received(&mut script.peer(&mut state), b"x");
    script.now = at(31_000);
    assert_eq!(service.quiet(&mut script.peer(&mut state)), Some(at(60_999)));
    (script.now, script.line.took) = (at(60_999), Some(Duration::from_secs(29)));
    assert_eq!(service.quiet(&mut script.peer(&mut state)), Some(at(61_999)), "it is not read, but it reads");
    (script.now, script.line.took) = (at(61_999), None);
    assert_eq!(
        (service.quiet(&mut script.peer(&mut state)), script.line.departure),
        (None, Some(Departure::Unresponsive))
    );
    assert_eq!(script.line.sent, "");
}

#[test]
fn both_ways_together_keep_the_sooner_deadline() {
    let (mut service, mut script) = (Expect::new(heartbeat(1), AFTER * 3).unwrap(), Script::at(at(1000)));
    let mut state = service.arrived(&mut script.peer(&mut ()));
    let end = asks(&mut service, &mut script, &mut state, (23_500, 31_000)).unwrap();
    assert_eq!(end, script.now + TIMEOUT);
}

#[test]
fn a_time_that_the_loop_cannot_keep_is_refused() {
    for time in [Duration::ZERO, Duration::from_millis(9), Duration::MAX] {
        assert_eq!(Heartbeat::new(Ping::default(), time, TIMEOUT, 1).unwrap_err().setting, "heartbeat");
        assert_eq!(Heartbeat::new(Ping::default(), AFTER, time, 1).unwrap_err().setting, "heartbeat-timeout");
        assert_eq!(Expect::new(Discard, time).unwrap_err().setting, "expect");
    }
}
