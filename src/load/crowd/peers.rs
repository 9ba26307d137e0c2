//! The table of connections, and the queues that run through it.
//!
//! Owns which peer is to be driven, which is still connecting or being greeted, and which has ended. Knows no report and no
//! phase of the run.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use slab::Slab;

use crate::load::peer::{LoadPeer, PeerPhase};
use crate::reactor::{Moment, Readiness};

/// All connections that have a socket, by slot.
#[derive(Debug, Default)]
pub(super) struct Peers {
    table: Slab<LoadPeer>,
    runnable: Vec<usize>,
    /// Peers that are connecting or being greeted, in the order of opening: slot and number. Those that have got further, or
    /// have ended, are dropped when they come to the front.
    early: VecDeque<(usize, usize)>,
    /// How many peers are connecting or being greeted.
    waiting: usize,
    ended: Vec<usize>,
}

impl Peers {
    /// Adds a connection that has just been opened.
    pub(super) fn insert(&mut self, peer: LoadPeer) -> usize {
        let number = peer.number;
        let key = self.table.insert(peer);
        self.early.push_back((key, number));
        self.waiting += 1;
        key
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many are connecting or being greeted.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The peer in this slot, which must be there.
    pub(super) fn at(&mut self, key: usize) -> &mut LoadPeer {
        &mut self.table[key]
    }

    /// The peer in this slot, unless it has ended.
    pub(super) fn living(&mut self, key: usize) -> Option<&mut LoadPeer> {
        self.table.get_mut(key).filter(|peer| peer.phase != PeerPhase::Lost)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &LoadPeer)> {
        self.table.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut LoadPeer> {
        self.table.iter_mut().map(|(_, peer)| peer)
    }

    /// Remembers an event, and that the peer is to be driven.
    pub(super) fn latch(&mut self, key: usize, news: Readiness) {
        if let Some(peer) = self.table.get_mut(key) {
            peer.latch(news);
            self.schedule(key);
        }
    }

    pub(super) fn schedule(&mut self, key: usize) {
        self.runnable.push(key);
    }

    /// Takes the peers that are to be driven. The list comes back by [`Peers::reuse`].
    pub(super) fn take_runnable(&mut self) -> Vec<usize> {
        mem::take(&mut self.runnable)
    }

    /// Keeps the allocation of an empty list, unless another one is in use.
    pub(super) fn reuse(&mut self, list: Vec<usize>) {
        if self.runnable.is_empty() {
            self.runnable = list;
        }
    }

    /// Whether a peer is to be driven or reaped.
    pub(super) fn have_work(&self) -> bool {
        !self.runnable.is_empty() || !self.ended.is_empty()
    }

    /// It has been connected and greeted: it is idle, and owns no buffer.
    pub(super) fn rest(&mut self, key: usize) {
        self.table[key].rest();
        self.waiting -= 1;
    }

    /// Ends a connection. Returns the phase that it was in.
    pub(super) fn lose(&mut self, key: usize) -> PeerPhase {
        let peer = &mut self.table[key];
        self.waiting -= usize::from(is_early(peer));
        self.ended.push(key);
        mem::replace(&mut peer.phase, PeerPhase::Lost)
    }

    /// Frees the slot of a peer that has ended.
    pub(super) fn reap(&mut self) -> Option<LoadPeer> {
        self.ended.pop().map(|key| self.table.remove(key))
    }

    /// The first peer that has been connecting, or waiting for its greeting, for this long.
    pub(super) fn overdue(&mut self, now: Moment, patience: Duration) -> Option<usize> {
        while let Some(&(key, number)) = self.early.front() {
            let peer = self.table.get(key).filter(|peer| peer.number == number && is_early(peer));
            if peer.is_some_and(|peer| now.since(peer.opened) < patience) {
                return None;
            }
            self.early.pop_front();
            if peer.is_some() {
                return Some(key);
            }
        }
        None
    }

    /// No more connections are opened: the queue of early ones is freed.
    pub(super) fn all_opened(&mut self) {
        self.early = VecDeque::new();
    }
}

/// Whether it is still connecting or being greeted.
fn is_early(peer: &LoadPeer) -> bool {
    matches!(peer.phase, PeerPhase::Connecting | PeerPhase::Greeting)
}
