//! A report of every kind of figure, in each form.

use super::*;
use crate::load::trouble::{Kind, Trouble};
use crate::speak::Speak;

pub fn settings() -> Settings {
    Settings {
        target: "127.0.0.1:7007".parse().unwrap(),
        connections: 100,
        connect_rate: 5000,
        sources: Vec::new(),
        active: 10,
        size: 64,
        rate: Some(500.0),
        time: Duration::from_secs(10),
        speak: Speak::Echo,
        patience: Duration::from_secs(10),
        pid: None,
        json: None,
        html: None,
    }
}

fn report() -> Report {
    let mut report = Report::new(&settings(), 2);
    (report.connected, report.held, report.askers, report.lost) = (98, 97, 10, 1);
    (report.opening_took, report.exchanged_for) = (Duration::from_millis(200), Duration::from_secs(10));
    (report.exchanges, report.unanswered, report.interrupted) = (4000, 7, true);
    (1..=1000).for_each(|n| report.exchange.saturating_record(n * 1000));
    report.lateness.saturating_record(40_000);
    report.troubles.count(&Trouble::new(Kind::WrongBytes, "<at byte 3>"));
    report.samples = [0, 1].map(|s| Sample { at: Duration::from_secs(s), connected: s * 98, troubles: s }).to_vec();
    let footprint = |private| Footprint { private, slab: 97 * 8000 };
    report.at_start = Some(Footprint { private: 1000, slab: 0 });
    report.opened = Some(footprint(1000 + 97 * 48));
    report.memory = vec![(Duration::ZERO, footprint(1000)), (Duration::from_secs(1), footprint(1000 + 97 * 48))];
    report.cpu = Some(Duration::from_millis(20));
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
        "7 never answered",
        "48.0 bytes a peer",
        "1000 peers at least",
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
    ] {
        assert!(json.contains(part), "{part:?} is not in\n{json}");
    }
}

#[test]
fn nothing_at_all_can_be_told_too() {
    let nothing = Report::new(&settings(), 1);
    assert!(table::write(&nothing).contains("0 of 100"));
    assert!(!page::write(&nothing).contains("NaN"));
    assert!(json::write(&nothing).contains("\"connects_a_second\":null"));
}

#[test]
fn latencies_read_well() {
    let said = [900, 12_345, 999_499, 1_234_567, 999_999_999, 12_345_678_901].map(latency);
    assert_eq!(said, ["0.90 µs", "12.3 µs", "999 µs", "1.23 ms", "1.00 s", "12.3 s"]);
}
