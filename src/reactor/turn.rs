//! One turn: wait, latch, drive, accept, expire, carry out, reap.
//!
//! Owns the order of these, and when the loop sleeps. Knows nothing of what a source does.

use std::io;
use std::time::Duration;

use log::{debug, info, trace, warn};

use crate::count::so_many;
#[cfg(feature = "upgrade")]
use crate::reactor::Ask;
use crate::reactor::carry_out::carry_out;
use crate::reactor::observing::news::Incident;
use crate::reactor::observing::turn_times::TurnTimes;
use crate::reactor::source::{Names, Request, Source, Turn, see_to_memory, total};
use crate::reactor::time::moment::Moment;
use crate::reactor::{BATCH, Ending, Reactor};

/// How often in a row `poll` may fail before the loop gives up.
const POLL_TRIES: u32 = 16;

impl Reactor {
    /// Turns until it is asked to stop and every peer is gone, or until a source asks for the program ([`Request::Program`]):
    /// then the program may act between two turns, and run it again.
    ///
    /// # Errors
    /// `poll` keeps failing. No error of a connection or a listener ends the loop.
    pub fn run(&mut self) -> io::Result<Ending> {
        loop {
            #[cfg(any(feature = "config", feature = "upgrade"))]
            if let Some(ask) = self.asked() {
                return Ok(Ending::Asked(ask));
            }
            self.turn()?;
            if let Some(ending) = self.ending {
                return Ok(ending);
            }
        }
    }

    /// One turn: wait, latch, drive, accept, expire, carry out, reap.
    ///
    /// # Errors
    /// `poll` keeps failing.
    pub fn turn(&mut self) -> io::Result<()> {
        self.turn_within(Duration::MAX)
    }

    /// The same, but it waits no longer than this, for those who drive the loop themselves. With a time of zero it does
    /// what can be done at once. [`Reactor::ending`] tells when the loop has ended.
    ///
    /// # Errors
    /// `poll` keeps failing.
    pub fn turn_within(&mut self, most: Duration) -> io::Result<()> {
        let clock = self.hearing.clock;
        self.watch.start(self.orders.audience.times(), clock);
        let is_heard = self.wait(most)?;
        self.watch.ends(|times| &mut times.wait, clock);
        let count = self.latch();
        if is_heard {
            self.hearing.hear(count, || total(&self.sources).connected);
        }
        self.counted.turns.count(count);
        let (now, due) = (self.hearing.now, self.due);
        self.awake.begin_turn(now);
        self.watch.ends(|times| &mut times.latch, clock);
        self.with_turn(|sources, turn| {
            each(sources, turn, |source, turn| source.drive(turn));
            if turn.called {
                turn.awake.wake_all();
            }
            turn.watch.ends(|times| &mut times.drive, clock);
            each(sources, turn, |source, turn| source.accept(turn));
            turn.watch.ends(|times| &mut times.accept, clock);
            if due <= turn.heard {
                each(sources, turn, |source, turn| source.expire(turn));
            }
            turn.watch.ends(|times| &mut times.expire, clock);
            if !turn.orders.is_empty() {
                carry_out(sources, turn);
            }
            turn.watch.ends(|times| &mut times.carry_out, clock);
            each(sources, turn, |source, turn| source.reap(turn));
        });
        if see_to_memory(&mut self.sources, &mut self.capacity, now) {
            self.awake.wake_all();
        }
        #[cfg(feature = "upgrade")]
        if self.orders.take_ask() {
            self.requests.push(Request::Program(Ask::Upgrade));
        }
        self.obey(now);
        if self.orders.audience.has_news() {
            self.with_turn(tell);
        }
        #[cfg(feature = "events")]
        if let Some(ending) = self.ending {
            self.with_turn(|sources, turn| sources.iter_mut().for_each(|source| source.ends(ending, turn)));
        }
        self.watch.ends(|times| &mut times.reap, clock);
        if let Some(times) = self.watch.times(self.counted.turns.count, count) {
            self.tell_times(&times);
        }
        Ok(())
    }

