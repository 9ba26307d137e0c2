//! JSON (RFC 8259), written by hand: reports need little of its grammar, and all of that is here. It
//! is not read here.

use std::fmt::Write;

pub const NULL: &str = "null";

pub fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", members.join(","))
}

pub fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// With six decimals: seconds to the microsecond. JSON has no infinity and no NaN: they become null.
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
                let _ = write!(quoted, "\\u{:04x}", u32::from(c)); // writing to a string cannot fail
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
