//! The admin port: who is there, metrics, events and a page, over HTTP.
//!
//! Owns the way from a request to its answer. It is an ordinary service of the library: it sees the loop as any other service could,
//! and does no more for a request in one turn than a slice of its work. What takes longer, or has to be asked of the loop, is
//! noted under the id of the client; when the answer is there, the service has itself called for that client.

use std::time::Duration;

pub use self::about::{About, LeftOut};
use self::access::Access;
pub use self::access::{Hosts, Token};
use self::answer::{Answer, EVENTS, Manner, TEXT};
use self::asker::ByAsker;
use self::exposition::Format;
use self::follower::Follower;
use self::following::Following;
use self::following::Follows;
use self::listing::{Listings, busy};
use self::process::Process;
use self::request::{Next, Request};
use self::room::Room;
use self::route::{Ask, route};
pub use self::visitor::Visitor;
use self::visitor::{HURRIED, LOOK, Phase, REQUEST, end, give, manner};
use crate::keepalive::Unfit;
use crate::reactor::{
    Farewell, Figures, Limits, Look, Moment, News, Orders, Peer, PeerId, Service, TurnTimes, WhenFull,
};

mod about;
mod access;
mod answer;
mod asker;
mod crowd;
mod exposition;
mod follower;
mod following;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod listing;
mod method;
mod metrics;
mod page;
mod portrait;
mod process;
mod query;
mod ranking;
mod request;
mod ring;
mod room;
mod route;
mod target;
#[cfg(feature = "upgrade")]
mod upgrade;
mod visitor;

/// How many clients there may be at once.
pub const MOST_CLIENTS: usize = 64;
/// How many bytes may wait for a client: more than the longest answer has, a page of 1000 peers.
const MOST_OUTPUT: usize = 1 << 20;
/// A client that takes nothing of what waits for it is let go after this.
const STUCK: Duration = Duration::from_secs(30);
/// How many requests of one client are answered in a turn.
const MOST_AT_ONCE: usize = 4;
/// When a client that takes its answers slowly is looked at again.
const PAUSE: Duration = Duration::from_millis(50);

/// The limits of the port. A newcomer for whom there is no room takes the place of the client that has been idle longest, so that
/// sixty-four that say nothing keep nobody out.
///
/// # Errors
/// None, for these values.
pub fn limits() -> Result<Limits, Unfit> {
    Limits::default().with_when_full(WhenFull::EvictOldestIdle).with_max_output(MOST_OUTPUT)?.with_stalled(Some(STUCK))
}

/// The service of the admin port.
#[derive(Debug)]
pub struct Admin {
    access: Access,
    about: About,
    /// When the process was started, since 1970. Asked once: the clock may be set meanwhile, and another moment would look like another
    /// process.
    started: Option<Duration>,
    listings: Listings,
    following: Following,
    /// Who waits for figures, and what for.
    counting: ByAsker<Counting>,
    /// Answers that are ready, for those who wait.
    answers: ByAsker<Answer>,
    /// How many clients there are.
    clients: usize,
    memory: Room,
}

#[derive(Clone, Copy, Debug)]
enum Counting {
    Ready,
    Metrics(Format),
    #[cfg(feature = "upgrade")]
    Upgrade(upgrade::Step),
}

impl Admin {
    /// A port for these hosts; with a token, only who has that sees data.
    pub fn new(hosts: Hosts, token: Option<Token>, about: About) -> Self {
        let access = Access { hosts, token };
        let (listings, following) = (Listings::new(about.deadline), Following::new(about.clone()));
        let (counting, answers) = Default::default();
        let started = Process::look().map(|process| process.started);
        Self { access, about, started, listings, following, counting, answers, clients: 0, memory: Room::default() }
    }

    /// The same in a program that goes on with another one: see `Following::expect_followers`.
    #[cfg(feature = "upgrade")]
    pub fn that_expects_followers(mut self, now: Moment, happened: u64) -> Self {
        self.following.expect_followers(now, happened);
        self
    }

    /// There is memory to go on with this client. One that follows has missed something if there was none in between: it is let go,
    /// and when it comes back it is told what it has missed.
    fn can_go_on(&mut self, peer: &mut Peer<'_, Visitor>) -> bool {
        let is_there = self.memory.is_there(peer.orders().now());
        is_there && !(self.memory.has_failed && matches!(peer.state.phase, Phase::Following(_)))
    }

    /// How long a request may take to come. With half of the places taken, those who take long give theirs to others.
    fn request_time(&self) -> Duration {
        if self.clients > MOST_CLIENTS / 2 { HURRIED } else { REQUEST }
    }

