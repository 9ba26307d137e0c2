//! What the kernel knows of a connection: `TCP_INFO` (tcp(7), `struct tcp_info` in linux/tcp.h).
//!
//! Owns the reading of the kernel's figures. Knows nothing of what they are used for.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sockopt;

/// The kernel's figures of one connection. They can be read until the socket is closed, also after
/// the connection died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// The state of TCP as the kernel numbers it (`tcpi_state`); none of them is 0. A kernel that
    /// answers without telling anything (gVisor) leaves it so.
    pub state: u8,
    /// Retransmissions of the oldest unacknowledged segment in a row (`tcpi_retransmits`).
    pub retransmits: u8,
    /// Keepalive or window probes that were not answered (`tcpi_probes`).
    pub probes: u8,
    /// The time until the next retransmission, doubled with each of them (`tcpi_rto`).
    pub rto: Duration,
    /// Segments sent and not acknowledged, a FIN among them (`tcpi_unacked`).
    pub unacknowledged: u32,
    /// Bytes that wait in the kernel and were never sent (`tcpi_notsent_bytes`).
    pub not_sent: u32,
    /// Retransmissions of any segment, ever (`tcpi_total_retrans`).
    pub retransmitted: u32,
    /// Bytes that the peer has acknowledged, ever; the low half (`tcpi_bytes_acked`).
    pub acknowledged: u32,
    /// Segments without data that came, ever: ACKs, and probes of the peer (`tcpi_segs_in` less
    /// `tcpi_data_segs_in`).
    pub pure_acks: u32,
    /// For how long, all in all, nothing was sent because the peer's window was shut or too small
    /// (`tcpi_rwnd_limited`).
    pub window_limited: Duration,
    /// The peer's window, in bytes (`tcpi_snd_wnd`); `None` before Linux 5.4.
    pub window: Option<u32>,
    /// Time since output was sent for the last time, probes of a shut window not counted
    /// (`tcpi_last_data_sent`).
    pub sent: Duration,
    /// Time since data came for the last time (`tcpi_last_data_recv`).
    pub received: Duration,
    /// Time since the last sign of life: data or an ACK, answers to probes among them
    /// (`tcpi_last_data_recv`, `tcpi_last_ack_recv`). To the millisecond, less the tick's grain.
    pub silent: Duration,
}

impl TcpInfo {
    /// Asks the kernel about a TCP socket: one getsockopt(2).
    ///
    /// # Errors
    /// What getsockopt(2) says; `Unsupported` before Linux 4.6, whose figures end too early.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let mut raw = [0u8; 232];
        let length = sockopt::tcp_info(socket, &mut raw)?;
        Self::from_raw(&raw[..length]).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Whether the kernel tells anything at all about this socket. Every state of TCP has a number
    /// above 0, that of a listener too.
    pub fn is_told(socket: &impl AsFd) -> bool {
        Self::of(socket).is_ok_and(|info| info.state != 0)
    }

    /// The offsets are those of linux/tcp.h, which only ever grows at its end.
    fn from_raw(raw: &[u8]) -> Option<Self> {
        let u32_at = |at: usize| Some(u32::from_ne_bytes(raw.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_ne_bytes(raw.get(at..at + 8)?.try_into().ok()?));
        Some(Self {
            state: *raw.first()?,
            retransmits: *raw.get(2)?,
            probes: *raw.get(3)?,
            rto: Duration::from_micros(u32_at(8)?.into()),
            unacknowledged: u32_at(24)?,
            retransmitted: u32_at(100)?,
            acknowledged: u32_at(if cfg!(target_endian = "little") { 120 } else { 124 })?,
            pure_acks: u32_at(140)?.wrapping_sub(u32_at(152)?),
            window_limited: u64_at(176).map_or(Duration::MAX, Duration::from_micros),
            window: u32_at(228),
            sent: Duration::from_millis(u32_at(44)?.into()),
            received: Duration::from_millis(u32_at(52)?.into()),
            silent: Duration::from_millis(u32_at(52)?.min(u32_at(56)?).into()),
            not_sent: u32_at(144)?,
        })
    }

    /// Whether the kernel still holds something that the peer has not acknowledged.
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
        assert!(info.silent >= Duration::from_millis(280), "silent for {:?}", info.silent);
    }

    #[test]
    fn a_kernel_that_tells_nothing_is_noticed() {
        assert_eq!(TcpInfo::from_raw(&[0; 232]).unwrap().state, 0);
        assert!(TcpInfo::is_told(&TcpListener::bind("127.0.0.1:0").unwrap()));
    }

    #[test]
    fn an_old_kernel_s_figures_are_not_guessed() {
        assert_eq!(TcpInfo::from_raw(&[0; 104]), None);
        assert!(TcpInfo::of(&std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
