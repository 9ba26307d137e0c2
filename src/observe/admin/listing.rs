//! The list of peers, page by page, and what is asked of a single peer.
//!
//! Owns what is being looked at for whom. Peers are looked at in slices over several turns, and only a few lists are made at once; the
//! others wait. Knows no HTTP beyond the answer.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::observe::admin::answer::{Answer, JSON};
use crate::observe::admin::asker::ByAsker;
use crate::observe::admin::portrait::Portrait;
use crate::observe::admin::query::{Cursor, Query};
use crate::observe::admin::ranking::{Ranking, Rankings};
use crate::reactor::{Look, Moment, NoRoom, Orders, PeerId, Reason};

/// How many peers are looked at with one order: what a turn does of that.
pub(super) const SLICE: usize = 128;
/// How many lists are made at once, and how many may wait.
const MOST_AT_ONCE: usize = 4;
const MOST_WAITING: usize = 28;
/// What a peer takes in a list, in bytes: about.
const PORTRAIT: usize = 320;

/// What is being looked at, and for whom.
#[derive(Debug)]
pub(super) struct Listings {
    deadline: Duration,
    active: Vec<Listing>,
    waiting: VecDeque<(PeerId, Query)>,
    rankings: Rankings,
    singles: ByAsker<Single>,
}

/// What is wanted of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Single {
    Tell,
    Drop,
}

/// A page that is being made.
#[derive(Debug)]
struct Listing {
    asker: PeerId,
    query: Query,
    /// How many peers are connected.
    total: usize,
    stage: Stage,
    /// The peers of the page so far, and how many they are.
    text: String,
    count: usize,
    next: Option<Cursor>,
    is_truncated: bool,
}

#[derive(Debug)]
enum Stage {
    /// The peers of the page are looked at in the order of the tables: the last one that was.
    Onwards { last: Option<PeerId> },
    /// All peers are looked at, and sorted.
    Sorting(Ranking),
    /// The peers of the page are known, and looked at.
    Telling,
}

impl Listings {
    pub(super) fn new(deadline: Duration) -> Self {
        let (active, waiting, rankings, singles) = Default::default();
        Self { deadline, active, waiting, rankings, singles }
    }

    /// Somebody asks for a page. An answer that comes at once is one that says why there is no page.
    pub(super) fn begin(&mut self, asker: PeerId, query: Query, orders: &mut Orders) -> Option<Answer> {
        if self.active.len() < MOST_AT_ONCE {
            return self.start(asker, query, orders);
        }
        if self.waiting.len() >= MOST_WAITING {
            return Some(busy());
        }
        self.waiting.push_back((asker, query));
        None
    }

    /// Somebody asks for one peer, or wants it gone.
    pub(super) fn ask_about(
        &mut self,
        peer: PeerId,
        what: Single,
        asker: PeerId,
        orders: &mut Orders,
    ) -> Option<Answer> {
        if orders.look_at([peer], Some(asker)).is_err() {
            return Some(busy());
        }
        self.singles.insert(asker, what);
        None
    }

    fn start(&mut self, asker: PeerId, query: Query, orders: &mut Orders) -> Option<Answer> {
        let stage = match (query.after, query.sort) {
            (Some(Cursor::Sorted { .. }), _) => Stage::Telling,
            (None, Some(sort)) => Stage::Sorting(Ranking::by(sort)),
            (Some(Cursor::Peer(_)), Some(_)) => {
                return Some(Answer::error(400, "after is the \"next\" of a list that was not sorted; leave sort out"));
            }
            (Some(Cursor::Peer(last)), None) => Stage::Onwards { last: Some(last) },
            (None, None) => Stage::Onwards { last: None },
        };
        let text = String::with_capacity(query.limit.min(100) * PORTRAIT);
        let mut listing = Listing { asker, query, total: 0, stage, text, count: 0, next: None, is_truncated: false };
        if orders.count(Some(asker)).is_err() {
            return Some(busy());
        }
        let now = orders.now();
        let begun = match (&mut listing.stage, query.after) {
            (Stage::Telling, Some(Cursor::Sorted { list, key, peer })) => {
                let Some(page) = self.rankings.page_after(list, key, peer, query.limit, now) else {
                    let sentence =
                        "this list is not kept any more (for 60 s, and the latest four): ask for the first page again";
                    return Some(Answer::error(410, sentence));
                };
                (listing.next, listing.is_truncated) = (page.next, page.is_truncated);
                orders.look_at(page.peers, Some(asker))
            }
            (Stage::Onwards { last }, _) => orders.look_onwards(*last, listing.query.slice(0), Some(asker)),
            (Stage::Sorting(_), _) => orders.look_onwards(None, SLICE, Some(asker)),
            (Stage::Telling, _) => Ok(()),
        };
        if begun.is_err() {
            return Some(busy());
        }
        self.active.push(listing);
        None
    }

