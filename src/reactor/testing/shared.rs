//! A service that a test can look into while it serves.

use std::cell::RefCell;
use std::rc::Rc;

use crate::reactor::departing::departure::{Departure, Reason};
use crate::reactor::observing::figures::Figures;
use crate::reactor::observing::news::News;
use crate::reactor::observing::turn_times::TurnTimes;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::farewell::Farewell;
use crate::reactor::serving::order::Look;
use crate::reactor::serving::orders::Orders;
use crate::reactor::serving::peer::Peer;
use crate::reactor::serving::saved::{CannotRestore, CannotSave, Saved};
use crate::reactor::serving::service::{Attempt, Service};
use crate::reactor::time::moment::Moment;

/// The service, and the departures that it has been told of.
pub(super) struct Shared<V> {
    pub service: Rc<RefCell<V>>,
    pub departures: Rc<RefCell<Vec<(PeerId, Departure)>>>,
}

impl<V: Service> Service for Shared<V> {
    type State = V::State;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> V::State {
        self.service.borrow_mut().arrived(peer)
    }

    fn connected(&mut self, peer: &mut Peer<'_, ()>, label: u64) -> V::State {
        self.service.borrow_mut().connected(peer, label)
    }

    fn unreachable(&mut self, attempt: &Attempt<'_>, orders: &mut Orders) {
        self.service.borrow_mut().unreachable(attempt, orders);
    }

    fn received(&mut self, peer: &mut Peer<'_, V::State>, bytes: &[u8]) {
        self.service.borrow_mut().received(peer, bytes);
    }

    fn half_closed(&mut self, peer: &mut Peer<'_, V::State>) {
        self.service.borrow_mut().half_closed(peer);
    }

    fn woken(&mut self, peer: &mut Peer<'_, V::State>) {
        self.service.borrow_mut().woken(peer);
    }

    fn called_for(&mut self, peer: &mut Peer<'_, V::State>) {
        self.service.borrow_mut().called_for(peer);
    }

    fn looked(&mut self, look: &Look, orders: &mut Orders) {
        self.service.borrow_mut().looked(look, orders);
    }

    fn observed(&mut self, news: &[News], orders: &mut Orders) {
        self.service.borrow_mut().observed(news, orders);
    }

    fn turned(&mut self, times: &TurnTimes, orders: &mut Orders) {
        self.service.borrow_mut().turned(times, orders);
    }

    fn counted(&mut self, figures: &Figures, asker: Option<PeerId>, orders: &mut Orders) {
        self.service.borrow_mut().counted(figures, asker, orders);
    }

    fn departed(&mut self, state: V::State, farewell: &Farewell<'_>, orders: &mut Orders) {
        self.departures.borrow_mut().extend(farewell.id.map(|id| (id, farewell.departure)));
        self.service.borrow_mut().departed(state, farewell, orders);
    }

    fn deadline(&self) -> Option<Moment> {
        self.service.borrow().deadline()
    }

    fn expired(&mut self, now: Moment, orders: &mut Orders) {
        self.service.borrow_mut().expired(now, orders);
    }

    fn called(&mut self, orders: &mut Orders) -> bool {
        self.service.borrow_mut().called(orders)
    }

    fn reason(&self, reason: Reason) -> &'static str {
        self.service.borrow().reason(reason)
    }

    fn save(&self, state: &V::State) -> Result<Saved, CannotSave> {
        self.service.borrow().save(state)
    }

    fn restore(&mut self, peer: &mut Peer<'_, ()>, saved: &Saved) -> Result<V::State, CannotRestore> {
        self.service.borrow_mut().restore(peer, saved)
    }
}
