//! Those who start a server and look after it: systemd, or whoever speaks its protocols (sd_notify(3), sd_listen_fds(3)).
//!
//! Owns what is read of the environment for that, and what is told in return. Knows no option, and of the loop only that it has
//! sources. The protocols are so small that they are written here: a datagram with a few lines, and descriptors from 3 on. The crate
//! sd-notify takes 4 kB, no less than this, and cannot wait for room in the supervisor's queue.
//!
//! | room | what a reader finds there |
//! |---|---|
//! | `notify.rs` | what the supervisor is told: ready, stopping, a status in words |
//! | `watchdog.rs` | a source of the loop that says that it turns, where the supervisor wants to know |
//! | `activation.rs` | sockets that the supervisor has opened for us |
//! | `store.rs` | peers that the supervisor keeps while this program is started anew |
//! | `journal.rs` | whether the log goes to systemd's journal |
#![forbid(unsafe_code)]

pub mod activation;
pub mod journal;
pub mod notify;
#[cfg(feature = "upgrade")]
pub(crate) mod store;
pub mod watchdog;
