//! The diary of a scene: packets, notes and the server's log, sorted by time as they arrive.
//!
//! Owns the timeline while it grows, and the moments from which intervals are counted. Does not know
//! what a scene does.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::lab::cast::server::Server;
use crate::lab::ears::capture::Capture;
use crate::lab::ears::decode::Decoder;
use crate::lab::play::scene::State;
use crate::lab::play::verdict::{Moments, errno, reason};
use crate::lab::stage::network::{INTERFACE, Network};
use crate::lab::timeline::{Timeline, TimelineEntry, What, Who};

/// Entries come from several sources. Each is held back for this long, so that they can be sorted.
const HELD_BACK: Duration = Duration::from_millis(60);
/// A log line and a check of the table that report the same departure are at most this far apart.
const SAME: Duration = Duration::from_millis(250);

pub(in crate::lab) struct Diary<'a> {
    capture: Capture,
    decoder: Option<Decoder>,
    server: SocketAddr,
    client: SocketAddr,
    probes: u32,
    reads_log: bool,
    lines_seen: usize,
    told: &'a mut dyn FnMut(SystemTime, &TimelineEntry),
    /// Sorted and reported.
    entries: Vec<TimelineEntry>,
    pending: Vec<TimelineEntry>,
    fault: Option<SystemTime>,
    shut: Option<SystemTime>,
    sent: Option<SystemTime>,
    queue_moved: Option<SystemTime>,
    event: String,
    departed: Option<(SystemTime, String)>,
}

impl<'a> Diary<'a> {
    /// Begins to capture.
    ///
    /// # Errors
    /// A sentence: why it cannot capture.
    pub(in crate::lab) fn open(
        network: &Network,
        server: SocketAddr,
        probes: u32,
        reads_log: bool,
        told: &'a mut dyn FnMut(SystemTime, &TimelineEntry),
    ) -> Result<Self, String> {
        let capture = Capture::start(&network.server.path(), INTERFACE)
            .map_err(|error| format!("cannot capture packets in the server's namespace: {error}"))?;
        Ok(Self {
            capture,
            decoder: None,
            server,
            client: SocketAddr::new(network.client_address, 0),
            probes,
            reads_log,
            lines_seen: 0,
            told,
            entries: Vec::new(),
            pending: Vec::new(),
            fault: None,
            shut: None,
            sent: None,
            queue_moved: None,
            event: String::new(),
            departed: None,
        })
    }

    fn enter(&mut self, at: SystemTime, who: Who, what: What) {
        self.pending.push(TimelineEntry { at, who, what });
    }

    pub(in crate::lab) fn note(&mut self, words: &str) {
        self.enter(SystemTime::now(), Who::Lab, What::Note(words.to_string()));
    }

    /// The state is reached, with this port of the client.
    ///
    /// # Errors
    /// The capture broke.
    pub(in crate::lab) fn reached(&mut self, at: SystemTime, state: State, port: Option<u16>) -> Result<(), String> {
        self.client.set_port(port.unwrap_or_default());
        self.keep()?;
        if state.has_shut_window() {
            self.shut = self.shut_since().or(Some(at));
        }
        self.enter(at, Who::Lab, What::Note(format!("{}: {}", state.name(), state.explanation())));
        Ok(())
    }

    pub(in crate::lab) fn fault(&mut self, at: SystemTime, words: String) {
        self.fault = Some(at);
        self.enter(at, Who::Lab, What::Fault(words));
    }

    /// The data that will stay unacknowledged are being sent.
    pub(in crate::lab) fn sent(&mut self) {
        self.sent = Some(SystemTime::now());
    }

    /// The server's own transmit queue accepts packets again.
    pub(in crate::lab) fn queue_moves(&mut self) {
        self.queue_moved = Some(SystemTime::now());
        self.note("the server's transmit queue accepts packets again");
    }

    /// Reads the packets that came, and enters them.
    ///
    /// # Errors
    /// The capture broke.
    pub(in crate::lab) fn keep(&mut self) -> Result<(), String> {
        let (server, probes, client) = (self.server, self.probes, self.client);
        let decoder = self.decoder.get_or_insert_with(|| {
            let decoder = Decoder::new(server, Some(probes));
            if client.port() == 0 { decoder } else { decoder.of_client(client) }
        });
        let frames = self.capture.poll();
        self.pending.extend(frames.iter().filter_map(|frame| decoder.read(frame.at, &frame.bytes)));
        Ok(())
    }

