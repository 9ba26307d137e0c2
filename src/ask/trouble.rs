//! The sentences for what may go wrong on the way to an admin port.
//!
//! Each says what was tried, what happened, and what can be done. Knows no connection.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::admin_place::AdminPlace;
use crate::ask::printable;
use crate::seconds::InWords;

/// Why there is no answer that could be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server answers, and has no such peer.
    Gone,
    /// It cannot be reached, or went away. It may come back.
    Away(String),
    /// It has too much to do, and says that it should be asked again.
    Busy(String),
    /// It answered, and the answer is of no use: asking again would not help.
    Refused(String),
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("there is no such peer any more"),
            Self::Away(sentence) | Self::Busy(sentence) | Self::Refused(sentence) => f.write_str(sentence),
        }
    }
}

/// How much is shown of what something else said.
const QUOTED: usize = 60;

impl Trouble {
    /// It does not take a connection.
    pub(super) fn unreachable(place: &AdminPlace, patience: Duration, error: &io::Error) -> Self {
        let advice = format!("start the server with --admin {place}, or say where its admin port is with --admin");
        Self::Away(match (error.kind(), place) {
            (ErrorKind::ConnectionRefused, _) => format!("nothing listens on {place}: {advice}"),
            (ErrorKind::NotFound, AdminPlace::Unix(_)) => format!("{place}: there is no such socket; {advice}"),
            (ErrorKind::PermissionDenied, AdminPlace::Unix(_)) => {
                format!(
                    "{place}: this user may not connect to that socket; `ls -l` shows whose it is, and its group may"
                )
            }
            (ErrorKind::TimedOut | ErrorKind::WouldBlock, _) => {
                format!("{place} has not taken a connection within {}; is it the right address?", InWords(patience))
            }
            _ => format!("cannot connect to the admin port {place}: {error}"),
        })
    }

    /// It took the connection, and then there was no answer, or not all of it.
    pub(super) fn broken(place: &AdminPlace, patience: Duration, error: &io::Error) -> Self {
        Self::Away(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("{place} has taken the connection, but says nothing for {}", InWords(patience))
            }
            ErrorKind::UnexpectedEof => {
                format!("{place} has closed the connection without an answer, or in the middle of it")
            }
            ErrorKind::InvalidData => format!("{place} sends what is no HTTP in the middle of its answer"),
            _ => format!("the connection to {place} is broken: {error}"),
        })
    }

    /// Something else is there; this is what it said.
    pub(super) fn not_http(place: &AdminPlace, begin: &[u8]) -> Self {
        if [&b"GET "[..], b"DELETE ", b"POST "].iter().any(|method| begin.starts_with(method)) {
            return Self::Refused(format!(
                "{place} sends back what it is sent: that is a port for peers, and not the admin port, which the server \
                 opens with --admin"
            ));
        }
        let text = String::from_utf8_lossy(begin);
        let quoted: String = text.trim_end().chars().take(QUOTED).collect();
        Self::Refused(format!("{place} is no admin port, it does not speak HTTP; it said: {}", printable(&quoted)))
    }

    /// Some other HTTP server.
    pub(super) fn not_ours(place: &AdminPlace, status: u16, kind: &str) -> Self {
        let kind = if kind.is_empty() { String::new() } else { format!(" with {}", printable(kind)) };
        Self::Refused(format!(
            "{place} answers, but not as the admin port of stillthere does: {status}{kind}; is it another program's port?"
        ))
    }

    /// The same, of an answer that is JSON.
    pub(super) fn strange(place: &AdminPlace, missing: &str) -> Self {
        Self::Refused(format!(
            "{place} answers, but not as the admin port of stillthere does: its answer has no {missing}"
        ))
    }

    pub(super) fn no_token(place: &AdminPlace, was_sent: bool) -> Self {
        Self::Refused(match was_sent {
            true => format!(
                "{place} does not accept the token: --admin-token-file must name the file that the server was given"
            ),
            false => format!("{place} wants a token: give the server's token file with --admin-token-file FILE"),
        })
    }
}
