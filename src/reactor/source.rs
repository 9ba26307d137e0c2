//! What a turn drives: the ports, the signals, and any source that is added later.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use mio::{Registry, Token};

#[cfg(any(feature = "config", feature = "upgrade"))]
use crate::reactor::Ask;
#[cfg(feature = "events")]
use crate::reactor::Ending;
use crate::reactor::awake::Awake;
use crate::reactor::departing::tally::Tally;
use crate::reactor::limits::capacity::Capacity;
use crate::reactor::limits::memory::{Relief, Sizes};
use crate::reactor::observing::figures::{Counted, Figures};
use crate::reactor::observing::news::News;
use crate::reactor::observing::turn_times::{Stopwatch, TurnTimes};
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::connect::ToConnect;
use crate::reactor::serving::order::{Inquiry, Look, Order, Seen};
use crate::reactor::serving::orders::Orders;
use crate::reactor::time::moment::{Clock, Moment};

/// One thing that the loop waits for and drives. Each kind has its own type of peer, or none.
///
/// A turn calls `latch` for each event, then `drive`, `accept`, `expire` (if something is due), `carry_out` for each
/// order within the turn's budget, and `reap`: each for every source that is awake, in this order. None of them may block.
///
/// A source that has no work left sleeps until something is announced for it, it is due, or somebody orders something of it.
/// `is_runnable` and `deadline` are asked after each turn in which it took part, and not again while it sleeps.
pub trait Source {
    /// Remembers an event of what was registered under `key` ([`Names::token`]).
    fn latch(&mut self, key: usize, event: &Event);

