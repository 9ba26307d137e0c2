//! The play: scenes and faults, what is expected of a server, and the verdict.
//!
//! Owns the order of events. Does not know how a timeline is shown.

mod clocks;
pub mod diary;
pub mod expectation;
pub mod fault;
pub mod performance;
pub mod scene;
pub mod verdict;
