//! Sockets that a supervisor passes on (sd_listen_fds(3)): by a shell that stands for it, and by systemd-socket-activate.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Trials;
use crate::common::{PATIENCE, Server, exchange};
use crate::supervisor::path;

pub const TRIALS: Trials = &[
    ("what_is_passed_on_is_where_the_server_listens", everywhere),
    ("a_listener_that_is_passed_on_gets_our_options", options),
    ("of_several_the_given_address_is_served_and_the_others_are_said", given),
    ("sockets_for_another_process_are_not_used", foreign),
    ("a_unix_socket_is_the_admin_port_and_its_file_stays", admin),
    ("a_socket_with_the_name_admin_is_the_admin_port", admin_by_name),
    ("what_cannot_be_used_is_said_and_the_rest_is_served", unusable),
    ("descriptors_that_are_not_there_are_said", absent),
    ("an_upgrade_goes_on_with_what_was_passed_on", upgrade),
];

pub const WITH_SYSTEMD: Trials = &[("systemd_socket_activate_starts_the_server_for_the_first_peer", activate)];

/// A server that gets two descriptors, of which the second may be /dev/null. `pid` is what LISTEN_PID is.
pub fn with(first: OwnedFd, second: Option<OwnedFd>, names: &str, pid: &str, options: &[&str]) -> Command {
    let count = if second.is_some() { 2 } else { 1 };
    let script = format!(
        "exec 3<&0 {} 0</dev/null 1>/dev/null; \
         LISTEN_PID={pid} LISTEN_FDS={count} LISTEN_FDNAMES={names} exec \"$@\"",
        if second.is_some() { "4<&1" } else { "" },
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_stillthere"), "serve", "--log", "debug"]).args(options);
    command.stdin(first).stdout(second.map_or_else(Stdio::null, Stdio::from));
    command
}

fn start(first: impl Into<OwnedFd>, second: Option<OwnedFd>, names: &str, options: &[&str]) -> Server {
    Server::start_as_it_is(with(first.into(), second, names, "$$", options))
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn everywhere() {
    let ((one, first), (other, second)) = (listener(), listener());
    // Somebody who came before the server was started is served as well.
    let mut early = TcpStream::connect(first).unwrap();
    let mut server = start(one, Some(other.into()), "peers:more", &[]);
    assert_eq!(server.addresses, [first, second]);
    exchange(&mut early);
    exchange(&mut TcpStream::connect(second).unwrap());
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(!server.told().contains("WARN"), "{}", server.told());
}

/// /proc/net/tcp: `0: 0100007F:1B5F 0100007F:C350 01 00000000:00000000 02:000001F4 …`: 02 is keepalive's timer, in hundredths.
fn options() {
    let (listener, address) = listener();
    let mut server = start(listener, None, "", &["--idle", "77s"]);
    let mut peer = TcpStream::connect(address).unwrap();
    exchange(&mut peer);
    // From the listener, and not one by one for each peer.
    server.seek(" arrived");
    assert!(!server.told().contains("do not inherit the listener's options"), "{}", server.told());
    let ours = format!(" 0100007F:{:04X} 0100007F:{:04X} 01 ", address.port(), peer.local_addr().unwrap().port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| line.contains(&ours)).expect("the server's end is there");
    let timer = line.split_whitespace().nth(5).unwrap();
    let hundredths = timer.strip_prefix("02:").map(|when| u64::from_str_radix(when, 16).unwrap());
    assert!(hundredths.is_some_and(|when| (7000..8500).contains(&when)), "{line}");
}

fn given() {
    let ((one, first), (other, second)) = (listener(), listener());
    let address = second.to_string();
    let mut server = start(one, Some(other.into()), "one:other", &[&address, "127.0.0.1:0"]);
    assert_eq!(server.addresses[0], second);
    assert!(server.addresses.len() == 2 && !server.addresses.contains(&first), "{:?}", server.addresses);
    exchange(&mut TcpStream::connect(second).unwrap());
    exchange(&mut TcpStream::connect(server.addresses[1]).unwrap());
    server.seek("the socket one was passed on, and is not used: it is not among the addresses to listen on");
    assert!(TcpStream::connect(first).is_err(), "nobody has it any more");
}

fn foreign() {
    let (listener, first) = listener();
    let mut server = Server::start_as_it_is(with(listener.into(), None, "x", "1", &["127.0.0.1:0"]));
    server.seek("the sockets that LISTEN_FDS announces are not used: they are for process 1 (LISTEN_PID)");
    assert!(!server.addresses.contains(&first));
    exchange(&mut server.connect());
}

fn ask(admin: &mut (impl Read + Write)) -> String {
    admin.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    admin.read_to_string(&mut answer).unwrap();
    answer
}

fn admin() {
    if cfg!(not(feature = "admin")) {
        return;
    }
    let at = path("admin");
    let (unix, (tcp, address)) = (UnixListener::bind(&at).unwrap(), listener());
    let mut server = start(unix, Some(tcp.into()), "control:peers", &[]);
    assert_eq!(server.addresses, [address]);
    let connect = || {
        let admin = UnixStream::connect(&at).expect("somebody listens");
        admin.set_read_timeout(Some(PATIENCE)).unwrap();
        admin
    };
    assert!(ask(&mut connect()).starts_with("HTTP/1.1 200"));
    if cfg!(feature = "upgrade") {
        server.signal("USR2");
        server.wait_for("upgraded from");
        assert!(ask(&mut connect()).starts_with("HTTP/1.1 200"));
    }
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(at.exists(), "it belongs to whoever has passed it on");
    let _ = fs::remove_file(at);
}

fn admin_by_name() {
    if cfg!(not(feature = "admin")) {
        return;
    }
    let ((one, first), (other, second)) = (listener(), listener());
    let server = start(one, Some(other.into()), "admin:", &[]);
    assert_eq!(server.addresses, [second]);
    exchange(&mut server.connect());
    let mut admin = TcpStream::connect(first).unwrap();
    admin.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(ask(&mut admin).starts_with("HTTP/1.1 200"));
}

fn unusable() {
    let (tcp, address) = listener();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut server = start(udp, Some(tcp.into()), "udp:peers", &[]);
    server.seek("the socket udp (descriptor 3) that was passed on is not used: it is a socket for datagrams");
    assert_eq!(server.addresses, [address]);
    exchange(&mut server.connect());
}

/// LISTEN_FDS says more than there is: nothing that the program opens itself may be taken for it.
fn absent() {
    let script = "LISTEN_PID=$$ LISTEN_FDS=20 exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_stillthere"), "serve", "127.0.0.1:0"]);
    let mut server = Server::start_with(command);
    server.seek("descriptor 22 that was passed on is not used: Bad file descriptor");
    exchange(&mut server.connect());
}

