//! Something for each client that waits for it.
//!
//! Owns nothing but the list. There are 64 clients at most, so it is searched; a tree would be 8 kB of code for each kind of thing.

use crate::reactor::PeerId;

/// Something for each of those who have asked.
#[derive(Debug)]
pub(super) struct ByAsker<T>(Vec<(PeerId, T)>);

impl<T> Default for ByAsker<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByAsker<T> {
    /// Instead of what there was for this one.
    pub(super) fn insert(&mut self, asker: PeerId, thing: T) {
        self.remove(asker);
        self.0.push((asker, thing));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn remove(&mut self, asker: PeerId) -> Option<T> {
        let at = self.0.iter().position(|(other, _)| *other == asker)?;
        Some(self.0.swap_remove(at).1)
    }
}
