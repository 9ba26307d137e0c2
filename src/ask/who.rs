//! `stillthere who`: the table of peers, or the story of one.
//!
//! The server lists a thousand at a time, and each page is written before the next one is asked for: a million peers take
//! no memory here, and none there.

use serde_json::Value;

use crate::ask::amount::{age, brief, short_time, size};
use crate::ask::client::{Client, escaped};
use crate::ask::peer::Peer;
use crate::ask::story::story;
use crate::ask::trouble::Trouble;
use crate::ask::{Server, WhoSettings, Whom, printable};
use crate::count::so_many;
use crate::observe::stdout;

/// How many peers are asked for at a time: the most that the server gives.
const PAGE: usize = 1000;

/// Asks, and writes what is answered to stdout. Whether there was what was asked for.
///
/// # Errors
/// A sentence.
pub fn tell(settings: &WhoSettings) -> Result<bool, String> {
    if settings.whom == Whom::Nobody {
        // This question needs no token, so a file of one that cannot be read is no reason to call the server unwell.
        let server = Server { token_file: None, ..settings.server.clone() };
        return Ok(Client::new(&server).is_ok_and(|client| client.is_ready()));
    }
    let mut client = Client::new(&settings.server)?;
    match &settings.whom {
        Whom::Nobody => Ok(true), // answered above
        Whom::One(id) => one(&mut client, id, settings.json),
        Whom::All { sort, from } => {
            let mut query = format!("/peers?limit={PAGE}");
            if let Some(sort) = sort {
                query += &format!("&sort={}", sort.name());
            }
            if let Some(from) = from {
                query += &format!("&from={}", escaped(&from.to_string()));
            }
            let among = from.map(|from| format!(" from {from}")).unwrap_or_default();
            all(&mut client, &query, settings.json, &among)
        }
    }
}

fn one(client: &mut Client, id: &str, json: bool) -> Result<bool, String> {
    let value = match client.get(&format!("/peers/{id}")) {
        Ok(value) => value,
        Err(Trouble::Gone) => {
            return Err(format!(
                "there is no peer {id}: it has gone, or this server never had it; `stillthere who` lists all"
            ));
        }
        Err(trouble) => return Err(trouble.to_string()),
    };
    let peer = Peer::of(&value).ok_or_else(|| client.strange("\"id\" and \"peer\"").to_string())?;
    let text = if json { peer.line() } else { story(peer).join("\n") };
    stdout::tell(&(text + "\n"))?;
    Ok(true)
}

fn all(client: &mut Client, query: &str, json: bool, among: &str) -> Result<bool, String> {
    let (mut table, mut count, mut after) = (Table::default(), 0, None::<String>);
    let (mut is_cut, mut is_first) = (false, true);
    loop {
        let cursor = after.as_deref().map(|after| format!("&after={}", escaped(after))).unwrap_or_default();
        let value = client.get(&format!("{query}{cursor}")).map_err(|trouble| {
            let so_far = if count > 0 { format!(" (after {})", so_many(count, "peer")) } else { String::new() };
            format!("{trouble}{so_far}")
        })?;
        let strange = |missing: &str| client.strange(missing).to_string();
        let listed = value.get("peers").and_then(Value::as_array).ok_or_else(|| strange("list of \"peers\""))?;
        let peers = listed.iter().map(Peer::of).collect::<Option<Vec<_>>>();
        let peers = peers.ok_or_else(|| strange("\"id\" and \"peer\" for each peer"))?;
        let text = match json {
            true => peers.iter().map(|peer| peer.line() + "\n").collect(),
            false => table.page(&peers, is_first),
        };
        count += peers.len() as u64;
        is_first = false;
        if !stdout::is_told(&text)? {
            return Ok(true); // its reader has seen what it wanted
        }
        is_cut |= value.get("truncated") == Some(&Value::Bool(true));
        match value.get("next").and_then(Value::as_str) {
            None => break,
            Some(next) if after.as_deref() == Some(next) => return Err(strange("new place to go on from")),
            Some(next) => after = Some(next.to_string()),
        }
    }
    let cut = match is_cut {
        true => "; there are more: a sorted list has an end, without --sort all are listed",
        false => "",
    };
    // On stderr, so that stdout has peers only.
    eprint(&format!("{}{among}{cut}", so_many(count, "peer")));
    Ok(true)
}

