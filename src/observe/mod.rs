//! What is told to people.
#![forbid(unsafe_code)]

pub mod log;
