//! What keys do and what the screen shows, without a terminal and without a server.

use std::time::Duration;

use super::*;
use crate::ask::top::frame::Frame;
use crate::ask::top::keys::Key;
use crate::ask::top::told::{Entry, Slice};
use crate::ask::top::view::picture;

const BEGIN: u64 = 1_700_000_000_000;

fn told(name: &str, data: &str) -> Update {
    Update::Told(Told::of(name, data).unwrap().unwrap())
}

fn hello() -> Update {
    told(
        "hello",
        &format!(
            r#"{{"version":"0.1.0","time":{BEGIN},"deadline_ms":10000,"idle_ms":5000,"interval_ms":1000,"count":5,
            "listen":["127.0.0.1:7007"],"limit":20000,"pace_ms":1000}}"#
        ),
    )
}

/// A server with this many peers, each a tenth of a second quieter than the next.
fn with_peers(count: u64) -> Top {
    let mut top = Top::new("127.0.0.1:7070".into(), true);
    assert!(top.take(hello(), 0));
    let entries = (0..count).map(|nth| Entry {
        id: format!("3f2a1c{nth:04x}-{nth:x}"),
        address: Some(format!("192.0.2.{}:{}", nth % 250, 5000 + nth)),
        heard: BEGIN - 9000 + nth * 100,
        probes: u64::from(nth < 20),
        waiting: nth % 3,
    });
    top.take(Update::Told(Told::Peers(Slice { full: true, last: true, entries: entries.collect() })), 0);
    top
}

fn figures(at: u64, arrivals: u64, closed: u64) -> Update {
    told(
        "figures",
        &format!(
            r#"{{"at":{at},"peers":30,"limit":20000,"arrivals":{arrivals},"departures":{{"closed":{closed},"reset":7}},"refusals":{{}},
            "received_bytes":{},"sent_bytes":0,"turns":{},"detection":{{"le":[],"counts":[],"sum":30.6,"count":3}},"outbox_bytes":0,"late":0}}"#,
            arrivals * 100_000,
            arrivals * 10
        ),
    )
}

fn text(frame: &Frame) -> String {
    frame.lines.iter().map(|line| line.text().trim_end().to_string() + "\n").collect()
}

fn shown(top: &mut Top, local: u64) -> String {
    text(&picture(top, 80, 24, local))
}

