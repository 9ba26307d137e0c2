//! The Grafana dashboard and the alert rules in `dist/`: they are what Grafana and Prometheus accept, and they ask only for
//! metrics that the server tells.
//!
//! promtool judges PromQL. Where it is missing, the trials that need it are reported as ignored, and stderr says why.

#[cfg(feature = "admin")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use stillthere::reactor::Departure;

/// Every metric of the admin port, and its kind.
const METRICS: [(&str, Kind); 32] = [
    ("stillthere_build_info", Kind::Plain),
    ("stillthere_peers", Kind::Plain),
    ("stillthere_peers_limit", Kind::Plain),
    ("stillthere_arrivals_total", Kind::Plain),
    ("stillthere_departures_total", Kind::Plain),
    ("stillthere_refusals_total", Kind::Plain),
    ("stillthere_lost_before_accept_total", Kind::Plain),
    ("stillthere_received_bytes_total", Kind::Plain),
    ("stillthere_sent_bytes_total", Kind::Plain),
    ("stillthere_accept_pauses_total", Kind::Plain),
    ("stillthere_upgrades_total", Kind::Plain),
    ("stillthere_upgrades_refused_total", Kind::Plain),
    ("stillthere_outbox_bytes", Kind::Plain),
    ("stillthere_outbox_limit_bytes", Kind::Plain),
    ("stillthere_log_lines_left_out_total", Kind::Plain),
    ("stillthere_event_lines_left_out_total", Kind::Plain),
    ("stillthere_deadline_seconds", Kind::Plain),
    ("stillthere_deadline_latest_seconds", Kind::Plain),
    ("stillthere_detection_latency_seconds", Kind::Histogram),
    ("stillthere_detections_late_total", Kind::Plain),
    ("stillthere_turns_total", Kind::Plain),
    ("stillthere_turn_work_seconds", Kind::Histogram),
    ("stillthere_turn_events", Kind::Histogram),
    ("stillthere_deadline_lateness_seconds", Kind::Histogram),
    ("process_cpu_seconds_total", Kind::Plain),
    ("process_open_fds", Kind::Plain),
    ("process_max_fds", Kind::Plain),
    ("process_virtual_memory_bytes", Kind::Plain),
    ("process_resident_memory_bytes", Kind::Plain),
    ("process_start_time_seconds", Kind::Plain),
    // Made by Prometheus itself.
    ("up", Kind::Plain),
    ("ALERTS", Kind::Plain),
];
/// The width of Grafana's grid.
const COLUMNS: u64 = 24;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// It has series that end in `_bucket`, `_sum` and `_count`, and none of its own name.
    Histogram,
}

