//! `--events`: each event as a line of JSON, to a reader who may be slow, stuck or gone.
//!
//! Owns when is written, and when is opened anew. The loop never waits for a reader: what it does not take is kept, up to a bound;
//! beyond that, events are left out, and a line says how many. docs/events.md says what a reader can rely on.
//!
//! ```text
//!            ┌────────── the attempt fails ◀──────┐
//!            ▼                                    │
//!   closed, until the pause ends ──▶ opened, or being connected ──▶ open ──▶ it is gone: closed
//!                                                                    │ ▲
//!                                                                    ▼ │ a file takes no more: kept open, until the pause ends
//! ```

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log::info;
use mio::Registry;
use mio::event::Event as Readied;

use self::lines::Lines;
use self::opening::{FIRST_PAUSE, LONGEST_PAUSE};
use self::sink::{Sink, is_socket, is_unread_fifo};
pub use self::to::EventsTo;
use crate::keepalive::Keepalive;
use crate::malloc;
use crate::observe::event::{Chronicle, Event, TimeOfDay};
use crate::reactor::{Backoff, Capacity, Ending, Moment, Names, News, Source, Turn};

mod collector;
mod ending;
mod lines;
mod opening;
mod sink;
#[cfg(feature = "upgrade")]
mod taken_over;
mod to;

/// How much is written in a turn, so that the peers are served in between.
const BUDGET: usize = 64 * 1024;
/// How many reads of what a reader sends, which nobody asked for, are made in a turn.
const READS: usize = 4;
/// The one key of this source.
const KEY: usize = 0;

/// The events of a loop, on their way to where a person wants them.
pub struct Events {
    to: EventsTo,
    /// Of a TCP collector: resolved once, and tried in turn.
    addresses: Vec<SocketAddr>,
    keepalive: Keepalive,
    backoff: Backoff,
    names: Names,
    chronicle: Chronicle,
    lines: Lines,
    sink: Option<Sink>,
    /// The connection is being made, and until when it may take.
    connecting: Option<Moment>,
    /// Since when it is open.
    since: Moment,
    /// A write may find room.
    ready: bool,
    /// epoll has announced something that is not seen to yet; with it, that the other end is closed.
    announced: bool,
    is_over: bool,
    /// Something came from the reader, which nobody asked for.
    is_talked_to: bool,
    /// It is to be opened anew: SIGHUP.
    reopens: bool,
    /// When it is opened, or written to, again.
    due: Moment,
    failures: u32,
    /// It does not work, and that was said.
    is_failing: bool,
    left_out: Arc<AtomicU64>,
    /// Where the program before this one was in the middle of a line.
    #[cfg(feature = "upgrade")]
    torn: Option<taken_over::Torn>,
}

/// What the first lines are.
#[derive(Debug)]
pub enum Begin {
    /// The start event.
    Start(Event),
    /// What the program before this one has left ([`Source::save`]); nothing, if that one told nobody.
    #[cfg(feature = "upgrade")]
    TakeOver(Option<Vec<u8>>),
}

impl Events {
    /// Under which name the next program finds what this one has left.
    #[cfg(feature = "upgrade")]
    pub const NAME: &'static str = "events";

