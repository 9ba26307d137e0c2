//! What is collected for those who follow the loop: events, all peers at a glance, figures, turns.
//!
//! Owns that it costs nothing while nobody follows: the loop is observed from the first follower until a minute after the last
//! one, so that one who comes back misses nothing, and peers and turns are looked at only while somebody watches. Knows who
//! follows, and not how far each has come.

use std::collections::VecDeque;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::observe::admin::about::About;
use crate::observe::admin::crowd::Crowd;
use crate::observe::admin::exposition::Decimal;
use crate::observe::admin::metrics::refusals;
use crate::observe::admin::portrait::milliseconds;
use crate::observe::admin::ring::Ring;
use crate::observe::event::{Chronicle, TimeOfDay};
use crate::reactor::{Departure, Detection, Figures, Happening, Look, Moment, News, Orders, PeerId, TurnTimes};

/// What a client follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// The events, as they are.
    Events,
    /// Everything that the page shows.
    Everything,
}

/// How many may follow at once.
const MOST_FOLLOWERS: usize = 32;
/// How long the loop is observed after the last one has gone.
const KEPT: Duration = Duration::from_secs(60);
/// How often those who watch are told of turns; of everything else, at each fourth time.
const TICK: Duration = Duration::from_millis(250);
const TICKS_A_SECOND: u32 = 4;
/// How many turns they are told of at once.
const MOST_TURNS: usize = 32;

/// What is collected for those who follow.
#[derive(Debug)]
pub(super) struct Following {
    about: About,
    followers: Vec<Known>,
    pub(super) ring: Ring,
    pub(super) crowd: Crowd,
    pub(super) figures: Latest,
    pub(super) turns: Latest,
    /// The turns that those who watch were not told of yet.
    recent: VecDeque<TurnTimes>,
    /// How many peers there are and may be.
    counts: Option<(usize, usize)>,
    is_observing: bool,
    /// When nobody follows: until when the loop is observed.
    until: Moment,
    /// When somebody watches: when they are told of turns next, and how often they were.
    tick: Moment,
    ticks: u32,
}

#[derive(Debug)]
struct Known {
    id: PeerId,
    follows: Follows,
    /// An order to call for it waits.
    is_called: bool,
}

/// A text that replaces the one before it.
#[derive(Debug, Default)]
pub(super) struct Latest {
    /// Which one it is, counted from 1.
    pub number: u64,
    pub text: String,
}

impl Latest {
    fn replace(&mut self, text: String) {
        (self.number, self.text) = (self.number + 1, text);
    }
}

impl Following {
    pub(super) fn new(about: About) -> Self {
        Self {
            about,
            followers: Vec::new(),
            ring: Ring::default(),
            crowd: Crowd::default(),
            figures: Latest::default(),
            turns: Latest::default(),
            recent: VecDeque::new(),
            counts: None,
            is_observing: false,
            until: Moment::NEVER,
            tick: Moment::NEVER,
            ticks: 0,
        }
    }

    /// The loop goes on with another one, whose followers come again: what happens until they do is kept for them. `happened` is the
    /// number of what has happened last. The loop must tell of news from now on.
    #[cfg(feature = "upgrade")]
    pub(super) fn expect_followers(&mut self, now: Moment, happened: u64) {
        (self.is_observing, self.until) = (true, now + KEPT);
        self.ring.skip_to(Chronicle::after(happened).next() - 1);
    }

    /// Somebody begins to follow. Returns the number of the last event that it has; `None` if too many follow already.
    pub(super) fn join(
        &mut self,
        id: PeerId,
        follows: Follows,
        after: Option<u64>,
        orders: &mut Orders,
    ) -> Option<u64> {
        if self.followers.len() == MOST_FOLLOWERS {
            return None;
        }
        self.until = Moment::NEVER;
        if !self.is_observing {
            self.is_observing = true;
            orders.observe(true);
            self.ring.skip_to(Chronicle::after(orders.happened()).next() - 1);
        }
        if follows == Follows::Everything && !self.is_watched() {
            orders.time_turns(true);
            (self.tick, self.ticks) = (orders.now(), 0);
        }
        self.followers.push(Known { id, follows, is_called: false });
        let latest = self.ring.latest();
        // A number that was not reached yet is of another life of this program: all that is kept is new then.
        Some(after.map_or(latest, |after| if after > latest { self.ring.before_first() } else { after }))
    }

