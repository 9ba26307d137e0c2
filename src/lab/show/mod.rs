//! Shows timelines and verdicts: as text, figures, capture files and pages.
//!
//! Owns the output formats. Knows no socket, and runs nothing.

pub mod excerpt;
pub mod figure;
pub mod pcapng;
pub mod report;
pub mod terminal;
