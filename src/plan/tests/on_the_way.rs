//! What forgets silent connections: the table, and the deadlines that survive it.

use super::*;

/// Behind a middlebox, no idle connection is ever silent for as long as its limit, even if all probes but the last are lost;
/// and a deadline that is refused cannot be split so that this holds.
#[test]
fn a_deadline_is_split_so_that_nothing_on_the_way_forgets() {
    for limit in [7, 20, 60, 240] {
        let behind = |deadline, given| {
            let usual = Keepalive::with_deadline(s(deadline)).unwrap();
            let wanted = Wanted::Deadline { usual, given };
            Question { wanted, behind: vec![Middlebox::given(s(limit))], ..question(deadline) }
        };
        let splits = |deadline: u64| {
            let of = move |count: u64| (1..=deadline / (count + 1)).map(move |interval| (interval, count));
            (2..=24).flat_map(of).map(move |(interval, count)| {
                Keepalive::new(s(deadline - interval * count), s(interval), count as u32).unwrap()
            })
        };
        let longest =
            (3..2 * limit).rev().find(|deadline| splits(*deadline).any(|one| one.silences().last() < Some(&s(limit))));
        let longest = longest.unwrap();
        for deadline in (3..longest).step_by(1 + limit as usize / 20).chain([longest]) {
            let plan =
                Plan::make(&behind(deadline, true)).unwrap_or_else(|error| panic!("{limit}, {deadline}: {error}"));
            assert_eq!(plan.keepalive.deadline(), s(deadline));
            let silences = plan.keepalive.silences();
            assert!(
                silences.last() < Some(&s(limit)) && plan.keepalive.interval() <= plan.keepalive.idle(),
                "{silences:?}"
            );
            assert_eq!(plan.fates().next().unwrap().1, Some(Fate::Survives));
        }
        let said = Plan::make(&behind(longest + 1, true)).unwrap_err();
        let name = format!("{} is the longest that can", words::duration(s(longest)));
        assert!(said.contains(&name) && said.contains("a NAT"), "{said}\nbut {name}");
        // Where no deadline was given, one is found that has room for the usual probes.
        let plan = Plan::make(&behind(longest + 1, false)).unwrap();
        let found = &plan.keepalive;
        assert!(found.silences().last() < Some(&s(limit)) && found.deadline() <= s(longest), "{found:?}");
        assert_eq!(found.count(), Keepalive::with_deadline(found.deadline()).unwrap().count());
    }
    let hopeless = Question { behind: vec![Middlebox::given(s(2))], ..question(30) };
    assert!(Plan::make(&hopeless).unwrap_err().contains("No deadline can"));
}

/// Worked out by hand: of five probes, four are sent before the limit of 35 s; the last one comes too late.
#[test]
fn what_is_forgotten_cannot_answer() {
    let with = |limit| {
        let wanted = Wanted::Settings(Keepalive::new(s(8), s(8), 5).unwrap());
        Plan::make(&Question { wanted, behind: vec![Middlebox::given(s(limit))], ..question(30) }).unwrap()
    };
    let dropped = |limit| with(limit).probes.independent.dropped_in_a_round;
    assert!(near(dropped(60), 0.0396f64.powi(5), 1e-9));
    assert!(near(dropped(35), 0.0396f64.powi(4), 1e-9), "{}", dropped(35));
    assert!(near(dropped(8), 1.0, 1e-9));
    let text = told::tell(&with(35));
    assert!(text.contains("if 4 probes are lost"), "{text}");
    assert!(with(35).warnings[0].contains("forgotten by a NAT (35s)"), "{:?}", with(35).warnings);
    assert!(told::tell(&with(8)).contains("certain"));
    // TCP retransmits a ping; a connection that is silent for longer than that is forgotten as well.
    let proxy = Middlebox::named("AWS-ALB").unwrap();
    let behind = |wanted| Plan::make(&Question { wanted, behind: vec![proxy], ..question(30) }).unwrap();
    let long = behind(Wanted::Deadline { usual: Keepalive::with_deadline(s(600)).unwrap(), given: true });
    assert_eq!(long.keepalive.deadline(), s(600), "probes do not pass it, so they cannot help");
    assert!(long.heartbeat.deadline() < s(60), "{:?}", long.heartbeat);
    assert_eq!(long.fates().map(|(_, probes, beats)| (probes, beats)).next(), Some((None, Fate::Survives)));
    assert!(long.warnings.iter().any(|warning| warning.contains("ends TCP on both sides")), "{:?}", long.warnings);
}

/// A longer deadline may be worse here: no shorter one, however it is split, is kept and within the budget.
#[test]
fn the_shortest_deadline_behind_a_nat_is_the_shortest() {
    let budget: Budget = "1/year".parse().unwrap();
    for limit in [29, 31, 33] {
        let question = Question { behind: vec![Middlebox::given(s(limit))], ..question(30) };
        let good = |one: &Keepalive| {
            one.silences().last() < Some(&s(limit))
                && question.price_of_probes(one).false_drops() * 1e5 <= budget.rate()
        };
        let found = Plan::within(&question, budget);
        let less = found.as_ref().map_or(limit * 3 / 2 + 2, |found| found.deadline().as_secs());
        assert!(
            found.as_ref().is_ok_and(good) || found.as_ref().is_err_and(|said| said.contains("a NAT")),
            "{found:?}"
        );
        for deadline in 3..less {
            for count in 2..=24 {
                for interval in 1..=deadline / (count + 1) {
                    let one = Keepalive::new(s(deadline - interval * count), s(interval), count as u32).unwrap();
                    assert!(!good(&one), "{one:?} is shorter than {found:?}");
                }
            }
        }
    }
}

#[test]
fn limits_are_sorted_and_each_has_a_source() {
    assert!(MIDDLEBOXES.is_sorted_by_key(|one| one.limit));
    let keys: std::collections::BTreeSet<_> = MIDDLEBOXES.iter().map(|one| one.key).collect();
    assert_eq!(keys.len(), MIDDLEBOXES.len());
    for (key, limit) in [
        ("azure-lb", 240),
        ("cloudflare", 400),
        ("cloudflare-origin", 900),
        ("aws-alb", 60),
        ("ipvs", 900),
        ("kube-proxy", 900),
        ("oracle-lb", 300),
    ] {
        assert_eq!(Middlebox::named(key).map(|one| one.limit), Some(s(limit)), "{key}");
    }
    assert!(Middlebox::named("azure-lb").unwrap().source.to_string().ends_with("4 to 100"));
    assert!(MIDDLEBOXES.iter().all(|one| one.source.to_string().contains([',', ':'])));
    assert!(
        MIDDLEBOXES.iter().any(|one| one.limit == s(2 * 3600 + 4 * 60) && one.source.to_string().contains("REQ-5"))
    );
}
