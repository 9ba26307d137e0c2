//! The fault lab: cut the cable, see the packets, know the number.
//!
//! What is seen becomes a [`timeline::Timeline`]; what is shown is made from one.
//!
//! ```text
//!  frames ──▶ decode ──entries──▶ timeline ──▶ pcapng
//! ```

pub mod decode;
#[cfg(test)]
mod frames;
pub mod pcapng;
pub mod timeline;
