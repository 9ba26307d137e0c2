//! The arithmetic, against numbers that were worked out by hand or measured on a kernel.

use super::prediction::gives_up;
use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn keepalive(idle: u64, interval: u64, count: u32) -> Keepalive {
    Keepalive::new(s(idle), s(interval), count).unwrap()
}

/// The grains that were measured with HZ=250.
#[test]
fn the_wheel_is_coarser_further_out() {
    let wheel = TimerWheel::default();
    for (ahead, grain) in [
        (ms(200), ms(4)),
        (s(1), ms(32)),
        (s(2), ms(32)),
        (s(5), ms(256)),
        (s(16), ms(256)),
        (s(20), ms(2048)),
        (s(120), ms(2048)),
        (s(600), ms(16384)),
    ] {
        assert_eq!(wheel.grain(ahead), grain, "a timer {ahead:?} ahead");
    }
    assert_eq!(TimerWheel::with_tick(ms(10)).grain(s(5)), ms(80));
}

#[test]
fn the_default_is_35_seconds_and_says_so() {
    let keepalive = Keepalive::default();
    assert_eq!(keepalive.deadline(), s(35));
    assert_eq!(keepalive, Keepalive::with_deadline(s(35)).unwrap());
    assert_eq!(keepalive.predict(State::Idle).unwrap().to_string(), "35.0 to 36.1 s");
    assert!(keepalive.warnings().is_empty());
    assert_eq!(keepalive.predict(State::InFlight).unwrap().to_string(), "35.0 to 35.1 s");
    assert_eq!((keepalive.guard(), keepalive.pace()), (Guard::Loop { rto_max: Some(ms(17_502)) }, s(5)));
}

/// The kernel must not give up before the loop does, and must try often enough for a living peer to
/// be heard of: two tries lost in a row are not fatal.
#[test]
fn the_kernel_tries_until_the_loop_says_stop() {
    for seconds in 4..3000 {
        let keepalive = Keepalive::with_deadline(s(seconds)).unwrap();
        let Guard::Loop { rto_max: Some(rto_max) } = keepalive.guard() else { panic!() };
        assert!(keepalive.pace() * 3 <= keepalive.deadline(), "{seconds} s: tries up to {:?} apart", keepalive.pace());
        let from = keepalive.predict(State::InFlight).unwrap().from;
        assert_eq!(from, s(seconds).min(gives_up(15, s(120))), "{seconds} s: the kernel gives up before");
        // A window that shrinks under data is given up after twice this (`tcp_rtx_probe0_timed_out`).
        assert!(
            rto_max * 2 >= s(seconds).min(s(240)),
            "{seconds} s: a shrunk window is given up after {rto_max:?} × 2"
        );
    }
    assert_eq!(gives_up(15, s(120)).as_secs(), 924); // as it was measured, without any option
    // As some set it: 0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 5 s.
    assert_eq!(Keepalive::default().given_up_after(15), None);
    assert_eq!(Keepalive::default().given_up_after(5), Some(ms(11_200)));
    let many = keepalive(1, 1, 127);
    assert_eq!(many.predict(State::InFlight).unwrap().from, many.deadline());
}

#[test]
fn a_deadline_is_split_without_a_rest() {
    for seconds in (3..5000).chain(100_000..100_100) {
        let keepalive = Keepalive::with_deadline(s(seconds)).unwrap();
        assert_eq!(keepalive.deadline(), s(seconds));
        assert!(keepalive.count() >= 2, "{seconds} s: one lost probe would be fatal");
        assert!(keepalive.warnings().is_empty(), "{seconds} s: {:?}", keepalive.warnings());
    }
    for (seconds, split) in [(3, (1, 1, 2)), (5, (2, 1, 3)), (7, (1, 1, 6)), (30, (6, 4, 6))] {
        let keepalive = Keepalive::with_deadline(s(seconds)).unwrap();
        let (idle, interval) = (keepalive.idle().as_secs(), keepalive.interval().as_secs());
        assert_eq!((idle, interval, keepalive.count()), split, "{seconds} s");
    }
}

