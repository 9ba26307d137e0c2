//! Carries out the orders that wait, within the budget of a turn.
//!
//! Owns that budget, and the order in which it is spent. What concerns a peer is done by its port.

use std::collections::VecDeque;

use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::orders::{Look, Order, OrderKind, Recipients, WaitingOrder};
use crate::reactor::source::{Source, Turn, total};

/// How many bytes are sent by order in a turn, so that the other peers are served in between.
const BUDGET: usize = 512 * 1024;
/// What an order takes from the budget at least for each peer, however few bytes it sends: 128 sends in a turn.
const LEAST_CHARGE: usize = 4096;

/// Carries out the orders that wait, within the budget of a turn.
pub(in crate::reactor) fn carry_out(sources: &mut [Box<dyn Source>], turn: &mut Turn<'_>) {
    let mut budget = BUDGET;
    while budget > 0 {
        let Some(mut first) = turn.orders.first() else { break };
        match first.what {
            OrderKind::Connect(giver, connect) => {
                budget = budget.saturating_sub(LEAST_CHARGE);
                turn.awake.wake(giver);
                if let Some(source) = sources.get_mut(giver) {
                    source.connect(*connect);
                }
                continue;
            }
            OrderKind::Count { giver, asker } => {
                budget = budget.saturating_sub(LEAST_CHARGE);
                let figures = turn.counted.figures(turn.now, total(sources), turn.capacity);
                answer(giver, sources, turn, |source, turn| source.counted(&figures, asker, turn));
                continue;
            }
            OrderKind::LookOnwards { .. } => {
                look_onwards(first, &mut budget, sources, turn);
                continue;
            }
            _ => {}
        }
        while budget > 0 {
            let Some(id) = first.to.next() else { break };
            budget = budget.saturating_sub(carry_out_for(id, &first, sources, turn).max(LEAST_CHARGE));
        }
        if first.to.len() > 0 {
            turn.orders.put_back(first);
        }
    }
    if turn.orders.is_empty() {
        turn.orders.waiting = VecDeque::new(); // an idle loop keeps nothing
    }
}

/// Carries out an order for one peer. Returns how many bytes were sent.
fn carry_out_for(id: PeerId, waiting: &WaitingOrder, sources: &mut [Box<dyn Source>], turn: &mut Turn<'_>) -> usize {
    // An id of another loop is nobody's here.
    let source = sources.get_mut(id.source());
    let order = match &waiting.what {
        OrderKind::Send(bytes) => Order::Send(bytes),
        OrderKind::Close(departure) => Order::Close(*departure),
        OrderKind::LetGo(departure) => Order::LetGo(*departure),
        OrderKind::Look { giver, asker } => {
            let look = Look {
                peer: id,
                asker: *asker,
                seen: source.and_then(|source| source.look(id)),
                left: waiting.to.len(),
            };
            answer(*giver, sources, turn, |source, turn| source.looked(&look, turn));
            return 0;
        }
        OrderKind::Connect(..) | OrderKind::Count { .. } | OrderKind::LookOnwards { .. } => return 0,
    };
    turn.awake.wake(id.source());
    turn.orders.is_for_one = matches!(waiting.to, Recipients::None);
    if let Some(source) = source {
        source.carry_out(id, order, turn);
    }
    if let Order::Send(bytes) = order { bytes.len() } else { 0 }
}

/// Answers the source that has asked for something. The answer may make it give orders.
fn answer(
    giver: usize,
    sources: &mut [Box<dyn Source>],
    turn: &mut Turn<'_>,
    answer: impl FnOnce(&mut dyn Source, &mut Turn<'_>),
) {
    turn.awake.wake(giver);
    if let Some(source) = sources.get_mut(giver) {
        turn.orders.giver = giver;
        answer(&mut **source, turn);
    }
}

/// Looks at the next peers in the order of the tables, as far as the budget goes.
fn look_onwards(order: WaitingOrder, budget: &mut usize, sources: &mut [Box<dyn Source>], turn: &mut Turn<'_>) {
    let OrderKind::LookOnwards { giver, asker, mut after, mut most } = order.what else { return };
    let mut next = next_peer(after, sources);
    if next.is_none() || most == 0 {
        let look = Look { peer: after.unwrap_or(PeerId::NOBODY), asker, seen: None, left: 0 };
        return answer(giver, sources, turn, |source, turn| source.looked(&look, turn));
    }
    while let Some(peer) = next {
        if *budget == 0 {
            let what = OrderKind::LookOnwards { giver, asker, after, most };
            turn.orders.put_back(WaitingOrder { what, ..order });
            return;
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
