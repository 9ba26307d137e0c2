//! What can be seen of a server from outside: its peers with their names, and what the admin port counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use crate::common::http::{get, samples};

/// What the server says of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub id: String,
    pub connected: u64,
    pub bytes_in: u64,
}

/// All peers, by their addresses.
pub fn peers(admin: SocketAddr) -> BTreeMap<SocketAddr, Known> {
    let mut peers = BTreeMap::new();
    let mut path = "/peers?limit=1000".to_string();
    loop {
        let page: Value = serde_json::from_str(&get(admin, &path)).expect("a page is JSON");
        for peer in page["peers"].as_array().expect("a list") {
            let text = |name: &str| peer[name].as_str().unwrap_or_default().to_string();
            let number = |name: &str| peer[name].as_u64().unwrap_or_default();
            let known = Known { id: text("id"), connected: number("connected_ms"), bytes_in: number("bytes_in") };
            peers.insert(text("peer").parse().expect("an address"), known);
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/peers?limit=1000&after={next}"),
            None => return peers,
        }
    }
}

/// `/upgrade`.
pub fn upgrade(admin: SocketAddr) -> Value {
    serde_json::from_str(&get(admin, "/upgrade")).expect("it is JSON")
}

/// A sample of `/metrics`.
pub fn metric(admin: SocketAddr, name: &str) -> f64 {
    let samples = samples(&get(admin, "/metrics"));
    *samples.get(name).unwrap_or_else(|| panic!("there is no {name}"))
}
