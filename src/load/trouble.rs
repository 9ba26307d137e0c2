//! What goes wrong with a connection. Each kind is counted and reported separately.
//!
//! Owns the kinds and their words. Knows no socket.

use std::io;

use rustix::io::Errno;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// Nobody listens there (ECONNREFUSED), or the server refused it at once.
    Refused,
    /// The path is closed: no route, or a firewall.
    Unreachable,
    /// Not connected, or not greeted, within the patience.
    NoAnswer,
    /// The server reset the connection.
    Reset,
    /// The server closed the connection, which we did not ask for.
    Closed,
    /// The connection died (ETIMEDOUT).
    Died,
    /// A request was never answered, although the server's kernel acknowledged it or shut its window: the path is open, and the
    /// program is stopped, stuck, too slow, has never accepted, or does not understand it.
    Unanswered,
    /// A request was neither answered nor acknowledged by the server's kernel: the path or the machine is gone.
    Unacknowledged,
    /// The answer is wrong.
    WrongBytes,
    /// Our own limit: no descriptor is left.
    NoDescriptor,
    /// Our own limit: no port is left on our addresses.
    NoPort,
    /// Our own limit: no memory for a socket.
    NoMemory,
    /// Anything else.
    Other,
}

impl TroubleKind {
    pub const ALL: [Self; 13] = [
        Self::Refused,
        Self::Unreachable,
        Self::NoAnswer,
        Self::Reset,
        Self::Closed,
        Self::Died,
        Self::Unanswered,
        Self::Unacknowledged,
        Self::WrongBytes,
        Self::NoDescriptor,
        Self::NoPort,
        Self::NoMemory,
        Self::Other,
    ];

    /// As a person reads it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NoAnswer => "no answer in time",
            Self::Reset => "reset by the server",
            Self::Closed => "closed by the server",
            Self::Died => "timed out",
            Self::Unanswered => "not answered",
            Self::Unacknowledged => "not acknowledged",
            Self::WrongBytes => "wrong bytes",
            Self::NoDescriptor => "own limit: descriptors",
            Self::NoPort => "own limit: ports",
            Self::NoMemory => "own limit: memory",
            Self::Other => "another error",
        }
    }

    /// Advice; empty if there is none.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NoDescriptor => "`ulimit -n` before the start raises the limit, up to `ulimit -Hn`",
            Self::NoPort => "--source with more addresses of this machine, or a wider net.ipv4.ip_local_port_range",
            Self::NoMemory => "net.ipv4.tcp_mem and the machine's memory limit the sockets",
            Self::Refused => "does the server listen there? Is its limit of connections reached?",
            Self::NoAnswer => "a full backlog drops what comes: lower --connect-rate, or raise the server's backlog",
            Self::Unanswered => {
                "the server's kernel answers: is its program stopped, stuck or slow, does it accept, and what does it speak?"
            }
            Self::Unacknowledged => "nothing came back, not even an ACK: is the path cut, or the server's host gone?",
            _ => "",
        }
    }

    /// Whether nothing more can be opened, whatever the server does.
    pub fn is_our_limit(self) -> bool {
        matches!(self, Self::NoDescriptor | Self::NoPort | Self::NoMemory)
    }
}

/// One connection's trouble, with the first error message about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: TroubleKind,
    pub words: String,
}

impl Trouble {
    pub fn new(kind: TroubleKind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into() }
    }

    /// Interprets the kernel's error on a socket of ours.
    pub fn of(error: &io::Error) -> Self {
        let kind = match Errno::from_io_error(error) {
            Some(Errno::CONNREFUSED) => TroubleKind::Refused,
            Some(Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED) => TroubleKind::Reset,
            Some(Errno::TIMEDOUT) => TroubleKind::Died,
            Some(Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::ACCESS | Errno::PERM) => TroubleKind::Unreachable,
            Some(Errno::MFILE | Errno::NFILE) => TroubleKind::NoDescriptor,
            Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => TroubleKind::NoPort,
            Some(Errno::NOMEM | Errno::NOBUFS | Errno::NOSPC) => TroubleKind::NoMemory,
            _ => TroubleKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

/// All troubles of a run: how many of each kind, and the message of the first one.
#[derive(Clone, Debug, Default)]
pub struct Troubles([(u64, String); TroubleKind::ALL.len()]);

impl Troubles {
    pub fn count(&mut self, trouble: &Trouble) {
        self.count_many(trouble, 1);
    }

    pub fn count_many(&mut self, trouble: &Trouble, many: u64) {
        let (count, first) = &mut self.0[trouble.kind as usize];
        *count += many;
        if first.is_empty() {
            first.clone_from(&trouble.words);
        }
    }

    pub fn of(&self, kind: TroubleKind) -> u64 {
        self.0[kind as usize].0
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|(count, _)| count).sum()
    }

    /// The kinds that occurred: the kind, how often, and the first one's words.
    pub fn each(&self) -> impl Iterator<Item = (TroubleKind, u64, &str)> {
        let all = TroubleKind::ALL.iter().zip(&self.0);
        all.filter(|(_, (count, _))| *count > 0).map(|(kind, (count, first))| (*kind, *count, first.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_at_its_own_place() {
        let mut troubles = Troubles::default();
        for (nth, kind) in TroubleKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, nth);
            troubles.count_many(&Trouble::new(kind, "first"), nth as u64);
            troubles.count_many(&Trouble::new(kind, "second"), 1);
            assert_eq!(troubles.of(kind), nth as u64 + 1);
        }
        let kinds = TroubleKind::ALL.len() as u64;
        assert_eq!(troubles.total(), kinds * (kinds + 1) / 2);
        assert!(troubles.each().all(|(_, _, first)| first == "first"));
    }

    #[test]
    fn the_kernel_s_words_are_told_apart() {
        let kind = |errno: Errno| Trouble::of(&errno.into()).kind;
        assert_eq!(
            [Errno::CONNREFUSED, Errno::MFILE, Errno::ADDRNOTAVAIL, Errno::CONNRESET].map(kind),
            [TroubleKind::Refused, TroubleKind::NoDescriptor, TroubleKind::NoPort, TroubleKind::Reset]
        );
    }
}
