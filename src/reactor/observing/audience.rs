//! Who observes the loop, and the news that wait to be told at the end of the turn.
//!
//! Owns who is told what. Knows no source: `turn.rs` tells them.

use crate::malloc;
use crate::reactor::observing::IS_THERE;
use crate::reactor::observing::news::{Happening, Incident, News};
use crate::reactor::time::moment::Moment;

/// Sources by their number.
#[derive(Debug, Default)]
struct Members(Vec<u8>);

impl Members {
    fn set(&mut self, source: usize, on: bool) {
        self.0.retain(|member| usize::from(*member) != source);
        if on {
            self.0.push(source as u8); // `Names::SOURCES` is 256
        }
    }
}

/// Who observes.
#[derive(Debug, Default)]
pub(in crate::reactor) struct Audience {
    observers: Members,
    timers: Members,
    /// Notes what has happened; `None`: nobody wants to know. Only [`Audience::observe`] names that code, so a program in which
    /// nobody observes does not have it.
    note: Option<fn(&mut Self, Moment, Incident<'_>)>,
    news: Vec<News>,
    /// How much has happened so far, whether anybody was told or not.
    happened: u64,
    /// For how many there was no memory.
    left_out: u64,
}

impl Audience {
    /// This source wants news from now on, or none any more.
    pub(in crate::reactor) fn observe(&mut self, source: usize, on: bool) {
        self.observers.set(source, on);
        self.note = Some(Self::note_news);
        if self.observers.0.is_empty() {
            (self.news, self.left_out, self.note) = (Vec::new(), 0, None);
        }
    }

    /// This source wants the times of each turn from now on, or none any more.
    pub(in crate::reactor) fn time_turns(&mut self, source: usize, on: bool) {
        self.timers.set(source, on);
    }

    /// Somebody wants the times of each turn.
    pub(in crate::reactor) fn times(&self) -> bool {
        IS_THERE && !self.timers.0.is_empty()
    }

    /// Something has happened.
    pub(in crate::reactor) fn note(&mut self, at: Moment, incident: Incident<'_>) {
        if !IS_THERE {
            return;
        }
        // The beginning of the end is no event of a peer, and has no number of its own.
        self.happened += u64::from(!matches!(incident, Incident::Stopping));
        if let Some(note) = self.note {
            note(self, at, incident);
        }
    }

    /// Something has happened that is no incident of a peer or a port.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn note_whole(&mut self, at: Moment, what: Happening) {
        self.happened += 1;
        if self.note.is_some() && malloc::reserve(&mut self.news, 1).is_ok() {
            self.news.push(News { number: self.happened, at, what });
        }
    }

    /// Goes on counting where another program has stopped.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn resume(&mut self, happened: u64) {
        self.happened = happened;
    }

    /// The number of what has happened last.
    pub(in crate::reactor) fn happened(&self) -> u64 {
        self.happened
    }

    fn note_news(&mut self, at: Moment, incident: Incident<'_>) {
        if malloc::reserve(&mut self.news, 2).is_err() {
            self.left_out += 1;
            return;
        }
        let (number, count) = (self.happened, std::mem::take(&mut self.left_out));
        if count > 0 {
            self.news.push(News { number, at, what: Happening::LeftOut { count } });
        }
        self.news.push(News { number, at, what: incident.into() });
    }

    /// Something was noted in this turn.
    pub(in crate::reactor) fn has_news(&self) -> bool {
        IS_THERE && !self.news.is_empty()
    }

    /// What was noted in this turn, to be told to each of the observers.
    pub(in crate::reactor) fn take_news(&mut self) -> Option<Vec<News>> {
        (!self.news.is_empty()).then(|| std::mem::take(&mut self.news))
    }

    /// Gives the list back once it was told, so that its memory is used again; not if a crowd has made it large.
    pub(in crate::reactor) fn put_back(&mut self, mut told: Vec<News>) {
        if self.news.is_empty() && self.note.is_some() && told.capacity() <= malloc::KEPT_ENTRIES {
            told.clear();
            self.news = told;
        }
    }

    /// The nth of those who want news.
    pub(in crate::reactor) fn observer(&self, nth: usize) -> Option<usize> {
        self.observers.0.get(nth).map(|source| usize::from(*source))
    }

    /// The nth of those who want the times of each turn.
    pub(in crate::reactor) fn timer(&self, nth: usize) -> Option<usize> {
        self.timers.0.get(nth).map(|source| usize::from(*source))
    }
}

#[cfg(all(test, feature = "observe"))]
mod tests {
    use super::*;

    #[test]
    fn news_are_noted_only_while_somebody_observes() {
        let mut audience = Audience::default();
        audience.note(Moment::default(), Incident::Stopping);
        assert!(audience.take_news().is_none() && audience.note.is_none());
        audience.observe(3, true);
        audience.observe(3, true);
        audience.observe(255, true);
        audience.note(Moment::default(), Incident::Stopping);
        let told = audience.take_news().unwrap();
        assert_eq!(
            (told.len(), audience.observer(0), audience.observer(1), audience.observer(2)),
            (1, Some(3), Some(255), None)
        );
        audience.put_back(told);
        assert!(audience.take_news().is_none() && audience.news.capacity() > 0);
        audience.left_out = 7;
        audience.note(Moment::default(), Incident::Stopping);
        let told = audience.take_news().unwrap();
        assert!(matches!(told[..], [News { what: Happening::LeftOut { count: 7 }, .. }, _]), "{told:?}");
        audience.observe(255, false);
        audience.observe(3, false);
        assert!(audience.note.is_none() && audience.news.capacity() == 0);
    }
}
