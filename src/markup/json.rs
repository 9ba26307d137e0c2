//! JSON (RFC 8259), written by hand: reports and events need little of its grammar, and all of that is here. It
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
    quote(text, &mut quoted);
    quoted
}

fn quote(text: &str, quoted: &mut String) {
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => *quoted += "\\\"",
            '\\' => *quoted += "\\\\",
            c if c < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c)); // writing to a string cannot fail
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
}

/// An object, written member by member, without blanks and in one line.
#[derive(Debug)]
pub struct Object(String);

impl Object {
    /// An object whose text has about this many bytes.
    pub fn of(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes);
        text.push('{');
        Self(text)
    }

    /// A member whose value is JSON already.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.0 += value;
        self
    }

    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote(value, &mut self.0);
        self
    }

    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        let _ = write!(self.0, "{value}"); // writing to a string cannot fail
        self
    }

    /// Null if there is no text.
    pub fn text_or_null(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self.with(name, NULL),
        }
    }

    /// Null if there is no number.
    pub fn number_or_null(self, name: &str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self.with(name, NULL),
        }
    }

    /// What is displayed needs no escapes, because of what it is: an address, an id.
    pub fn plain(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.name(name);
        let _ = write!(self.0, "\"{value}\"");
        self
    }

    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// Names are ours, and need no escapes.
    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0 += name;
        self.0 += "\":";
    }
}
