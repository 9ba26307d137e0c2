//! A TCP server that always knows who is still there.
#![deny(unsafe_code)]

pub mod cli;
pub mod keepalive;
pub mod observe;
pub mod reactor;
pub mod serve;
pub mod service;
mod sockopt;
pub mod tcp_info;
