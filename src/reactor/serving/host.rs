//! A service and what it remembers of its peers, behind one interface for all services.
//!
//! Owns the states, by slot, beside the port's table. So a port has the same type for every service, and
//! its code is in the program once, however many services there are.

use std::collections::TryReserveError;

use crate::malloc::{self, KEPT_ENTRIES};
use crate::reactor::departing::departure::Reason;
use crate::reactor::observing::figures::Figures;
use crate::reactor::observing::news::News;
use crate::reactor::observing::turn_times::TurnTimes;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::farewell::Farewell;
use crate::reactor::serving::order::Look;
use crate::reactor::serving::orders::Orders;
use crate::reactor::serving::peer::Peer;
use crate::reactor::serving::saved::{CannotRestore, CannotSave, Saved};
use crate::reactor::serving::service::{Attempt, Hosted, Service};
use crate::reactor::time::moment::Moment;

/// A service, with the states of its peers. The terms of each call carry the peer's slot.
pub(crate) struct Host<V: Service> {
    service: V,
    states: States<V::State>,
}

impl<V: Service> Host<V> {
    pub(crate) fn new(service: V) -> Self {
        Self { service, states: States { by_slot: Vec::new(), alike: Vec::new(), count: 0 } }
    }

    /// Calls the service for a peer, with its state.
    fn call(&mut self, peer: &mut Peer<'_, ()>, act: impl FnOnce(&mut V, &mut Peer<'_, V::State>)) {
        let state = self.states.get(peer.terms.slot);
        debug_assert!(state.is_some(), "a peer that never arrived");
        let Some(state) = state else { return };
        act(&mut self.service, &mut Peer { state, line: peer.line, orders: peer.orders, terms: peer.terms });
    }
}

impl<V: Service> Service for Host<V> {
    type State = ();

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
        let state = self.service.arrived(peer);
        self.states.put(peer.terms.slot, state);
    }

    fn connected(&mut self, peer: &mut Peer<'_, ()>, label: u64) {
        let state = self.service.connected(peer, label);
        self.states.put(peer.terms.slot, state);
    }

    fn unreachable(&mut self, attempt: &Attempt<'_>, orders: &mut Orders) {
        self.service.unreachable(attempt, orders);
    }

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        self.call(peer, |service, peer| service.received(peer, bytes));
    }

    fn half_closed(&mut self, peer: &mut Peer<'_, ()>) {
        self.call(peer, V::half_closed);
    }

    fn woken(&mut self, peer: &mut Peer<'_, ()>) {
        self.call(peer, V::woken);
    }

    fn called_for(&mut self, peer: &mut Peer<'_, ()>) {
        self.call(peer, V::called_for);
    }

    fn looked(&mut self, look: &Look, orders: &mut Orders) {
        self.service.looked(look, orders);
    }

    fn observed(&mut self, news: &[News], orders: &mut Orders) {
        self.service.observed(news, orders);
    }

    fn turned(&mut self, times: &TurnTimes, orders: &mut Orders) {
        self.service.turned(times, orders);
    }

    fn counted(&mut self, figures: &Figures, asker: Option<PeerId>, orders: &mut Orders) {
        self.service.counted(figures, asker, orders);
    }

    fn deadline(&self) -> Option<Moment> {
        self.service.deadline()
    }

    fn expired(&mut self, now: Moment, orders: &mut Orders) {
        self.service.expired(now, orders);
    }

    fn called(&mut self, orders: &mut Orders) -> bool {
        self.service.called(orders)
    }

    fn reason(&self, reason: Reason) -> &'static str {
        self.service.reason(reason)
    }

    #[cfg(feature = "upgrade")]
    fn save_service(&self) -> Result<Saved, CannotSave> {
        self.service.save_service()
    }

    #[cfg(feature = "upgrade")]
    fn restore_service(&mut self, saved: &Saved) -> Result<(), CannotRestore> {
        self.service.restore_service(saved)
    }

    fn restore(&mut self, peer: &mut Peer<'_, ()>, saved: &Saved) -> Result<(), CannotRestore> {
        let state = self.service.restore(peer, saved)?;
        self.states.put(peer.terms.slot, state);
        Ok(())
    }
}

impl<V: Service> Hosted for Host<V> {
    fn reserve(&mut self, slot: u32) -> Result<(), TryReserveError> {
        self.states.reserve(slot)
    }

    fn depart(&mut self, slot: u32, farewell: &Farewell<'_>, orders: &mut Orders) {
        if let Some(state) = self.states.take(slot) {
            self.service.departed(state, farewell, orders);
        }
    }

    fn save_slot(&mut self, slot: u32) -> Result<Saved, CannotSave> {
        let state = self.states.get(slot).ok_or(CannotSave::Gone)?;
        self.service.save(state)
    }

    fn forget_slot(&mut self, slot: u32) {
        self.states.take(slot);
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
        if self.count == 0 && self.by_slot.len() > KEPT_ENTRIES {
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
