//! Output: the log and what commands print, for people; events, for programs.
#![forbid(unsafe_code)]

#[cfg(feature = "admin")]
pub mod admin;
#[cfg(any(feature = "admin", feature = "events"))]
mod errno;
#[cfg(any(feature = "admin", feature = "events"))]
pub mod event;
#[cfg(feature = "events")]
pub mod events;
pub mod log;
pub mod stderr;
pub mod stdout;
#[cfg(feature = "story")]
mod story;
mod unblocked;
