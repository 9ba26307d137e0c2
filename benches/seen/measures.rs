//! What is measured of one server with thousands of peers.
//!
//! Owns the server's process, its peers and the load on it. Does not know what the figures may be.

use std::error::Error;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::common::http::{admin, ask, head, samples};
use crate::common::{PATIENCE, Server, connect, descriptors, exchange, memory};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long the idle server is watched.
const IDLE: Duration = Duration::from_secs(10);
/// How many scrapes a round has.
const SCRAPES: u32 = 300;
/// How long pings are sent.
const PINGING: Duration = Duration::from_secs(6);
/// How often the server's descriptors are counted, to see whether all peers have been let go.
const LOOK: Duration = Duration::from_millis(10);

/// A server, and peers that say nothing.
pub struct Crowd {
    server: Server,
    /// If it has such a port.
    admin: Option<SocketAddr>,
    peers: Vec<TcpStream>,
    /// Its descriptors without any peer.
    base: usize,
    start: u64,
}

/// What a server takes while nothing happens.
pub struct AtRest {
    pub start_kib: f64,
    pub bytes_a_peer: f64,
    /// System calls in ten seconds; `None`: they could not be counted.
    pub calls: Option<f64>,
}

pub fn at_rest(options: &[&str], peers: usize) -> Outcome<AtRest> {
    let crowd = Crowd::gather(options, peers)?;
    let full = memory(crowd.server.pid(), "Private_Dirty");
    let bytes_a_peer = full.saturating_sub(crowd.start) as f64 / peers as f64;
    sleep(Duration::from_secs(2)); // until the server has finished what it had begun
    Ok(AtRest { start_kib: (crowd.start >> 10) as f64, bytes_a_peer, calls: crowd.calls()? })
}

/// What a scrape takes.
pub struct Scrapes {
    pub work_ms: f64,
    pub cpu_ms: f64,
    pub longest_ms: f64,
}

/// The histogram of the turns' work, in seconds.
pub struct Turns {
    sum: f64,
    /// The upper end of each bucket, and how many turns took no longer.
    buckets: Vec<(f64, f64)>,
}

impl Turns {
    fn read(metrics: &str) -> Outcome<Self> {
        let samples = samples(metrics);
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (name, count) in &samples {
            let Some(rest) = name.strip_prefix("stillthere_turn_work_seconds_bucket{le=\"") else { continue };
            buckets.push((rest.trim_end_matches("\"}").replace("+Inf", "inf").parse()?, *count));
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        let sum = samples.get("stillthere_turn_work_seconds_sum").copied();
        Ok(Self { sum: sum.ok_or("there is no histogram of the turns' work")?, buckets })
    }

    /// The upper end of the bucket of the longest turn since then.
    pub fn longest_since(&self, before: &Self) -> f64 {
        let grown = || self.buckets.iter().zip(&before.buckets).map(|(now, before)| (now.0, now.1 - before.1));
        let all = grown().next_back().map_or(0.0, |(_, count)| count);
        grown().find(|(_, count)| *count >= all).map_or(f64::NAN, |(end, _)| end)
    }
}

/// What the file of events tells of a crowd.
pub struct Told {
    pub left_out: u64,
}

impl Crowd {
    pub fn gather(options: &[&str], peers: usize) -> Outcome<Self> {
        let has_admin = options.contains(&"--admin");
        let mut server = Server::start(&[&["127.0.0.1:0", "--deadline", "60s", "--log", "info"], options].concat());
        let admin = has_admin.then(|| admin(&mut server));
        sleep(Duration::from_millis(200));
        let (base, start) = (descriptors(server.pid()), memory(server.pid(), "Private_Dirty"));
        let connected = (0..peers).map(|_| server.connect()).collect();
        wait_for("all peers are accepted", || descriptors(server.pid()) >= base + peers)?;
        sleep(Duration::from_millis(500));
        Ok(Self { server, admin, peers: connected, base, start })
    }

    /// A client of the admin port.
    pub fn admin(&self) -> Outcome<TcpStream> {
        let stream = connect(self.admin.ok_or("this server has no admin port")?);
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// System calls in ten seconds.
    fn calls(&self) -> Outcome<Option<f64>> {
        let trace = std::env::temp_dir().join(format!("stillthere-seen-{}.strace", std::process::id()));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &self.server.pid().to_string(), "-o"]).arg(&trace).stderr(Stdio::null());
        let Ok(mut child) = strace.spawn() else { return Ok(None) };
        sleep(IDLE);
        if child.try_wait()?.is_some() {
            return Ok(None);
        }
        Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status()?;
        child.wait()?;
        let text = fs::read_to_string(&trace)?;
        fs::remove_file(&trace)?;
        // strace also shows the call in which the server was sleeping, which does not count.
        Ok(Some(text.lines().filter(|line| line.contains('(') && line.contains(" = ")).count() as f64))
    }

