//! The listening socket, and the options that accepted sockets inherit from it.

use std::fmt;
use std::io;
#[cfg(feature = "observe")]
use std::net::Ipv4Addr;
use std::net::SocketAddr;
#[cfg(any(feature = "notify", feature = "observe", feature = "upgrade"))]
use std::os::fd::OwnedFd;
#[cfg(feature = "observe")]
use std::os::unix::fs::PermissionsExt;
#[cfg(feature = "observe")]
use std::path::PathBuf;

use mio::net::{TcpListener, TcpStream};
#[cfg(feature = "observe")]
use socket2::SockAddr;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

#[cfg(feature = "observe")]
use crate::keepalive::UserTimeout;
use crate::keepalive::{Keepalive, Unfit, unfit};
use crate::reactor::limits::Limits;
use crate::reactor::peer_id::PortId;

/// Where a port really listens, and with which keepalive.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listening {
    /// With the port that the kernel chose, if it was asked to (port 0).
    pub address: SocketAddr,
    /// As far as this kernel supports it: see [`Keepalive::apply`].
    pub keepalive: Keepalive,
    /// The port among those of the loop.
    pub port: PortId,
}

/// Where to listen, and how. Each value is checked where it is given.
#[derive(Clone, Debug)]
pub struct Listen {
    pub(in crate::reactor) address: SocketAddr,
    backlog: u32,
    reuse_port: bool,
    only_v6: bool,
    pub(in crate::reactor) keepalive: Keepalive,
    pub(in crate::reactor) limits: Limits,
    /// How many peers it may have, if they do not count among those of the loop.
    pub(in crate::reactor) apart: Option<usize>,
    /// It accepts nobody: for the peers that a program before has accepted.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) is_closed: bool,
    /// Somebody else has made the listener.
    #[cfg(feature = "notify")]
    inherited: Option<std::sync::Arc<OwnedFd>>,
    /// If it is a socket of the file system: where, in words, too, and with which mode.
    #[cfg(feature = "observe")]
    path: Option<(PathBuf, String, u32)>,
}

impl Listen {
    /// Listens on `address` with a backlog of 4096 and the default keepalive.
    pub fn on(address: SocketAddr) -> Self {
        let (keepalive, limits) = Default::default();
        Self {
            address,
            backlog: 4096,
            reuse_port: false,
            only_v6: false,
            keepalive,
            limits,
            apart: None,
            #[cfg(feature = "upgrade")]
            is_closed: false,
            #[cfg(feature = "notify")]
            inherited: None,
            #[cfg(feature = "observe")]
            path: None,
        }
    }

    /// Listens at a path of the file system (unix(7)), where the kernel lets those connect who may write to it: `mode` is as of
    /// chmod(2), such as `0o660`. Its peers have the address 0.0.0.0:0, no keepalive, and no figures of the kernel: their
    /// program runs on this machine, and the kernel closes its sockets when it ends. The path must not exist, and is not
    /// removed at the end.
    #[cfg(feature = "observe")]
    pub fn at_path(path: impl Into<PathBuf>, mode: u32) -> Self {
        let path = path.into();
        let in_words = path.display().to_string();
        let unspecified = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let keepalive = Keepalive::default().with_user_timeout(UserTimeout::Off);
        Self { path: Some((path, in_words, mode)), keepalive: keepalive.unwrap_or_default(), ..Self::on(unspecified) }
    }

    /// Its peers are apart from those of the loop: at most this many, with descriptors that are kept back for them. They count
    /// against no other limit and in no figure, make no news, and are not among those that [`Orders::look_onwards`] looks at. When
    /// the loop stops, they are served until the others have gone. For a port that observes the loop.
    ///
    /// [`Orders::look_onwards`]: crate::reactor::Orders::look_onwards
    pub fn apart(self, most: usize) -> Self {
        Self { apart: Some(most.max(1)), ..self }
    }

    /// Nobody is accepted: for an address that the program before has listened on, and this one does not any more. The peers that came
    /// there stay, on these terms.
    #[cfg(feature = "upgrade")]
    pub fn closed(self) -> Self {
        Self { is_closed: true, ..self }
    }

    /// Listens on a socket that somebody else has made and bound to this address or path, such as a supervisor (sd_listen_fds(3)). It
    /// gets the same options as one of our own; whether its port is shared, and whether it takes IPv4 as well, stays as it is.
    #[cfg(feature = "notify")]
    pub fn inherited(self, listener: OwnedFd) -> Self {
        Self { inherited: Some(listener.into()), ..self }
    }

