//! The metrics.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, exchange};
use crate::wire::start;

pub fn grammar() {
    let watched = start(&["--max-per-address", "2"]);
    let mut peer = watched.server.connect();
    exchange(&mut peer);
    let text = watched.get("/metrics").body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    promtool.stdin.take().unwrap().write_all(&text).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}

pub fn counts() {
    let watched = start(&["--max-per-address", "2", "--when-full", "refuse", "--deadline", "5s"]);
    let mut peers = [watched.server.connect(), watched.server.connect()];
    peers.iter_mut().for_each(exchange);
    let _refused = watched.server.connect();
    let [one, _two] = peers;
    drop(one);
    let started = Instant::now();
    while watched.metric("stillthere_departures_total{reason=\"closed\"}") != 1.0 {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    for (name, value) in [
        ("stillthere_peers", 1.0),
        ("stillthere_arrivals_total", 2.0),
        ("stillthere_departures_total{reason=\"reset\"}", 0.0),
        ("stillthere_refusals_total{reason=\"too_many_from_address\"}", 1.0),
        ("stillthere_refusals_total{reason=\"full\"}", 0.0),
        ("stillthere_received_bytes_total", 10.0),
        ("stillthere_sent_bytes_total", 10.0),
        ("stillthere_deadline_seconds", 5.0),
        ("stillthere_detection_latency_seconds_count", 0.0),
        ("stillthere_detections_late_total", 0.0),
        ("stillthere_log_lines_left_out_total", 0.0),
    ] {
        assert_eq!(watched.metric(name), value, "{name}");
    }
    // An admin client is no peer, but it is a descriptor.
    let text = watched.get("/metrics").text();
    for name in [
        "stillthere_peers_limit",
        "stillthere_outbox_limit_bytes",
        "stillthere_deadline_latest_seconds",
        "stillthere_turns_total",
        "stillthere_turn_work_seconds_count",
        "stillthere_turn_events_sum",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_max_fds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_start_time_seconds",
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value: f64 = line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap();
        assert!(value > 0.0 || name == "process_cpu_seconds_total", "{name} {value}");
    }
    assert!(!text.contains("NaN"), "{text}");
}

pub fn open_metrics() {
    let watched = start(&[]);
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5\r\n";
    let answer = watched.client().ask("GET", "/metrics", accept);
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{answer:?}"
    );
    let text = answer.text();
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    assert!(text.contains("# TYPE stillthere_arrivals counter\nstillthere_arrivals_total 0\n"), "{text}");
    assert!(text.contains("# TYPE stillthere_build info\nstillthere_build_info{version="), "{text}");
    assert!(text.contains("# UNIT stillthere_deadline_seconds seconds\n"), "{text}");
    // Each family has its metadata, and its samples follow without a gap.
    let mut family = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        match line.strip_prefix("# ") {
            Some(rest) => family = rest.split(' ').nth(1).unwrap(),
            None => assert!(line.starts_with(family), "{line} is not of {family}"),
        }
    }
}
