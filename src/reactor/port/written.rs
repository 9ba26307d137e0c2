//! A port that is written down, and goes on in another program.
//!
//! Owns where it listens and under which number, which is part of its peers' ids.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;

use log::warn;
use mio::Registry;

use crate::reactor::arriving::acceptor::Acceptor;
use crate::reactor::arriving::listen::Listen;
use crate::reactor::peers::Peers;
use crate::reactor::port::Port;
use crate::reactor::serving::service::Hosted;
use crate::reactor::source::{Names, Turn};
use crate::reactor::state::fields::{Reader, Writer};
use crate::reactor::state::records::{self, Heading, Options};
use crate::reactor::state::{CannotWriteDown, Sockets};

impl Port {
    /// Writes down where it listens and all of its peers. Those of a port apart are left out: who observes comes again.
    ///
    /// # Errors
    /// It cannot be written down; nothing has changed.
    pub(in crate::reactor) fn write_down(
        &mut self,
        to: &mut Writer,
        numbers: &mut Vec<RawFd>,
    ) -> Result<(), CannotWriteDown> {
        if self.dialer.is_some() {
            return Err(CannotWriteDown::Connects);
        }
        let unspecified = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let address = self.was_open_on.unwrap_or(unspecified);
        let mut heading = Heading {
            number: self.names.source() as u8,
            is_apart: self.peers.is_apart(),
            asked: address,
            address,
            path: String::new(),
            listener: -1,
            options: Options::of(&self.keepalive),
        };
        if let Some(acceptor) = &self.acceptor {
            heading.asked = acceptor.asked();
            heading.address = acceptor.address().unwrap_or(heading.asked);
            let (listener, path) = acceptor.socket();
            (heading.listener, heading.path) = (listener, path.unwrap_or_default().to_string());
            numbers.push(listener);
        }
        to.record(records::PORT, |to| {
            heading.write_down(to);
            if self.peers.is_apart() { Ok(()) } else { self.peers.write_down(to, numbers) }
        })
    }

    /// Goes on with a port: its listener gets the options that apply now. Nobody more is accepted if `is_closed`, and also where the
    /// listener cannot be taken over, which is logged.
    ///
    /// # Errors
    /// The kernel cannot do what the keepalive options of its peers ask for.
    pub(in crate::reactor) fn inherit(
        mut listen: Listen,
        heading: &Heading,
        service: Box<dyn Hosted>,
        sockets: &mut Sockets,
        registry: &Registry,
        names: Names,
    ) -> io::Result<Self> {
        let (limits, apart) = (listen.limits, listen.apart);
        let listener = sockets.take(heading.listener);
        let acceptor = if listen.is_closed {
            None
        } else {
            let token = names.token(Self::LISTENER);
            let inherited = listener.and_then(|listener| Acceptor::inherit(listen.clone(), listener, registry, token));
            // The peers that came there stay all the same.
            inherited.inspect_err(|error| warn!("{listen} cannot be listened on any more: {error}")).ok()
        };
        let keepalive = match &acceptor {
            Some(acceptor) => acceptor.keepalive().clone(),
            None => listen.supported()?,
        };
        let mut peers = Peers::new(service, &keepalive, limits, names);
        if let Some(most) = apart {
            peers.set_apart(most);
        }
        let was_open_on = acceptor.is_none().then_some(heading.address);
        Ok(Self { was_open_on, ..Self::with(acceptor, keepalive, peers, names, limits) })
    }

    /// The idle time of a peer's keepalive, as its socket has it.
    #[cfg(test)]
    pub(in crate::reactor) fn idle_of(&self, id: crate::reactor::PeerId) -> std::time::Duration {
        self.peers.idle_of(id.slot())
    }

    /// Goes on with its peers. Returns how many stay.
    pub(in crate::reactor) fn resume(
        &mut self,
        heading: &Heading,
        record: Reader<'_>,
        sockets: &mut Sockets,
        turn: &mut Turn<'_>,
    ) -> usize {
        let has_new_options = heading.options != Options::of(&self.keepalive);
        if has_new_options {
            self.peers.begin_to_refit(&self.keepalive, turn.now);
        }
        self.peers.resume(record, sockets, has_new_options, turn).unwrap_or_else(|torn| {
            warn!("the record of the port on {} is incomplete: {torn:?}", heading.address);
            self.peers.len()
        })
    }
}
