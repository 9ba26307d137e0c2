//! Carries out the orders that wait, within the budget of a turn.
//!
//! Owns that budget, and the order in which it is spent. What concerns a peer is done by its port.

use std::collections::VecDeque;

use crate::reactor::observing::IS_THERE;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::order::{Look, Order, OrderKind, Recipients, WaitingOrder};
use crate::reactor::source::{Answer, LEAST_CHARGE, Source, Turn, answer};

/// How many bytes are sent by order in a turn, so that the other peers are served in between.
const BUDGET: usize = 512 * 1024;

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
            OrderKind::Inquire(inquiry) => {
                budget = budget.saturating_sub(LEAST_CHARGE);
                if IS_THERE && let Some(Answer(answer)) = inquiry.answer.downcast_ref() {
                    answer(inquiry, &mut budget, sources, turn);
                }
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
        OrderKind::Call => Order::Call,
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
        OrderKind::Connect(..) | OrderKind::Inquire(_) => return 0,
    };
    turn.awake.wake(id.source());
    turn.orders.giver = id.source();
    turn.orders.is_for_one = matches!(waiting.to, Recipients::None);
    if let Some(source) = source {
        source.carry_out(id, order, turn);
    }
    if let Order::Send(bytes) = order { bytes.len() } else { 0 }
}
