//! Output for people.
#![forbid(unsafe_code)]

pub mod log;
pub mod stderr;
pub mod stdout;
