//! The scripted peer as the lab controls it: a separate process in the client's namespace.
//!
//! Owns that process. `client.rs` carries out its commands.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::cast::language::Language;
use crate::lab::stage::interrupt::{GLANCE, Interrupt};
use crate::lab::stage::namespaces::Namespace;
use crate::speak::Speak;

/// Longer than any command takes.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(in crate::lab) struct ScriptedPeer {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
    interrupt: Interrupt,
}

impl ScriptedPeer {
    /// # Errors
    /// A sentence: why the process cannot be started.
    pub(in crate::lab) fn start(
        namespace: &Namespace,
        server: SocketAddr,
        (speak, language): (Speak, &Language),
        keepalive: u16,
        interrupt: &Interrupt,
    ) -> Result<Self, String> {
        let start = || {
            Command::new(std::env::current_exe()?)
                .args(["lab", "client", &server.to_string(), speak.name(), &keepalive.to_string(), &language.to_word()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .process_group(0) // Ctrl-C must reach only the lab
                .spawn()
        };
        let mut child = namespace.within(start).map_err(|error| format!("cannot start the client: {error}"))?;
        let (Some(commands), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("cannot start the client: it has no pipes".to_string());
        };
        let (sender, answers) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        Ok(Self { child, commands, answers, interrupt: interrupt.clone() })
    }

    /// Runs a command of `client.rs`, and waits until it is done.
    ///
    /// # Errors
    /// A sentence: which one, and why not.
    pub(in crate::lab) fn tell(&mut self, command: &str) -> Result<(), String> {
        self.begin(command)?;
        let failed = |why: &str| Err(format!("the client cannot {command}: {why}"));
        let until = Instant::now() + PATIENCE;
        loop {
            match self.answers.recv_timeout(GLANCE) {
                Ok(answer) if answer == "done" => return Ok(()),
                Ok(answer) => return failed(answer.trim_start_matches("failed: ")),
                Err(RecvTimeoutError::Disconnected) => return failed("its process has ended"),
                Err(RecvTimeoutError::Timeout) if self.interrupt.is_asked() => return failed("interrupted"),
                Err(RecvTimeoutError::Timeout) if Instant::now() > until => return failed("it takes too long"),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Starts a command and does not wait for its end. No other command can follow.
    ///
    /// # Errors
    /// A sentence: which one, and why not.
    pub(in crate::lab) fn begin(&mut self, command: &str) -> Result<(), String> {
        writeln!(self.commands, "{command}").map_err(|error| format!("the client cannot {command}: {error}"))
    }

    /// Stops the process; its kernel still answers.
    pub(in crate::lab) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends the process at once.
    pub(in crate::lab) fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) {
        // This cannot fail: the process is a child that was not waited for yet.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for ScriptedPeer {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill();
        }
    }
}
