//! dist/kubernetes/stillthere.yaml: its fields, by kubernetes-validate (the schemas of Kubernetes, packed by somebody else), and what
//! they say, by the program: its configuration, what the probes get, and how long a pod takes to end.
//!
//! No cluster is to be had here: it was never applied to one.

mod common;

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::http::{admin, send};
use common::{PATIENCE, Server, exchange};
use libtest_mimic::{Arguments, Trial};

const MANIFEST: &str = include_str!("../dist/kubernetes/stillthere.yaml");

fn main() {
    let tests: [(&str, fn()); 2] = [
        ("a_pod_is_ready_drains_and_ends_within_its_time", pod),
        ("no_variable_of_the_cluster_looks_like_an_option", variables),
    ];
    let mut trials: Vec<Trial> = tests
        .map(|(name, run)| {
            let run = move || {
                run();
                Ok(())
            };
            Trial::test(name, run)
        })
        .into();
    let there =
        Command::new("kubernetes-validate").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        eprintln!(
            "\nNOT RUN: kubernetes-validate cannot be run: `pip install kubernetes-validate` installs it. The manifest's fields \
             are not checked; that test is ignored, it has not passed.\n"
        );
    }
    let fields = || {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/kubernetes/stillthere.yaml");
        let output = Command::new("kubernetes-validate").args(["--strict", file]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Ok(())
    };
    trials.push(Trial::test("every_field_is_known_to_kubernetes", fields).with_ignored_flag(!there));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The text of the ConfigMap.
fn configuration() -> String {
    let begin = MANIFEST.split_once("  stillthere.conf: |\n").expect("it has a configuration").1;
    begin.lines().take_while(|line| line.starts_with("    ")).map(|line| line[4..].to_string() + "\n").collect()
}

/// The number behind a name, which is there once.
fn number(text: &str, name: &str) -> u64 {
    let mut found = text.split(name).skip(1).map(|rest| rest.trim_start_matches([':', ' ']));
    let rest = found.next().unwrap_or_else(|| panic!("{name} is there"));
    assert!(found.next().is_none(), "{name} is there once");
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn pod() {
    let configuration = configuration();
    let (drain, grace) = (number(&configuration, "drain "), number(&configuration, "grace "));
    let pause = number(MANIFEST, "sleep: {seconds");
    let allowed = number(MANIFEST, "terminationGracePeriodSeconds: ");
    assert!(allowed >= pause + drain + grace + 10, "{allowed} s are too few");

    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kubernetes.{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (token, file) = (directory.join("token"), directory.join("stillthere.conf"));
    fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    // The ports, and where the token is, are a test's; the minute is shortened.
    let shortened = configuration
        .replace("0.0.0.0:7070", "127.0.0.1:0")
        .replace("/run/secrets/stillthere/token", token.to_str().unwrap())
        .replace(&format!("drain {drain}s"), "drain 3s");
    assert!(shortened.contains("127.0.0.1:0") && shortened.contains("drain 3s"), "{shortened}");
    fs::write(&file, shortened).unwrap();

    let mut command = Server::command(&[]);
    command.arg("--config").arg(&file).env("STILLTHERE_ADMIN", "");
    let mut server = Server::start_with(command);
    let port = admin(&mut server);
    let probe = |path: &str| send(port, "GET", path).status;
    assert_eq!((probe("/readyz"), probe("/healthz")), (200, 200), "without the token");
    assert_eq!(probe("/peers"), 401);
    let mut peers = [server.connect(), server.connect(), server.connect()];
    peers.iter_mut().for_each(exchange);
    let stopped = Instant::now();
    server.signal("TERM");
    server.wait_for("SIGTERM");
    assert_eq!((probe("/readyz"), probe("/healthz")), (503, 200), "it drains, and is alive");
    exchange(&mut peers[2]);
    for mut peer in peers {
        peer.read_to_end(&mut Vec::new()).expect("it is closed in an orderly way");
    }
    assert!(server.wait().success());
    assert!((Duration::from_secs(1)..PATIENCE).contains(&stopped.elapsed()), "{:?}", stopped.elapsed());
    fs::remove_dir_all(directory).unwrap();
}

/// A Service of this name sets STILLTHERE_PORT=tcp://… in every pod, unless told otherwise.
fn variables() {
    assert!(MANIFEST.contains("name: stillthere") && MANIFEST.contains("enableServiceLinks: false"));
    let command = |variables: &[(&str, &str)]| {
        let mut command = Server::command(&[]);
        command.envs(variables.iter().copied());
        let mut server = Server::start_with(command);
        server.signal("TERM");
        server.wait_for("stopped");
        server.told()
    };
    // So it is without that line: nothing breaks, but every start warns.
    let told = command(&[("STILLTHERE_PORT", "tcp://10.0.0.1:7007"), ("STILLTHERE_SERVICE_HOST", "10.0.0.1")]);
    assert!(told.contains("STILLTHERE_PORT") && told.contains("STILLTHERE_SERVICE_HOST"), "{told}");
}
