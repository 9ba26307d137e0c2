//! The log as a story: turns, told to somebody who knows sockets and nothing of this loop.
//!
//! Owns the words. It reads what the loop logs at the level `trace`, line by line, and says it again: which turn this is, which part of
//! it, which system call, and what follows. Knows nothing of the loop but those lines; one that it does not know is told as it is, so nothing
//! is left out when a line is new. (`tests/course/story.rs` asks whether a peer's whole life is told.)

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Whether it is told, and how many turns were.
#[derive(Debug, Default)]
pub(super) struct Story {
    is_told: AtomicBool,
    turns: AtomicU64,
}

/// A line of the story: which part of a turn, and what happens.
type Told = (&'static str, String);

impl Story {
    pub(super) fn told_if(is_told: bool) -> Self {
        Self { is_told: is_told.into(), turns: AtomicU64::new(0) }
    }

    /// The settings may be read again: whether it is told from now on.
    #[cfg(feature = "config")]
    pub(super) fn set(&self, is_told: bool) {
        self.is_told.store(is_told, Ordering::Relaxed);
    }

    /// The line of the story for a line of the log, if it is told.
    pub(super) fn tell(&self, line: &fmt::Arguments<'_>) -> Option<String> {
        self.is_told.load(Ordering::Relaxed).then(|| self.line(&line.to_string()))
    }

    fn line(&self, line: &str) -> String {
        if let Some(turn) = line.strip_prefix("turn: ") {
            return self.turn(turn);
        }
        let (part, words) =
            about_a_port(line).or_else(|| about_a_peer(line)).unwrap_or_else(|| ("log", line.to_string()));
        format!("│ {part:<9} {words}")
    }

    fn turn(&self, line: &str) -> String {
        if let Some(waited) = line.strip_prefix("waited ") {
            let turn = self.turns.fetch_add(1, Ordering::Relaxed) + 1;
            let (time, events) = waited.split_once(": ").unwrap_or((waited, ""));
            let why = match events {
                "0 events" => "nothing was announced: a deadline has come, or work was left".to_string(),
                "1 event" => "the kernel has announced 1 event".to_string(),
                events => format!("the kernel has announced {events}"),
            };
            return format!("┌ turn {turn}: woke after {}; {why}", in_short(time));
        }
        let most = line.strip_prefix("waits ").and_then(|rest| rest.strip_suffix(" at most"));
        match (line, most) {
            ("waits for an event", _) => {
                "└ sleeps (epoll_wait) until the kernel announces something: no deadline lies ahead".to_string()
            }
            (_, Some(most)) => format!(
                "└ sleeps (epoll_wait) until something is announced, {} at most: then a deadline is due",
                in_short(most)
            ),
            _ => "└ does not sleep: work is left for the next turn".to_string(),
        }
    }
}

/// A duration as `{:?}` prints it, with fewer digits. (No number is read or printed: that takes 28 kB of the binary.)
fn in_short(time: &str) -> String {
    let digits = time.len() - time.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = time.split_at(digits);
    let whole = number.find('.').unwrap_or(digits);
    let kept = if whole == 1 { number.len().min(3) } else { whole };
    format!("{} {unit}", &number[..kept])
}

/// What concerns a listener, or nobody in particular.
fn about_a_port(line: &str) -> Option<Told> {
    if let Some(port) = line.strip_suffix(": peers wait in the backlog") {
        return Some(("latch", format!("remembers that somebody waits in the accept queue of {port}")));
    }
    if let Some(peer) = line.strip_suffix(" arrived") {
        let (id, address) = peer.split_once(' ').unwrap_or(("", peer));
        return Some(("accept", format!("accept4: {address} has arrived; from now on it is the peer {id}")));
    }
    if let Some(error) = line.strip_prefix("accept says ") {
        let words = if is_would_block(error) {
            "accept4: EAGAIN, nobody else waits; this alone clears the latch".to_string()
        } else {
            format!("accept4: {error}; the latch stays, and it is tried again later")
        };
        return Some(("accept", words));
    }
    if let Some(slot) = line.strip_suffix(" is reaped") {
        return Some(("reap", format!("close: {slot} is free from here on, for the next newcomer")));
    }
    if line == "a signal is pending" {
        return Some(("drive", "a signal has come".to_string()));
    }
    let (who, why) = line.split_once(" departed: ")?;
    // A summary says how many departed, and begins with that.
    who.split_once(' ').filter(|(_, address)| address.contains(':') && !address.contains(' '))?;
    Some(("told", format!("{who} has departed, once, and for one reason: {why}")))
}

fn is_would_block(error: &str) -> bool {
    error.contains("(os error 11)")
}

/// What concerns a peer: its address, and what happens to it.
fn about_a_peer(line: &str) -> Option<Told> {
    let (peer, what) = line.split_once(": ")?;
    if peer.contains(' ') {
        return None;
    }
    if what.split(", ").all(|news| ["readable", "writable", "more than data", "hung up", "nothing"].contains(&news)) {
        let more = if what.contains("hung up") {
            " (it may be dead: there may be an error to be read)"
        } else if what.contains("more") {
            " (an end or a mark in the stream: a short read will not be trusted)"
        } else {
            ""
        };
        return Some(("latch", format!("remembers for {peer}: {what}{more}")));
    }
    if let Some(read) = what.strip_prefix("read ") {
        let words = match read {
            "0 bytes" => "0 bytes: its FIN has come, and nothing more will".to_string(),
            says if is_would_block(says) => "EAGAIN: all was read, and the next byte makes a new edge".to_string(),
            read => read.to_string(),
        };
        return Some(("drive", format!("read {peer}: {words}")));
    }
    if let Some(write) = what.strip_prefix("write of ") {
        let of = if write.contains(" waiting ") { " of what waited" } else { "" };
        let says = write.find("says ").map(|place| &write[place + 5..]);
        let words = match says {
            Some(error) if is_would_block(error) => {
                "EAGAIN: no room; it waits in the outbox, and the peer is not read".to_string()
            }
            Some(error) => error.to_string(),
            None => write.rsplit(' ').nth(1).zip(write.split(' ').next()).map_or_else(
                || write.to_string(),
                |(taken, asked)| format!("the kernel has taken {taken} of {asked} bytes{of}"),
            ),
        };
        return Some(("drive", format!("write {peer}: {words}")));
    }
    if let Some(figures) = what.strip_prefix("looked for a sign of life: ") {
        return Some(("expire", format!("TCP_INFO {peer}: {}", looked(figures))));
    }
    if let Some(result) = what.strip_prefix("FIN sent: ") {
        return Some(("drive", format!("shutdown {peer}: our FIN, nothing more will come from us ({result})")));
    }
    if let Some((every, "Ok(())")) = what.strip_prefix("RtoMax(").and_then(|rest| rest.split_once("): ")) {
        return Some((
            "expire",
            format!("setsockopt {peer}: the kernel is to try again {every} after the last try at the latest"),
        ));
    }
    if what.starts_with("silent for ") {
        return Some(("expire", format!("{peer} is dead: {what}, and the deadline is over")));
    }
    None
}

/// What the kernel's figures say about a peer that was written to.
fn looked(figures: &str) -> String {
    let figure = |name: &str| {
        let rest = &figures[figures.find(&format!(" {name}: "))? + name.len() + 3..];
        rest.split([',', ' ', '}']).next()
    };
    let (Some(silent), Some(sent), Some(not_sent)) = (figure("silent"), figure("unacknowledged"), figure("not_sent"))
    else {
        return format!("the kernel has no figures: {figures}");
    };
    let mut words = format!("its kernel was heard of {} ago", in_short(silent));
    let _ = match (sent, not_sent) {
        ("0", "0") => write!(words, "; it owes no ACK, so keepalive watches it from here on"),
        (sent, not_sent) => {
            write!(words, "; it owes an ACK ({sent} segments sent, {not_sent} bytes not sent yet)")
        }
    };
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_with_what_follows_from_them() {
        let story = Story::default();
        for (line, told) in [
            ("turn: waited 1.102666629s: 1 event", "┌ turn 1: woke after 1.1 s; the kernel has announced 1 event"),
            ("turn: waited 932ns: 2 events", "┌ turn 2: woke after 932 ns; the kernel has announced 2 events"),
            (
                "127.0.0.1:9: write of 6 bytes 4 bytes",
                "│ drive     write 127.0.0.1:9: the kernel has taken 4 of 6 bytes",
            ),
            (
                "127.0.0.1:9: write of 6 waiting bytes 4 bytes",
                "│ drive     write 127.0.0.1:9: the kernel has taken 4 of 6 bytes of what waited",
            ),
            ("[::1]:9: read 0 bytes", "│ drive     read [::1]:9: 0 bytes: its FIN has come, and nothing more will"),
            ("slot 3 is reaped", "│ reap      close: slot 3 is free from here on, for the next newcomer"),
            ("what is new is told as it is", "│ log       what is new is told as it is"),
        ] {
            assert_eq!(story.line(line), told);
        }
        let figures = "Some(TcpInfo { state: 1, unacknowledged: 1, not_sent: 0, silent: 2.5s })";
        assert_eq!(
            looked(figures),
            "its kernel was heard of 2.5 s ago; it owes an ACK (1 segments sent, 0 bytes not sent yet)"
        );
    }
}