    /// How many peers are connected, for the one who has asked for a page. False: for something else.
    pub(super) fn counted(&mut self, asker: PeerId, connected: usize) -> bool {
        let listing = self.active.iter_mut().find(|listing| listing.asker == asker);
        listing.map(|listing| listing.total = connected).is_some()
    }

    /// A peer was looked at for somebody. Returns the answer when it is complete, and those of the lists that could begin with it.
    pub(super) fn looked(&mut self, look: &Look, asker: PeerId, orders: &mut Orders) -> Vec<(PeerId, Answer)> {
        if let Some(what) = self.singles.remove(asker) {
            return vec![(asker, self.single(look, what, orders))];
        }
        let Some(at) = self.active.iter().position(|listing| listing.asker == asker) else { return Vec::new() };
        let listing = &mut self.active[at];
        let done = match listing.looked(look, self.deadline, orders) {
            Ok(Progress::More) => return Vec::new(),
            Ok(Progress::Sorted(ranking)) => {
                let page = self.rankings.first_page(ranking, listing.query.limit, orders.now());
                (listing.next, listing.is_truncated) = (page.next, page.is_truncated);
                match page.peers.is_empty() {
                    true => listing.answer(),
                    false => match orders.look_at(page.peers, Some(asker)) {
                        Ok(()) => return Vec::new(),
                        Err(_) => busy(),
                    },
                }
            }
            Ok(Progress::Done) => listing.answer(),
            Err(NoRoom { .. }) => busy(),
        };
        self.active.swap_remove(at);
        let mut answers = vec![(asker, done)];
        answers.extend(self.start_waiting(orders));
        answers
    }

    /// Begins lists that have waited. Returns the answers of those that cannot be made.
    fn start_waiting(&mut self, orders: &mut Orders) -> Vec<(PeerId, Answer)> {
        let mut answers = Vec::new();
        while self.active.len() < MOST_AT_ONCE {
            let Some((asker, query)) = self.waiting.pop_front() else { break };
            answers.extend(self.start(asker, query, orders).map(|answer| (asker, answer)));
        }
        answers
    }

    fn single(&self, look: &Look, what: Single, orders: &mut Orders) -> Answer {
        let Look { peer, seen: Some(seen), .. } = look else {
            return Answer::error(404, &format!("there is no peer {} any more", look.peer));
        };
        let mut text = String::with_capacity(2 * PORTRAIT);
        match what {
            Single::Tell => {
                Portrait { id: *peer, seen, now: orders.now(), deadline: self.deadline }.tell_all(&mut text);
                text.push('\n');
                Answer::new(200, JSON, text.into_bytes())
            }
            Single::Drop => match orders.let_go_for(*peer, Reason::OPERATOR) {
                Ok(()) => Answer::new(202, JSON, format!("{{\"id\":\"{peer}\"}}\n").into_bytes()),
                Err(_) => busy(),
            },
        }
    }

    /// Who has asked is gone. Returns the answers of lists that cannot be made though it is their turn now.
    pub(super) fn departed(&mut self, asker: PeerId, orders: &mut Orders) -> Vec<(PeerId, Answer)> {
        self.singles.remove(asker);
        self.waiting.retain(|(waiting, _)| *waiting != asker);
        self.active.retain(|listing| listing.asker != asker);
        self.start_waiting(orders)
    }

