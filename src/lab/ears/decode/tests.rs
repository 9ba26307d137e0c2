use std::net::IpAddr;

use etherparse::ArpOperation;
use proptest::prelude::*;

use super::*;
use crate::lab::ears::frames::*;

fn ack(seq: u32, ack: u32, window: u16) -> Tcp {
    Tcp { seq, ack: Some(ack), window, ..Tcp::default() }
}

fn data(seq: u32, ack_to: u32, bytes: usize) -> Tcp {
    Tcp { bytes, ..ack(seq, ack_to, 502) }
}

fn talks() -> [FrameTalk; 2] {
    [FrameTalk::new(client4(), server4()), FrameTalk::new(client6(), server6())]
}

#[test]
fn an_exchange_and_an_orderly_close() {
    for mut talk in talks() {
        assert_eq!(talk.shake_hands(1000, 5000), ["SYN", "SYN-ACK", "ACK, handshake done"]);
        assert_eq!(talk.client(data(1001, 5001, 4)), "data, 4 bytes");
        assert_eq!(talk.server(ack(1005, 1005, 509)), "ACK of 4 bytes");
        assert_eq!(talk.server(data(5001, 1005, 1)), "data, 1 byte");
        assert_eq!(talk.client(Tcp { fin: true, ..data(1005, 5002, 2) }), "data, 2 bytes, and FIN");
        assert_eq!(talk.server(ack(5002, 1008, 509)), "ACK of 2 bytes and FIN");
        assert_eq!(talk.server(Tcp { fin: true, ..ack(5002, 1008, 509) }), "FIN");
        assert_eq!(talk.client(ack(1008, 5003, 502)), "ACK of FIN");
        let whos: Vec<Who> = talk.entries.iter().map(|entry| entry.who).collect();
        assert_eq!(whos[..3], [Who::Client, Who::Server, Who::Client]);
    }
}

#[test]
fn probes_are_numbered_since_the_last_answer() {
    let mut talk = FrameTalk::new(client4(), server4());
    talk.shake_hands(1000, 5000);
    let probe = ack(5000, 1001, 509);
    assert_eq!(talk.server(probe.clone()), "keepalive probe 1 of 3");
    assert_eq!(talk.client(ack(1001, 5001, 502)), "answer to the keepalive probe");
    // The old form carries a byte that the peer has already (RFC 9293 §3.8.4).
    for n in 1..=3 {
        assert_eq!(talk.server(Tcp { bytes: (n % 2), ..probe.clone() }), format!("keepalive probe {n} of 3"));
    }
    assert_eq!(talk.server(probe), "keepalive probe 4", "the user timeout may allow more than the count");
    assert_eq!(talk.server(Tcp { rst: true, ..ack(5001, 1001, 0) }), "RST");
    assert_eq!(talk.client(ack(1000, 5001, 502)), "keepalive probe 1", "the client's count is not known");
}

#[test]
fn a_loss_probe_comes_first_and_retransmissions_are_counted() {
    // Near the wrap of the sequence numbers.
    let mut talk = FrameTalk::new(client4(), server4());
    let s = u32::MAX - 2;
    talk.shake_hands(1000, s);
    assert_eq!(talk.server(data(s.wrapping_add(1), 1001, 4)), "data, 4 bytes");
    assert_eq!(talk.server(data(s.wrapping_add(5), 1001, 6)), "data, 6 bytes");
    assert_eq!(talk.server(data(s.wrapping_add(5), 1001, 6)), "tail loss probe, bytes 5–10 again");
    for n in 1..4 {
        assert_eq!(talk.server(data(s.wrapping_add(1), 1001, 4)), format!("retransmission {n}, bytes 1–4"));
    }
    assert_eq!(talk.client(ack(1001, s.wrapping_add(1), 502)), "duplicate ACK 1");
    assert_eq!(talk.client(ack(1001, s.wrapping_add(5), 502)), "ACK of 4 bytes");
    assert_eq!(talk.server(data(s.wrapping_add(10), 1001, 1)), "tail loss probe, byte 10 again");
    assert_eq!(talk.client(ack(1001, s.wrapping_add(11), 502)), "ACK of 6 bytes");
    assert_eq!(talk.server(Tcp { fin: true, ..ack(s.wrapping_add(11), 1001, 502) }), "FIN");
    assert_eq!(talk.server(Tcp { fin: true, ..ack(s.wrapping_add(11), 1001, 502) }), "tail loss probe, FIN again");
    assert_eq!(talk.server(Tcp { fin: true, ..ack(s.wrapping_add(11), 1001, 502) }), "retransmission 1, FIN");
}

