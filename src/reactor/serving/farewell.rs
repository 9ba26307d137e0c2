//! What is reported about a connection that is over.
//!
//! Owns the report. The kernel's figures are read only if somebody asks for them, while the socket is still there.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::link::Link;
use crate::seconds::Seconds;
use crate::tcp_info::TcpInfo;

/// Everything that is reported about a connection that is over.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Farewell<'a> {
    /// Its name; `None` for a newcomer that was refused, which never had one.
    pub id: Option<PeerId>,
    /// The other end.
    pub peer: SocketAddr,
    /// Why.
    pub departure: Departure,
    /// What the service calls its own reason, if it is one ([`Departure::ByService`]).
    pub reason: Option<&'static str>,
    /// From its arrival until its slot was reaped.
    pub connected: Duration,
    pub(in crate::reactor) line: Option<&'a dyn Link>,
}

impl Farewell<'_> {
    /// The kernel's figures at the end: one getsockopt(2). `None` where it has none.
    pub fn info(&self) -> Option<TcpInfo> {
        self.line?.info()
    }
}

impl fmt::Debug for Farewell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Farewell({self})")
    }
}

impl fmt::Display for Farewell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = self.id {
            write!(f, "{id} ")?;
        }
        write!(f, "{} departed: {}", self.peer, self.departure)?;
        if let Some(reason) = self.reason {
            write!(f, ": {reason}")?;
        }
        write!(f, "; connected {} s", Seconds(self.connected))?;
        match self.info() {
            Some(info) => write!(f, ", silent {} s", Seconds(info.silent)),
            None => Ok(()),
        }
    }
}
