//! client — router — server, or client — switch — server.
//!
//! Owns the addresses and links of a scene. Knows not what will be broken.

use std::net::Ipv4Addr;

use crate::lab::namespaces::{Namespace, ip};

/// Addresses that are kept free for documentation (RFC 5737).
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
const FAR_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

/// The interface of the client and of the server, each in its namespace.
pub const INTERFACE: &str = "eth0";

/// What stands between the client and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// A router: they are on different networks.
    Router,
    /// A switch: they are neighbours, and find each other by ARP.
    Switch,
}

/// Three namespaces and their links. The links are named after whom they lead to.
#[derive(Debug)]
pub struct Network {
    pub client: Namespace,
    pub middle: Namespace,
    pub server: Namespace,
    pub client_address: Ipv4Addr,
    pub server_address: Ipv4Addr,
}

impl Network {
    /// # Errors
    /// A sentence: what `ip` said.
    pub fn build(between: Between, number: usize) -> Result<Self, String> {
        let client = Namespace::make(number, "client")?;
        let network = Self {
            middle: Namespace::make(number, if between == Between::Router { "router" } else { "switch" })?,
            server: client.make_small(number, "server")?,
            client,
            client_address: if between == Between::Router { FAR_CLIENT } else { NEIGHBOUR },
            server_address: SERVER,
        };
        let middle = network.middle.name();
        let cable = |end: &str, name: &str| {
            format!("link add name {INTERFACE} netns {end} type veth peer name {name} netns {middle}")
        };
        ip(None, &[cable(network.client.name(), "client"), cable(network.server.name(), "server")])?;
        match between {
            Between::Router => network.route(),
            Between::Switch => network.switch(),
        }?;
        Ok(network)
    }

    fn route(&self) -> Result<(), String> {
        // A reverse-path filter would drop on the way in what a fault drops on the way out.
        self.middle.set("ipv4/conf/all/rp_filter", 0)?;
        self.middle.set("ipv4/conf/client/rp_filter", 0)?;
        self.middle.set("ipv4/conf/server/rp_filter", 0)?;
        self.middle.set("ipv4/ip_forward", 1)?;
        let gateway = |address: Ipv4Addr| Ipv4Addr::from_bits(address.to_bits() & !255 | 1);
        let link = |name: &str, address: Ipv4Addr| {
            [format!("address add {}/24 dev {name}", gateway(address)), format!("link set {name} up")]
        };
        let links = [link("client", self.client_address), link("server", self.server_address)].concat();
        ip(Some(&self.middle), &links)?;
        for (end, address) in [(&self.client, self.client_address), (&self.server, self.server_address)] {
            connect(end, address, Some(gateway(address)))?;
        }
        Ok(())
    }

    fn switch(&self) -> Result<(), String> {
        let bridge = ["link add switch type bridge forward_delay 0 stp_state 0", "link set switch up"];
        let ports = ["client", "server"].map(|port| format!("link set {port} master switch up"));
        let lines = bridge.into_iter().map(str::to_string).chain(ports).collect::<Vec<_>>();
        ip(Some(&self.middle), &lines)?;
        connect(&self.client, self.client_address, None)?;
        connect(&self.server, self.server_address, None)
    }
}

fn connect(end: &Namespace, address: Ipv4Addr, gateway: Option<Ipv4Addr>) -> Result<(), String> {
    let mut lines = vec![
        "link set lo up".to_string(),
        format!("address add {address}/24 dev {INTERFACE}"),
        format!("link set {INTERFACE} up"),
    ];
    lines.extend(gateway.map(|gateway| format!("route add default via {gateway}")));
    ip(Some(end), &lines)
}