fn upgrade() {
    if cfg!(not(feature = "upgrade")) {
        return;
    }
    let (listener, address) = listener();
    let mut server = start(listener, None, "peers", &[]);
    let mut peer = server.connect();
    exchange(&mut peer);
    for _ in 0..3 {
        server.signal("USR2");
        server.wait_for("1 peer stays");
        exchange(&mut peer);
        exchange(&mut TcpStream::connect(address).unwrap());
        server.wait_for("departed: 1 closed by the peer");
    }
    let told = server.told();
    assert!(!told.contains("is not among the addresses") && !told.contains("LISTEN_FDS"), "{told}");
}

fn activate() {
    let (listener, address) = listener();
    drop(listener);
    let mut command = Command::new("systemd-socket-activate");
    command.args(["-l", &address.to_string(), env!("CARGO_BIN_EXE_stillthere"), "serve", "--log", "debug"]);
    let activator = command.stdin(Stdio::null()).stderr(Stdio::piped());
    // It starts the server in its own process when the first peer comes.
    let mut server = Server::spawn(activator);
    let mut peer = loop {
        match TcpStream::connect(address) {
            Ok(peer) => break peer,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    server.has_started();
    exchange(&mut peer);
    assert_eq!(server.addresses, [address]);
    server.signal("TERM");
    assert!(server.wait().success());
}
