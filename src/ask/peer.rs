//! A peer, as the admin port tells of it: figures by name, of which the kernel may not have all.

use serde_json::Value;

use crate::ask::is_unprintable;

/// The names in the order in which the server tells them. A later version may have more.
const ORDER: [&str; 23] = [
    "id",
    "peer",
    "local",
    "connected_ms",
    "silent_ms",
    "deadline_ms",
    "probes",
    "waiting",
    "bytes_in",
    "bytes_out",
    "bytes_unacknowledged",
    "round_trip_us",
    "retransmissions",
    "state",
    "retransmits",
    "rto_us",
    "not_sent",
    "window",
    "pure_acks",
    "sent_ms",
    "received_ms",
    "service",
    "reason",
];

/// What was told of one peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer<'a>(&'a serde_json::Map<String, Value>);

impl<'a> Peer<'a> {
    /// Only an object that names the peer and its address is one.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        let peer = Self(value.as_object()?);
        (peer.text("id").is_some() && peer.text("peer").is_some()).then_some(peer)
    }

    pub(super) fn number(self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    /// One line of JSON, with everything that was told, also what is not known here.
    pub(super) fn line(self) -> String {
        let rest = self.0.keys().map(String::as_str).filter(|name| !ORDER.contains(name));
        let mut line = String::from("{");
        for (name, value) in ORDER.into_iter().chain(rest).filter_map(|name| Some((name, self.0.get(name)?))) {
            let gap = if line.len() > 1 { "," } else { "" };
            line += &format!("{gap}{}:{value}", Value::from(name));
        }
        line.push('}');
        // What JSON may have in a string as it is, and a terminal would obey, is escaped as well.
        if line.chars().any(is_unprintable) {
            let escape = |c: char| if is_unprintable(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
            line = line.chars().map(escape).collect();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_everything_in_the_server_s_order() {
        let told = r#"{"zebra":[1,{"a":null}],"peer":"192.0.2.1:1","id":"1-2","silent_ms":null,"bytes_in":18446744073709551615}"#;
        let value: Value = serde_json::from_str(told).unwrap();
        let line = Peer::of(&value).unwrap().line();
        let sorted = r#"{"id":"1-2","peer":"192.0.2.1:1","silent_ms":null,"bytes_in":18446744073709551615,"zebra":[1,{"a":null}]}"#;
        assert_eq!(line, sorted);
        let evil = serde_json::json!({"id": "1-2", "peer": "\u{9b}31m\u{1b}[2J\u{202e}"});
        let line = Peer::of(&evil).unwrap().line();
        assert!(!line.chars().any(is_unprintable), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), evil, "it still means the same");
        assert!(Peer::of(&serde_json::json!({"id": "1-2"})).is_none() && Peer::of(&serde_json::json!([1])).is_none());
    }
}
