//! Frames in the words of the field: SYN, keepalive probe 1 of 3, ICMP host unreachable.
//!
//! Owns the reading of headers, and the words for frames that are not TCP segments; what a segment
//! means is worked out in `conversation`. Pure: knows no socket and no clock, and skips a frame that
//! makes no sense.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

use etherparse::{
    ArpOperation, ArpPacketSlice, LaxNetSlice, LaxSlicedPacket, TcpOptionElement, TcpSlice, TransportSlice,
};

use crate::lab::timeline::{TimelineEntry, What, Who};
use conversation::{Conversation, Segment};

mod conversation;
#[cfg(test)]
mod tests;

/// How many segments are remembered, to find the one that an ICMP message is about. A router answers at
/// once, so only segments in flight matter.
const REMEMBERED: usize = 64;
/// Length of an Ethernet header.
const ETHERNET: usize = 14;

/// The reader of one connection's frames, in the order in which they were captured.
#[derive(Debug)]
pub struct Decoder {
    server: SocketAddr,
    client: Option<SocketAddr>,
    conversation: Conversation,
    told: VecDeque<Worded>,
}

/// A segment, and its description.
#[derive(Debug)]
struct Worded {
    from_server: bool,
    seq: u32,
    words: String,
}

impl Decoder {
    /// Follows the first client that exchanges segments with `server`; `probes` is the server's keepalive count,
    /// if it is known.
    pub fn new(server: SocketAddr, probes: Option<u32>) -> Self {
        Self { server, client: None, conversation: Conversation::new(probes), told: VecDeque::new() }
    }

    /// Follows this client and no other.
    #[must_use]
    pub fn of_client(mut self, client: SocketAddr) -> Self {
        self.client = Some(client);
        self
    }

    /// Reads a frame that begins with its Ethernet header. `None`: it does not belong to the connection.
    pub fn read(&mut self, at: SystemTime, frame: &[u8]) -> Option<TimelineEntry> {
        let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
        let (source, destination, promised) = match packet.net.as_ref()? {
            LaxNetSlice::Arp(arp) => {
                let (sender, words) = arp_words(arp)?;
                return Some(self.entry(at, sender, frame, words));
            }
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                let promised = usize::from(header.total_len()).saturating_sub(header.slice().len());
                (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()), promised)
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = ip.header();
                let extensions = ip.extensions().slice().len();
                let promised = usize::from(header.payload_length()).saturating_sub(extensions);
                (IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr()), promised)
            }
        };
        let words = match packet.transport.as_ref()? {
            TransportSlice::Tcp(tcp) => {
                let ends =
                    (SocketAddr::new(source, tcp.source_port()), SocketAddr::new(destination, tcp.destination_port()));
                self.segment_words(ends, tcp, promised)?
            }
            TransportSlice::Icmpv4(icmp) => {
                let what = icmp4_words(icmp.type_u8(), icmp.code_u8())?;
                self.about(what, icmp.payload())?
            }
            TransportSlice::Icmpv6(icmp) => match icmp.type_u8() {
                135 | 136 => neighbour_words(icmp.slice())?,
                kind => self.about(icmp6_words(kind, icmp.code_u8())?, icmp.slice().get(8..)?)?,
            },
            _ => return None,
        };
        Some(self.entry(at, source, frame, words))
    }

    fn entry(&self, at: SystemTime, source: IpAddr, frame: &[u8], words: String) -> TimelineEntry {
        let who = match source {
            source if source == self.server.ip() => Who::Server,
            source if self.client.is_some_and(|client| client.ip() == source) => Who::Client,
            _ => Who::Path,
        };
        TimelineEntry { at, who, what: What::Packet { frame: frame.to_vec(), words } }
    }

    /// `promised` is the length according to the IP header: fewer bytes may have been captured.
    fn segment_words(
        &mut self,
        (source, destination): (SocketAddr, SocketAddr),
        tcp: &TcpSlice<'_>,
        promised: usize,
    ) -> Option<String> {
        let from_server = source == self.server;
        if !from_server && destination != self.server {
            return None;
        }
        let client = if from_server { destination } else { source };
        if *self.client.get_or_insert(client) != client {
            return None;
        }
        let length = promised.saturating_sub(tcp.header_slice().len()).max(tcp.payload().len());
        let mut segment = Segment {
            from_server,
            seq: tcp.sequence_number(),
            ack: tcp.ack().then(|| tcp.acknowledgment_number()),
            length: u32::try_from(length).ok()?,
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            window: tcp.window_size(),
            scale: None,
            sack: false,
        };
        for option in tcp.options_iterator().flatten() {
            match option {
                TcpOptionElement::WindowScale(scale) => segment.scale = Some(scale),
                TcpOptionElement::SelectiveAcknowledgementPermitted => segment.sack = true,
                _ => {}
            }
        }
        let words = self.conversation.hear(&segment);
        if self.told.len() == REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back(Worded { from_server, seq: segment.seq, words: words.clone() });
        Some(words)
    }

    /// An ICMP error quotes the beginning of the packet that it is about: the IP header and, of TCP, at
    /// least the ports and the sequence number (RFC 792, RFC 4443).
    fn about(&self, what: String, head: &[u8]) -> Option<String> {
        let packet = LaxSlicedPacket::from_ip(head).ok()?;
        let (source, destination) = match packet.net.as_ref()? {
            LaxNetSlice::Ipv4(ip) => {
                (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()))
            }
            LaxNetSlice::Ipv6(ip) => {
                (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
            }
            LaxNetSlice::Arp(_) => return None,
        };
        let ip = packet.ip_payload()?;
        let tcp: &[u8; 8] = ip.payload.first_chunk()?;
        let [s1, s2, d1, d2, q1, q2, q3, q4] = *tcp;
        let source = SocketAddr::new(source, u16::from_be_bytes([s1, s2]));
        let destination = SocketAddr::new(destination, u16::from_be_bytes([d1, d2]));
        let seq = u32::from_be_bytes([q1, q2, q3, q4]);
        let from_server = source == self.server;
        let client = if from_server { destination } else { source };
        let is_ours = ip.ip_number.0 == 6
            && (from_server || destination == self.server)
            && self.client.is_none_or(|ours| ours == client);
        if !is_ours {
            return None;
        }
        let told = self.told.iter().rev().find(|told| told.from_server == from_server && told.seq == seq);
        Some(match told {
            Some(told) => format!("{what}, about: {}", told.words),
            None => format!("{what}, about a packet that was not seen"),
        })
    }
}

