//! The forecast, against numbers worked out by hand; `simulation.rs` simulates it.

use std::time::Duration;

use super::*;
use crate::keepalive::UserTimeout;
use crate::keepalive::odds::OddsMatrix;

mod on_the_way;
mod simulation;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn question(deadline: u64) -> Question {
    Question {
        wanted: Wanted::Deadline { usual: Keepalive::with_deadline(s(deadline)).unwrap(), given: true },
        peers: 100_000,
        loss: 0.02,
        round_trip: Duration::from_millis(200),
        burst: s(1),
        burst_loss: 1.0,
        battery: false,
        heartbeat: None,
        heartbeat_timeout: None,
        behind: Vec::new(),
        wheel: TimerWheel::default(),
        json: false,
        svg: None,
    }
}

fn near(a: f64, b: f64, share: f64) -> bool {
    (a / b - 1.0).abs() < share
}

/// A round of 6 s, six probes 4 s apart, each unanswered with 1 − 0.98².
#[test]
fn the_price_is_what_a_pencil_says() {
    let plan = Plan::make(&question(30)).unwrap();
    assert_eq!((plan.keepalive.idle(), plan.keepalive.interval(), plan.keepalive.count()), (s(6), s(4), 6));
    let unanswered: f64 = 1.0 - 0.98 * 0.98;
    assert!(near(plan.probes.independent.dropped_in_a_round, unanswered.powi(6), 1e-9));
    // Half a grain of 256 ms for each timer, and the round trip.
    let in_a_row = |probes| (1..=probes).map(|n| unanswered.powi(n)).sum::<f64>();
    let round = 6.128 + 0.2 * (1.0 - unanswered.powi(6)) + 4.128 * in_a_row(6);
    assert!(near(plan.probes.independent.round, round, 1e-9), "{} and {round}", plan.probes.independent.round);
    let probes = (1.0 + in_a_row(5)) / round;
    assert!(near(plan.probes.packets, probes * 1.98, 1e-9) && near(plan.probes.bytes, probes * 1.98 * 52.0, 1e-9));
    // In a burst the answer is lost with the probe: it is like one packet, not two.
    let bursts = Path::bursts(0.02, s(1), 1.0);
    let short = Keepalive::new(s(600), s(600), 2).unwrap();
    let far_apart = Round::of_probes(&short, &bursts, Duration::ZERO).outlook();
    assert!(near(far_apart.dropped_in_a_round, 0.02 * 0.02, 1e-6));
    // A peer that has answered is probed again only when the interval is over.
    let long_interval = Keepalive::new(s(5), s(10), 3).unwrap();
    let round = Round::of_probes(&long_interval, &Path::independent(0.0), Duration::from_millis(200)).outlook().round;
    assert!(near(round, 9.8 + 0.128 + 0.2, 1e-9), "{round}");
}

/// The probabilities of all ends of a round add up to 1, and rare ends are as exact as frequent ones.
#[test]
fn rounds_add_up() {
    let total = |round: &Round| {
        let sum = round.answered.iter().chain(&round.dropped).fold(OddsMatrix::default(), |sum, end| sum.or(end.odds));
        sum.0.map(|row| row.iter().sum::<f64>())
    };
    let bursts = [Path::bursts(0.02, s(7), 0.6), Path::bursts_each_way(0.02, s(7), 0.6)];
    for path in [Path::independent(0.3)].into_iter().chain(bursts) {
        for (round_trip, heartbeat) in [(0, (6, 24)), (250, (1, 1)), (2500, (3, 2)), (9000, (30, 60))] {
            let round_trip = Duration::from_millis(round_trip);
            let keepalive = Keepalive::with_deadline(s(30)).unwrap();
            let heartbeat = HeartbeatPlan { silence: s(heartbeat.0), timeout: s(heartbeat.1) };
            for round in [Round::of_probes(&keepalive, &path, round_trip), heartbeat.round(&path, round_trip, s(8))] {
                assert!(total(&round).iter().all(|sum| (sum - 1.0).abs() < 1e-12), "{path:?}, {round_trip:?}");
            }
        }
    }
    let ten = Keepalive::new(s(10), s(5), 20).unwrap();
    let rare = Round::of_probes(&ten, &Path::independent(0.01), Duration::ZERO).outlook().dropped_in_a_round;
    assert!(near(rare, 0.0199f64.powi(20), 1e-9), "{rare}");
}

#[test]
fn an_answer_that_comes_too_late_is_none() {
    let keepalive = Keepalive::new(s(6), s(8), 3).unwrap();
    let fatal = |seconds| {
        let round = Round::of_probes(&keepalive, &Path::independent(0.1), s(seconds)).outlook();
        round.dropped_in_a_round
    };
    assert!(near(fatal(7), 0.19f64.powi(3), 1e-9));
    assert!(near(fatal(9), 0.19f64.powi(2), 1e-9), "the third probe is sent in vain");
    assert!(near(fatal(25), 1.0, 1e-9), "all are");
}

