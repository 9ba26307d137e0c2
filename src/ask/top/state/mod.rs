//! What `top` knows: no terminal, no socket and no clock. What its keys do with that is in `press.rs`.
//!
//! Owns the modes, the selection, and the rates. Silence is judged by the server's clock: each of its times is compared with
//! ours when it comes, so a client whose clock is wrong shows the same.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ask::top::peers::{By, Peers};
use crate::ask::top::told::{Figures, Hello, News, PARTS, Told, Turn};
use crate::ask::top::watch::Update;
use crate::count::so_many;

/// How many of the latest events are kept for the screen.
const LATEST: usize = 8;
/// From one answer about a peer to the next question, while its story is shown. In milliseconds.
const STORY_AGAIN: u64 = 1000;
/// With more peers than this the table is put in order once a second, and not for each picture.
const MANY: usize = 50_000;

/// What a key wants done that is no matter of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Suspend,
    Redraw,
    Story(String),
    Drop(String),
}

/// What the screen shows, and what keys mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Table,
    /// The filter is being typed.
    Filter,
    Help,
    Story {
        id: Arc<str>,
        lines: Result<Vec<String>, String>,
        /// When it was answered last; none while an answer is awaited.
        answered: Option<u64>,
    },
    Confirm {
        id: Arc<str>,
        address: String,
    },
}

/// Whether the server is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Up,
    Down { sentence: String, since: u64, again: u64 },
}

/// What has changed from one second to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub arrivals: u64,
    pub refusals: u64,
    pub received: u64,
    pub sent: u64,
    pub turns: u64,
    /// The most frequent first, without those that are none.
    pub departures: Vec<(String, u64)>,
}

/// Where turns spent their time since the figures before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub parts: [u64; PARTS.len()],
    pub events: u64,
    pub turns: u64,
}

#[derive(Debug)]
pub(super) struct Top {
    pub place: String,
    /// The terminal shows more than ASCII.
    pub has_blocks: bool,
    pub link: Link,
    pub hello: Option<Hello>,
    pub peers: Peers,
    pub figures: Option<Figures>,
    pub rates: Rates,
    pub spent: Spent,
    collected: Spent,
    last_turn: u64,
    pub latest: VecDeque<String>,
    pub by: By,
    pub filter: String,
    pub mode: Mode,
    /// A remark about what a key has done, until the next key.
    pub remark: Option<String>,
    /// The ids in the order of the latest picture, so that a key means what its user saw.
    pub order: Vec<Arc<str>>,
    arranged: Option<u64>,
    pub selected: usize,
    pub first: usize,
    /// How many rows of the table the latest picture had.
    pub rows: usize,
    /// By how much the server's clock is ahead of ours.
    ahead: i64,
}

impl Top {
    pub(super) fn new(place: String, has_blocks: bool) -> Self {
        Self {
            place,
            has_blocks,
            link: Link::Up,
            hello: None,
            peers: Peers::default(),
            figures: None,
            rates: Rates::default(),
            spent: Spent::default(),
            collected: Spent::default(),
            last_turn: 0,
            latest: VecDeque::new(),
            by: By::default(),
            filter: String::new(),
            mode: Mode::default(),
            remark: None,
            order: Vec::new(),
            arranged: None,
            selected: 0,
            first: 0,
            rows: 1,
            ahead: 0,
        }
    }

    /// The server's clock. It stands still while the server is away: nothing is known of that time.
    pub(super) fn now(&self, local: u64) -> u64 {
        let local = match self.link {
            Link::Up => local,
            Link::Down { since, .. } => since,
        };
        local.saturating_add_signed(self.ahead)
    }

    fn set_clock(&mut self, theirs: u64, local: u64) {
        self.ahead = i64::try_from(i128::from(theirs) - i128::from(local)).unwrap_or_default();
    }

    /// Something was heard. Whether the screen should show it soon.
    pub(super) fn take(&mut self, update: Update, local: u64) -> bool {
        match update {
            Update::Away { sentence, pause } => {
                let since = match self.link {
                    Link::Up => local,
                    Link::Down { since, .. } => since,
                };
                let again = local.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
                self.link = Link::Down { sentence, since, again };
                true
            }
            Update::Story { id: asked, lines: told } => {
                if let Mode::Story { id, lines, answered } = &mut self.mode {
                    if **id == *asked {
                        (*lines, *answered) = (told, Some(local));
                    }
                }
                true
            }
            Update::Dropped { id, result } => {
                self.remark = Some(match result {
                    Ok(()) => format!("{id} is let go"),
                    Err(sentence) => format!("{id}: {sentence}"),
                });
                true
            }
            Update::Told(told) => {
                if self.link != Link::Up {
                    // Another server, or the same one after things that were missed: nothing of before holds.
                    self.link = Link::Up;
                    self.peers = Peers::default();
                    (self.figures, self.rates, self.spent) = (None, Rates::default(), Spent::default());
                    (self.collected, self.last_turn, self.arranged) = (Spent::default(), 0, None);
                }
                self.hear(told, local)
            }
        }
    }

