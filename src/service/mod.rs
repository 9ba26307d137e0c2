//! The services that are built in.
#![forbid(unsafe_code)]

pub use self::discard::Discard;
pub use self::echo::Echo;

mod discard;
mod echo;