#[test]
fn a_user_timeout_below_the_deadline_leaves_fewer_probes() {
    let wanted = |timeout| {
        let keepalive = Keepalive::new(s(9), s(7), 3).unwrap();
        let keepalive = keepalive.with_user_timeout(UserTimeout::Fixed(s(timeout))).unwrap();
        Plan::make(&Question { wanted: Wanted::Settings(keepalive), ..question(30) }).unwrap()
    };
    let fatal = wanted(14);
    assert!(near(fatal.probes.independent.dropped_in_a_round, 0.0396, 1e-9));
    assert!(fatal.warnings[0].contains("one lost packet ends a living peer"), "{:?}", fatal.warnings);
    assert!(near(wanted(29).probes.independent.dropped_in_a_round, 0.0396f64.powi(3), 1e-9));
}

/// TCP's own tries: after 0.4 s (the loss probe), then 0.4 s, 0.8 s, … later, at most `rto_max`.
#[test]
fn tcp_tries_as_linux_does() {
    let millis = |round_trip, rto_max, within| -> Vec<u128> {
        let tries = heartbeat::tries(Duration::from_millis(round_trip), s(rto_max), s(within));
        tries.iter().map(Duration::as_millis).collect()
    };
    assert_eq!(millis(200, 120, 6), [0, 400, 800, 1600, 3200]);
    assert_eq!(millis(0, 1, 5), [0, 200, 400, 800, 1600, 2600, 3600, 4600]);
    assert_eq!(millis(100, 120, 0), [0]);
    assert_eq!(millis(0, 1, 12 * 3600).len(), 17, "then it gives up");
    let beat = HeartbeatPlan { silence: s(10), timeout: Duration::from_millis(700) };
    let path = Path::independent(0.1);
    // Tries of ping and pong at 0 and 0.4 s; 0.5 s remain after the round trip, so one may be lost.
    let dropped = beat.round(&path, Duration::from_millis(200), s(120)).outlook().dropped_in_a_round;
    assert!(near(dropped, 1.0 - (0.81 + 2.0 * 0.1 * 0.81), 1e-9), "{dropped}");
}

#[test]
fn few_wake_ups_are_a_long_idle_time() {
    let split = few_wake_ups(s(30), Duration::from_millis(200), s(1)).unwrap();
    assert_eq!((split.idle(), split.interval(), split.count()), (s(24), s(2), 3));
    let usual = few_wake_ups(s(30), s(1), s(60)).unwrap();
    assert_eq!(usual.interval(), s(4), "no more than the usual interval");
    assert!(few_wake_ups(s(2), s(0), s(1)).is_err());
    let longest = few_wake_ups(s(100_000), s(0), s(1)).unwrap();
    assert_eq!(longest.deadline(), s(100_000));
}

/// The answer keeps the budget, one second less does not, whatever the split.
#[test]
fn the_shortest_deadline_is_the_shortest() {
    for (battery, loss, budget) in [(false, 0.02, "1/year"), (true, 0.02, "1/day"), (false, 0.3, "20/hour")] {
        let budget: Budget = budget.parse().unwrap();
        let question = Question { battery, loss, burst: Duration::from_millis(300), ..question(30) };
        let found = Plan::within(&question, budget).unwrap();
        let rate = |keepalive: &Keepalive| question.price_of_probes(keepalive).false_drops() * 1e5;
        assert!(rate(&found) <= budget.rate(), "{found:?}");
        assert!(!battery || found.idle() * 2 >= found.deadline());
        assert!(!question.drops_more(&found, rate(&found) / 1e5) && question.drops_more(&found, rate(&found) / 1.01e5));
        let less = found.deadline().as_secs() - 1;
        for count in 2..=24 {
            for interval in 1..less {
                let Some(idle) = less.checked_sub(interval * count).filter(|idle| *idle >= interval) else { continue };
                if battery && idle * 2 < less {
                    continue;
                }
                let other = Keepalive::new(s(idle), s(interval), count as u32).unwrap();
                assert!(question.drops_more(&other, budget.rate() / 1e5), "{other:?} is shorter than {found:?}");
            }
        }
    }
    let hopeless = Question { burst: s(3600), ..question(30) };
    let said = Plan::within(&hopeless, "1/year".parse().unwrap()).unwrap_err();
    assert!(said.contains("no deadline up to 4h") && said.contains("bursts of 1h"), "{said}");
}

