//! A client of the admin port: where it is between its requests and our answers.
//!
//! Owns the phases of a connection, and how long each may take. Knows no path.

use std::time::{Duration, SystemTime};

use crate::observe::admin::answer::{Answer, Manner};
use crate::observe::admin::follower::Follower;
use crate::observe::admin::method::Method;
use crate::observe::admin::request::{Incoming, Request};
use crate::reactor::{Moment, Peer};

/// How long a request may take to come, from its first byte; and the first one, from the arrival.
pub(super) const REQUEST: Duration = Duration::from_secs(10);
/// The same while many clients are there, so that slow ones do not keep the others out.
pub(super) const HURRIED: Duration = Duration::from_secs(2);
/// How long a client may say nothing between two requests.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// How long an answer may take to be made; it is looked this often whether it is there.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// A client of the admin port.
#[derive(Debug)]
pub struct Visitor {
    pub(super) incoming: Incoming,
    pub(super) phase: Phase,
    /// When the phase began; or, while it may ask, when the request that is coming did.
    pub(super) since: Moment,
    /// How long what it is expected to do may take from then.
    pub(super) patience: Duration,
    /// It will send no more.
    pub(super) has_ended: bool,
}

/// Where a client is.
#[derive(Debug)]
pub(super) enum Phase {
    /// It may ask.
    Asking,
    /// Its answer is being made, and is given in this manner.
    Waiting(Manner),
    /// It is told what happens, until the connection ends.
    Following(Box<Follower>),
    /// The connection is being closed. What still comes is dropped.
    Over,
}

impl Visitor {
    pub(super) fn new(now: Moment, request: Duration) -> Self {
        Self { incoming: Incoming::default(), phase: Phase::Asking, since: now, patience: request, has_ended: false }
    }

    /// Bytes came. A request may take this long now, also one that has begun.
    pub(super) fn received(&mut self, bytes: &[u8], now: Moment, request: Duration) {
        match self.phase {
            Phase::Asking => {
                if self.incoming.is_in_the_middle() {
                    self.patience = self.patience.min(request);
                } else {
                    (self.since, self.patience) = (now, request);
                }
                self.incoming.add(bytes);
            }
            Phase::Waiting(_) => self.incoming.add(bytes),
            Phase::Following(_) | Phase::Over => {}
        }
    }

    /// It has asked something that was not answered yet.
    pub(super) fn is_owed(&self) -> bool {
        match self.phase {
            Phase::Asking => self.incoming.is_in_the_middle(),
            Phase::Waiting(_) => true,
            Phase::Following(_) | Phase::Over => false,
        }
    }

    /// By when it must have done what it is expected to do.
    pub(super) fn due(&self) -> Moment {
        self.since + self.patience
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Moment) {
        (self.phase, self.since) = (phase, now);
        self.patience = match self.phase {
            Phase::Asking if self.incoming.is_in_the_middle() => REQUEST,
            Phase::Waiting(_) => ANSWER,
            _ => IDLE,
        };
    }
}

/// The manner in which a request is answered.
pub(super) fn manner(request: &Request) -> Manner {
    Manner { is_head: request.method == Method::Head, keeps_alive: request.keeps_alive, is_1_0: !request.is_1_1 }
}

/// Gives the answer, and closes the connection behind it unless it goes on.
pub(super) fn give(peer: &mut Peer<'_, Visitor>, answer: &Answer, manner: Manner) {
    let manner = Manner { keeps_alive: manner.keeps_alive && !answer.closes, ..manner };
    peer.send(&answer.bytes(manner, SystemTime::now()));
    let now = peer.now();
    if manner.keeps_alive {
        peer.state.enter(Phase::Asking, now);
    } else {
        end(peer);
    }
}

/// Closes the connection.
pub(super) fn end(peer: &mut Peer<'_, Visitor>) {
    peer.close();
    peer.let_sleep();
    let now = peer.now();
    peer.state.enter(Phase::Over, now);
    peer.state.incoming = Incoming::default();
}
