//! `--user` and `--sandbox`: what the server has given up is tried from inside, and what was configured still works.
//!
//! To try it from inside, this program takes the place of the server's own: an upgrade then runs it as a child of the server, in its
//! sandbox, and what it says is in the log. Trials that want root, or a kernel with Landlock, are ignored where those cannot be had.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Server, ask};
use libtest_mimic::{Arguments, Trial};
use rustix::process::{Pid, geteuid, getppid, test_kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stillthere");
/// A user that every Linux has, with no rights.
const NOBODY: u32 = 65534;

fn main() -> ExitCode {
    if std::env::var_os("STILLTHERE_REHEARSAL").is_some() {
        println!("no {}", from_inside());
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::from_args();
    let is_root = geteuid().is_root();
    let has_landlock = has_landlock();
    let can = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let injects = has_landlock && can("strace", &["-e", "inject=getppid:error=EPERM", "true"]);
    let sets = is_root && can("setpriv", &["--securebits=+no_setuid_fixup", "--", "true"]);
    for (can, what) in [
        (is_root, "root"),
        (has_landlock, "a kernel with Landlock"),
        (injects, "strace that may trace"),
        (sets, "setpriv, as root"),
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
        trial("what was not configured is forbidden", has_landlock, what_was_not_configured_is_forbidden),
        trial("what was configured works after 20 upgrades", has_landlock, what_was_configured_works),
        trial("a collector is connected to again", has_landlock, a_collector_is_connected_to_again),
        trial("another folder of the same name is outside", has_landlock, another_folder_is_outside),
        trial("another program beside a link goes on", has_landlock, another_program_behind_a_link_goes_on),
        trial("another port wants a new start", has_landlock, another_port_wants_a_new_start),
        trial("a sandbox that is not wanted any more is told of", has_landlock, a_sandbox_stays),
        trial("a kernel without Landlock is told of", injects, a_kernel_without_landlock_is_told_of),
        trial("root becomes a user for good", is_root, root_becomes_a_user_for_good),
        trial("what the user may not do is said", is_root, what_the_user_may_not_do_is_said),
        trial("who is not root is told so", sets, who_is_not_root_is_told_so),
        trial("capabilities that were kept are given up", sets, kept_capabilities_are_given_up),
        trial("the user's port below 1024 stays over an upgrade", is_root, a_low_port_stays),
        trial("an unknown user is an error", true, an_unknown_user_is_an_error),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(options: &[&str]) -> Output {
    let options = ["serve", "127.0.0.1:0"].iter().chain(options);
    Command::new(PROGRAM).args(options).stdin(Stdio::null()).output().expect("the program runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// The kernel's own word: the call for its version (landlock_create_ruleset(2)) has the number 444 everywhere.
fn has_landlock() -> bool {
    let mut server = Command::new(PROGRAM)
        .args(["serve", "127.0.0.1:0", "--sandbox"])
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut told = vec![0; 4096];
    let mut stderr = server.stderr.take().expect("a pipe");
    let mut all = String::new();
    while !all.contains("no Landlock") && !all.contains("sandboxed") {
        match stderr.read(&mut told) {
            Ok(count @ 1..) => all += &String::from_utf8_lossy(&told[..count]),
            _ => break,
        }
    }
    let _ = server.kill();
    let _ = server.wait();
    all.contains("sandboxed")
}

/// A folder of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("stillthere-sandbox-{}-{number}", std::process::id()));
        for folder in ["", "bin", "etc", "run", "log"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        // The user that the server becomes must reach it.
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let folder = Self(path);
        folder.install("bin/stillthere", Path::new(PROGRAM));
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// As a package manager does: the new file takes the place of the old one.
    fn install(&self, name: &str, program: &Path) {
        let new = self.at("bin/new");
        // A child copies it: a file that this process writes to may be open in a child of another trial, and then cannot be executed
        // (ETXTBSY).
        assert!(Command::new("cp").arg(program).arg(&new).status().is_ok_and(|status| status.success()));
        fs::rename(new, self.at(name)).unwrap();
    }

    fn start(&self, options: &[&str]) -> Server {
        self.start_as(&self.at("bin/stillthere"), options)
    }

    fn start_as(&self, program: &Path, options: &[&str]) -> Server {
        let mut command = Command::new(program);
        command.args(["serve"]);
        if !options.iter().any(|option| option.starts_with("127.0.0.1:")) {
            command.arg("127.0.0.1:0");
        }
        command.args(options).env("TRY_FROM_INSIDE", &self.0);
        Server::start_with(command)
    }

    /// Makes a file, or gives one to the user.
    fn give(&self, name: &str, uid: u32) {
        std::os::unix::fs::chown(self.at(name), Some(uid), Some(uid)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a program may do that runs in the server's sandbox: "secret=denied proc=ok ...".
fn from_inside() -> String {
    let folder = PathBuf::from(std::env::var_os("TRY_FROM_INSIDE").expect("the test's folder"));
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let number = |name: &str| text(&format!("etc/{name}")).trim().parse::<u32>().unwrap_or(1);
    let as_text = |path: &str| File::open(path).map(drop);
    let signal = |pid: Option<Pid>| test_kill_process(pid.unwrap_or(Pid::INIT)).map_err(io::Error::from);
    let tries: Vec<(&str, io::Result<()>)> = vec![
        ("secret", File::open(folder.join("log/secret")).map(drop)),
        ("write", OpenOptions::new().append(true).open(folder.join("log/secret")).map(drop)),
        ("make", File::create(folder.join("log/new")).map(drop)),
        ("remove", fs::remove_file(folder.join("log/secret"))),
        ("passwd", as_text("/etc/passwd")),
        ("list", fs::read_dir("/").map(drop)),
        // Root reads more of others than a user would (CAP_PERFMON), but not this.
        ("descriptor", fs::read_link(format!("/proc/{}/fd/0", number("outside"))).map(drop)),
        ("execute", Command::new("/bin/true").status().map(drop)),
        ("bind", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("bind-other", TcpListener::bind(("127.0.0.1", number("free") as u16)).map(drop)),
        ("connect", TcpStream::connect(("127.0.0.1", number("other") as u16)).map(drop)),
        ("signal", signal(Pid::from_raw(number("outside") as i32))),
        ("proc", as_text("/proc/self/stat")),
        ("configuration", File::open(folder.join("etc/free")).map(drop)),
        ("null", as_text("/dev/null")),
        ("parent", signal(getppid())),
    ];
    let word = |result: &io::Result<()>| match result {
        Ok(()) => "ok",
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => "denied",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "absent",
        Err(_) => "failed",
    };
    tries.iter().map(|(name, result)| format!("{name}={}", word(result))).collect::<Vec<_>>().join(" ")
}

fn what_was_not_configured_is_forbidden() {
    let folder = Folder::new();
    fs::write(folder.at("log/secret"), "secret").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::write(folder.at("etc/other"), other.local_addr().unwrap().port().to_string()).unwrap();
    fs::write(folder.at("etc/free"), free.to_string()).unwrap();
    // A process that is ours, and does not belong to the server.
    let mut outside = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = outside.id();
    fs::write(folder.at("etc/outside"), pid.to_string()).unwrap();
    fs::write(folder.at("etc/server.conf"), "idle 5s\n").unwrap();
    let configuration = folder.text("etc/server.conf");
    let mut plain = folder.start(&["--config", &configuration]);
    let mut server = folder.start(&["--config", &configuration, "--sandbox"]);
    let mut peer = server.connect();
    folder.install("bin/stillthere", &std::env::current_exe().unwrap());
    let told = |server: &mut Server| {
        server.signal("USR2");
        let line = server.wait_for("it says: ").1;
        line.split_once("it says: ").unwrap().1.trim_end_matches("; nobody leaves").to_string()
    };
    let inside = told(&mut server);
    // The same without a sandbox: it is not the trial that fails. (It removes the file.)
    let free_to_go = told(&mut plain);
    let _ = outside.kill();
    let _ = outside.wait();
    println!("in the sandbox: {inside}\nwithout:        {free_to_go}");
    let tcp = !server.told().contains("cannot forbid TCP");
    let signals = !server.told().contains("cannot forbid signals");
    for (name, forbidden) in [
        ("secret", true),
        ("write", true),
        ("make", true),
        ("remove", true),
        ("passwd", true),
        ("list", true),
        ("descriptor", true),
        ("execute", true),
        ("bind", tcp),
        ("bind-other", tcp),
        ("connect", tcp),
        ("signal", signals),
    ] {
        let word = if forbidden { "denied" } else { "ok" };
        assert!(inside.split(' ').any(|part| part == format!("{name}={word}")), "{name}: {inside}");
    }
    for name in ["proc", "configuration", "null", "parent"] {
        assert!(inside.split(' ').any(|part| part == format!("{name}=ok")), "{name}: {inside}");
    }
    assert!(!free_to_go.contains("denied"), "without a sandbox: {free_to_go}");
    ask(&mut peer, b"and still served");
    assert!(fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap().contains("NoNewPrivs:\t1"));
}

/// Layers of Landlock stack: a program that made one at each upgrade would fail at the 17th.
fn what_was_configured_works() {
    let folder = Folder::new();
    let [events, socket, configuration] = ["log/events", "run/admin", "etc/server.conf"].map(|name| folder.text(name));
    fs::write(&configuration, "max-output 64K\n").unwrap();
    let admin = format!("unix:{socket}");
    let options = ["--config", &configuration, "--events", &events, "--admin", &admin, "--sandbox"];
    let mut server = folder.start(&options);
    let mut peer = server.connect();
    ask(&mut peer, b"before");
    for generation in 1..=20 {
        folder.install("bin/stillthere", Path::new(PROGRAM));
        server.signal("USR2");
        server.wait_for(&format!("1 peer stays (generation {generation})"));
    }
    ask(&mut peer, b"after 20 upgrades");
    let told = server.told();
    assert!(told.matches("sandboxed; ").count() == 1 && !told.contains(" ERROR "), "{told}");
    // The file is rotated, the configuration is replaced.
    fs::rename(&events, folder.at("log/events.1")).unwrap();
    fs::write(folder.at("etc/new"), "max-output 128K\n").unwrap();
    fs::rename(folder.at("etc/new"), &configuration).unwrap();
    server.signal("HUP");
    server.wait_for("log/events is opened anew");
    assert!(server.told().contains("reloaded "), "{}", server.told());
    drop(server.connect());
    server.wait_for("1 departed");
    let answer = at_socket(&socket, "/metrics");
    assert!(answer.contains("process_cpu_seconds_total ") && answer.contains("process_open_fds "), "{answer}");
    assert!(at_socket(&socket, "/peers").contains("127.0.0.1"));
    assert!(fs::read_to_string(&events).unwrap().contains("\"departure\""), "{}", fs::read_to_string(&events).unwrap());
    server.signal("TERM");
    drop(peer);
    assert!(server.wait().success(), "{}", server.told());
    assert!(!Path::new(&socket).exists(), "the socket is removed");
}

fn at_socket(socket: &str, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the admin port is there");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn a_collector_is_connected_to_again() {
    let folder = Folder::new();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server =
        folder.start(&["--events", &format!("tcp:{}", collector.local_addr().unwrap()), "--sandbox", "--log", "debug"]);
    for _ in 0..3 {
        let (mut stream, _) = collector.accept().unwrap();
        drop(server.connect());
        assert!(stream.read(&mut [0; 512]).unwrap() > 0);
    }
    server.wait_for("the reader has gone");
}

/// The rule is for the folder, and not for its name.
fn another_folder_is_outside() {
    let folder = Folder::new();
    let events = folder.text("log/events");
    let mut server = folder.start(&["--events", &events, "--sandbox"]);
    fs::rename(folder.at("log"), folder.at("old")).unwrap();
    fs::create_dir(folder.at("log")).unwrap();
    server.signal("HUP");
    server.wait_for("events cannot be opened anew, and the old file is written to: Permission denied");
    drop(server.connect());
    server.signal("USR1");
    server.wait_for("1 accepted");
}

/// Releases lie side by side, and a link says which one is used: one beside it goes on, one elsewhere is outside.
fn another_program_behind_a_link_goes_on() {
    let folder = Folder::new();
    for release in ["1", "2"] {
        folder.install(&format!("bin/{release}"), Path::new(PROGRAM));
    }
    folder.install("etc/3", Path::new(PROGRAM));
    let link_to = |target: &str| {
        symlink(target, folder.at("bin/link")).unwrap();
        fs::rename(folder.at("bin/link"), folder.at("bin/stillthere")).unwrap();
    };
    link_to("1");
    let mut server = folder.start(&["--sandbox"]);
    link_to("2");
    server.signal("USR2");
    server.wait_for("(generation 1)");
    let mut peer = server.connect();
    link_to("../etc/3");
    server.signal("USR2");
    server.wait_for("the upgrade is refused: ");
    assert!(server.told().contains("Permission denied"), "{}", server.told());
    ask(&mut peer, b"nobody leaves");
}

/// The rehearsal cannot listen there, and nobody leaves.
fn another_port_wants_a_new_start() {
    let folder = Folder::new();
    let configuration = folder.text("etc/server.conf");
    fs::write(&configuration, "listen 127.0.0.1:0\n").unwrap();
    let mut command = Command::new(folder.at("bin/stillthere"));
    command.args(["serve", "--config", &configuration, "--sandbox"]);
    let mut server = Server::start_with(command);
    if server.told().contains("cannot forbid TCP") {
        return; // nothing is forbidden
    }
    let mut peer = server.connect();
    let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(&configuration, format!("listen {other}\n")).unwrap();
    server.signal("USR2");
    let (_, line) = server.wait_for("the upgrade is refused");
    let said = format!("cannot listen on {other}: Permission denied (os error 13); only a sandbox forbids such a port");
    assert!(line.contains(&said), "{line}");
    ask(&mut peer, b"nobody leaves");
}

fn a_sandbox_stays() {
    let folder = Folder::new();
    let configuration = folder.text("etc/server.conf");
    fs::write(&configuration, "sandbox yes\n").unwrap();
    let mut server = folder.start(&["--config", &configuration]);
    fs::write(&configuration, "\n").unwrap();
    server.signal("USR2");
    server.wait_for("what --sandbox has forbidden stays forbidden until the server is started anew");
    server.wait_for("(generation 1)");
    fs::write(&configuration, "sandbox yes\n").unwrap();
    server.signal("USR2");
    server.wait_for("(generation 2)");
}

/// As root, the numbers of a process that is no process of root's.
fn ids(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let wanted = ["Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];
    let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

const UNPRIVILEGED: &str = "Uid: 65534 65534 65534 65534\nGid: 1 1 1 1\nGroups: 1\nCapInh: 0000000000000000\n\
     CapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapAmb: 0000000000000000\n";

fn root_becomes_a_user_for_good() {
    let folder = Folder::new();
    let [events, socket] = ["log/events", "run/admin"].map(|name| folder.text(name));
    ["log", "run"].iter().for_each(|name| folder.give(name, NOBODY));
    let admin = format!("unix:{socket}");
    let options = ["--user", "65534:1", "--events", &events, "--admin", &admin, "--sandbox"];
    let mut server = folder.start(&options);
    assert!(server.told().contains("runs as 65534 (uid 65534, gid 1) from now on"), "{}", server.told());
    let mut peer = server.connect();
    for generation in 1..=2 {
        assert_eq!(ids(server.pid()), UNPRIVILEGED);
        server.signal("USR2");
        server.wait_for(&format!("1 peer stays (generation {generation})"));
    }
    ask(&mut peer, b"and still served");
    for path in [&events, &socket] {
        let file = fs::symlink_metadata(path).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o7), (NOBODY, 1, 0), "{path}");
    }
    fs::rename(&events, folder.at("log/events.1")).unwrap();
    server.signal("HUP");
    server.wait_for("opened anew");
    drop(peer);
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(!Path::new(&socket).exists(), "the socket is removed");
    let told = server.told();
    assert!(!told.contains(" WARN ") && !told.contains(" ERROR "), "{told}");
}

fn what_the_user_may_not_do_is_said() {
    let folder = Folder::new();
    let [events, socket, configuration] = ["log/events", "run/admin", "etc/server.conf"].map(|name| folder.text(name));
    fs::write(&configuration, "idle 5s\n").unwrap();
    fs::set_permissions(&configuration, PermissionsExt::from_mode(0o600)).unwrap();
    // A file that was there before stays root's, and so does what a link leads to.
    fs::write(&events, "{}\n").unwrap();
    let admin = format!("unix:{socket}");
    let mut server =
        folder.start(&["--config", &configuration, "--events", &events, "--admin", &admin, "--user", "65534:65534"]);
    let told = server.told();
    for part in [
        &format!("may not read {configuration}: no upgrade will be possible, and no reload"),
        &format!("may not make files in the folder of {events}: SIGHUP will not open it anew"),
        &format!("may not remove {socket}: it stays behind, and the next start replaces it"),
    ] {
        assert!(told.contains(part.as_str()), "{part:?} is not in\n{told}");
    }
    assert_eq!(fs::metadata(&events).unwrap().uid(), 0);
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(Path::new(&socket).exists());
    // The next start replaces it.
    drop(folder.start(&["--admin", &admin]));
}

fn who_is_not_root_is_told_so() {
    let folder = Folder::new();
    let unprivileged = |options: &[&str]| {
        let mut command = Command::new(folder.at("bin/stillthere"));
        command.args(["serve", "127.0.0.1:0"]).args(options).uid(NOBODY).gid(NOBODY);
        command
    };
    let output = unprivileged(&["--user", "1:1"]).stdin(Stdio::null()).output().unwrap();
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("cannot run as --user 1:1: only root can become another user, and this is uid 65534"),
        "{told}"
    );
    // Whoever is that user already needs no root: a unit file may have seen to it.
    let mut command = unprivileged(&["--user", "65534:65534"]);
    // Root's groups are given up by whoever starts it.
    unsafe_free_groups(&mut command);
    let server = Server::start_with(command);
    assert!(!server.told().contains("runs as"), "{}", server.told());
}

/// std drops the groups of root when it sets another user, but keeps the new group out of them: `setpriv` does all of it.
fn unsafe_free_groups(command: &mut Command) {
    let mut plain = Command::new("setpriv");
    plain.args(["--reuid=65534", "--regid=65534", "--groups=65534", "--inh-caps=-all", "--"]);
    plain.arg(command.get_program()).args(command.get_args());
    *command = plain;
}

/// Some start programs so that a change of the user takes no capability away (capabilities(7), SECBIT_NO_SETUID_FIXUP).
fn kept_capabilities_are_given_up() {
    let folder = Folder::new();
    let mut command = Command::new("setpriv");
    command.args(["--securebits=+no_setuid_fixup", "--"]).arg(folder.at("bin/stillthere"));
    command.args(["serve", "127.0.0.1:0", "--user", "65534:1"]);
    let server = Server::start_with(command);
    assert_eq!(ids(server.pid()), UNPRIVILEGED);
}

fn a_low_port_stays() {
    let folder = Folder::new();
    let port = (600..1000).rev().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port");
    let mut server = folder.start(&[&format!("127.0.0.1:{port}"), "--user", "65534:65534"]);
    server.signal("USR2");
    server.wait_for("(generation 1)");
    ask(&mut server.connect(), b"a newcomer");
}

fn an_unknown_user_is_an_error() {
    let output = run(&["--user", "nobody-of-that-name"]);
    assert_eq!(output.status.code(), Some(1));
    let because = "there is no user \"nobody-of-that-name\" in /etc/passwd";
    assert!(
        said(&output).contains(&format!("cannot run as --user nobody-of-that-name: {because}")),
        "{}",
        said(&output)
    );
    #[cfg(feature = "config")]
    {
        let checked = run(&["--user", "nobody-of-that-name", "--check"]);
        assert!(
            !checked.status.success() && said(&checked).contains(&format!("--user nobody-of-that-name: {because}")),
            "{}",
            said(&checked)
        );
    }
}

/// seccomp would be the real thing; a system call that fails by strace looks the same.
fn a_kernel_without_landlock_is_told_of() {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-einject=landlock_create_ruleset:error=ENOSYS", PROGRAM]);
    let output = command.args(["serve", "127.0.0.1:0", "--sandbox"]).stdin(Stdio::null()).output().unwrap();
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot keep --sandbox: this kernel has no Landlock"), "{told}");
    // One of Linux 5.19 knows files alone.
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-einject=landlock_create_ruleset:retval=2:when=1", PROGRAM]);
    command.args(["serve", "127.0.0.1:0", "--sandbox"]);
    let server = Server::start_with(command);
    assert!(server.told().contains("this kernel cannot forbid TCP on other ports (Linux 6.7)"), "{}", server.told());
}
