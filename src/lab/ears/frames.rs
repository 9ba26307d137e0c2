//! Frames made by hand, for the tests of the code that reads frames.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, IpFragOffset, IpHeaders, IpNumber, Ipv4Header,
    Ipv6Header, PacketBuilder, TcpHeader, TcpOptionElement,
};

use crate::lab::ears::decode::Decoder;
use crate::lab::timeline::{Timeline, TimelineEntry, Verdict, What, Who};

pub(in crate::lab) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(in crate::lab) const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// What a segment carries besides its addresses.
#[derive(Clone, Debug, Default)]
pub(in crate::lab) struct Tcp {
    pub seq: u32,
    pub ack: Option<u32>,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    pub window: u16,
    pub bytes: usize,
    /// In a SYN: the window's scale, and with it selective acknowledgement.
    pub scale: Option<u8>,
}

pub(in crate::lab) fn server4() -> SocketAddr {
    "10.0.2.2:7000".parse().unwrap()
}

pub(in crate::lab) fn client4() -> SocketAddr {
    "10.0.1.2:40000".parse().unwrap()
}

pub(in crate::lab) fn server6() -> SocketAddr {
    "[fd00:2::2]:7000".parse().unwrap()
}

pub(in crate::lab) fn client6() -> SocketAddr {
    "[fd00:1::2]:40000".parse().unwrap()
}

pub(in crate::lab) fn ip(source: IpAddr, destination: IpAddr, number: IpNumber, length: usize) -> IpHeaders {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = Ipv4Header::new(length as u16, 64, number, source.octets(), destination.octets()).unwrap();
            header.fragment_offset = IpFragOffset::ZERO;
            IpHeaders::Ipv4(header, Default::default())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                payload_length: length as u16,
                next_header: number,
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
                ..Default::default()
            };
            IpHeaders::Ipv6(header, Default::default())
        }
        _ => panic!("two families in one packet"),
    }
}

pub(in crate::lab) fn tcp_frame(source: SocketAddr, destination: SocketAddr, tcp: &Tcp) -> Vec<u8> {
    let mut header = TcpHeader::new(source.port(), destination.port(), tcp.seq, tcp.window);
    (header.syn, header.fin, header.rst) = (tcp.syn, tcp.fin, tcp.rst);
    if let Some(ack) = tcp.ack {
        (header.ack, header.acknowledgment_number) = (true, ack);
    }
    if let Some(scale) = tcp.scale {
        let options = [TcpOptionElement::SelectiveAcknowledgementPermitted, TcpOptionElement::WindowScale(scale)];
        header.set_options(&options).unwrap();
    }
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .ip(ip(source.ip(), destination.ip(), IpNumber::TCP, 0))
        .tcp_header(header);
    let mut frame = vec![0; builder.size(tcp.bytes)];
    builder.write_to_slice(&mut frame, &vec![b'x'; tcp.bytes]).unwrap();
    frame
}

/// An ICMP message that quotes the beginning of another frame.
pub(in crate::lab) fn icmp_frame(router: IpAddr, server: IpAddr, kind: u8, code: u8, about: &[u8]) -> Vec<u8> {
    let about = &about[14..];
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC);
    let mut frame;
    if router.is_ipv4() {
        let builder = builder.ip(ip(router, server, IpNumber::ICMP, 0)).icmpv4_raw(kind, code, [0; 4]);
        frame = vec![0; builder.size(about.len())];
        builder.write_to_slice(&mut frame, about).unwrap();
    } else {
        let builder = builder.ip(ip(router, server, IpNumber::IPV6_ICMP, 0)).icmpv6_raw(kind, code, [0; 4]);
        frame = vec![0; builder.size(about.len())];
        builder.write_to_slice(&mut frame, about).unwrap();
    }
    frame
}

pub(in crate::lab) fn arp_frame(operation: ArpOperation, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let arp =
        ArpPacket::new(ArpHardwareId::ETHERNET, EtherType::IPV4, operation, &SERVER_MAC, &sender, &CLIENT_MAC, &target)
            .unwrap();
    let link = Ethernet2Header { source: SERVER_MAC, destination: [0xff; 6], ether_type: EtherType::ARP };
    let mut frame = link.to_bytes().to_vec();
    frame.extend(arp.to_bytes());
    frame
}

