//! The play: scenes and faults, what is expected of a server, and the verdict.
//!
//! Owns what happens when. Knows not how it is shown.

pub mod diary;
pub mod expectation;
pub mod fault;
pub mod performance;
pub mod scene;
pub mod verdict;
