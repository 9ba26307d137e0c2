//! The cast: the peer, and the server that is put to the test.
//!
//! Owns how each is started and what they say. Knows no fault and no deadline.

pub mod client;
pub mod language;
pub mod peer;
pub mod preset;
pub mod program;
pub mod server;
pub mod slow_reader;
pub mod textbook;
