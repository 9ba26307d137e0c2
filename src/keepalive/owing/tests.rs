//! The judgement, on series of figures such as a kernel reports.

use super::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The terms of `--deadline 5s` on a kernel that has TCP_RTO_MAX_MS.
const FIVE: Asking = Asking { deadline: ms(5004), pace: ms(1000), rto_max: Some(ms(2502)) };
/// The same on an older kernel.
const OLD: Asking = Asking { rto_max: None, ..FIVE };

/// A peer's figures over time: when data came, when an ACK came, when data were sent.
#[derive(Clone, Copy)]
struct Course {
    received: u64,
    acked: u64,
    sent: u64,
    info: TcpInfo,
}

impl Course {
    fn at(&self, now: u64) -> TcpInfo {
        TcpInfo {
            received: ms(now - self.received),
            silent: ms(now - self.received.max(self.acked)),
            sent: ms(now - self.sent),
            ..self.info
        }
    }
}

fn shut() -> Course {
    let info = TcpInfo { not_sent: 10_000, window: Some(0), rto: ms(200), ..TcpInfo::default() };
    Course { received: 0, acked: 0, sent: 0, info }
}

fn again(judgement: Judgement) -> (Owing, u64, Option<Setting>) {
    match judgement {
        Judgement::Again { owing, after, setting } => (owing, after.as_millis() as u64, setting),
        Judgement::Dead => panic!("dead"),
    }
}

/// Checks the figures that `course` gives, as the loop does, from `from` until `end`. Returns when the peer is declared
/// dead.
fn dies(asking: &Asking, from: u64, end: u64, mut course: impl FnMut(u64) -> TcpInfo) -> Option<u64> {
    let (mut now, mut before) = (from, None);
    while now < end {
        match asking.judge(before, ms(now), &course(now)) {
            Judgement::Dead => return Some(now),
            Judgement::Again { owing, after, .. } => {
                assert!(after > Duration::ZERO && after <= asking.pace);
                (before, now) = (Some(owing), now + after.as_millis() as u64);
            }
        }
    }
    None
}

#[test]
fn what_is_remembered_fits_into_half_a_cache_line() {
    assert!(size_of::<Option<Owing>>() <= 32);
}

#[test]
fn a_dead_peer_whose_window_is_shut_is_gone_at_the_deadline() {
    let probes = |now: u64| [200, 600, 1400, 2400, 3400, 4400].iter().filter(|at| **at < now).count() as u8;
    let course = shut();
    let gone = dies(&FIVE, 1000, 20_000, |now| TcpInfo { probes: probes(now), ..course.at(now) });
    assert_eq!(gone, Some(5004));
}

/// Every probe is answered, by an ACK without data.
#[test]
fn a_living_peer_whose_window_is_shut_is_kept_for_ever() {
    for asking in [FIVE, OLD] {
        let gone = dies(&asking, 1000, 3_600_000, |now| {
            let acked = now / 1000 * 1000;
            let info = TcpInfo { pure_acks: (now / 1000) as u32, ..shut().info };
            Course { acked, info, ..shut() }.at(now)
        });
        assert_eq!(gone, None);
    }
}

/// An old kernel whose probes are two minutes apart. A peer that was not asked is not dead; one that was asked
/// and has not answered is dead once an answer could have come.
#[test]
fn a_peer_that_was_not_asked_is_not_dead() {
    let asked_at = 60_000;
    let lives = |now: u64| {
        let info = TcpInfo { pure_acks: u32::from(now > asked_at), ..shut().info };
        Course { acked: if now > asked_at { asked_at + 1 } else { 0 }, info, ..shut() }.at(now)
    };
    assert_eq!(dies(&OLD, 1000, asked_at + 60_000, lives), None);
    let silent = |now: u64| TcpInfo { probes: u8::from(now >= asked_at), ..shut().at(now) };
    let gone = dies(&OLD, 1000, 200_000, silent).unwrap();
    assert!((asked_at + 500..asked_at + 2500).contains(&gone), "{gone}");
}

/// Our packets are lost, and the peer's arrive: it retransmits a question, and each retransmission looks like an ACK.
#[test]
fn a_peer_that_cannot_hear_us_is_dead_whatever_it_sends() {
    // Its last new data came at 100 ms; the answer was sent at 100 ms.
    let theirs = [300, 700, 1500, 3100, 6300, 12_700];
    let ours = [550, 950, 1750, 3350, 4350, 5350];
    let gone = dies(&FIVE, 1100, 60_000, |now| {
        let acked = theirs.iter().copied().filter(|at| *at <= now).max().unwrap_or(100);
        let retransmits = ours.iter().filter(|at| **at <= now).count() as u32;
        let sent = ours.iter().copied().filter(|at| *at <= now).max().unwrap_or(100);
        let info = TcpInfo {
            unacknowledged: 1,
            window: Some(60_000),
            rto: ms(200) * 2u32.pow(retransmits.min(5)),
            retransmits: retransmits as u8,
            retransmitted: retransmits,
            ..TcpInfo::default()
        };
        Course { received: 100, acked, sent, info }.at(now)
    })
    .unwrap();
    assert!((5100..=5600).contains(&gone), "{gone}: within half a second of the deadline");
}