    /// Opens it if it is a file, and begins with what it is to begin with. A socket is connected from the first turn on.
    ///
    /// # Errors
    /// A sentence: the file cannot be opened, or the collector's name not be resolved.
    pub fn open(
        to: EventsTo,
        keepalive: &Keepalive,
        begin: Begin,
        registry: &Registry,
        names: Names,
    ) -> io::Result<Self> {
        let addresses = match &to {
            EventsTo::Tcp(place) => place.addresses().map_err(io::Error::other)?,
            _ => Vec::new(),
        };
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)?;
        let mut events = Self {
            to,
            addresses,
            keepalive: keepalive.clone(),
            backoff,
            names,
            chronicle: Chronicle::default(),
            lines: Lines::default(),
            sink: None,
            connecting: None,
            since: Moment::default(),
            ready: false,
            announced: false,
            is_over: false,
            is_talked_to: false,
            reopens: false,
            due: Moment::default(),
            failures: 0,
            is_failing: false,
            left_out: Arc::default(),
            #[cfg(feature = "upgrade")]
            torn: None,
        };
        // A program that takes over has no way back: what cannot be opened is tried again.
        let has_taken_over = !matches!(begin, Begin::Start(_));
        match begin {
            Begin::Start(event) => events.lines.push(event.object),
            #[cfg(feature = "upgrade")]
            Begin::TakeOver(saved) => events.take_over(saved.as_deref()),
        }
        if matches!(events.to, EventsTo::Stdout | EventsTo::File(_)) {
            match events.try_to_open(Moment::default(), registry) {
                Err(error) if has_taken_over => events.is_gone(&error, Moment::default(), registry),
                Err(error) if matches!(&events.to, EventsTo::File(path) if is_unread_fifo(&error, path)) => {
                    events.is_gone(&error, Moment::default(), registry);
                }
                Err(_) if matches!(&events.to, EventsTo::File(path) if is_socket(path)) => {
                    let said = format!("it is a socket: unix:{} is for those", events.to);
                    return Err(io::Error::other(said));
                }
                opened => opened?,
            }
        }
        info!("events go to {}", events.to);
        Ok(events)
    }

    /// How many events were left out so far, because the reader did not take them. It goes on counting.
    pub fn left_out(&self) -> Arc<AtomicU64> {
        self.left_out.clone()
    }

    /// Sees to what epoll has announced.
    fn see(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        if let (Some(until), Some(collector)) = (self.connecting, sink.collector()) {
            if collector.is_established(turn.now)? {
                self.is_open(turn.now);
            } else if until <= turn.now {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        let Some(sink) = self.sink.as_mut().filter(|_| self.connecting.is_none() && self.announced) else {
            self.announced = false;
            return Ok(());
        };
        for _ in 0..READS {
            match sink.read(turn.scratch) {
                Ok(Some(_)) => self.is_talked_to = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {
                    self.announced = false;
                    break;
                }
            }
        }
        if std::mem::take(&mut self.is_over) { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Writes what is taken, within the budget. Then, if there is room for it, how many lines were left out.
    fn write(&mut self, now: Moment) -> io::Result<()> {
        let mut budget = BUDGET;
        let Some(sink) = &mut self.sink else { return Ok(()) };
        let mut wrote = false;
        while self.ready && budget > 0 && self.lines.wait() {
            let (pieces, count) = self.lines.pieces(sink.piece());
            match sink.write(&pieces[..count]) {
                Ok(count) => {
                    self.lines.written(count);
                    budget = budget.saturating_sub(count.max(1));
                    wrote = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match sink.collector() {
            Some(collector) if wrote => collector.wrote(now, &mut self.lines),
            Some(_) => {}
            None => {
                self.lines.all_arrived();
                if wrote && self.is_failing {
                    self.is_open(now); // a file that takes more again
                }
            }
        }
        Ok(())
    }

    /// If events were left out and there is room again: says how many.
    fn tell_left_out(&mut self, time: &TimeOfDay) {
        if let Some(count) = self.lines.left_out() {
            self.lines.tell(self.chronicle.left_out(count, time.now()).object);
        }
    }
}

impl Source for Events {
    fn latch(&mut self, _key: usize, event: &Readied) {
        self.announced = true;
        self.ready |= event.is_writable() && self.connecting.is_none() && self.sink.is_some();
        self.is_over |= event.is_write_closed() || event.is_error();
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        let (now, registry) = (turn.now, turn.registry);
        if std::mem::take(&mut self.reopens) {
            self.reopen_now(now, registry);
        }
        if self.due <= now {
            match &self.sink {
                None => self.open_again(now, registry),
                Some(_) => (self.ready, self.due) = (true, Moment::NEVER),
            }
        }
        let mut result = Ok(());
        if self.announced || self.connecting.is_some_and(|until| until <= now) {
            result = self.see(turn);
        }
        let lines = &mut self.lines;
        if let Some(collector) = self.sink.as_mut().and_then(Sink::collector)
            && collector.deadline() <= now
            && result.is_ok()
        {
            result = collector.look(now, lines);
        }
        let result = result.and_then(|()| self.write(now));
        if let Err(error) = result {
            self.is_gone(&error, now, registry);
        }
        if self.lines.left_out().is_some() {
            self.tell_left_out(&TimeOfDay::read(turn.clock));
        }
    }

    fn observe(&mut self, news: &[News], turn: &mut Turn<'_>) {
        let time = TimeOfDay::read(turn.clock);
        for news in news {
            self.tell_left_out(&time);
            // A line is a small allocation, which cannot fail.
            if !malloc::leaves_room() {
                self.chronicle.skip(news);
                self.lines.leave_out();
            } else if let Some(event) = self.chronicle.tell(news, &time) {
                self.lines.push(event.object);
            }
        }
        self.left_out.store(self.lines.left_out_in_all(), Ordering::Relaxed);
        if let Err(error) = self.write(turn.now) {
            self.is_gone(&error, turn.now, turn.registry);
        }
    }

    fn observes(&self) -> bool {
        true
    }

    fn is_runnable(&self, _capacity: &Capacity) -> bool {
        self.announced || self.reopens || self.ready && self.lines.wait()
    }

    fn deadline(&self) -> Option<Moment> {
        let connecting = self.connecting.unwrap_or(Moment::NEVER);
        let look = match &self.sink {
            Some(Sink::Tcp(collector)) => collector.deadline(),
            _ => Moment::NEVER,
        };
        Some(self.due.min(connecting).min(look)).filter(|deadline| *deadline != Moment::NEVER)
    }

    #[cfg(feature = "upgrade")]
    fn save(&self) -> Option<(&'static str, Vec<u8>)> {
        Some((Self::NAME, self.written_down()))
    }

    fn reopen(&mut self) -> bool {
        let is_file = matches!(self.to, EventsTo::File(_));
        self.reopens = is_file || self.sink.is_none();
        self.reopens
    }

    fn ends(&mut self, ending: Ending, turn: &mut Turn<'_>) {
        self.end(ending, turn);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("to", &self.to).field("sink", &self.sink).finish_non_exhaustive()
    }
}
