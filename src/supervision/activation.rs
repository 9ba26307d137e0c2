//! Sockets that a supervisor has opened for us (sd_listen_fds(3)): descriptors from 3 on, LISTEN_FDS of them, for the process
//! LISTEN_PID, with names in LISTEN_FDNAMES.
//!
//! Owns what each of them is good for: a TCP listener serves peers, a unix socket or one with the name `admin` is the admin port, and
//! what cannot be used is said. Knows nothing of where the server is to listen.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;

use socket2::{Domain, SockRef, Type};

use crate::inherited;

/// The first descriptor that is passed on (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;
/// The name of a socket that is the admin port, whatever its kind.
const ADMIN: &str = "admin";
/// Under this name the supervisor keeps what [`store`](crate::supervision::store) has given to it.
pub(super) const STORED: &str = "stillthere-peers";

/// What was passed on to this process.
#[derive(Debug, Default)]
pub struct Passed {
    listeners: Vec<Listener>,
    /// All that were passed on to this process, whichever program it was: where, and whether it is the admin port.
    known: Vec<(At, bool)>,
    /// The supervisor has kept these for the program that was there before.
    pub(super) stored: Vec<OwnedFd>,
    /// What is to be said about them, once there is a log: see [`Passed::take_complaints`].
    complaints: Vec<String>,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// TCP.
    Address(SocketAddr),
    /// A socket of the file system.
    Path(PathBuf),
}

impl From<&SocketAddr> for At {
    fn from(address: &SocketAddr) -> Self {
        Self::Address(*address)
    }
}

impl From<&Path> for At {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_path_buf())
    }
}

/// One that was passed on.
#[derive(Debug)]
struct Listener {
    name: String,
    at: At,
    is_admin: bool,
    socket: OwnedFd,
}

impl Passed {
    /// Takes over what the environment says. To be called once, at the very beginning, before anything else opens descriptors, which
    /// would get the numbers of those that are said to be there and are not.
    pub fn from_environment() -> Self {
        let mut passed = Self::default();
        for (number, name) in announced(&|name| env::var_os(name), process::id(), &mut passed.complaints) {
            let socket = inherited::take(number);
            if let Err(because) = socket.map_err(|error| error.to_string()).and_then(|socket| passed.add(&name, socket))
            {
                passed.complaints.push(format!("{} is not used: {because}", Named(number, &name)));
            }
        }
        passed
    }

    fn add(&mut self, name: &str, socket: OwnedFd) -> Result<(), String> {
        if name == STORED {
            self.stored.push(socket);
            return Ok(());
        }
        let at = listens_at(&SockRef::from(&socket))?;
        let is_admin = name == ADMIN || matches!(at, At::Path(_));
        self.known.push((at.clone(), is_admin));
        self.listeners.push(Listener { name: name.to_string(), at, is_admin, socket });
        Ok(())
    }

    /// The supervisor has kept something for the program that was there before.
    #[cfg(feature = "upgrade")]
    pub(crate) fn has_stored(&self) -> bool {
        !self.stored.is_empty()
    }