/// The two ends of a connection, and the decoder that reads their frames.
pub(in crate::lab) struct FrameTalk {
    pub decoder: Decoder,
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub now: SystemTime,
    pub entries: Vec<TimelineEntry>,
}

impl FrameTalk {
    pub(in crate::lab) fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let decoder = Decoder::new(server, Some(3)).of_client(client);
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        Self { decoder, client, server, now, entries: Vec::new() }
    }

    pub(in crate::lab) fn after(&mut self, milliseconds: u64) -> &mut Self {
        self.now += Duration::from_millis(milliseconds);
        self
    }

    pub(in crate::lab) fn frame(&mut self, frame: &[u8]) -> Option<String> {
        let entry = self.decoder.read(self.now, frame)?;
        self.entries.push(entry.clone());
        match entry.what {
            What::Packet { words, .. } => Some(words),
            _ => None,
        }
    }

    pub(in crate::lab) fn client(&mut self, tcp: Tcp) -> String {
        let frame = tcp_frame(self.client, self.server, &tcp);
        self.frame(&frame).unwrap()
    }

    pub(in crate::lab) fn server(&mut self, tcp: Tcp) -> String {
        let frame = tcp_frame(self.server, self.client, &tcp);
        self.frame(&frame).unwrap()
    }

    /// The handshake, with `c` and `s` as the initial sequence numbers of client and server, both with window scale 7.
    pub(in crate::lab) fn shake_hands(&mut self, c: u32, s: u32) -> [String; 3] {
        let syn = Tcp { seq: c, syn: true, window: 64240, scale: Some(7), ..Tcp::default() };
        let syn_ack = Tcp { seq: s, ack: Some(c.wrapping_add(1)), ..syn.clone() };
        let ack = Tcp { seq: c.wrapping_add(1), ack: Some(s.wrapping_add(1)), window: 502, ..Tcp::default() };
        [self.client(syn), self.server(syn_ack), self.client(ack)]
    }

    pub(in crate::lab) fn say(&mut self, who: Who, what: What) {
        self.entries.push(TimelineEntry { at: self.now, who, what });
    }
}

/// An idle peer behind a cut cable: idle 2, interval 1, count 3.
pub(in crate::lab) fn cut_cable() -> Timeline {
    let mut talk = FrameTalk::new(client4(), server4());
    talk.shake_hands(1000, 5000);
    talk.after(3).client(Tcp { seq: 1001, ack: Some(5001), window: 502, bytes: 4, ..Tcp::default() });
    talk.after(1).server(Tcp { seq: 5001, ack: Some(1005), window: 509, ..Tcp::default() });
    talk.after(996).say(Who::Lab, What::Fault("the cable is cut: both ways are dead, silently".to_string()));
    let origin = talk.now;
    let probe = Tcp { seq: 5000, ack: Some(1005), window: 509, ..Tcp::default() };
    talk.after(1048);
    for _ in 0..3 {
        talk.server(probe.clone());
        talk.after(1024);
    }
    talk.server(Tcp { seq: 5001, ack: Some(1005), rst: true, ..Tcp::default() });
    let words = "ETIMEDOUT; EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP".to_string();
    talk.after(1).say(Who::Server, What::Departure { words });
    Timeline { entries: talk.entries, origin }
}

/// How [`cut_cable`] ended.
pub(in crate::lab) fn verdict() -> Verdict {
    Verdict {
        scene: "idle/black-hole".to_string(),
        predicted: Some((Duration::from_secs(4), Duration::from_millis(4300))),
        measured: Some(Duration::from_millis(4121)),
        watched: Duration::from_secs(60),
        errno: "ETIMEDOUT".to_string(),
        said_by: "the server's log".to_string(),
        own_time_out: false,
        orphan: false,
        dropped: None,
        kept_its_promise: true,
    }
}
