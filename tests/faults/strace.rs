//! strace(1), the tool of these tests: whether it can be used here, what a server under it did,
//! and the fault that it injects.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One fault: a system call is not made and fails with this errno instead, from its `first` to
/// its `last` occurrence.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// One call, or several separated by commas: then each is counted separately.
    pub call: &'a str,
    pub errno: &'a str,
    pub first: usize,
    /// `None`: the fault never ends.
    pub last: Option<usize>,
}

impl Fault<'_> {
    /// The options of strace for this fault.
    pub fn options(&self) -> Vec<String> {
        let last = self.last.map_or("+".to_string(), |last| format!("..{last}"));
        let when = format!("when={}{last}", self.first);
        let option = |call| match call {
            // brk(2): the system call itself has no errno. It returns where the break is, and the C library sees from
            // that whether it was moved.
            "brk" => format!("-einject=brk:retval=0:{when}"),
            _ => format!("-einject={call}:error={}:{when}", self.errno),
        };
        self.call.split(',').map(option).collect()
    }
}

/// What strace wrote: a line for each system call. The file is removed when this is dropped.
pub struct Trace(PathBuf);

impl Trace {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("faults.{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// strace with the options that all of these tests use.
    pub fn strace(&self) -> Command {
        let mut command = Command::new("strace");
        // Each line begins with the thread's id, so that a second thread would be noticed.
        command.args(["-f", "-o"]).arg(&self.0).stdin(Stdio::null());
        command
    }

    /// The same command line under strace.
    pub fn of_command(&self, traced: &Command, fault: Option<Fault<'_>>) -> Command {
        let mut command = self.strace();
        if let Some(fault) = fault {
            command.args(fault.options());
        }
        command.arg(traced.get_program()).args(traced.get_args());
        command
    }

    /// What it has written so far. A call that has not returned yet is included, with an unfinished line.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.0).unwrap_or_default()).into_owned()
    }

    pub fn calls(&self) -> usize {
        self.text().lines().filter(|line| call_of(line).is_some()).count()
    }

    pub fn injected(&self) -> usize {
        self.text().matches("(INJECTED)").count()
    }

    /// The last lines, for the message of a failed test.
    pub fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The name of the system call with which a line of a trace begins: `17 close(3) = 0` → `close`.
/// Lines about signals, exits and the second halves of interrupted calls have none.
pub fn call_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_').then_some(name)
}

/// strace, attached to a running process. It detaches when dropped.
pub struct Attached {
    strace: Child,
    pub trace: Trace,
}

impl Attached {
    /// # Errors
    /// What strace printed instead of "attached".
    pub fn to(pid: u32, fault: Option<Fault<'_>>) -> Result<Self, String> {
        let trace = Trace::new();
        let mut command = trace.strace();
        if let Some(fault) = fault {
            command.args(fault.options());
        }
        let mut strace = command
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("strace cannot be run: {error}"))?;
        let mut said = String::new();
        let mut stderr = BufReader::new(strace.stderr.take().expect("stderr is piped"));
        while let Ok(1..) = stderr.read_line(&mut said) {
            if said.contains("attached") {
                return Ok(Self { strace, trace });
            }
        }
        let _ = strace.kill();
        let _ = strace.wait();
        Err(said.trim().to_string())
    }

    /// Waits until a fault was injected. False: none was, within this time.
    pub fn has_injected(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while self.trace.injected() == 0 {
            if Instant::now() > until {
                return false;
            }
            sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.strace.kill(); // the kernel lets the traced process continue
        let _ = self.strace.wait();
    }
}

/// Whether faults can be injected here at all, into a process that we start and into one that already runs.
///
/// # Errors
/// What must be installed, or which command to type.
pub fn is_usable() -> Result<(), String> {
    let fault = Fault { call: "getppid", errno: "EPERM", first: 1, last: Some(2) };
    let started = Trace::new().of_command(&Command::new("true"), Some(fault)).stderr(Stdio::piped()).output();
    let output = match started {
        Err(error) => return Err(format!("strace cannot be run ({error}): `apt-get install strace`")),
        Ok(output) => output,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(format!(
            "strace cannot inject faults here ({said}): strace 5.2 or later is wanted, and the right to ptrace \
             (in a container: `--cap-add SYS_PTRACE`)"
        ));
    }
    let mut sleeper =
        Command::new("sleep").arg("60").spawn().map_err(|error| format!("sleep cannot be run: {error}"))?;
    let attached = Attached::to(sleeper.id(), Some(fault)).map(drop);
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    attached.map_err(|said| {
        format!("strace cannot attach to a running process ({said}): be root, or `sysctl kernel.yama.ptrace_scope=0`")
    })
}