/// A peer that gets another split because of a crowd has the same deadline, and no fewer probes.
#[test]
fn every_split_keeps_the_deadline() {
    for seconds in (3..3000).chain(100_000..100_010) {
        let keepalive = Keepalive::with_deadline(s(seconds)).unwrap();
        let splits = keepalive.splits();
        assert_eq!(splits[0], keepalive);
        assert!(splits.len() <= 17 && (seconds < 14 || splits.len() >= 3), "{seconds} s: {}", splits.len());
        let until = keepalive.predict(State::Idle).unwrap().to;
        for split in splits {
            assert_eq!(split.deadline(), s(seconds));
            assert!(split.interval() <= split.idle() && split.count() >= keepalive.count(), "{split:?}");
            assert!(split.late_tick(split.count()) <= until, "{split:?}");
        }
    }
    assert_eq!(keepalive(6, 3, 3).splits().len(), 1, "what a person chose is left alone");
}

/// Whatever is chosen: the derived user timeout never takes a probe away, and never keeps a peer
/// longer than keepalive alone would.
#[test]
fn the_derived_user_timeout_keeps_the_count_and_the_deadline() {
    for idle in [1, 2, 3, 5, 7, 20, 60, 200, 3600, 7200, 32767] {
        for interval in [1, 2, 5, 10, 17, 75, 600, 32767] {
            for count in [1, 2, 3, 9, 127] {
                let auto = keepalive(idle, interval, count).without_tcp_info();
                let alone = auto.clone().with_user_timeout(UserTimeout::Off).unwrap();
                let what = format!("idle {idle}, interval {interval}, count {count}: {auto:?}");
                let (with, without) = (auto.predict(State::Idle).unwrap(), alone.predict(State::Idle).unwrap());
                assert_eq!(with.from, without.from, "{what}");
                assert!(with.to <= without.to + s(interval) / 2, "{what}: {with} and {without}");
                let in_flight = auto.predict(State::InFlight).unwrap();
                assert!(
                    in_flight.to <= without.to + ms(500) + auto.grain_of_backoff(without.to),
                    "{what}: {in_flight}"
                );
            }
        }
    }
}

/// Idle 2, interval 1, count 3: the settings and the figures of the measured table.
#[test]
fn predictions_hold_what_was_measured() {
    let at = |timeout| keepalive(2, 1, 3).with_user_timeout(timeout).unwrap();
    let holds = |prediction: Prediction, from, to| prediction.from <= ms(from) && ms(to) <= prediction.to;
    assert_eq!(keepalive(2, 1, 3).without_tcp_info().guard(), Guard::UserTimeout(ms(4400)));
    assert!(holds(at(UserTimeout::Off).predict(State::Idle).unwrap(), 5080, 5100));
    assert!(holds(at(UserTimeout::Fixed(ms(4500))).predict(State::Idle).unwrap(), 5070, 5100));
    assert!(holds(at(UserTimeout::Fixed(ms(4500))).predict(State::InFlight).unwrap(), 4920, 4950));
    assert!(holds(at(UserTimeout::Fixed(ms(4500))).predict(State::WindowShut).unwrap(), 4820, 4870));
    assert!(holds(at(UserTimeout::Fixed(s(5))).predict(State::InFlight).unwrap(), 5430, 5620));
    // A user timeout a little above the deadline slips by a whole interval.
    assert!(holds(at(UserTimeout::Fixed(ms(5200))).predict(State::Idle).unwrap(), 6070, 6110));
    assert_eq!(at(UserTimeout::Off).predict(State::InFlight), None);
}

/// The timer that sent a probe is set an interval ahead, whether the probe is answered or not: so a
/// peer that answered one is asked later than idle. `tests/dead_peer.rs` has it measured.
#[test]
fn an_interval_longer_than_idle_keeps_a_peer_past_the_deadline() {
    let keepalive = keepalive(5, 10, 3);
    assert_eq!(keepalive.predict(State::Idle).unwrap().to_string(), "35.0 to 41.0 s");
    let warned = keepalive.warnings()[0].to_string();
    assert!(
        warned.starts_with("interval 10s: longer than idle (5s)") && warned.contains("40.0 s and not 35.0"),
        "{warned}"
    );
}

/// The grain of a long idle time may swallow the short intervals after it.
#[test]
fn a_late_first_probe_does_not_eat_the_others() {
    let keepalive = keepalive(3600, 1, 3).without_tcp_info();
    assert!(keepalive.user_timeout().unwrap() > keepalive.late_tick(2));
    assert!(keepalive.warnings().is_empty(), "{:?}", keepalive.warnings());
}