#[test]
fn the_whole_screen() {
    let mut top = with_peers(30);
    top.take(figures(BEGIN, 10, 1), 0);
    top.take(told("turns", r#"{"turns":[{"n":1,"wait_us":9000,"drive_us":900,"accept_us":100,"events":4}]}"#), 100);
    top.take(figures(BEGIN + 1000, 22, 4), 1000);
    let departure = r#"{"event":"departure","time":"2026-11-26T14:38:58.123Z","id":"x-1","peer":"192.0.2.9:1","reason":"reset","connected_ms":5000,"silent_ms":20}"#;
    top.take(told("news", departure), 1000);
    let screen = shown(&mut top, 1000);
    let expected = "\
stillthere 0.1.0 on 127.0.0.1:7007 (admin 127.0.0.1:7070)      30 of 20000 peers
arrivals 12/s, 22 in all; in 1.1M/s, out 0/s
departures 3/s: closed 3
turns 120/s (4 events, 1.0ms of work): wait 90% drive 9.0% accept 1.0%
deadline 10s (idle 5s, 5 probes 1s apart); 3 found dead after 10.2s on average
  SILENT                     PEER                  PROBES WAITING ID
   10.0s ███████████████████ 192.0.2.0:5000             1       0 3f2a1c0000-0
";
    assert!(screen.starts_with(expected), "{screen}");
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 24);
    assert_eq!(lines[22], "14:38:58 192.0.2.9:1 reset, silent 0.0s, connected 5.0s");
    assert_eq!(lines[23], "q quit  s sort: silence  / filter  Enter story  d drop  ? help");
    assert_eq!(lines.iter().filter(|line| line.contains("192.0.2.") && line.contains("3f2a")).count(), 16);
}

#[test]
fn every_size_has_its_picture() {
    let mut top = with_peers(100);
    top.take(figures(BEGIN, 10, 1), 0);
    (0..20).for_each(|nth| top.note(format!("event {nth} {}", "x".repeat(200))));
    for (width, height) in
        (0..60).flat_map(|height| [0, 1, 2, 5, 20, 40, 79, 80, 81, 132, 300].map(|width| (width, height)))
    {
        for mode in [
            Mode::Table,
            Mode::Filter,
            Mode::Help,
            Mode::Story { id: "1-1".into(), lines: Ok(vec!["a word ".repeat(50), "x".repeat(500)]), answered: None },
            Mode::Confirm { id: "1-1".into(), address: "y".repeat(100) },
        ] {
            top.mode = mode;
            top.press_down_and_back();
            let frame = picture(&mut top, width, height, 100);
            assert_eq!(frame.lines.len(), usize::from(height), "{width}x{height}");
            for line in frame.lines(true) {
                let bare = line.replace("\u{1b}[1m", "").replace("\u{1b}[7m", "").replace("\u{1b}[0m", "");
                assert!(bare.chars().count() <= usize::from(width), "{width}x{height}: {bare}");
            }
        }
    }
}

impl Top {
    fn press_down_and_back(&mut self) {
        let mode = std::mem::take(&mut self.mode);
        for key in [Key::End, Key::PageUp, Key::PageDown, Key::Home, Key::Down] {
            self.press(key);
        }
        self.mode = mode;
    }

    fn looks(&mut self, local: u64) -> Vec<crate::ask::top::frame::Look> {
        let frame = picture(self, 80, 24, local);
        let rows = frame.lines.iter().filter(|line| line.text().contains("192.0.2."));
        rows.filter_map(|line| line.0.get(1).map(|(look, _)| *look)).collect()
    }
}

#[test]
fn silence_grows_with_the_server_s_clock_and_turns_red() {
    use crate::ask::top::frame::Look;
    let mut top = with_peers(0);
    assert!(shown(&mut top, 0).contains("nobody is connected"));
    top.take(told("news", r#"{"event":"arrival","id":"1-1","peer":"192.0.2.1:1","local":null}"#), 1000);
    top.take(told("news", r#"{"event":"arrival","id":"1-2","peer":"192.0.2.2:1","local":null}"#), 1000);
    top.press(Key::Down);
    assert!(shown(&mut top, 3500).contains("    2.5s ████▌····"), "{}", shown(&mut top, 3500));
    assert_eq!(top.looks(3500), [Look::Calm; 2]);
    assert_eq!(top.looks(6100), [Look::Uneasy; 2]);
    assert_eq!(top.looks(9000), [Look::Alarmed; 2]);
    // A sign of life, and a clock that the server has moved on.
    top.take(told("figures", &format!(r#"{{"at":{},"peers":2}}"#, BEGIN + 60_000)), 9000);
    let heard = BEGIN + 59_000;
    top.take(
        told(
            "peers",
            &format!(r#"{{"sweep":2,"full":false,"last":true,"peers":[["1-1",{heard},0,0],["1-2",{heard},0,2048]]}}"#),
        ),
        9000,
    );
    assert!(shown(&mut top, 9000).contains("    1.0s █▌·"), "{}", shown(&mut top, 9000));
    assert_eq!(top.looks(9000), [Look::Calm; 2]);
}

#[test]
fn the_selection_moves_and_stays_on_the_screen() {
    let mut top = with_peers(100);
    shown(&mut top, 0);
    let rows = top.rows;
    assert!((15..=20).contains(&rows), "{rows}");
    let at = |top: &mut Top, key: Key| {
        top.press(key);
        shown(top, 0);
        assert!((top.first..top.first + rows).contains(&top.selected), "{key:?}");
        (top.selected, top.first)
    };
    assert_eq!(at(&mut top, Key::Up), (0, 0));
    assert_eq!(at(&mut top, Key::Down), (1, 0));
    assert_eq!(at(&mut top, Key::PageDown), (1 + rows, rows));
    assert_eq!(at(&mut top, Key::End), (99, 100 - rows));
    assert_eq!(at(&mut top, Key::Down), (99, 100 - rows));
    assert_eq!(at(&mut top, Key::Up), (98, 100 - rows));
    assert_eq!(at(&mut top, Key::Home), (0, 0));
    // Everybody leaves but one.
    top.press(Key::End);
    let one = Entry { id: "1-1".into(), address: Some("192.0.2.1:1".into()), heard: BEGIN, probes: 0, waiting: 0 };
    top.take(Update::Told(Told::Peers(Slice { full: true, last: true, entries: vec![one] })), 0);
    assert!(shown(&mut top, 0).contains("1-1"));
    assert_eq!((top.selected, top.first), (0, 0));
}

#[test]
fn a_filter_is_typed_and_cleared() {
    let mut top = with_peers(30);
    shown(&mut top, 0);
    for key in "/192.0.2.7:q".chars() {
        assert_eq!(top.press(Key::Letter(key)), None, "q is a letter here");
    }
    assert!(shown(&mut top, 0).ends_with("/192.0.2.7:q   Enter: done  Esc: all\n"), "{}", shown(&mut top, 0));
    assert!(shown(&mut top, 0).contains("nobody matches the filter"));
    top.press(Key::Backspace);
    top.press(Key::Enter);
    let screen = shown(&mut top, 0);
    assert!(
        top.order.len() == 1 && screen.contains("192.0.2.7:5007") && screen.contains("/ filter (192.0.2.7:)"),
        "{screen}"
    );
    top.press(Key::Escape);
    shown(&mut top, 0);
    assert_eq!(top.order.len(), 30);
}

#[test]
fn nobody_is_dropped_by_mistake() {
    let mut top = with_peers(30);
    shown(&mut top, 0);
    top.press(Key::Down);
    let id = top.order[1].to_string();
    assert_eq!(top.press(Key::Letter('d')), None);
    // Between question and answer everybody else leaves, so that another row is where it was.
    let others: Vec<Arc<str>> = top.order.iter().filter(|other| ***other != *id).cloned().collect();
    others[..20].iter().for_each(|id| top.peers.depart(id));
    assert!(shown(&mut top, 0).ends_with(&format!("Drop 192.0.2.1:5001 ({id})? y: yes, any other key: no\n")));
    assert_eq!(top.press(Key::Letter('y')), Some(Wish::Drop(id.clone())), "it is the one that was named");
    top.take(Update::Dropped { id: id.clone(), result: Ok(()) }, 0);
    assert!(shown(&mut top, 0).ends_with(&format!("{id} is let go\n")));
    for other in [Key::Letter('n'), Key::Enter, Key::Escape, Key::Letter('d')] {
        top.press(Key::Letter('d'));
        assert_eq!(top.press(other), None, "{other:?}");
        assert_eq!(top.mode, Mode::Table);
        assert!(shown(&mut top, 0).ends_with("nobody was let go\n"));
    }
    let mut empty = with_peers(0);
    shown(&mut empty, 0);
    assert_eq!((empty.press(Key::Letter('d')), empty.press(Key::Enter)), (None, None), "there is nobody");
}

#[test]
fn a_story_is_asked_for_and_kept_fresh() {
    let mut top = with_peers(3);
    shown(&mut top, 0);
    let id = top.order[0].to_string();
    assert_eq!(top.press(Key::Enter), Some(Wish::Story(id.clone())));
    assert_eq!(top.story_is_due(5000), None, "the first answer is awaited");
    top.take(Update::Story { id: "9-9".into(), lines: Ok(vec!["of another one".into()]) }, 5000);
    top.take(Update::Story { id: id.clone(), lines: Ok(vec!["It was connected.".into()]) }, 5000);
    assert!(shown(&mut top, 5000).contains("  It was connected.\n"), "{}", shown(&mut top, 5000));
    assert_eq!(
        (top.story_is_due(5500), top.story_is_due(6000), top.story_is_due(9000)),
        (None, Some(id.clone()), None)
    );
    top.take(Update::Story { id: id.clone(), lines: Err("there is no such peer any more".into()) }, 6100);
    assert!(shown(&mut top, 6100).contains("no such peer any more"));
    assert_eq!(top.story_is_due(9000), None, "it will not come back");
    top.press(Key::Letter('q'));
    assert_eq!(top.mode, Mode::Table, "q leaves the story, not the program");
}

#[test]
fn a_server_that_has_gone_is_told_of_and_comes_back_empty() {
    let mut top = with_peers(3);
    shown(&mut top, 0);
    let away =
        |pause: u64| Update::Away { sentence: "nothing listens there".into(), pause: Duration::from_millis(pause) };
    top.take(away(250), 1000);
    top.take(away(8000), 2000);
    let screen = shown(&mut top, 4000);
    assert!(screen.ends_with("The server has gone; next try in 6s. nothing listens there\n"), "{screen}");
    assert!(screen.contains("   10.0s ██"), "silence stands still: {screen}");
    top.take(hello(), 10_000);
    let screen = shown(&mut top, 10_000);
    assert!(screen.contains("the server looks at its peers") && screen.contains("? help"), "{screen}");
}

#[test]
fn what_is_not_shown_is_told_of() {
    let mut top = with_peers(30);
    top.take(figures(BEGIN, 10, 1), 0);
    assert!(!shown(&mut top, 0).contains("are shown"));
    let many = told("figures", &format!(r#"{{"at":{BEGIN},"peers":250000}}"#));
    top.take(many, 0);
    assert!(shown(&mut top, 0).contains("\n30 of 250000 peers are shown, `stillthere who` lists all\n"));
    top.take(told("news", r#"{"event":"left_out","seq":9,"count":1}"#), 0);
    assert!(shown(&mut top, 0).contains("\n1 event left out: this line is too slow"), "{}", shown(&mut top, 0));
}

#[test]
fn the_same_turn_counts_once() {
    let mut top = with_peers(0);
    let turns = |from: u64| {
        format!(r#"{{"turns":[{{"n":{from},"wait_us":10,"events":1}},{{"n":{},"wait_us":10,"events":1}}]}}"#, from + 1)
    };
    top.take(told("turns", &turns(5)), 0);
    top.take(told("turns", &turns(6)), 0);
    top.take(figures(BEGIN, 1, 1), 0);
    assert_eq!((top.spent.turns, top.spent.parts[0], top.spent.events), (3, 30, 3));
    top.take(figures(BEGIN + 1000, 1, 1), 1000);
    assert_eq!(top.spent, Spent::default(), "nothing since");
    let rates = rates(
        &Figures { at: 5, arrivals: 9, ..Figures::default() },
        &Figures { at: 5, arrivals: 3, ..Figures::default() },
    );
    assert_eq!(rates, Rates::default(), "a clock that stands, counts that go back: nothing breaks");
}
