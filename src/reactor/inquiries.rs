//! What a service can order that observes: questions about the loop itself and about all of its peers, and news.
//!
//! Owns how the questions are answered. A service that asks none brings none of this into its program: an order carries the code
//! that answers it.

use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::order::{Inquiry, Look, OrderKind, Recipients, WaitingOrder};
use crate::reactor::serving::orders::{NoRoom, Orders};
use crate::reactor::source::{Answer, LEAST_CHARGE, Source, Turn, answer, total};

impl Orders {
    /// Looks at the next peers after this one in the order of the tables, at most `most`, and with `None` from the beginning:
    /// for each, [`Service::looked`](crate::reactor::Service::looked) is called as with [`Orders::look_at`]. So a service can
    /// look at all peers of the loop, page by page: one that stays is seen exactly once, also if the peer has departed after
    /// which a page begins. Peers of ports apart ([`Listen::apart`](crate::reactor::Listen::apart)) are left out. In the last
    /// answer [`Look::left`] is 0; if nobody is left, there is one answer, about nobody: [`Look::seen`] is `None`.
    ///
    /// # Errors
    /// Too many orders wait: nothing will be asked.
    pub fn look_onwards(&mut self, after: Option<PeerId>, most: usize, asker: Option<PeerId>) -> Result<(), NoRoom> {
        self.inquire(asker, after, most, &Answer(look_onwards))
    }

    /// Asks for the figures of the loop: [`Service::counted`](crate::reactor::Service::counted) is called at the end of this
    /// turn (of a source: [`Source::counted`](crate::reactor::Source::counted)). It costs nothing but the copying of some
    /// hundred numbers, however many peers there are.
    ///
    /// # Errors
    /// Too many orders wait: nothing will be asked.
    pub fn count(&mut self, asker: Option<PeerId>) -> Result<(), NoRoom> {
        self.inquire(asker, None, 0, &Answer(count))
    }

    /// The service that says this is told from now on what happens to the peers of the loop
    /// ([`Service::observed`](crate::reactor::Service::observed)); with `false`, no more. While nobody observes, nothing is
    /// collected. A departure that is observed costs two system calls: for the kernel's figures and our address.
    pub fn observe(&mut self, on: bool) {
        self.audience.observe(self.giver, on);
    }

    /// How much has happened so far that those are told who observe: the number of the latest [`News`](crate::reactor::News).
    pub fn happened(&self) -> u64 {
        self.audience.happened()
    }

    /// The service that says this is told from now on where each turn spends its time
    /// ([`Service::turned`](crate::reactor::Service::turned)); with `false`, no more. It costs eight looks at the clock in each
    /// turn.
    pub fn time_turns(&mut self, on: bool) {
        self.audience.time_turns(self.giver, on);
    }

    fn inquire(
        &mut self,
        asker: Option<PeerId>,
        after: Option<PeerId>,
        most: usize,
        answer: &'static Answer,
    ) -> Result<(), NoRoom> {
        self.give(Recipients::None, OrderKind::Inquire(Inquiry { giver: self.giver, asker, after, most, answer }))
    }
}

fn count(inquiry: Inquiry, _budget: &mut usize, sources: &mut [Box<dyn Source>], turn: &mut Turn<'_>) {
    let figures = turn.counted.figures(turn.now, total(sources), turn.capacity);
    answer(inquiry.giver, sources, turn, |source, turn| source.counted(&figures, inquiry.asker, turn));
}

/// Looks at the next peers in the order of the tables, as far as the budget goes.
fn look_onwards(inquiry: Inquiry, budget: &mut usize, sources: &mut [Box<dyn Source>], turn: &mut Turn<'_>) {
    let Inquiry { giver, asker, mut after, mut most, .. } = inquiry;
    let mut next = next_peer(after, sources);
    if next.is_none() || most == 0 {
        let look = Look { peer: after.unwrap_or(PeerId::NOBODY), asker, seen: None, left: 0 };
        return answer(giver, sources, turn, |source, turn| source.looked(&look, turn));
    }
    while let Some(peer) = next {
        if *budget == 0 {
            let what = OrderKind::Inquire(Inquiry { after, most, ..inquiry });
            return turn.orders.put_back(WaitingOrder { what, to: Recipients::None });
        }
        *budget = budget.saturating_sub(LEAST_CHARGE);
        (after, most) = (Some(peer), most - 1);
        next = next_peer(after, sources).filter(|_| most > 0);
        let seen = sources.get_mut(peer.source()).and_then(|source| source.look(peer));
        let look = Look { peer, asker, seen, left: if next.is_some() { most } else { 0 } };
        answer(giver, sources, turn, |source, turn| source.looked(&look, turn));
    }
}

/// The peer that comes after this one, whether it is still there or not.
fn next_peer(after: Option<PeerId>, sources: &[Box<dyn Source>]) -> Option<PeerId> {
    let (first, mut slot) = after.map_or((0, 0), |peer| (peer.source(), peer.slot().saturating_add(1)));
    sources.get(first..)?.iter().find_map(|source| source.next_peer(std::mem::take(&mut slot)))
}
