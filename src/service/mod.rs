//! The services that are built in.

pub use self::discard::Discard;
pub use self::echo::Echo;

mod discard;
mod echo;
