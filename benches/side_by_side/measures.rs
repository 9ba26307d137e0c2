//! What is measured of one contestant in one round.
//!
//! Owns the server's process and the loads on it. Does not know how figures are compared.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};
use stillthere::load::memory::{Footprint, cpu};
use stillthere::speak::{Answer, Exchange};

use crate::common::descriptors;
use crate::contestants::{AT_ONCE, Contestant};

pub type Figures = BTreeMap<&'static str, f64>;
pub type Outcome<T> = Result<T, Box<dyn Error>>;

const PATIENCE: Duration = Duration::from_secs(40);
/// How long each measurement of exchanges takes.
const EXCHANGING: &str = "1s";
const CHURNING: Duration = Duration::from_millis(1000);
/// How long the idle server is watched.
const IDLE: Duration = Duration::from_secs(10);
/// How often the server's descriptors are counted, to see whether all peers that were cut have been let go.
const LOOK: Duration = Duration::from_millis(10);

/// A process that is killed when its owner is dropped.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Outcome<Self> {
        Ok(Self(command.spawn()?))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn wait_for(what: &str, holds: impl Fn() -> bool) -> Outcome<()> {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > until {
            return Err(format!("{what}: not within {PATIENCE:?}").into());
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// All measurements of one round; those that take long only `at_length`.
pub fn round(contestant: &Contestant, peers: usize, at_length: bool, directory: &Path) -> Outcome<Figures> {
    let mut figures = Figures::new();
    let peers = if contestant.is_a_proxy { peers / 2 } else { peers };
    let each = if contestant.is_a_proxy { 2 } else { 1 };
    figures.insert("peers", peers as f64);
    figures.insert("binary", fs::metadata(&contestant.program)?.len() as f64);
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), contestant.port);
    let started = Instant::now();
    let server = Running::start(&mut contestant.command())?;
    wait_for("listening", || TcpStream::connect(address).is_ok())?;
    figures.insert("listening_ms", started.elapsed().as_secs_f64() * 1e3);
    let pid = server.pid();
    sleep(Duration::from_millis(400));
    let at_start = Footprint::of(pid)?;
    figures.insert("start_kib", at_start.private as f64 / 1024.0);
    let base = descriptors(pid);

    let bench = Bench { contestant, address, pid, directory };
    bench.exchange(&mut figures, ["rt_0", "p50_0", "p99_0", "p999_0", "cpu_0"])?;
    let mut holders = Vec::new();
    let slab = Footprint::of(pid)?.slab;
    for (upto, names) in [
        (1000, ["rt_1000", "p50_1000", "p99_1000", "p999_1000", "cpu_1000"]),
        (5000, ["rt_5000", "p50_5000", "p99_5000", "p999_5000", "cpu_5000"]),
        (peers, ["rt_all", "p50_all", "p99_all", "p999_all", "cpu_all"]),
    ] {
        let before = (descriptors(pid) - base) / each;
        if upto <= before {
            continue; // a trial run with few peers
        }
        let (cpu_before, began) = (cpu(pid), Instant::now());
        holders.push(bench.hold(upto - before)?);
        wait_for("accepting", || descriptors(pid) >= base + upto * each)?;
        if upto == peers {
            let accepted = (peers - before) as f64;
            if contestant.connect_rate == AT_ONCE {
                figures.insert("accepts", accepted / began.elapsed().as_secs_f64());
            }
            let cpu = cpu(pid).zip(cpu_before).map(|(now, before)| now - before).unwrap_or_default();
            figures.insert("accept_cpu_us", cpu.as_secs_f64() * 1e6 / accepted);
            sleep(Duration::from_millis(300));
            let full = Footprint::of(pid)?;
            figures.insert("idle_bytes", (full.private as f64 - at_start.private as f64) / peers as f64);
            figures.insert("kernel_bytes", (full.slab as f64 - slab as f64) / peers as f64);
        }
        bench.exchange(&mut figures, names)?;
    }
    if at_length {
        bench.idle(&mut figures)?;
    }
    bench.cut(&mut figures, holders, base)?;
    sleep(Duration::from_millis(300));
    figures.insert("after_kib", Footprint::of(pid)?.private as f64 / 1024.0);
    bench.churn(&mut figures)?;
    drop(server);
    if at_length {
        let server = Running::start(&mut contestant.command())?;
        wait_for("listening", || TcpStream::connect(address).is_ok())?;
        sleep(Duration::from_millis(400));
        let fresh = Bench { pid: server.pid(), ..bench };
        figures.insert("spoke_bytes", fresh.speak_once(peers)?);
    }
    Ok(figures)
}

