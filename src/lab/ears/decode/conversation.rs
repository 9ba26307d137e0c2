//! What a segment means between two ends: new data or a retransmission, a probe or its answer.
//!
//! Owns what each end has sent, acknowledged and advertised. Knows no header and no address. It sees
//! only what passed on the wire, which is less than the two kernels know: in doubt it uses the more general
//! term.

use crate::count::so_many;

/// A TCP segment, without its bytes.
#[derive(Debug)]
pub(in crate::lab) struct Segment {
    pub from_server: bool,
    pub seq: u32,
    pub ack: Option<u32>,
    pub length: u32,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    pub window: u16,
    pub scale: Option<u8>,
    pub sack: bool,
}

impl Segment {
    /// The sequence number after it (RFC 9293 §3.4: SYN and FIN count as one).
    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.length).wrapping_add(u32::from(self.syn)).wrapping_add(u32::from(self.fin))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Keepalive,
    Window,
}

/// What one end has done so far.
#[derive(Debug, Default)]
struct Side {
    /// The initial sequence number: the byte after it is byte 1.
    first: Option<u32>,
    /// The next new sequence number (SND.NXT).
    next: u32,
    /// The oldest sequence number that the other end has not acknowledged (SND.UNA).
    unacknowledged: u32,
    fin: bool,
    /// From its SYN: the window scale, and whether it offered selective acknowledgement.
    scale: Option<u8>,
    sack: bool,
    /// Its receive window in bytes, as last advertised.
    window: Option<u64>,
    /// How often each segment, by its sequence number, was sent again since the other end last acknowledged
    /// anything new.
    resent: Vec<(u32, u32)>,
    loss_probed: bool,
    /// The probe that is not answered yet, and how many were sent since the last segment of the other end.
    /// Both ends may probe at the same time: a probe of the other end is a sign of life, but no answer.
    probing: Option<Probe>,
    probes: u32,
    duplicates: u32,
}

#[derive(Debug)]
pub(in crate::lab) struct Conversation {
    client: Side,
    server: Side,
    /// The server's keepalive count.
    probes: Option<u32>,
}

/// Whether sequence number `a` is after `b`, allowing for the wrap.
fn after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

impl Conversation {
    pub(in crate::lab) fn new(probes: Option<u32>) -> Self {
        Self { client: Side::default(), server: Side::default(), probes }
    }

    /// Records a segment, and returns what it is.
    pub(in crate::lab) fn hear(&mut self, segment: &Segment) -> String {
        let is_first_try = self.client.first != Some(segment.seq);
        if segment.syn && !segment.from_server && segment.ack.is_none() && is_first_try {
            *self = Self::new(self.probes); // a new connection from the same port
        }
        let (from, to) = match segment.from_server {
            true => (&mut self.server, &mut self.client),
            false => (&mut self.client, &mut self.server),
        };
        to.probes = 0;
        if segment.rst {
            return "RST".to_string();
        }
        if from.first.is_none() {
            from.start(segment);
        }
        let acknowledged = segment.ack.and_then(|ack| to.take_ack(ack));
        let window_before = from.window;
        from.advertise(segment, to.scale);

        if segment.syn {
            let name = if segment.ack.is_some() { "SYN-ACK" } else { "SYN" };
            return match from.next == segment.end() {
                true => format!("{name}, retransmission {}", from.count_again(segment.seq)),
                false => {
                    from.next = segment.end();
                    name.to_string()
                }
            };
        }
        if let Some(probe) = from.probe(segment, to) {
            from.probing = Some(probe);
            from.probes += 1;
            let number = from.probes;
            return match (probe, self.probes) {
                (Probe::Window, _) => format!("window probe {number}"),
                (Probe::Keepalive, Some(count)) if segment.from_server && number <= count => {
                    format!("keepalive probe {number} of {count}")
                }
                (Probe::Keepalive, _) => format!("keepalive probe {number}"),
            };
        }
        let probed = to.probing.take();
        let is_pure = segment.length == 0 && !segment.fin;
        let shut = match (window_before, from.window) {
            (Some(0), Some(0)) if is_pure => "window still shut".to_string(),
            (Some(0), Some(1..)) => {
                format!("window open again, {} free", so_many(from.window.unwrap_or_default(), "byte"))
            }
            (Some(1..), Some(0)) => "window shut".to_string(),
            _ => String::new(),
        };
        let words = match (!is_pure, probed, acknowledged) {
            (true, ..) => from.sent(segment, to.sack),
            (false, Some(Probe::Keepalive), None) => "answer to the keepalive probe".to_string(),
            (false, Some(Probe::Window), None) => "answer to the window probe".to_string(),
            (false, _, Some(words)) => words,
            (false, None, None) if window_before == Some(0) && !shut.ends_with("shut") => return shut,
            (false, None, None) if window_before != from.window => match from.window {
                Some(0) => return shut,
                window => return format!("window update, {} free", so_many(window.unwrap_or_default(), "byte")),
            },
            (false, None, None) if to.unacknowledged != to.next => {
                to.duplicates += 1;
                format!("duplicate ACK {}", to.duplicates)
            }
            (false, None, None) => "ACK".to_string(),
        };
        if shut.is_empty() { words } else { format!("{words}, {shut}") }
    }
}

