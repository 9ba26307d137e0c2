//! What the kernel knows about a connection: `TCP_INFO` (tcp(7), `struct tcp_info` in linux/tcp.h).
//!
//! Owns the reading of the kernel's figures. Does not know what they are used for.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sockopt;

/// How much of `struct tcp_info` is read, in bytes: up to `tcpi_snd_wnd`, of Linux 5.4.
const LENGTH: usize = 232;
/// How much is needed, in bytes: up to `tcpi_data_segs_in`, of Linux 4.6.
const LEAST: usize = 156;

/// The states in which the peer's FIN has come, TIME_WAIT, CLOSE_WAIT, LAST_ACK and CLOSING (net/tcp_states.h).
#[cfg(any(feature = "admin", feature = "events"))]
const WITH_FIN: [u8; 4] = [6, 8, 9, 11];
/// It came, or an error ended the connection.
#[cfg(any(feature = "admin", feature = "events"))]
pub(crate) const TCP_CLOSE: u8 = 7;

/// The longest tick of a kernel (`CONFIG_HZ=100`). The kernel counts ages and options in ticks, so they may be off by
/// this much.
pub(crate) const COARSEST_TICK: Duration = Duration::from_millis(10);

/// The kernel's figures of one connection. They can be read until the socket is closed, even after
/// the connection has died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The TCP state by the kernel's numbers (`tcpi_state`), which begin with 1. It is 0 on a kernel that succeeds
    /// without filling anything in (gVisor).
    pub state: u8,
    /// How often the oldest unacknowledged segment was retransmitted in a row (`tcpi_retransmits`).
    pub retransmits: u8,
    /// How many keepalive probes or window probes in a row were not answered (`tcpi_probes`).
    pub probes: u8,
    /// The retransmission time-out, which doubles with each retransmission (`tcpi_rto`, in microseconds).
    pub rto: Duration,
    /// The smoothed round-trip time (`tcpi_rtt`, in microseconds); zero until one was measured.
    pub round_trip: Duration,
    /// Segments sent and not acknowledged, including a FIN (`tcpi_unacked`).
    pub unacknowledged: u32,
    /// Bytes that wait in the kernel to be sent for the first time (`tcpi_notsent_bytes`).
    pub not_sent: u32,
    /// Retransmissions of any segment since the connection was established (`tcpi_total_retrans`).
    pub retransmitted: u32,
    /// Bytes that the peer has acknowledged since the connection was established (`tcpi_bytes_acked`).
    pub bytes_acknowledged: u64,
    /// Bytes that have been received from the peer since the connection was established (`tcpi_bytes_received`).
    pub bytes_received: u64,
    /// Bytes that have been sent to the peer since the connection was established, each counted once (`tcpi_bytes_sent` less
    /// `tcpi_bytes_retrans`); `None` before Linux 4.19, which does not report it.
    #[cfg(any(feature = "admin", feature = "events"))]
    pub bytes_sent: Option<u64>,
    /// Segments without data received since the connection was established: ACKs, and the peer's probes
    /// (`tcpi_segs_in` less `tcpi_data_segs_in`).
    pub pure_acks: u32,
    /// The total time for which nothing was sent because the peer's window was shut or too small
    /// (`tcpi_rwnd_limited`, in microseconds); [`Duration::MAX`] before Linux 4.10, which does not report it.
    pub window_limited: Duration,
    /// The peer's window in bytes (`tcpi_snd_wnd`); `None` before Linux 5.4, which does not report it.
    pub window: Option<u32>,
    /// The time since data were last sent, not counting probes of a shut window
    /// (`tcpi_last_data_sent`). This and the next two are in milliseconds, but no finer than the kernel's tick
    /// (1 to 10 ms).
    pub sent: Duration,
    /// The time since data were last received (`tcpi_last_data_recv`).
    pub received: Duration,
    /// The time since the last sign of life: data or an ACK, including answers to probes
    /// (the lesser of `tcpi_last_data_recv` and `tcpi_last_ack_recv`).
    pub silent: Duration,
}

impl TcpInfo {
    /// Asks the kernel about a TCP socket, with one getsockopt(2).
    ///
    /// # Errors
    /// Those of getsockopt(2); `Unsupported` before Linux 4.6, which does not report all that is needed.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let mut raw = [0; LENGTH];
        let length = sockopt::tcp_info(socket, &mut raw)?;
        Self::from_raw(&raw, length).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Whether the kernel reports anything at all about this socket. Every TCP state has a number
    /// above 0, including that of a listener.
    pub fn is_told(socket: &impl AsFd) -> bool {
        Self::of(socket).is_ok_and(|info| info.state != 0)
    }

