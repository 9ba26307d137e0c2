//! A TCP server that always knows who is still there: one thread, one loop, one cache line a peer,
//! and no dead peer past the deadline that you set.
//!
//! # A server in ten lines
//!
//! ```no_run
//! use std::time::Duration;
//! use stillthere::keepalive::Keepalive;
//! use stillthere::reactor::{Listen, Reactor};
//! use stillthere::service::Echo;
//!
//! let mut reactor = Reactor::new(10_000)?; // connections at most; the descriptor limit is raised
//! let keepalive = Keepalive::with_deadline(Duration::from_secs(10))?; // a silent peer is gone after this
//! let listen = Listen::on("127.0.0.1:7007".parse()?).keepalive(keepalive);
//! println!("listening on {}", reactor.listen(listen, Echo)?.address);
//! reactor.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The deadline holds in every state of TCP, also with data unacknowledged or the window shut, where keepalive sends no
//! probes: the loop sees to that.
//!
//! Here an answer is in flight when the cable is cut (`stillthere lab run in-flight/black-hole`, with a deadline of 5 s):
//!
//! <div>
#![doc = include_str!("../docs/in-flight.svg")]
//! </div>
//!
//! # A service of your own
//!
//! What is done with the bytes is a [`Service`](reactor::Service). One value serves all peers of a port on one thread, so it
//! needs no locks; what it remembers of each peer is its `State`.
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
//! let mut reactor = Reactor::new(1000)?;
//! let listening = reactor.listen(Listen::on("127.0.0.1:0".parse()?), Count)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | what you want | where it is | example |
//! |---|---|---|
//! | reach other peers: send, close, look at | [`Peer::id`](reactor::Peer::id), [`Orders`](reactor::Orders) | `chat.rs` |
//! | know how long a peer's kernel has been silent | [`Peer::silent`](reactor::Peer::silent), [`Orders::look_at`](reactor::Orders::look_at) | `presence.rs` |
//! | come back to a peer from a call that is not for it | [`Orders::call_for`](reactor::Orders::call_for), [`Service::called_for`](reactor::Service::called_for) | |
//! | a time-out for each peer | [`Peer::wake_at`](reactor::Peer::wake_at), [`Service::woken`](reactor::Service::woken) | `timeouts.rs` |
//! | a timer of the service | [`Service::deadline`](reactor::Service::deadline), [`Service::expired`](reactor::Service::expired) | |
//! | end a peer for a reason of your own | [`Reason`](reactor::Reason), [`Peer::let_go_for`](reactor::Peer::let_go_for) | `timeouts.rs` |
//! | connect to an upstream | [`Connect`](reactor::Connect), [`Orders::connect`](reactor::Orders::connect), [`Reactor::connect`](reactor::Reactor::connect) | `forward.rs` |
//! | call the loop from another thread | [`Handle`](reactor::Handle), [`Mailbox`](reactor::Mailbox) | |
//! | own the loop yourself | [`Reactor::turn_within`](reactor::Reactor::turn_within) | |
//! | wait for something that is no stream | [`Source`](reactor::Source) | |
//! | be told what happens to all peers | [`Orders::observe`](reactor::Orders::observe), [`Service::observed`](reactor::Service::observed) | |
//! | look at all peers, page by page | [`Orders::look_onwards`](reactor::Orders::look_onwards) | |
//! | figures, histograms, the detection latency | [`Orders::count`](reactor::Orders::count), [`Reactor::figures`](reactor::Reactor::figures) | |
//! | a port for operators, with its own room | [`Listen::apart`](reactor::Listen::apart), [`Listen::at_path`](reactor::Listen::at_path) | |
//! | hand a peer over to another loop | [`Reactor::release`](reactor::Reactor::release), [`Service::save`](reactor::Service::save) | |
//! | go on in another program, with all peers | [`upgrade`], [`Service::save`](reactor::Service::save), [`Service::restore`](reactor::Service::restore) | `upgraded.rs` |
//! | test a service without a socket | [`testing::Stage`] | `tested.rs` |
//!
//! # Features
//!
//! Without any, the crate is the library alone. `observe`: services can be told of all peers, look at them, and ask for figures
//! ([`Orders`](reactor::Orders), `Orders::observe`); without it, nothing is collected. `signals`: SIGTERM and SIGINT stop the loop ([`Signals`](reactor), on by
//! `Reactor::obey_signals`). `upgrade`: another program goes on with the loop and all of its peers. `serve`, `lab`, `load`, `plan` add the program `stillthere`, which is no part of the library's
//! interface; they are on by default.
//!
//! # What to know about the loop
//!
//! ```text
//!   wait ──▶ latch ──▶ drive ──▶ accept ──▶ expire ──▶ carry out ──▶ reap ──▶ again
//!    │         │         │          │          │           │           │
//!    │         │         │          │          │           │           └ free what has ended; a few, closing is expensive
//!    │         │         │          │          │           └ what services ordered for other peers; a part of it
//!    │         │         │          │          └ deadlines that the loop keeps: which peers were silent?
//!    │         │         │          └ after I/O, because slots may have come free
//!    │         │         └ every peer that can make progress, each within its budget
//!    │         └ remember what the kernel announced; nothing is done yet
//!    └ the only thing that blocks
//! ```
//!
//! - **Edge-triggered.** mio registers with `EPOLLET`: the kernel announces a change once. It saves a system call for each
//!   peer that has more input than one turn may read, and asks for care: what was announced is latched
//!   ([`Readiness`](reactor::Readiness)) until a system call has shown that it is used up.
//! - **`now` and `clock`.** [`Turn::now`](reactor::Turn::now) is when the turn woke; all decisions of a turn use one time, and
//!   reading the clock costs. [`Turn::heard`](reactor::Turn::heard) is the moment up to which everything that came was read:
//!   silence is judged by it, so that a loop that was stopped drops nobody whom it has not heard yet.
//!   [`Turn::clock`](reactor::Turn::clock) is read where the middle of a turn matters.
//! - **`arrived` comes before anything was read.** The peer may have sent its first bytes already; they come in `received`.
//! - **Backpressure.** While output waits for a peer, nothing more is read from it.
//!
//! # How to read the source
//!
//! | pattern | file |
//! |---|---|
//! | one turn of an event loop | `reactor/turn.rs` |
//! | accept until EAGAIN; what each error of accept(2) means | `reactor/arriving/acceptor.rs` |
//! | non-blocking connect, back-off, jitter | `reactor/arriving/dialer.rs`, `reactor/serving/connect.rs` |
//! | a readiness latch for edge-triggered epoll | `reactor/connection/readiness.rs` |
//! | a state machine for one connection | `reactor/connection/mod.rs` |
//! | bounded output, partial writes | `reactor/connection/writing.rs`, `outbox.rs` |
//! | a slab with ids that are never used again | `reactor/peers/table.rs`, `reactor/peer_id.rs` |
//! | an intrusive queue | `reactor/peers/queue.rs` |
//! | timers at any distance in constant time (radix heap) | `reactor/time/agenda.rs` |
//! | the deadline while output is outstanding | `reactor/time/watch.rs`, `keepalive/owing/` |
//! | the arithmetic of keepalive | [`keepalive`] |
//! | waking a loop from other threads, coalesced | `reactor/handle.rs` |
//! | limits: peers, addresses, memory | `reactor/limits/` |
//! | observing a loop that costs nothing while nobody looks | `reactor/observing/`, `reactor/awake.rs` |
//! | a program that becomes the next one, and keeps its sockets | `upgrade/`, `reactor/upgrading.rs`, `reactor/state/` |
//! | a service with heartbeats | [`service`] |
#![warn(missing_debug_implementations, missing_docs, unreachable_pub)]
#![deny(unsafe_code)] // allowed in confine/landlock.rs, sockopt.rs, malloc.rs, inherited.rs, upgrade/child.rs and the lab's packet_socket.rs

