use std::time::Duration;

use super::*;
use crate::lab::ears::frames::{cut_cable, verdict};

fn matrix() -> Matrix {
    let states = ["idle", "unacknowledged data in flight", "window shut", "reading paused"];
    let faults = ["cable cut", "frozen process", "orderly close"];
    let mut matrix = Matrix {
        title: "Who is still there?".to_string(),
        when: "2026-01-02".to_string(),
        kernel: "Linux 6.18".to_string(),
        server: "a|b".to_string(),
        version: "<1.0>".to_string(),
        settings: "idle 2 s, interval 1 s, count 3".to_string(),
        told: String::new(),
        cap: Duration::from_secs(45),
        keep: Duration::from_secs(20),
        states: states.map(str::to_string).to_vec(),
        faults: faults.map(str::to_string).to_vec(),
        cells: Vec::new(),
    };
    for fault in 0..3 {
        for state in 0..3 {
            matrix.cells.push(Cell { fault, state, verdict: verdict(), timeline: cut_cable() });
        }
    }
    matrix.cells[1].verdict.measured = None;
    matrix.cells[1].verdict.kept_its_promise = false;
    matrix.cells[3].verdict.measured = None;
    matrix.cells[3].verdict.predicted = None;
    matrix.cells[8].verdict.measured = Some(Duration::from_secs_f64(924.64));
    matrix
}

#[test]
fn the_table_fits_its_width() {
    let wide = table::draw(&matrix(), 80, false);
    let lines: Vec<&str> = wide.lines().collect();
    let expected = [
        "                         unacknowledged   window  reading",
        "                   idle  data in flight     shut   paused",
        "cable cut        4.12 ✓          > 60 ✗   4.12 ✓        –",
        "frozen process   kept ✓          4.12 ✓   4.12 ✓        –",
        "orderly close    4.12 ✓          4.12 ✓  924.6 ✓        –",
        "",
        "8 of 9 scenes kept their promise",
    ];
    assert_eq!(lines[3..10], expected);
    let narrow = table::draw(&matrix(), 40, false);
    assert_eq!(narrow.matches("orderly close").count(), 2, "{narrow}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    assert!(table::draw(&matrix(), 0, true).contains("\x1b[1;31m          > 60 ✗"));
}

#[test]
fn json_is_json() {
    let mut matrix = matrix();
    matrix.title = "\"\\\n\u{1} é".to_string();
    let said = json::write(&matrix);
    assert!(said.starts_with("{\"title\":\"\\\"\\\\\\u000a\\u0001 é\",\"when\":\"2026-01-02\""), "{said}");
    assert!(said.contains("\"predicted_from\":4.000000,\"predicted_to\":4.300000,\"measured\":null,"));
    assert!(said.contains("{\"at\":-1.000000,\"who\":\"client\",\"kind\":\"packet\",\"words\":\"SYN\"}"));
    assert_eq!(said.matches('{').count(), said.matches('}').count());
}

#[test]
fn the_page_fetches_nothing_and_escapes_all() {
    let page = page::write(&[matrix()]);
    assert_eq!(page.matches(" popover id=").count(), 9);
    assert_eq!(page.matches("<svg").count(), 2 * 9, "one for a phone each");
    assert!(page.contains("&lt;1.0&gt;") && !page.contains("<1.0>"));
    for fetching in ["<script", "<link", "src=", "@import", "url("] {
        assert!(!page.contains(fetching), "{fetching}");
    }
    assert_eq!(page.matches("http").count(), page.matches("xmlns=\"http").count());
}

#[test]
fn servers_stand_side_by_side() {
    let mut other = matrix();
    let first = Matrix { told: "keepcnt=3 | x".to_string(), ..matrix() };
    other.server = "textbook".to_string();
    other.faults.swap(0, 1);
    other.states.truncate(1);
    let said = markdown::write(&[first, other]);
    assert!(
        said.contains(
            "\n## Idle\n\n| fault | a\\|b | textbook |\n| --- | --- | --- |\n| cable cut | 4.12 ✓ | kept ✓ |\n"
        )
    );
    assert!(said.contains("| cable cut | **> 60 ✗** | – |"), "{said}");
    assert!(said.contains("| a\\|b | \\<1.0> | `keepcnt=3 \\| x` |"), "{said}");
    assert_eq!(markdown::write(&[]), "");
}

#[test]
fn nothing_run_is_said() {
    let empty = Matrix::default();
    assert!(table::draw(&empty, 80, false).contains("no scene was run"));
    assert!(page::write(std::slice::from_ref(&empty)).contains("no scene was run"));
    json::write(&empty);
}

#[test]
fn the_legend_says_what_is_in_the_table_and_no_more() {
    let mut matrix = matrix();
    let said = legend(std::slice::from_ref(&matrix));
    assert!(said.contains("“> 45”: still there 45 s after it") && said.contains("at the end, 20s or more"), "{said}");
    assert!(!said.contains(" ~ ") && !said.contains(" ° ") && !said.contains('†'), "{said}");
    matrix.cells[0].verdict.dropped = Some((7, 50));
    matrix.cells[0].verdict.measured = None;
    matrix.cells[2].verdict.orphan = true;
    let said = legend(std::slice::from_ref(&matrix));
    assert!(said.contains(" ~ living peers on a lossy path were dropped") && said.contains(" ° "), "{said}");
    let table = table::draw(&matrix, 80, true);
    assert!(table.contains("\x1b[33m   7/50 ~") && table.contains("4.12 ✓°"), "{table}");
    assert!(table.contains("8 of 9 scenes kept their promise; in one of them living peers were dropped"), "{table}");
    assert!(page::write(std::slice::from_ref(&matrix)).contains("class=\"odds\""));
    assert!(json::write(&matrix).contains("\"dropped\":7,\"dropped_of\":50,\"kept_its_promise\":true"));
    matrix.cells[1].verdict.own_time_out = true;
    assert!(legend(std::slice::from_ref(&matrix)).contains(" † the program closed, by a time-out of its own"));
    assert!(matrix.summary().ends_with("loss allows; 1 ended by a time-out of the program's own (†)"));
    assert_eq!(cell_words(&Verdict { own_time_out: true, orphan: true, ..verdict() }), "4.12 ✓†°");
    assert_eq!(cell_words(&Verdict { dropped: Some((1, 1)), ..verdict() }), "4.12 ~");
    assert_eq!(cell_words(&Verdict { dropped: Some((40, 50)), kept_its_promise: false, ..verdict() }), "40/50 ✗");
}

#[test]
fn several_servers_have_one_page() {
    let mut other = matrix();
    other.server = "textbook".to_string();
    let page = page::write(&[matrix(), other]);
    assert_eq!(page.matches(" popover id=").count(), 18);
    assert!(page.contains("id=\"scene-0-0-0\"") && page.contains("popovertarget=\"scene-1-2-2\""));
    assert!(page.contains(">textbook</h2>") && page.contains(">textbook: idle, cable cut</h2>"));
}