    /// Reads the packets and the server's log, and reports what is old enough to be in order.
    ///
    /// # Errors
    /// The capture broke.
    pub(in crate::lab) fn look(&mut self, server: &Server) -> Result<(), String> {
        self.keep()?;
        for (at, line) in server.news(&mut self.lines_seen) {
            self.read_log(at, &line);
        }
        self.tell(SystemTime::now() - HELD_BACK);
        Ok(())
    }

    /// Our own server logs which events it got, and why a peer departed.
    fn read_log(&mut self, at: SystemTime, line: &str) {
        if !self.reads_log {
            return;
        }
        if let Some(reason) = reason(line) {
            let errno = errno(reason);
            let mut words = reason.to_string();
            if !errno.is_empty() {
                words += &format!(" ({errno})");
            }
            // If the loop itself declared the peer dead, there was no event for it.
            if self.event.contains("more than data") {
                words += &format!("; the event said {}", self.event);
            }
            self.departed.get_or_insert((at, reason.to_string()));
            self.enter(at, Who::Server, What::Departure { words });
        } else if let Some((_, event)) = line.split_once(&format!(" {}: ", self.client)) {
            if event.split(", ").all(|bit| matches!(bit, "readable" | "writable" | "more than data" | "hung up")) {
                self.event = event.to_string();
            }
        }
    }

    /// Reports all that is older than `until`, in order, as soon as there is a fault to count from.
    fn tell(&mut self, until: SystemTime) {
        let Some(origin) = self.fault else { return };
        self.pending.sort_by_key(|entry| entry.at);
        let ripe = self.pending.partition_point(|entry| entry.at < until);
        for entry in self.pending.drain(..ripe) {
            (self.told)(origin, &entry);
            self.entries.push(entry);
        }
    }

    /// The table and the descriptors show that the peer is gone, and no log of the server does. A socket that the kernel
    /// still has to finish is an orphan.
    pub(in crate::lab) fn gone(&mut self, at: SystemTime, orphans: &[&str]) {
        if !self.reads_log {
            let words = match orphans.first() {
                None => "its socket and its descriptor are gone".to_string(),
                Some(state) => format!("its descriptor is closed; the kernel has the socket, in {state}"),
            };
            self.enter(at, Who::Server, What::Departure { words });
        }
    }

    /// When the peer departed, the errno, and the source of that. The log is nearer to the event than a check of the table;
    /// without a log, or if it reports another moment, the table counts.
    pub(in crate::lab) fn departure(&self, measured: Duration) -> (Duration, String, String) {
        let Some((logged, reason)) = &self.departed else {
            return (measured, String::new(), "the socket table and the descriptors".to_string());
        };
        let log = self.fault.and_then(|fault| logged.duration_since(fault).ok()).unwrap_or_default();
        let nearest = if log.abs_diff(measured) < SAME { log } else { measured };
        (nearest, errno(reason), format!("the server's log: {reason}"))
    }

    /// Whether the server sent a FIN, and the client had sent neither FIN nor RST: the program closed. A kernel whose probes
    /// are not answered sends a RST, or nothing.
    pub(in crate::lab) fn closed_by_itself(&self) -> bool {
        let mut ends = self.entries.iter().chain(&self.pending).filter_map(|entry| match &entry.what {
            What::Packet { frame, .. } => {
                flags(frame).filter(|flags| flags & (FIN | RST) != 0).map(|flags| (entry, flags))
            }
            _ => None,
        });
        let first = ends.by_ref().min_by_key(|(entry, _)| entry.at);
        first.is_some_and(|(entry, flags)| entry.who == Who::Server && flags & RST == 0)
    }

    /// Whether the client's last packet advertises a window of zero.
    pub(in crate::lab) fn is_window_shut(&self) -> bool {
        self.shut_since().is_some()
    }

    /// Since when the client's packets have advertised a window of zero, without interruption.
    fn shut_since(&self) -> Option<SystemTime> {
        let of_client = |entry: &&TimelineEntry| entry.who == Who::Client;
        let mut entries = self.entries.iter().chain(&self.pending).filter(of_client).collect::<Vec<_>>();
        entries.sort_by_key(|entry| entry.at);
        entries.iter().fold(None, |since, entry| match &entry.what {
            What::Packet { frame, .. } => match window(frame) {
                Some(0) => since.or(Some(entry.at)),
                Some(_) => None,
                None => since,
            },
            _ => since,
        })
    }

