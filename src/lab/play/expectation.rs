//! What must happen to the peer in each scene.
//!
//! Owns the one table of promises: dropped within an interval, kept, or a scene that is impossible. The
//! arithmetic of the deadline is [`Keepalive::predict`]'s. Knows no namespace and no clock.

use std::time::Duration;

use crate::keepalive::{Guard, Keepalive, Prediction, State as ConnectionState, TimerWheel};
use crate::lab::play::scene::{Fault, Scene, State};
use crate::speak::Speak;

/// How long an orderly close or a reset may take.
const AT_ONCE: Duration = Duration::from_millis(300);
/// How long the kernel tries to send data that its own queue refuses: `tcp_retries2` times, half a second apart.
const REFUSED: Duration = Duration::from_millis(7500);
/// For how long after the deadline the server stays stopped in the scenes of the accept queue.
const STALL: Duration = Duration::from_secs(3);

/// The moment from which an interval is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// The last packet that the server's kernel heard from the client.
    LastHeard,
    /// The data that are unacknowledged were sent.
    Sent,
    /// The client's window was shut: the interval begins there. It ends counted from the fault: until
    /// then window probes may have been answered.
    Shut,
    Fault,
    /// The last packet that shows that the client receives the server's packets: no retransmission.
    Proved,
    /// The server's own transmit queue accepts packets again.
    QueueMoved,
    /// The client's last packet before the server's FIN that is no answer to a probe: by then it has received
    /// all output, which takes as long as the machine needs to transfer it. The interval ends counted from there.
    Served,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    Gone {
        since: Since,
        from: Duration,
        to: Duration,
    },
    /// A dead peer for which the settings promise nothing: the kernel tries for 15 minutes or more.
    NoDeadline,
    /// The client lives, and its kernel answers.
    Kept,
    /// Both results are right: the client lives, but so much is lost that its answers may not arrive; or only its kernel lives,
    /// and the server has a heartbeat that may notice.
    Either,
    /// The scene is impossible, and why.
    CannotBe(&'static str),
}

impl Expectation {
    /// The promise of another server. When it notices a reboot depends on when it sends something, a probe or a heartbeat of its
    /// protocol; only the deadline is promised.
    pub fn of_others(self, scene: Scene, keepalive: &Keepalive) -> Self {
        match self {
            Self::Gone { since, from, to } if scene.fault == Fault::Rebooted => {
                Self::Gone { since, from, to: to.max(keepalive.deadline()) }
            }
            other => other,
        }
    }
}

/// How long a server is stopped in the scenes of the accept queue, from the fault on.
pub fn stall(keepalive: &Keepalive) -> Duration {
    keepalive.deadline() + STALL
}

