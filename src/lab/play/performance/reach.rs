//! Brings a scene's connection into its state, or finds out why it cannot.
//!
//! Owns the client's commands for each state, and the check that the state is reached.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::lab::ears::measure::{SocketRow, tcp, timer};
use crate::lab::play::performance::Set;
use crate::lab::play::scene::State;
use crate::speak::Speak;

/// How long it may take to reach a state.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that is still incomplete on the server's side after this long is deferred until data comes.
const DEFERRED: Duration = Duration::from_secs(1);
/// The end of the server may be noticed this much later than its effect on the client.
const END: Duration = Duration::from_millis(300);
/// After this long a delayed ACK has been sent.
const QUIET: Duration = Duration::from_millis(150);
/// Enough to shut a window, and small enough for the server's send buffer.
const SHUTS: usize = 16_000;
/// More than the initial congestion window, so that some data are in flight when the window shuts.
const SHRINKS: usize = 40_000;
/// How much is sent at a time until the server stops reading, and the total for a server that never does.
const SIP: usize = 16_000;
const DRAUGHT: usize = 4_000_000;

impl Set<'_> {
    /// Brings the connection into its state. `Some`: why it cannot be reached.
    pub(in crate::lab) fn reach(&mut self) -> Result<Option<String>, String> {
        let state = self.part.scene.state;
        if state == State::AcceptQueue {
            self.server.freeze();
            self.diary.note("the server is stopped: it accepts no connection");
        }
        let connected = match state {
            State::WindowShrunk => self.peer.tell("connect-wide"),
            _ => self.peer.tell(&format!("connect {}", self.crowd)),
        };
        connected.map_err(|sentence| self.or_its_end(sentence))?;
        let mut was_there = !self.holding()?.is_empty();
        if let Err(sentence) = self.speak() {
            // A server may reject a connection: then the scene cannot be played. If the server has ended, that is an error.
            if let Some(end) = self.end() {
                return Err(end);
            }
            return if self.holding()?.is_empty() { Ok(Some(sentence)) } else { Err(sentence) };
        }
        let (begun, until) = (Instant::now(), Instant::now() + PATIENCE);
        let mut has_asked = false;
        while !self.is_reached(&mut was_there)? {
            if let Some(sentence) = self.server.has_ended() {
                return Err(sentence);
            }
            if self.interrupt.is_asked() {
                return Err("interrupted".to_string());
            }
            let holding = self.holding()?;
            let is_deferred = holding.queued == 0
                && !holding.sockets.is_empty()
                && holding.sockets.iter().all(|row| row.state == tcp::SYN_RECEIVED);
            if is_deferred && !has_asked && begun.elapsed() > DEFERRED {
                if state == State::Idle {
                    return Ok(Some(self.is_deferred()));
                }
                has_asked = true;
                self.diary
                    .note("the server waits for data before it accepts the connection: the client sends a request");
                self.peer.tell("ask")?;
            }
            if (was_there && holding.is_empty()) || Instant::now() > until {
                return self.end().map_or_else(|| self.why_not(was_there).map(Some), Err);
            }
            sleep(Duration::from_millis(5));
        }
        let port = self.holding()?.sockets.first().map(|row| row.peer_port);
        let at = SystemTime::now();
        sleep(QUIET);
        if self.holding()?.is_empty() {
            return self.end().map_or_else(|| self.why_not(true).map(Some), Err);
        }
        self.diary.reached(at, state, port)?;
        Ok(None)
    }

    /// A sentence if the server has ended. Its end may be noticed a moment later than its effect on the client.
    fn end(&mut self) -> Option<String> {
        self.interrupt.wait_for(END, || self.server.has_ended())
    }

    /// Why the client failed: the server has ended, or the client's sentence with the server's last words.
    fn or_its_end(&mut self, sentence: String) -> String {
        self.end().unwrap_or_else(|| format!("{sentence}. The server: {}", self.server.last_words()))
    }

    /// Has the client send the requests that lead to the state.
    fn speak(&mut self) -> Result<(), String> {
        let state = self.part.scene.state;
        // A banner that is sent after the fault would be data in flight.
        let greets = self.part.program.speak.greets_before_it_is_idle() || self.part.program.language.banner;
        if state == State::AcceptQueue || (state == State::Idle && !greets) {
            return Ok(());
        }
        let speak = match self.part.program.speak {
            Speak::Own => "--ask".to_string(),
            speak => format!("--speak {}", speak.name()),
        };
        let doubt = |error| format!("{error}; does it understand what {speak} says?");
        self.peer.tell("greet").map_err(doubt)?;
        match state {
            State::Idle | State::AcceptQueue => Ok(()),
            State::Exchanged => self.peer.tell("exchange").map_err(doubt),
            State::InFlight | State::BothInFlight => {
                self.peer.tell("exchange").map_err(doubt)?;
                self.server.freeze();
                self.diary.note("the server is stopped, until the fault has come");
                self.peer.tell("ask")
            }
            State::WindowShut => self.peer.tell(&format!("fill {SHUTS}")),
            State::WindowShrunk => {
                self.peer.tell("exchange").map_err(doubt)?;
                self.peer.tell("shrink")?;
                self.peer.tell(&format!("fill {SHRINKS}"))
            }
            State::ReadingPaused => self.peer.tell("flood"),
            State::ReadingSlowly => self.peer.tell("read-slowly"),
            State::HalfClosed => {
                self.fill_until_reading_pauses()?;
                self.peer.tell("finish")
            }
        }
    }

    /// Sends enough to make the server stop reading, and no more: there must still be room for a FIN.
    fn fill_until_reading_pauses(&mut self) -> Result<(), String> {
        let mut paused = 0;
        for _ in 0..DRAUGHT / SIP {
            self.peer.tell(&format!("fill {SIP}"))?;
            sleep(Duration::from_millis(5));
            let pauses = |row: &SocketRow| is_shut(row) && row.unread > 0;
            paused = if self.holding()?.sockets.iter().any(pauses) { paused + 1 } else { 0 };
            if paused == 2 {
                break;
            }
        }
        Ok(())
    }

    fn is_deferred(&self) -> String {
        let name = &self.part.program.name;
        format!(
            "{name} waits for data before it accepts (TCP_DEFER_ACCEPT): a peer that sends nothing is known only to \
             the kernel, which gives it up after its own number of SYN-ACKs"
        )
    }

    /// Why a state was not reached, as far as that is visible.
    fn why_not(&mut self, was_there: bool) -> Result<String, String> {
        let (name, state) = (self.part.program.name.clone(), self.part.scene.state.name());
        let is_there = !self.holding()?.is_empty();
        // If the client's window is shut, the server's output is no explanation.
        let is_asked = !self.part.scene.state.has_shut_window();
        let heard = if is_asked { self.peer.tell("hear").err().unwrap_or_default() } else { String::new() };
        let heard = match heard.split_once(": ") {
            Some((_, heard)) if !heard.is_empty() => format!("; it said {heard:?}"),
            _ => String::new(),
        };
        Ok(match (was_there, is_there) {
            (_, true) => format!("with {name} the connection does not become {state}{heard}"),
            (true, false) => format!("{name} closes the connection before it is {state}{heard}"),
            (false, false) => format!("{name} does not keep a connection at all{heard}"),
        })
    }

    fn is_reached(&mut self, was_there: &mut bool) -> Result<bool, String> {
        let holding = self.holding()?;
        *was_there |= !holding.is_empty();
        let accepted = holding.sockets.iter().filter(|row| row.inode != 0);
        let mut accepted = accepted.filter(|row| matches!(row.state, tcp::ESTABLISHED | tcp::CLOSE_WAIT));
        let shut = |row: &&_| is_shut(row);
        Ok(match self.part.scene.state {
            State::Idle | State::Exchanged => accepted.count() == self.crowd,
            State::InFlight | State::BothInFlight => accepted.any(|row| row.unread > 0),
            State::WindowShrunk => {
                self.diary.keep()?;
                let is_shrunk = |row: &SocketRow| row.timer == timer::RETRANSMISSION && row.unacknowledged > 0;
                self.diary.is_window_shut() && accepted.any(is_shrunk)
            }
            State::WindowShut | State::ReadingPaused | State::ReadingSlowly => accepted.any(is_shut),
            State::HalfClosed => accepted.filter(shut).any(|row| row.state == tcp::CLOSE_WAIT),
            State::AcceptQueue => holding.queued > 0,
        })
    }
}

/// Whether output waits and only window probes are sent.
fn is_shut(row: &SocketRow) -> bool {
    row.timer == timer::WINDOW_PROBE && row.unacknowledged > 0
}
