//! What reports are written in: JSON, SVG and the text of HTML.
//!
//! Owns the grammar and the escaping. Knows no report.

pub mod json;
pub mod svg;