pub use self::reactor::testing;
// Types of these crates are in the interface: a source registers with mio's `Registry`, and `Keepalive::apply` takes a
// `SockRef`.
pub use {mio, socket2};

pub mod keepalive;
pub mod reactor;
pub mod service;
pub mod tcp_info;
#[cfg(feature = "upgrade")]
pub mod upgrade;

#[cfg(feature = "sandbox")]
mod confine;
mod count;
mod descriptors;
#[cfg(any(feature = "notify", feature = "upgrade"))]
#[allow(dead_code)]
mod inherited;
mod machine;
mod malloc;
mod scatter;
mod seconds;
mod sockopt;
mod sysctl;
mod told;

// The rooms of the program. They are public for `main.rs` and the tests, and no part of the library's interface.
#[cfg(feature = "admin")]
#[doc(hidden)]
pub mod admin_place;
#[cfg(feature = "admin")]
#[doc(hidden)]
pub mod ask;
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "lab")]
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub mod lab;
#[cfg(feature = "load")]
#[doc(hidden)]
pub mod load;
#[cfg(any(feature = "admin", feature = "events", feature = "lab", feature = "load", feature = "plan"))]
#[doc(hidden)]
pub mod markup;
#[cfg(feature = "serve")]
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub mod observe;
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod place;
#[cfg(feature = "plan")]
#[doc(hidden)]
pub mod plan;
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod serve;
#[cfg(any(feature = "lab", feature = "load"))]
#[doc(hidden)]
pub mod speak;
#[cfg(feature = "notify")]
#[doc(hidden)]
pub mod supervision;

/// The README's examples are compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