/// The same with a shut window: the proof that it receives our probes is an ACK without data.
#[test]
fn a_peer_with_a_shut_window_must_answer_and_not_only_speak() {
    let course = |answers: bool| {
        move |now: u64| {
            // It sends the same segment again and again, and its kernel either answers our probes or does not.
            let info = TcpInfo {
                pure_acks: if answers { (now / 1000) as u32 } else { 0 },
                probes: if answers { 0 } else { 2 },
                ..shut().info
            };
            Course { acked: now / 400 * 400, info, ..shut() }.at(now)
        }
    };
    assert_eq!(dies(&FIVE, 1000, 120_000, course(true)), None);
    let gone = dies(&FIVE, 1000, 120_000, course(false)).unwrap();
    assert!((5000..=6100).contains(&gone), "{gone}: at most one check later than the deadline");
}

/// A client that streams to us and does not read: its data carry ACKs, which postpone our probes for ever.
#[test]
fn new_data_prove_that_a_peer_hears_us() {
    let course = |now: u64| Course { received: now / 300 * 300, ..shut() }.at(now);
    assert_eq!(dies(&FIVE, 1000, 600_000, course), None);
}

/// The peer's own probes lie outside our window: they are counted, but no ACK is taken from them.
#[test]
fn a_probe_of_the_peer_is_no_answer() {
    let course = |now: u64| {
        let info = TcpInfo { pure_acks: (now / 500) as u32, probes: 3, ..shut().info };
        Course { info, ..shut() }.at(now)
    };
    assert_eq!(dies(&FIVE, 1000, 60_000, course), Some(5004));
}

/// One lost try ends no peer, even where tries are half a deadline apart.
#[test]
fn a_shrunk_window_is_judged_by_retransmissions_since_the_last_answer() {
    let info = TcpInfo { unacknowledged: 3, window: Some(0), retransmits: 7, ..TcpInfo::default() };
    // The peer answers at 2.5 s; the try at 5 s is lost, and the one at 7.5 s is answered.
    let lives = |now: u64| {
        let acked = if now > 7510 { 7510 } else { 2510 };
        let retransmitted = (now / 2500) as u32;
        let info = TcpInfo { retransmitted, pure_acks: u32::from(now > 7510), ..info };
        Course { received: 0, acked, sent: 0, info }.at(now)
    };
    assert_eq!(dies(&FIVE, 2600, 12_000, lives), None);
    let silent = |now: u64| {
        let info = TcpInfo { retransmitted: (now / 2500) as u32, ..info };
        Course { received: 0, acked: 2510, sent: 0, info }.at(now)
    };
    let gone = dies(&FIVE, 2600, 20_000, silent).unwrap();
    assert!((7514..=8100).contains(&gone), "{gone}");
}

#[test]
fn a_shut_window_is_asked_a_pace_apart_and_what_was_set_is_taken_back() {
    let (owing, _, setting) = again(FIVE.judge(None, ms(1000), &shut().at(1000)));
    assert_eq!(setting, Some(Setting::RtoMax(FIVE.pace)));
    let (owing, _, setting) = again(FIVE.judge(Some(owing), ms(2000), &Course { acked: 1900, ..shut() }.at(2000)));
    assert_eq!(setting, None, "it is set once");
    assert_eq!(FIVE.release(owing), Some(Setting::RtoMax(ms(2502))));
    // The window shrinks: the kernel would give the peer up after twice a pace.
    let info = TcpInfo { unacknowledged: 1, window: Some(0), ..TcpInfo::default() };
    let shrunk = Course { acked: 2900, ..Course { info, ..shut() } };
    let (owing, _, setting) = again(FIVE.judge(Some(owing), ms(3000), &shrunk.at(3000)));
    assert_eq!((setting, FIVE.release(owing)), (Some(Setting::RtoMax(ms(2502))), None));
    // A peer that merely owes an ACK costs a check, and no option is set.
    let info = TcpInfo { unacknowledged: 1, window: Some(9000), ..TcpInfo::default() };
    let (_, _, setting) = again(FIVE.judge(None, ms(1000), &Course { acked: 900, info, ..shut() }.at(1000)));
    assert_eq!(setting, None);
}

