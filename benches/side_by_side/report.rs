//! The figures as a document: tables, ratios with their spread, bars, and the targets.
//!
//! Owns the words and the comparison. Knows no process.

use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

use stillthere::markup::svg;

use crate::contestants::{AT_ONCE, Contestant};
use crate::measures::Figures;

type Measured = [Vec<Option<Figures>>];

/// A row: a figure's key, its description, digits after the point, and whether ratios are printed.
type Row = (&'static str, &'static str, usize, bool);

const TABLES: &[(&str, &[Row])] = &[
    (
        "Memory",
        &[
            ("peers", "idle peers", 0, false),
            ("idle_bytes", "user-space bytes, an idle peer", 1, false),
            ("spoke_bytes", "the same, spoke once", 1, false),
            ("kernel_bytes", "kernel's slabs, bytes a peer, both ends", 0, false),
            ("after_kib", "private memory after all have gone, KiB", 0, false),
        ],
    ),
    (
        "Ten idle seconds with all peers",
        &[("calls", "system calls", 0, false), ("switches", "context switches", 0, false)],
    ),
    (
        "Connecting and closing",
        &[
            ("accepts", "accepted a second", 0, true),
            ("accept_cpu_us", "server CPU an accept, µs", 2, true),
            ("churn", "connect, exchange, close a second", 0, true),
            ("churn_cpu_us", "server CPU of that, µs", 1, true),
            ("cut_worst_ms", "worst ping while all others are cut, ms", 1, true),
            ("cut_s", "until all of them are let go, s", 2, true),
            ("cut_cpu_ms", "server CPU of that, ms", 0, true),
        ],
    ),
    (
        "Round trips, ten at once",
        &[
            ("rt_0", "a second, no idle peer", 0, true),
            ("rt_1000", "a second, 1 000 idle", 0, true),
            ("rt_5000", "a second, 5 000 idle", 0, true),
            ("rt_all", "a second, all idle", 0, true),
            ("p50_0", "p50, no idle peer, µs", 1, true),
            ("p99_0", "p99, no idle peer, µs", 0, false),
            ("p999_0", "p99.9, no idle peer, µs", 0, false),
            ("p50_1000", "p50, 1 000 idle, µs", 1, false),
            ("p99_1000", "p99, 1 000 idle, µs", 0, false),
            ("p999_1000", "p99.9, 1 000 idle, µs", 0, false),
            ("p50_5000", "p50, 5 000 idle, µs", 1, false),
            ("p99_5000", "p99, 5 000 idle, µs", 0, false),
            ("p999_5000", "p99.9, 5 000 idle, µs", 0, false),
            ("p50_all", "p50, all idle, µs", 1, true),
            ("p99_all", "p99, all idle, µs", 0, false),
            ("p999_all", "p99.9, all idle, µs", 0, false),
            ("cpu_0", "server CPU a round trip, no idle peer, µs (× 0.1: s for 100 000)", 2, true),
            ("cpu_1000", "the same, 1 000 idle", 2, true),
            ("cpu_5000", "the same, 5 000 idle", 2, true),
            ("cpu_all", "the same, all idle", 2, true),
        ],
    ),
    (
        "Server CPU of an exchange under load, µs",
        &[
            ("cpu_16k", "16 KiB, 100 ask", 2, true),
            ("cpu_256k", "256 KiB, 100 ask", 1, true),
            ("cpu_1000_ask", "64 bytes, 1 000 ask", 2, true),
            ("cpu_9000_ask", "64 bytes, 9 000 ask", 2, true),
        ],
    ),
    (
        "The program",
        &[
            ("binary", "file, bytes", 0, false),
            ("start_kib", "private memory at start, KiB", 0, false),
            ("listening_ms", "from exec until it can be connected to, ms", 1, false),
        ],
    ),
];

fn values<'a>(rounds: &'a [Option<Figures>], key: &'a str) -> impl Iterator<Item = f64> + 'a {
    rounds.iter().flatten().filter_map(move |figures| figures.get(key).copied())
}

/// The median, the least and the highest.
fn spread(values: impl Iterator<Item = f64>) -> Option<(f64, f64, f64)> {
    let mut values = values.filter(|value| value.is_finite()).collect::<Vec<_>>();
    values.sort_by(f64::total_cmp);
    Some((*values.get(values.len() / 2)?, *values.first()?, *values.last()?))
}