    /// Nothing is being made, and nobody waits.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty() && self.singles.is_empty()
    }

    pub(super) fn expire(&mut self, now: Moment) {
        self.rankings.expire(now);
    }

    pub(super) fn deadline(&self) -> Moment {
        self.rankings.deadline()
    }
}

impl Query {
    /// How many peers are looked at next, when the page has this many. One more than it needs: so it is known whether there is
    /// another page. With a filter, most may not be wanted.
    fn slice(&self, count: usize) -> usize {
        if self.from.is_some() { SLICE } else { SLICE.min(self.limit - count + 1) }
    }
}

/// What follows from a look.
enum Progress {
    /// Others are still to come.
    More,
    /// All peers are in the list.
    Sorted(Ranking),
    /// The page is complete.
    Done,
}

impl Listing {
    fn looked(&mut self, look: &Look, deadline: Duration, orders: &mut Orders) -> Result<Progress, NoRoom> {
        let is_wanted = look.seen.is_some_and(|seen| self.query.from.is_none_or(|from| from.holds(seen.address.ip())));
        let is_full = self.count == self.query.limit;
        // The answer about nobody: there are no more.
        let is_end = look.seen.is_none();
        match &mut self.stage {
            Stage::Telling => {
                self.tell(look, deadline, orders.now());
                return Ok(if look.left == 0 { Progress::Done } else { Progress::More });
            }
            Stage::Sorting(ranking) => {
                if is_wanted {
                    ranking.add(look, orders.now());
                }
                if look.left > 0 {
                    return Ok(Progress::More);
                }
                if is_end {
                    let Stage::Sorting(ranking) = std::mem::replace(&mut self.stage, Stage::Telling) else {
                        return Ok(Progress::Done);
                    };
                    return Ok(Progress::Sorted(ranking));
                }
                orders.look_onwards(Some(look.peer), SLICE, Some(self.asker))?;
            }
            Stage::Onwards { last } => {
                if is_wanted && is_full {
                    self.next = last.map(Cursor::Peer);
                } else if !is_full && !is_end {
                    *last = Some(look.peer);
                    if is_wanted {
                        self.tell(look, deadline, orders.now());
                    }
                }
                if look.left > 0 {
                    return Ok(Progress::More);
                }
                return self.onwards(is_end, orders);
            }
        }
        Ok(Progress::More)
    }

    /// The slice is looked at: the page is complete, or the next slice follows.
    fn onwards(&mut self, is_end: bool, orders: &mut Orders) -> Result<Progress, NoRoom> {
        let Stage::Onwards { last } = self.stage else { return Ok(Progress::Done) };
        let is_full = self.count == self.query.limit;
        if is_end || self.next.is_some() {
            return Ok(Progress::Done);
        }
        if is_full && self.query.from.is_some() {
            // Whether another one is wanted is not searched for: there may be thousands in between.
            self.next = last.map(Cursor::Peer);
            return Ok(Progress::Done);
        }
        orders.look_onwards(last, self.query.slice(self.count), Some(self.asker))?;
        Ok(Progress::More)
    }

    fn tell(&mut self, look: &Look, deadline: Duration, now: Moment) {
        let Some(seen) = &look.seen else { return };
        if self.count > 0 {
            self.text.push(',');
        }
        Portrait { id: look.peer, seen, now, deadline }.tell(&mut self.text);
        self.count += 1;
    }

    fn answer(&mut self) -> Answer {
        let next = self.next.map_or("null".to_string(), |next| format!("\"{next}\""));
        let text = format!(
            "{{\"time\":\"{}\",\"total\":{},\"peers\":[{}],\"next\":{next},\"truncated\":{}}}\n",
            humantime::format_rfc3339_millis(SystemTime::now()),
            self.total,
            self.text,
            self.is_truncated
        );
        Answer::new(200, JSON, text.into_bytes())
    }
}

pub(super) fn busy() -> Answer {
    Answer::error(503, "too much is being asked at this moment; ask again in a second").with("Retry-After", "1")
}
