//! The server under test: a separate program in the server's namespace.
//!
//! Owns its processes, its files and its output. Knows no scene, and nothing of the program beyond [`Program`].

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::keepalive::Keepalive;
use crate::lab::cast::program::{Program, wants_a_shell};
use crate::lab::cast::signals;
use crate::lab::ears::measure::SocketTable;
use crate::lab::ears::processes;
use crate::lab::stage::interrupt::Interrupt;
use crate::lab::stage::namespaces::{Directory, Namespace};
use crate::seconds::InWords;

/// How many of its last lines are quoted when it fails.
const QUOTED: usize = 5;

/// A line that the program printed, and when.
pub(in crate::lab) type LogLine = (SystemTime, String);

/// What to start, and how.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Start<'a> {
    pub program: &'a Program,
    pub keepalive: &'a Keepalive,
    /// Where it must listen.
    pub address: SocketAddr,
    /// How long that may take.
    pub patience: Duration,
    /// Distinguishes its files from those of the other scenes.
    pub number: usize,
}

#[derive(Debug)]
pub(in crate::lab) struct Server {
    /// How error messages name the program.
    name: String,
    namespace: Arc<Namespace>,
    child: Child,
    backend: Option<Child>,
    /// Processes remain although the one that was started has exited with 0: it is a daemon.
    daemon: Vec<u32>,
    /// Whether there were other processes than the one that was started when it began to listen. A daemon may end before
    /// the exit of its parent is noticed.
    has_others: bool,
    output: Arc<Mutex<Vec<LogLine>>>,
    _directory: Directory,
}

impl Server {
    /// Starts the program, and waits until it listens.
    ///
    /// # Errors
    /// A sentence: it does not start, ends early, listens elsewhere or never, and what it said last.
    pub(in crate::lab) fn start(
        start: Start<'_>,
        namespace: &Arc<Namespace>,
        interrupt: &Interrupt,
    ) -> Result<Self, String> {
        let Start { program, address, .. } = start;
        let directory = Directory::make(start.number)?;
        let filling = program.filling(start.keepalive, address, &directory.path().display().to_string());
        for file in &program.files {
            let path = directory.path().join(&file.name);
            fs::write(&path, filling.fill_in(&file.template))
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        let output = Arc::default();
        let backend = match program.backend() {
            None => None,
            Some(line) => Some(spawn(&line, namespace, &Arc::default())?),
        };
        let line = filling.fill_in(&program.line);
        let child = spawn(&line, namespace, &output)?;
        let mut server = Self {
            name: program.name.clone(),
            namespace: Arc::clone(namespace),
            child,
            backend,
            daemon: Vec::new(),
            has_others: false,
            output,
            _directory: directory,
        };
        server.wait_until_it_listens(start, &line, interrupt)?;
        server.has_others = server.processes().iter().any(|pid| *pid != server.child.id());
        Ok(server)
    }

    fn wait_until_it_listens(&mut self, start: Start<'_>, line: &str, interrupt: &Interrupt) -> Result<(), String> {
        let cannot_read = |error: io::Error| format!("cannot read the socket table: {error}");
        let mut table = SocketTable::of(&self.namespace).map_err(cannot_read)?;
        let mut elsewhere = Vec::new();
        let found = interrupt.wait_for(start.patience, || {
            if let Some(sentence) = self.has_ended() {
                return Some(Err(format!("{sentence} It was started as: {line}")));
            }
            let listeners = match table.listeners() {
                Ok(listeners) => listeners,
                Err(error) => return Some(Err(cannot_read(error))),
            };
            elsewhere = listeners.iter().map(|listener| listener.address).collect();
            listeners.iter().any(|listener| listener.is_for(start.address)).then_some(Ok(()))
        });
        found.unwrap_or_else(|| {
            if interrupt.is_asked() {
                return Err("interrupted".to_string());
            }
            let (name, address, patience) =
                (&self.name, start.address, InWords(start.patience).to_string());
            // The server behind a proxy is started by the lab: its listener does not count.
            let elsewhere = elsewhere.iter().filter(|_| self.backend.is_none()).map(SocketAddr::to_string);
            let elsewhere = match elsewhere.collect::<Vec<_>>() {
                none if none.is_empty() => String::new(),
                some => format!(" It listens on {}.", some.join(" and ")),
            };
            let said = self.last_words();
            Err(format!(
                "{name} never listened on {address}, port {}: {patience} were not enough (--start-patience).{elsewhere} \
                 {said} It was started as: {line}. The address and the port to listen on must be given to it as {{addr}} \
                 and {{port}}",
                address.port(),
            ))
        })
    }

    /// A sentence if the program has ended. If it exits with 0 and leaves processes behind, it has gone to the background.
    pub(in crate::lab) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        if status.success() && self.lives_on() {
            return None;
        }
        thread::sleep(Duration::from_millis(50)); // its last line may be on the way
        Some(self.obituary(status))
    }

