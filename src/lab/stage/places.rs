//! How many scenes may set up at a time.
//!
//! Setting up a scene runs a dozen programs, watching it takes nearly nothing: on a slow machine, scenes that are being set up
//! would delay the measurements of others. Owns the count of free places, and knows nothing of a scene.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(in crate::lab) struct Places {
    free: Mutex<usize>,
    left: Condvar,
}

/// A place on the stage. It is free again when this is dropped.
#[derive(Debug)]
pub(in crate::lab) struct FreePlace<'a>(&'a Places);

impl Places {
    pub(in crate::lab) fn new(places: usize) -> Self {
        Self { free: Mutex::new(places), left: Condvar::new() }
    }

    /// Waits until a place is free.
    pub(in crate::lab) fn enter(&self) -> FreePlace<'_> {
        let free = self.left.wait_while(self.free(), |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        FreePlace(self)
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FreePlace<'_> {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn no_more_enter_than_there_are_places() {
        let (stage, on_it, most) = (Places::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _place = stage.enter();
                    most.fetch_max(on_it.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(5));
                    on_it.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(*stage.free(), 2);
    }
}
