//! A service and what it remembers of its peers, behind one interface for all services.
//!
//! Owns the states, by slot, beside the port's table. So a port has the same type for every service, and
//! its code is in the program once, however many services there are.

use std::collections::TryReserveError;

use crate::malloc;
use crate::reactor::departure::Farewell;
use crate::reactor::orders::Orders;
use crate::reactor::service::{Peer, Service};
use crate::reactor::timers::Moment;

/// An empty table of more states than this is given back to the system.
const KEPT_STATES: usize = 1024;

/// A service as its port sees it. The terms of each call carry the peer's slot.
pub(super) trait Hosted: Service<State = ()> {
    /// Allocates the memory that an arrival in this slot needs.
    ///
    /// # Errors
    /// There is no memory for it.
    fn reserve(&mut self, slot: u32) -> Result<(), TryReserveError>;

    /// The peer in this slot has gone.
    fn depart(&mut self, slot: u32, farewell: &Farewell, orders: &mut Orders);
}

/// A service, with the states of its peers.
pub(super) struct Host<V: Service> {
    service: V,
    states: States<V::State>,
}

impl<V: Service> Host<V> {
    pub fn new(service: V) -> Self {
        Self { service, states: States { by_slot: Vec::new(), alike: Vec::new(), count: 0 } }
    }

    /// The service, and the peer with its state.
    fn meet<'a>(&'a mut self, peer: &'a mut Peer<'_, ()>) -> Option<(&'a mut V, Peer<'a, V::State>)> {
        let state = self.states.get(peer.terms.slot);
        debug_assert!(state.is_some(), "a peer that never arrived");
        Some((&mut self.service, Peer { state: state?, line: peer.line, orders: peer.orders, terms: peer.terms }))
    }
}

impl<V: Service> Service for Host<V> {
    type State = ();

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
        let state = self.service.arrived(peer);
        self.states.put(peer.terms.slot, state);
    }

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        if let Some((service, mut peer)) = self.meet(peer) {
            service.received(&mut peer, bytes);
        }
    }

    fn ended(&mut self, peer: &mut Peer<'_, ()>) {
        if let Some((service, mut peer)) = self.meet(peer) {
            service.ended(&mut peer);
        }
    }

    fn quiet(&mut self, peer: &mut Peer<'_, ()>) -> Option<Moment> {
        let (service, mut peer) = self.meet(peer)?;
        service.quiet(&mut peer)
    }
}

impl<V: Service> Hosted for Host<V> {
    fn reserve(&mut self, slot: u32) -> Result<(), TryReserveError> {
        self.states.reserve(slot)
    }

    fn depart(&mut self, slot: u32, farewell: &Farewell, orders: &mut Orders) {
        if let Some(state) = self.states.take(slot) {
            self.service.departed(state, farewell, orders);
        }
    }
}

/// What is remembered of each peer. States of size zero are all alike, so they are only counted and take
/// no memory.
struct States<T> {
    by_slot: Vec<Option<T>>,
    alike: Vec<T>,
    count: usize,
}

impl<T> States<T> {
    const ALIKE: bool = size_of::<T>() == 0;

    fn reserve(&mut self, slot: u32) -> Result<(), TryReserveError> {
        let more = (slot as usize + 1).saturating_sub(self.by_slot.len());
        if Self::ALIKE { Ok(()) } else { malloc::reserve(&mut self.by_slot, more) }
    }

    fn put(&mut self, slot: u32, state: T) {
        if Self::ALIKE {
            return self.alike.push(state);
        }
        let slot = slot as usize;
        if slot >= self.by_slot.len() {
            self.by_slot.resize_with(slot + 1, || None);
        }
        self.by_slot[slot] = Some(state);
        self.count += 1;
    }

    fn get(&mut self, slot: u32) -> Option<&mut T> {
        if Self::ALIKE { self.alike.last_mut() } else { self.by_slot.get_mut(slot as usize)?.as_mut() }
    }

    fn take(&mut self, slot: u32) -> Option<T> {
        if Self::ALIKE {
            return self.alike.pop();
        }
        let state = self.by_slot.get_mut(slot as usize)?.take()?;
        self.count -= 1;
        if self.count == 0 && self.by_slot.len() > KEPT_STATES {
            self.by_slot = Vec::new();
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_where_its_peer_is_and_what_has_no_size_takes_no_memory() {
        let mut states = States { by_slot: Vec::new(), alike: Vec::new(), count: 0 };
        for slot in [0, 1, 5000] {
            states.reserve(slot).unwrap();
            states.put(slot, Box::new(slot));
        }
        assert_eq!((states.take(1), states.take(1), states.get(2)), (Some(Box::new(1)), None, None));
        assert_eq!((states.get(0).cloned(), states.get(5000).cloned()), (Some(Box::new(0)), Some(Box::new(5000))));
        assert_eq!((states.take(0), states.by_slot.len()), (Some(Box::new(0)), 5001));
        assert_eq!((states.take(5000), states.by_slot.capacity()), (Some(Box::new(5000)), 0));

        let mut none = States { by_slot: Vec::new(), alike: Vec::new(), count: 0 };
        (0..5000).for_each(|slot| none.put(slot, ()));
        assert!(none.get(7).is_some() && none.by_slot.capacity() == 0);
        assert_eq!(std::iter::from_fn(|| none.take(0)).count(), 5000);
    }
}