    fn obituary(&self, status: ExitStatus) -> String {
        let how = if !self.daemon.is_empty() {
            "went to the background, and has ended there by itself".to_string()
        } else if self.has_others && status.success() {
            format!("has ended by itself ({status}), and so have the processes that it had in the background")
        } else {
            format!("has ended by itself ({status})")
        };
        format!("{} {how}. {}", self.name, self.last_words())
    }

    fn lives_on(&mut self) -> bool {
        if !self.daemon.iter().any(|pid| processes::is_alive(*pid)) {
            let found = self.processes();
            if found.is_empty() {
                return false;
            }
            self.daemon = found;
        }
        true
    }

    /// All its processes, wherever they are now; without the server behind a proxy.
    fn processes(&self) -> Vec<u32> {
        processes::members(&self.namespace, self.backend.as_ref().map(Child::id))
    }

    /// Its last lines of output, as a sentence.
    pub(in crate::lab) fn last_words(&self) -> String {
        let output = self.lines();
        let last = output.iter().rev().take(QUOTED).rev().map(|(_, line)| line.trim()).collect::<Vec<_>>();
        if last.is_empty() { "It said nothing.".to_string() } else { format!("It said: {:?}.", last.join("; ")) }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<LogLine>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has printed since the last call.
    pub(in crate::lab) fn news(&self, seen: &mut usize) -> Vec<LogLine> {
        let output = self.lines();
        let news = output[(*seen).min(output.len())..].to_vec();
        *seen = output.len();
        news
    }

    /// Stops its processes, and waits until all are stopped; its kernel still answers.
    pub(in crate::lab) fn freeze(&self) {
        signals::stop_all(&self.namespace, self.backend.as_ref().map(Child::id));
    }

    pub(in crate::lab) fn thaw(&self) {
        signals::continue_all(&self.namespace, self.backend.as_ref().map(Child::id));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in [Some(&mut self.child), self.backend.as_mut()].into_iter().flatten() {
            // This fails only if all processes of the group have ended.
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            let _ = child.wait();
        }
        signals::kill_all(&self.namespace); // those that left the group
    }
}

/// Runs a shell command in a new process group, and collects its output.
fn spawn(line: &str, namespace: &Namespace, output: &Arc<Mutex<Vec<LogLine>>>) -> Result<Child, String> {
    let start = || {
        let mut command = Command::new("sh");
        // If the line is a single program, it replaces the shell.
        let exec = if wants_a_shell(line) { "" } else { "exec " };
        command.args(["-c", &format!("{exec}{line}")]).process_group(0); // Ctrl-C must reach only the lab
        for (name, _) in std::env::vars_os() {
            // The lab's own environment variables must not reach the server under test.
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

/// Servers are installed in directories that are not in an ordinary user's PATH.
fn search_path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Mutex<Vec<LogLine>>>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            output.lock().unwrap_or_else(PoisonError::into_inner).push((SystemTime::now(), line));
        }
    });
}
