//! A supervisor that hears what it is told, and a place for its socket.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, again};

/// Its socket is removed with it.
pub struct Supervisor {
    socket: UnixDatagram,
    /// What NOTIFY_SOCKET is.
    pub name: String,
    path: Option<PathBuf>,
}

/// A path that nobody else uses.
pub fn path(what: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("stillthere-{what}-{}-{number}", process::id()))
}

impl Supervisor {
    pub fn at_a_path() -> Self {
        let path = path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        Self { socket, name: path.display().to_string(), path: Some(path) }
    }

    pub fn by_an_abstract_name() -> Self {
        let name = path("notify").display().to_string();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).expect("a socket can be made");
        Self { socket, name: format!("@{name}"), path: None }
    }

    /// The next message, and when it came.
    pub fn hears(&self) -> (Instant, String) {
        self.hears_within(PATIENCE).expect("the server tells something")
    }

    pub fn hears_within(&self, patience: Duration) -> Option<(Instant, String)> {
        let mut buffer = [0; 4096];
        again::has_more(&self.socket, patience).then(|| {
            let length = self.socket.recv(&mut buffer).unwrap();
            (Instant::now(), String::from_utf8(buffer[..length].to_vec()).unwrap())
        })
    }

    /// The next message begins so.
    pub fn expects(&self, beginning: &str) -> String {
        let (_, told) = self.hears();
        assert!(told.starts_with(beginning), "{beginning:?} was expected, and it told {told:?}");
        told
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.path.iter().for_each(|path| drop(std::fs::remove_file(path)));
    }
}
