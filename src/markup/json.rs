//! JSON (RFC 8259), written by hand: it is only ever written, and the whole of its grammar that is
//! needed is here.

use std::fmt::Write;

pub const NULL: &str = "null";

pub fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", members.join(","))
}

pub fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// To the microsecond. What is no number (infinite) is none in JSON either.
pub fn number(number: f64) -> String {
    if number.is_finite() { format!("{number:.6}") } else { NULL.to_string() }
}

pub fn text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            c if c < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c)); // a string takes all
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
