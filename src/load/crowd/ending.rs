//! What is incomplete at the end of a run: requests without an answer, connections that are not established.
//!
//! Owns the one rule for all of them. A peer that has waited for [`LoadSettings::grace`] or longer is in trouble, by kind.
//! One that has waited for less was cut off by the end: it is counted, and is no trouble. A regular end waits that
//! long for answers, so every request has waited long enough then.
//!
//! [`LoadSettings::grace`]: crate::load::LoadSettings

use std::time::Duration;

use crate::load::crowd::Crowd;
use crate::load::peer::{LoadPeer, PeerPhase as Of};
use crate::load::trouble::{Trouble, TroubleKind};
use crate::reactor::Moment;
use crate::seconds::Seconds;
use crate::tcp_info::TcpInfo;

/// An ACK is delayed by half a second at most (RFC 9293 §3.8.6.3). After this long it is missing.
const NO_ACK: Duration = Duration::from_secs(1);

impl Crowd {
    /// Requests that still wait are included with the time that they have waited so far. Without them, a server that never answers
    /// would have good latencies.
    pub(super) fn count_what_is_undone(&mut self, now: Moment) {
        self.figures.report.untried = (self.settings.connections - self.tried) as u64;
        let grace = self.settings.grace;
        let schedule = self.askers.schedule();
        for peer in self.peers.iter_mut() {
            match peer.phase {
                Of::Idle | Of::Lost => {}
                Of::Connecting | Of::Greeting => {
                    let waited = now.since(peer.opened);
                    if waited < grace {
                        self.figures.report.on_their_way += 1;
                        continue;
                    }
                    let what = if peer.phase == Of::Connecting { "not connected" } else { "not greeted" };
                    let words = format!("{what} after {} s, when it was interrupted", Seconds(waited));
                    self.figures.report.troubles.count(&Trouble::new(TroubleKind::NoAnswer, words));
                }
                Of::Asking => {
                    let number = peer.number;
                    let (begun, owed, due) = (peer.talk().begun, peer.talk().owed, peer.talk().due);
                    let behind = (0..owed).filter_map(|nth| Some(schedule?.meant(number, begun + nth)));
                    for due in behind.chain([due]) {
                        let waited = now.since(due);
                        self.figures.report.exchange.saturating_record(waited.as_nanos() as u64);
                        match waited < grace {
                            true => self.figures.report.cut_off += 1,
                            false => self.figures.report.unanswered += 1,
                        }
                    }
                    if now.since(due) >= grace {
                        self.figures.report.troubles.count(&unanswered(peer, now.since(due), owed));
                    }
                }
            }
        }
    }
}

/// Why a request has no answer, as far as our kernel knows.
fn unanswered(peer: &mut LoadPeer, waited: Duration, owed: u64) -> Trouble {
    let figures = peer.figures().ok().filter(|figures| *figures != TcpInfo::default());
    let size = peer.talk().said.question.len();
    let asked = format!("{size} {} due {} s ago", if size == 1 { "byte" } else { "bytes" }, Seconds(waited));
    let (kind, why) = match figures {
        Some(figures) if is_unheard(&figures) => {
            (TroubleKind::Unacknowledged, format!("and nothing was heard for {} s", Seconds(figures.silent)))
        }
        Some(figures) if figures.not_sent > 0 || peer.talk().written() < size => {
            (TroubleKind::Unanswered, "which the server does not read: its window is shut".to_string())
        }
        Some(_) => (TroubleKind::Unanswered, "which the server's kernel has acknowledged".to_string()),
        None => (TroubleKind::Unanswered, "and our kernel does not say whether it was acknowledged".to_string()),
    };
    let behind = if owed > 0 { format!("; {owed} more behind it") } else { String::new() };
    Trouble::new(kind, format!("{asked}, {why}{behind}"))
}

/// Whether the other kernel is silent, and not only its program.
fn is_unheard(figures: &TcpInfo) -> bool {
    let data = figures.unacknowledged > 0 && (figures.retransmits > 0 || figures.silent >= NO_ACK);
    // One window probe may just be on its way; with two, the first was not answered.
    data || figures.probes > 1
}
