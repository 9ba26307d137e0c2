//! The units in a real systemd: PID 1 of namespaces of its own, in a cgroup of its own, with the machine's file system and network.
//!
//! It ends with the test, however that ends: `unshare --kill-child` kills PID 1, and with it everything in its namespace, and is
//! itself killed when the thread that has started it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Trials;
use crate::common::again::fill;
use crate::common::{PATIENCE, again, connect, exchange, raise_descriptor_limit};
use crate::supervisor::path;
use crate::units::source;

pub const TRIALS: Trials = &[
    ("a_real_systemd_starts_upgrades_restarts_and_stops_the_service", course),
    ("a_real_systemd_notices_a_loop_that_does_not_turn", watchdog),
    ("a_real_systemd_passes_its_socket_on", socket),
    ("a_real_systemd_keeps_the_peers_over_a_restart", keep),
    ("a_real_systemd_that_may_keep_nothing_has_the_server_stop_in_order", keep_nothing),
    ("a_real_systemd_keeps_the_peers_until_a_start_works", keep_over_failures),
    ("a_real_systemd_leaves_the_server_its_grace", grace),
    ("the_sandbox_of_the_unit_lets_the_sandbox_of_the_server_work", sandbox),
];

const SYSTEMD: &str = "/lib/systemd/systemd";

/// What becomes PID 1. `$1` has the files that it needs: they are copied, because the services see no /tmp.
const BECOME_SYSTEMD: &str = "
    mount --make-rprivate / && mount -t proc proc /proc || exit 77
    umount -l /sys/fs/cgroup 2>/dev/null
    mount -t cgroup2 none /sys/fs/cgroup && mount -t tmpfs tmpfs /run || exit 77
    mkdir -p /run/systemd/system /run/st && cp \"$1\"/*.service \"$1\"/*.socket \"$1\"/*.target /run/systemd/system/ || exit 77
    cp \"$1\"/stillthere \"$1\"/stillthere.conf /run/st/ || exit 77
    [ -z \"$2\" ] && exit 0
    unset NOTIFY_SOCKET LISTEN_FDS LISTEN_PID
    export container=stillthere SYSTEMD_UNIT_PATH=/run/systemd/system SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=info
    exec /lib/systemd/systemd --system --unit=stillthere-test.target --show-status=no
";

/// Why no systemd can be started here, if it cannot.
pub fn missing() -> Option<String> {
    if !Path::new(SYSTEMD).exists() {
        return Some(format!("there is no {SYSTEMD}: `apt-get install systemd` installs it"));
    }
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root".to_string());
    }
    let Some(place) = Cgroup::place() else { return Some("no cgroup2 is mounted".to_string()) };
    let cgroup = match Cgroup::at(&place, "probe") {
        Ok(cgroup) => cgroup,
        Err(error) => return Some(format!("no cgroup can be made below {}: {error}", place.display())),
    };
    let files = Files::of("");
    let probed = cgroup.command(&files.0, "").stderr(Stdio::null()).status();
    (!probed.is_ok_and(|status| status.success()))
        .then(|| "it cannot be given namespaces with a /proc, a /run and a cgroup of their own".to_string())
}

