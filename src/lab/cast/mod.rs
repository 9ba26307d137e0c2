//! The cast: the peer, and the server that is put to the test.
//!
//! Owns how each is started, configured and stopped, and what they say. Knows no scene, no fault and no promise.

pub mod client;
pub mod language;
pub mod peer;
pub mod preset;
pub mod program;
pub mod server;
mod signals;
pub mod slow_reader;
pub mod textbook;
