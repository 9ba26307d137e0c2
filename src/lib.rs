//! A TCP server that always knows who is still there: one thread, one loop, one cache line a peer,
//! and no dead peer past the deadline that you set.
//!
//! # One turn
//!
//! ```text
//!   wait ──▶ latch ──▶ drive ──▶ accept ──▶ expire ──▶ carry out ──▶ reap ──▶ again
//!    │         │         │          │          │           │           │
//!    │         │         │          │          │           │           └ free what has ended; a few, closing is expensive
//!    │         │         │          │          │           └ what services ordered for other peers; a part of it
//!    │         │         │          │          └ user-space deadlines: which peers were silent?
//!    │         │         │          └ after I/O, because slots may have come free
//!    │         │         └ every peer that can make progress, each within its budget
//!    │         └ remember what the kernel announced; nothing is done yet
//!    └ the only thing that blocks
//! ```
//!
//! # How to read the source
//!
//! 1. [`reactor`]: `Reactor::turn` is the diagram above. Then its `source.rs`: what a turn drives.
//! 2. `reactor/port.rs`: a listener, its peers and their service; `acceptor.rs`: what each error of
//!    accept(2) means.
//! 3. `reactor/connection.rs`: one peer; `readiness.rs`: the latch; `departure.rs`: why it ended.
//! 4. [`keepalive`]: the deadline's arithmetic, and `reactor/watch.rs`: the deadline while output is
//!    outstanding, when keepalive stands aside.
//! 5. [`service`]: what to do with the bytes, and with silence: heartbeats. [`serve`], [`cli`]: from
//!    a command line to a loop.
//! 6. `plan.rs`: what a deadline costs and risks; `keepalive/odds.rs`: the odds behind that.
//!
//! # Your own server
//!
//! ```
//! use stillthere::reactor::{Listen, Peer, Reactor, Service};
//!
//! /// Counts, for each peer, how many bytes it has sent.
//! struct Count;
//!
//! impl Service for Count {
//!     type State = usize;
//!
//!     fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> usize {
//!         peer.send(b"send me something\n");
//!         0
//!     }
//!
//!     fn received(&mut self, peer: &mut Peer<'_, usize>, bytes: &[u8]) {
//!         *peer.state += bytes.len();
//!         let answer = format!("{} bytes so far\n", peer.state);
//!         peer.send(answer.as_bytes());
//!     }
//! }
//!
//! let mut reactor = Reactor::new(1000)?; // connections at most
//! let listening = reactor.listen(Listen::on("127.0.0.1:0".parse()?), Count)?;
//! println!("listening on {}", listening.address);
//! // reactor.run()?; // until a signal, if obey_signals() was called; else for ever
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A service that reaches other peers names them by their [`PeerId`](reactor::PeerId) and gives
//! [`Orders`](reactor::Orders): `examples/chat.rs` is one, in 77 lines.
#![deny(unsafe_code)] // allowed in sockopt.rs, malloc.rs and the lab's packet_socket.rs

pub mod cli;
mod count;
mod descriptors;
pub mod keepalive;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "load")]
pub mod load;
mod machine;
mod malloc;
#[cfg(any(feature = "lab", feature = "load", feature = "plan"))]
pub mod markup;
pub mod observe;
pub mod place;
#[cfg(feature = "plan")]
pub mod plan;
pub mod reactor;
mod scatter;
mod seconds;
pub mod serve;
pub mod service;
mod sockopt;
#[cfg(any(feature = "lab", feature = "load"))]
pub mod speak;
mod sysctl;
pub mod tcp_info;
pub use self::reactor::testing;

/// The README's examples are compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