/// A cgroup, which is removed with this.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Where cgroup2 is mounted.
    fn place() -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
        line.split(' ').nth(1).map(PathBuf::from)
    }

    fn at(place: &Path, what: &str) -> std::io::Result<Self> {
        let unique = path(what);
        let cgroup = place.join(unique.file_name().unwrap());
        fs::create_dir(&cgroup)?;
        Ok(Self(cgroup))
    }

    /// PID 1 of a new namespace in this cgroup; `run` is empty where it is only to be seen whether that works.
    fn command(&self, files: &Path, run: &str) -> Command {
        let join = "echo $$ > \"$0\"/cgroup.procs && exec setpriv --pdeathsig KILL \
                    unshare --pid --mount --cgroup --uts --ipc --fork --kill-child sh -c \"$1\" sh \"$2\" \"$3\"";
        let mut command = Command::new("sh");
        command.args(["-c", join]).arg(&self.0).arg(BECOME_SYSTEMD).arg(files).arg(run).stdin(Stdio::null());
        command
    }

    fn remove(folder: &Path) {
        for below in fs::read_dir(folder).into_iter().flatten().flatten() {
            if below.file_type().is_ok_and(|kind| kind.is_dir()) {
                Self::remove(&below.path());
            }
        }
        let _ = fs::remove_dir(folder);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let until = Instant::now() + Duration::from_secs(5);
        while self.0.exists() && Instant::now() < until {
            Self::remove(&self.0);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What systemd gets: the units, the program and its configuration.
struct Files(PathBuf);

impl Files {
    fn of(configuration: &str) -> Self {
        let folder = path("machine");
        fs::create_dir(&folder).unwrap();
        let service = source("stillthere.service")
            .replace("/usr/bin/stillthere", "/run/st/stillthere")
            .replace("/etc/stillthere.conf", "/run/st/stillthere.conf")
            // There are no other units here, and no journal.
            .replace("After=network-online.target\nWants=network-online.target\n", "DefaultDependencies=no\n")
            // A test starts it more often than a failing service may be.
            .replace("[Unit]\n", "[Unit]\nStartLimitIntervalSec=0\n")
            .replace("[Service]\n", "[Service]\nStandardError=append:/run/st/log\n");
        fs::write(folder.join("stillthere.service"), service).unwrap();
        let socket = source("stillthere.socket").replace("[Unit]\n", "[Unit]\nDefaultDependencies=no\n");
        fs::write(folder.join("stillthere.socket"), socket).unwrap();
        fs::write(folder.join("stillthere-test.target"), "[Unit]\nDescription=nothing\nAllowIsolate=yes\n").unwrap();
        fs::write(folder.join("stillthere.conf"), configuration).unwrap();
        // A link would do if it were the same file system.
        fs::copy(env!("CARGO_BIN_EXE_stillthere"), folder.join("stillthere")).unwrap();
        Self(folder)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A systemd, with the units of `dist/systemd`.
struct Machine {
    unshare: Child,
    /// systemd, as this namespace names it.
    pid: u32,
    address: SocketAddr,
    _cgroup: Cgroup,
    files: Files,
}

impl Machine {
    /// `options` are lines of the configuration; `change` changes the units.
    fn start(options: &str, change: impl FnOnce(&Path, SocketAddr)) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let files = Files::of(&format!("listen {address}\n{options}"));
        change(&files.0, address);
        let cgroup = Cgroup::at(&Cgroup::place().unwrap(), "machine").unwrap();
        let console = fs::File::create(files.0.join("console")).unwrap();
        let mut command = cgroup.command(&files.0, "run");
        command.stdout(console.try_clone().unwrap()).stderr(console);
        let unshare = command.spawn().expect("it starts");
        let mut machine = Self { unshare, pid: 0, address, _cgroup: cgroup, files };
        let until = Instant::now() + PATIENCE;
        while !machine.is_up() {
            assert!(Instant::now() < until, "systemd does not start:\n{}", machine.told());
            thread::sleep(Duration::from_millis(50));
        }
        machine
    }

    fn is_up(&mut self) -> bool {
        let id = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        self.pid = children.trim().parse().unwrap_or(0);
        self.pid != 0
            && Path::new(&format!("/proc/{}/root/run/systemd/private", self.pid)).exists()
            && self.systemctl(&["show", "-p", "Version"]).status.success()
    }

    fn systemctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-p", "-m", "systemctl", "--no-pager"]).args(arguments);
        command.stdin(Stdio::null()).output().expect("nsenter runs")
    }

    fn obeys(&self, arguments: &[&str]) {
        let output = self.systemctl(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "systemctl {arguments:?}: {told}\n{}", self.told());
    }

    fn property(&self, name: &str) -> String {
        let output = self.systemctl(&["show", "-P", name, "stillthere.service"]);
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    /// The property becomes this before long.
    fn becomes(&self, name: &str, value: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let is = self.property(name);
            if is == value {
                return;
            }
            assert!(Instant::now() < until, "{name} is {is:?}, and not {value:?}:\n{}", self.told());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(format!("/proc/{}/root/run/st/log", self.pid)).unwrap_or_default()
    }

    fn told(&self) -> String {
        let console = fs::read_to_string(self.files.0.join("console")).unwrap_or_default();
        format!("the console:\n{console}\nthe server:\n{}", self.log())
    }

    fn logs(&self, part: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.log().contains(part) {
            assert!(Instant::now() < until, "{part:?} is not logged:\n{}", self.told());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&self, signal: &str) {
        self.obeys(&["kill", "--kill-who=main", "-s", signal, "stillthere.service"]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It does not forward signals, and PID 1 is killed with it.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// Changes a line of the service.
fn set(files: &Path, line: &str, other: &str) {
    let unit = files.join("stillthere.service");
    let text = fs::read_to_string(&unit).unwrap();
    assert!(text.contains(line), "{line}");
    fs::write(unit, text.replace(line, other)).unwrap();
}

fn course() {
    let machine = Machine::start("", |_, _| ());
    // It is ready when it listens.
    machine.obeys(&["start", "stillthere.service"]);
    let mut peer = connect(machine.address);
    exchange(&mut peer);
    assert_eq!(machine.property("ActiveState"), "active");
    assert_eq!(machine.property("StatusText"), format!("serves 0 peers on {}", machine.address));
    let pid = machine.property("MainPID");
    for generation in 1..=3 {
        machine.obeys(&["reload", "stillthere.service"]);
        machine.logs(&format!("1 peer stays (generation {generation})"));
        machine.becomes("StatusText", &format!("serves 1 peer on {}", machine.address));
        exchange(&mut peer);
        assert_eq!((machine.property("MainPID"), machine.property("ActiveState")), (pid.clone(), "active".to_string()));
    }
    // A program that cannot go on changes nothing.
    let program = format!("/proc/{}/root/run/st/stillthere", machine.pid);
    fs::remove_file(&program).unwrap();
    machine.obeys(&["reload", "stillthere.service"]);
    machine.logs("the upgrade is refused");
    machine.becomes("ActiveState", "active");
    exchange(&mut peer);
    fs::copy(env!("CARGO_BIN_EXE_stillthere"), &program).unwrap();
    // The configuration alone.
    machine.kill("HUP");
    machine.logs("nothing has changed");
    exchange(&mut peer);
    // Without --keep-peers-over-restart, a restart closes them in order.
    machine.obeys(&["restart", "stillthere.service"]);
    assert_eq!(again::read(&peer, &mut [0]).unwrap(), 0);
    assert_ne!(machine.property("MainPID"), pid);
    exchange(&mut connect(machine.address));
    machine.obeys(&["stop", "stillthere.service"]);
    assert_eq!((machine.property("ActiveState"), machine.property("Result")), ("inactive".into(), "success".into()));
    assert!(TcpStream::connect(machine.address).is_err());
}

fn watchdog() {
    let machine = Machine::start("", |files, _| set(files, "WatchdogSec=60s", "WatchdogSec=2s"));
    machine.obeys(&["start", "stillthere.service"]);
    let pid = machine.property("MainPID");
    // An upgrade changes nothing about it.
    machine.obeys(&["reload", "stillthere.service"]);
    machine.logs("0 peers stay (generation 1)");
    thread::sleep(Duration::from_secs(5));
    assert_eq!((machine.property("MainPID"), machine.property("NRestarts")), (pid, "0".to_string()), "it is alive");
    machine.kill("STOP");
    machine.becomes("NRestarts", "1");
    machine.becomes("ActiveState", "active");
    exchange(&mut connect(machine.address));
}

fn socket() {
    let machine = Machine::start("", |files, address| {
        let unit = files.join("stillthere.socket");
        let text = fs::read_to_string(&unit).unwrap();
        assert!(text.contains("ListenStream=7007\n"));
        fs::write(unit, text.replace("ListenStream=7007\n", &format!("ListenStream={address}\n"))).unwrap();
        // Where to listen is said by the socket alone.
        fs::write(files.join("stillthere.conf"), "log debug\n").unwrap();
    });
    machine.obeys(&["start", "stillthere.socket"]);
    assert_eq!(machine.property("ActiveState"), "inactive");
    let mut peer = connect(machine.address);
    exchange(&mut peer);
    assert_eq!(machine.property("ActiveState"), "active");
    assert!(machine.log().contains(&format!("echo listens on {}", machine.address)), "{}", machine.told());
    machine.obeys(&["reload", "stillthere.service"]);
    machine.logs("1 peer stays (generation 1)");
    exchange(&mut peer);
    // Nobody is refused during a restart: whoever comes waits.
    let restarts = thread::scope(|scope| {
        let restarts = scope.spawn(|| (0..5).for_each(|_| machine.obeys(&["restart", "stillthere.service"])));
        let mut came = 0;
        while !restarts.is_finished() {
            // One that is in the backlog when the old server's end of it is closed stays: systemd has the same listener.
            let mut newcomer = connect(machine.address);
            let _ = newcomer.write_all(b"hello");
            came += 1;
            thread::sleep(Duration::from_millis(5));
        }
        restarts.join().unwrap();
        came
    });
    assert!(restarts > 5);
    exchange(&mut connect(machine.address));
    assert!(!machine.log().contains("WARN  the socket"), "{}", machine.told());
}

/// Every byte that was sent comes back, whatever happens meanwhile.
fn keep() {
    // docs/systemd.md has the figures for more.
    let peers = std::env::var("PEERS").ok().and_then(|peers| peers.parse().ok());
    let peers: usize = peers.unwrap_or(1000);
    raise_descriptor_limit(peers as u64 + 100);
    let machine = Machine::start("keep-peers-over-restart\n", |_, _| ());
    machine.obeys(&["start", "stillthere.service"]);
    let count = peers;
    let mut peers: Vec<_> = (0..count).map(|_| connect(machine.address)).collect();
    peers.iter_mut().for_each(exchange);
    let first = machine.property("MainPID");
    let bytes = |round: usize, peer: usize| format!("{round} {peer:05} {}", "x".repeat(peer % 700)).into_bytes();
    for round in 1..=5 {
        let begun = Instant::now();
        thread::scope(|scope| {
            let restart = scope.spawn(|| machine.obeys(&["restart", "stillthere.service"]));
            for (peer, stream) in peers.iter_mut().enumerate() {
                stream.write_all(&bytes(round, peer)).expect("nobody is let go");
            }
            restart.join().unwrap();
        });
        let restarted = begun.elapsed();
        for (peer, stream) in peers.iter_mut().enumerate() {
            let expected = bytes(round, peer);
            let mut got = vec![0; expected.len()];
            stream.read_exact(&mut got).unwrap_or_else(|error| panic!("peer {peer}: {error}\n{}", machine.told()));
            assert!(got == expected, "peer {peer}");
        }
        println!("{count} peers: restarted in {restarted:?}, every byte back after {:?}", begun.elapsed());
        machine.logs(&format!("restarted after 0.1.0: {count} peers stay (generation {round})"));
        machine.becomes("NFileDescriptorStore", "0");
        exchange(&mut connect(machine.address));
    }
    assert_ne!(machine.property("MainPID"), first);
    // Upgrade and restart in turn.
    machine.obeys(&["reload", "stillthere.service"]);
    machine.logs("upgraded from");
    machine.obeys(&["restart", "stillthere.service"]);
    peers.iter_mut().for_each(exchange);
    // A stop is one: nobody is kept for ever.
    machine.obeys(&["stop", "stillthere.service"]);
    let is_gone = |peer: &mut TcpStream| matches!(again::read(&*peer, &mut [0]), Ok(0) | Err(_));
    assert!(peers.iter_mut().all(is_gone));
    assert!(TcpStream::connect(machine.address).is_err());
    machine.obeys(&["start", "stillthere.service"]);
    exchange(&mut connect(machine.address));
}

/// A start that fails for its configuration has not touched the peers: the next one that works has them all.
fn keep_over_failures() {
    let machine = Machine::start("keep-peers-over-restart\n", |_, _| ());
    machine.obeys(&["start", "stillthere.service"]);
    let mut peers: Vec<_> = (0..50).map(|_| connect(machine.address)).collect();
    peers.iter_mut().for_each(exchange);
    let configuration = format!("/proc/{}/root/run/st/stillthere.conf", machine.pid);
    let good = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, format!("{good}deadlin 5s\n")).unwrap();
    assert!(!machine.systemctl(&["restart", "stillthere.service"]).status.success());
    peers.iter_mut().for_each(|peer| peer.write_all(b"still there?").expect("nobody is let go"));
    thread::sleep(Duration::from_secs(2));
    assert_ne!(machine.property("ActiveState"), "active");
    fs::write(&configuration, good).unwrap();
    machine.becomes("ActiveState", "active");
    for peer in &mut peers {
        let mut got = [0; 12];
        peer.read_exact(&mut got).unwrap_or_else(|error| panic!("{error}\n{}", machine.told()));
        assert_eq!(&got, b"still there?");
    }
    machine.logs("50 peers stay");
    machine.becomes("NFileDescriptorStore", "0");
    // The program before has given up its rights. One that cannot do so must not serve, peers or not.
    let good = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, format!("{good}user nobody-of-that-name\n")).unwrap();
    assert!(!machine.systemctl(&["restart", "stillthere.service"]).status.success());
    machine.logs("cannot run as --user nobody-of-that-name: ");
    assert!(TcpStream::connect(machine.address).is_err(), "{}", machine.told());
}

/// The grace of the server counts, and not how soon systemd ends others.
fn grace() {
    let machine = Machine::start("grace 60s\nmax-output 8M\n", |files, _| {
        set(files, "TimeoutStopSec=30s", "TimeoutStopSec=2s");
    });
    machine.obeys(&["start", "stillthere.service"]);
    let mut peer = connect(machine.address);
    // More than the kernel holds for a peer that does not read: some of it waits in the server.
    let count = fill(&peer, 6 << 20);
    machine.obeys(&["stop", "--no-block", "stillthere.service"]);
    machine.logs("stops; peers have");
    thread::sleep(Duration::from_secs(6));
    assert_eq!(machine.property("ActiveState"), "deactivating", "{}", machine.told());
    let mut got = Vec::new();
    let _ = peer.read_to_end(&mut got);
    assert!(got.len() > 1 << 20, "{} bytes of {count}", got.len());
    drop(peer);
    machine.becomes("ActiveState", "inactive");
    assert_eq!(machine.property("Result"), "success");
}

/// With FileDescriptorStoreMax=0 systemd takes nobody: the server notices that before it ends.
fn keep_nothing() {
    let machine = Machine::start("keep-peers-over-restart\n", |files, _| {
        set(files, "FileDescriptorStoreMax=4", "FileDescriptorStoreMax=0");
    });
    machine.obeys(&["start", "stillthere.service"]);
    let mut peer = connect(machine.address);
    exchange(&mut peer);
    machine.obeys(&["restart", "stillthere.service"]);
    assert_eq!(again::read(&peer, &mut [0]).expect("it is closed in order"), 0);
    machine.logs("the peers are not kept: the supervisor has not taken them");
    exchange(&mut connect(machine.address));
    assert_eq!(machine.property("Result"), "success");
}

fn sandbox() {
    if cfg!(not(feature = "sandbox")) {
        return;
    }
    let machine = Machine::start("sandbox\n", |_, _| ());
    machine.obeys(&["start", "stillthere.service"]);
    let mut peer = connect(machine.address);
    exchange(&mut peer);
    // Landlock must be in force, or be missing in the kernel: what the unit forbids would be another sentence.
    let log = machine.log();
    assert!(!log.contains("Operation not permitted"), "{log}");
    for generation in 1..=2 {
        machine.obeys(&["reload", "stillthere.service"]);
        machine.logs(&format!("1 peer stays (generation {generation})"));
        exchange(&mut peer);
    }
    machine.becomes("StatusText", &format!("serves 1 peer on {}", machine.address));
}
