//! Two ways to know who is still there, side by side: what each costs with 19 000 peers, and what
//! each catches. Writes docs/two-ways.md and its figure.
//!
//! `make two-ways`, or `cargo bench --bench two_ways [-- PEERS]`; about ten minutes. Each way has
//! a server in a separate network namespace, whose loopback carries nothing else. Memory is
//! `Private_Dirty` of /proc/PID/smaps_rollup, CPU time the first figure of /proc/PID/schedstat, and
//! wake-ups are `voluntary_ctxt_switches`. System calls are counted by strace afterwards, because strace
//! would slow down the other measurements.

#[path = "../../tests/common/mod.rs"]
mod common;
mod crowd;
mod page;

use std::error::Error;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Server, memory, raise_descriptor_limit, status};
use stillthere::lab::stage::namespaces::{Namespace, ip};
use stillthere::lab::stage::privilege;

use self::crowd::{Crowd, Speaks};

/// How long the peers settle before the measurement. With each of the ways a peer that has vanished is let go 40 s after it was
/// last heard.
pub const SETTLE: Duration = Duration::from_secs(45);
pub const WINDOW: Duration = Duration::from_secs(60);
pub const TRACED: Duration = Duration::from_secs(20);
/// The time over which the peers connect; less than it takes until the first of them is asked.
pub const ARRIVAL: Duration = Duration::from_secs(20);
/// How often a peer of `--expect` sends a byte.
const EVERY: Duration = Duration::from_secs(28);

/// One way of knowing.
pub struct Way {
    pub name: &'static str,
    pub options: &'static str,
    /// The options for the lab's scenes, on a scale of five seconds.
    pub in_the_lab: &'static str,
    speaks: Speaks,
}

pub const WAYS: [Way; 3] = [
    Way {
        name: "keepalive",
        options: "--service discard --deadline 40s",
        in_the_lab: "--service discard --deadline 5s",
        speaks: Speaks::Nothing,
    },
    Way {
        name: "heartbeat",
        options: "--service heartbeat --heartbeat 30s --heartbeat-timeout 10s --idle 32767s",
        in_the_lab: "--service heartbeat --heartbeat 3s --heartbeat-timeout 2s --idle 32767s",
        speaks: Speaks::Pong,
    },
    Way {
        name: "expect",
        options: "--service discard --expect 40s --idle 32767s",
        in_the_lab: "--service discard --expect 5s --idle 32767s",
        speaks: Speaks::Byte { every: EVERY },
    },
];

/// The lab's scenes, and what happens in them.
pub const SCENES: [(&str, &str); 3] = [
    ("idle/black-hole", "a cable is cut"),
    ("idle/killed", "the process is killed"),
    ("idle/frozen", "the process is frozen, its kernel answers"),
];

/// What one way costs, per minute.
#[derive(Debug, Default)]
pub struct Cost {
    pub wake_ups: f64,
    pub system_calls: f64,
    /// The most frequent calls, by name.
    pub calls: Vec<(String, f64)>,
    pub cpu: Duration,
    pub packets: f64,
    pub bytes: f64,
    /// User-space memory of a peer, in bytes.
    pub memory: f64,
    /// How late the peers that never answer were let go, as seen by them; sorted.
    pub late: Vec<Duration>,
    /// The figures that the server logged at the end.
    pub told: String,
    /// The same after all peers had connected in one instant and had settled.
    pub told_after_a_burst: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok());
    let peers = given.unwrap_or(19_000);
    privilege::obtain()?;
    raise_descriptor_limit(peers as u64 + 100);
    let mut costs = Vec::new();
    for (number, way) in WAYS.iter().enumerate() {
        eprintln!("{}: {}", way.name, way.options);
        let cost = measure(way, peers, number)?;
        eprintln!("{cost:#?}");
        costs.push(cost);
    }
    let mut caught = Vec::new();
    for (scene, _) in SCENES {
        caught.push(WAYS.iter().map(|way| play(scene, way)).collect::<Result<Vec<_>, _>>()?);
    }
    fs::write("docs/two-ways.svg", page::figure(&costs))?;
    fs::write("docs/two-ways.md", page::text(peers, &costs, &caught))?;
    Ok(())
}

