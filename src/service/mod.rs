//! The built-in services.
#![forbid(unsafe_code)]

pub use self::discard::Discard;
pub use self::echo::Echo;
pub use self::expect::{Expect, Heard};
pub use self::heartbeat::{Ask, Heartbeat, Pulse};
pub use self::line_buffer::{LineBuffer, LineTooLong};
pub use self::ping::{PartialPing, Ping};

mod discard;
mod echo;
mod expect;
mod heartbeat;
mod line_buffer;
mod ping;