#[test]
fn without_selective_acknowledgement_there_is_no_loss_probe() {
    let mut talk = FrameTalk::new(client4(), server4());
    assert_eq!(talk.client(Tcp { seq: 0, syn: true, window: 1000, ..Tcp::default() }), "SYN");
    assert_eq!(talk.client(Tcp { seq: 0, syn: true, window: 1000, ..Tcp::default() }), "SYN, retransmission 1");
    let syn_ack = Tcp { seq: 9, ack: Some(1), syn: true, window: 1000, ..Tcp::default() };
    assert_eq!(talk.server(syn_ack.clone()), "SYN-ACK");
    assert_eq!(talk.server(syn_ack.clone()), "SYN-ACK, retransmission 1");
    assert_eq!(talk.server(syn_ack), "SYN-ACK, retransmission 2");
    talk.client(ack(1, 10, 1000));
    talk.server(data(10, 1, 4));
    assert_eq!(talk.server(data(10, 1, 4)), "retransmission 1, bytes 1–4");
}

#[test]
fn a_window_shuts_is_probed_and_opens_again() {
    let mut talk = FrameTalk::new(client4(), server4());
    talk.shake_hands(1000, 5000);
    talk.server(data(5001, 1001, 1000));
    assert_eq!(talk.client(ack(1001, 6001, 0)), "ACK of 1000 bytes, window shut");
    assert_eq!(talk.server(ack(6000, 1001, 509)), "window probe 1");
    assert_eq!(talk.client(ack(1001, 6001, 0)), "answer to the window probe, window still shut");
    assert_eq!(talk.server(ack(6000, 1001, 509)), "window probe 1");
    assert_eq!(talk.server(ack(6000, 1001, 509)), "window probe 2");
    assert_eq!(talk.client(ack(1001, 6001, 4)), "answer to the window probe, window open again, 512 bytes free");
    assert_eq!(talk.client(ack(1001, 6001, 8)), "window update, 1024 bytes free");
    assert_eq!(talk.client(ack(1001, 6001, 0)), "window shut");
    assert_eq!(talk.client(ack(1001, 6001, 1)), "window open again, 128 bytes free");
    assert_eq!(talk.client(ack(1001, 6001, 1)), "ACK");
}

#[test]
fn two_shut_windows_are_probed_at_the_same_time() {
    let mut talk = FrameTalk::new(client4(), server4());
    talk.shake_hands(1000, 5000);
    talk.server(Tcp { window: 0, ..data(5001, 1001, 1000) });
    assert_eq!(talk.client(ack(1001, 6001, 0)), "ACK of 1000 bytes, window shut");
    assert_eq!(talk.server(ack(6000, 1001, 0)), "window probe 1");
    assert_eq!(talk.client(ack(1000, 6001, 0)), "window probe 1", "no answer, but a sign of life");
    assert_eq!(talk.server(ack(6001, 1001, 0)), "answer to the window probe, window still shut");
    assert_eq!(talk.client(ack(1001, 6001, 0)), "answer to the window probe, window still shut");
    assert_eq!(talk.server(Tcp { window: 0, ..data(6001, 1001, 5) }), "data, 5 bytes");
}

#[test]
fn a_router_says_which_packet_it_could_not_deliver() {
    for (mut talk, router, kinds) in [
        (FrameTalk::new(client4(), server4()), "10.0.2.1", [(3, 1, "host"), (3, 0, "net"), (3, 3, "port")]),
        (FrameTalk::new(client6(), server6()), "fd00:2::1", [(1, 3, "host"), (1, 0, "net"), (1, 4, "port")]),
    ] {
        let router: IpAddr = router.parse().unwrap();
        talk.shake_hands(1000, 5000);
        let lost = tcp_frame(talk.server, talk.client, &ack(5000, 1001, 509));
        talk.frame(&lost);
        let family = if router.is_ipv4() { "ICMP" } else { "ICMPv6" };
        for (kind, code, name) in kinds {
            let frame = icmp_frame(router, talk.server.ip(), kind, code, &lost);
            let words = talk.frame(&frame).unwrap();
            assert_eq!(words, format!("{family} {name} unreachable, about: keepalive probe 1 of 3"));
            assert_eq!(talk.entries.last().unwrap().who, Who::Path);
        }
        let (kind, code) = if router.is_ipv4() { (3, 13) } else { (1, 1) };
        let frame = icmp_frame(router, talk.server.ip(), kind, code, &lost[..lost.len() - 12]);
        assert!(talk.frame(&frame).unwrap().contains("administratively prohibited, about: keepalive"));
        let elsewhere = tcp_frame(talk.server, SocketAddr::new(talk.client.ip(), 1), &ack(5000, 1001, 509));
        assert_eq!(talk.frame(&icmp_frame(router, talk.server.ip(), kind, code, &elsewhere)), None);
    }
}

