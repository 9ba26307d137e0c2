//! stderr, to which no write blocks.
//!
//! A pipe that nobody empties, a terminal that was stopped (Ctrl-S), a socket whose reader hangs: a write
//! would block there, and with it the loop. So what is not taken at once is left out, counted, and reported later.
//! Owns the rest of a line that was taken in part: it is written before everything else, so that no line is torn. Knows no
//! level and no time.
//!
//! How a write is kept from blocking is in `unblocked.rs`.

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::stdio::dup2_stderr;

use crate::observe::unblocked::{PIECE, open_once_more, takes_more};

const STDERR: &str = "/proc/self/fd/2";

/// Standard error; the head of this file explains it.
#[derive(Debug)]
pub struct Stderr {
    /// A write might block: poll(2) is asked first.
    asks: bool,
    /// What is left of a line that was begun.
    rest: Vec<u8>,
    left_out: u64,
    /// How many lines were left out since the start, reported or not.
    left_out_so_far: Arc<AtomicU64>,
}

impl Stderr {
    /// Makes writes to stderr non-blocking for this process.
    pub fn open() -> Self {
        let is_file = fs::metadata(STDERR).is_ok_and(|stderr| stderr.is_file());
        Self { asks: !is_file && own_stderr().is_err(), rest: Vec::new(), left_out: 0, left_out_so_far: Arc::default() }
    }

    /// How many lines were left out and not yet reported.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many lines were left out since the start, reported or not. The count goes on while it is held.
    pub fn left_out_so_far(&self) -> Arc<AtomicU64> {
        self.left_out_so_far.clone()
    }

    /// Writes lines, or counts one more as left out. They should begin with a report of [`Stderr::left_out`], if there are any: when
    /// these lines are taken, those are reported.
    pub fn write(&mut self, lines: String) {
        self.finish();
        if self.rest.is_empty() {
            self.rest = lines.into_bytes();
            let whole = self.rest.len();
            self.finish();
            if self.rest.len() < whole {
                self.left_out = 0;
                return;
            }
            self.rest.clear();
        }
        self.left_out += 1;
        self.left_out_so_far.fetch_add(1, Ordering::Relaxed);
    }

    /// For the end of the process, when no peer can be delayed any more: if there is something left to write, waits up to a
    /// second for room. Returns whether there was something left, or `more` to come.
    pub fn wait_for_room(&mut self, more: bool) -> bool {
        let waits = more || self.left_out > 0 || !self.rest.is_empty();
        if waits {
            takes_more(&io::stderr(), Duration::from_secs(1));
            self.finish();
        }
        waits
    }

    /// What another program has to know to write on: how many lines were left out, reported or not, and the rest of one.
    #[cfg(feature = "upgrade")]
    pub fn save(&mut self) -> Vec<u8> {
        self.finish();
        let so_far = self.left_out_so_far.load(Ordering::Relaxed);
        [&self.left_out.to_le_bytes()[..], &so_far.to_le_bytes(), &self.rest].concat()
    }

    /// Writes on where another program has stopped.
    #[cfg(feature = "upgrade")]
    pub fn go_on(&mut self, saved: &[u8]) {
        let Some((left_out, rest)) = saved.split_first_chunk() else { return };
        let Some((so_far, rest)) = rest.split_first_chunk() else { return };
        self.left_out += u64::from_le_bytes(*left_out);
        self.left_out_so_far.fetch_add(u64::from_le_bytes(*so_far), Ordering::Relaxed);
        // Nothing was written before.
        self.rest = rest.to_vec();
        self.finish();
    }

    /// Writes what is left of a line, as far as it is taken.
    fn finish(&mut self) {
        while !self.rest.is_empty() && (!self.asks || takes_more(&io::stderr(), Duration::ZERO)) {
            let piece = self.rest.len().min(PIECE);
            match io::stderr().write(&self.rest[..piece]) {
                Ok(count) if count > 0 => drop(self.rest.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}

/// An open file description of our own, for all that this process writes to stderr.
fn own_stderr() -> io::Result<()> {
    Ok(dup2_stderr(open_once_more(STDERR)?)?)
}
