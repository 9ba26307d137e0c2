//! Peers in the order of something: by the longest silence, the oldest, the most bytes.
//!
//! Owns sorted lists, and keeps some of them for a while, so that page after page shows each peer once although their silences
//! change meanwhile. A list is sorted as it grows, so that no single step takes long. Knows no client.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use crate::observe::admin::portrait::told;
use crate::observe::admin::query::{Cursor, Sort};
use crate::reactor::{Look, Moment, PeerId};

/// How many peers a list holds: 4 MiB. Of more, it has those that come first.
const MOST_ROWS: usize = (4 << 20) / size_of::<Row>() / 2; // a tree is half empty at worst
/// How many lists are kept, and for how long after they were last asked for.
const MOST_KEPT: usize = 4;
const KEPT: Duration = Duration::from_secs(60);

/// What comes first has the smallest key.
type Row = (u64, PeerId);

/// A list of peers that is sorted.
#[derive(Debug)]
pub(super) struct Ranking {
    sort: Sort,
    rows: BTreeSet<Row>,
    /// There were more peers than it holds.
    is_truncated: bool,
}

impl Ranking {
    pub(super) fn by(sort: Sort) -> Self {
        Self { sort, rows: BTreeSet::new(), is_truncated: false }
    }

    /// Takes one more peer. `now` is when it was looked at.
    pub(super) fn add(&mut self, look: &Look, now: Moment) {
        let Some(seen) = &look.seen else { return };
        let info = told(seen);
        // Those of which nothing is known come last.
        let key = match self.sort {
            Sort::Silence => !info.map_or(0, |info| info.silent.as_millis() as u64),
            Sort::Age => !(now.since(seen.arrived).as_nanos() as u64),
            Sort::Bytes => !info.map_or(0, |info| info.bytes_in().saturating_add(info.bytes_out().unwrap_or(0))),
        };
        self.rows.insert((key, look.peer));
        if self.rows.len() > MOST_ROWS {
            self.rows.pop_last();
            self.is_truncated = true;
        }
    }
}

/// The lists that are kept.
#[derive(Debug, Default)]
pub(super) struct Rankings {
    kept: Vec<Kept>,
    /// How many there have been.
    count: u64,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    ranking: Ranking,
    until: Moment,
}

/// A page of a list.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub peers: Vec<PeerId>,
    pub next: Option<Cursor>,
    pub is_truncated: bool,
}

impl Rankings {
    /// The first page of a list, which is kept if there are more.
    pub(super) fn first_page(&mut self, ranking: Ranking, limit: usize, now: Moment) -> Page {
        self.count += 1;
        let number = self.count;
        let page = page(&ranking, number, None, limit);
        if page.next.is_some() {
            self.expire(now);
            if self.kept.len() == MOST_KEPT {
                let oldest = (0..MOST_KEPT).min_by_key(|at| self.kept[*at].until);
                oldest.map(|at| self.kept.swap_remove(at));
            }
            self.kept.push(Kept { number, ranking, until: now + KEPT });
        }
        page
    }

    /// The page after a place in a list; `None` if the list is not kept any more. The list goes with its last page.
    pub(super) fn page_after(&mut self, list: u64, key: u64, peer: PeerId, limit: usize, now: Moment) -> Option<Page> {
        self.expire(now);
        let at = self.kept.iter().position(|kept| kept.number == list)?;
        let kept = &mut self.kept[at];
        kept.until = now + KEPT;
        Some(page(&kept.ranking, list, Some((key, peer)), limit))
    }

    /// Forgets the lists whose time is over.
    pub(super) fn expire(&mut self, now: Moment) {
        self.kept.retain(|kept| kept.until > now);
    }

    /// When the next one is to be forgotten.
    pub(super) fn deadline(&self) -> Moment {
        self.kept.iter().map(|kept| kept.until).min().unwrap_or(Moment::NEVER)
    }
}

fn page(ranking: &Ranking, list: u64, after: Option<Row>, limit: usize) -> Page {
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rows = ranking.rows.range((begin, Bound::Unbounded));
    let rows_of_page: Vec<Row> = rows.by_ref().take(limit).copied().collect();
    let next = match rows_of_page.last() {
        Some((key, peer)) if rows.next().is_some() => Some(Cursor::Sorted { list, key: *key, peer: *peer }),
        _ => None,
    };
    let peers = rows_of_page.into_iter().map(|(_, peer)| peer).collect();
    Page { peers, next, is_truncated: ranking.is_truncated }
}
