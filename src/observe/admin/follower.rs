//! One client that follows what happens: what it was told, and what it is told next.
//!
//! Owns how far it has come, and that it never holds more of our memory than a piece: while output waits for it, nothing
//! is added. What it misses meanwhile is counted and told. Knows nobody else who follows.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use crate::observe::admin::crowd::Walk;
use crate::observe::admin::following::{Following, Follows};
use crate::observe::admin::ring::Upcoming;
use crate::reactor::{Moment, Peer};

/// About how many bytes it is sent in a turn.
const PIECE: usize = 32 * 1024;
/// A line without meaning is sent after this much silence, so that the client, and whatever is in between, knows that we are there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When it is looked again whether a slow one has taken what waits.
const PATIENCE: Duration = Duration::from_millis(100);

/// One client that follows.
#[derive(Debug)]
pub(super) struct Follower {
    follows: Follows,
    /// The number of the last event that it was told.
    number: u64,
    /// When something was last sent to it.
    sent: Moment,
    /// Only of one that follows everything: what it was told last.
    told: Told,
}

#[derive(Debug, Default)]
struct Told {
    hello: bool,
    figures: u64,
    turns: u64,
    walk: Walk,
}

impl Follower {
    /// `number` is that of the last event that it has.
    pub(super) fn new(follows: Follows, number: u64, now: Moment) -> Self {
        Self { follows, number, sent: now, told: Told::default() }
    }

    /// Sends what is new, as far as the client takes it, and sets its alarm.
    pub(super) fn feed<T>(&mut self, peer: &mut Peer<'_, T>, following: &Following) {
        if peer.took_output().is_some() || peer.room() < 2 * PIECE {
            return peer.wake_after(PATIENCE);
        }
        let mut text = String::new();
        let is_all = self.tell(following, &mut text);
        let now = peer.now();
        if text.is_empty() && now.since(self.sent) >= HEARTBEAT {
            text.push_str(":\n\n");
        }
        if !text.is_empty() {
            self.sent = now;
            peer.send(text.as_bytes());
        }
        // In the next turn, so that others are served in between.
        peer.wake_at(if is_all { self.sent + HEARTBEAT } else { now });
    }

    /// Writes what is new, about a piece of it. True if that is all.
    fn tell(&mut self, following: &Following, text: &mut String) -> bool {
        if self.follows == Follows::Everything && !self.tell_state(following, text) {
            return true; // it is called when there is something to tell
        }
        while let Some(upcoming) = following.ring.after(self.number) {
            if text.len() >= PIECE {
                return false;
            }
            self.tell_event(&upcoming, text);
        }
        let walk = &mut self.told.walk;
        if self.follows == Follows::Everything {
            following.crowd.tell(walk, PIECE.saturating_sub(text.len()).max(PIECE / 4), text);
        }
        self.follows == Follows::Events || !following.crowd.has_more(walk)
    }

    /// Writes an event. Writing to a string cannot fail.
    fn tell_event(&mut self, upcoming: &Upcoming<'_>, text: &mut String) {
        let is_news = self.follows == Follows::Everything;
        if is_news {
            text.push_str("event: news\n");
        }
        match upcoming {
            Upcoming::Event(number, event) => {
                self.number = *number;
                let _ = write!(text, "id: {number}\ndata: {event}\n\n");
            }
            Upcoming::LeftOut { count, next } => {
                self.number = next - 1;
                // It does not know any more who is there.
                self.told.walk = Walk::default();
                let time = humantime::format_rfc3339_millis(SystemTime::now());
                let _ = write!(
                    text,
                    "id: {}\ndata: {{\"event\":\"left_out\",\"seq\":{next},\"time\":\"{time}\",\"count\":{count}}}\n\n",
                    next - 1
                );
            }
        }
    }

    /// Writes what has replaced what it was told before. False: not even the beginning is known yet.
    fn tell_state(&mut self, following: &Following, text: &mut String) -> bool {
        let told = &mut self.told;
        if !told.hello {
            let Some(hello) = following.hello() else { return false };
            text.push_str(&hello);
            told.hello = true;
        }
        for (latest, known) in [(&following.figures, &mut told.figures), (&following.turns, &mut told.turns)] {
            if latest.number > *known {
                *known = latest.number;
                text.push_str(&latest.text);
            }
        }
        true
    }
}
