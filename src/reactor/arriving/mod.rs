//! How peers arrive: they connect to us, or we connect to them.
//!
//! Owns the sockets until they are connected. Knows nothing of what becomes of a peer.

pub(in crate::reactor) mod acceptor;
pub(in crate::reactor) mod dialer;
pub(in crate::reactor) mod listen;
mod spread;
