//! A fault before the server runs: it starts and serves, or it says why it cannot start.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Server};
use crate::course::Stage;
use crate::peers::{PORTS, Peer};
use crate::strace::{Fault, Trace};
use crate::table::Start;

/// A server under strace that may never run. Both are killed when this is dropped.
struct Attempt {
    child: Child,
    trace: Trace,
    stderr: Trace,
    /// The thread that reads its stderr; it ends with the server.
    copying: Option<JoinHandle<()>>,
}

/// Tries to start a server under a fault, and returns what happened, in words.
///
/// # Errors
/// It was not what was `expected`.
pub fn attempt(fault: Fault<'_>, stage: Stage, expected: Start) -> Result<String, String> {
    let mut attempt = Attempt::begin(fault);
    let came = attempt.watch();
    if !matches!(came, Err(Ended::Hangs(_))) {
        let _ = attempt.copying.take().map(JoinHandle::join);
    }
    let said = attempt.stderr.text();
    let fail = |why: &str| {
        Err(format!("{why} ({:?})\nit said:\n{said}\nits last calls:\n{}", fault.options(), attempt.trace.tail()))
    };
    if attempt.trace.injected() == 0 {
        return fail("the call was never made");
    }
    match came {
        // To the server the kernel seems to have no TCP_RTO_MAX_MS: it runs without.
        Ok(()) if said.contains("has no TCP_RTO_MAX_MS") => Ok("starts, with a user timeout that slides".to_string()),
        Ok(()) if expected == Start::Refuses => fail("it runs, although it should have refused"),
        Ok(()) if said.contains(" WARN ") => Ok("starts, with a warning".to_string()),
        Ok(()) => Ok("starts".to_string()),
        Err(Ended::Hangs(why)) => fail(&why),
        Err(Ended::With(status)) => {
            let sentence = said.lines().find(|line| line.starts_with("stillthere: cannot "));
            match (status.code(), sentence) {
                (Some(1), Some(sentence)) if expected == Start::Refuses => {
                    let tried = sentence.trim_start_matches("stillthere: ").split(": ").next().unwrap_or_default();
                    Ok(format!("ends: {tried}: and why"))
                }
                (Some(101), _) if expected == Start::Assumed => {
                    Ok("ends: rustix asserts that this cannot fail".to_string())
                }
                _ if stage == Stage::BeforeMain => Ok(format!("cannot start: {}", told(status))),
                _ => fail(&format!("it ended: {}", told(status))),
            }
        }
    }
}

/// Why a server does not serve.
enum Ended {
    With(ExitStatus),
    Hangs(String),
}

impl Attempt {
    fn begin(fault: Fault<'_>) -> Self {
        let (trace, stderr) = (Trace::new(), Trace::new());
        // The same command line as in the recorded run, so that its counts are valid.
        let mut command = trace.of_command(&Server::command(PORTS), Some(fault));
        let mut log = File::create(stderr.path()).expect("a file can be made in the target directory");
        // A pipe, as in the recorded run: what a server does for its log depends on what stderr is.
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        // A process group for strace and the server, so that both can be killed at once.
        let mut child = command.process_group(0).spawn().expect("strace starts");
        let mut reader = child.stderr.take().expect("it is a pipe");
        let copying = spawn(move || drop(std::io::copy(&mut reader, &mut log)));
        Self { child, trace, stderr, copying: Some(copying) }
    }

    /// Waits until the server has ended, or was seen to serve and to stop.
    fn watch(&mut self) -> Result<(), Ended> {
        let waits = |text: &str| text.contains(" epoll_wait(") || text.contains(" epoll_pwait(");
        self.until("to run or to end", |attempt| waits(&attempt.trace.text()))?;
        let trace = self.trace.text();
        let addresses: Vec<_> =
            trace.lines().filter(|line| line.contains(" getsockname(")).filter_map(address).collect();
        if addresses.len() < PORTS.len() {
            return Err(Ended::Hangs(format!("it waits, but only listens on {addresses:?}")));
        }
        addresses.iter().for_each(|address| Peer::connect(*address).echo());
        let pid = trace.split(' ').next().unwrap_or_default();
        let _ = Command::new("kill").args(["-s", "TERM", pid]).status();
        match self.until("to stop", |_| false) {
            Err(Ended::With(status)) if status.success() => Ok(()),
            ended => ended,
        }
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), Ended> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Err(Ended::With(status));
            }
            if is_so(self) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Ended::Hangs(format!("{PATIENCE:?} was not enough for it {what}")));
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let group = format!("-{}", self.child.id());
            let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
            let _ = self.child.wait();
        }
    }
}

/// Reads the address from a line of a trace: `getsockname(6, {…, sin_port=htons(33021), …}) = 0`.
fn address(line: &str) -> Option<SocketAddr> {
    let port = line.split_once("htons(")?.1.split_once(')')?.0;
    line.ends_with("= 0").then(|| SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap_or(0))))
}

/// How the server ended, in words: strace ends like the process that it traced.
fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
