//! The lab as a whole program: what it plays, what it refuses, and what it leaves behind.
//!
//! Owns the trials. They mostly wait, and run all at once. Where network namespaces cannot be created
//! those that need them are ignored, never passed, and stderr says why.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use stillthere::lab::cast::preset::PRESETS;

use crate::common::PATIENCE;
use crate::common::again::suspended;

mod common;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stillthere");

const ANYWHERE: [(&str, fn()); 3] = [
    ("a_wrong_command_line_is_explained", a_wrong_command_line_is_explained),
    ("help_and_list_need_no_privilege", help_and_list_need_no_privilege),
    ("without_ip_it_says_what_to_install", without_ip_it_says_what_to_install),
];

const IN_NETWORKS: [(&str, fn()); 17] = [
    ("a_short_set_of_scenes_keeps_its_promise", a_short_set_of_scenes_keeps_its_promise),
    ("a_run_tells_packets_fault_departure_and_verdict", a_run_tells_packets_fault_departure_and_verdict),
    ("a_living_peer_with_a_shut_window_is_kept", a_living_peer_with_a_shut_window_is_kept),
    ("a_broken_promise_is_an_exit_code", a_broken_promise_is_an_exit_code),
    ("a_matrix_writes_its_files", a_matrix_writes_its_files),
    ("anybody_s_server_is_put_to_the_test", anybody_s_server_is_put_to_the_test),
    ("a_server_that_does_not_start_is_quoted", a_server_that_does_not_start_is_quoted),
    ("a_server_that_ends_early_is_quoted", a_server_that_ends_early_is_quoted),
    ("a_server_that_never_listens_is_named", a_server_that_never_listens_is_named),
    ("a_server_that_crashes_in_the_scene_is_named", a_server_that_crashes_in_the_scene_is_named),
    (
        "a_report_that_cannot_be_written_is_known_before_the_scenes",
        a_report_that_cannot_be_written_is_known_before_the_scenes,
    ),
    (
        "the_page_of_several_servers_is_the_one_that_was_asked_for",
        the_page_of_several_servers_is_the_one_that_was_asked_for,
    ),
    ("who_is_suspended_goes_on", who_is_suspended_goes_on),
    ("an_interrupt_cleans_up", an_interrupt_cleans_up),
    ("two_labs_run_side_by_side", two_labs_run_side_by_side),
    ("what_a_killed_lab_left_is_removed", what_a_killed_lab_left_is_removed),
    ("labs_that_see_other_processes_leave_each_other_alone", labs_that_see_other_processes_leave_each_other_alone),
];

/// With this argument and an address, the program is [`slow_echo`].
const SLOW_ECHO: &str = "slow-echo";

fn main() {
    let mut given = std::env::args().skip(1);
    if given.next().as_deref() == Some(SLOW_ECHO) {
        return slow_echo(&given.next().expect("an address"));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(ANYWHERE.len() + IN_NETWORKS.len()));
    let wanted = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let any = !arguments.list && IN_NETWORKS.iter().any(|(name, _)| wanted(name));
    let missing = any.then(missing).flatten();
    if let Some(missing) = &missing {
        eprintln!("\n*** THE LAB IS NOT TESTED. {missing} ***\n");
    }
    let trial = |(name, run): (&str, fn()), ignored: bool| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(ignored)
    };
    let anywhere = ANYWHERE.map(|each| trial(each, false));
    let in_networks = IN_NETWORKS.map(|each| trial(each, missing.is_some()));
    libtest_mimic::run(&arguments, anywhere.into_iter().chain(in_networks).collect()).exit();
}

