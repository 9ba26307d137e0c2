//! What reports are written in: JSON, SVG and the text of HTML; and the files that they go to.
//!
//! Owns the grammar and the escaping. Knows no report.

pub mod file;
pub mod json;
pub mod svg;
