//! Why a connection is over: one value, reported once.
//!
//! Owns the meaning of a connection's errno. Knows no socket.

use std::fmt;
use std::io;

use rustix::io::Errno;

use crate::tcp_info::TcpInfo;

/// The reason why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Departure {
    /// The peer closed (FIN), and everything that it was owed was written.
    Closed,
    /// The peer reset the connection, or no longer took what we wrote (ECONNRESET, EPIPE, ECONNABORTED).
    Reset(Cause),
    /// The deadline passed: keepalive probes were not answered (ETIMEDOUT).
    ProbesUnanswered,
    /// The deadline passed: data were sent and not acknowledged (ETIMEDOUT, or found by the loop).
    DataUnacknowledged,
    /// The deadline passed: the window stayed shut (ETIMEDOUT, or found by the loop).
    WindowShut,
    /// The deadline passed, and the network had reported why: a soft error from an ICMP message or from the
    /// neighbour table (EHOSTUNREACH, ENETUNREACH, ECONNREFUSED and the like).
    Unreachable(Cause),
    /// The kernel answers, the program does not: nothing came back in time (a service's heartbeat).
    Unresponsive,
    /// The peer lives, but its output has not moved for the time that the port's limits allow.
    Stalled,
    /// It had been idle longest when there was no room for a newcomer.
    Evicted,
    /// It was refused: there was no room.
    Full,
    /// It was refused: there were as many from its address as are allowed.
    TooManyFromAddress,
    /// We shut it down, in an orderly way or at the end of the grace time.
    ShutDown,
    /// It was let go: more output would have waited than its outbox may hold.
    OutboxFull,
    /// The outboxes of all peers together took nearly all the memory that they may, and its own was among the
    /// largest; or its output did not fit in what was left.
    MemoryLimit,
    /// There was no memory for its output, or for its place in epoll.
    OutOfMemory,
    /// Its service ended it, for a reason of its own.
    ByService(Reason),
    /// Any other error of the connection.
    Failed(Cause),
}

/// A reason of a service's own: a small number that it chooses, and names ([`Service::reason`]).
///
/// [`Service::reason`]: crate::reactor::Service::reason
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u8);

/// The errno of a departure, in two unaligned bytes, for which every slot has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cause([u8; 2]);

impl Reason {
    /// Who runs the server wanted it gone. The only reason that no service has to name.
    pub const OPERATOR: Self = Self(u8::MAX);
}

impl Cause {
    /// The number of the error, as in errno(3).
    pub fn errno(self) -> i32 {
        u16::from_ne_bytes(self.0).into()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.errno()).fmt(f)
    }
}

impl Cause {
    fn of(errno: Errno) -> Self {
        Self((errno.raw_os_error() as u16).to_ne_bytes()) // Linux has no errno above 4095
    }
}

impl Departure {
    /// How many reasons are counted separately.
    pub const REASONS: usize = 17;

    /// The reasons in the order of [`Departure::index`], as a person reads them.
    pub const LABELS: [&'static str; Self::REASONS] = [
        "closed by the peer",
        "reset by the peer",
        "timed out, probes unanswered",
        "timed out, data unacknowledged",
        "timed out, window shut",
        "unreachable",
        "unresponsive",
        "stalled",
        "evicted, idle",
        "refused, full",
        "refused, too many from its address",
        "shut down by us",
        "outbox full",
        "memory limit",
        "out of memory",
        "ended by the service",
        "failed",
    ];

    /// The reasons in the same order, each as one stable word, for programs.
    pub const WORDS: [&'static str; Self::REASONS] = [
        "closed",
        "reset",
        "probes_unanswered",
        "data_unacknowledged",
        "window_shut",
        "unreachable",
        "unresponsive",
        "stalled",
        "evicted",
        "full",
        "too_many_from_address",
        "shut_down",
        "outbox_full",
        "memory_limit",
        "out_of_memory",
        "by_service",
        "failed",
    ];

    /// Turns the error of a connection into a reason. A time-out is classified by what the kernel was doing
    /// when it gave up: retransmitting, probing a shut window, or probing an idle peer.
    pub fn of(error: &io::Error, info: impl FnOnce() -> Option<TcpInfo>) -> Self {
        match Errno::from_io_error(error) {
            Some(errno @ (Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED)) => Self::Reset(Cause::of(errno)),
            Some(Errno::TIMEDOUT) => match info() {
                Some(info) if info.retransmits > 0 => Self::DataUnacknowledged,
                Some(info) if info.not_sent > 0 => Self::WindowShut,
                _ => Self::ProbesUnanswered,
            },
            Some(
                errno @ (Errno::HOSTUNREACH
                | Errno::NETUNREACH
                | Errno::CONNREFUSED
                | Errno::HOSTDOWN
                | Errno::NETDOWN
                | Errno::NONET
                | Errno::NOPROTOOPT
                | Errno::ACCESS),
            ) => Self::Unreachable(Cause::of(errno)),
            Some(Errno::NOMEM | Errno::NOBUFS | Errno::NOSPC) => Self::OutOfMemory,
            Some(errno) => Self::Failed(Cause::of(errno)),
            None => Self::Failed(Cause::of(Errno::IO)),
        }
    }

    /// The kernel is short of memory; nothing is wrong with the connection.
    pub fn is_want_of_memory(error: &io::Error) -> bool {
        matches!(Errno::from_io_error(error), Some(Errno::NOMEM | Errno::NOBUFS))
    }