/// What the lab reports as missing on this machine.
fn missing() -> Option<String> {
    let output = lab(&["run", "idle/closed"]);
    let said = stderr(&output);
    (said.contains("the lab makes")).then(|| said.trim().to_string())
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("lab").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lab(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the lab starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The command must fail with this exit code, and print all of these parts.
fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = lab(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: {part:?} is missing in: {said}");
    }
}

/// The namespaces and directories that a lab with this process id has left.
fn traces(pid: u32) -> Vec<String> {
    let mark = format!("stillthere-lab-{pid}.");
    let names = |place: &Path| {
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let all = [names(Path::new("/run/netns")), names(&std::env::temp_dir())].concat();
    all.into_iter().filter(|name| name.starts_with(&mark)).collect()
}

fn wait(mut child: Child) -> Output {
    let until = Instant::now() + PATIENCE;
    while child.try_wait().expect("a child can be waited for").is_none() {
        assert!(Instant::now() < until, "the lab does not end");
        sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("its output can be read")
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success(), "the lab can be sent SIG{name}");
}

/// Waits until the lab has created a server's network. If the lab runs in a user namespace, its names are not visible here.
fn wait_until_it_plays(lab: u32) {
    let patience = if rustix::process::geteuid().is_root() { PATIENCE } else { Duration::from_secs(3) };
    let until = Instant::now() + patience;
    while Instant::now() < until && !traces(lab).iter().any(|name| name.ends_with("-server")) {
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(300));
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

fn a_wrong_command_line_is_explained() {
    refused(&[], 2, &["which lab command?", "lab run", "--pcap"]);
    refused(&["rum"], 2, &["\"rum\"", "did you mean run?"]);
    refused(&["run"], 2, &["which scene?", "lab list"]);
    refused(&["run", "idle/blackhole"], 2, &["\"blackhole\" is no fault", "did you mean black-hole?"]);
    refused(&["run", "idel"], 2, &["\"idel\" is no state", "did you mean idle?"]);
    refused(&["run", "idle/reset", "in-flight/reset"], 2, &["one scene at a time"]);
    refused(&["run", "idle/reset", "--jobs", "3"], 2, &["--jobs 3", "lab matrix"]);
    refused(&["run", "idle/reset", "--deadline", "2s"], 2, &["--deadline", "3s is the least"]);
    refused(&["matrix", "--jobs", "0"], 2, &["--jobs 0", "from 1 to"]);
    refused(&["matrix", "--preset", "reddis"], 2, &["\"reddis\" is no preset", "did you mean redis?"]);
    refused(&["run", "idle", "--server", "nc -l"], 2, &["--server nc -l", "{port}"]);
    refused(&["run", "idle", "--speak", "echo"], 2, &["--speak echo", "--server"]);
    refused(&["run", "idle", "--server", "x {port}", "--speak", "french"], 2, &["--speak french", "mqtt"]);
    refused(&["list", "all"], 2, &["takes no names"]);
    refused(&["run", "idle/reset", "--at-once", "1"], 2, &["--at-once 1", "lab matrix"]);
    refused(&["compare"], 2, &["which directories?", "lab matrix --json"]);
    refused(&["compare", "/no/such"], 1, &["cannot read /no/such", "No such file"]);
}

fn help_and_list_need_no_privilege() {
    let help = stdout(&lab(&["--help"]));
    assert!(help.contains("--server COMMAND") && !help.contains("lab client"), "{help}");
    let names = PRESETS.iter().map(|preset| preset.name).chain(["stillthere", "textbook"]);
    let (_, presets) = help.split_once("Presets:").expect("they are listed");
    for name in names {
        assert!(presets.split([' ', ',', '\n']).any(|word| word == name), "{name} is missing in: {help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    let list = stdout(&lab(&["list"]));
    for part in ["accept-queue", "nat-forgot", "half-closed/half-close-then-cut:", "haproxy-tcp-ut"] {
        assert!(list.contains(part), "{part:?} is missing in: {list}");
    }
}

fn without_ip_it_says_what_to_install() {
    if ["/usr/sbin/ip", "/sbin/ip", "/usr/local/sbin/ip"].iter().any(|path| Path::new(path).exists()) {
        return; // it is found there whatever PATH says
    }
    let output = command(&["run", "idle/reset"]).env("PATH", "/nowhere").output().expect("the lab starts");
    assert!(stderr(&output).contains("apt install iproute2"), "{}", stderr(&output));
}

fn a_run_tells_packets_fault_departure_and_verdict() {
    let (pcap, svg) = (scratch("run.pcapng"), scratch("run.svg"));
    let [pcap_text, svg_text] = [&pcap, &svg].map(|path| path.display().to_string());
    let output =
        lab(&["run", "in-flight/host-unreachable", "--deadline", "3s", "--pcap", &pcap_text, "--svg", &svg_text]);
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    let mut rest = told.as_str();
    for part in [
        "SYN",
        "in-flight",
        "fault",
        "ICMP host unreachable",
        "retransmission",
        "departure",
        "EHOSTUNREACH",
        "kept its promise",
    ] {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is missing, or too early, in: {told}")).1;
    }
    assert_eq!(fs::read(&pcap).expect("a capture is written")[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    assert!(fs::read_to_string(&svg).expect("a figure is written").contains("<svg"));
    fs::remove_file(pcap).and_then(|()| fs::remove_file(svg)).expect("the files can be removed");
}

fn a_living_peer_with_a_shut_window_is_kept() {
    let output = lab(&["run", "window-shut/none", "--deadline", "3s", "--keep", "8s"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

fn a_broken_promise_is_an_exit_code() {
    let output = lab(&["run", "in-flight/black-hole", "--deadline", "3s", "--cap", "5s", "--preset", "textbook"]);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("BROKE ITS PROMISE"), "{}", stdout(&output));
}

/// Every state with the most informative faults: a silent one, one that a router reports, a reboot, and none. `make lab`
/// plays the others.
fn a_short_set_of_scenes_keeps_its_promise() {
    let scenes = ["matrix", "black-hole", "host-unreachable", "rebooted", "none", "idle/frozen"];
    let output = lab(&[scenes.as_slice(), &["--deadline", "5s", "--keep", "12s", "--jobs", "30"]].concat());
    let told = stdout(&output);
    println!("{told}");
    assert!(output.status.success(), "{told}{}", stderr(&output));
    assert!(told.contains("all 41 scenes kept their promise"), "{told}{}", stderr(&output));
}

fn a_matrix_writes_its_files() {
    let files = ["matrix.json", "matrix.html", "matrix.md"].map(scratch);
    let [json, html, markdown] = files.each_ref().map(|path| path.display().to_string());
    let scenes = ["matrix", "closed", "reset", "idle/black-hole", "reading-paused/rebooted", "idle/arp-gone"];
    let options = [
        "--deadline",
        "3s",
        "--jobs",
        "20",
        "--at-once",
        "4",
        "--json",
        &json,
        "--html",
        &html,
        "--markdown",
        &markdown,
    ];
    let output = lab(&[scenes.as_slice(), &options].concat());
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    assert!(
        told.contains("scenes kept their promise") && stderr(&output).contains("1 of 23"),
        "{told}{}",
        stderr(&output)
    );
    let compared = scratch("compared");
    fs::create_dir(&compared).expect("a directory can be made");
    fs::copy(&files[0], compared.join("1-three-seconds.json")).expect("the file is there");
    fs::write(compared.join("facts.tsv"), "a fact\tits value\n").expect("a file can be written");
    let table = stdout(&lab(&["compare", &compared.display().to_string()]));
    fs::remove_dir_all(&compared).expect("the directory can be removed");
    for part in
        ["| a fact | its value |", "promise, three seconds | **all ", "### Accept-queue, three seconds", "| reset | 0."]
    {
        assert!(table.contains(part), "{part}: {table}");
    }
    for (path, part) in files.iter().zip(["\"scenes\"", "<!DOCTYPE html>", "| fault | stillthere |"]) {
        let text = fs::read_to_string(path).expect("the file is written");
        assert!(text.contains(part), "{}: {part}", path.display());
        fs::remove_file(path).expect("the file can be removed");
    }
}

fn anybody_s_server_is_put_to_the_test() {
    let line = format!("'{PROGRAM}' serve {{addr}}:{{port}} --deadline 3s");
    let output = lab(&["run", "exchanged/out-dead", "--deadline", "3s", "--server", &line]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("socket table"), "{}", stdout(&output));
    // A client that sends no requests cannot bring the connection into this state.
    refused(&["run", "half-closed/none", "--server", &line, "--speak", "none"], 1, &["half-closed/none", "--speak"]);
}

/// A server that thinks before it answers.
fn slow_echo(address: &str) {
    for peer in TcpListener::bind(address).expect("the address is free").incoming() {
        let (mut peer, mut bytes) = (peer.expect("a client comes"), [0; 1024]);
        std::thread::spawn(move || {
            while let Ok(count @ 1..) = peer.read(&mut bytes) {
                sleep(Duration::from_millis(500));
                let _ = peer.write_all(&bytes[..count]);
            }
        });
    }
}

/// A machine that is frozen for a moment, while the client waits for answers.
fn who_is_suspended_goes_on() {
    let exe = std::env::current_exe().expect("the program has a path");
    let line = format!("'{}' {SLOW_ECHO} {{addr}}:{{port}}", exe.display());
    let output = suspended(&mut command(&["run", "exchanged/closed", "--server", &line]));
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

fn a_server_that_does_not_start_is_quoted() {
    refused(
        &["run", "idle/reset", "--server", "no-such-server {addr} {port}"],
        1,
        &["no-such-server has ended by itself", "It said: \"sh: "],
    );
}

fn a_server_that_ends_early_is_quoted() {
    let line = "sh -c 'echo too early for {port}; exit 3'";
    refused(&["run", "idle/reset", "--server", line], 1, &["ended by itself", "exit status: 3", "too early for 7007"]);
}

fn a_server_that_never_listens_is_named() {
    refused(
        &["run", "idle/reset", "--server", "sleep 1{port}"],
        1,
        &["sleep never listened on 203.0.113.2:7007, port 7007: "],
    );
}

fn a_server_that_crashes_in_the_scene_is_named() {
    let line = format!("sh -c \"'{PROGRAM}' serve {{addr}}:{{port}} & sleep 1.5; echo alas; kill -9 \\$! \\$\\$\"");
    refused(&["run", "idle/none", "--server", &line], 1, &["ended by itself", "signal: 9", "alas"]);
}

/// No scene is played: that could take ten minutes, and the result would be lost.
fn a_report_that_cannot_be_written_is_known_before_the_scenes() {
    for option in ["--json", "--html", "--markdown"] {
        let begun = Instant::now();
        let output = lab(&["matrix", "idle/none", "--keep", "20s", option, "/nowhere/out"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot write /nowhere/out: No such file") && !said.contains("1 of 1"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    for option in ["--pcap", "--svg"] {
        let output = lab(&["run", "idle/none", "--keep", "20s", option, "/dev/null/out"]);
        assert!(stderr(&output).contains("cannot write /dev/null/out"), "{}", stderr(&output));
        assert!(!stdout(&output).contains("fault"), "{}", stdout(&output));
    }
    let both = scratch("both").display().to_string();
    refused(&["matrix", "idle/closed", "--json", &both, "--html", &both], 1, &["two reports", "one would be lost"]);
    // An old report is kept if the lab is interrupted.
    let old = scratch("old.json");
    fs::write(&old, "the old report").expect("a file can be written");
    let child =
        command(&["matrix", "idle/none", "--json", &old.display().to_string()]).spawn().expect("the lab starts");
    wait_until_it_plays(child.id());
    signal(&child, "INT");
    wait(child);
    assert_eq!(fs::read_to_string(&old).expect("it is there"), "the old report");
    fs::remove_file(old).expect("the file can be removed");
    // A report can be written to standard output by its path; it follows the table.
    let output = lab(&["matrix", "idle/closed", "--json", "/dev/stdout"]);
    let told = stdout(&output);
    let (table, json) = told.split_once("\n{\"title\":").unwrap_or_else(|| panic!("there is no JSON in: {told}"));
    assert!(table.contains("the scene kept its promise") && json.trim_end().ends_with('}'), "{told}");
}

fn the_page_of_several_servers_is_the_one_that_was_asked_for() {
    let page = scratch("several.html");
    let path = page.display().to_string();
    let output = lab(&["matrix", "idle/closed", "--preset", "stillthere,textbook", "--cap", "7s", "--html", &path]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let text = fs::read_to_string(&page).expect("the file that was asked for is written");
    for part in [">stillthere</h2>", ">textbook</h2>", "still there 7 s after it"] {
        assert!(text.contains(part), "{part} is missing in {path}");
    }
    fs::remove_file(page).expect("the file can be removed");
}

fn an_interrupt_cleans_up() {
    for name in ["INT", "TERM"] {
        let child = command(&["matrix", "idle", "--jobs", "4"]).spawn().expect("the lab starts");
        let pid = child.id();
        wait_until_it_plays(pid);
        signal(&child, name);
        let output = wait(child);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("interrupted"), "{}", stderr(&output));
        assert_eq!(traces(pid), Vec::<String>::new());
    }
}

fn two_labs_run_side_by_side() {
    let labs =
        [0, 1].map(|_| command(&["run", "exchanged/black-hole", "--deadline", "3s"]).spawn().expect("it starts"));
    for lab in labs {
        let pid = lab.id();
        let output = wait(lab);
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        assert_eq!(traces(pid), Vec::<String>::new());
    }
}

/// SIGKILL leaves everything behind, including the server. If the lab had to create a user namespace, the kernel removes
/// everything. Another lab of these tests may be the one that removes it, and prints so.
fn what_a_killed_lab_left_is_removed() {
    let child = command(&["run", "idle/none"]).spawn().expect("the lab starts");
    let pid = child.id();
    wait_until_it_plays(pid);
    signal(&child, "KILL");
    wait(child);
    let output = lab(&["run", "idle/closed"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(traces(pid), Vec::<String>::new());
}

/// Two more labs, each the first process of a PID namespace of its own, while one runs here. They share
/// the names of the network namespaces and the directory of temporary files, and cannot see each
/// other's processes. This needs root; without root each lab has a separate /run.
fn labs_that_see_other_processes_leave_each_other_alone() {
    let here = command(&["run", "idle/none", "--deadline", "3s", "--keep", "6s"]).spawn().expect("the lab starts");
    wait_until_it_plays(here.id());
    let elsewhere = [0, 1].map(|_| {
        let mut inside = Command::new("unshare");
        inside.args(["--user", "--map-root-user"].iter().filter(|_| !rustix::process::geteuid().is_root()));
        inside.args(["--pid", "--fork", "--mount-proc", PROGRAM]);
        inside.args(["lab", "run", "idle/none", "--deadline", "3s", "--keep", "4s"]);
        inside.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("unshare starts")
    });
    for lab in elsewhere.into_iter().chain([here]) {
        let output = wait(lab);
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    }
}
