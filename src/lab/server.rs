//! The server under test: a program of its own in the server's namespace.
//!
//! Owns its processes, its files and what it says. Knows no scene, and nothing of what the program
//! is, beyond what [`Program`] says.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::lab::interrupt::Interrupt;
use crate::lab::measure::{SocketTable, is_stopped, tcp};
use crate::lab::namespaces::{Directory, Namespace};
use crate::lab::program::Program;

/// How long a program may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many of its last lines are quoted when it fails.
const QUOTED: usize = 5;

/// A line that the program printed, and when.
pub type Line = (SystemTime, String);

#[derive(Debug)]
pub struct Server {
    /// The program's own part in the sentences that are told.
    name: String,
    child: Child,
    backend: Option<Child>,
    output: Arc<Mutex<Vec<Line>>>,
    _directory: Directory,
}

impl Server {
    /// Starts the program, and waits until it listens.
    ///
    /// # Errors
    /// A sentence: it does not start, ends early or never listens, and what it said last.
    pub fn start(
        program: &Program,
        namespace: &Namespace,
        address: SocketAddr,
        number: usize,
        interrupt: &Interrupt,
    ) -> Result<Self, String> {
        let directory = Directory::make(number)?;
        let place = directory.path().display().to_string();
        for (file, content) in &program.files {
            let path = directory.path().join(file);
            fs::write(&path, program.fill_in(content, address, &place))
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        let output = Arc::default();
        let backend = match program.backend() {
            None => None,
            Some(line) => Some(spawn(&line, namespace, &Arc::default())?),
        };
        let line = program.fill_in(&program.line, address, &place);
        let child = spawn(&line, namespace, &output)?;
        let name = program.name.clone();
        let mut server = Self { name, child, backend, output, _directory: directory };
        server.wait_until_it_listens(namespace, address.port(), &line, interrupt)?;
        Ok(server)
    }

    fn wait_until_it_listens(
        &mut self,
        namespace: &Namespace,
        port: u16,
        line: &str,
        interrupt: &Interrupt,
    ) -> Result<(), String> {
        let mut table = SocketTable::of(namespace).map_err(|error| format!("cannot read the socket table: {error}"))?;
        let found = interrupt.wait_for(PATIENCE, || {
            if let Some(sentence) = self.has_ended() {
                return Some(Err(format!("{sentence} It was started as: {line}")));
            }
            let rows = table.rows().unwrap_or_default();
            rows.iter().any(|row| row.state == tcp::LISTEN && row.port == port).then_some(Ok(()))
        });
        found.unwrap_or_else(|| {
            if interrupt.is_asked() {
                return Err("interrupted".to_string());
            }
            let seconds = PATIENCE.as_secs();
            Err(format!(
                "{} never listened on port {port}: {seconds} s were not enough. {} It was started as: {line}. The port \
                 and the address to listen on must be given to it as {{port}} and {{addr}}",
                self.name,
                self.last_words()
            ))
        })
    }

    /// A sentence if the program has ended.
    pub fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        thread::sleep(Duration::from_millis(50)); // its last line may be on the way
        Some(format!("{} has ended by itself ({status}). {}", self.name, self.last_words()))
    }

    fn last_words(&self) -> String {
        let output = self.lines();
        let last = output.iter().rev().take(QUOTED).rev().map(|(_, line)| line.trim()).collect::<Vec<_>>();
        if last.is_empty() { "It said nothing.".to_string() } else { format!("It said: {:?}.", last.join("; ")) }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it printed since this was asked the last time.
    pub fn news(&self, seen: &mut usize) -> Vec<Line> {
        let output = self.lines();
        let news = output[(*seen).min(output.len())..].to_vec();
        *seen = output.len();
        news
    }

    /// Stops its processes, and waits until they are; its kernel goes on.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let until = Instant::now() + Duration::from_secs(1);
        while !is_stopped(self.child.id()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // It can fail only if all of its processes have ended, which is noticed elsewhere.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in [Some(&mut self.child), self.backend.as_mut()].into_iter().flatten() {
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            let _ = child.wait();
        }
    }
}

/// Runs a line of the shell in a process group of its own, and collects what it prints.
fn spawn(line: &str, namespace: &Namespace, output: &Arc<Mutex<Vec<Line>>>) -> Result<Child, String> {
    let start = || {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {line}")]).process_group(0); // Ctrl-C is for the lab alone
        for (name, _) in std::env::vars_os() {
            // What was set for the lab is not meant for a server that it tests.
            if name.to_string_lossy().starts_with("STILLTHERE_") {
                command.env_remove(name);
            }
        }
        command.env("PATH", search_path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let mut child = namespace.within(start).map_err(|error| format!("cannot run `sh -c {line:?}`: {error}"))?;
    if let Some(stdout) = child.stdout.take() {
        collect(stdout, output);
    }
    if let Some(stderr) = child.stderr.take() {
        collect(stderr, output);
    }
    Ok(child)
}

/// Servers live in directories that an ordinary user's PATH leaves out.
fn search_path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Mutex<Vec<Line>>>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            output.lock().unwrap_or_else(PoisonError::into_inner).push((SystemTime::now(), line));
        }
    });
}
