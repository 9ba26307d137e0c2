//! Output for people.
#![forbid(unsafe_code)]

#[cfg(feature = "admin")]
pub mod admin;
pub mod log;
pub mod stderr;
pub mod stdout;
