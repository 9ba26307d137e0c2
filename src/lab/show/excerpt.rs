//! Which entries of a long timeline are shown.
//!
//! Owns the choice, the same for the figure and the report: a window that is filled takes thousands
//! of packets, all alike. What is left out is counted, and nothing but packets is left out.

use crate::lab::ears::decode::is_plain;
use crate::lab::timeline::{Timeline, TimelineEntry, What};

/// A run of plain packets longer than this loses its middle.
const RUN: usize = 6;
/// What is kept of it at each end.
const ENDS: usize = 2;

/// One line of what is shown.
#[derive(Clone, Copy, Debug)]
pub enum ExcerptLine<'a> {
    TimelineEntry(&'a TimelineEntry),
    /// This many packets were left out; the entry is the last of them.
    LeftOut(usize, &'a TimelineEntry),
}

impl<'a> ExcerptLine<'a> {
    /// The entry that gives the time of this line.
    pub fn entry(&self) -> &'a TimelineEntry {
        match self {
            ExcerptLine::TimelineEntry(entry) | ExcerptLine::LeftOut(_, entry) => entry,
        }
    }
}

/// The description of a packet; `None` for other entries.
pub fn packet_words(entry: &TimelineEntry) -> Option<&str> {
    match &entry.what {
        What::Packet { words, .. } => Some(words),
        _ => None,
    }
}

/// Chooses the lines: at most about `most` packets.
pub fn excerpt(timeline: &Timeline, most: usize) -> Vec<ExcerptLine<'_>> {
    let entries = &timeline.entries;
    let plain: Vec<bool> = entries.iter().map(|entry| packet_words(entry).is_some_and(is_plain)).collect();
    let mut keep = vec![true; entries.len()];
    let mut start = 0;
    for run in plain.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        if run.first() == Some(&true) && run.len() > RUN {
            keep.get_mut(start + ENDS..end - ENDS).unwrap_or_default().fill(false);
        }
        start = end;
    }
    let packets: Vec<usize> =
        (0..entries.len()).filter(|&at| keep[at] && packet_words(&entries[at]).is_some()).collect();
    if packets.len() > most {
        // The beginning is more informative than the rest.
        let middle = most - most / 3..packets.len() - most / 3;
        packets[middle].iter().for_each(|&at| keep[at] = false);
    }
    let mut lines: Vec<ExcerptLine<'_>> = Vec::new();
    for (entry, keep) in entries.iter().zip(keep) {
        match lines.last_mut() {
            _ if keep => lines.push(ExcerptLine::TimelineEntry(entry)),
            Some(ExcerptLine::LeftOut(count, last)) => (*count, *last) = (*count + 1, entry),
            _ => lines.push(ExcerptLine::LeftOut(1, entry)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::ears::frames::cut_cable;

    fn count(lines: &[ExcerptLine<'_>]) -> usize {
        lines.iter().map(|line| if let ExcerptLine::LeftOut(count, _) = line { *count } else { 1 }).sum()
    }

    #[test]
    fn a_short_timeline_is_whole() {
        let timeline = cut_cable();
        let lines = excerpt(&timeline, 60);
        assert_eq!(lines.len(), timeline.entries.len());
        assert!(lines.iter().all(|line| matches!(line, ExcerptLine::TimelineEntry(_))));
    }

    #[test]
    fn runs_lose_their_middle_and_what_is_left_out_is_counted() {
        let mut timeline = cut_cable();
        let data = timeline.entries[3].clone();
        timeline.entries.splice(3..3, std::iter::repeat_n(data, 1000));
        let lines = excerpt(&timeline, 60);
        assert_eq!(lines.len(), 3 + 5 + 6, "{lines:?}");
        assert_eq!(count(&lines), timeline.entries.len());
        let lines = excerpt(&timeline, 3);
        assert!(lines.len() < 10 && count(&lines) == timeline.entries.len(), "{lines:?}");
        for most in 0..5 {
            let kept = excerpt(&timeline, most);
            let told = kept.iter().filter(|line| packet_words(line.entry()).is_none()).count();
            assert_eq!(told, 2, "the fault and the departure stay");
        }
    }
}