fn main() {
    let missing = Command::new("promtool").arg("--version").output().err();
    if let Some(error) = &missing {
        eprintln!(
            "\nNOT RUN: promtool cannot be run ({error}): `apt-get install prometheus` installs it. What PromQL and the alert rules say is \
             not checked; these tests are ignored, they have not passed.\n"
        );
    }
    let trial = |name: &str, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let is_missing = missing.is_some();
    let trials = vec![
        trial("the_dashboard_can_be_imported", importable),
        trial("only_metrics_and_reasons_that_there_are_and_all_of_them", metrics),
        trial("each_alert_is_tried", each_alert_is_tried),
        #[cfg(feature = "admin")]
        trial("the_server_tells_these_metrics_and_no_others", told),
        trial("each_expression_is_promql", promql).with_ignored_flag(is_missing),
        trial("the_alert_rules_are_accepted", rules).with_ignored_flag(is_missing),
        trial("the_alerts_fire_when_they_should_and_only_then", alerts).with_ignored_flag(is_missing),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn dist(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/dist")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(dist(name)).expect("it is a file in dist/")
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana.json")).expect("the dashboard is JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// All that the dashboard asks for, each with its place.
fn asked(dashboard: &Value) -> Vec<(String, String)> {
    let mut asked = Vec::new();
    for panel in list(dashboard, "panels") {
        for target in list(panel, "targets") {
            let expr = target["expr"].as_str().unwrap_or_else(|| panic!("a target without an expression: {panel}"));
            asked.push((format!("panel {}", panel["title"]), expr.to_string()));
        }
    }
    for annotation in list(&dashboard["annotations"], "list") {
        asked.extend(
            annotation["expr"].as_str().map(|expr| (format!("annotation {}", annotation["name"]), expr.into())),
        );
    }
    asked
}

fn importable() {
    let dashboard = dashboard();
    // With an id, an import would replace whatever has that id. The uid makes the address of the page.
    assert!(dashboard["id"].is_null());
    assert_eq!(dashboard["uid"], "stillthere");
    assert!(dashboard["title"].is_string() && dashboard["schemaVersion"].as_u64() >= Some(30));
    let variables: Vec<_> =
        list(&dashboard["templating"], "list").iter().map(|one| (&one["name"], &one["type"])).collect();
    assert_eq!(variables, [(&"datasource".into(), &"datasource".into()), (&"instance".into(), &"query".into())]);

    let panels = list(&dashboard, "panels");
    let required: BTreeSet<_> = list(&dashboard, "__requires").iter().filter_map(|one| one["id"].as_str()).collect();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeMap::new());
    for panel in panels {
        let title = panel["title"].as_str().expect("each panel has a title");
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is that of another");
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
        assert!(width > 0 && height > 0 && x + width <= COLUMNS, "{title} is not on the grid");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            let other = taken.insert(cell, title);
            assert!(other.is_none(), "{title} lies on {other:?}");
        }
        let kind = panel["type"].as_str().expect("each panel has a type");
        if kind == "row" {
            continue;
        }
        assert!(required.contains(kind), "{title}: {kind} is not in __requires");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title} says what it shows");
        let targets = list(panel, "targets");
        assert!(!targets.is_empty(), "{title} shows nothing");
        let names: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().expect("a name")).collect();
        assert_eq!(names.len(), targets.len(), "{title}: two targets have one name");
        for one in targets.iter().chain([panel]) {
            assert_eq!(one["datasource"]["uid"], "${datasource}", "{title} asks another source of data");
        }
    }
    for (place, expr) in asked(&dashboard) {
        assert!(expr.contains(r#"instance=~"$instance""#), "{place} shows other instances, too: {expr}");
    }
}

/// The names of series in PromQL: of the words outside of strings, those that begin like one of our metrics.
fn series(expr: &str) -> BTreeSet<&str> {
    let outside = expr.split('"').step_by(2);
    let words = outside.flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    words.filter(|word| ["stillthere_", "process_"].iter().any(|start| word.starts_with(start))).collect()
}

/// The metric to which a series belongs.
fn metric(series: &str) -> Option<&'static str> {
    METRICS.iter().find_map(|(name, kind)| {
        let rest = series.strip_prefix(name)?;
        let fits = match kind {
            Kind::Plain => rest.is_empty(),
            Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&rest),
        };
        fits.then_some(*name)
    })
}

/// What the rules ask for. The YAML is ours, and has each expression on the line of its `expr`, or indented below it.
fn rules_asked() -> Vec<(String, String)> {
    let text = read("alerts.yml");
    let (mut asked, mut name): (Vec<(String, String)>, _) = (Vec::new(), String::new());
    let mut is_below = false;
    for line in text.lines().map(str::trim) {
        if let Some(alert) = line.strip_prefix("- alert: ") {
            name = alert.to_string();
        }
        match line.strip_prefix("expr: ") {
            Some(expr) => {
                is_below = expr == "|";
                asked.push((format!("alert {name}"), if is_below { String::new() } else { expr.to_string() }));
            }
            None if is_below && (line.starts_with("for:") || line.starts_with("labels:")) => is_below = false,
            None if is_below => {
                let (_, expr) = asked.last_mut().expect("it began with its `expr`");
                expr.push_str(line);
                expr.push(' ');
            }
            None => {}
        }
    }
    assert!(asked.len() >= 9 && asked.iter().all(|(_, expr)| !expr.is_empty()), "{asked:?}");
    asked
}

