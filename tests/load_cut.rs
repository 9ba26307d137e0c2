//! The load generator when the cable is cut under it: nobody answers, and nobody acknowledges.
//!
//! Owns the trials. Where network namespaces cannot be created they are ignored, never passed, and stderr says what
//! to type.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use self::common::Server;
use self::netns::{Cut, Network};

mod common;
#[allow(dead_code)] // each test program uses its own part
#[path = "common/netns.rs"]
mod netns;

const TRIALS: [(&str, fn()); 3] = [
    ("cut_in_a_closed_loop", || cut_in_the_middle(&[])),
    ("cut_at_a_fixed_rate", || cut_in_the_middle(&["--rate", "500"])),
    ("cut_before_the_first_connection", cut_before_the_first_connection),
];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(TRIALS.len())); // they wait, and do not work
    let missing = if arguments.list { None } else { netns::prepare().err() };
    if let Some(missing) = &missing {
        eprintln!("\n*** A CUT CABLE IS NOT TESTED: no network namespaces here. {missing} ***\n");
    }
    let run = |run: fn()| {
        move || {
            run();
            Ok::<(), Failed>(())
        }
    };
    let trials = TRIALS.map(|(name, trial)| Trial::test(name, run(trial)).with_ignored_flag(missing.is_some()));
    libtest_mimic::run(&arguments, trials.into()).exit();
}

/// A server, and a load on it from the other end of the network.
fn load(server: &Server, network: &Network, options: &[&str]) -> Command {
    let mut load = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    load.args(["load", &server.address().to_string()]).args(options);
    let mut load = network.on_client(&load);
    load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    load
}

/// Variables are dropped from last to first: the server ends before its namespaces are removed.
fn scene() -> (Network, Server) {
    let network = Network::new().unwrap_or_else(|missing| panic!("no network: {missing}"));
    let address = format!("{}:7000", network.server());
    let server = Server::start_with(network.on_server(&Server::command(&[&address])));
    (network, server)
}

fn cut_in_the_middle(rate: &[&str]) {
    let (network, server) = scene();
    let options = ["--connections", "12", "--active", "10", "--time", "3s"];
    let child = load(&server, &network, &[&options[..], rate].concat()).spawn().expect("the load starts");
    sleep(Duration::from_millis(2000));
    network.cut(Cut::BlackHole);
    let output = child.wait_with_output().expect("the load ends");
    let said = String::from_utf8_lossy(&output.stdout);
    for part in ["12 of 12", "not acknowledged          10; the first: 64 bytes due", "nothing was heard for"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(said.ends_with("10 connections in trouble\n") && !said.contains("no trouble"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

fn cut_before_the_first_connection() {
    let (network, server) = scene();
    network.cut(Cut::BlackHole);
    let options = ["--connections", "3", "--time", "10m", "--patience", "1500ms"];
    let output = load(&server, &network, &options).output().expect("the load ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("no answer in time         3; the first: not connected after 1s 500ms"), "{said}");
    assert!(said.ends_with("3 connections in trouble\n") && output.status.code() == Some(1), "{said}");
}