/// Whether the sender of a packet with this description expects an answer.
pub fn awaits_answer(words: &str) -> bool {
    const ASKING: [&str; 9] = [
        "SYN",
        "data,",
        "FIN",
        "keepalive probe",
        "window probe",
        "retransmission",
        "tail loss probe",
        "ARP: who has",
        "neighbour solicitation",
    ];
    ASKING.iter().any(|asking| words.starts_with(asking))
}

/// Whether a packet with this description is one of many similar ones: plain data, or a plain ACK.
pub fn is_plain(words: &str) -> bool {
    words.ends_with(" bytes") && (words.starts_with("data, ") || words.starts_with("ACK of "))
}

/// The length of a frame on the wire: fewer bytes may have been captured.
pub fn length_on_wire(frame: &[u8]) -> usize {
    let promised = match LaxSlicedPacket::from_ethernet(frame).ok().and_then(|packet| packet.net) {
        Some(LaxNetSlice::Ipv4(ip)) => ETHERNET + usize::from(ip.header().total_len()),
        Some(LaxNetSlice::Ipv6(ip)) => ETHERNET + 40 + usize::from(ip.header().payload_length()),
        _ => 0,
    };
    promised.max(frame.len())
}

/// Whether a TCP segment responds to an earlier one of the other end: it acknowledges all that was
/// carried, or it is a RST. `None` if one of them is not a TCP segment.
pub fn takes(frame: &[u8], earlier: &[u8]) -> Option<bool> {
    let (later, earlier) = (LaxSlicedPacket::from_ethernet(frame).ok()?, LaxSlicedPacket::from_ethernet(earlier).ok()?);
    let (Some(TransportSlice::Tcp(later)), Some(TransportSlice::Tcp(earlier))) = (later.transport, earlier.transport)
    else {
        return None;
    };
    let length = earlier.payload().len() as u32 + u32::from(earlier.syn()) + u32::from(earlier.fin());
    let missing = earlier.sequence_number().wrapping_add(length).wrapping_sub(later.acknowledgment_number());
    Some(later.rst() || (later.ack() && (missing == 0 || missing >= 1 << 31)))
}

fn arp_words(arp: &ArpPacketSlice<'_>) -> Option<(IpAddr, String)> {
    let address = |bytes: &[u8]| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?));
    let sender = address(arp.sender_protocol_addr())?;
    let target = address(arp.target_protocol_addr())?;
    let words = match arp.operation() {
        ArpOperation::REQUEST if sender == target => format!("ARP: {sender} announces itself"),
        ArpOperation::REQUEST => format!("ARP: who has {target}?"),
        ArpOperation::REPLY => format!("ARP: {sender} is at {}", hardware(arp.sender_hw_addr())),
        _ => return None,
    };
    Some((sender.into(), words))
}

/// Neighbour discovery (RFC 4861): the target follows four flag bytes.
fn neighbour_words(icmp: &[u8]) -> Option<String> {
    let target = Ipv6Addr::from(<[u8; 16]>::try_from(icmp.get(8..24)?).ok()?);
    Some(match icmp.first()? {
        135 => format!("neighbour solicitation: who has {target}?"),
        _ => match icmp.get(24..32) {
            Some([2, 1, hardware_address @ ..]) => {
                format!("neighbour advertisement: {target} is at {}", hardware(hardware_address))
            }
            _ => format!("neighbour advertisement: {target} is here"),
        },
    })
}

fn hardware(address: &[u8]) -> String {
    address.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// RFC 792, RFC 1812 §5.2.7.1.
fn icmp4_words(kind: u8, code: u8) -> Option<String> {
    let what = match (kind, code) {
        (3, 0 | 6) => "net unreachable",
        (3, 1 | 7 | 8) => "host unreachable",
        (3, 2) => "protocol unreachable",
        (3, 3) => "port unreachable",
        (3, 4) => "packet too big",
        (3, 9 | 10 | 13) => "administratively prohibited",
        (3, _) => return Some(format!("ICMP destination unreachable, code {code}")),
        (11, _) => "time exceeded",
        _ => return None,
    };
    Some(format!("ICMP {what}"))
}

/// RFC 4443 §3.
fn icmp6_words(kind: u8, code: u8) -> Option<String> {
    let what = match (kind, code) {
        (1, 0) => "net unreachable",
        (1, 1 | 5) => "administratively prohibited",
        (1, 3) => "host unreachable",
        (1, 4) => "port unreachable",
        (1, _) => return Some(format!("ICMPv6 destination unreachable, code {code}")),
        (2, _) => "packet too big",
        (3, _) => "time exceeded",
        _ => return None,
    };
    Some(format!("ICMPv6 {what}"))
}