    /// What could not be used, in sentences.
    pub fn take_complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    /// The addresses at which peers are to be served, if nothing else is said.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.known.iter().filter_map(|(at, is_admin)| match at {
            At::Address(address) if !is_admin => Some(*address),
            _ => None,
        });
        addresses.collect()
    }

    /// Where the admin port is to be, if nothing else is said.
    pub fn admin(&self) -> Option<&At> {
        self.known.iter().find(|(_, is_admin)| *is_admin).map(|(at, _)| at)
    }

    /// Somebody else has opened it, who removes its file, too.
    pub fn is_of_the_supervisor(&self, at: &At) -> bool {
        self.known.iter().any(|(known, _)| is_same(known, at))
    }

    /// What the next program of this process has to know: it goes on with the sockets, but is not told of them by the environment.
    pub fn save(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (at, is_admin) in &self.known {
            text.push(if *is_admin { b'a' } else { b'p' });
            match at {
                At::Address(address) => text.extend_from_slice(address.to_string().as_bytes()),
                At::Path(path) => text.extend_from_slice(path.as_os_str().as_bytes()),
            }
            text.push(0);
        }
        text
    }

    /// What the program before has saved.
    pub fn of_the_program_before(saved: &[u8]) -> Self {
        let mut passed = Self::default();
        for entry in saved.split(|byte| *byte == 0) {
            let Some((kind, place)) = entry.split_first() else { continue };
            let at = match std::str::from_utf8(place).ok().and_then(|place| place.parse().ok()) {
                Some(address) => At::Address(address),
                None => At::Path(OsStr::from_bytes(place).into()),
            };
            passed.known.push((at, *kind == b'a'));
        }
        passed
    }

    /// The listener at this address or path, once.
    pub fn take(&mut self, at: &At, is_admin: bool) -> Option<OwnedFd> {
        let found =
            self.listeners.iter().position(|listener| listener.is_admin == is_admin && is_same(&listener.at, at))?;
        Some(self.listeners.swap_remove(found).socket)
    }

    /// Those that nobody has taken are closed here; whoever has passed them on has them still. A sentence for each.
    pub fn close_the_others(&mut self) -> Vec<String> {
        let sentence = |Listener { name, at, is_admin, .. }: Listener| {
            let because = match (is_admin, at) {
                (true, _) if cfg!(not(feature = "admin")) => "this program was built without an admin port",
                (true, _) => "the admin port is elsewhere (--admin)",
                (false, _) => "it is not among the addresses to listen on",
            };
            format!("the socket {name} was passed on, and is not used: {because}")
        };
        std::mem::take(&mut self.listeners).into_iter().map(sentence).collect()
    }
}

/// IPv6 addresses have a flow label, too, which says nothing about where.
fn is_same(one: &At, other: &At) -> bool {
    match (one, other) {
        (At::Address(SocketAddr::V6(one)), At::Address(SocketAddr::V6(other))) => {
            (one.ip(), one.port(), one.scope_id()) == (other.ip(), other.port(), other.scope_id())
        }
        _ => one == other,
    }
}

/// Where a socket listens, or why it is of no use.
fn listens_at(socket: &SockRef<'_>) -> Result<At, String> {
    let told = |error: io::Error| format!("it is no socket that can be asked what it is: {error}");
    let kind = socket.r#type().map_err(told)?;
    if kind != Type::STREAM {
        let kind = match kind {
            Type::DGRAM => "datagrams",
            Type::SEQPACKET => "packets",
            _ => "something else",
        };
        return Err(format!("it is a socket for {kind}; a stream is wanted (ListenStream=)"));
    }
    if !socket.is_listener().map_err(told)? && socket.peer_addr().is_ok() {
        return Err("it is a connection, and no listener; use Accept=no".to_string());
    }
    let address = socket.local_addr().map_err(told)?;
    match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) => Ok(At::Address(address)),
        (None, Some(path)) => Ok(At::Path(path.to_path_buf())),
        (None, None) if address.domain() == Domain::UNIX => {
            Err("it has no path in the file system; give ListenStream= one that begins with /".to_string())
        }
        (None, None) => Err("it is neither TCP nor a socket of the file system".to_string()),
    }
}

