use std::time::Duration;

use super::*;
use crate::lab::ears::frames::{cut_cable, verdict};

#[test]
fn what_is_never_answered_ends_at_the_cut() {
    let figure = draw(&cut_cable(), &verdict());
    // Three probes and the RST that follows them are lost; the departure has a cross of its own.
    assert_eq!(figure.matches("class=\"cross\"").count(), 2 * (4 + 1));
    assert!(figure.contains(">keepalive probe 3 of 3<") && figure.contains("predicted gone"));
    assert_eq!(figure.matches("<svg").count(), 1);
    assert_eq!(figure.matches("<text").count(), figure.matches("</text>").count());
    assert!(figure.contains("kept its promise") && !inline(&cut_cable(), &verdict()).contains("kept its promise"));
    assert!(!figure.contains("http") || figure.matches("http").count() == 1, "nothing is fetched");
}

#[test]
fn a_living_peer_loses_nothing() {
    let mut timeline = cut_cable();
    let answer = timeline.entries[3].clone();
    timeline.entries.retain(|entry| !matches!(entry.what, What::Departure { .. }));
    timeline.entries.push(TimelineEntry { at: answer.at + Duration::from_secs(30), ..answer });
    let kept = Verdict { measured: None, ..verdict() };
    let figure = draw(&timeline, &kept);
    assert!(!figure.contains("class=\"cross\""));
    assert!(figure.contains("still there after 60.0 s") && figure.contains("s of silence"));
}

#[test]
fn text_is_escaped() {
    let mut timeline = cut_cable();
    timeline.entries[0].what = What::Note("<script>\"&'\u{1}".to_string());
    let figure = draw(&timeline, &Verdict { scene: "<b>".to_string(), ..verdict() });
    assert!(!figure.contains("<script") && !figure.contains("<b>") && !figure.contains('\u{1}'));
    assert!(figure.contains("&lt;script&gt;&quot;&amp;&#39;"));
}

#[test]
fn nothing_at_all_can_be_drawn() {
    let empty = Timeline { entries: Vec::new(), origin: std::time::SystemTime::UNIX_EPOCH };
    draw(&empty, &verdict());
    draw(&empty, &Verdict { measured: None, predicted: None, ..verdict() });
}

#[test]
fn long_words_are_broken() {
    let lines = broken(&"word ".repeat(40), 66);
    assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= 66));
    assert_eq!(broken("", 66), [""]);
    assert_eq!(broken("a longerwordthanthat b", 10), ["a", "longerword", "thanthat b"]);
}

#[test]
fn there_is_one_for_a_phone() {
    let both = inline(&cut_cable(), &verdict());
    let (wide, narrow) = both.split_once("</svg>").unwrap();
    assert!(wide.contains("class=\"timeline wide\"") && narrow.contains("class=\"timeline narrow\""));
    assert!(narrow.contains("width=\"330\"") && narrow.contains("green: predicted gone after 4.0 to 4.3 s"));
    assert!(narrow.contains(">keepalive probe 3 of 3<"), "{narrow}");
    // Nothing extends beyond the figure, not even in a wide font.
    for part in narrow.split("<text ").skip(1) {
        let (x, rest) = part.split_once(" x=\"").unwrap().1.split_once('"').unwrap();
        let words = rest.split_once('>').unwrap().1.split_once('<').unwrap().0;
        let letter = if part.contains("strong") { WIDTH } else { 7.0 };
        let width = if part.contains("\"start\"") { words.chars().count() as f64 * letter } else { 0.0 };
        assert!(x.parse::<f64>().unwrap() + width <= 333.0, "{words:?} at {x}");
    }
}