impl Side {
    /// Takes its first segment: the SYN or, if the capture began later, whatever came first.
    fn start(&mut self, segment: &Segment) {
        let before = segment.seq.wrapping_sub(1);
        (self.first, self.next) = match segment.syn {
            true => (Some(segment.seq), segment.seq),
            false => (Some(before), segment.seq),
        };
        self.unacknowledged = segment.seq;
    }

    /// The window field is scaled if both ends offered scaling, and never in a SYN (RFC 7323 §2.2).
    fn advertise(&mut self, segment: &Segment, other: Option<u8>) {
        if segment.syn {
            (self.scale, self.sack) = (segment.scale, segment.sack);
        }
        let scale = match (segment.syn, self.scale, other) {
            (false, Some(scale), Some(_)) => scale.min(14),
            _ => 0,
        };
        if segment.ack.is_some() {
            self.window = Some(u64::from(segment.window) << scale);
        }
    }

    /// Records what the other end acknowledges; returns a description if it acknowledges anything new.
    fn take_ack(&mut self, ack: u32) -> Option<String> {
        let first = self.first?;
        if !after(ack, self.unacknowledged) || after(ack, self.next) {
            return None;
        }
        let handshake = self.unacknowledged == first && ack == first.wrapping_add(1);
        let fin = u32::from(self.fin && ack == self.next);
        let syn = u32::from(self.unacknowledged == first);
        let bytes = ack.wrapping_sub(self.unacknowledged).wrapping_sub(fin + syn);
        self.unacknowledged = ack;
        self.resent.clear();
        self.loss_probed = false;
        self.duplicates = 0;
        Some(match (handshake, bytes, fin) {
            (true, ..) => "ACK, handshake done".to_string(),
            (_, 0, 1) => "ACK of FIN".to_string(),
            (_, bytes, 1) => format!("ACK of {} and FIN", so_many(bytes, "byte")),
            (_, bytes, _) => format!("ACK of {}", so_many(bytes, "byte")),
        })
    }

    /// A probe repeats the last sequence number that the other end has acknowledged, to provoke an
    /// ACK (RFC 9293 §3.8.4). Keepalive and window probes look alike; they differ only in
    /// whether the other end's window is shut.
    fn probe(&self, segment: &Segment, other: &Side) -> Option<Probe> {
        let repeats = segment.seq.wrapping_add(1) == self.next && self.unacknowledged == self.next;
        if !repeats || segment.length > 1 || segment.fin {
            return None;
        }
        Some(if other.window == Some(0) { Probe::Window } else { Probe::Keepalive })
    }

    /// Data, FIN, or both: new, or sent again.
    ///
    /// Linux first repeats the tail before the retransmission time-out, as a tail loss probe, and only
    /// if selective acknowledgement was agreed (RFC 8985 §7).
    fn sent(&mut self, segment: &Segment, other_sack: bool) -> String {
        if after(segment.end(), self.next) {
            self.next = segment.end();
            self.fin |= segment.fin;
            return match (segment.length, segment.fin) {
                (0, _) => "FIN".to_string(),
                (length, true) => format!("data, {}, and FIN", so_many(length, "byte")),
                (length, false) => format!("data, {}", so_many(length, "byte")),
            };
        }
        let from = segment.seq.wrapping_sub(self.first.unwrap_or_default());
        let bytes = match segment.length {
            0 => String::new(),
            1 => format!("byte {from}"),
            length => format!("bytes {from}–{}", from.wrapping_add(length - 1)),
        };
        let what = match (bytes.is_empty(), segment.fin) {
            (true, _) => "FIN".to_string(),
            (false, true) => format!("{bytes} and FIN"),
            (false, false) => bytes,
        };
        let is_tail = segment.end() == self.next;
        if is_tail && self.resent.is_empty() && !self.loss_probed && self.sack && other_sack {
            self.loss_probed = true;
            return format!("tail loss probe, {what} again");
        }
        format!("retransmission {}, {what}", self.count_again(segment.seq))
    }

    /// Counts one more retransmission of a segment; returns how many there were.
    fn count_again(&mut self, seq: u32) -> u32 {
        match self.resent.iter_mut().find(|(resent, _)| *resent == seq) {
            Some((_, times)) => {
                *times += 1;
                *times
            }
            None => {
                self.resent.push((seq, 1));
                1
            }
        }
    }
}
