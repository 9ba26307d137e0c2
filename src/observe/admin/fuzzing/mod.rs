//! What the fuzzer tries at the admin port, and what must hold for each. `make fuzz` runs it, and a test replays the corpus.

pub use self::http::http;
pub use self::service::service;

mod http;
mod service;
