//! The network of a scene: client — router — server, or client — switch — server.
//!
//! Owns the addresses and links of a scene. Does not know what will be broken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::lab::stage::namespaces::{Namespace, ip};

/// Which internet protocol the client and the server speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    V4,
    V6,
}

impl Family {
    /// The length of a network's prefix.
    fn prefix(self) -> u8 {
        if self == Self::V4 { 24 } else { 64 }
    }

    /// Addresses that are reserved for documentation (RFC 5737, RFC 3849): the server, its neighbour, and
    /// a client on another network.
    fn addresses(self) -> [IpAddr; 3] {
        match self {
            Self::V4 => [[203, 0, 113, 2], [203, 0, 113, 9], [198, 51, 100, 2]].map(|v4| Ipv4Addr::from(v4).into()),
            Self::V6 => [[0x113, 2], [0x113, 9], [0x100, 2]]
                .map(|[net, host]| Ipv6Addr::new(0x2001, 0xdb8, 0, net, 0, 0, 0, host).into()),
        }
    }
}

/// The interface of the client and of the server, each in its namespace.
pub const INTERFACE: &str = "eth0";

/// What connects the client and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// A router: they are on different networks.
    Router,
    /// A switch: they are neighbours, and find each other by ARP, or by IPv6's neighbour discovery.
    Switch,
}

/// Three namespaces and their links. In the middle one, each link is named after the host at its other end.
#[derive(Debug)]
pub struct Network {
    pub client: Namespace,
    pub middle: Namespace,
    pub server: Arc<Namespace>,
    pub family: Family,
    pub client_address: IpAddr,
    pub server_address: IpAddr,
}

impl Network {
    /// # Errors
    /// A sentence: what `ip` said.
    pub fn build(between: Between, family: Family, number: usize) -> Result<Self, String> {
        let client = Namespace::make(number, "client")?;
        let [server_address, neighbour, far] = family.addresses();
        let network = Self {
            middle: Namespace::make(number, if between == Between::Router { "router" } else { "switch" })?,
            server: Arc::new(client.make_small(number, "server")?),
            client,
            family,
            client_address: if between == Between::Router { far } else { neighbour },
            server_address,
        };
        if family == Family::V6 {
            for namespace in [&network.client, &network.middle, &*network.server] {
                // No duplicate address detection, which would delay addresses, and no router discovery.
                for (setting, value) in [("accept_dad", 0), ("accept_ra", 0), ("disable_ipv6", 0)] {
                    namespace.set(&format!("ipv6/conf/default/{setting}"), value)?;
                }
            }
        }
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
        match self.family {
            Family::V4 => {
                // If a fault removes the route back to a host, a reverse-path filter would also drop that host's packets.
                self.middle.set("ipv4/conf/all/rp_filter", 0)?;
                self.middle.set("ipv4/conf/client/rp_filter", 0)?;
                self.middle.set("ipv4/conf/server/rp_filter", 0)?;
                self.middle.set("ipv4/ip_forward", 1)?;
            }
            Family::V6 => self.middle.set("ipv6/conf/all/forwarding", 1)?,
        }
        let links = ["client", "server"].map(|name| format!("link set {name} up"));
        let ends = [("client", self.client_address), ("server", self.server_address)];
        let addresses = ends.map(|(name, end)| self.address(gateway(end), name));
        ip(Some(&self.middle), &[addresses, links].concat())?;
        for (end, address) in [(&self.client, self.client_address), (&*self.server, self.server_address)] {
            self.connect(end, address, Some(gateway(address)))?;
        }
        Ok(())
    }

    fn switch(&self) -> Result<(), String> {
        let bridge = ["link add switch type bridge forward_delay 0 stp_state 0 mcast_snooping 0", "link set switch up"];
        let ports = ["client", "server"].map(|port| format!("link set {port} master switch up"));
        let lines = bridge.into_iter().map(str::to_string).chain(ports).collect::<Vec<_>>();
        ip(Some(&self.middle), &lines)?;
        self.connect(&self.client, self.client_address, None)?;
        self.connect(&self.server, self.server_address, None)
    }

    fn connect(&self, end: &Namespace, address: IpAddr, gateway: Option<IpAddr>) -> Result<(), String> {
        let up = ["lo", INTERFACE].map(|link| format!("link set {link} up"));
        let route = gateway.map(|gateway| format!("route add default via {gateway}"));
        let lines = [self.address(address, INTERFACE)].into_iter().chain(up).chain(route);
        ip(Some(end), &lines.collect::<Vec<_>>())
    }

    fn address(&self, address: IpAddr, link: &str) -> String {
        // nodad: duplicate address detection would keep the address unusable for a second.
        let nodad = if self.family == Family::V6 { " nodad" } else { "" };
        format!("address add {address}/{} dev {link}{nodad}", self.family.prefix())
    }
}

/// The first address of the network of a host.
fn gateway(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff | 1).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !0xffff | 1).into(),
    }
}