/// A remark, which nobody may be there to read.
fn eprint(sentence: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{sentence}\n").as_bytes());
}

const COLUMNS: [&str; 9] = ["ID", "PEER", "CONNECTED", "SILENT", "IN", "OUT", "UNACKED", "RTT", "RETRANS"];
/// The first two are names, the rest are numbers, which end in line.
const NAMES: usize = 2;
/// Wide enough for most; a page that needs more has more, and so have those after it.
const WIDTHS: [usize; 9] = [14, 21, 9, 14, 6, 6, 7, 6, 7];

/// The table so far. What comes later is not known when the first lines are written, so the columns only grow.
#[derive(Debug)]
struct Table {
    widths: [usize; 9],
}

impl Default for Table {
    fn default() -> Self {
        Self { widths: WIDTHS }
    }
}

impl Table {
    fn page(&mut self, peers: &[Peer<'_>], with_head: bool) -> String {
        let rows: Vec<[String; 9]> = peers.iter().map(|peer| row(*peer)).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let head = with_head.then(|| COLUMNS.map(str::to_string));
        head.iter().chain(&rows).map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[String; 9]) -> String {
        let mut line = String::new();
        for (nth, (cell, width)) in row.iter().zip(self.widths).enumerate() {
            line += &if nth < NAMES { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    }
}

fn row(peer: Peer<'_>) -> [String; 9] {
    let told = |name: &str, words: fn(u64) -> String| peer.number(name).map_or_else(|| "-".to_string(), words);
    let silent = match (peer.number("silent_ms"), peer.number("deadline_ms")) {
        (Some(silent), Some(deadline)) => format!("{} of {}", age(silent), brief(deadline)),
        (Some(silent), None) => age(silent),
        (None, _) => "-".to_string(),
    };
    [
        printable(peer.text("id").unwrap_or_default()),
        printable(peer.text("peer").unwrap_or_default()),
        told("connected_ms", age),
        silent,
        told("bytes_in", size),
        told("bytes_out", size),
        told("bytes_unacknowledged", size),
        told("round_trip_us", short_time),
        told("retransmissions", |count| count.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_in_line_and_only_grow() {
        let one = json!({"id": "3f2a1c0101-2a", "peer": "192.0.2.1:5000", "connected_ms": 7_380_000, "silent_ms": 3200,
            "deadline_ms": 35_000, "bytes_in": 1_200_000, "bytes_out": 0, "bytes_unacknowledged": 12, "round_trip_us": 1234,
            "retransmissions": 3});
        let other = json!({"id": "3f2a1c0101-2b", "peer": "[2001:db8:1:2:3:4:5:6]:5000", "silent_ms": null});
        let mut table = Table::default();
        let first = table.page(&[Peer::of(&one).unwrap()], true);
        let expected = "\
ID              PEER                   CONNECTED          SILENT      IN     OUT  UNACKED     RTT  RETRANS
3f2a1c0101-2a   192.0.2.1:5000             2h 3m     3.2s of 35s    1.1M       0       12   1.2ms        3
";
        assert_eq!(first, expected);
        let second = table.page(&[&one, &other].map(|peer| Peer::of(peer).unwrap()), false);
        let ends: Vec<usize> = second.lines().map(str::len).collect();
        assert_eq!((ends.len(), ends[0]), (2, ends[1]), "{second}");
        assert_eq!(
            second.lines().nth(1).unwrap().split_whitespace().filter(|cell| *cell == "-").count(),
            7,
            "{second}"
        );
    }
}