#[test]
fn neighbours_are_asked_for() {
    let mut talk = FrameTalk::new(client4(), server4());
    let who_has = arp_frame(ArpOperation::REQUEST, [10, 0, 2, 2], [10, 0, 2, 1]);
    assert_eq!(talk.frame(&who_has).unwrap(), "ARP: who has 10.0.2.1?");
    assert_eq!(talk.entries[0].who, Who::Server);
    let is_at = arp_frame(ArpOperation::REPLY, [10, 0, 2, 1], [10, 0, 2, 2]);
    assert_eq!(talk.frame(&is_at).unwrap(), "ARP: 10.0.2.1 is at 02:00:00:00:00:02");
    assert_eq!(talk.entries[1].who, Who::Path);

    let mut talk = FrameTalk::new(client6(), server6());
    let target: Ipv6Addr = "fd00:2::1".parse().unwrap();
    let body: Vec<u8> = [0; 14].into_iter().chain(target.octets()).chain([2, 1, 2, 0, 0, 0, 0, 1]).collect();
    let solicitation = icmp_frame(server6().ip(), target.into(), 135, 0, &body);
    assert_eq!(talk.frame(&solicitation).unwrap(), "neighbour solicitation: who has fd00:2::1?");
    let advertisement = icmp_frame(target.into(), server6().ip(), 136, 0, &body);
    assert_eq!(talk.frame(&advertisement).unwrap(), "neighbour advertisement: fd00:2::1 is at 02:00:00:00:00:01");
}

#[test]
fn only_one_connection_is_followed() {
    let mut decoder = Decoder::new(server4(), None);
    let other = SocketAddr::new(client4().ip(), 1);
    let now = SystemTime::UNIX_EPOCH;
    let syn = Tcp { seq: 7, syn: true, ..Tcp::default() };
    assert!(decoder.read(now, &tcp_frame(client4(), server4(), &syn)).is_some());
    assert!(decoder.read(now, &tcp_frame(other, server4(), &syn)).is_none());
    assert!(decoder.read(now, &tcp_frame(client4(), other, &syn)).is_none());
}

#[test]
fn a_frame_that_was_cut_short_keeps_its_length() {
    let mut talk = FrameTalk::new(client4(), server4());
    talk.shake_hands(1000, 5000);
    let frame = tcp_frame(server4(), client4(), &data(5001, 1001, 1400));
    assert_eq!(talk.frame(&frame[..200]).unwrap(), "data, 1400 bytes");
    assert_eq!(length_on_wire(&frame[..200]), frame.len());
    assert_eq!(length_on_wire(&frame), frame.len());
    assert_eq!(length_on_wire(&[]), 0);
}

#[test]
fn words_tell_what_waits_for_an_answer() {
    for words in ["SYN-ACK", "data, 4 bytes", "keepalive probe 1 of 3", "tail loss probe, FIN again"] {
        assert!(awaits_answer(words), "{words}");
    }
    assert!(!awaits_answer("ACK of 4 bytes") && !awaits_answer("RST"));
    assert!(is_plain("ACK of 4 bytes") && is_plain("data, 4 bytes") && !is_plain("ACK of 4 bytes, window shut"));
}

proptest! {
    #[test]
    fn no_frame_makes_it_panic(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20),
    ) {
        let mut decoder = Decoder::new(server4(), Some(3));
        for frame in frames {
            decoder.read(SystemTime::UNIX_EPOCH, &frame);
            length_on_wire(&frame);
        }
    }

    /// Well-formed segments with any numbers in them, then cut and with a byte changed.
    #[test]
    fn no_segment_makes_it_panic(
        segments in prop::collection::vec(
            (any::<(bool, u8, u32, u32, u16)>(), prop::option::of(any::<u8>()), 0..3_usize, any::<(u8, u8, u8)>()), 1..40,
        ),
    ) {
        for (client, server) in [(client4(), server4()), (client6(), server6())] {
            let mut decoder = Decoder::new(server, Some(3));
            for ((from_server, flags, seq, ack, window), scale, bytes, (cut, at, value)) in segments.clone() {
                let tcp = Tcp {
                    seq: if flags & 16 == 0 { seq % 8 } else { seq },
                    ack: (flags & 1 != 0).then_some(if flags & 32 == 0 { ack % 8 } else { ack }),
                    syn: flags & 2 != 0,
                    fin: flags & 4 != 0,
                    rst: flags & 8 != 0,
                    window,
                    bytes,
                    scale,
                };
                let (source, destination) = if from_server { (server, client) } else { (client, server) };
                let mut frame = tcp_frame(source, destination, &tcp);
                decoder.read(SystemTime::UNIX_EPOCH, &frame);
                decoder.read(SystemTime::UNIX_EPOCH, &icmp_frame(client.ip(), server.ip(), 3, 1, &frame));
                let at = usize::from(at) % frame.len();
                frame[at] = value;
                frame.truncate(frame.len() - usize::from(cut) % 40);
                decoder.read(SystemTime::UNIX_EPOCH, &frame);
            }
        }
    }
}
