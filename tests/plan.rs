//! The plan as a shell sees it: what it prints, writes and refuses.

use std::process::{Command, Output, Stdio};

fn plan(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    command.arg("plan").args(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

fn said(output: &Output, code: i32) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[test]
fn a_plan_tells_all_that_was_asked() {
    let text =
        said(&plan(&["--deadline", "30s", "--peers", "100000", "--loss", "2%", "--rtt", "200ms", "--battery"]), 0);
    for part in [
        "A deadline of 30s",
        "--idle 24s --interval 2s --count 3",
        "keepalive sends no probes",
        "data in flight",
        "window shut",
        "packets a second, all peers",
        "bytes a day, each peer",
        "in bursts, both directions at once",
        "in bursts, each direction by itself",
        "heartbeats",
        "a program that hangs",
        "Azure Load Balancer 4m",
        "RFC 5382",
        "in one instant",
        "Shorter and longer deadlines",
        "30s @",
        "@ this plan",
    ] {
        assert!(text.contains(part), "{text}\ndoes not contain {part:?}");
    }
}

#[test]
fn the_other_way_it_finds_the_deadline() {
    let line = ["--false-drops", "1/year", "--peers", "100000", "--loss", "2%"];
    let text = said(&plan(&line), 0);
    assert!(text.contains("the shortest that drops at most 1 a year"), "{text}");
    // What it found, it finds good when it is asked about it.
    let settings = text.lines().find_map(|line| line.strip_prefix("Settings:")).expect("settings").to_string();
    let mut again: Vec<&str> = settings.split_whitespace().collect();
    again.extend(["--peers", "100000", "--loss", "2%", "--json"]);
    let json = said(&plan(&again), 0);
    // Keepalive's, by the three models.
    let drops: Vec<&str> =
        json.split("\"heartbeats\"").next().unwrap().split("\"a_year_all_peers\":").skip(1).collect();
    assert_eq!(drops.len(), 3, "{json}");
    for drops in drops {
        let number: f64 = drops.split(['}', ',']).next().unwrap().parse().expect("a number");
        assert!(number <= 1.0, "{number} a year\n{json}");
    }
    let hopeless = said(&plan(&["--false-drops", "1/year", "--burst", "5h"]), 1);
    assert!(hopeless.starts_with("stillthere: no deadline up to 4h"), "{hopeless}");
}

/// Losses of one direction at a time are worse than those of both at once, and worse than independent ones.
#[test]
fn the_worst_of_three_ways_to_lose_packets_is_told() {
    let text = said(&plan(&["--deadline", "30s", "--peers", "100000", "--loss", "2%", "--rtt", "200ms"]), 0);
    let all = text.lines().skip_while(|line| !line.contains("dropped, all peers")).take(3);
    let drops: Vec<String> = all.map(|line| line.chars().skip(42).take(24).collect()).collect();
    assert_eq!(drops.iter().map(|drops| drops.trim()).collect::<Vec<_>>(), ["5.13 a day", "2.65 a day", "23.5 a day"]);
}

/// What is on the way, by name or by its time-out, decides how a deadline is split, and which can be.
#[test]
fn what_is_on_the_way_is_kept_from_forgetting() {
    let text = said(&plan(&["--behind", "Azure-LB,aws-nlb", "--deadline", "5m"]), 0);
    assert!(text.contains("Azure Load Balancer, 4m                 survived"), "{text}");
    assert!(text.contains("4 min, 4 to 100") && !text.contains("FortiADC"), "{text}");
    let cannot = said(&plan(&["--behind", "azure-lb", "--deadline", "10m"]), 1);
    assert!(cannot.contains("a deadline of 10m cannot be kept behind Azure Load Balancer"), "{cannot}");
    assert!(cannot.contains("is the longest that can"), "{cannot}");
    let given = said(&plan(&["--behind", "azure-lb", "--idle", "4m", "--interval", "1m", "--count", "3"]), 0);
    assert!(given.contains("forgotten by Azure Load Balancer (4m)") && given.contains("certain"), "{given}");
    let short = said(&plan(&["--nat-timeout", "20s"]), 0);
    assert!(short.contains("A deadline of 2") && short.contains("35s is too long"), "{short}");
    let unknown = said(&plan(&["--behind", "azure"]), 2);
    assert!(unknown.contains("did you mean azure-lb?") && unknown.contains("\n  kube-proxy "), "{unknown}");
    assert!(unknown.contains("--nat-timeout"), "{unknown}");
    assert!(said(&plan(&["--nat-timeout", "0s"]), 2).contains("--nat-timeout 0s: it must be longer than 0s"));
    let budget = said(&plan(&["--nat-timeout", "20s", "--false-drops", "1/year", "--peers", "100000"]), 1);
    assert!(budget.contains("is kept behind a NAT, which forgets a connection after 20s"), "{budget}");
}

#[test]
fn a_figure_is_written_and_needs_nothing_else() {
    let path = std::env::temp_dir().join(format!("stillthere-plan-{}.svg", std::process::id()));
    said(&plan(&["--svg", path.to_str().unwrap(), "--peers", "10"]), 0);
    let svg = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("prefers-color-scheme: dark") && !svg.contains("url("));
    let nowhere = said(&plan(&["--svg", "/nowhere/at/all.svg"]), 1);
    assert!(nowhere.contains("cannot write /nowhere/at/all.svg: "), "{nowhere}");
    assert!(!nowhere.contains("A deadline of"), "{nowhere}");
    let piped = said(&plan(&["--svg", "/dev/stdout"]), 0);
    assert!(piped.starts_with("<svg") && piped.contains("A deadline of"), "{piped}");
}

#[test]
fn what_the_kernel_refuses_is_refused() {
    assert!(said(&plan(&["--count", "128"]), 2).contains("--count 128: it must be a whole number from 1 to 127"));
    let warned = said(&plan(&["--deadline", "30s", "--user-timeout", "10s"]), 0);
    assert!(warned.contains("one lost packet ends a living peer"), "{warned}");
}
