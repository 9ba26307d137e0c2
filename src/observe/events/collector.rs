//! A collector that is reached by TCP: connected, alive, and how much of what was written it has.
//!
//! Our own promise holds for it, too: it has the keepalive of the peers, and while it owes an ACK it is looked at as a peer is. So
//! a dead one is noticed by the deadline, and one that is only slow is kept.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::keepalive::Keepalive;
use crate::keepalive::owing::{Asking, FIRST_LOOK, Judgement, Owing, Setting};
use crate::observe::events::lines::Lines;
use crate::reactor::{Moment, is_established};
use crate::sockopt;
use crate::tcp_info::TcpInfo;

/// A connection to a collector.
#[derive(Debug)]
pub(super) struct Collector {
    stream: TcpStream,
    asking: Option<Asking>,
    /// When it was established, or the attempt began.
    since: Moment,
    /// When it is looked at next.
    look: Moment,
    owing: Option<Owing>,
    /// How many bytes were acknowledged before the first of the lines that are kept; `None` where the kernel does not say.
    before: Option<u64>,
}

impl Collector {
    /// Begins to connect. The socket has its options before, so that the deadline holds from its first byte.
    pub(super) fn connect(
        address: SocketAddr,
        keepalive: &mut Keepalive,
        now: Moment,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        keepalive.apply(&SockRef::from(&socket))?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let asking = keepalive.asking();
        Ok(Self { stream, asking, since: now, look: Moment::NEVER, owing: None, before: None })
    }

    /// Whether the connection is established, and from now on can be written to.
    ///
    /// # Errors
    /// The attempt has failed.
    pub(super) fn is_established(&mut self, now: Moment) -> io::Result<bool> {
        let is_established = is_established(&self.stream)?;
        if is_established {
            self.since = now;
            // Our SYN counts.
            self.before = self.info().map(|info| info.bytes_acknowledged);
        }
        Ok(is_established)
    }

    pub(super) fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(pieces)
    }

    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        self.stream.read(scratch)
    }

    /// Something was written: whether it arrives is looked at, half a second later at the latest.
    pub(super) fn wrote(&mut self, now: Moment, lines: &mut Lines) {
        if self.before.is_none() {
            lines.all_arrived();
        } else if lines.is_much_on_its_way()
            && let Some(info) = self.info()
        {
            self.forget_arrived(&info, lines);
        }
        self.look = self.look.min(now + FIRST_LOOK);
    }

    /// When it is to be looked at.
    pub(super) fn deadline(&self) -> Moment {
        self.look
    }

    /// Forgets the lines that have arrived, and looks for a sign of life if some have not.
    ///
    /// # Errors
    /// The collector is dead.
    pub(super) fn look(&mut self, now: Moment, lines: &mut Lines) -> io::Result<()> {
        self.look = Moment::NEVER;
        let Some(info) = self.info() else { return Ok(()) };
        self.forget_arrived(&info, lines);
        let Some(asking) = self.asking else {
            // A user timeout keeps the deadline; only what has arrived is to be learned.
            if info.owes() {
                self.look = now + FIRST_LOOK;
            }
            return Ok(());
        };
        let setting = if info.owes() {
            match asking.judge(self.owing, now.since(self.since), &info) {
                Judgement::Dead => return Err(Errno::TIMEDOUT.into()),
                Judgement::Again { owing, after, setting } => {
                    (self.owing, self.look) = (Some(owing), now + after);
                    setting
                }
            }
        } else {
            self.owing.take().and_then(|owing| asking.release(owing))
        };
        // A connection that has just died takes no options. That it died is learned otherwise.
        let _ = match setting {
            Some(Setting::RtoMax(most)) => sockopt::set_rto_max(&self.stream, most),
            Some(Setting::UserTimeout(timeout)) => SockRef::from(&self.stream).set_tcp_user_timeout(timeout),
            None => Ok(()),
        };
        Ok(())
    }

    /// Learns, at its end, what has arrived: the rest is for the next connection.
    pub(super) fn account(&mut self, lines: &mut Lines) {
        if let Some(info) = self.info() {
            self.forget_arrived(&info, lines);
        }
    }

    /// How many bytes have arrived since the first of the lines that are kept.
    #[cfg(feature = "upgrade")]
    pub(super) fn arrived(&self) -> u64 {
        let arrived = self.info().zip(self.before).map(|(info, before)| info.bytes_acknowledged.saturating_sub(before));
        arrived.unwrap_or_default()
    }

    fn forget_arrived(&mut self, info: &TcpInfo, lines: &mut Lines) {
        if let Some(before) = &mut self.before {
            *before += lines.arrived(info.bytes_acknowledged.saturating_sub(*before));
        }
    }

    /// Where the kernel has figures.
    fn info(&self) -> Option<TcpInfo> {
        TcpInfo::of(&self.stream).ok().filter(|info| info.state != 0)
    }
}

impl AsFd for Collector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