fn metrics() {
    let dashboard = dashboard();
    let shown = asked(&dashboard);
    for (place, expr) in shown.iter().chain(&rules_asked()) {
        for series in series(expr) {
            assert!(metric(series).is_some(), "{place}: there is no {series}");
        }
        for matcher in expr.split("reason").skip(1) {
            let Some(words) = matcher.trim_start_matches(['=', '~', '!']).strip_prefix('"') else { continue };
            for word in words.split('"').next().unwrap_or_default().split('|') {
                assert!(Departure::WORDS.contains(&word), "{place}: {word} is no reason");
            }
        }
    }
    let seen: BTreeSet<_> = shown.iter().flat_map(|(_, expr)| series(expr)).filter_map(metric).collect();
    let unseen = METRICS.iter().filter(|(name, _)| name.contains('_') && !seen.contains(name));
    assert_eq!(unseen.map(|(name, _)| *name).collect::<Vec<_>>(), [""; 0], "the dashboard does not show these");
}

/// A real server's answer has all of them, and nothing that the dashboard does not know.
#[cfg(feature = "admin")]
fn told() {
    let mut server = common::Server::start(&["127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let admin = common::http::admin(&mut server);
    let text = common::http::get(admin, "/metrics");
    let told: BTreeMap<_, _> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let by_us = METRICS.iter().filter(|(name, _)| name.contains('_'));
    let wanted: BTreeMap<_, _> = by_us.map(|(name, kind)| (*name, *kind == Kind::Histogram)).collect();
    let is_histogram: BTreeMap<_, _> = told.iter().map(|(name, kind)| (*name, *kind == "histogram")).collect();
    assert_eq!(is_histogram, wanted, "{text}");
    // Another moment would be taken for another process: an alert tells of that.
    let start =
        |text: &str| text.lines().find(|line| line.starts_with("process_start_time_seconds ")).map(str::to_string);
    for _ in 0..20 {
        assert_eq!(start(&common::http::get(admin, "/metrics")), start(&text));
    }
}

fn each_alert_is_tried() {
    let tests = read("alerts-test.yml");
    for (alert, _) in rules_asked() {
        let name = alert.trim_start_matches("alert ");
        let fires = format!("alertname: {name}\n        exp_alerts:");
        assert!(tests.contains(&fires), "no test lets {name} fire");
        assert!(tests.contains(&format!("alertname: {name}}}")), "no test keeps {name} quiet");
    }
}

/// What promtool says of a file; it must be content.
fn promtool(arguments: [&str; 2], file: PathBuf) {
    let output = Command::new("promtool").args(arguments).arg(&file).output().expect("promtool runs");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.contains("SUCCESS"), "promtool, {}:\n{said}", file.display());
}

/// promtool reads expressions only as rules, so each one becomes a rule.
fn promql() {
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (n, (place, expr)) in asked(&dashboard()).iter().enumerate() {
        let expr = expr.replace("$__rate_interval", "5m").replace("$__range", "6h").replace("$instance", ".+");
        assert!(!expr.contains('$'), "{place}: Grafana's variable in it is unknown to this test: {expr}");
        rules.push_str(&format!(
            "      # {place}\n      - record: dashboard:{n}\n        expr: {}\n",
            Value::from(expr)
        ));
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard.yml");
    fs::write(&file, rules).expect("it can be written");
    promtool(["check", "rules"], file.clone());
    fs::remove_file(file).expect("it was just written");
}

fn rules() {
    promtool(["check", "rules"], dist("alerts.yml"));
}

fn alerts() {
    promtool(["test", "rules"], dist("alerts-test.yml"));
}
