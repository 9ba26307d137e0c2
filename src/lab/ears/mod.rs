//! The ears: observe packets, sockets and processes.
//!
//! Own the observation, and signal no process. Do not know what was expected.

pub mod capture;
pub mod decode;
pub mod descriptors;
pub mod follow;
#[cfg(test)]
pub mod frames;
pub mod measure;
pub mod packet_socket;
pub mod processes;
mod stat;
