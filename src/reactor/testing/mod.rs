//! Tests of your own service.
//!
//! [`Stage`] serves scripted peers by the very code that serves real ones, in scripted time and without a socket: a test says
//! what a peer sends, how much it takes and when its cable is pulled, and asks what the service has sent and why a peer has
//! departed. Hours pass in an instant. [`Running`] is a loop on real sockets that a test can stop.
//!
//! ```
//! use std::time::Duration;
//! use stillthere::reactor::{Departure, Peer, Service};
//! use stillthere::testing::Stage;
//!
//! /// Lets go of a peer that says nothing for a minute.
//! struct Minute;
//!
//! impl Service for Minute {
//!     type State = ();
//!     fn arrived(&mut self, peer: &mut Peer<'_, ()>) {
//!         peer.wake_after(Duration::from_secs(60));
//!     }
//!     fn received(&mut self, peer: &mut Peer<'_, ()>, bytes: &[u8]) {
//!         peer.send(bytes);
//!         peer.wake_after(Duration::from_secs(60));
//!     }
//!     fn woken(&mut self, peer: &mut Peer<'_, ()>) {
//!         peer.let_go();
//!     }
//! }
//!
//! let mut stage = Stage::new(Minute);
//! let peer = stage.arrive();
//! stage.wait(Duration::from_secs(59));
//! stage.send(peer, b"hello");
//! assert_eq!(stage.received(peer), b"hello");
//! stage.wait(Duration::from_secs(59));
//! assert_eq!(stage.departure(peer), None);
//! stage.wait(Duration::from_secs(2));
//! assert_eq!(stage.departure(peer), Some(Departure::Unresponsive));
//! ```

pub use self::running::Running;
pub use self::stage::Stage;

mod running;
mod scripted_port;
mod shared;
mod stage;
mod wire;
