//! A port whose peers are scripted, among the sources of a turn.
//!
//! Owns nothing of its own: what a port does with its peers is theirs.

use std::cell::RefCell;
use std::rc::Rc;

use mio::event::Event;

use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::Peers;
use crate::reactor::serving::connect::Connect;
use crate::reactor::serving::connect::ToConnect;
use crate::reactor::serving::orders::{Look, Order, Seen};
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

    fn connect(&mut self, to: ToConnect) {
        self.connects.borrow_mut().push(to.connect);
    }

    fn reap(&mut self, turn: &mut Turn<'_>) {
        let mut peers = self.peers.borrow_mut();
        while peers.reap(turn).is_some() {}
        peers.report(turn.now);
    }
}
