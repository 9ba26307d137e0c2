//! The whole story of one peer, in words.

use crate::ask::amount::{age, short_time};
use crate::ask::peer::Peer;
use crate::ask::printable;
use crate::count::so_many;

/// Lines of text. What the kernel did not tell is left out.
pub(super) fn story(peer: Peer<'_>) -> Vec<String> {
    let (number, text) = (|name: &str| peer.number(name), |name: &str| peer.text(name).map(printable));
    let mut lines = Vec::new();
    let address = text("peer").unwrap_or_default();
    let to = text("local").map(|local| format!(" to {local}")).unwrap_or_default();
    let since = number("connected_ms").map(|time| format!(" for {}", age(time))).unwrap_or_default();
    lines.push(format!("{address} has been connected{to}{since}."));
    lines.push(format!("Its id is {}.", text("id").unwrap_or_default()));
    if let Some(silent) = number("silent_ms") {
        let deadline =
            number("deadline_ms").map(|deadline| format!(" of at most {}", age(deadline))).unwrap_or_default();
        let probes = match number("probes") {
            Some(0) => "; no probe is unanswered".to_string(),
            Some(1) => "; 1 probe is unanswered".to_string(),
            Some(probes) => format!("; {probes} probes in a row are unanswered"),
            None => String::new(),
        };
        lines.push(format!("Silent: {}{deadline}{probes}.", age(silent)));
    }
    let ago = |name: &str| number(name).map(|time| format!(", the last {} ago", age(time))).unwrap_or_default();
    if let Some(count) = number("bytes_in") {
        lines.push(format!(
            "Received from it: {}{}.",
            so_many(count, "byte"),
            if count > 0 { ago("received_ms") } else { String::new() }
        ));
    }
    if let Some(count) = number("bytes_out") {
        lines.push(format!(
            "Sent to it: {}{}.",
            so_many(count, "byte"),
            if count > 0 { ago("sent_ms") } else { String::new() }
        ));
    }
    let mut owed = Vec::new();
    for (name, words) in [
        ("bytes_unacknowledged", "not acknowledged"),
        ("not_sent", "in the kernel and not sent yet"),
        ("waiting", "in the outbox of the server"),
    ] {
        if let Some(count) = number(name) {
            owed.push(format!("{} {words}", so_many(count, "byte")));
        }
    }
    if !owed.is_empty() {
        lines.push(format!("Under way: {}.", owed.join(", ")));
    }
    if let Some(window) = number("window") {
        let shut = if window == 0 { ": it takes nothing at present" } else { "" };
        lines.push(format!("Its window: {}{shut}.", so_many(window, "byte")));
    }
    let times = [("round_trip_us", "round trip"), ("rto_us", "retransmission time-out")];
    let times = times.iter().filter_map(|(name, words)| Some(format!("{words} {}", short_time(number(name)?))));
    let times = times.collect::<Vec<_>>().join(", ");
    if !times.is_empty() {
        lines.push(format!("Times: {times}."));
    }
    if let Some(count) = number("retransmissions") {
        let in_a_row = match number("retransmits") {
            None | Some(0) => String::new(),
            Some(row) => format!(", {row} in a row for what it owes an answer to"),
        };
        lines.push(format!("Retransmitted: {}{in_a_row}.", so_many(count, "segment")));
    }
    let state = text("state").map(|state| format!("TCP's state: {state}"));
    let acks = number("pure_acks").map(|count| format!("{} without data came from it", so_many(count, "segment")));
    let last = state.into_iter().chain(acks).collect::<Vec<_>>().join("; ");
    if last.is_empty() {
        lines.push("The kernel has no figures of this connection.".to_string());
    } else {
        lines.push(format!("{last}."));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_is_told_that_is_known() {
        let peer = json!({"id": "3f-2a", "peer": "192.0.2.1:5000", "local": "192.0.2.9:7007", "connected_ms": 7_380_000,
            "silent_ms": 3200, "deadline_ms": 10_000, "probes": 1, "waiting": 0, "bytes_in": 1, "bytes_out": 8901,
            "bytes_unacknowledged": 12, "round_trip_us": 1234, "retransmissions": 3, "state": "established", "retransmits": 2,
            "rto_us": 204_000, "not_sent": 5, "window": 64_240, "pure_acks": 17, "sent_ms": 5000, "received_ms": 3200});
        let told = story(Peer::of(&peer).unwrap()).join("\n");
        let expected = "192.0.2.1:5000 has been connected to 192.0.2.9:7007 for 2h 3m.
Its id is 3f-2a.
Silent: 3.2s of at most 10.0s; 1 probe is unanswered.
Received from it: 1 byte, the last 3.2s ago.
Sent to it: 8901 bytes, the last 5.0s ago.
Under way: 12 bytes not acknowledged, 5 bytes in the kernel and not sent yet, 0 bytes in the outbox of the server.
Its window: 64240 bytes.
Times: round trip 1.2ms, retransmission time-out 204ms.
Retransmitted: 3 segments, 2 in a row for what it owes an answer to.
TCP's state: established; 17 segments without data came from it.";
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let peer = json!({"id": "3f-2a", "peer": "192.0.2.1:5000\u{1b}[2J", "local": null, "silent_ms": null});
        let told = story(Peer::of(&peer).unwrap()).join("\n");
        let expected =
            "192.0.2.1:5000?[2J has been connected.\nIts id is 3f-2a.\nThe kernel has no figures of this connection.";
        assert_eq!(told, expected);
    }
}
