//! What an exchange costs under load: long exchanges, and many peers that ask at the same time.
//!
//! All contestants run at the same time here, and each row is measured for all of them before the next row begins. So
//! figures that are compared are measured only seconds apart, because they depend on what else the machine does.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::contestants::Contestant;
use crate::measures::{Bench, Figures, Outcome, Running, number, wait_for};

/// The key of a figure, how many peers ask, and how many bytes each of them sends.
const ROWS: [(&str, usize, usize); 4] = [
    ("cpu_16k", 100, 16 * 1024),
    ("cpu_256k", 100, 256 * 1024),
    ("cpu_1000_ask", 1000, 64),
    ("cpu_9000_ask", 9000, 64),
];
/// A size that every language can carry, in bytes.
const SHORT: usize = 64;

/// Adds to the figures of the contestants that have some in this round. Rows that need more peers are left out.
pub fn round(
    contestants: &[Contestant],
    figures: &mut [Option<Figures>],
    peers: usize,
    directory: &Path,
) -> Outcome<()> {
    let mut servers = Vec::new();
    for contestant in contestants {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), contestant.port);
        let server = Running::start(&mut contestant.command())?;
        wait_for("listening", || TcpStream::connect(address).is_ok())?;
        servers.push((contestant, address, server));
    }
    sleep(Duration::from_millis(400));
    for (name, askers, size) in ROWS.into_iter().filter(|(_, askers, _)| *askers <= peers) {
        for ((contestant, address, server), figures) in servers.iter().zip(figures.iter_mut()) {
            let Some(figures) = figures else { continue };
            if size > SHORT && !contestant.speak.carries_any_payload() {
                continue;
            }
            let bench = Bench { contestant, address: *address, pid: server.pid(), directory };
            match cpu(&bench, askers, size) {
                Ok(cpu) => drop(figures.insert(name, cpu)),
                Err(error) => eprintln!("    {}, {askers} ask {size} bytes: {error}", contestant.name),
            }
        }
    }
    Ok(())
}

/// The server's CPU time for an exchange, in microseconds.
fn cpu(bench: &Bench<'_>, askers: usize, size: usize) -> Outcome<f64> {
    let (askers, size) = (askers.to_string(), size.to_string());
    let report = bench.report(&["--connections", &askers, "--active", &askers, "--size", &size, "--time", "1s"])?;
    Ok(number(&report, "server_cpu_an_exchange")? * 1e6)
}
