//! What the whole-program tests share: a server in a separate process, and its log.

#![allow(dead_code)] // each test program uses its own part

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

pub mod admin;
pub mod again;
pub mod greedy;
pub mod http;
pub mod made;

/// Longer than anything takes on the slowest machine. Only a failing test waits for so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. It is killed when the test ends, even if it fails.
pub struct Server {
    child: Child,
    lines: Receiver<(Instant, String)>,
    /// The lines of its log that were read so far, and when each came.
    pub log: Vec<(Instant, String)>,
    /// The addresses on which it listens, in the order of its arguments.
    pub addresses: Vec<SocketAddr>,
}

impl Server {
    /// Starts `stillthere serve` on a port chosen by the kernel, with a log level that reports each
    /// arrival and departure.
    pub fn start(options: &[&str]) -> Self {
        Self::start_with(Self::command(options))
    }

    /// The command of [`Server::start`], for a test that changes it before it is run.
    pub fn command(options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
        command.arg("serve");
        if !options.iter().any(|option| option.parse::<SocketAddr>().is_ok()) {
            command.arg("127.0.0.1:0");
        }
        command.args(["--log", "debug"]).args(options);
        command
    }

    /// Runs a command that starts a server, perhaps under `ip netns exec` or strace, and waits
    /// until the server listens.
    pub fn start_with(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::start_as_it_is(command)
    }

    /// The same with the standard input that the command has.
    pub fn start_as_it_is(mut command: Command) -> Self {
        let mut server = Self::spawn(&mut command);
        server.has_started();
        server
    }

    /// Runs a command that starts a server when it likes: see [`Server::has_started`].
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, log: Vec::new(), addresses: Vec::new() }
    }

    /// Waits until the server listens.
    pub fn has_started(&mut self) {
        self.wait_for("a silent peer is gone");
        self.addresses = self
            .log
            .iter()
            .filter_map(|(_, line)| line.split_once(" listens on ")?.1.split(',').next()?.parse().ok())
            .collect();
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The server's process, even if it was started by another program.
    pub fn pid(&self) -> u32 {
        let line = self.log.iter().find_map(|(_, line)| line.split_once("(pid ")).expect("it has logged its pid");
        line.1.trim_end_matches(')').parse().expect("a pid is a number")
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// Waits for a new line of the log that contains `part`.
    pub fn wait_for(&mut self, part: &str) -> (Instant, String) {
        self.wait_for_within(part, PATIENCE).unwrap_or_else(|| {
            panic!("the server never logged {part:?}, but:\n{}", self.told());
        })
    }

    /// The same, but waits for no longer than `patience`, and returns `None` instead of panicking.
    pub fn wait_for_within(&mut self, part: &str, patience: Duration) -> Option<(Instant, String)> {
        let until = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(told) => {
                    self.log.push(told.clone());
                    if told.1.contains(part) {
                        return Some(told);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Waits for a line that contains `part` if none of those so far does.
    pub fn seek(&mut self, part: &str) {
        if !self.told().contains(part) {
            self.wait_for(part);
        }
    }

    /// The log so far, as one text.
    pub fn told(&self) -> String {
        self.log.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Sends a signal by its name: `TERM`, `USR1`, `STOP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill runs");
        assert!(status.success(), "the server can be sent SIG{name}");
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < until, "the server does not end; it logged:\n{}", self.told());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // The server itself is killed first, because a program that started it may not take it along.
            let pid = self.log.iter().any(|(_, line)| line.contains("(pid ")).then(|| self.pid().to_string());
            if let Some(pid) = pid {
                let _ = Command::new("kill").args(["-s", "KILL", &pid]).stderr(Stdio::null()).status();
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A number of /proc/PID/status: `Threads`, `VmRSS` (KiB), `voluntary_ctxt_switches`.
pub fn status(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line of that name");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// A figure of /proc/PID/smaps_rollup, in bytes: `Private_Dirty` is what the process has written to and shares with no
/// other, `Anonymous` leaves out the pages of its file, which are dirty after a build until they are written back.
pub fn memory(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the server runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line of that name");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}

/// How many descriptors a process has open. Since Linux 6.2 the number is the size of the directory. Before, they
/// are listed, and for thousands of them that takes milliseconds of CPU time that the server needs.
pub fn descriptors(pid: u32) -> usize {
    let directory = format!("/proc/{pid}/fd");
    match std::fs::metadata(&directory).expect("the server runs").len() {
        0 => std::fs::read_dir(directory).expect("the server runs").count(),
        count => count as usize,
    }
}

/// Raises the soft limit, because a test that holds thousands of peers often needs more descriptors than it allows.
pub fn raise_descriptor_limit(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(allowed >= wanted, "this test needs {wanted} descriptors, and `ulimit -Hn` is {allowed}");
}

/// A connection whose reads and writes fail after a while instead of blocking for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

/// Sends bytes to an echo server, and reads them back.
pub fn ask(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).expect("the server accepts what is sent");
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).expect("the server answers");
    assert_eq!(answer, text);
}

/// A short question and its answer.
pub fn exchange(stream: &mut TcpStream) {
    ask(stream, b"hello");
}
