//! A report of every kind of figure, in each form.

use super::*;
use crate::load::criterion::Criterion;
use crate::load::trouble::{Trouble, TroubleKind};
use crate::speak::Speak;

pub fn settings() -> LoadSettings {
    LoadSettings { connections: 100, rate: Some(500.0), ..LoadSettings::of("127.0.0.1:7007".parse().unwrap()) }
}

pub fn report() -> Report {
    let mut report = Report::new(&settings());
    (report.sources, report.connected, report.askers, report.lost) = (2, 98, 10, 1);
    (report.heard, report.understood) = (10, 993);
    report.held = Some(Held { at_start: 97, least: 97, at_end: 97 });
    (report.opening_took, report.exchanged_for) = (Duration::from_millis(200), Duration::from_secs(10));
    (report.exchanges, report.unanswered, report.interrupted) = (4000, 7, true);
    (1..=1000).for_each(|n| report.exchange.saturating_record(n * 1000));
    report.lateness.saturating_record(40_000);
    report.troubles.count(&Trouble::new(TroubleKind::WrongBytes, "<at byte 3>"));
    report.samples = [0, 1].map(|s| Sample { at: Duration::from_secs(s), connected: s * 98, troubles: s }).to_vec();
    let footprint = |private| Footprint { private, slab: 97 * 8000 };
    report.at_start = Some(Footprint { private: 1000, slab: 0 });
    report.opened = Some(footprint(1000 + 97 * 48));
    report.memory = vec![(Duration::ZERO, footprint(1000)), (Duration::from_secs(1), footprint(1000 + 97 * 48))];
    report.cpu = Some(Used { time: Duration::from_millis(20), ended: 0 });
    report
}

#[test]
fn the_table_has_every_figure() {
    let table = table::write(&report());
    for part in [
        "98 of 100, from 2 addresses",
        "490 a second (at most 5000)",
        "4000: 400 a second",
        "50 % 500 µs, 90 % 900 µs, 99 % 990 µs, 99.9 % 1.00 ms, max 1.00 ms",
        "late by 50 % 40.0 µs",
        "7 never answered, not within 2.0 s more",
        "48.0 bytes a peer",
        "88 connected, not known to be accepted",
        "5.00 µs an exchange",
        "1; the first: <at byte 3>",
        "interrupted; this is the report so far. 1 connection in trouble",
    ] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
}

#[test]
fn the_page_fetches_nothing_and_escapes_all() {
    let page = page::write(&report());
    assert!(page.contains("&lt;at byte 3&gt;") && !page.contains("<at byte"));
    let addresses = page.matches("http").count();
    assert_eq!(addresses, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    assert_eq!(page.matches("<svg").count(), 4, "connections, two of memory, latency");
    assert!(!page.contains("NaN") && !page.contains("inf,"));
}

#[test]
fn the_json_has_seconds_and_bytes() {
    let json = json::write(&report());
    for part in [
        "\"connected\":98,",
        "\"latency\":{\"count\":1000,\"mean\":0.000500",
        "\"server_bytes_a_peer\":48.000000",
        "\"troubles\":[{\"kind\":\"wrong bytes\",\"count\":1,",
        "\"connect\":null",
        "\"held_least\":97,",
        "\"success\":false,",
        "\"kernel_slab_bytes_a_peer\":null",
    ] {
        assert!(json.contains(part), "{part:?} is not in\n{json}");
    }
}

#[test]
fn nothing_at_all_can_be_told_too() {
    let nothing = Report::new(&settings());
    assert!(table::write(&nothing).contains("0 of 100"));
    assert!(!page::write(&nothing).contains("NaN"));
    assert!(json::write(&nothing).contains("\"connects_a_second\":null"));
}

#[test]
fn latencies_read_well() {
    let said = [900, 12_345, 999_499, 1_234_567, 999_999_999, 12_345_678_901].map(latency);
    assert_eq!(said, ["0.90 µs", "12.3 µs", "999 µs", "1.23 ms", "1.00 s", "12.3 s"]);
}

/// Figures that are not known are left out, in each form, and never shown as 0 or below it.
#[test]
fn what_is_not_known_is_not_told() {
    let mut report = report();
    report.opened = Some(Footprint { private: 500, slab: 0 }); // it gave back more than the peers took
    report.memory.iter_mut().for_each(|(_, footprint)| footprint.private = 900);
    (report.connected, report.opening_took, report.held) = (0, Duration::from_secs(5), None);
    (report.exchange, report.exchanges, report.unanswered) = (latencies(), 0, 0);
    let (table, json, page) = (table::write(&report), json::write(&report), page::write(&report));
    for part in ["bytes a peer", ": 0 a second", "0.00 µs", "50 %  ", "held", "-"] {
        assert!(!table.contains(part), "{part:?} is in\n{table}");
    }
    for name in ["server_bytes_a_peer", "connects_a_second", "latency", "held_at_start", "server_cpu_an_exchange"] {
        assert!(json.contains(&format!("\"{name}\":null")), "{name}: {json}");
    }
    assert!(!page.contains("Private memory") && page.matches(">0 KiB<").count() == 1, "only the slabs grew");
}

#[test]
fn success_is_what_was_seen_to_work() {
    let mut good = report();
    (good.troubles, good.unanswered, good.interrupted) = (Troubles::default(), 0, false);
    assert!(good.is_success() && good.summary() == "no trouble, every byte correct");
    let outcome = |change: fn(&mut Report)| {
        let mut report = good.clone();
        change(&mut report);
        let json = json::write(&report);
        assert!(json.contains(&format!("\"success\":{}", report.is_success())));
        assert!(
            table::write(&report).ends_with(&report.summary()) && page::write(&report).contains("class=\"summary\"")
        );
        (report.is_success(), report.summary())
    };
    let (success, words) = outcome(|report| (report.exchange, report.exchanges) = (latencies(), 0));
    assert!(!success && words == "no trouble, but no answer", "{words}");
    let (success, words) = outcome(|report| (report.interrupted, report.held, report.untried) = (true, None, 2));
    assert!(!success && words.contains("98 of 100 connected, 0 on their way, 2 not tried"), "{words}");
    let (success, words) = outcome(|report| {
        (report.settings.speak, report.settings.active, report.askers) = (Speak::None, 0, 0);
        report.exchange = latencies();
    });
    assert!(success && words.contains("not known to be accepted"), "{words}");
    let (success, words) = outcome(|report| report.troubles.count(&Trouble::new(TroubleKind::Unanswered, "late")));
    assert!(!success && words == "1 connection in trouble", "{words}");
    let (success, words) = outcome(|report| {
        report.troubles.count(&Trouble::new(TroubleKind::Reset, "gone"));
        report.settings.fail_if = Criterion::list("errors>1%,p99>1s").unwrap();
    });
    assert!(success && words.contains("which --fail-if judges; no condition of --fail-if came true"), "{words}");
    let (success, words) = outcome(|report| report.settings.fail_if = Criterion::list("errors>1%,p99>1us").unwrap());
    assert!(!success && words.ends_with("failed by 1 of 2 conditions of --fail-if"), "{words}");
}