/// What the environment says is there: numbers and names.
fn announced(
    environment: &dyn Fn(&str) -> Option<OsString>,
    own: u32,
    complaints: &mut Vec<String>,
) -> Vec<(RawFd, String)> {
    let text = |name| environment(name).map(|value| value.to_string_lossy().into_owned());
    let Some(count) = text("LISTEN_FDS") else { return Vec::new() };
    match text("LISTEN_PID") {
        Some(pid) if pid.parse() == Ok(own) => {}
        Some(pid) => {
            complaints.push(format!(
                "the sockets that LISTEN_FDS announces are not used: they are for process {pid} (LISTEN_PID), and this is \
                 {own}; a shell that starts this program must use exec"
            ));
            return Vec::new();
        }
        None => {
            complaints.push("the sockets that LISTEN_FDS announces are not used: LISTEN_PID is not set".to_string());
            return Vec::new();
        }
    }
    let count = match count.parse::<u16>() {
        Ok(count) => RawFd::from(count),
        Err(_) => {
            complaints.push(format!("no socket is taken over: LISTEN_FDS is {count:?}, which is no number"));
            return Vec::new();
        }
    };
    let names = text("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_string).chain(std::iter::repeat(String::new()));
    (FIRST..FIRST + count).zip(names).collect()
}

/// A descriptor with its name, for people.
struct Named<'a>(RawFd, &'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            "" => write!(f, "descriptor {} that was passed on", self.0),
            name => write!(f, "the socket {name} (descriptor {}) that was passed on", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn sockets_are_for_one_process() {
        let said = |variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| value.into());
            let mut complaints = Vec::new();
            let numbers = announced(&find, 7, &mut complaints);
            (numbers, complaints.concat())
        };
        let name = str::to_string;
        assert_eq!(
            said(&[("LISTEN_FDS", "3"), ("LISTEN_PID", "7"), ("LISTEN_FDNAMES", "a:admin")]),
            (vec![(3, name("a")), (4, name("admin")), (5, name(""))], String::new())
        );
        assert_eq!(said(&[("LISTEN_FDS", "0"), ("LISTEN_PID", "7")]), (vec![], String::new()));
        assert_eq!(said(&[("LISTEN_PID", "7")]), (vec![], String::new()));
        for (variables, because) in [
            (&[("LISTEN_FDS", "1"), ("LISTEN_PID", "8")][..], "they are for process 8 (LISTEN_PID), and this is 7"),
            (&[("LISTEN_FDS", "1")], "LISTEN_PID is not set"),
            (&[("LISTEN_FDS", "-1"), ("LISTEN_PID", "7")], "is no number"),
            (&[("LISTEN_FDS", "99999"), ("LISTEN_PID", "7")], "is no number"),
        ] {
            let (numbers, complaint) = said(variables);
            assert!(numbers.is_empty() && complaint.contains(because), "{complaint}");
        }
    }

    #[test]
    fn what_is_no_listener_of_a_stream_is_said() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let mut passed = Passed::default();
        let connection = TcpStream::connect(address).unwrap();
        let path = env::temp_dir().join(format!("stillthere-activation-{}", process::id()));
        let unix = UnixListener::bind(&path).unwrap();
        let _ = std::fs::remove_file(&path);
        for (socket, because) in [
            (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "it is a socket for datagrams"),
            (connection.into(), "it is a connection, and no listener"),
            (UnixStream::pair().unwrap().0.into(), "it is a connection, and no listener"),
            (std::fs::File::open("/dev/null").unwrap().into(), "it is no socket"),
        ] {
            let complaint = passed.add("x", socket).unwrap_err();
            assert!(complaint.contains(because), "{complaint}");
        }
        passed.add("", tcp.into()).unwrap();
        passed.add("anything", unix.into()).unwrap();
        assert_eq!((passed.addresses(), passed.admin()), (vec![address], Some(&At::Path(path.clone()))));
        assert!(passed.take(&At::Address(address), true).is_none(), "it is for peers");
        assert!(passed.take(&At::Address(address), false).is_some());
        assert!(passed.take(&At::Address(address), false).is_none(), "once");
        assert!(passed.close_the_others()[0].contains("the socket anything was passed on, and is not used"));
        assert!(passed.take(&At::Path(path.clone()), true).is_none());
        // The next program of this process knows where they are.
        let mut next = Passed::of_the_program_before(&passed.save());
        assert_eq!((next.addresses(), next.admin()), (vec![address], Some(&At::Path(path.clone()))));
        assert!(next.is_of_the_supervisor(&At::Path(path)) && !next.is_of_the_supervisor(&At::Path("/x".into())));
        assert!(next.take(&At::Address(address), false).is_none());
    }
}