    /// It follows no more.
    pub(super) fn leave(&mut self, id: PeerId, orders: &mut Orders) {
        let before = self.followers.len();
        let was_watched = self.is_watched();
        self.followers.retain(|known| known.id != id);
        if self.followers.len() == before {
            return;
        }
        if self.followers.is_empty() {
            self.until = orders.now() + KEPT;
        }
        if was_watched && !self.is_watched() {
            orders.time_turns(false);
            self.crowd.clear();
            (self.recent, self.counts, self.tick) = (VecDeque::new(), None, Moment::NEVER);
            self.figures.text = String::new();
            self.turns.text = String::new();
        }
    }

    pub(super) fn is_followed(&self) -> bool {
        !self.followers.is_empty()
    }

    fn is_watched(&self) -> bool {
        self.followers.iter().any(|known| known.follows == Follows::Everything)
    }

    /// Has all called who follow this, so that each is fed.
    fn call(&mut self, orders: &mut Orders, follow: impl Fn(Follows) -> bool) {
        for known in self.followers.iter_mut().filter(|known| !known.is_called && follow(known.follows)) {
            // Without room for the order, its alarm or the next event will do.
            known.is_called = orders.call_for(known.id).is_ok();
        }
    }

    /// One of them was called.
    pub(super) fn called(&mut self, id: PeerId) {
        self.followers.iter_mut().filter(|known| known.id == id).for_each(|known| known.is_called = false);
    }

    /// Something has happened.
    pub(super) fn observed(&mut self, news: &[News], orders: &mut Orders) {
        let time = TimeOfDay::at(orders.now());
        let is_watched = self.is_watched();
        for one in news {
            if is_watched {
                self.update_crowd(&one.what, epoch(time.now()));
            }
            if let Happening::LeftOut { .. } = one.what {
                continue; // it shows in the numbers of what follows
            }
            if let Some(event) = Chronicle::after(one.number - 1).tell(one, &time) {
                self.ring.push(event.seq, event.object);
            }
        }
        self.call(orders, |_| true);
    }

    fn update_crowd(&mut self, what: &Happening, now: u64) {
        match what {
            Happening::Arrived { id, peer, .. } => self.crowd.arrived(*id, *peer, now),
            Happening::Departed(departed) => self.crowd.departed(departed.id),
            _ => {}
        }
    }

    /// A turn has ended.
    pub(super) fn turned(&mut self, times: &TurnTimes) {
        if self.recent.len() == MOST_TURNS {
            self.recent.pop_front();
        }
        self.recent.push_back(*times);
    }

    /// The figures that were asked for have come.
    pub(super) fn counted(&mut self, figures: &Figures, orders: &mut Orders) {
        if self.is_watched() {
            self.counts = Some((figures.tally.connected, figures.limit));
            self.figures.replace(told_figures(figures));
            self.call(orders, |follows| follows == Follows::Everything);
        }
    }

    /// A peer was looked at in a sweep.
    pub(super) fn looked(&mut self, look: &Look, orders: &mut Orders) {
        if self.crowd.looked(look, epoch(SystemTime::now()), orders) {
            self.call(orders, |follows| follows == Follows::Everything);
        }
    }

    /// When it is to be called again.
    pub(super) fn deadline(&self) -> Moment {
        self.tick.min(self.until)
    }

    pub(super) fn expire(&mut self, now: Moment, orders: &mut Orders) {
        if self.until <= now {
            self.until = Moment::NEVER;
            self.is_observing = false;
            orders.observe(false);
            self.ring.clear();
        }
        if self.tick > now {
            return;
        }
        if self.ticks % TICKS_A_SECOND == 0 {
            // If there is no room for the order, the next second will do.
            let _ = orders.count(None);
            self.crowd.sweep(orders);
        }
        self.ticks = self.ticks.wrapping_add(1);
        self.tick = now + TICK;
        if !self.recent.is_empty() {
            self.turns.replace(told_turns(&self.recent));
            self.recent.clear();
            self.call(orders, |follows| follows == Follows::Everything);
        }
    }

