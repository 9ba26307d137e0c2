//! A network for a trial: the lab's, with the two cuts that the trials make.
//!
//! The path is cut in the router, and no link is taken down: taking down one end of a veth pair takes the carrier
//! from the other end, and the server's kernel would then treat its retransmissions as refused by a
//! local queue.

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
#[allow(dead_code)] // each test program uses its own part
pub enum Cut {
    /// They are dropped silently, in both directions.
    BlackHole,
    /// Packets to the client are answered with "host unreachable", as by a router that does not find the host.
    /// The other direction stays open, because the answer takes it.
    Unreachable,
    /// Packets to the client are dropped silently; packets from it arrive.
    ToTheClient,
}

/// Three connected namespaces: server, router and client. They are removed when the test ends, even if it fails.
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

    /// Cuts the path: from now on packets are not forwarded.
    pub fn cut(&self, how: Cut) {
        let (client, server) = (self.client(), self.server());
        let routes = match how {
            Cut::BlackHole => [client, server].map(|end| format!("route add blackhole {end}/32")).to_vec(),
            Cut::ToTheClient => vec![format!("route add blackhole {client}/32")],
            Cut::Unreachable => vec![format!("route add unreachable {client}/32")],
        };
        ip(Some(&self.0.middle), &routes).expect("the path can be cut");
    }

    /// Takes back [`Cut::BlackHole`].
    #[allow(dead_code)] // each test program uses its own part
    pub fn mend(&self) {
        let routes = [self.client(), self.server()].map(|end| format!("route del blackhole {end}/32"));
        ip(Some(&self.0.middle), &routes).expect("the path can be mended");
    }

    /// Runs `work` in the client's namespace. A socket stays in the namespace in which it was created, and can be used
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

/// Checks whether networks can be created here. If the program is not run as root, it starts
/// itself again as root of a user namespace, and this call does not return.
///
/// # Errors
/// A message that says what is missing, and which command installs or allows it.
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