/// It is raised by a pace each time, and is always ahead of its clock by a pace and a quarter of the deadline.
#[test]
fn without_rto_max_the_user_timeout_slides() {
    let limited = |now: u64| TcpInfo { window_limited: ms(now), ..shut().at(now) };
    let mut before = None;
    for now in (1000..600_000).step_by(1000) {
        let info = TcpInfo { silent: ms(300), pure_acks: (now / 1000) as u32, ..limited(now) };
        let (owing, after, setting) = again(OLD.judge(before, ms(now), &info));
        assert_eq!(after, 1000);
        assert_eq!(setting, Some(Setting::UserTimeout(Some(ms(now + 1000 + 1251)))));
        before = Some(owing);
    }
    assert_eq!(OLD.release(before.unwrap()), Some(Setting::UserTimeout(None)));
    // The window was shut before: the clock may have started then, and would end a living peer.
    let info = TcpInfo { window_limited: ms(1300), ..shut().at(1000) };
    assert_eq!(again(OLD.judge(None, ms(1300), &info)).2, None);
    // On a connection that is younger than a quarter of the deadline the clock is no older than the connection, so the
    // timeout slides from its beginning.
    let young = Some(Setting::UserTimeout(Some(ms(900 + 1000 + 1251))));
    let info = TcpInfo { window_limited: ms(800), ..shut().at(300) };
    assert_eq!(again(OLD.judge(None, ms(900), &info)).2, young);
    let weeks_later = ms(900) + Duration::from_millis(1 << 32);
    assert_eq!(again(OLD.judge(None, weeks_later, &info)).2, None, "32 bits of milliseconds are 49 days");
    // The data are held back by a queue of our own, and not by the window: the clock runs, and data that were
    // refused count as sent.
    let info = TcpInfo { window: Some(60_000), sent: ms(90), ..shut().at(1000) };
    assert_eq!(again(OLD.judge(None, ms(1000), &info)).2, None);
    // While it slides, something is sent into a window of a few bytes: the clock runs on from the same beginning.
    let info = TcpInfo { window_limited: ms(601_000), sent: ms(400), ..shut().at(601_000) };
    let slides_on = Some(Setting::UserTimeout(Some(ms(601_000 + 1000 + 1251))));
    assert_eq!(again(OLD.judge(before, ms(601_000), &info)).2, slides_on);
}

/// Figures of Linux 6.18 with a window of only 120 bytes: between two checks a probe sent what fitted.
/// The peer was found dead after 14.5 s instead of 5 s, because the timeout no longer slid.
#[test]
fn a_probe_that_sends_what_fits_is_not_a_second_shut_window() {
    let first =
        TcpInfo { window_limited: ms(500), window: Some(120), received: ms(40), silent: ms(40), ..shut().at(500) };
    let (owing, _, setting) = again(OLD.judge(None, ms(60_500), &first));
    assert_eq!(setting, Some(Setting::UserTimeout(Some(ms(500 + 1000 + 1251)))));
    let second = TcpInfo { window_limited: ms(1500), sent: ms(832), silent: ms(576), pure_acks: 4, ..shut().info };
    let (owing, _, setting) = again(OLD.judge(Some(owing), ms(61_502), &second));
    assert_eq!(setting, Some(Setting::UserTimeout(Some(ms(1502 + 1000 + 1251)))));
    // The bytes that fitted are in flight for a moment: the timeout is removed, and later slides on from the same
    // beginning.
    let open = TcpInfo { unacknowledged: 1, window: Some(9000), ..shut().at(1600) };
    let (owing, _, setting) = again(OLD.judge(Some(owing), ms(61_600), &open));
    assert_eq!(setting, Some(Setting::UserTimeout(None)));
    let third = TcpInfo { window_limited: ms(2500), sent: ms(1000), ..shut().info };
    let slides_on = Some(Setting::UserTimeout(Some(ms(2600 + 1000 + 1251))));
    assert_eq!(again(OLD.judge(Some(owing), ms(62_600), &third)).2, slides_on);
}

/// Weeks later the 32 bits of milliseconds wrap round, and the timeout's clock does not.
#[test]
fn what_is_known_of_a_clock_is_forgotten_before_the_time_wraps() {
    let day = 24 * 3_600_000;
    let limited = |now: u64| TcpInfo { window_limited: ms(now), silent: ms(9), ..shut().at(now) };
    let (mut owing, _, setting) = again(OLD.judge(None, ms(1000), &limited(900)));
    assert!(setting.is_some(), "it slides from the beginning of the connection");
    for now in [10 * day, 20 * day, 25 * day, 40 * day, (1 << 32) + 500] {
        // The window was open for a second: it no longer counts as never shut before.
        let info = TcpInfo { sent: ms(now % (1 << 32)), ..limited(now - 1000) };
        let (next, _, setting) = again(OLD.judge(Some(owing), ms(now), &info));
        let slides = matches!(setting, Some(Setting::UserTimeout(Some(_))));
        assert_eq!(slides, now <= 20 * day, "after {now} ms: {setting:?}");
        owing = next;
    }
}

/// The option accepts at most 24 days.
#[test]
fn a_user_timeout_that_the_kernel_would_refuse_is_not_set() {
    let ages = 25 * 24 * 3_600_000;
    let info = TcpInfo { window_limited: ms(ages), ..shut().at(ages) };
    assert_eq!(again(OLD.judge(None, ms(ages), &TcpInfo { silent: ms(9), ..info })).2, None);
}
