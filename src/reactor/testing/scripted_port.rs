//! A port whose peers are scripted, among the sources of a turn.
//!
//! Owns nothing of its own: what a port does with its peers is theirs.

use std::cell::RefCell;
use std::rc::Rc;

use mio::event::Event;

use crate::reactor::departing::tally::Tally;
use crate::reactor::observing::figures::Figures;
use crate::reactor::observing::news::News;
use crate::reactor::observing::turn_times::TurnTimes;
use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::Peers;
use crate::reactor::serving::connect::Connect;
use crate::reactor::serving::connect::ToConnect;
use crate::reactor::serving::order::{Look, Order, Seen};
use crate::reactor::source::{Source, Turn};
use crate::reactor::testing::wire::Wire;

/// A port whose peers are scripted, among the sources of a turn.
#[derive(Clone)]
pub(super) struct ScriptedPort {
    pub(super) peers: Rc<RefCell<Peers<Wire>>>,
    pub(super) connects: Rc<RefCell<Vec<Connect>>>,
}

impl Source for ScriptedPort {
    fn latch(&mut self, _key: usize, _event: &Event) {}

    fn drive(&mut self, turn: &mut Turn<'_>) {
        self.peers.borrow_mut().drive(turn);
    }

    fn accept(&mut self, turn: &mut Turn<'_>) {
        self.peers.borrow_mut().call_service(turn);
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        self.peers.borrow_mut().expire(turn);
    }

    fn carry_out(&mut self, peer: PeerId, order: Order<'_>, turn: &mut Turn<'_>) {
        self.peers.borrow_mut().carry_out(peer, order, turn);
    }

    fn look(&mut self, peer: PeerId) -> Option<Seen> {
        self.peers.borrow_mut().look_at(peer)
    }

    fn looked(&mut self, look: &Look, turn: &mut Turn<'_>) {
        self.peers.borrow_mut().looked(look, turn);
    }

    fn next_peer(&self, slot: u32) -> Option<PeerId> {
        self.peers.borrow().next_peer(slot)
    }

    fn counted(&mut self, figures: &Figures, asker: Option<PeerId>, turn: &mut Turn<'_>) {
        self.peers.borrow_mut().counted(figures, asker, turn);
    }

    fn observe(&mut self, news: &[News], turn: &mut Turn<'_>) {
        self.peers.borrow_mut().observe(news, turn);
    }

    fn turned(&mut self, times: &TurnTimes, turn: &mut Turn<'_>) {
        self.peers.borrow_mut().turned(times, turn);
    }

    fn count(&self, total: &mut Tally) {
        *total += self.peers.borrow().tally();
    }

    fn connect(&mut self, to: ToConnect) {
        self.connects.borrow_mut().push(to.connect);
    }

    fn reap(&mut self, turn: &mut Turn<'_>) {
        let mut peers = self.peers.borrow_mut();
        while peers.reap(turn).is_some() {}
        peers.report(turn.now);
    }
}