pub struct Bench<'a> {
    pub contestant: &'a Contestant,
    pub address: SocketAddr,
    pub pid: u32,
    pub directory: &'a Path,
}

impl Bench<'_> {
    fn load(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
        command.args(["load", &self.address.to_string()]);
        command.args(["--speak", self.contestant.speak.name(), "--patience", "60s"]);
        command.args(["--connect-rate", &self.contestant.connect_rate.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Opens connections that send nothing after their greeting, until the returned process is killed.
    fn hold(&self, connections: usize) -> Outcome<Running> {
        let mut load = self.load();
        load.args(["--connections", &connections.to_string(), "--active", "0", "--time", "1h"]);
        Running::start(&mut load)
    }

    /// Runs a load to its end, and reads its report.
    pub fn report(&self, options: &[&str]) -> Outcome<String> {
        let json = self.directory.join("load.json");
        let output = self.load().args(options).args(["--pid", &self.pid.to_string(), "--json"]).arg(&json).status()?;
        let text = fs::read_to_string(&json)?;
        if output.success() { Ok(text) } else { Err(format!("the load was in trouble: {text:.2000}").into()) }
    }

    fn exchange(&self, figures: &mut Figures, names: [&'static str; 5]) -> Outcome<()> {
        let report = self.report(&["--connections", "10", "--active", "10", "--time", EXCHANGING])?;
        let latency = report.split("\"latency\"").nth(1).ok_or("no latency")?;
        let micros = |name| Ok::<_, Box<dyn Error>>(number(latency, name)? * 1e6);
        let values = [
            number(&report, "exchanges_a_second")?,
            micros("p50")?,
            micros("p99")?,
            micros("p99.9")?,
            number(&report, "server_cpu_an_exchange")? * 1e6,
        ];
        figures.extend(names.into_iter().zip(values));
        Ok(())
    }

    /// User-space bytes for a peer that has asked once.
    fn speak_once(&self, peers: usize) -> Outcome<f64> {
        let peers = peers.to_string();
        let options = ["--connections", &peers, "--active", &peers, "--rate", &peers, "--time", "1s"];
        let report = self.report(&options)?;
        let last = report.rsplit("\"private\":").next().ok_or("no memory")?;
        let last: f64 = last.split(',').next().ok_or("no number")?.parse()?;
        Ok((last - number(&report, "server_private_at_start")?) / peers.parse::<f64>()?)
    }

    /// System calls and context switches while nothing happens.
    fn idle(&self, figures: &mut Figures) -> Outcome<()> {
        sleep(Duration::from_secs(2)); // until the server has finished what it had begun
        let switches = || {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
            let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
            texts
                .flat_map(|text| {
                    text.lines().filter(|line| line.contains("ctxt_switches")).map(last_word).collect::<Vec<_>>()
                })
                .sum::<f64>()
        };
        let before = switches();
        sleep(IDLE);
        figures.insert("switches", switches() - before);
        let trace = self.directory.join("strace");
        let _ = fs::remove_file(&trace);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &self.pid.to_string(), "-o"]).arg(&trace).stderr(Stdio::null());
        let Ok(mut child) = strace.spawn() else { return Ok(()) };
        sleep(IDLE);
        Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status()?;
        child.wait()?;
        // strace also shows the call in which the server was sleeping, which does not count.
        let calls =
            fs::read_to_string(&trace)?.lines().filter(|line| line.contains('(') && line.contains(" = ")).count();
        figures.insert("calls", calls as f64);
        Ok(())
    }

    /// All idle peers are cut in one instant: how long does another peer wait at worst, and how long does
    /// it take until the server has let all of them go?
    ///
    /// The server is stopped while the holders are killed, so that all of them have vanished when it is resumed.
    /// Otherwise it would see them go one by one, as the kernel closes the holders' ends.
    fn cut(&self, figures: &mut Figures, holders: Vec<Running>, base: usize) -> Outcome<()> {
        let speak = self.contestant.speak;
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if let Some(hello) = speak.hello() {
            stream.write_all(&hello.question)?;
            stream.read_exact(&mut vec![0; hello.answer.len()])?;
        }
        let Some(Exchange { question, answer: Answer::Bytes(count) }) = speak.exchange() else {
            return Err("it has no language".into());
        };
        let mut answer = vec![0; count];
        let mut exchange = |stream: &mut TcpStream| -> Outcome<Duration> {
            let sent = Instant::now();
            stream.write_all(&question)?;
            stream.read_exact(&mut answer)?;
            Ok(sent.elapsed())
        };
        for _ in 0..200 {
            exchange(&mut stream)?;
        }
        let each = if self.contestant.is_a_proxy { 2 } else { 1 };
        let process = Pid::from_raw(self.pid as i32).ok_or("no process")?;
        kill_process(process, Signal::STOP)?;
        drop(holders); // killed and waited for, after which their ends are closed
        sleep(Duration::from_millis(100));
        let cpu_before = cpu(self.pid);
        // The first ping is already there when the server is resumed.
        stream.write_all(&question)?;
        let went_on = Instant::now();
        kill_process(process, Signal::CONT)?;
        stream.read_exact(&mut vec![0; count])?;
        let mut worst = went_on.elapsed();
        let mut looked = Instant::now();
        loop {
            worst = worst.max(exchange(&mut stream)?);
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                if descriptors(self.pid) <= base + each {
                    break;
                }
                if went_on.elapsed() > PATIENCE {
                    return Err("the server kept peers that were cut".into());
                }
            }
        }
        figures.insert("cut_worst_ms", worst.as_secs_f64() * 1e3);
        figures.insert("cut_s", went_on.elapsed().as_secs_f64());
        let cpu = cpu(self.pid).zip(cpu_before).map(|(now, before)| now - before).unwrap_or_default();
        figures.insert("cut_cpu_ms", cpu.as_secs_f64() * 1e3);
        Ok(())
    }

    /// Connect, one exchange, close: from two threads, as fast as possible.
    fn churn(&self, figures: &mut Figures) -> Outcome<()> {
        let done = AtomicU64::new(0);
        let cpu_before = cpu(self.pid);
        let until = Instant::now() + CHURNING;
        scope(|scope| {
            for thread in 0..2u8 {
                let done = &done;
                scope.spawn(move || {
                    for nth in 0u32.. {
                        if Instant::now() >= until || self.churn_once(thread, nth).is_err() {
                            return;
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        if Instant::now() < until {
            return Err("a connection failed in the churn".into());
        }
        let done = done.load(Ordering::Relaxed) as f64;
        figures.insert("churn", done / CHURNING.as_secs_f64());
        let cpu = cpu(self.pid).zip(cpu_before).map(|(now, before)| now - before).unwrap_or_default();
        figures.insert("churn_cpu_us", cpu.as_secs_f64() * 1e6 / done.max(1.0));
        Ok(())
    }

    /// The address changes, because a port cannot be used again for a minute after its connection (TIME-WAIT).
    fn churn_once(&self, thread: u8, nth: u32) -> Outcome<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let source = Ipv4Addr::new(127, 3 + thread, 0, 1 + (nth % 200) as u8);
        socket.bind(&SocketAddr::new(source.into(), 0).into())?;
        socket.connect(&self.address.into())?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        let speak = self.contestant.speak;
        let (question, answer) = match (speak.hello(), speak.exchange()) {
            (Some(hello), _) => (hello.question, hello.answer.len()),
            (None, Some(Exchange { question, answer: Answer::Bytes(count) })) => (question, count),
            (None, _) => return Err("it has no language".into()),
        };
        stream.write_all(&question)?;
        stream.read_exact(&mut vec![0; answer])?;
        Ok(())
    }
}

fn last_word(line: &str) -> f64 {
    line.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// A number of the load's JSON report.
pub fn number(json: &str, name: &str) -> Outcome<f64> {
    let rest = json.split(&format!("\"{name}\":")).nth(1).ok_or(format!("no {name}"))?;
    let text = rest.split([',', '}']).next().unwrap_or_default();
    text.parse().map_err(|_| format!("{name} is {text:.40}").into())
}