/// The ratios to the first contestant, each within a round.
fn ratios<'a>(measured: &'a Measured, of: usize, key: &'a str) -> impl Iterator<Item = f64> + 'a {
    let both = measured[of].iter().zip(&measured[0]);
    both.filter_map(move |(one, first)| Some(one.as_ref()?.get(key)? / first.as_ref()?.get(key)?))
}

pub fn write(contestants: &[Contestant], measured: &Measured, rounds: usize, peers: usize) -> String {
    let mut text = String::from("# What an idle connection costs\n\n");
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |pair| pair.1);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "`make bench` ({rounds} rounds, {peers} peers) on {}: {} CPUs, {model}, Linux {}, {}.\n",
        &date[..10],
        std::thread::available_parallelism().map_or(0, usize::from),
        kernel.trim(),
        String::from_utf8_lossy(&rustc).trim(),
    );
    text += "Client and server share the machine, on loopback. Every round measures all contestants, one after the \
             other; a figure is the median of the rounds. In brackets: its ratio to the C server of the same round, \
             median and (least–highest). The C server is `benches/limit/epoll_echo.c`, edge-triggered, with nothing \
             but what an echo needs; its variant has a budget for closing. \
             `stillthere` is the server alone (`--no-default-features --features serve`); the load generator is the whole \
             program. Proxies hold two connections for each peer, and so half as many peers. “Accepted a second” and “round \
             trips a second” are limited by the client, too; the CPU figures are the server's alone. To cut all other peers in \
             one instant, the server is stopped while their ends are closed; when it is resumed, a ping is already waiting. For \
             the exchanges under load all contestants run at the same time, and a row is measured for all of them before the next \
             row begins; each asking peer sends its next question when the last one was answered. memcached is asked for a value \
             that it holds, and so moves half of the bytes: it is left out of the long exchanges.\n\n";
    let gentle = contestants.iter().filter(|one| one.connect_rate < AT_ONCE);
    for Contestant { name, connect_rate, .. } in gentle {
        let _ = writeln!(
            text,
            "{name} cannot accept all peers at once: {connect_rate} connections a second are opened to it, and its rate of \
             accepting is not reported.\n"
        );
    }
    let versions = contestants.iter().filter(|one| !one.version.is_empty());
    let versions = versions.map(|one| format!("{} {}", one.name, one.version)).collect::<Vec<_>>();
    let _ = writeln!(text, "Versions: {} (cc for C).\n", versions.join(", "));
    targets(&mut text, contestants, measured);
    for (title, rows) in TABLES {
        let names = contestants.iter().map(|one| one.name).collect::<Vec<_>>();
        let _ = writeln!(text, "## {title}\n\n| | {} |\n| --- |{}", names.join(" | "), " ---: |".repeat(names.len()));
        for (key, words, digits, has_ratio) in *rows {
            let cell = |of: usize| {
                let Some((median, ..)) = spread(values(&measured[of], key)) else { return "–".to_string() };
                let ratio = spread(ratios(measured, of, key)).filter(|_| *has_ratio && of > 0);
                let ratio = ratio.map(|(ratio, least, most)| format!(" [{ratio:.2} ({least:.2}–{most:.2})]"));
                format!("{median:.digits$}{}", ratio.unwrap_or_default())
            };
            let cells = (0..contestants.len()).map(cell).collect::<Vec<_>>();
            let _ = writeln!(text, "| {words} | {} |", cells.join(" | "));
        }
        text.push('\n');
    }
    let pictures = PICTURES.iter().map(|(name, _, title)| format!("![{title}]({name})\n"));
    text + &pictures.collect::<Vec<_>>().join("\n")
}

