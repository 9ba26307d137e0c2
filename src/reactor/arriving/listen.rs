//! The listening socket, and the options that accepted sockets inherit from it.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

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
}

impl Listen {
    /// Listens on `address` with a backlog of 4096 and the default keepalive.
    pub fn on(address: SocketAddr) -> Self {
        let (keepalive, limits) = Default::default();
        Self { address, backlog: 4096, reuse_port: false, only_v6: false, keepalive, limits }
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

    /// Sets the options that accepted sockets are to have. Linux copies them from the listener.
    pub(super) fn apply(&mut self, socket: &SockRef<'_>) -> io::Result<()> {
        apply(&mut self.keepalive, socket)
    }

    pub(in crate::reactor) fn is_applied(&self, socket: &SockRef<'_>) -> io::Result<bool> {
        Ok(socket.tcp_nodelay()? && socket.out_of_band_inline()? && self.keepalive.is_applied(socket)?)
    }
}

/// Sets the options that every peer's socket has. What the kernel does not support of the keepalive is changed there.
pub(super) fn apply(keepalive: &mut Keepalive, socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // Urgent data stay in the stream, where they are counted and kept in order.
    socket.set_out_of_band_inline(true)?;
    keepalive.apply(socket)
}
