//! The clients of a server's admin port: `who` lists its peers, `drop` lets some go, `upgrade` has
//! it run its new program, `top` shows its peers live.
//!
//! Owns the questions, and how the answers are told to a person. Knows of the server what its admin port answers, and none
//! of its types: it may be another process, on another machine, of another version.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

pub use self::address_filter::AddressFilter;
pub use self::drop::let_go;
#[cfg(feature = "top")]
pub use self::top::show;
pub use self::upgrade::upgrade;
pub use self::who::tell;
use crate::admin_place::AdminPlace;
use crate::reactor::PeerId;

mod address_filter;
mod amount;
mod client;
mod drop;
#[cfg(feature = "top")]
mod event_stream;
mod http;
mod peer;
mod story;
#[cfg(feature = "top")]
pub mod top;
mod trouble;
mod upgrade;
mod who;

/// Which server is asked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub place: AdminPlace,
    /// The file that has the token, if the server wants one.
    pub token_file: Option<PathBuf>,
    /// How long the server may take to accept, and then to send anything at all.
    pub patience: Duration,
}

impl Server {
    /// How long to wait if nothing is said.
    pub const PATIENCE: Duration = Duration::from_secs(10);
}

/// The order in which the server lists its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Silence,
    Age,
    Bytes,
}

impl Sort {
    pub const ALL: [Self; 3] = [Self::Silence, Self::Age, Self::Bytes];

    /// As it is asked for, on the command line and over HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Age => "age",
            Self::Bytes => "bytes",
        }
    }
}

/// What `who` was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoSettings {
    pub server: Server,
    /// A line of JSON for each peer, instead of words.
    pub json: bool,
    pub whom: Whom,
}

/// About whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    All {
        sort: Option<Sort>,
        from: Option<AddressFilter>,
    },
    /// The peer with this id.
    One(String),
    /// About nobody, and nothing is printed: only whether the server answers, and is ready.
    Nobody,
}

/// Whom `drop` is to let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSettings {
    pub server: Server,
    pub ids: Vec<String>,
}

/// Which server is to run its new program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeSettings {
    pub server: Server,
}

/// What `top` was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopSettings {
    pub server: Server,
    /// NO_COLOR is set.
    pub plain: bool,
}

/// Whether a word is the id of a peer, of whichever server.
pub fn is_id(word: &str) -> bool {
    word.parse::<PeerId>().is_ok()
}

/// A text from elsewhere, for a terminal: what would move the cursor, or turn the direction of writing, becomes `?`.
fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { '?' } else { c }).collect()
}

/// Control characters, C1 as well as C0, and the format characters that a terminal obeys.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_id() {
        for id in ["0-0", "3f2a1c0101-2a", "ffffffffffffffff-ffffffff"] {
            assert!(is_id(id), "{id}");
        }
        for word in ["", "-", "1-", "-1", "3F-1", "g-1", "1-1-1", "12345678901234567-1", "1-123456789", "1-1 ", "1/1"] {
            assert!(!is_id(word), "{word:?}");
        }
    }

    /// What peers and services are called may be chosen by somebody who wants to write on our terminal.
    #[test]
    fn nothing_obeys_a_text_from_elsewhere() {
        let evil = "a\u{1b}[2J\u{7}b\u{9b}31mc\u{202e}d\u{7f}\n";
        assert_eq!(printable(evil), "a?[2J?b?31mc?d??");
        assert_eq!(printable("naïve, 東京"), "naïve, 東京");
    }
}