    /// Does what the latches allow, within a budget.
    fn drive(&mut self, turn: &mut Turn<'_>);

    /// Accepts new peers, within a budget. After `drive`: the connected peers come first.
    fn accept(&mut self, _turn: &mut Turn<'_>) {}

    /// Does what is due at [`Turn::heard`]. Skipped if no deadline that was known before the wait has come.
    fn expire(&mut self, _turn: &mut Turn<'_>) {}

    /// Carries out an order for one of its peers, which may have departed.
    fn carry_out(&mut self, _peer: PeerId, _order: Order<'_>, _turn: &mut Turn<'_>) {}

    /// What can be seen of one of its peers; `None` if it has departed.
    fn look(&mut self, _peer: PeerId) -> Option<Seen> {
        None
    }

    /// The answer to a look that this source has asked for ([`Orders::look_at`]).
    fn looked(&mut self, _look: &Look, _turn: &mut Turn<'_>) {}

    /// The first of its peers in this slot or a later one.
    fn next_peer(&self, _slot: u32) -> Option<PeerId> {
        None
    }

    /// The answer to an order to count ([`Orders::count`]).
    fn counted(&mut self, _figures: &Figures, _asker: Option<PeerId>, _turn: &mut Turn<'_>) {}

    /// It wants news from the beginning. Asked once, when it is added.
    fn observes(&self) -> bool {
        false
    }

    /// What has happened in this turn, to peers of any port. Only while it observes.
    fn observe(&mut self, _news: &[News], _turn: &mut Turn<'_>) {}

    /// Where this turn has spent its time. Only for those who have asked ([`Orders::time_turns`]).
    fn turned(&mut self, _times: &TurnTimes, _turn: &mut Turn<'_>) {}

    /// Connects to somebody, who will be one of its peers, from the next turn on.
    fn connect(&mut self, _to: ToConnect) {}

    /// Itself, if somebody may ask it for more than this trait has.
    fn as_any(&mut self) -> Option<&mut dyn Any> {
        None
    }

    /// Frees the slots of the peers that have departed. The only place where that is done.
    fn reap(&mut self, _turn: &mut Turn<'_>) {}

    /// There is work that no event will announce: the loop must not sleep.
    fn is_runnable(&self, _capacity: &Capacity) -> bool {
        false
    }

    /// When the loop must wake for this source, if nothing happens before.
    fn deadline(&self) -> Option<Moment> {
        None
    }

    /// Accepts no new peers from now on, and ends all that it has by `by` at the latest.
    fn stop(&mut self, _by: Moment) {}

    /// The same, but what it has is ended piece by piece, evenly over this time, and each has `grace` from then on.
    #[cfg(feature = "upgrade")]
    fn stop_evenly(&mut self, now: Moment, over: Duration, grace: Duration) {
        self.stop(now + over + grace);
    }

    /// Opens anew what it writes to, because somebody has renamed it (SIGHUP). Whether there is anything to open; the source
    /// logs what.
    #[cfg(any(feature = "config", feature = "events", feature = "upgrade"))]
    fn reopen(&mut self) -> bool {
        false
    }

    /// What the same source of another program needs to know to go on: the name under which it finds that, and the bytes
    /// ([`Reactor::inherited_source`](crate::reactor::Reactor::inherited_source)). Asked when the loop is written down; nothing may
    /// change by it, because the loop may go on.
    #[cfg(feature = "upgrade")]
    fn save(&self) -> Option<(&'static str, Vec<u8>)> {
        None
    }

    /// It only holds a number.
    #[cfg(feature = "upgrade")]
    #[doc(hidden)]
    fn is_vacant(&self) -> bool {
        false
    }

    /// The loop has ended, and nobody is served any more: the last words. It may wait, for a second at most.
    #[cfg(feature = "events")]
    fn ends(&mut self, _ending: Ending, _turn: &mut Turn<'_>) {}

    /// Peers are left: a loop that is stopping must go on.
    fn is_busy(&self) -> bool {
        false
    }

    /// Adds how much memory the waiting output of each of its peers takes.
    fn weigh(&self, _sizes: &mut Sizes) {}

    /// Lets go of peers with the most waiting output, until enough memory is given up.
    fn relieve(&mut self, _relief: &mut Relief) {}

    /// Calls `told` with the address of each of its peers.
    fn addresses(&self, _told: &mut dyn FnMut(SocketAddr)) {}

    /// Adds its figures to those of the other sources.
    fn count(&self, _total: &mut Tally) {}
}

/// The names under which a source registers what it waits for: its own number, and a key that it chooses.
#[derive(Clone, Copy, Debug)]
pub struct Names(usize);

impl Names {
    const BITS: u32 = 8;
    /// How many sources a loop can have.
    pub const SOURCES: usize = 1 << Self::BITS;
    /// The highest key.
    pub const MAX_KEY: usize = usize::MAX >> Self::BITS;

    pub(super) fn of_source(number: usize) -> Self {
        debug_assert!(number < Self::SOURCES);
        Self(number)
    }

    /// The number of the source.
    pub(super) fn source(self) -> usize {
        self.0
    }

    /// The token of `key`.
    pub fn token(self, key: usize) -> Token {
        assert!(key <= Self::MAX_KEY, "a source's key is {} at most, and not {key}", Self::MAX_KEY);
        Token(key << Self::BITS | self.0)
    }

    /// The source's number and the key.
    pub(super) fn split(token: Token) -> (usize, usize) {
        (token.0 & (Self::SOURCES - 1), token.0 >> Self::BITS)
    }
}

/// What a source may use during its part of a turn.
#[non_exhaustive]
pub struct Turn<'a> {
    /// When this turn woke.
    pub now: Moment,
    /// Everything that came by this moment was driven in this turn at the latest. Silence must be judged by
    /// this moment and not by `now`: a loop that was stopped, or has more events than fit into one batch,
    /// knows the time before it knows what the peers have sent.
    pub heard: Moment,
    /// For what needs the time in the middle of a turn.
    pub clock: Clock,
    /// Where a source registers more sockets, and removes them.
    pub registry: &'a Registry,
    /// One buffer for all reads: an idle peer owns none.
    pub scratch: &'a mut [u8],
    /// How many connections there are and may be, over all ports.
    pub capacity: &'a mut Capacity,
    /// What is to be done to peers, of any port.
    pub orders: &'a mut Orders,
    /// The batch of events was full: more peers wait to be heard, so what can wait is put off.
    pub crowded: bool,
    /// What the loop is asked to do when the turn is over.
    pub requests: &'a mut Vec<Request>,
    /// Somebody has called from outside of the loop ([`Handle`](crate::reactor::Handle)): every service is told.
    pub called: bool,
    /// What the loop itself counts.
    pub(in crate::reactor) counted: &'a mut Counted,
    /// Which sources take part.
    pub(in crate::reactor) awake: &'a mut Awake,
    /// Times its parts.
    pub(in crate::reactor) watch: &'a mut Stopwatch,
}

impl Turn<'_> {
    /// The source with these names takes part in the next turn, whatever happens: it waits for room that others may give back.
    /// The loop sleeps all the same.
    pub fn stay_awake(&mut self, names: Names) {
        self.awake.stay(names.source());
    }
}

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("now", &self.now).field("heard", &self.heard).finish_non_exhaustive()
    }
}

/// What a source asks of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// End in an orderly way within this time.
    Stop {
        /// How long peers have to take what waits for them.
        grace: Duration,
    },
    /// The same, but the peers are closed one by one, evenly over this time.
    #[cfg(feature = "upgrade")]
    StopEvenly {
        /// From the first to the last.
        over: Duration,
        /// How long each has to take what waits for it, from its own turn on.
        grace: Duration,
    },
    /// End now.
    Abort,
    /// Log one line of figures.
    Figures,
    /// Open anew what is written to.
    #[cfg(feature = "events")]
    Reopen,
    /// Let the program act before the next turn: [`Reactor::run`](crate::reactor::Reactor::run) returns. The same one is told
    /// once, however often it was asked in a turn; a loop that has ended tells it no more.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    Program(Ask),
}

/// What an order takes from the budget of a turn at least for each peer, however few bytes it sends: 128 sends in a turn.
pub(super) const LEAST_CHARGE: usize = 4096;

/// What answers an [`Inquiry`], within what is left of the budget.
pub(super) struct Answer(pub(super) fn(Inquiry, &mut usize, &mut [Box<dyn Source>], &mut Turn<'_>));

/// Answers the source that has asked for something. The answer may make it give orders.
pub(super) fn answer(
    giver: usize,
    sources: &mut [Box<dyn Source>],
    turn: &mut Turn<'_>,
    answer: impl FnOnce(&mut dyn Source, &mut Turn<'_>),
) {
    turn.awake.wake(giver);
    if let Some(source) = sources.get_mut(giver) {
        turn.orders.giver = giver;
        answer(&mut **source, turn);
    }
}

/// The figures of all sources together.
pub(super) fn total(sources: &[Box<dyn Source>]) -> Tally {
    let mut total = Tally::default();
    sources.iter().for_each(|source| source.count(&mut total));
    total
}

/// Lets go of the peers with the largest outboxes, if all together take too much; gives idle memory back.
/// True if some were let go.
pub(super) fn see_to_memory(sources: &mut [Box<dyn Source>], capacity: &mut Capacity, now: Moment) -> bool {
    let excess = capacity.memory.excess();
    if excess > 0 {
        let mut relief = Relief::of(excess, |sizes| sources.iter().for_each(|source| source.weigh(sizes)));
        for only_stuck in [true, false] {
            relief.only_stuck = only_stuck;
            sources.iter_mut().for_each(|source| source.relieve(&mut relief));
        }
        capacity.memory.relieved(now, relief.count);
    }
    capacity.memory.give_back(now);
    excess > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_back_source_and_key() {
        for source in [0, 1, Names::SOURCES - 1] {
            for key in [0, 1, 19_000, Names::MAX_KEY] {
                assert_eq!(Names::split(Names::of_source(source).token(key)), (source, key));
            }
        }
    }
}