#[test]
fn what_the_kernel_refuses_is_named() {
    let refused = |result: Result<Keepalive, Unfit>| result.unwrap_err().to_string();
    assert_eq!(
        refused(Keepalive::new(s(0), s(1), 3)),
        "idle 0s: the kernel takes whole seconds, 1s to 32767s (9h 6m 7s)"
    );
    assert_eq!(
        refused(Keepalive::new(s(1), ms(1500), 3)),
        "interval 1s 500ms: the kernel takes whole seconds, 1s to 32767s (9h 6m 7s)"
    );
    assert_eq!(
        refused(Keepalive::new(s(1), s(32768), 3)),
        "interval 9h 6m 8s: the kernel takes whole seconds, 1s to 32767s (9h 6m 7s)"
    );
    assert_eq!(refused(Keepalive::new(s(1), s(1), 128)), "count 128: the kernel takes 1 to 127");
    assert!(refused(Keepalive::with_deadline(s(2))).contains("3s is the least"));
    assert!(refused(Keepalive::with_deadline(ms(4500))).ends_with("; 4s or 5s would do"));
    assert!(refused(Keepalive::with_deadline(ms(2500))).ends_with("; 3s would do"), "one hint, once");
    assert!(refused(Keepalive::with_deadline(ms(90_500))).ends_with("; 1m 30s or 1m 31s would do"));
    assert!(refused(Keepalive::with_deadline(s(31_557_600))).ends_with("; 2days 15h 42m 49s is the most"));
    assert!(refused(Keepalive::with_deadline(s(300_000))).contains("the most"));
    assert!(Keepalive::default().with_user_timeout(UserTimeout::Fixed(s(0))).is_err());
}

#[test]
fn what_undoes_the_deadline_is_warned_of() {
    let warned = |timeout| {
        keepalive(2, 1, 3)
            .with_user_timeout(timeout)
            .unwrap()
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
    };
    assert!(warned(UserTimeout::Off).contains("15 minutes"));
    assert!(warned(UserTimeout::Fixed(ms(2500))).contains("one lost packet ends a living peer"));
    assert!(warned(UserTimeout::Fixed(ms(3500))).contains("count of 3: 2 lost packets end a living peer"));
    assert!(warned(UserTimeout::Fixed(ms(5100))).contains("an idle peer is kept for 6.0 s; 4s 400ms would do"));
    assert_eq!(warned(UserTimeout::Fixed(ms(4800))), "");
    assert!(keepalive(2, 1, 1).warnings()[0].to_string().starts_with("count 1: one lost packet"));
}

/// Where the kernel has TCP_RTO_MAX_MS, its rounding to ticks does not look like a refusal.
#[test]
fn every_deadline_is_guarded_by_what_the_kernel_has() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let has_it = sockopt::set_rto_max(&socket, s(7)).is_ok();
    for seconds in (3..300).chain([600, 3600, 86_400]) {
        let mut keepalive = Keepalive::with_deadline(s(seconds)).unwrap();
        keepalive.apply(&SockRef::from(&socket)).unwrap();
        let Guard::Loop { rto_max } = keepalive.guard() else { panic!("{seconds} s: {:?}", keepalive.guard()) };
        assert_eq!(rto_max.is_some(), has_it, "{seconds} s");
        assert!(keepalive.is_applied(&SockRef::from(&socket)).unwrap(), "{seconds} s");
    }
}

/// Compared with what the kernel returns for a real socket.
#[test]
fn applied_settings_can_be_read_back() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = SockRef::from(&socket);
    let mut keepalive = keepalive(7, 3, 4);
    keepalive.apply(&socket).unwrap();
    assert!(keepalive.is_applied(&socket).unwrap());
    assert!(!super::Keepalive::new(s(7), s(3), 5).unwrap().is_applied(&socket).unwrap());
    let mut other = keepalive.with_user_timeout(UserTimeout::Fixed(ms(12_345))).unwrap();
    assert!(!other.is_applied(&socket).unwrap());
    other.apply(&socket).unwrap();
    assert!(other.is_applied(&socket).unwrap());
}
