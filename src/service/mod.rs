//! The built-in services.
#![forbid(unsafe_code)]

pub use self::discard::Discard;
pub use self::echo::Echo;
pub use self::expect::{Expect, Heard};
pub use self::heartbeat::{Ask, Heartbeat, Pulse};
pub use self::line_buffer::{LineBuffer, LineTooLong};
pub use self::ping::{PartialPing, Ping};

/// The calls that a service which wraps another one passes on as they are: those that concern no state of a peer.
macro_rules! passed_on {
    () => {
        fn looked(&mut self, look: &$crate::reactor::Look, orders: &mut $crate::reactor::Orders) {
            self.inner.looked(look, orders);
        }

        fn unreachable(&mut self, attempt: &$crate::reactor::Attempt<'_>, orders: &mut $crate::reactor::Orders) {
            self.inner.unreachable(attempt, orders);
        }

        fn observed(&mut self, news: &[$crate::reactor::News], orders: &mut $crate::reactor::Orders) {
            self.inner.observed(news, orders);
        }

        fn turned(&mut self, times: &$crate::reactor::TurnTimes, orders: &mut $crate::reactor::Orders) {
            self.inner.turned(times, orders);
        }

        fn counted(
            &mut self,
            figures: &$crate::reactor::Figures,
            asker: Option<$crate::reactor::PeerId>,
            orders: &mut $crate::reactor::Orders,
        ) {
            self.inner.counted(figures, asker, orders);
        }

        fn deadline(&self) -> Option<$crate::reactor::Moment> {
            self.inner.deadline()
        }

        fn expired(&mut self, now: $crate::reactor::Moment, orders: &mut $crate::reactor::Orders) {
            self.inner.expired(now, orders);
        }

        fn called(&mut self, orders: &mut $crate::reactor::Orders) -> bool {
            self.inner.called(orders)
        }

        fn save_service(&self) -> Result<$crate::reactor::Saved, $crate::reactor::CannotSave> {
            self.inner.save_service()
        }

        fn restore_service(&mut self, saved: &$crate::reactor::Saved) -> Result<(), $crate::reactor::CannotRestore> {
            self.inner.restore_service(saved)
        }

        fn reason(&self, reason: $crate::reactor::Reason) -> &'static str {
            self.inner.reason(reason)
        }
    };
}

mod discard;
mod echo;
mod expect;
mod heartbeat;
mod line_buffer;
mod ping;