    /// What one who watches is told first; `None` if that is not known yet.
    pub(super) fn hello(&self) -> Option<String> {
        let (count, limit) = self.counts?;
        let About { deadline, idle, interval, listen, .. } = &self.about;
        let listen: Vec<_> = listen.iter().map(SocketAddr::to_string).collect();
        let [deadline, idle, interval] = [deadline, idle, interval].map(|time| milliseconds(*time));
        Some(format!(
            "event: hello\ndata: {{\"version\":\"{}\",\"time\":{},\"deadline_ms\":{deadline},\"idle_ms\":{idle},\
             \"interval_ms\":{interval},\"count\":{count},\"listen\":[{}],\"limit\":{limit},\"pace_ms\":1000}}\n\n",
            env!("CARGO_PKG_VERSION"),
            epoch(SystemTime::now()),
            listen.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(","),
        ))
    }
}

/// In milliseconds since 1970.
fn epoch(time: SystemTime) -> u64 {
    milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn told_turns(turns: &VecDeque<TurnTimes>) -> String {
    let mut text = String::with_capacity(128 * turns.len());
    text.push_str("event: turns\ndata: {\"turns\":[");
    for (nth, turn) in turns.iter().enumerate() {
        let TurnTimes { number, events, wait, latch, drive, accept, expire, carry_out, reap, .. } = turn;
        let comma = if nth == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{{\"n\":{number},\"events\":{events}"); // writing to a string cannot fail
        let parts = [
            ("wait", wait),
            ("latch", latch),
            ("drive", drive),
            ("accept", accept),
            ("expire", expire),
            ("carry_out", carry_out),
            ("reap", reap),
        ];
        for (name, time) in parts {
            let nanoseconds = time.as_nanos();
            let _ = write!(text, ",\"{name}_us\":{}.{:03}", nanoseconds / 1000, nanoseconds % 1000);
        }
        text.push('}');
    }
    text.push_str("]}\n\n");
    text
}

/// Writing to a string cannot fail.
fn told_figures(figures: &Figures) -> String {
    let tally = &figures.tally;
    let is_refusal = |word: &str| refusals().any(|(refusal, _)| refusal == word);
    let mut text = String::with_capacity(2048);
    let refused: u64 = refusals().map(|(_, departure)| tally.departures.of(departure)).sum();
    let _ = write!(
        text,
        "event: figures\ndata: {{\"at\":{},\"peers\":{},\"limit\":{},\"arrivals\":{},\"departures\":{{",
        epoch(SystemTime::now()),
        tally.connected,
        figures.limit,
        tally.accepted.saturating_sub(refused)
    );
    let counts = Departure::WORDS.into_iter().zip(tally.departures.counts());
    tell_counts(&mut text, counts.clone().filter(|(word, _)| !is_refusal(word)));
    text.push_str("},\"refusals\":{");
    tell_counts(&mut text, counts.filter(|(word, _)| is_refusal(word)));
    let _ = write!(
        text,
        "}},\"received_bytes\":{},\"sent_bytes\":{},\"turns\":{},\"detection\":{{\"le\":[",
        tally.received, tally.sent, figures.turns.count
    );
    for (nth, bound) in Detection::BOUNDS.into_iter().enumerate() {
        let _ = write!(text, "{}{bound}", if nth == 0 { "" } else { "," });
    }
    text.push_str("],\"counts\":[");
    for (nth, count) in figures.detection.counts().iter().enumerate() {
        let _ = write!(text, "{}{count}", if nth == 0 { "" } else { "," });
    }
    let _ = write!(
        text,
        "],\"sum\":{},\"count\":{}}},\"outbox_bytes\":{},\"late\":{},\"stopping\":{}}}\n\n",
        Decimal::seconds(figures.detection.sum()),
        figures.detection.count(),
        figures.outbox_bytes,
        figures.detection.late(),
        figures.is_stopping
    );
    text
}

/// Those that are not 0.
fn tell_counts<'a>(text: &mut String, counts: impl Iterator<Item = (&'static str, &'a u64)>) {
    for (nth, (word, count)) in counts.filter(|(_, count)| **count > 0).enumerate() {
        let _ = write!(text, "{}\"{word}\":{count}", if nth == 0 { "" } else { "," });
    }
}
