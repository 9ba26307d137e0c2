//! Servers that would mislead a lab that only counts descriptors: this test program, started by the lab as the server under
//! test.
//!
//! Owns what each of them does. Knows nothing of the lab.

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The first argument when this program runs as a server.
pub const SERVE: &str = "misleading-server";
/// The process that is given the peer's descriptor as its standard input.
const HAND: &str = "misleading-hand";
const HOLD: &str = "misleading-holder";
/// Names the file in which it writes the inode of the peer that it has accepted.
pub const CONFESSION: &str = "MISLEADING_SERVER_WRITES_TO";

/// With these settings the kernel declares a silent peer dead after three seconds.
const SECOND: Duration = Duration::from_secs(1);
const PROBES: u32 = 2;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Runs as the process that the arguments name. `None`: they are arguments of the test harness.
pub fn run(arguments: &[String]) -> Option<Result<()>> {
    match arguments {
        [first, mode, address] if first == SERVE => Some(serve(mode, address)),
        [first] if first == HAND => Some(hand()),
        [first] if first == HOLD => {
            sleep_for_ever();
        }
        _ => None,
    }
}

fn serve(mode: &str, address: &str) -> Result<()> {
    let address: SocketAddr = address.parse()?;
    // Both are open before the first peer comes, and belong to the server itself.
    let mut spare = OwnedFd::from(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let listener = TcpListener::bind(address)?;
    let (mut peer, _) = listener.accept()?;
    if let Some(file) = std::env::var_os(CONFESSION) {
        fs::write(file, fs::read_link(format!("/proc/self/fd/{}", peer.as_raw_fd()))?.as_os_str().as_encoded_bytes())?;
    }
    // This fails if the peer died in the accept queue.
    let _ = keep_alive(&peer);
    match mode {
        // Sockets that stay open after the peer has gone, such as a pool, a metrics port, a proxy's backend.
        "opens-later" => {
            let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let pool = TcpStream::connect(metrics.local_addr()?)?;
            echo(&mut peer);
            drop(peer);
            sleep_with((metrics, pool))
        }
        "closes-another" => {
            echo(&mut peer);
            drop(other);
            sleep_with(peer)
        }
        "closes-the-listener" => {
            echo(&mut peer);
            drop(listener);
            sleep_with(peer)
        }
        "hands-over" => {
            let mut hand = Command::new(std::env::current_exe()?);
            hand.arg(HAND).stdin(Stdio::from(OwnedFd::from(peer))).spawn()?.wait()?;
            drop(hand); // it holds a copy of the descriptor, for another spawn
            sleep_for_ever()
        }
        "hands-outside" => {
            let mut outside = Command::new("unshare");
            outside.arg("--net").arg(std::env::current_exe()?).arg(HOLD).stdin(Stdio::from(OwnedFd::from(peer)));
            let _child = outside.spawn()?;
            drop(outside);
            sleep_for_ever()
        }
        // The peer's socket replaces another one: the number of descriptors stays the same.
        "dups" => {
            rustix::io::dup2(&peer, &mut spare)?;
            echo(&mut peer);
            drop(peer);
            sleep_with(spare)
        }
        // The second answer is in flight when the descriptor is closed: the kernel keeps the socket without the program.
        "lingers" => {
            for _ in 0..2 {
                let mut question = [0; 64];
                let count = peer.read(&mut question)?;
                peer.write_all(&question[..count])?;
            }
            drop(peer);
            sleep_for_ever()
        }
        // An honest server, with a thread for the peer.
        "honest" => {
            thread::spawn(move || echo(&mut peer)).join().map_err(|_| "a thread panicked")?;
            sleep_for_ever()
        }
        _ => Err(format!("{mode}: no such server").into()),
    }
}

/// Leaves the server's session and process group, and passes the descriptor to a child that becomes an orphan process.
fn hand() -> Result<()> {
    rustix::process::setsid()?;
    Command::new(std::env::current_exe()?).arg(HOLD).stdin(Stdio::inherit()).spawn()?;
    Ok(())
}

fn keep_alive(peer: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(SECOND).with_interval(SECOND).with_retries(PROBES);
    SockRef::from(peer).set_tcp_keepalive(&keepalive)
}

/// Echoes until the peer closes, or the kernel declares it dead.
fn echo(peer: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = peer.read(&mut bytes) {
        if peer.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

fn sleep_with<T>(held: T) -> ! {
    let _held = held;
    sleep_for_ever()
}

fn sleep_for_ever() -> ! {
    loop {
        sleep(Duration::from_secs(3600));
    }
}
