//! The rehearsal: the next program, as a child, says whether it could go on.
//!
//! Owns the child, how long it may take, and what its answer means. The loop turns meanwhile: the answer is a source of it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitStatus;
use std::time::Duration;

use log::trace;
use mio::event::Event;
use mio::unix::pipe::{self, Receiver};
use mio::{Interest, Registry};

use crate::reactor::{Ask, Moment, Names, Request, Source, State, Turn};
use crate::upgrade::child::{Child, failure};
use crate::upgrade::in_memory;
use crate::upgrade::program::Program;

/// How long a rehearsal may take. A million peers take a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of what a child says is read.
const MOST_SAID: usize = 4096;

/// What the next program has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is of this version, and can go on.
    Yes(String),
    /// It cannot, or it is no such program: why, in a sentence.
    No(String),
}

/// Rehearsals, one at a time: a source of the loop. When one is over, the program is asked for again ([`Ask::Upgrade`]).
#[derive(Debug)]
pub struct Rehearsals {
    names: Names,
    running: Option<Running>,
    verdict: Option<Verdict>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    pipe: Receiver,
    said: Vec<u8>,
    /// Something has come.
    latched: bool,
    by: Moment,
}

impl Rehearsals {
    /// None yet.
    pub fn open(names: Names) -> Self {
        Self { names, running: None, verdict: None }
    }

    /// Begins one with this state, which must be over soon after `now`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn begin(&mut self, program: &Program, state: &State, registry: &Registry, now: Moment) -> io::Result<()> {
        let file = in_memory(state)?;
        let execution = program.execution(file.as_raw_fd(), true)?;
        let nothing = File::open("/dev/null")?;
        let (writer, mut pipe) = pipe::new()?;
        registry.register(&mut pipe, self.names.token(0), Interest::READABLE)?;
        let child = Child::start(&execution, file.as_raw_fd(), nothing.as_fd(), writer.as_fd())?;
        self.verdict = None;
        self.running = Some(Running { child, pipe, said: Vec::new(), latched: false, by: now + PATIENCE });
        Ok(())
    }

    /// One is under way.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The answer, once.
    pub fn take_verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    fn ends(&mut self, verdict: fn(ExitStatus, &str) -> Verdict, turn: &mut Turn<'_>) {
        let Some(mut running) = self.running.take() else { return };
        let _ = turn.registry.deregister(&mut running.pipe);
        // Its end of the pipe is closed, or its time is over. If it is ending already, this changes nothing.
        self.verdict = Some(match (failure(&running.said), running.child.end()) {
            (Some(error), _) => Verdict::No(format!("it cannot be executed: {error}")),
            (None, Ok(status)) => verdict(status, &String::from_utf8_lossy(&running.said)),
            (None, Err(error)) => Verdict::No(format!("nothing is known of how its rehearsal ended: {error}")),
        });
        turn.requests.push(Request::Program(Ask::Upgrade));
    }
}

impl Running {
    /// Reads what has come. True at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 512];
        loop {
            match self.pipe.read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) if self.said.len() + count <= MOST_SAID => self.said.extend_from_slice(&buffer[..count]),
                Ok(_) => {} // the rest is dropped
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// What it means how a rehearsal ended.
fn judge(status: ExitStatus, said: &str) -> Verdict {
    trace!("the rehearsal ended with {status} and {said:?}");
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if let Some(version) = last.strip_prefix("yes ").filter(|_| status.success()) {
        return Verdict::Yes(version.to_string());
    }
    let no = said.lines().find_map(|line| line.strip_prefix("no "));
    Verdict::No(match no {
        Some(because) => format!("it says: {because}"),
        None if last.is_empty() => format!("its rehearsal ended with {status}, and it said neither yes nor no"),
        None => {
            let last: String = last.chars().filter(|letter| !letter.is_control()).take(200).collect();
            format!("its rehearsal ended with {status}, and it said neither yes nor no, but: {last}")
        }
    })
}

impl Source for Rehearsals {
    fn latch(&mut self, _key: usize, _event: &Event) {
        self.running.iter_mut().for_each(|running| running.latched = true);
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        if self.running.as_mut().is_some_and(|running| std::mem::take(&mut running.latched) && running.read()) {
            self.ends(judge, turn);
        }
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        if self.running.as_ref().is_some_and(|running| running.by <= turn.now) {
            let late = |_, _: &str| {
                let seconds = PATIENCE.as_secs();
                Verdict::No(format!("its rehearsal was not over after {seconds} s, and was ended"))
            };
            self.ends(late, turn);
        }
    }

    fn deadline(&self) -> Option<Moment> {
        self.running.as_ref().map(|running| running.by)
    }

    fn as_any(&mut self) -> Option<&mut dyn std::any::Any> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn anything_but_a_yes_is_a_no() {
        let judged = |code: i32, said: &str| judge(ExitStatus::from_raw(code << 8), said);
        assert_eq!(judged(0, "yes 1.2.0\n"), Verdict::Yes("1.2.0".to_string()));
        assert_eq!(judged(0, "a warning of the loader\nyes 1.2.0\n"), Verdict::Yes("1.2.0".to_string()));
        for (code, said, because) in [
            (1, "yes 1.2.0\n", "exit status: 1"),
            (1, "no state version 7 is not known\n", "it says: state version 7 is not known"),
            (0, "no and yes\nyes 1\nno\n", "it says: and yes"),
            (0, "", "exit status: 0, and it said neither yes nor no"),
            (101, "thread panicked\n", "exit status: 101, and it said neither yes nor no, but: thread panicked"),
            (0, "\u{1b}[31mred", "but: [31mred"),
        ] {
            let Verdict::No(told) = judged(code, said) else { panic!("{said}") };
            assert!(told.contains(because), "{told}");
        }
    }
}
