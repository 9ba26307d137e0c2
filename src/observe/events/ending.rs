//! The last lines. No peer is served any more, so it may wait for a slow reader: up to a second.

use std::time::{Duration, Instant};

use log::warn;

use crate::count::so_many;
use crate::observe::event::TimeOfDay;
use crate::observe::events::Events;
use crate::observe::unblocked::takes_more;
use crate::reactor::{Ending, Turn};

/// How long it waits in all.
const PATIENCE: Duration = Duration::from_secs(1);

impl Events {
    /// Writes what waits, how many events were left out, and that the loop has ended.
    pub(super) fn end(&mut self, ending: Ending, turn: &mut Turn<'_>) {
        let until = Instant::now() + PATIENCE;
        if self.sink.is_none() {
            self.open_again(turn.now, turn.registry); // whatever the pause
        }
        let mut ending = Some(ending);
        loop {
            self.tell_left_out(&TimeOfDay::read(turn.clock));
            if self.lines.has_room()
                && let Some(ending) = ending.take()
            {
                self.lines.push(self.chronicle.stop(ending).object);
            }
            self.announced = true;
            let result = self.see(turn).and_then(|()| {
                self.ready = self.connecting.is_none();
                self.write(turn.now)
            });
            if let Err(error) = result {
                self.is_gone(&error, turn.now, turn.registry);
                break;
            }
            let left = until.saturating_duration_since(Instant::now());
            let is_done = ending.is_none() && !self.lines.wait();
            if is_done || left.is_zero() || !self.sink.as_ref().is_some_and(|sink| takes_more(sink, left)) {
                break;
            }
        }
        if let Some(sink) = self.sink.as_mut().filter(|_| self.is_talked_to && !self.lines.wait()) {
            sink.end(until, turn.scratch);
        }
        let missing = self.lines.waiting() + self.lines.left_out_now() + u64::from(ending.is_some());
        if missing > 0 {
            warn!("{} of {} never written: it did not take them", so_many(missing as usize, "event"), self.to);
        }
    }
}
