//! Discard (RFC 863): what comes is thrown away.

use crate::reactor::{Peer, Service};

/// Reads everything and answers nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Service for Discard {
    type State = ();

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) {}

    fn received(&mut self, _peer: &mut Peer<'_, ()>, _bytes: &[u8]) {}
}
