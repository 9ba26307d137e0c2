//! A TCP server that always knows who is still there.
#![deny(unsafe_code)]

pub mod cli;
pub mod keepalive;
#[cfg(feature = "lab")]
pub mod lab;
pub mod observe;
pub mod reactor;
pub mod serve;
pub mod service;
pub mod tcp_info;
