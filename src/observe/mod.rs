//! What is told to people.
#![forbid(unsafe_code)]

pub mod log;
pub mod stderr;
pub mod stdout;