    /// The moments from which intervals are counted.
    pub(in crate::lab) fn moments(&self) -> Moments {
        let Some(fault) = self.fault else { return Moments::default() };
        let before = |at: SystemTime| fault.duration_since(at).unwrap_or_default();
        let after = |at: Option<SystemTime>| at.and_then(|at| at.duration_since(fault).ok()).unwrap_or_default();
        // A probe of the client is out of sequence: the server's TCP answers it, but does not count it as a sign of life.
        let is_heard = |words: &str| !words.contains("window probe") || words.contains("answer");
        let client = || self.packets().filter(|(entry, ..)| entry.who == Who::Client);
        let proved = client().filter(|(_, words, _)| is_proof(words)).map(|(entry, ..)| entry.at).max();
        let heard = client().filter(|(entry, words, _)| entry.at <= fault && is_heard(words));
        let heard = heard.map(|(entry, ..)| entry.at).max();
        Moments {
            heard: heard.map(before).unwrap_or_default(),
            shut: self.shut.map(before).unwrap_or_default(),
            proved_after: after(proved),
            sent_after: after(self.sent),
            queue_moved_after: after(self.queue_moved),
            served_after: after(self.served()),
        }
    }

    /// The client's last packet, before the server's first FIN or RST after the fault, that acknowledges or carries something
    /// new. An answer to a probe does neither, so it does not show when the server could have closed.
    fn served(&self) -> Option<SystemTime> {
        let fault = self.fault?;
        let ends = |frame: &[u8]| flags(frame).is_some_and(|flags| flags & (FIN | RST) != 0);
        let end = self
            .packets()
            .filter(|(entry, _, frame)| entry.who == Who::Server && entry.at >= fault && ends(frame))
            .map(|(entry, ..)| entry.at)
            .min()?;
        let before =
            self.packets().filter(|(entry, words, _)| entry.who == Who::Client && entry.at <= end && is_proof(words));
        before.map(|(entry, ..)| entry.at).max()
    }

    /// All captured packets, reported or not, each with its description and its bytes.
    fn packets(&self) -> impl Iterator<Item = (&TimelineEntry, &str, &[u8])> {
        self.entries.iter().chain(&self.pending).filter_map(|entry| match &entry.what {
            What::Packet { words, frame, .. } => Some((entry, words.as_str(), frame.as_slice())),
            _ => None,
        })
    }

    /// The complete timeline. If there was no fault, times are counted from `end`.
    pub(in crate::lab) fn close(mut self, end: SystemTime) -> Timeline {
        let origin = *self.fault.get_or_insert(end);
        self.tell(SystemTime::now() + HELD_BACK);
        self.entries.sort_by_key(|entry| entry.at);
        Timeline { entries: self.entries, origin }
    }
}

fn is_proof(words: &str) -> bool {
    !NO_PROOF.iter().any(|word| words.contains(word))
}

/// A packet whose description contains one of these does not prove that its sender receives the other end's packets.
const NO_PROOF: [&str; 4] = ["again", "retransmission", "keepalive", "window probe"];
const FIN: u8 = 1;
const RST: u8 = 4;

/// The window that a TCP segment advertises, before scaling.
fn window(frame: &[u8]) -> Option<u16> {
    let header = tcp_header(frame)?;
    Some(u16::from_be_bytes([*header.get(14)?, *header.get(15)?]))
}

fn flags(frame: &[u8]) -> Option<u8> {
    tcp_header(frame)?.get(13).copied()
}

/// The TCP header in an Ethernet frame with IPv4, or with IPv6 without extension headers.
fn tcp_header(frame: &[u8]) -> Option<&[u8]> {
    let (kind, packet) = (frame.get(12..14)?, frame.get(14..)?);
    let (protocol, header) = match kind {
        [0x08, 0x00] => (*packet.get(9)?, usize::from(packet.first()? & 15) * 4),
        [0x86, 0xdd] => (*packet.get(6)?, 40),
        _ => return None,
    };
    if protocol == 6 { packet.get(header..) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_found_behind_the_headers() {
        let mut frame = vec![0; 14 + 20 + 20];
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[14 + 9] = 6;
        frame[14 + 20 + 14] = 0x12;
        assert_eq!(window(&frame), Some(0x1200));
        frame[14 + 9] = 17;
        assert_eq!(window(&frame), None, "no TCP");
        let mut frame = vec![0; 14 + 40 + 20];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[14 + 6] = 6;
        frame[14 + 40 + 15] = 0x34;
        assert_eq!(window(&frame), Some(0x34));
        assert_eq!(window(&frame[..20]), None, "cut off");
        frame[13] = 0x06;
        assert_eq!(window(&frame), None, "ARP");
    }
}
