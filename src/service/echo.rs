//! Echo (RFC 862): what comes is sent back.

use crate::reactor::{CannotRestore, CannotSave, Peer, Saved, Service};

/// Sends back what it receives. Remembers nothing about a peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Service for Echo {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
        peer.send(bytes);
    }

    fn save(&self, _state: &()) -> Result<Saved, CannotSave> {
        Ok(Saved::default())
    }

    fn restore(&mut self, _peer: &mut Peer<'_, ()>, _saved: &Saved) -> Result<(), CannotRestore> {
        Ok(())
    }
}