    /// The figures in the first `length` bytes, which the kernel filled in. The offsets are those of linux/tcp.h. The
    /// struct only ever grows at its end, so the length is checked and not each figure: this runs at every check.
    fn from_raw(raw: &[u8; LENGTH], length: usize) -> Option<Self> {
        let u32_at = |at: usize| u32::from_ne_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        let u64_at = |at: usize| {
            let (first, second) = (u64::from(u32_at(at)), u64::from(u32_at(at + 4)));
            if cfg!(target_endian = "little") { first | second << 32 } else { first << 32 | second }
        };
        if length < LEAST {
            return None;
        }
        Some(Self {
            state: raw[0],
            retransmits: raw[2],
            probes: raw[3],
            rto: Duration::from_micros(u32_at(8).into()),
            round_trip: Duration::from_micros(u32_at(68).into()),
            unacknowledged: u32_at(24),
            retransmitted: u32_at(100),
            bytes_acknowledged: u64_at(120),
            bytes_received: u64_at(128),
            #[cfg(any(feature = "admin", feature = "events"))]
            bytes_sent: (length >= 216).then(|| u64_at(200).wrapping_sub(u64_at(208))),
            pure_acks: u32_at(140).wrapping_sub(u32_at(152)),
            window_limited: if length < 184 { Duration::MAX } else { Duration::from_micros(u64_at(176)) },
            window: (length == LENGTH).then(|| u32_at(228)),
            sent: Duration::from_millis(u32_at(44).into()),
            received: Duration::from_millis(u32_at(52).into()),
            silent: Duration::from_millis(u32_at(52).min(u32_at(56)).into()),
            not_sent: u32_at(144),
        })
    }

    /// How many bytes the peer has sent. The kernel counts its FIN as one (`tcp_fin`), as long as the state shows that it came.
    #[cfg(any(feature = "admin", feature = "events"))]
    pub fn bytes_in(&self) -> u64 {
        let has_fin = WITH_FIN.contains(&self.state);
        self.bytes_received - u64::from(has_fin && self.bytes_received > 0)
    }

    /// How many bytes the kernel has taken for the peer, sent or not.
    #[cfg(any(feature = "admin", feature = "events"))]
    pub fn bytes_out(&self) -> Option<u64> {
        Some(self.bytes_sent? + u64::from(self.not_sent))
    }

    /// How many of those the peer has not acknowledged.
    #[cfg(any(feature = "admin", feature = "events"))]
    pub fn bytes_unacknowledged(&self) -> Option<u64> {
        // Our SYN and our FIN count as acknowledged bytes, and not as sent ones.
        Some(self.bytes_out()?.saturating_sub(self.bytes_acknowledged))
    }

    /// Whether the kernel holds anything that the peer has not acknowledged: data, sent or not, or a FIN.
    pub fn owes(&self) -> bool {
        self.unacknowledged > 0 || self.not_sent > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::sleep;
    use std::time::Instant;

    #[test]
    fn the_kernel_counts_for_us() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        ours.write_all(b"hi").unwrap();
        theirs.read_exact(&mut [0; 2]).unwrap();
        let started = Instant::now();
        // The ACK may be delayed by a few hundred milliseconds (RFC 9293 §3.8.6.3).
        while TcpInfo::of(&ours).unwrap().owes() {
            assert!(started.elapsed() < Duration::from_secs(10), "never acknowledged");
            sleep(Duration::from_millis(10));
        }
        sleep(Duration::from_millis(300));
        let info = TcpInfo::of(&ours).unwrap();
        assert_eq!((info.unacknowledged, info.not_sent, info.retransmits, info.probes), (0, 0, 0, 0));
        // The handshake's SYN counts as acknowledged, too.
        assert!((2..=3).contains(&info.bytes_acknowledged) && info.bytes_received == 0, "{info:?}");
        assert_eq!(TcpInfo::of(&theirs).unwrap().bytes_received, 2);
        #[cfg(any(feature = "admin", feature = "events"))]
        if let Some(sent) = info.bytes_sent {
            assert_eq!((sent, info.bytes_out(), info.bytes_unacknowledged()), (2, Some(2), Some(0)), "{info:?}");
        }
        assert!(info.round_trip > Duration::ZERO && info.round_trip < Duration::from_secs(5), "{:?}", info.round_trip);
        assert!(info.silent >= Duration::from_millis(280), "silent for {:?}", info.silent);
    }

    #[test]
    fn a_kernel_that_tells_nothing_is_noticed() {
        assert_eq!(TcpInfo::from_raw(&[0; LENGTH], LENGTH).unwrap().state, 0);
        assert!(TcpInfo::is_told(&TcpListener::bind("127.0.0.1:0").unwrap()));
    }

    #[test]
    fn an_old_kernel_s_figures_are_not_guessed() {
        assert_eq!(TcpInfo::from_raw(&[0; LENGTH], 104), None);
        let before_5_4 = TcpInfo::from_raw(&[1; LENGTH], 224).unwrap();
        assert_eq!(
            (before_5_4.window, before_5_4.window_limited),
            (None, Duration::from_micros(0x0101_0101_0101_0101))
        );
        assert_eq!(TcpInfo::from_raw(&[0; LENGTH], LEAST).unwrap().window_limited, Duration::MAX);
        assert!(TcpInfo::of(&std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
