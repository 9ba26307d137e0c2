//! The formats of reports: JSON, SVG and HTML text; and the files that they are written to.
//!
//! Owns the grammar and the escaping. Knows no report.

pub mod file;
pub mod json;
pub mod svg;
