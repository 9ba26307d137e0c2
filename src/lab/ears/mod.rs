//! The ears: what is seen of packets, sockets and processes.
//!
//! Owns the observation, which changes nothing. Does not know what was expected.

pub mod capture;
pub mod decode;
pub mod descriptors;
pub mod follow;
#[cfg(test)]
pub mod frames;
pub mod measure;
pub mod packet_socket;
pub mod processes;