    /// Tells those who time turns where this one has spent its time.
    fn tell_times(&mut self, times: &TurnTimes) {
        self.with_turn(|sources, turn| {
            for nth in 0.. {
                let Some(timer) = turn.orders.audience.timer(nth) else { break };
                turn.awake.wake(timer);
                turn.orders.giver = timer;
                sources[timer].turned(times, turn);
            }
        });
    }

    /// The sources, and what they may use.
    pub(super) fn with_turn<R>(&mut self, act: impl FnOnce(&mut [Box<dyn Source>], &mut Turn<'_>) -> R) -> R {
        (self.orders.now, self.orders.clock) = (self.hearing.now, self.hearing.clock);
        let mut turn = Turn {
            now: self.hearing.now,
            heard: self.hearing.heard,
            clock: self.hearing.clock,
            registry: self.poll.registry(),
            scratch: self.scratch.bytes(),
            capacity: &mut self.capacity,
            orders: &mut self.orders,
            crowded: self.crowded,
            requests: &mut self.requests,
            called: false,
            counted: &mut self.counted,
            awake: &mut self.awake,
            watch: &mut self.watch,
        };
        act(&mut self.sources, &mut turn)
    }

    /// The same when no turn is going on: the time is that of the clock.
    pub(super) fn between_turns<R>(&mut self, act: impl FnOnce(&mut [Box<dyn Source>], &mut Turn<'_>) -> R) -> R {
        self.hearing.now = self.hearing.clock.now();
        self.awake.wake_all();
        self.with_turn(act)
    }

    /// Sleeps until the kernel announces something or a deadline comes. The only thing that blocks. False if
    /// the wait failed: then it is not even known whether anything came.
    fn wait(&mut self, most: Duration) -> io::Result<bool> {
        let timeout = self.timeout(most);
        match timeout {
            Some(Duration::ZERO) => trace!("turn: work is left, so it does not wait"),
            Some(timeout) => trace!("turn: waits {timeout:?} at most"),
            None => trace!("turn: waits for an event"),
        }
        let woke = self.hearing.now;
        if let Some(waits) = self.hearing.began_to_wait() {
            self.counted.turns.record_work(woke, waits);
        }
        let before = log::log_enabled!(log::Level::Trace).then(|| self.hearing.clock.now());
        let result = self.poll.poll(&mut self.events, timeout);
        if let Some(before) = before {
            let (waited, count) = (self.hearing.clock.now().since(before), self.events.iter().count());
            trace!("turn: waited {waited:?}: {}", so_many(count, "event"));
        }
        self.hearing.wakes();
        if self.due == Moment::default() {
            self.counted.turns.record_work(woke, self.hearing.now);
        }
        if self.due <= self.hearing.now && self.due != Moment::default() {
            self.counted.turns.record_lateness(self.due, self.hearing.now);
        }
        match result {
            Ok(()) => {
                self.failures = 0;
                return Ok(true);
            }
            // SIGCONT ends a wait like this. The next wait returns the events that came meanwhile.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) if self.failures < POLL_TRIES => {
                self.events.clear();
                self.failures += 1;
                warn!("poll failed and is tried again: {error}");
            }
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// How long to sleep: not at all while work is left, for ever if nothing is due, and no longer than `most`.
    pub(super) fn timeout(&mut self, most: Duration) -> Option<Duration> {
        let (mut walk, mut have_work) = (self.awake.walk(), false);
        while let Some(number) = walk.next() {
            let source = &self.sources[number];
            let has_work = source.is_runnable(&self.capacity);
            have_work |= has_work;
            self.awake.settle(number, (!has_work).then(|| source.deadline().unwrap_or(Moment::NEVER)));
        }
        self.awake.settled();
        if have_work || !self.orders.is_empty() || self.is_last_turn {
            // The deadlines of those that have work are not asked for here, so they are asked to expire what is due.
            self.due = Moment::default();
            self.hearing.does_not_wait();
            return Some(Duration::ZERO);
        }
        let soonest = self.awake.soonest();
        self.due = self.capacity.memory.deadline().map_or(soonest, |memory| memory.min(soonest));
        self.hearing.waits_until(self.due.if_ever(), most)
    }

    /// Hands each event to its source, and returns how many there were. Sources only remember them, so no
    /// event can find a state that another one has changed.
    pub(super) fn latch(&mut self) -> usize {
        let mut count = 0;
        for event in &self.events {
            let (source, key) = Names::split(event.token());
            self.awake.wake(source);
            self.sources[source].latch(key, event);
            count += 1;
        }
        self.crowded = count == BATCH;
        count
    }

    /// Does what the sources asked for.
    fn obey(&mut self, now: Moment) {
        if self.requests.is_empty() && !self.stopping {
            return;
        }
        self.awake.wake_all();
        // Put back below, so that its memory is used again.
        let mut requests = std::mem::take(&mut self.requests);
        for request in requests.drain(..) {
            match request {
                Request::Stop { grace } => self.stop(now, |source| source.stop(now + grace)),
                #[cfg(feature = "upgrade")]
                Request::StopEvenly { over, grace } => self.stop(now, |source| source.stop_evenly(now, over, grace)),
                Request::Abort => self.ending = Some(Ending::Aborted { cut_off: self.capacity.connected() }),
                Request::Figures => info!("{}", self.tally()),
                #[cfg(feature = "events")]
                Request::Reopen => {
                    if !self.reopen() {
                        info!(
                            "SIGHUP is ignored: no file is written to; SIGTERM stops the server, SIGUSR1 logs the figures"
                        );
                    }
                }
                #[cfg(any(feature = "config", feature = "upgrade"))]
                Request::Program(ask) if self.asked.contains(&ask) => {}
                #[cfg(any(feature = "config", feature = "upgrade"))]
                Request::Program(ask) => self.asked.push_back(ask),
            }
        }
        self.requests = requests;
        if self.stopping && self.ending.is_none() && !self.sources.iter().any(|source| source.is_busy()) {
            // What those are told who observe, they may pass on in one more turn.
            if std::mem::replace(&mut self.is_last_turn, true) {
                debug!("the last peer has gone");
                self.ending = Some(Ending::Orderly);
            }
        }
    }

    /// Stops in an orderly way, evenly over this time if it is not zero, as when a source asks for it. Between two turns; the loop is to be
    /// run on.
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    pub fn stop_within(&mut self, over: Duration, grace: Duration) {
        let stop = if over.is_zero() { Request::Stop { grace } } else { Request::StopEvenly { over, grace } };
        self.requests.push(stop);
        self.obey(self.hearing.now);
    }

    fn stop(&mut self, now: Moment, mut stop: impl FnMut(&mut dyn Source)) {
        self.stopping = true;
        self.counted.is_stopping = true;
        self.orders.audience.note(now, Incident::Stopping);
        self.sources.iter_mut().for_each(|source| stop(&mut **source));
    }

    /// Has every source open anew what it writes to. Whether there is anything to open; the sources log what.
    #[cfg(any(feature = "config", feature = "events", feature = "upgrade"))]
    pub fn reopen(&mut self) -> bool {
        self.awake.wake_all();
        // Every one is asked, not only the first that has something to open.
        let mut opens = false;
        self.sources.iter_mut().for_each(|source| opens |= source.reopen());
        opens
    }
}

/// Tells those who observe what has happened in this turn.
pub(super) fn tell(sources: &mut [Box<dyn Source>], turn: &mut Turn<'_>) {
    let Some(news) = turn.orders.audience.take_news() else { return };
    for nth in 0.. {
        let Some(observer) = turn.orders.audience.observer(nth) else { break };
        turn.awake.wake(observer);
        turn.orders.giver = observer;
        sources[observer].observe(&news, turn);
    }
    turn.orders.audience.put_back(news);
}

/// Has each source that is awake do its part. Another one may wake meanwhile, and does the parts that come later.
#[inline(always)]
fn each(sources: &mut [Box<dyn Source>], turn: &mut Turn<'_>, part: impl Fn(&mut dyn Source, &mut Turn<'_>)) {
    let mut walk = turn.awake.walk();
    while let Some(source) = walk.next() {
        turn.orders.giver = source;
        part(&mut *sources[source], turn);
    }
}
