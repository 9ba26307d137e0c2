//! What a service is, and what it may do: with the peer that it serves, and with all the others.

pub(in crate::reactor) mod connect;
pub(in crate::reactor) mod farewell;
pub(in crate::reactor) mod host;
pub(in crate::reactor) mod link;
pub(in crate::reactor) mod order;
pub(in crate::reactor) mod orders;
pub(in crate::reactor) mod peer;
pub(in crate::reactor) mod saved;
pub(in crate::reactor) mod service;
