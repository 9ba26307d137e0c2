//! The formats of reports: JSON, SVG and HTML text; and the files that they are written to.
//!
//! Owns the grammar and the escaping. Knows no report.

#[cfg(any(feature = "lab", feature = "load", feature = "plan"))]
pub mod file;
pub mod json;
#[cfg(any(feature = "lab", feature = "load", feature = "plan"))]
pub mod svg;
