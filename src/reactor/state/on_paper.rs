//! The rehearsal: a service restores all peers of a port, and nobody is served.

use std::net::SocketAddr;
use std::time::Duration;

use crate::reactor::connection::written::Written;
use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::link::{Alarm, Link, Terms};
use crate::reactor::serving::orders::Orders;
use crate::reactor::serving::saved::Saved;
use crate::reactor::serving::service::{Hosted, Serving};
use crate::reactor::state::CannotGoOn;
use crate::reactor::state::fields::Reader;
use crate::reactor::state::records;
use crate::tcp_info::TcpInfo;

/// Restores all peers of this record, one after the other, and returns how many there are.
///
/// # Errors
/// One of them cannot be restored, or a part of the record cannot be read.
pub(in crate::reactor) fn rehearse(
    mut port: Reader<'_>,
    service: &mut dyn Hosted,
    orders: &mut Orders,
) -> Result<usize, CannotGoOn> {
    let mut count = 0;
    while !port.is_empty() {
        let (tag, mut record) = port.record()?;
        match tag {
            records::SERVICE => service.restore_service(&Saved::read(&mut record)?).map_err(CannotGoOn::Service)?,
            records::PEERS => {
                for _ in 0..record.u32()? {
                    restore(&Written::read(&mut record)?, service, orders)?;
                    count += 1;
                }
            }
            _ => {}
        }
    }
    Ok(count)
}

fn restore(written: &Written<'_>, service: &mut dyn Hosted, orders: &mut Orders) -> Result<(), CannotGoOn> {
    let mut line = Paper { id: written.id(), address: written.address };
    let terms =
        Terms { now: orders.now, slot: 0, max_output: 0, may_hold: 0, alarm: Alarm::AsBefore, received: 0, sent: 0 };
    let mut serving = Serving { service, orders, scratch: &mut [], terms };
    serving.call(&mut line, |service, peer| service.restore(peer, &written.saved)).map_err(CannotGoOn::Service)?;
    serving.service.forget_slot(0);
    Ok(())
}

/// A peer that is only written down.
struct Paper {
    id: PeerId,
    address: SocketAddr,
}

impl Link for Paper {
    fn send(&mut self, _bytes: &[u8], _terms: &mut Terms) {}

    fn room(&self, _terms: &Terms) -> usize {
        0
    }

    fn close(&mut self, _departure: Departure) {}

    fn stay(&mut self) {}

    fn let_go(&mut self, _departure: Departure) {}

    fn took_output(&self) -> Option<Duration> {
        None
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn info(&self) -> Option<TcpInfo> {
        None
    }

    fn local(&self) -> Option<SocketAddr> {
        None
    }

    fn waiting(&self) -> usize {
        0
    }

    fn id(&self, _slot: u32) -> PeerId {
        self.id
    }
}
