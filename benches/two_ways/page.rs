//! The page and its figure. Owns the words; every measured number comes from the run.

use std::fmt::Write;
use std::fs;
use std::time::SystemTime;

use crate::{ARRIVAL, Cost, SCENES, SETTLE, TRACED, WAYS, WINDOW};

/// A row of the table, and of the figure.
struct Row {
    what: &'static str,
    /// One for each way.
    values: Vec<f64>,
    decimals: usize,
}

fn rows(costs: &[Cost]) -> Vec<Row> {
    let row =
        |what, decimals, value: fn(&Cost) -> f64| Row { what, values: costs.iter().map(value).collect(), decimals };
    vec![
        row("wake-ups a minute", 0, |cost| cost.wake_ups),
        row("system calls a minute", 0, |cost| cost.system_calls),
        row("CPU time of the server a minute, ms", 1, |cost| cost.cpu.as_secs_f64() * 1000.0),
        row("packets a minute, both ways", 0, |cost| cost.packets),
        row("bytes on the wire a minute, kB", 0, |cost| cost.bytes / 1000.0),
        row("user-space memory a peer, bytes", 0, |cost| cost.memory),
    ]
}

/// A number with a space between thousands, as in the prose.
fn figure_of(value: f64, decimals: usize) -> String {
    let plain = format!("{:.decimals$}", value + 0.0); // the sum of nothing is -0
    let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), String::new()), |(a, b)| (a, format!(".{b}")));
    let mut grouped = String::new();
    for (nth, digit) in whole.chars().enumerate() {
        if nth > 0 && (whole.len() - nth) % 3 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped + &rest
}

pub fn text(peers: usize, costs: &[Cost], caught: &[Vec<String>]) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('.').take(2).collect::<Vec<_>>().join(".");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let when = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let day = when.split('T').next().unwrap_or_default();
    let peers = figure_of(peers as f64, 0);
    let mut text = format!(
        "# Two ways to know who is still there

TCP can ask the peer's kernel (keepalive), or we can ask its program (heartbeats); or a peer can be expected to
send something by itself. Measured side by side with {peers} peers that send nothing else, at the same deadline: a
peer that vanishes is let go after 40 s at the latest.

This page and its figure were written by `make two-ways` on {day}: Linux {}, {cores} cores shared with other work,
a release build, server and peers on one machine, each of the three in a separate network namespace.

| | {} |
| --- |{}
",
        kernel,
        WAYS.map(|way| way.name).join(" | "),
        " ---: |".repeat(WAYS.len())
    );
    for Row { what, values, decimals } in rows(costs) {
        let values: Vec<String> = values.iter().map(|value| figure_of(*value, decimals)).collect();
        let _ = writeln!(text, "| {what} | {} |", values.join(" | "));
    }
    text += "\n![The same as bars: each row is scaled to its greatest value](two-ways.svg)\n\n## What each catches\n\n";
    text += "In the lab, on a scale of five seconds: `stillthere lab run SCENE --speak none --server \"stillthere serve {addr}:{port} …\"`.\n\n";
    let _ = writeln!(text, "| | {} |\n| --- |{}", WAYS.map(|way| way.name).join(" | "), " ---: |".repeat(WAYS.len()));
    for ((scene, what), results) in SCENES.iter().zip(caught) {
        let _ = writeln!(text, "| {what} (`{scene}`) | {} |", results.join(" | "));
    }
    text += "
The seconds are counted from the fault; the silence began a little earlier. Keepalive cannot detect a frozen program,
because its kernel answers every probe. The lab's client never sends anything, so under `heartbeat` and `expect` it
would be let go even without a fault; `tests/heartbeat.rs` has a process that answers and is kept, and is let go once it
is frozen.

## When all connect in one instant

";
    let _ = write!(
        text,
        "A mass reconnect: all {peers} connect as fast as they can, and all of them are alive. After {} s the servers reported:

",
        SETTLE.as_secs()
    );
    for (way, cost) in WAYS.iter().zip(costs) {
        let _ = writeln!(text, "- **{}**: {}.", way.name, cost.told_after_a_burst);
    }
    text += "
The kernel probes peers that connected in the same instant in the same instant, and all these probes meet in one queue of
the loopback (`net.core.netdev_max_backlog`, 1000 packets). What does not fit is lost, round after round, and living peers
would be declared dead ([facts.md](facts.md)). So peers that connect together are given different idle times within the same
deadline. The server spreads heartbeats, too. The peers that `heartbeat` let go are those that never answer, one in a hundred.