/// The promise of a server with these settings in a scene.
pub fn expect(scene: Scene, keepalive: &Keepalive, wheel: TimerWheel, speak: Speak) -> Expectation {
    use Fault::*;
    if let Some(why) = cannot_be(scene, speak) {
        return Expectation::CannotBe(why);
    }
    let at_once = Expectation::Gone { since: Since::Fault, from: Duration::ZERO, to: AT_ONCE };
    // A user timeout counts from its own start; all other deadlines count from the last sign of life.
    let clock = |of_user_timeout| match keepalive.guard() {
        Guard::UserTimeout(_) => of_user_timeout,
        _ => Since::LastHeard,
    };
    let clock_of_the_deaf = match keepalive.guard() {
        Guard::UserTimeout(_) => Since::Sent,
        _ => Since::Proved,
    };
    let gone = |since, state| match keepalive.predict(state) {
        Some(prediction) => Expectation::Gone { since, from: prediction.from, to: prediction.to },
        None => Expectation::NoDeadline,
    };
    // An idle peer's probes do not count until the queue accepts them; in all other states the loop keeps the deadline.
    if scene.fault == QueueFull && matches!(scene.state, State::Idle | State::Exchanged | State::AcceptQueue) {
        return match keepalive.predict(ConnectionState::QueueStuck) {
            Some(Prediction { from, to }) => Expectation::Gone { since: Since::QueueMoved, from, to: to + AT_ONCE },
            None => Expectation::NoDeadline,
        };
    }
    if scene.state == State::AcceptQueue && !matches!(scene.fault, Frozen | Nothing | Lossy10 | Lossy30) {
        let stall = stall(keepalive);
        return Expectation::Gone { since: Since::Fault, from: stall, to: stall + AT_ONCE };
    }
    match (scene.fault, scene.state) {
        (Frozen, _) if speak.has_a_heartbeat() => Expectation::Either,
        (Frozen | Nothing, _) => Expectation::Kept,
        (Lossy10 | Lossy30, _) => Expectation::Either,
        (Killed | Reset, _) => at_once,
        // The client must first read all output, which a small window slows down.
        (Closed, state) if state.has_shut_window() => {
            Expectation::Gone { since: Since::Served, from: Duration::ZERO, to: AT_ONCE }
        }
        (Closed, _) => at_once,
        // The FIN arrives before the cut, unless it waits behind data that the server does not read.
        (HalfCloseThenCut, State::ReadingPaused) => gone(clock(Since::Shut), ConnectionState::WindowShut),
        // Whether the server's window is open at that moment depends on chance.
        (HalfCloseThenCut, State::ReadingSlowly) => match gone(clock(Since::Shut), ConnectionState::WindowShut) {
            Expectation::Gone { to, .. } => Expectation::Gone { since: Since::Fault, from: Duration::ZERO, to },
            other => other,
        },
        (HalfCloseThenCut, _) => at_once,
        // The client's kernel answers the next packet, whatever it is, with RST.
        (Rebooted, State::Idle | State::Exchanged) => {
            let idle = keepalive.idle();
            Expectation::Gone { since: Since::LastHeard, from: idle, to: idle + wheel.grain(idle) }
        }
        (Rebooted, state) if state.is_in_flight() => at_once,
        (Rebooted, _) => Expectation::Gone { since: Since::Fault, from: Duration::ZERO, to: keepalive.deadline() },
        // The server's own queue refuses the data, so they count as unsent, and the kernel gives up by itself.
        (QueueFull, state) if state.is_in_flight() => match gone(clock(Since::Sent), ConnectionState::InFlight) {
            Expectation::Gone { since, from, to } => Expectation::Gone { since, from: from.min(REFUSED), to },
            _ => Expectation::Gone { since: Since::Sent, from: REFUSED, to: REFUSED + STALL },
        },
        // Under a user timeout, data that never left the machine count from when they were sent.
        (LinkDown | ArpGone, State::InFlight | State::BothInFlight) => {
            match (gone(clock(Since::Sent), ConnectionState::InFlight), keepalive.guard()) {
                (Expectation::Gone { since, to, .. }, Guard::UserTimeout(from)) => {
                    Expectation::Gone { since, from, to }
                }
                (other, _) => other,
            }
        }
        // The client's retransmissions keep arriving, so its last packet proves nothing. If a router reports the client as
        // unreachable, none of its packets arrives either: that is only `InFlight`.
        (OutDead, State::BothInFlight) => gone(clock_of_the_deaf, ConnectionState::Deaf),
        (_, State::InFlight | State::BothInFlight) => gone(clock(Since::Sent), ConnectionState::InFlight),
        // The client goes on reading what had arrived, and its kernel sends window updates.
        (OutDead, State::ReadingSlowly) => gone(clock_of_the_deaf, ConnectionState::Deaf),
        (_, State::WindowShrunk) => gone(clock(Since::Shut), ConnectionState::Shrunk),
        (_, state) if state.has_shut_window() => gone(clock(Since::Shut), ConnectionState::WindowShut),
        _ => gone(Since::LastHeard, ConnectionState::Idle),
    }
}

