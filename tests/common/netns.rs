//! A network for a trial: the lab's, with the two cuts that the trials make.
//!
//! The way is cut in the router, and no link is taken down: at the end of a veth pair that would
//! lose the carrier at the other end, and the server's kernel would take its own retransmissions
//! for local congestion.

use std::io;
use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use stillthere::lab::stage::namespaces::{ip, sweep};
use stillthere::lab::stage::network::{self, Between, Family};
use stillthere::lab::stage::privilege;
use stillthere::lab::stage::programs::installed;

/// What a router can do with packets that it will not forward.
#[derive(Clone, Copy)]
pub enum Cut {
    /// They vanish, in both directions: nobody is told.
    BlackHole,
    /// Those to the client are answered with "host unreachable", as a router does that finds nobody at
    /// home. The other direction stays open, for that is the way of the answer.
    Unreachable,
    /// Those to the client vanish; those from it arrive.
    ToTheClient,
}

/// Three namespaces, wired. They are removed when the test ends, however that ends.
pub struct Network(network::Network);

impl Network {
    pub fn new() -> Result<Self, String> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        network::Network::build(Between::Router, Family::V4, NUMBER.fetch_add(1, Ordering::Relaxed)).map(Self)
    }

    pub fn client(&self) -> IpAddr {
        self.0.client_address
    }

    pub fn server(&self) -> IpAddr {
        self.0.server_address
    }

    /// From now on nothing gets through.
    pub fn cut(&self, how: Cut) {
        let (client, server) = (self.client(), self.server());
        let routes = match how {
            Cut::BlackHole => [client, server].map(|end| format!("route add blackhole {end}/32")).to_vec(),
            Cut::ToTheClient => vec![format!("route add blackhole {client}/32")],
            Cut::Unreachable => vec![format!("route add unreachable {client}/32")],
        };
        ip(Some(&self.0.middle), &routes).expect("the way can be cut");
    }

    /// Does something in the client's namespace. A socket stays where it was made, and can be used
    /// from outside.
    pub fn at_the_client<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        self.0.client.within(work)
    }

    /// The same command, to be run in the server's namespace.
    pub fn on_server(&self, command: &Command) -> Command {
        inside(self.0.server.name(), command)
    }

    /// The same command, to be run in the client's namespace.
    #[allow(dead_code)] // each test program uses its own part
    pub fn on_client(&self, command: &Command) -> Command {
        inside(self.0.client.name(), command)
    }
}

fn inside(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
    inside
}

/// Whether a network can be had here. Where root is wanted and this is not root, the program starts
/// itself again as the root of a user namespace, and does not come back from this call.
///
/// # Errors
/// What is missing, and what to type.
pub fn prepare() -> Result<(), String> {
    if installed("ss").is_none() {
        return Err("`ss` of iproute2 is missing: `apt install iproute2`".to_string());
    }
    privilege::obtain()?;
    for what in sweep() {
        eprintln!("removed what a killed run had left behind: {what}");
    }
    Ok(())
}