    /// Answers what has come, as far as it is a request.
    fn proceed(&mut self, peer: &mut Peer<'_, Visitor>) {
        for _ in 0..MOST_AT_ONCE {
            if !matches!(peer.state.phase, Phase::Asking) {
                return;
            }
            // What it has not taken of one answer waits; the next one is not added to that.
            if peer.took_output().is_some() {
                return peer.wake_after(PAUSE);
            }
            match peer.state.incoming.next() {
                Next::Nothing if peer.state.has_ended => return end(peer),
                Next::Nothing => {
                    let due = peer.state.due();
                    return peer.wake_at(due);
                }
                Next::Continue => peer.send(b"HTTP/1.1 100 Continue\r\n\r\n"),
                Next::Unreadable(unreadable) => {
                    let answer = Answer::error(unreadable.status, unreadable.sentence);
                    return give(peer, &answer, Manner { is_head: false, keeps_alive: false, is_1_0: false });
                }
                Next::Request(request) => self.serve(peer, &request),
            }
        }
        let now = peer.now();
        peer.wake_at(now);
    }

    /// Answers a request, or begins to.
    fn serve(&mut self, peer: &mut Peer<'_, Visitor>, request: &Request) {
        let (id, now) = (peer.id(), peer.now());
        let manner = manner(request);
        let begun = match route(request, &self.access) {
            Ask::Answer(answer) => return give(peer, &answer, manner),
            Ask::Events { after } => return self.follow(peer, Follows::Events, after, manner),
            Ask::Watch => return self.follow(peer, Follows::Everything, None, manner),
            Ask::Ready => self.count(id, Counting::Ready, peer.orders()),
            Ask::Metrics(format) => self.count(id, Counting::Metrics(format), peer.orders()),
            #[cfg(feature = "upgrade")]
            Ask::Upgrade(step) => self.count(id, Counting::Upgrade(step), peer.orders()),
            Ask::Peers(query) => self.listings.begin(id, query, peer.orders()),
            Ask::Peer(wanted, what) => self.listings.ask_about(wanted, what, id, peer.orders()),
        };
        match begun {
            Some(answer) => give(peer, &answer, manner),
            None => {
                peer.state.enter(Phase::Waiting(manner), now);
                peer.wake_at(now + LOOK);
            }
        }
    }

    fn count(&mut self, asker: PeerId, what: Counting, orders: &mut Orders) -> Option<Answer> {
        if orders.count(Some(asker)).is_err() {
            return Some(busy());
        }
        self.counting.insert(asker, what);
        None
    }

    /// Begins to tell a client what happens.
    fn follow(&mut self, peer: &mut Peer<'_, Visitor>, follows: Follows, after: Option<u64>, manner: Manner) {
        let (id, now) = (peer.id(), peer.now());
        let head = Answer::new(200, EVENTS, Vec::new()).with("X-Accel-Buffering", "no").and_close();
        if manner.is_head {
            return give(peer, &head, manner);
        }
        let Some(number) = self.following.join(id, follows, after, peer.orders()) else {
            let sentence = "as many follow already as may (32)";
            return give(peer, &Answer::error(503, sentence).with("Retry-After", "15"), manner);
        };
        peer.send(&head.open_end(std::time::SystemTime::now()));
        peer.state.enter(Phase::Following(Box::new(Follower::new(follows, number, now))), now);
        self.feed(peer);
    }

    fn feed(&mut self, peer: &mut Peer<'_, Visitor>) {
        self.following.called(peer.id());
        let Phase::Following(mut follower) = std::mem::replace(&mut peer.state.phase, Phase::Over) else { return };
        follower.feed(peer, &self.following);
        peer.state.phase = Phase::Following(follower);
    }

    /// The answer is ready, and the client is called for it. If that order is not taken, it is found when the client is woken.
    fn ready(&mut self, asker: PeerId, answer: Answer, orders: &mut Orders) {
        self.answers.insert(asker, answer);
        let _ = orders.call_for(asker);
    }

    /// Gives the answer for which the client waits, if it is there.
    fn give_ready(&mut self, peer: &mut Peer<'_, Visitor>, manner: Manner) {
        let (id, now) = (peer.id(), peer.now());
        match self.answers.remove(id) {
            Some(answer) => {
                give(peer, &answer, manner);
                self.proceed(peer);
            }
            None if now >= peer.state.due() => {
                self.forget(id, peer.orders());
                let answer = Answer::error(503, "the answer took too long").with("Retry-After", "1").and_close();
                give(peer, &answer, manner);
            }
            None => peer.wake_at(now + LOOK),
        }
    }