    /// Its path, if it is a socket of the file system.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn path(&self) -> Option<&str> {
        #[cfg(feature = "observe")]
        return self.path.as_ref().map(|(_, in_words, _)| in_words.as_str());
        #[cfg(not(feature = "observe"))]
        None
    }

    /// Goes on with a listener that is open already: its options become these.
    ///
    /// # Errors
    /// Those of setsockopt(2) and listen(2).
    #[cfg(any(feature = "notify", feature = "upgrade"))]
    pub(super) fn inherit(&mut self, listener: OwnedFd) -> io::Result<TcpListener> {
        let socket = Socket::from(listener);
        socket.set_nonblocking(true)?;
        if self.is_tcp() {
            self.apply(&SockRef::from(&socket))?;
        }
        socket.listen(self.backlog as i32)?;
        Ok(TcpListener::from_std(socket.into()))
    }

    /// The keepalive that its peers get, as far as this kernel supports it; no socket stays open.
    ///
    /// # Errors
    /// Those of socket(2) and setsockopt(2).
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn supported(&mut self) -> io::Result<Keepalive> {
        if self.is_tcp() {
            let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
            self.apply(&SockRef::from(&socket))?;
        }
        Ok(self.keepalive.clone())
    }

    pub(super) fn is_tcp(&self) -> bool {
        #[cfg(feature = "observe")]
        if self.path.is_some() {
            return false;
        }
        true
    }

    /// How many connections the kernel completes before they are accepted, at most
    /// (`net.core.somaxconn` may allow fewer).
    ///
    /// # Errors
    /// 0, or more than 2147483647, which listen(2) cannot take.
    pub fn backlog(self, most: u32) -> Result<Self, Unfit> {
        if most == 0 || i32::try_from(most).is_err() {
            let because = format!("it must be a whole number from 1 to {}", i32::MAX);
            return Err(unfit("backlog", most.to_string(), because));
        }
        Ok(Self { backlog: most, ..self })
    }

    /// Several processes may listen on the address, and the kernel spreads the peers (SO_REUSEPORT).
    pub fn reuse_port(self, reuse_port: bool) -> Self {
        Self { reuse_port, ..self }
    }

    /// If true, an IPv6 listener takes no IPv4 peers (IPV6_V6ONLY); otherwise it is dual-stack.
    pub fn only_v6(self, only_v6: bool) -> Self {
        Self { only_v6, ..self }
    }

    /// The keepalive of every peer that is accepted: the deadline.
    pub fn keepalive(self, keepalive: Keepalive) -> Self {
        Self { keepalive, ..self }
    }

    /// The limits of every peer that is accepted.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Makes the socket, with every option set before the first peer can connect.
    ///
    /// # Errors
    /// Those of socket(2), setsockopt(2), bind(2) and listen(2).
    pub(in crate::reactor) fn open(&mut self) -> io::Result<TcpListener> {
        #[cfg(feature = "notify")]
        if let Some(listener) = self.inherited.take() {
            // This is the only one but for clones of the whole.
            let listener = std::sync::Arc::try_unwrap(listener).or_else(|shared| shared.try_clone())?;
            return self.inherit(listener);
        }
        #[cfg(feature = "observe")]
        if self.path.is_some() {
            return self.open_path();
        }
        self.open_tcp()
    }

    /// Takes one peer from the backlog.
    pub(super) fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        #[cfg(feature = "observe")]
        if self.path.is_some() {
            return accept_at_path(listener);
        }
        listener.accept()
    }

    fn open_tcp(&mut self) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if self.address.is_ipv6() {
            socket.set_only_v6(self.only_v6)?;
        }
        self.apply(&SockRef::from(&socket))?;
        socket.bind(&self.address.into())?;
        socket.listen(self.backlog as i32)?;
        Ok(TcpListener::from_std(socket.into()))
    }

    #[cfg(feature = "observe")]
    /// The socket belongs to nobody else before it has its mode: nobody can connect until it listens.
    fn open_path(&mut self) -> io::Result<TcpListener> {
        let Some((path, _, mode)) = &self.path else { return Err(io::ErrorKind::InvalidInput.into()) };
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
        socket.listen(self.backlog as i32)?;
        Ok(TcpListener::from_std(socket.into()))
    }

    /// Sets the options that accepted sockets are to have. Linux copies them from the listener.
    pub(super) fn apply(&mut self, socket: &SockRef<'_>) -> io::Result<()> {
        apply(&mut self.keepalive, socket)
    }

    pub(in crate::reactor) fn is_applied(&self, socket: &SockRef<'_>) -> io::Result<bool> {
        Ok(socket.tcp_nodelay()? && socket.out_of_band_inline()? && self.keepalive.is_applied(socket)?)
    }
}

#[cfg(feature = "observe")]
/// A socket of the file system is a stream like any other once it is accepted; only its peer has no address.
fn accept_at_path(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, _) = SockRef::from(listener).accept()?;
    socket.set_nonblocking(true)?;
    let stream = std::net::TcpStream::from(OwnedFd::from(socket));
    Ok((TcpStream::from_std(stream), SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)))
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "observe")]
        if let Some((_, in_words, _)) = &self.path {
            return in_words.fmt(f);
        }
        self.address.fmt(f)
    }
}

/// Sets the options that every peer's socket has. What the kernel does not support of the keepalive is changed there.
pub(super) fn apply(keepalive: &mut Keepalive, socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // Urgent data stay in the stream, where they are counted and kept in order.
    socket.set_out_of_band_inline(true)?;
    keepalive.apply(socket)
}