    /// CPU time of the server so far: the first number of /proc/<pid>/schedstat, in nanoseconds.
    fn cpu(&self) -> Outcome<f64> {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.server.pid()))?;
        Ok(text.split(' ').next().ok_or("empty")?.parse()?)
    }

    /// What the turns of the loop have taken so far.
    pub fn turns(&self) -> Outcome<Turns> {
        Turns::read(&ask(&mut self.admin()?, &head("GET", "/metrics"))?.body)
    }

    /// Scrapes many times, and nothing else happens: what the turns meanwhile took is divided by the number of scrapes.
    pub fn scrape(&self) -> Outcome<Scrapes> {
        let mut client = self.admin()?;
        let request = head("GET", "/metrics");
        let mut once = || Turns::read(&ask(&mut client, &request)?.body);
        once()?;
        let (before, cpu) = (once()?, self.cpu()?);
        let mut after = once()?;
        for _ in 1..SCRAPES {
            after = once()?;
        }
        let cpu_ms = (self.cpu()? - cpu) / 1e6 / f64::from(SCRAPES);
        let work_ms = (after.sum - before.sum) * 1e3 / f64::from(SCRAPES);
        Ok(Scrapes { work_ms, cpu_ms, longest_ms: after.longest_since(&before) * 1e3 })
    }

    /// The longest wait of another peer while something else is done, in milliseconds.
    pub fn worst_ping(&self, meanwhile: impl FnOnce(&AtomicBool) -> Outcome<()> + Send) -> Outcome<f64> {
        let over = AtomicBool::new(false);
        let mut peer = self.server.connect();
        peer.set_nodelay(true)?;
        (0..100).for_each(|_| exchange(&mut peer));
        scope(|scope| {
            let busy = scope.spawn(|| meanwhile(&over).map_err(|error| error.to_string()));
            let (began, mut worst) = (Instant::now(), Duration::ZERO);
            while began.elapsed() < PINGING {
                let asked = Instant::now();
                exchange(&mut peer);
                worst = worst.max(asked.elapsed());
                sleep(Duration::from_micros(200));
            }
            over.store(true, Ordering::Relaxed);
            busy.join().map_err(|_| "the other load has panicked")??;
            Ok(worst.as_secs_f64() * 1e3)
        })
    }

    /// All peers go in one instant: the longest wait of another one until all of them have been let go, in milliseconds.
    ///
    /// The server is stopped while their ends are closed, so that all of them have vanished when it is resumed.
    pub fn cut(mut self) -> Outcome<f64> {
        let mut peer = self.server.connect();
        peer.set_nodelay(true)?;
        (0..200).for_each(|_| exchange(&mut peer));
        self.server.signal("STOP");
        self.peers.clear();
        sleep(Duration::from_millis(100));
        // The first ping is already there when the server is resumed.
        peer.write_all(b"hello")?;
        let went_on = Instant::now();
        self.server.signal("CONT");
        peer.read_exact(&mut [0; 5])?;
        let mut worst = went_on.elapsed();
        let mut looked = Instant::now();
        loop {
            let asked = Instant::now();
            exchange(&mut peer);
            worst = worst.max(asked.elapsed());
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                if descriptors(self.server.pid()) <= self.base + 1 {
                    break;
                }
                if went_on.elapsed() > PATIENCE {
                    return Err("the server kept peers that have gone".into());
                }
            }
        }
        self.server.signal("TERM");
        self.server.wait();
        Ok(worst.as_secs_f64() * 1e3)
    }
}

/// Has the page's stream open, and reads it.
pub fn watch(mut stream: TcpStream, peers: usize, over: &AtomicBool) -> Outcome<()> {
    stream.write_all(head("GET", "/watch").as_bytes())?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let (mut buffer, mut total) = (vec![0; 256 * 1024], 0);
    while !over.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return Err("the stream of the page has ended".into()),
            Ok(count) => total += count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Each peer has an id and an address at least.
    if total < peers * 20 { Err(format!("the page was told {total} bytes only").into()) } else { Ok(()) }
}

/// Asks for the longest silences again and again.
pub fn list(mut stream: TcpStream, over: &AtomicBool) -> Outcome<()> {
    while !over.load(Ordering::Relaxed) {
        let answer = ask(&mut stream, &head("GET", "/peers?sort=silence&limit=100"))?;
        if answer.status != 200 {
            return Err(answer.body.into());
        }
    }
    Ok(())
}

/// Reads what the events tell of a crowd that has come and gone: each departure is there, or was left out and is told so.
pub fn told_of(text: &str, peers: usize) -> Outcome<Told> {
    let (mut departures, mut left_out) = (0, 0);
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        match event["event"].as_str() {
            Some("departure") => departures += 1,
            Some("left_out") => left_out += event["count"].as_u64().ok_or("it does not say how many")?,
            _ => {}
        }
    }
    if departures + left_out < peers as u64 {
        return Err(format!("the events tell of {departures} departures, {left_out} left out, of {peers}").into());
    }
    Ok(Told { left_out })
}

fn wait_for(what: &str, holds: impl Fn() -> bool) -> Outcome<()> {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > until {
            return Err(format!("{what}: not within {PATIENCE:?}").into());
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}
