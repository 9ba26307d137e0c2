//! Stand-in until the events' branch is merged.

use std::fmt::Write;
use std::time::SystemTime;

use crate::reactor::{Happening, News};

/// The number of an event: 1 is the start.
pub(crate) fn number_of(happened: u64) -> u64 {
    happened + 1
}

pub(crate) fn object(news: &News, at: SystemTime) -> Option<(u64, String)> {
    let seq = number_of(news.number);
    let mut text = String::with_capacity(320);
    let begin = |text: &mut String, word: &str| {
        let time = humantime::format_rfc3339_millis(at);
        let _ = write!(text, "{{\"event\":\"{word}\",\"seq\":{seq},\"time\":\"{time}\"");
    };
    match &news.what {
        Happening::Arrived { id, peer, local } => {
            begin(&mut text, "arrival");
            let _ = write!(text, ",\"id\":\"{id}\",\"peer\":\"{peer}\"");
            match local {
                Some(local) => write!(text, ",\"local\":\"{local}\"").ok(),
                None => write!(text, ",\"local\":null").ok(),
            };
        }
        Happening::Departed(departed) => {
            begin(&mut text, "departure");
            let _ = write!(
                text,
                ",\"id\":\"{}\",\"peer\":\"{}\",\"reason\":\"{}\",\"connected_ms\":{}",
                departed.id,
                departed.peer,
                departed.departure.word(),
                departed.connected.as_millis()
            );
        }
        Happening::Refused { peer, departure } => {
            begin(&mut text, "refusal");
            let _ = write!(text, ",\"peer\":\"{peer}\",\"reason\":\"{}\"", departure.word());
        }
        Happening::LimitReached { limit } => {
            begin(&mut text, "limit");
            let _ = write!(text, ",\"limit\":\"connections\",\"detail\":\"{limit}\"");
        }
        Happening::AcceptPaused { errno } => {
            begin(&mut text, "limit");
            let _ = write!(text, ",\"limit\":\"accept_paused\",\"detail\":\"{errno}\"");
        }
        _ => return None,
    }
    text.push('}');
    Some((seq, text))
}
