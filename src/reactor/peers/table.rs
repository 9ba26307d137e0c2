//! The table of a port's peers, and the queues through which they move.
//!
//! Owns identity: which connection is in which slot, and whether it is still that of the peer that is asked for. Owns the
//! queues: those that may make progress, those that may have ended, those that have departed. A slot comes free in
//! [`Table::take_departed`], at the end of a turn, or in [`Table::take`], between two turns, and nowhere else. Knows no time and no service.

use slab::Slab;

use crate::malloc::KEPT_ENTRIES;
use crate::reactor::connection::Connection;
use crate::reactor::connection::queue::Queue;
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::connection::stream::Stream;
use crate::reactor::peer_id::PeerId;

/// The connections of a port, by slot.
pub(super) struct Table<S> {
    slots: Slab<Connection<S>>,
    /// Those that may make progress.
    runnable: Queue,
    /// Those whose event announced more than data: most have ended or hung up, so they wait until the
    /// others are served.
    leaving: Queue,
    /// Those that have departed, and are to be reaped.
    departed: Queue,
}

impl<S: Stream> Table<S> {
    pub(super) fn new() -> Self {
        let queue = Queue::default;
        Self { slots: Slab::new(), runnable: queue(), leaving: queue(), departed: queue() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Connection<S>> {
        self.slots.get(slot as usize)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Connection<S>> {
        self.slots.get_mut(slot as usize)
    }

    /// The connection of this peer, if it is still there.
    pub(super) fn of(&mut self, id: PeerId) -> Option<&mut Connection<S>> {
        self.get_mut(id.slot()).filter(|owner| owner.is_of(id))
    }

    /// Whether this peer is still there.
    pub(super) fn has(&self, id: PeerId) -> bool {
        self.get(id.slot()).is_some_and(|owner| owner.is_of(id))
    }

    /// All slots, whether there is a peer in them or not.
    pub(super) fn slots(&self) -> std::ops::Range<u32> {
        0..self.slots.capacity() as u32
    }

    /// All connections.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection<S>> {
        self.slots.iter().map(|(_, connection)| connection)
    }

    /// The slot that the next newcomer gets.
    pub(super) fn vacant(&self) -> u32 {
        self.slots.vacant_key() as u32
    }

    /// How many more slots a newcomer makes it allocate; usually none.
    pub(super) fn growth(&self) -> usize {
        let slots = self.slots.capacity();
        if self.slots.len() < slots { 0 } else { slots.max(2) * 2 }
    }

    /// Puts a newcomer in the vacant slot.
    pub(super) fn insert(&mut self, connection: Connection<S>) -> u32 {
        self.slots.insert(connection) as u32
    }

    /// Fills an empty table with connections that are in no queue, each in the slot that it had.
    #[cfg(feature = "upgrade")]
    pub(super) fn fill(&mut self, connections: impl Iterator<Item = (u32, Connection<S>)>) {
        debug_assert!(self.slots.is_empty(), "nobody may have arrived before");
        self.slots = connections.map(|(slot, connection)| (slot as usize, connection)).collect();
    }

    /// Remembers what the kernel announced for the peer in this slot.
    pub(super) fn latch(&mut self, slot: u32, news: Readiness) {
        let Some(connection) = self.get_mut(slot) else { return };
        if connection.latch(news) {
            let queue = if news.has(Readiness::MORE_THAN_DATA) { &mut self.leaving } else { &mut self.runnable };
            queue.push(&mut self.slots, slot);
        }
    }

    /// Has the peer in this slot driven, if it is in no queue.
    pub(super) fn schedule(&mut self, slot: u32) {
        if self.get_mut(slot).is_some_and(Connection::take_place) {
            self.runnable.push(&mut self.slots, slot);
        }
    }

    /// Has a peer driven again that has yielded.
    pub(super) fn go_on(&mut self, slot: u32) {
        self.runnable.push(&mut self.slots, slot);
    }

    /// Has a peer reaped that has departed.
    pub(super) fn depart(&mut self, slot: u32) {
        self.departed.push(&mut self.slots, slot);
    }

    /// Those that may make progress now. A peer that is scheduled from now on waits for the next turn.
    pub(super) fn take_runnable(&mut self) -> Queue {
        std::mem::take(&mut self.runnable)
    }

    /// The next one of those.
    pub(super) fn next_of(&mut self, queue: &mut Queue) -> Option<u32> {
        queue.pop(&mut self.slots)
    }

    /// The next one of those that may have ended.
    pub(super) fn next_leaving(&mut self) -> Option<u32> {
        self.leaving.pop(&mut self.slots)
    }

    /// Takes the next one that has departed out of the table. The only place where a slot comes free.
    pub(super) fn take_departed(&mut self) -> Option<(u32, Connection<S>)> {
        let slot = self.departed.pop(&mut self.slots)?;
        Some((slot, self.slots.remove(slot as usize)))
    }

    /// Takes a connection out of the table that is in no queue: another loop serves it from now on. Between two turns only.
    pub(super) fn take(&mut self, slot: u32) -> Option<Connection<S>> {
        self.slots.try_remove(slot as usize)
    }

    /// Some have departed, and are still to be reaped.
    pub(super) fn has_departed(&self) -> bool {
        !self.departed.is_empty()
    }

    /// Some may make progress, or are to be reaped.
    pub(super) fn has_work(&self) -> bool {
        !self.runnable.is_empty() || !self.leaving.is_empty() || self.has_departed()
    }

    /// Gives the memory of an empty table back to the system, if it is much. True if it did.
    pub(super) fn give_back(&mut self) -> bool {
        let is_worth_it = self.slots.is_empty() && self.slots.capacity() > KEPT_ENTRIES;
        if is_worth_it {
            self.slots = Slab::new();
        }
        is_worth_it
    }
}
