//! Output for people.
#![forbid(unsafe_code)]

#[cfg(feature = "admin")]
pub mod admin;
#[cfg(feature = "admin")]
pub mod event;
pub mod log;
pub mod stderr;
pub mod stdout;
