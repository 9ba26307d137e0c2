//! What a connection needs of its stream. A trait, so that a test can script every answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::keepalive::owing::Setting;
use crate::sockopt;
use crate::tcp_info::TcpInfo;

/// What a peer is registered for from its arrival on. Urgent data are input, too: see [`Readiness::MORE_THAN_DATA`].
///
/// [`Readiness::MORE_THAN_DATA`]: crate::reactor::Readiness::MORE_THAN_DATA
const INPUT: Interest = Interest::READABLE.add(Interest::PRIORITY);

/// A stream that never blocks: a call that would have to wait fails with `WouldBlock`.
pub(crate) trait Stream: Read + Write {
    /// Ends our half: a FIN follows what was written. Input may still come.
    ///
    /// # Errors
    /// Those of shutdown(2).
    fn shut_write(&mut self) -> io::Result<()>;

    /// Takes the error that the kernel holds for this connection (`SO_ERROR`). The kernel reports it
    /// **once**: the caller must remember it, because the next read returns "end of the stream".
    ///
    /// # Errors
    /// Those of getsockopt(2).
    fn take_error(&mut self) -> io::Result<Option<io::Error>>;

    /// The number of its socket; -1 if it has none.
    #[cfg(feature = "upgrade")]
    fn descriptor(&self) -> std::os::fd::RawFd {
        -1
    }

    /// Sets other keepalive options on a connection that is established.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    #[cfg(feature = "upgrade")]
    fn apply(&mut self, _keepalive: &crate::keepalive::Keepalive) -> io::Result<()> {
        Ok(())
    }

    /// The kernel's figures; `None` where it has none.
    fn info(&self) -> Option<TcpInfo>;

    /// The address of our end; `None` if the kernel does not say.
    fn local(&self) -> Option<SocketAddr>;

    /// Makes the close send a reset and keep nothing (SO_LINGER of zero), so that no orphan lingers for
    /// a peer that is dead, and a peer that comes back gets a reset.
    fn reset_on_close(&mut self);

    /// Registers the socket with epoll, for input. Once only.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()>;

    /// Has epoll announce room for output, too.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    fn register_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()>;

    /// Sets an option on this connection alone, for as long as its peer owes an ACK.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    fn set(&mut self, setting: Setting) -> io::Result<()>;
}

impl Stream for mio::net::TcpStream {
    fn shut_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        mio::net::TcpStream::take_error(self)
    }

    #[cfg(feature = "upgrade")]
    fn descriptor(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(self)
    }

    #[cfg(feature = "upgrade")]
    fn apply(&mut self, keepalive: &crate::keepalive::Keepalive) -> io::Result<()> {
        keepalive.apply_again(&SockRef::from(&*self))
    }

    fn info(&self) -> Option<TcpInfo> {
        TcpInfo::of(self).ok()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.local_addr().ok().map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    fn reset_on_close(&mut self) {
        // If it fails, the kernel ends the orphan by itself, only later.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }

    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self, token, INPUT)
    }

    fn register_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.reregister(self, token, INPUT | Interest::WRITABLE)
    }

    fn set(&mut self, setting: Setting) -> io::Result<()> {
        match setting {
            Setting::RtoMax(most) => sockopt::set_rto_max(self, most),
            Setting::UserTimeout(timeout) => SockRef::from(&*self).set_tcp_user_timeout(timeout),
        }
    }
}