/// The targets, and whether they were reached.
fn targets(text: &mut String, contestants: &[Contestant], measured: &Measured) {
    let Some(ours) = contestants.iter().position(|one| one.name == "stillthere") else { return };
    *text += "## Targets\n\n| | target | measured (median, least–highest) | |\n| --- | --- | --- | --- |\n";
    let mut row = |words: &str, most: bool, limit: f64, found: Option<(f64, f64, f64)>| {
        let Some((median, low, high)) = found else { return };
        let reached =
            if (most && median <= limit) || (!most && median >= limit) { "reached" } else { "**not reached**" };
        let sign = if most { '≤' } else { '≥' };
        let digits = if limit < 10.0 && limit > 0.0 { 3 } else { 1 };
        let _ = writeln!(
            text,
            "| {words} | {sign} {limit} | {median:.digits$} ({low:.digits$}–{high:.digits$}) | {reached} |"
        );
    };
    let own = |key| spread(values(&measured[ours], key));
    let ratio = |key| spread(ratios(measured, ours, key));
    row("bytes of user space, idle peer", true, 64.0, own("idle_bytes"));
    row("bytes of user space, idle peer that spoke once", true, 64.0, own("spoke_bytes"));
    let grown = measured[ours].iter().flatten();
    let grown = grown.filter_map(|figures| Some(figures.get("after_kib")? - figures.get("start_kib")?));
    row("KiB kept after a burst", true, 1024.0, spread(grown));
    row("system calls in ten idle seconds", true, 0.0, own("calls"));
    row("round trips, to the C server's", false, 0.98, ratio("rt_0"));
    row("accepts, to the C server's", false, 0.95, ratio("accepts"));
    row("churn, to the C server's", false, 0.95, ratio("churn"));
    row("CPU a round trip, to the C server's", true, 1.03, ratio("cpu_0"));
    row("CPU of an echo of 16 KiB, 100 ask, to the C server's", true, 1.05, ratio("cpu_16k"));
    row("CPU of an echo of 256 KiB, 100 ask, to the C server's", true, 1.05, ratio("cpu_256k"));
    let idle = measured[ours].iter().flatten();
    let idle = idle.filter_map(|figures| Some(figures.get("rt_all")? / figures.get("rt_0")?));
    row("round trips with all idle peers, to those with none", false, 0.97, spread(idle));
    row("worst ping while all others are cut, to the C server's", true, 0.1, ratio("cut_worst_ms"));
    row("from exec to listening, ms", true, 10.0, own("listening_ms"));
    row("private memory at start, KiB", true, 200.0, own("start_kib"));
    text.push('\n');
}

/// A file, the figure's key, and the title.
const PICTURES: &[(&str, &str, &str)] = &[
    ("benchmarks-memory.svg", "idle_bytes", "User-space bytes for an idle peer"),
    ("benchmarks-cut.svg", "cut_worst_ms", "Worst ping in ms while all other peers are cut at once"),
    ("benchmarks-cpu.svg", "cpu_0", "Server CPU for a round trip, µs"),
];

pub fn figures(contestants: &[Contestant], measured: &Measured) -> Vec<(&'static str, String)> {
    let figure = |(name, key, title): &(&'static str, &str, &str)| (*name, bars(contestants, measured, key, title));
    PICTURES.iter().map(figure).collect()
}

/// Bars from zero to the medians, each with a whisker from the least to the highest.
fn bars(contestants: &[Contestant], measured: &Measured, key: &str, title: &str) -> String {
    const LEFT: f64 = 180.0;
    const WIDTH: f64 = 440.0;
    const ROW: f64 = 26.0;
    let rows: Vec<_> =
        (0..contestants.len()).filter_map(|of| Some((of, spread(values(&measured[of], key))?))).collect();
    let highest = rows.iter().map(|(_, (_, _, most))| *most).fold(f64::MIN_POSITIVE, f64::max);
    let across = |value: f64| LEFT + value.max(0.0) / highest * WIDTH;
    let height = 50.0 + ROW * rows.len() as f64;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 700 {height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\"><style>text {{ fill: #1b2430 }} .title {{ font-weight: 600; font-size: 15px }} .bar {{ fill: \
         #9fb3c1 }} .ours {{ fill: #0b6e99 }} line {{ stroke: #1b2430 }} .paper {{ fill: #fff }}</style>\
         <rect class=\"paper\" width=\"700\" height=\"{height}\"/>"
    );
    svg::text(&mut picture, "title", (16.0, 24.0), "start", title);
    for (row, (of, (median, least, most))) in rows.into_iter().enumerate() {
        let top = 40.0 + ROW * row as f64;
        let name = contestants[of].name;
        let class = if name == "stillthere" { "ours" } else { "bar" };
        svg::text(&mut picture, "name", (LEFT - 8.0, top + 14.0), "end", name);
        let width = (across(median) - LEFT).max(1.0);
        let _ =
            write!(picture, "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"18\"/>");
        svg::line(&mut picture, "whisker", (across(least), top + 9.0), (across(most), top + 9.0));
        let words = if median < 100.0 { format!("{median:.1}") } else { format!("{median:.0}") };
        svg::text(&mut picture, "value", (across(most).max(across(median)) + 6.0, top + 14.0), "start", &words);
    }
    picture + "</svg>\n"
}