## How it was measured

";
    for (way, cost) in WAYS.iter().zip(costs) {
        let mut calls = cost.calls.clone();
        calls.sort_by(|a, b| b.1.total_cmp(&a.1));
        let calls: Vec<String> = calls.iter().map(|(name, count)| format!("{name} {}", figure_of(*count, 0))).collect();
        let calls = if calls.is_empty() { "none".to_string() } else { calls.join(", ") };
        let _ = writeln!(
            text,
            "- **{}**: `serve {}`. Calls a minute: {calls}. At the end: {}.",
            way.name, way.options, cost.told
        );
    }
    let late = &costs[1].late;
    let at = |part: usize| {
        late.get((late.len().saturating_sub(1)) * part / 100).map_or(0.0, |late| late.as_secs_f64() * 1e3)
    };
    let _ = write!(
        text,
        "
The peers of `keepalive` send nothing. Those of `heartbeat` answer, except one in a hundred that never does, and is let go
before the measurement begins. Those of `expect` send a byte every 28 s. All {peers} connect over {} s; {} s later the
measurement begins, for {} s; then strace counts for {} s, and its figures are scaled to a minute. Bytes and packets are
those of the namespace's loopback, where every packet is counted once, with its headers of IP and TCP and an Ethernet header
of 14 bytes. Memory is `Private_Dirty` with all peers connected minus that with none. The CPU time is what
the kernel charges to the server's process. Keepalive's probes are sent by the kernel's timers and are charged to
no process, so its zero means that no user-space work is done, not that the machine does nothing.

How late are heartbeats? {} peers never answered. The time from the ping's arrival to the end of the connection, less the
time-out of 10 s, as seen by those peers: {:.1} ms at least, {:.1} ms in the median,
{:.1} ms at the 99th percentile, {:.1} ms at most.

## Which to choose

- Keepalive costs the server no work and needs no protocol. Its probes still take bandwidth.
- A heartbeat is worth its cost if a program may hang while its kernel goes on. It combines well with
  keepalive, whose deadline then covers a peer that has died with our output outstanding.
- `--expect` writes nothing, and costs one read for what the peer sends anyway. The peers must know how often to send.
",
        ARRIVAL.as_secs(),
        SETTLE.as_secs(),
        WINDOW.as_secs(),
        TRACED.as_secs(),
        late.len(),
        at(0),
        at(50),
        at(99),
        at(100)
    );
    text
}

/// The figure: a block of bars for each row of the table, a bar for each way.
pub fn figure(costs: &[Cost]) -> String {
    const BAR: usize = 17;
    const LEFT: usize = 96;
    const LONGEST: f64 = 440.0;
    let rows = rows(costs);
    let block = WAYS.len() * BAR + 34;
    let height = rows.len() * block + 12;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 660 {height}\" role=\"img\" \
         aria-label=\"What keepalive, heartbeats and expectations cost, as bars\">\n<style>\n\
         svg {{ background: #fff; font: 12.5px system-ui, \"DejaVu Sans\", sans-serif; font-variant-numeric: tabular-nums }}\n\
         text {{ fill: #1b2430 }} .dim {{ fill: #64707d }} .head {{ font-weight: 600 }}\n\
         .w0 {{ fill: #1d6b35 }} .w1 {{ fill: #0b6e99 }} .w2 {{ fill: #96600a }}\n\
         @media (prefers-color-scheme: dark) {{ svg {{ background: #14191f }} text {{ fill: #e4e9ee }} .dim {{ fill: #98a4b0 }}\n\
         .w0 {{ fill: #8fd6a4 }} .w1 {{ fill: #66c7ee }} .w2 {{ fill: #e9b44c }} }}\n</style>\n"
    );
    for (nth, Row { what, values, decimals }) in rows.iter().enumerate() {
        let top = nth * block + 22;
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(svg, "<text class=\"head\" x=\"12\" y=\"{top}\">{}</text>", what);
        for (way, value) in values.iter().enumerate() {
            let (y, length) = (top + 8 + way * BAR, (value / most * LONGEST).max(1.0));
            let _ = writeln!(
                svg,
                "<text class=\"dim\" x=\"12\" y=\"{}\">{}</text>\
                 <rect class=\"w{way}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"12\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{}</text>",
                y + 10,
                WAYS[way].name,
                LEFT as f64 + length + 6.0,
                y + 10,
                figure_of(*value, *decimals)
            );
        }
    }
    svg + "</svg>\n"
}
