//! The fault lab: cut the cable, see the packets, know the number.
//!
//! What is seen becomes a [`timeline::Timeline`]; what is shown is made from one.
//!
//! ```text
//!  capture ──frames──▶ decode ──entries──▶ timeline ──▶ terminal, pcapng, figure, report
//! ```

pub mod capture;
pub mod decode;
pub mod excerpt;
pub mod expectation;
pub mod figure;
#[cfg(test)]
mod frames;
pub mod interrupt;
pub mod namespaces;
pub mod network;
mod packet_socket;
pub mod pcapng;
pub mod privilege;
pub mod programs;
pub mod report;
pub mod scene;
pub mod speak;
pub mod terminal;
pub mod timeline;
pub mod verdict;
