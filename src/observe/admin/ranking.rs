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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Seen;
    use crate::tcp_info::TcpInfo;

    /// The nth peer, which has sent this many bytes.
    fn look(nth: usize, bytes_received: u64) -> Look {
        let info = TcpInfo { state: 1, bytes_received, bytes_sent: Some(0), ..TcpInfo::default() };
        let address = "192.0.2.1:1".parse().unwrap();
        let seen = Seen { address, local: None, arrived: Moment::default(), waiting: 0, info: Some(info) };
        let peer = format!("{nth:x}-{nth:x}").parse().unwrap();
        Look { peer, asker: None, seen: Some(seen), left: 0 }
    }

    #[test]
    fn of_too_many_peers_a_list_holds_those_that_come_first() {
        let mut ranking = Ranking::by(Sort::Bytes);
        for nth in 0..MOST_ROWS + 500 {
            ranking.add(&look(nth + 1, nth as u64 * 7919 % 1_000_003), Moment::default());
        }
        assert_eq!((ranking.rows.len(), ranking.is_truncated), (MOST_ROWS, true));
        let most = ranking.rows.first().unwrap().0;
        let least = ranking.rows.last().unwrap().0;
        assert!(!most > 999_000 && !least > 0 && most < least, "{} to {}", !most, !least);
    }

    #[test]
    fn pages_follow_one_another_and_a_list_is_kept_for_a_minute() {
        let mut rankings = Rankings::default();
        let mut ranking = Ranking::by(Sort::Bytes);
        for nth in 0..25 {
            ranking.add(&look(nth + 1, nth as u64 / 2), Moment::default()); // two of each
        }
        let mut page = rankings.first_page(ranking, 10, Moment::default());
        let mut seen = page.peers.clone();
        let at = |seconds| Moment::after(Duration::from_secs(seconds));
        for (pages, now) in [59, 118].into_iter().enumerate() {
            let Some(Cursor::Sorted { list, key, peer }) = page.next else { panic!("{page:?} after {pages}") };
            page = rankings.page_after(list, key, peer, 10, at(now)).unwrap();
            seen.extend(&page.peers);
        }
        assert_eq!((page.next, seen.len()), (None, 25));
        assert_eq!(seen[0].to_string(), "19-19", "the most bytes come first");
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), rankings.deadline()), (25, at(178)));
        rankings.expire(at(178));
        assert_eq!(rankings.deadline(), Moment::NEVER);
    }
}
