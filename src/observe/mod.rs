//! What is told to people.

pub mod log;
