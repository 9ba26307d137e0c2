//! What each key does, in each mode.
//!
//! A key means what its user saw: the order of the table is that of the latest picture, and a question names the peer that its
//! answer is about.

use std::sync::Arc;

use crate::ask::top::keys::Key;
use crate::ask::top::state::{Mode, Top, Wish};

/// Longer than any address or id.
const LONGEST_FILTER: usize = 60;

impl Top {
    pub(in crate::ask::top) fn press(&mut self, key: Key) -> Option<Wish> {
        match key {
            Key::Control('c') => return Some(Wish::Quit),
            Key::Control('z') => return Some(Wish::Suspend),
            Key::Control('l') => return Some(Wish::Redraw),
            _ => {}
        }
        self.remark = None;
        match std::mem::take(&mut self.mode) {
            Mode::Table => self.press_in_table(key),
            Mode::Filter => {
                self.press_in_filter(key);
                None
            }
            Mode::Help => None,
            story @ Mode::Story { .. } => {
                match key {
                    Key::Escape | Key::Enter | Key::Backspace | Key::Letter('q') => {}
                    Key::Letter('d') => {
                        if let Mode::Story { id, .. } = story {
                            self.confirm(id);
                        }
                    }
                    _ => self.mode = story,
                }
                None
            }
            Mode::Confirm { id, .. } => {
                if key == Key::Letter('y') || key == Key::Letter('Y') {
                    return Some(Wish::Drop(id.to_string()));
                }
                self.remark = Some("nobody was let go".to_string());
                None
            }
        }
    }

    fn press_in_table(&mut self, key: Key) -> Option<Wish> {
        let page = self.rows.max(1);
        match key {
            Key::Letter('q') => return Some(Wish::Quit),
            Key::Letter('?' | 'h') => self.mode = Mode::Help,
            Key::Letter('/') => self.mode = Mode::Filter,
            Key::Letter('s') => {
                (self.by, self.arranged) = (self.by.next(), None);
                (self.selected, self.first) = (0, 0);
            }
            Key::Escape if !self.filter.is_empty() => self.set_filter(|filter| filter.clear()),
            Key::Up | Key::Letter('k') => self.selected = self.selected.saturating_sub(1),
            Key::Down | Key::Letter('j') => self.selected += 1,
            Key::PageUp => {
                (self.selected, self.first) = (self.selected.saturating_sub(page), self.first.saturating_sub(page));
            }
            Key::PageDown => (self.selected, self.first) = (self.selected + page, self.first + page),
            Key::Home => self.selected = 0,
            Key::End => self.selected = usize::MAX,
            Key::Enter => {
                let id = Arc::clone(self.order.get(self.selected)?);
                self.mode = Mode::Story { id: Arc::clone(&id), lines: Ok(Vec::new()), answered: None };
                return Some(Wish::Story(id.to_string()));
            }
            Key::Letter('d') => {
                let id = Arc::clone(self.order.get(self.selected)?);
                self.confirm(id);
            }
            _ => {}
        }
        // The next picture moves it to where there are rows; until then it must not run away from them.
        self.selected = self.selected.min(self.order.len().saturating_sub(1));
        None
    }

    fn confirm(&mut self, id: Arc<str>) {
        match self.peers.get(&id) {
            Some(row) => self.mode = Mode::Confirm { address: row.address.clone(), id },
            None => self.remark = Some(format!("{id} has gone already")),
        }
    }

    fn press_in_filter(&mut self, key: Key) {
        self.mode = Mode::Filter;
        match key {
            Key::Letter(letter) if self.filter.len() < LONGEST_FILTER => self.set_filter(|filter| filter.push(letter)),
            Key::Backspace => self.set_filter(|filter| {
                filter.pop();
            }),
            Key::Control('u') => self.set_filter(|filter| filter.clear()),
            Key::Enter => self.mode = Mode::Table,
            Key::Escape => {
                self.mode = Mode::Table;
                self.set_filter(|filter| filter.clear());
            }
            _ => {}
        }
    }

    fn set_filter(&mut self, change: impl FnOnce(&mut String)) {
        change(&mut self.filter);
        (self.selected, self.first, self.arranged) = (0, 0, None);
    }
}
