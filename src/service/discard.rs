//! Discard (RFC 863): what comes is thrown away.

use crate::reactor::{CannotRestore, CannotSave, Peer, Saved, Service};

/// Reads everything and answers nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Service for Discard {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}

    fn save(&self, _state: &()) -> Result<Saved, CannotSave> {
        Ok(Saved::default())
    }

    fn restore(&mut self, _peer: &mut Peer<'_, ()>, _saved: &Saved) -> Result<(), CannotRestore> {
        Ok(())
    }
}