    /// This reason as a word of [`Departure::WORDS`].
    pub fn word(self) -> &'static str {
        Self::WORDS[self.index()]
    }

    /// The errno of this end, as in errno(3), if it has one. A time-out is ETIMEDOUT, also if the loop found the peer dead
    /// before the kernel gave it up.
    pub fn errno(self) -> Option<i32> {
        match self {
            Self::ProbesUnanswered | Self::DataUnacknowledged | Self::WindowShut => {
                Some(Errno::TIMEDOUT.raw_os_error())
            }
            Self::Reset(cause) | Self::Unreachable(cause) | Self::Failed(cause) => Some(cause.errno()),
            _ => None,
        }
    }

    /// As two numbers: its index, and its errno or the service's reason.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn to_code(self) -> (u8, u16) {
        let detail = match self {
            Self::Reset(cause) | Self::Unreachable(cause) | Self::Failed(cause) => u16::from_ne_bytes(cause.0),
            Self::ByService(Reason(number)) => number.into(),
            _ => 0,
        };
        (self.index() as u8, detail)
    }

    /// What [`Departure::to_code`] has made. A reason that this release does not know counts as our own doing.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn of_code(index: u8, detail: u16) -> Self {
        let cause = Cause(detail.to_ne_bytes());
        match index {
            0 => Self::Closed,
            1 => Self::Reset(cause),
            2 => Self::ProbesUnanswered,
            3 => Self::DataUnacknowledged,
            4 => Self::WindowShut,
            5 => Self::Unreachable(cause),
            6 => Self::Unresponsive,
            7 => Self::Stalled,
            8 => Self::Evicted,
            9 => Self::Full,
            10 => Self::TooManyFromAddress,
            12 => Self::OutboxFull,
            13 => Self::MemoryLimit,
            14 => Self::OutOfMemory,
            15 => Self::ByService(Reason(detail as u8)),
            16 => Self::Failed(cause),
            _ => Self::ShutDown,
        }
    }

    /// The peer was silent until it was found out: how long that took is the detection latency.
    pub fn is_found_dead(self) -> bool {
        matches!(
            self,
            Self::ProbesUnanswered
                | Self::DataUnacknowledged
                | Self::WindowShut
                | Self::Unreachable(_)
                | Self::Unresponsive
        )
    }

    /// The index at which this reason is counted, below [`Departure::REASONS`].
    pub fn index(self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Reset(_) => 1,
            Self::ProbesUnanswered => 2,
            Self::DataUnacknowledged => 3,
            Self::WindowShut => 4,
            Self::Unreachable(_) => 5,
            Self::Unresponsive => 6,
            Self::Stalled => 7,
            Self::Evicted => 8,
            Self::Full => 9,
            Self::TooManyFromAddress => 10,
            Self::ShutDown => 11,
            Self::OutboxFull => 12,
            Self::MemoryLimit => 13,
            Self::OutOfMemory => 14,
            Self::ByService(_) => 15,
            Self::Failed(_) => 16,
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::LABELS[self.index()])?;
        match self {
            Self::Unreachable(cause) | Self::Failed(cause) => write!(f, ": {cause}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(errno: Errno, info: TcpInfo) -> Departure {
        Departure::of(&errno.into(), || Some(info))
    }

    #[test]
    fn a_time_out_is_told_apart_by_what_was_outstanding() {
        let info = TcpInfo { probes: 3, ..TcpInfo::default() };
        assert_eq!(read(Errno::TIMEDOUT, info), Departure::ProbesUnanswered);
        assert_eq!(read(Errno::TIMEDOUT, TcpInfo { not_sent: 1, ..info }), Departure::WindowShut);
        assert_eq!(read(Errno::TIMEDOUT, TcpInfo { retransmits: 1, ..info }), Departure::DataUnacknowledged);
        assert_eq!(Departure::of(&Errno::TIMEDOUT.into(), || None), Departure::ProbesUnanswered);
    }

    #[test]
    #[cfg(feature = "upgrade")]
    fn a_reason_goes_through_two_numbers() {
        let cause = Cause::of(Errno::HOSTUNREACH);
        let index = |departure: Departure| departure.to_code().0;
        let all = (0..Departure::REASONS as u8).map(|index| Departure::of_code(index, 113));
        assert!(all.clone().enumerate().all(|(nth, departure)| usize::from(index(departure)) == nth));
        for departure in all.chain([Departure::Reset(cause), Departure::ByService(Reason::OPERATOR)]) {
            let (index, detail) = departure.to_code();
            assert_eq!(Departure::of_code(index, detail), departure);
        }
        assert_eq!(Departure::of_code(200, 1), Departure::ShutDown);
    }

    #[test]
    fn every_errno_has_a_reason_and_every_reason_a_label() {
        let reasons = (1..134).map(|errno| read(Errno::from_raw_os_error(errno), TcpInfo::default()));
        for departure in
            reasons.chain([Departure::Closed, Departure::ShutDown, Departure::OutboxFull, Departure::Unresponsive])
        {
            assert!(departure.to_string().starts_with(Departure::LABELS[departure.index()]));
        }
        let said = read(Errno::HOSTUNREACH, TcpInfo::default()).to_string();
        assert_eq!(said, "unreachable: No route to host (os error 113)");
        let Departure::Unreachable(cause) = read(Errno::HOSTUNREACH, TcpInfo::default()) else { panic!() };
        assert_eq!(cause.errno(), 113);
        let reset = read(Errno::PIPE, TcpInfo::default());
        assert_eq!((reset.word(), reset.errno()), ("reset", Some(32)));
        assert_eq!((Departure::Closed.errno(), Departure::ProbesUnanswered.errno()), (None, Some(110)));
    }
}