#[test]
fn warnings_give_their_reasons() {
    let warned = |question: Question| Plan::make(&question).unwrap().warnings.join("\n");
    let with = |idle, interval, count| {
        let keepalive = Keepalive::new(s(idle), s(interval), count).unwrap();
        Question { wanted: Wanted::Settings(keepalive), peers: 1, ..question(30) }
    };
    assert_eq!(warned(Question { peers: 1, ..question(30) }), "");
    assert_eq!(warned(question(30)), "", "a crowd's probes are kept apart");
    assert!(warned(Question { peers: 1000, ..with(6, 4, 3) }).contains("in one instant"));
    let long = warned(with(300, 10, 3));
    assert!(long.contains("4 of those listed, Azure Load Balancer (4m) first"), "{long}");
    let barely = warned(with(200, 75, 9));
    assert!(barely.contains("if probes are lost") && barely.contains("11 of those listed"), "{barely}");
    assert!(warned(with(7200, 75, 9)).contains("proxy"));
    assert!(warned(Question { round_trip: s(9), ..with(6, 8, 3) }).contains("comes too late"));
    assert!(warned(Question { round_trip: s(25), ..with(6, 8, 3) }).contains("every idle peer is dropped"));
    assert!(warned(with(24, 1, 3)).contains("13.5 % of the bursts"));
    let wanted = |timeout| {
        let keepalive = Keepalive::new(s(20), s(10), 3).unwrap().with_user_timeout(timeout).unwrap();
        Question { wanted: Wanted::Settings(keepalive), behind: vec![Middlebox::given(s(60))], ..with(6, 4, 6) }
    };
    assert!(
        warned(wanted(UserTimeout::Fixed(s(48)))).contains("while a window stays shut the kernel probes it every 2m")
    );
    assert_eq!(warned(wanted(UserTimeout::Auto)), "");
    let few = Keepalive::with_deadline(s(300)).unwrap();
    let few = Question { wanted: Wanted::Deadline { usual: few, given: true }, peers: 1, ..wanted(UserTimeout::Auto) };
    let few = Question { behind: vec![Middlebox::named("azure-lb").unwrap()], ..few };
    assert!(warned(few).contains("room for 3 probes only, where 6 are usual"));
    let hasty = Question { heartbeat_timeout: Some(Duration::from_millis(300)), ..with(6, 8, 3) };
    assert!(warned(hasty).contains("no time to send a lost heartbeat again"));
}

/// The deadline against traffic.
#[test]
fn longer_deadlines_save_traffic_and_it_is_told_how_much() {
    let plan = Plan::make(&question(30)).unwrap();
    let choices = curve::Curve::choices(&plan);
    assert_eq!(choices.iter().map(|(deadline, _)| deadline.as_secs()).collect::<Vec<_>>(), [7, 15, 30, 60, 120, 240]);
    let points: Vec<_> = choices.into_iter().map(|(_, point)| point.unwrap()).collect();
    assert!(points.windows(2).all(|two| two[0].packets > two[1].packets && two[0].wake_ups > two[1].wake_ups));
    assert!(near(points[2].packets, plan.of_all(plan.probes.packets), 1e-12));
    assert!(near(points[2].at_worst * DAY, 23.5, 0.005), "{}", points[2].at_worst * DAY);
    let text = told::tell(&plan);
    assert!(text.contains("30s @") && text.contains("49 % less") && text.contains("5.2 times as many"), "{text}");
    let json = json::write(&plan);
    assert!(json.contains("\"curve\":[{") && json.contains("\"packets_a_second_all_peers\":"));
    assert!(figure::draw(&plan).contains("<path class=\"traffic\" d=\"M"));
    // A deadline with which the connection is forgotten is marked, and the figure names the middleboxes.
    let behind = Question { behind: vec![Middlebox::named("azure-lb").unwrap()], ..question(120) };
    let text = told::tell(&Plan::make(&behind).unwrap());
    assert!(text.contains("8m                  forgotten by Azure Load Balancer"), "{text}");
    assert!(figure::draw(&Plan::make(&behind).unwrap()).contains(", behind Azure Load Balancer</text>"));
}

#[test]
fn numbers_are_written_for_people() {
    assert_eq!(words::share(0.0), "never");
    assert_eq!((words::share(0.1234), words::share(0.0123)), ("12.3 %".to_string(), "1.23 %".to_string()));
    assert_eq!((words::share(2.5e-7), words::share(1e-20)), ("1 in 4.00 M".to_string(), "1 in 1e20".to_string()));
    assert_eq!(
        (words::per(2.0 / DAY), words::per(0.1 / YEAR)),
        ("2.00 a day".to_string(), "one in 10.0 years".to_string())
    );
    assert_eq!(words::percent(0.02), "2 %");
    assert_eq!((curve::power(3), curve::power(-2), curve::power(9)), ("1000".into(), "0.01".into(), "1e9".into()));
    for bad in ["1", "0/year", "-1/day", "x/day", "1/fortnight", "inf/day"] {
        assert!(bad.parse::<Budget>().is_err(), "{bad}");
    }
    assert!(near("0.5/week".parse::<Budget>().unwrap().rate(), 0.5 / (7.0 * DAY), 1e-12));
}

/// Also where nothing is lost, and where all figures are the same.
#[test]
fn every_plan_can_be_told_and_drawn() {
    for loss in [0.0, 0.02, 0.9] {
        for (deadline, battery) in [(3, false), (30, true), (100_000, true)] {
            let plan = Plan::make(&Question { loss, battery, ..question(deadline) }).unwrap();
            let (text, json, svg) = (told::tell(&plan), json::write(&plan), figure::draw(&plan));
            assert!(!text.contains("NaN") && !json.contains("NaN") && !svg.contains("NaN"), "{loss}, {deadline}");
            let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
            assert!(widest.chars().count() <= 100, "{widest}");
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && !svg.contains("href"));
            assert_eq!(json.matches('{').count(), json.matches('}').count());
            assert_eq!(text.contains("radio"), battery);
        }
    }
}
