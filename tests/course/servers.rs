//! The servers of the course as whole programs, and peers that talk to them.
//!
//! Owns the processes: each ends with its value, also when a test fails. Knows no flaw.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than anything takes on the slowest machine. Only a failing test waits for so long.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a peer waits that is not answered, which a test expects. An answer takes a fraction of a millisecond.
pub const NOT_ANSWERED: Duration = Duration::from_secs(1);

pub const ONE_AT_A_TIME: &str = "01_one_at_a_time";
pub const A_THREAD_EACH: &str = "02_a_thread_each";
pub const ASKING_IN_TURN: &str = "03_asking_in_turn";
pub const READINESS: &str = "04_readiness";
pub const TO_THE_END: &str = "05_to_the_end";
pub const A_SLAB: &str = "06_a_slab";
pub const STILL_THERE: &str = "07_still_there";

/// Where Cargo puts an example: target/debug/examples, beside target/debug/deps, which has the tests.
pub fn path_of(example: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("a test is a file");
    path.pop();
    path.pop();
    path.join("examples").join(example)
}

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts one of the seven on a port that the kernel chooses.
    pub fn start(example: &str) -> Self {
        Self::run(Command::new(path_of(example)).arg("127.0.0.1:0"))
    }

    /// The same, with one more argument, and with so many descriptors at most.
    pub fn start_with(example: &str, argument: &str, most: usize) -> Self {
        let line = format!("ulimit -n {most} && exec \"$0\" 127.0.0.1:0 {argument}");
        Self::run(Command::new("sh").args(["-c", &line]).arg(path_of(example)))
    }

    fn run(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("`cargo test` builds the examples; for this test alone, `cargo build --examples`");
        let mut said = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let server = Self { child, address: address.expect("`listening on ADDR:PORT` is its first line") };
        // It goes on printing, and nobody looks: the pipe must neither fill up nor break.
        std::thread::spawn(move || while said.read_line(&mut String::new()).is_ok_and(|count| count > 0) {});
        server
    }

    pub fn connect(&self) -> TcpStream {
        let peer = TcpStream::connect(self.address).expect("the server's kernel accepts");
        peer.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        peer
    }

    /// A peer that is connected, has been accepted, and has been answered.
    pub fn peer(&self) -> TcpStream {
        let mut peer = self.connect();
        assert!(is_answered(&mut peer), "a newcomer is not answered");
        peer
    }

    /// Sends a signal: STOP, CONT.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name} has failed");
    }

    /// A line of /proc/PID/status, as a number.
    pub fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let figure = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        figure.unwrap_or_else(|| panic!("no number {name} in {status}"))
    }

    /// How many descriptors below this one are in use: its own, and what it has inherited from whoever started the test.
    pub fn descriptors_below(&self, most: usize) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the server runs");
        let numbers = open.filter_map(|one| one.ok()?.file_name().to_str()?.parse().ok());
        numbers.filter(|number: &usize| *number < most).count()
    }

    /// The processor time that it has taken so far, as far as the kernel counts it: in hundredths of a second (proc(5) stat,
    /// fields 14 and 15).
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the server runs");
        let (_, after_name) = stat.rsplit_once(')').expect("a name in brackets");
        let ticks = after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        Duration::from_millis(10 * ticks.sum::<u64>())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a line comes back. It waits for [`NOT_ANSWERED`] if none does.
pub fn is_answered(peer: &mut TcpStream) -> bool {
    peer.write_all(b"hello\n").is_ok() && comes(peer, b"hello\n")
}

/// Whether exactly this comes, before [`NOT_ANSWERED`] is over.
pub fn comes(peer: &mut TcpStream, wanted: &[u8]) -> bool {
    received(peer, wanted.len()) == wanted
}

/// What comes, up to this much, before [`NOT_ANSWERED`] has passed without a byte.
pub fn received(peer: &mut TcpStream, most: usize) -> Vec<u8> {
    peer.set_read_timeout(Some(NOT_ANSWERED)).expect("a timeout can be set");
    let (mut all, mut buffer, mut moved) = (Vec::new(), vec![0; 64 * 1024], Instant::now());
    while all.len() < most {
        match peer.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                all.extend_from_slice(&buffer[..count]);
                moved = Instant::now();
            }
            // Nothing came so far, and the time that was waited counts.
            Err(error) if error.kind() == ErrorKind::Interrupted && moved.elapsed() < NOT_ANSWERED => {}
            Err(_) => break, // nothing came in time, or the connection is over
        }
    }
    peer.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    all
}

/// Waits until something is true, and says what it waited for if it never is.
pub fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_true() {
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(10));
    }
}