    fn hear(&mut self, told: Told, local: u64) -> bool {
        match told {
            Told::Hello(hello) => {
                self.set_clock(hello.time, local);
                self.hello = Some(hello);
                true
            }
            Told::Peers(slice) => {
                let is_first = self.peers.len() == 0;
                self.peers.take(slice);
                is_first
            }
            Told::News(News::Arrival { id, peer }) => {
                let now = self.now(local);
                self.peers.arrive(id, peer, now);
                false // the next picture is soon enough: a crowd has thousands
            }
            Told::News(News::Departure { id, words }) => {
                self.peers.depart(&id);
                self.note(words);
                false
            }
            Told::News(News::LeftOut(count)) => {
                self.peers.forget_sweep();
                self.note(format!("{} left out: this line is too slow for all of them", so_many(count, "event")));
                false
            }
            Told::News(News::Other(words)) => {
                self.note(words);
                false
            }
            Told::Turns(turns) => {
                turns.iter().for_each(|turn| self.count_turn(turn));
                false
            }
            Told::Figures(figures) => {
                self.set_clock(figures.at, local);
                if let Some(before) = &self.figures {
                    self.rates = rates(before, &figures);
                }
                self.figures = Some(figures);
                self.spent = std::mem::take(&mut self.collected);
                true
            }
        }
    }

    fn note(&mut self, words: String) {
        self.latest.push_front(words);
        self.latest.truncate(LATEST);
    }

    /// The same turn may be told more than once.
    fn count_turn(&mut self, turn: &Turn) {
        if turn.number <= self.last_turn {
            return;
        }
        self.last_turn = turn.number;
        self.collected.turns += 1;
        self.collected.events += turn.events;
        for (sum, part) in self.collected.parts.iter_mut().zip(turn.parts) {
            *sum = sum.saturating_add(part);
        }
    }

    /// Puts the table in order, for a picture with so many rows.
    pub(super) fn arrange(&mut self, rows: usize, local: u64) {
        let is_old = self.arranged.is_none_or(|at| self.peers.len() < MANY || local >= at + 1000);
        if is_old {
            self.order = self.peers.order(self.by, &self.filter);
            self.arranged = Some(local);
        }
        self.rows = rows;
        self.selected = self.selected.min(self.order.len().saturating_sub(1));
        // The selection is on the screen, and the screen is full if there are enough.
        self.first = self.first.min(self.selected).max((self.selected + 1).saturating_sub(rows));
        self.first = self.first.min(self.order.len().saturating_sub(rows));
    }

    /// The peer whose story is shown, if it should be asked for once more.
    pub(super) fn story_is_due(&mut self, local: u64) -> Option<String> {
        let Mode::Story { id, answered, lines: Ok(_) } = &mut self.mode else { return None };
        if self.link != Link::Up || answered.is_none_or(|at| local < at + STORY_AGAIN) {
            return None;
        }
        *answered = None;
        Some(id.to_string())
    }
}

/// What has changed between two figures, for a second.
fn rates(before: &Figures, now: &Figures) -> Rates {
    let time = now.at.saturating_sub(before.at).max(1);
    let rate = |before: u64, now: u64| {
        let change = u128::from(now.saturating_sub(before));
        u64::try_from((change * 1000 + u128::from(time) / 2) / u128::from(time)).unwrap_or(u64::MAX)
    };
    let mut departures: Vec<(String, u64)> = now
        .departures
        .iter()
        .map(|(reason, count)| {
            let known = before.departures.iter().find(|(known, _)| known == reason).map_or(0, |(_, count)| *count);
            (reason.clone(), rate(known, *count))
        })
        .filter(|(_, rate)| *rate > 0)
        .collect();
    most_first(&mut departures);
    Rates {
        arrivals: rate(before.arrivals, now.arrivals),
        refusals: rate(before.refusals, now.refusals),
        received: rate(before.received, now.received),
        sent: rate(before.sent, now.sent),
        turns: rate(before.turns, now.turns),
        departures,
    }
}

/// The most frequent reason first.
pub(super) fn most_first(counts: &mut [(String, u64)]) {
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
}

mod press;
#[cfg(test)]
mod tests;