fn measure(way: &Way, peers: usize, number: usize) -> Result<Cost, Box<dyn Error>> {
    let told_after_a_burst = {
        let (_namespace, mut server, mut crowd) = start(way, peers, number, Duration::ZERO)?;
        crowd.live_for(SETTLE)?;
        figures(&mut server)
    };
    let (namespace, mut server, mut crowd) = start(way, peers, number, ARRIVAL)?;
    crowd.live_for(SETTLE)?;
    let before = (Instant::now(), snapshot(&namespace, server.pid())?);
    crowd.live_for(WINDOW)?;
    let after = (Instant::now(), snapshot(&namespace, server.pid())?);
    let minutes = (after.0 - before.0).as_secs_f64() / 60.0;
    let [wake_ups, nanoseconds, bytes, packets] = [0, 1, 2, 3].map(|n| (after.1[n] - before.1[n]) as f64 / minutes);
    let memory = memory(server.pid(), "Private_Dirty").saturating_sub(crowd.memory_before) as f64 / peers as f64;
    let calls = count_calls(server.pid(), &mut crowd)?;
    let told = figures(&mut server);
    let mut late = crowd.late;
    late.sort();
    Ok(Cost {
        wake_ups,
        system_calls: calls.iter().map(|(_, count)| count).sum(),
        calls,
        cpu: Duration::from_nanos(nanoseconds as u64),
        packets,
        bytes,
        memory,
        late,
        told,
        told_after_a_burst,
    })
}

/// A server with all its peers, which connect over this time.
fn start(way: &Way, peers: usize, number: usize, time: Duration) -> Result<(Namespace, Server, Crowd), Box<dyn Error>> {
    let namespace = Namespace::make(number, "two-ways")?;
    ip(Some(&namespace), &["link set lo up".to_string()])?;
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace.name(), env!("CARGO_BIN_EXE_stillthere"), "serve", "127.0.0.1:7007"]);
    command.args(way.options.split(' '));
    // Pages of a file that was just built and is not yet written back would count as dirty.
    Command::new("sync").status()?;
    let server = Server::start_with(command);
    sleep(Duration::from_millis(500));
    let memory_before = memory(server.pid(), "Private_Dirty");
    let mut crowd = Crowd::connect(&namespace, server.address(), peers, way.speaks, time)?;
    crowd.memory_before = memory_before;
    Ok((namespace, server, crowd))
}

/// The server's line of figures.
fn figures(server: &mut Server) -> String {
    server.signal("USR1");
    let (_, told) = server.wait_for(" accepted, ");
    told.split_once("INFO  ").map_or(told.clone(), |(_, told)| told.to_string())
}

/// Wake-ups, nanoseconds of CPU, bytes and packets on the loopback, so far.
fn snapshot(namespace: &Namespace, pid: u32) -> Result<[u64; 4], Box<dyn Error>> {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let cpu = schedstat.split_whitespace().next().ok_or("no figures of CPU time")?.parse()?;
    let inside = Command::new("ip").args(["netns", "exec", namespace.name(), "cat", "/proc/net/dev"]).output()?;
    let text = String::from_utf8(inside.stdout)?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).ok_or("no loopback")?;
    let mut received = line.split_whitespace().map(str::parse::<u64>);
    let mut next = || received.next().ok_or("no figures of the loopback");
    Ok([status(pid, "voluntary_ctxt_switches"), cpu, next()??, next()??])
}

/// System calls a minute, by name.
fn count_calls(pid: u32, crowd: &mut Crowd) -> Result<Vec<(String, f64)>, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("stillthere-two-ways-{}", std::process::id()));
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-c", "-U", "name,calls", "-o"])
        .arg(&path)
        .args(["-p", &pid.to_string()])
        .spawn()?;
    crowd.live_for(TRACED)?;
    // SIGINT lets strace detach and write what it has.
    Command::new("kill").args(["-s", "INT", &strace.id().to_string()]).status()?;
    strace.wait()?;
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(&path);
    let to_minutes = 60.0 / TRACED.as_secs_f64();
    let counts = text.lines().filter_map(|line| {
        let (name, calls) = line.trim().split_once(char::is_whitespace)?;
        Some((name.to_string(), calls.trim().parse::<f64>().ok()? * to_minutes))
    });
    Ok(counts.filter(|(name, _)| name != "total").collect())
}

/// Runs one scene of the lab. Returns how long the server kept the peer, or "kept".
fn play(scene: &str, way: &Way) -> Result<String, Box<dyn Error>> {
    let binary = env!("CARGO_BIN_EXE_stillthere");
    let server = format!("{binary} serve {{addr}}:{{port}} {}", way.in_the_lab);
    let line = ["lab", "run", scene, "--server", &server, "--speak", "none", "--keep", "15s", "--cap", "20s"];
    let output = Command::new(binary).args(line).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let measured = text.lines().find_map(|line| line.trim().strip_prefix("measured "));
    let measured =
        measured.ok_or_else(|| format!("{scene}: {text}{}", String::from_utf8_lossy(&output.stderr)))?.trim();
    eprintln!("{scene}, {}: {measured}", way.name);
    Ok(match measured.split_once("gone after ").and_then(|(_, rest)| rest.split_once(" s")) {
        Some((seconds, _)) => format!("{:.1} s", seconds.parse::<f64>()?),
        None => "**kept**".to_string(),
    })
}