    /// Nothing is to be made for this client any more.
    fn forget(&mut self, id: PeerId, orders: &mut Orders) {
        self.counting.remove(id);
        self.answers.remove(id);
        for (asker, answer) in self.listings.departed(id, orders) {
            self.ready(asker, answer, orders);
        }
    }
}

impl Service for Admin {
    type State = Visitor;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Visitor {
        self.clients += 1;
        let visitor = Visitor::new(peer.now(), self.request_time());
        peer.wake_at(visitor.due());
        visitor
    }

    fn received(&mut self, peer: &mut Peer<'_, Visitor>, bytes: &[u8]) {
        if !self.memory.is_there(peer.orders().now()) {
            return peer.let_go();
        }
        let (now, request_time) = (peer.now(), self.request_time());
        peer.state.received(bytes, now, request_time);
        self.proceed(peer);
    }

    /// It has asked everything that it wants to know, as `socat` does whose input has ended, and gets its answers.
    fn half_closed(&mut self, peer: &mut Peer<'_, Visitor>) {
        if !self.memory.is_there(peer.orders().now()) {
            return peer.let_go();
        }
        peer.state.has_ended = true;
        self.proceed(peer);
        if peer.state.is_owed() {
            peer.stay();
        }
    }

    fn woken(&mut self, peer: &mut Peer<'_, Visitor>) {
        if !self.can_go_on(peer) {
            return peer.let_go();
        }
        let now = peer.now();
        match peer.state.phase {
            Phase::Waiting(manner) => self.give_ready(peer, manner),
            Phase::Following(_) => self.feed(peer),
            Phase::Asking if now < peer.state.due() || peer.took_output().is_some() => self.proceed(peer),
            Phase::Asking if peer.state.incoming.is_in_the_middle() => {
                let answer = Answer::error(408, "the request did not come in time");
                give(peer, &answer, Manner { is_head: false, keeps_alive: false, is_1_0: false });
            }
            // It has said nothing for long: no answer is owed, and none is expected.
            Phase::Asking => end(peer),
            Phase::Over => {}
        }
    }

    fn called_for(&mut self, peer: &mut Peer<'_, Visitor>) {
        if !self.can_go_on(peer) {
            return peer.let_go();
        }
        match peer.state.phase {
            Phase::Waiting(manner) => self.give_ready(peer, manner),
            Phase::Following(_) => self.feed(peer),
            Phase::Asking | Phase::Over => {}
        }
    }

    fn looked(&mut self, look: &Look, orders: &mut Orders) {
        if !self.memory.is_there(orders.now()) {
            return;
        }
        let Some(asker) = look.asker else { return self.following.looked(look, orders) };
        for (asker, answer) in self.listings.looked(look, asker, orders) {
            self.ready(asker, answer, orders);
        }
    }

    fn counted(&mut self, figures: &Figures, asker: Option<PeerId>, orders: &mut Orders) {
        if !self.memory.is_there(orders.now()) {
            return;
        }
        let Some(asker) = asker else { return self.following.counted(figures, orders) };
        if self.listings.counted(asker, figures.tally.connected) {
            return;
        }
        let answer = match self.counting.remove(asker) {
            Some(Counting::Ready) if figures.is_stopping => Answer::new(503, TEXT, &b"draining\n"[..]),
            Some(Counting::Ready) => Answer::new(200, TEXT, &b"ready\n"[..]),
            Some(Counting::Metrics(format)) => Answer::new(
                200,
                format.kind(),
                metrics::metrics(figures, &self.about, self.started, format).into_bytes(),
            ),
            #[cfg(feature = "upgrade")]
            Some(Counting::Upgrade(step)) => upgrade::answer(step, figures, &self.about, orders),
            None => return,
        };
        self.ready(asker, answer, orders);
    }

    fn observed(&mut self, news: &[News], orders: &mut Orders) {
        if !self.memory.is_there(orders.now()) {
            return;
        }
        self.following.observed(news, orders);
    }

    fn turned(&mut self, times: &TurnTimes, orders: &mut Orders) {
        if self.memory.is_there(orders.now()) {
            self.following.turned(times);
        }
    }

    fn departed(&mut self, _visitor: Visitor, farewell: &Farewell<'_>, orders: &mut Orders) {
        self.clients -= 1;
        if let Some(id) = farewell.id {
            self.following.leave(id, orders);
            self.memory.has_failed &= self.following.is_followed();
            self.forget(id, orders);
        }
    }

    fn deadline(&self) -> Option<Moment> {
        let soonest = self.following.deadline().min(self.listings.deadline());
        (soonest != Moment::NEVER).then_some(soonest)
    }

    fn expired(&mut self, now: Moment, orders: &mut Orders) {
        self.listings.expire(now);
        self.following.expire(now, orders);
    }
}

#[cfg(test)]
mod tests;
