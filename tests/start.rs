//! What the machine, or whoever starts the program, may have done before it starts: signals that are
//! blocked, limits that cannot be had, names with several addresses, a machine without IPv6.
//!
//! Trials that want namespaces or strace are ignored where those cannot be had: they have not passed.

mod common;

use std::net::TcpListener;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use common::Server;
use libtest_mimic::{Arguments, Trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stillthere");
/// A name with an address of each family, in this order, in a network of our own where IPv6 may be off. The
/// files of the machine are covered, and not changed.
const TWO_ADDRESSES: &str = "
    ip link set lo up || exit 77
    mount -t tmpfs tmpfs /mnt || exit 77
    printf '::1 both.test\\n127.0.0.1 both.test\\n192.0.2.1 far.test\\n' > /mnt/hosts
    mount --bind /mnt/hosts /etc/hosts || exit 77
    run() { timeout -s TERM 2 \"$PROGRAM\" serve \"$@\" --log info 2>&1; }
    no_ipv6() { echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; }
";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let can = |command: &mut Command| {
        let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        output.is_ok_and(|status| status.success())
    };
    let blocks = can(Command::new("env").args(["--block-signal=TERM", "true"]));
    let injects = can(Command::new("strace").args(["-e", "inject=getppid:error=EPERM", "true"]));
    let isolates = can(&mut isolated("run() { :; }; no_ipv6 && mount --bind /mnt/hosts /proc/sys/fs/nr_open"));
    for (can, what) in [
        (blocks, "`env --block-signal` of coreutils 8.31"),
        (injects, "strace that may trace"),
        (isolates, "network and mount namespaces"),
    ] {
        if !can {
            eprintln!("NOT TESTED: what wants {what}");
        }
    }
    let trial = |name: &str, can: bool, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
        .with_ignored_flag(!can)
    };
    let trials = vec![
        trial("a blocked SIGTERM is obeyed", blocks, a_blocked_sigterm_is_obeyed),
        trial("a load with a blocked SIGINT is obeyed", blocks, a_load_obeys_a_blocked_sigint),
        trial("the descriptor limit stays below nr_open", isolates, the_limit_stays_below_nr_open),
        trial("a limit that cannot be raised is said", injects, a_limit_that_cannot_be_raised_is_said),
        trial("a name is listened on with all of its addresses", isolates, a_name_is_listened_on),
        trial("a machine without IPv6 is told 0.0.0.0", isolates, without_ipv6_v4_is_named),
        trial("a kernel that gives up early is warned of", isolates, a_kernel_that_gives_up_early_is_warned_of),
        trial("a kernel without IPv6 is told 0.0.0.0", injects, without_ipv6_in_the_kernel_v4_is_named),
        trial("a load goes to the address that answers", isolates, a_load_goes_where_it_is_answered),
        trial("an interface may be named", isolates, an_interface_may_be_named),
        trial("an address twice is listened on once", true, an_address_twice_is_listened_on_once),
        trial("what is misspelt in the environment is warned of", true, what_is_misspelt_is_warned_of),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn isolated(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", &format!("{TWO_ADDRESSES}{script}")]);
    command.env("PROGRAM", PROGRAM);
    command
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn check(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

fn a_blocked_sigterm_is_obeyed() {
    let plain = Server::command(&[]);
    let mut command = Command::new("env");
    command.args(["--block-signal=TERM,INT,USR1"]).arg(plain.get_program()).args(plain.get_args());
    let mut server = Server::start_with(command);
    server.signal("USR1");
    server.wait_for("0 connected");
    server.signal("TERM");
    server.wait_for("SIGTERM: stops");
    assert!(server.wait().success());
}

fn a_load_obeys_a_blocked_sigint() {
    let server = Server::start(&[]);
    let load = [PROGRAM, "load", &server.address().to_string(), "--connections", "1", "--time", "10m"];
    let child = Command::new("env").arg("--block-signal=INT").args(load).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let started = Instant::now();
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    check(&told(&child.wait_with_output().unwrap()), &["interrupted"]);
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// A hard limit above it cannot be kept, not even by setting it again.
fn the_limit_stays_below_nr_open() {
    let script = "echo 1000 > /mnt/nr_open && mount --bind /mnt/nr_open /proc/sys/fs/nr_open || exit 77
        run 127.0.0.1:7007";
    check(&told(&isolated(script).output().unwrap()), &["for 968 connections at most"]);
}

fn a_limit_that_cannot_be_raised_is_said() {
    let strace = |options: &[&str]| {
        let plain = Server::command(&[]);
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).args(options).arg(plain.get_program()).args(plain.get_args());
        Server::start_with(command)
    };
    // Which of its calls is the one that sets the limit is seen in a first run.
    let trace = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("start.{}", std::process::id()));
    drop(strace(&[trace.to_str().unwrap(), "-e", "trace=prlimit64"]));
    let calls = std::fs::read_to_string(&trace).unwrap();
    std::fs::remove_file(&trace).unwrap();
    let calls = calls.lines().filter(|line| line.contains("prlimit64(")).collect::<Vec<_>>();
    let sets = calls.iter().position(|line| line.contains("RLIMIT_NOFILE, {")).expect("it sets the limit") + 1;
    let server = strace(&["/dev/null", "-e", &format!("inject=prlimit64:error=EPERM:when={sets}")]);
    check(&server.told(), &["WARN  the descriptor limit cannot be raised to ", "Operation not permitted"]);
    assert!(!server.told().contains("Some("), "{}", server.told());
}

fn a_name_is_listened_on() {
    let both = told(&isolated("run both.test:7007").output().unwrap());
    check(&both, &["echo listens on [::1]:7007,", "echo listens on 127.0.0.1:7007,"]);
    let one = told(&isolated("no_ipv6; run both.test:7007").output().unwrap());
    check(&one, &["WARN  both.test:7007: cannot listen on [::1]:7007", "this machine has no IPv6"]);
    check(&one, &["echo listens on 127.0.0.1:7007,"]);
    let mixed = told(&isolated("run both.test:7007 127.0.0.1:7007 [::]:7008 0.0.0.0:7008").output().unwrap());
    check(&mixed, &["127.0.0.1:7007: 127.0.0.1:7007 was given before", "[::]:7008,", "0.0.0.0:7008,"]);
    let far = isolated("run far.test:7007; echo code $?").output().unwrap();
    check(&told(&far), &["far.test:7007: cannot listen on 192.0.2.1:7007", "no interface of this machine"]);
    check(&told(&far), &["cannot listen on far.test:7007: none of its addresses is this machine's", "code 1"]);
    let served = isolated("no_ipv6; run 127.0.0.1:7007 both.test:7007").output().unwrap();
    check(&told(&served), &["WARN  both.test:7007: cannot listen on [::1]:7007", "echo listens on 127.0.0.1:7007,"]);
    let nobody = isolated("run nobody.test:7007; echo code $?").output().unwrap();
    check(&told(&nobody), &["the name \"nobody.test\" of nobody.test:7007 cannot be resolved: ", "code 1"]);
    // Another socket's address is no matter of what a machine has.
    let busy = "run 127.0.0.1:7007 > /dev/null & sleep 1; run both.test:7007; echo code $?";
    check(&told(&isolated(busy).output().unwrap()), &["another socket has this address", "code 1"]);
}

fn without_ipv6_v4_is_named() {
    let output = isolated("no_ipv6; run '[::1]:7007'; echo code $?").output().unwrap();
    check(&told(&output), &["this machine has no IPv6: 0.0.0.0:7007 means all of its addresses", "code 1"]);
}

fn a_kernel_that_gives_up_early_is_warned_of() {
    let told_with = |retries: u32| {
        let script = format!("echo {retries} > /proc/sys/net/ipv4/tcp_retries2; run 127.0.0.1:7007 --deadline 35s");
        told(&isolated(&script).output().unwrap())
    };
    check(&told_with(5), &["net.ipv4.tcp_retries2 is 5 here", "gives up a silent peer after 11.2 s", "15 keeps it"]);
    assert!(!told_with(15).contains("tcp_retries2"));
}

fn without_ipv6_in_the_kernel_v4_is_named() {
    let inject = ["-f", "-o", "/dev/null", "-e", "inject=socket:error=EAFNOSUPPORT"];
    let output = Command::new("strace").args(inject).args([PROGRAM, "serve", "[::]:7007"]).output().unwrap();
    let v4 = "cannot listen on [::]:7007: Address family not supported by protocol (os error 97); this machine has no \
              IPv6: 0.0.0.0:7007 means all of its addresses";
    check(&told(&output), &[v4]);
    assert_eq!(output.status.code(), Some(1));
}

/// A name whose first address nobody listens on.
fn a_load_goes_where_it_is_answered() {
    let script = "run 127.0.0.1:7007 > /dev/null & sleep 1
        \"$PROGRAM\" load both.test:7007 --connections 3 --time 200ms; echo code $?";
    let output = told(&isolated(script).output().unwrap());
    check(&output, &["both.test:7007 is 127.0.0.1:7007", "3 of 3", "no trouble", "code 0"]);
    let other = "\"$PROGRAM\" load both.test:7007 --source 127.0.0.3,127.0.0.4 --connections 1 --time 200ms";
    check(&told(&isolated(other).output().unwrap()), &["both.test:7007 is 127.0.0.1:7007"]);
    let none = "\"$PROGRAM\" load far.test:7007 --source ::1 --connections 1 --time 200ms; echo code $?";
    check(&told(&isolated(none).output().unwrap()), &["::1 cannot reach far.test:7007: not the same family", "code 1"]);
}

fn an_interface_may_be_named() {
    let link = "ip link add cable0 type veth peer name cable1 && ip link set cable0 up && ip link set cable1 up
        ip address add fe80::7/64 dev cable0 nodad || exit 77";
    for name in ["cable0", "$(cat /sys/class/net/cable0/ifindex 2>/dev/null || ip -o link show cable0 | cut -d: -f1)"] {
        let said = told(&isolated(&format!("{link}\nrun \"[fe80::7%{name}]:7007\"")).output().unwrap());
        check(&said, &["echo listens on [fe80::7%"]);
    }
    let said = told(&isolated(&format!("{link}\nrun '[fe80::7]:7007'")).output().unwrap());
    check(&said, &["a link-local address needs its interface, such as [fe80::7%eth0]:7007"]);
    let said = told(&isolated(&format!("{link}\nrun '[fe80::7%nowhere]:7007'")).output().unwrap());
    check(&said, &["there is no interface nowhere, or fe80::7 takes none"]);
}

fn an_address_twice_is_listened_on_once() {
    // Free a moment ago, and in nobody's range of chosen ports so soon again.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let server = Server::start(&[&address, &address, "--reuse-port=yes"]);
    assert_eq!(server.addresses.len(), 1, "{}", server.told());
    check(&server.told(), &["was given before, and is listened on once"]);
    drop(server);
    let both = Command::new(PROGRAM).args(["serve", &address, &format!("0.0.0.0:{port}")]).output().unwrap();
    check(&told(&both), &[&format!("{address} was given as well, and one of them covers the other")]);
    // Each port 0 is another one.
    assert_eq!(Server::start(&["127.0.0.1:0", "127.0.0.1:0"]).addresses.len(), 2);
}

fn what_is_misspelt_is_warned_of() {
    let mut command = Server::command(&[]);
    command.env("STILLTHERE_DEDLINE", "5s").env("STILLTHERE_GRACE", "").env("STILLTHERE_PLAN_JSON", "yes");
    let server = Server::start_with(command);
    check(&server.told(), &["WARN  STILLTHERE_DEDLINE is set, but there is no such option; did you mean"]);
    assert_eq!(server.told().matches("STILLTHERE_").count(), 2, "{}", server.told());
    let output = Command::new(PROGRAM).arg("plan").env("STILLTHERE_JSON", "yes").output().unwrap();
    check(&told(&output), &["stillthere: STILLTHERE_JSON is set", "did you mean STILLTHERE_PLAN_JSON?", "Settings:"]);
}
