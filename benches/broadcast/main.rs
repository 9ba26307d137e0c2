//! What it costs to send 64 bytes to many peers: a service on our library beside a loop of send(2) in C.
//!
//! `make bench`, or `cargo bench --bench broadcast [-- ROUNDS [PEERS]]`. In each round both servers send the same number of
//! broadcasts; the ratio of their CPU time for each peer is taken within a round, and its median is printed. Meanwhile
//! another peer, which is no recipient, asks without end, and its longest wait is noted: a broadcast has a budget in each turn of
//! the loop. Writes docs/broadcast.md, and fails if a bound is exceeded.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stillthere::reactor::{Farewell, Listen, Orders, Peer, PeerId, Reactor, Service};

/// What a peer may cost more than in C, and how long another peer may wait.
const MOST_RATIO: f64 = 1.1;
const LONGEST_WAIT: Duration = Duration::from_millis(5);
/// Broadcasts that are measured together, and how many bytes each has.
const BROADCASTS: usize = 10;
const BYTES: usize = 64;
/// With this in its environment, this program is the server.
const SERVE: &str = "STILLTHERE_BROADCAST_SERVER";

/// The service: see benches/limit/broadcast.c, which speaks the same.
#[derive(Default)]
struct Broadcast {
    recipients: Vec<PeerId>,
}

impl Service for Broadcast {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        match bytes[0] {
            b'J' => self.recipients.push(peer.id()),
            b'B' => peer.orders().send_to_all(self.recipients.iter().copied(), bytes).expect("there is room"),
            _ => peer.send(bytes),
        }
    }

    fn departed(&mut self, (): (), farewell: &Farewell<'_>, _orders: &mut Orders) {
        self.recipients.retain(|id| Some(*id) != farewell.id);
    }
}

struct Server {
    name: &'static str,
    child: Child,
    address: String,
    peers: Vec<TcpStream>,
}

impl Server {
    fn start(name: &'static str, command: &mut Command, peers: usize) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut address)?;
        let mut server = Self { name, child, address: address.trim().to_string(), peers: Vec::new() };
        for _ in 0..peers {
            let mut stream = TcpStream::connect(&server.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(b"J")?;
            server.peers.push(stream);
        }
        std::thread::sleep(Duration::from_secs(1)); // the last one has joined
        Ok(server)
    }

    /// CPU time of the server so far: the first number of /proc/<pid>/schedstat, in nanoseconds.
    fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id()))?;
        Ok(Duration::from_nanos(text.split(' ').next().ok_or("empty")?.parse()?))
    }

    /// Has the server broadcast; its CPU time for each peer and broadcast, in nanoseconds, and the longest wait of a peer that
    /// asks meanwhile.
    fn measure(&mut self) -> Result<(f64, Duration), Box<dyn Error>> {
        let (mut says, mut asks) = (TcpStream::connect(&self.address)?, TcpStream::connect(&self.address)?);
        for stream in [&says, &asks] {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        }
        ask(&mut asks)?;
        // Without the questions, for the cost.
        let before = self.cpu()?;
        for _ in 0..BROADCASTS {
            says.write_all(&[b'B'; BYTES])?;
            self.receive()?;
        }
        let spent = (self.cpu()? - before).as_nanos() as f64 / (BROADCASTS * self.peers.len()) as f64;
        // And with them, for the wait.
        let over = AtomicBool::new(false);
        let longest = std::thread::scope(|scope| -> Result<Duration, Box<dyn Error>> {
            let asking = scope.spawn(|| {
                let mut waits = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    if ask(&mut asks).is_err() {
                        return vec![Duration::MAX];
                    }
                    waits.push(asked.elapsed());
                    std::thread::sleep(Duration::from_micros(200));
                }
                waits
            });
            for _ in 0..BROADCASTS {
                says.write_all(&[b'B'; BYTES])?;
                std::thread::sleep(Duration::from_millis(300)); // nobody reads meanwhile: the client takes no CPU of the server
                self.receive()?;
            }
            over.store(true, Ordering::Relaxed);
            let waits = asking.join().map_err(|_| "the asking thread panicked")?;
            Ok(waits.into_iter().max().unwrap_or_default())
        })?;
        Ok((spent, longest))
    }

    fn receive(&mut self) -> Result<(), Box<dyn Error>> {
        let mut bytes = [0; BYTES];
        for peer in &mut self.peers {
            peer.read_exact(&mut bytes)?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"p")?;
    stream.read_exact(&mut [0])
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if std::env::var_os(SERVE).is_some() {
        let mut reactor = Reactor::new(Reactor::NO_LIMIT)?;
        println!("{}", reactor.listen(Listen::on(([127, 0, 0, 1], 0).into()), Broadcast::default())?.address);
        reactor.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (rounds, peers) = (numbers.next().unwrap_or(5), numbers.next().unwrap_or(19_000));
    common::raise_descriptor_limit(peers as u64 + 100);
    let directory = std::env::temp_dir().join(format!("stillthere-broadcast-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let program = directory.join("broadcast");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/limit/broadcast.c");
    let built = Command::new("cc").args(["-O2", "-s", "-o"]).arg(&program).arg(&source).status()?;
    if !built.success() {
        return Err("cc could not build benches/limit/broadcast.c".into());
    }
    let mut measured: Vec<[(f64, Duration); 2]> = Vec::new();
    for round in 0..rounds {
        let mut this_round = [(0.0, Duration::ZERO); 2];
        // Each is the first one in every second round.
        for n in [round % 2, 1 - round % 2] {
            let mut command = if n == 0 { Command::new(std::env::current_exe()?) } else { Command::new(&program) };
            let mut server = Server::start(["stillthere", "C"][n], command.env(SERVE, "1"), peers)?;
            this_round[n] = server.measure()?;
            let (spent, longest) = this_round[n];
            eprintln!(
                "round {} of {rounds}: {}: {spent:.0} ns a peer, longest wait {longest:?}",
                round + 1,
                server.name
            );
        }
        measured.push(this_round);
    }
    fs::remove_dir_all(&directory)?;
    let ratio = median(measured.iter().map(|[ours, limit]| ours.0 / limit.0));
    let [ours, limit] = [0, 1].map(|n| median(measured.iter().map(|round| round[n].0)) / 1000.0);
    let [wait, wait_in_c] = [0, 1].map(|n| median(measured.iter().map(|round| round[n].1.as_secs_f64() * 1000.0)));
    let text = format!(
        "# A broadcast\n\n\
         {BYTES} bytes to {peers} peers on loopback, {BROADCASTS} times, in {rounds} rounds: a service on the library \
         (`benches/broadcast/main.rs`) beside a loop of send(2) in C (`benches/limit/broadcast.c`), which serves nobody else \
         meanwhile. The ratio is taken within a round; all figures are medians of the rounds. Measured by `make broadcast`.\n\n\
         | | CPU for each peer | longest wait of another peer that asks |\n|---|---|---|\n\
         | stillthere | {ours:.2} µs | {wait:.1} ms |\n| C | {limit:.2} µs | {wait_in_c:.1} ms |\n\n\
         Ratio of CPU: {ratio:.2}; it may be {MOST_RATIO}. The longest wait may be {LONGEST_WAIT:?}: what is sent by order has a \
         budget in each turn of the loop, and the other peers are served in between.\n",
    );
    println!("{text}");
    if rounds >= 5 && peers >= 19_000 {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/broadcast.md"), text)?;
    }
    let holds = ratio <= MOST_RATIO && wait <= LONGEST_WAIT.as_secs_f64() * 1000.0;
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