fn cannot_be(scene: Scene, speak: Speak) -> Option<&'static str> {
    let Scene { state, fault } = scene;
    if speak == Speak::None && !matches!(state, State::Idle | State::AcceptQueue) {
        return Some("it needs a client that sends requests, and --speak is none");
    }
    if state == State::HalfClosed && fault == Fault::HalfCloseThenCut {
        return Some("the client has sent its FIN before");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keepalive::UserTimeout;

    fn of(scene: &str, keepalive: &Keepalive) -> Expectation {
        expect(scene.parse().unwrap(), keepalive, TimerWheel::default(), Speak::Echo)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_dead_peer_is_gone_by_the_deadline_and_a_living_one_kept() {
        let five = Keepalive::with_deadline(seconds(5)).unwrap();
        for scene in Scene::all() {
            let expected = of(&scene.to_string(), &five);
            let is_alive = matches!(scene.fault, Fault::Nothing | Fault::Frozen);
            assert_eq!(expected == Expectation::Kept, is_alive, "{scene}");
            if let Expectation::Gone { since, from, to } = expected {
                let begins = if since == Since::QueueMoved { stall(&five) } else { Duration::ZERO };
                let (from, to) = (begins + from, begins + to);
                // A queue that is stuck past the deadline, and the probes after that.
                let latest = if scene.fault == Fault::QueueFull { 12 } else { 9 };
                assert!(from <= to && to <= seconds(latest), "{scene}: {from:?} to {to:?} since {since:?}");
                assert!(!scene.fault.is_silent() || from >= seconds(4), "{scene}: {from:?}");
            }
        }
    }

    #[test]
    fn without_a_user_timeout_nothing_is_promised_for_data_in_flight() {
        let textbook = Keepalive::with_deadline(seconds(5)).unwrap().with_user_timeout(UserTimeout::Off).unwrap();
        assert_eq!(of("in-flight/black-hole", &textbook), Expectation::NoDeadline);
        assert_eq!(of("window-shut/out-dead", &textbook), Expectation::NoDeadline);
        assert!(matches!(of("idle/black-hole", &textbook), Expectation::Gone { since: Since::LastHeard, .. }));
    }

    #[test]
    fn only_a_client_that_still_sends_is_deaf() {
        let five = Keepalive::with_deadline(seconds(5)).unwrap();
        for fault in ["host-unreachable", "admin-prohibited", "black-hole"] {
            let both = of(&format!("both-in-flight/{fault}"), &five);
            assert_eq!(both, of(&format!("in-flight/{fault}"), &five), "{fault}");
        }
        assert_ne!(of("both-in-flight/out-dead", &five), of("in-flight/out-dead", &five));
    }

    /// A broker whose clients send heartbeats notices the reboot at the next heartbeat, and not at a probe.
    #[test]
    fn others_may_notice_a_reboot_until_the_deadline() {
        let five = Keepalive::with_deadline(seconds(5)).unwrap();
        let rebooted = "idle/rebooted".parse().unwrap();
        let to = |expectation| if let Expectation::Gone { to, .. } = expectation { to } else { panic!() };
        let ours = of("idle/rebooted", &five);
        assert!(to(ours) < seconds(3));
        assert_eq!(to(ours.of_others(rebooted, &five)), seconds(5));
        let cut = of("idle/black-hole", &five);
        assert_eq!(cut.of_others("idle/black-hole".parse().unwrap(), &five), cut);
    }

    #[test]
    fn what_makes_no_sense_says_why() {
        let five = Keepalive::with_deadline(seconds(5)).unwrap();
        assert!(matches!(of("half-closed/half-close-then-cut", &five), Expectation::CannotBe(_)));
        let silent = expect("in-flight/reset".parse().unwrap(), &five, TimerWheel::default(), Speak::None);
        assert!(matches!(silent, Expectation::CannotBe(_)));
    }
}
