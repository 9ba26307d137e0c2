//! `--config`, `--check` and `--profile`, by the whole program.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(feature = "admin")]
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::common::{Server, exchange};

mod common;

/// A directory of this test's own, which is removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("stillthere-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }

    /// A file with this text; its path.
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file can be written");
        path.to_str().expect("the path is text").to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn serve(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    command.arg("serve").args(arguments);
    command
}

/// Exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_file_starts_a_server_and_the_command_line_comes_first() {
    let directory = Directory::new("start");
    let file = directory.file("a.conf", "listen 127.0.0.1:0\nlisten 127.0.0.1:0\nservice discard\nmax-connections 7\n");
    let server = Server::start_with(serve(&["--config", &file]));
    assert_eq!(server.addresses.len(), 2);
    assert!(server.told().contains("discard listens on") && server.told().contains("7 connections at most"));
    let mut command = serve(&["127.0.0.1:0", "--service", "echo"]);
    command.env("STILLTHERE_CONFIG", &file).env("STILLTHERE_MAX_CONNECTIONS", "9");
    let server = Server::start_with(command);
    assert_eq!(server.addresses.len(), 1);
    assert!(server.told().contains("echo listens on") && server.told().contains("9 connections at most"));
    exchange(&mut server.connect());
}

#[test]
fn a_check_starts_nothing() {
    let directory = Directory::new("check");
    // The port is taken: a start would fail.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let good = directory.file("good.conf", format!("listen {port}\nidle 9s\nprofile tiny\n"));
    let (code, told, errors) = outcome(&mut serve(&["--config", &good, "--check"]));
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(told.starts_with(&format!("{good} is good: echo on {port}\n")), "{told}");
    assert!(
        told.contains("a silent peer is gone 39.0 to ") && told.contains("profile tiny sets backlog 128"),
        "{told}"
    );

    let bad = directory.file("bad.conf", "idle 0s\r\ndedline 3s\r\nbacklog 1\r\nbacklog 2");
    let (code, told, errors) = outcome(&mut serve(&["--config", &bad, "--check"]));
    assert_eq!((code, told.as_str()), (Some(1), ""));
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines.len(), 3, "{errors}");
    for (line, begins) in
        lines.iter().zip(["1: idle 0s: ", "2: there is no option dedline", "4: backlog is given in line 3"])
    {
        assert!(line.starts_with(&format!("stillthere: {bad}:{begins}")), "{line}");
    }
    // Not even a file that it would write to.
    #[cfg(feature = "events")]
    {
        let events = directory.0.join("events");
        let good = directory.file("events.conf", format!("events {}\n", events.display()));
        assert_eq!(outcome(&mut serve(&["--config", &good, "--check"])).0, Some(0));
        assert!(!events.exists());
    }
    let (code, _, at_start) = outcome(&mut serve(&["--config", &bad]));
    assert_eq!(code, Some(2), "a start with it is refused");
    assert_eq!(at_start, errors.replace("\nstillthere: ", "\n"), "for the same reasons");
}

/// What the file names, and cannot be read, is found before the start.
#[cfg(feature = "admin")]
#[test]
fn a_check_looks_for_the_files_that_are_named() {
    let directory = Directory::new("token");
    let missing = directory.0.join("token").display().to_string();
    let file = directory.file("a.conf", format!("admin 127.0.0.1:0\nadmin-token-file {missing}\n"));
    let (code, told, errors) = outcome(&mut serve(&["--config", &file, "--check"]));
    assert_eq!((code, told.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains(&missing) && errors.contains("No such file"), "{errors}");
    fs::write(&missing, "a".repeat(64)).unwrap();
    fs::set_permissions(&missing, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, errors) = outcome(&mut serve(&["--config", &file, "--check"]));
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.starts_with("stillthere: a warning: ") && errors.contains("others may read it"), "{errors}");
}

/// All that the machine lacks is told at once, in the words of where it was given.
#[cfg(all(feature = "admin", feature = "events", feature = "sandbox"))]
#[test]
fn a_check_tells_what_the_machine_lacks() {
    let directory = Directory::new("lacks");
    let folder = directory.0.join("none").display().to_string();
    let file = directory.file(
        "a.conf",
        format!("admin unix:{folder}/socket\n# and\nuser nobody-of-that-name\nevents {folder}/events\n"),
    );
    let (code, told, errors) = outcome(&mut serve(&["--config", &file, "--check", "--admin-token-file", &folder]));
    let expected = [
        format!("--admin-token-file {folder}: "),
        format!("{file}:1: admin unix:{folder}/socket: its folder {folder}: No such file or directory"),
        format!("{file}:4: events {folder}/events: its folder {folder}: "),
        format!("{file}:3: user nobody-of-that-name: there is no user "),
    ];
    assert_eq!((code, told.as_str(), errors.lines().count()), (Some(1), "", expected.len()), "{errors}");
    for (line, expected) in errors.lines().zip(&expected) {
        assert!(line.starts_with(&format!("stillthere: {expected}")), "{line}\n{expected}");
    }
    assert_eq!(outcome(&mut serve(&["--config", &file])).0, Some(1), "a start says so, too");
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = Directory::new("unreadable");
    let mut huge = b"# a very long comment\n".repeat(60_000);
    huge.extend(b"idle 5s\n");
    let huge = directory.file("huge.conf", huge);
    let binary = directory.file("binary.conf", [0x7f, b'E', b'L', b'F', 0xff, 0, 0, b'\n']);
    let path = directory.0.display().to_string();
    let loops = directory.0.join("loop").display().to_string();
    std::os::unix::fs::symlink(&loops, &loops).unwrap();
    for (file, part) in [
        (path.as_str(), "it is a directory"),
        ("/no/such/file", "No such file or directory (os error 2); --config names the file"),
        (&huge, "it has more than 1 MiB; is it the right file?"),
        ("/dev/zero", "more than 1 MiB"),
        (&binary, ":1: a byte that is not text (UTF-8)"),
        (&loops, "symbolic link"),
        ("", "No such file"),
    ] {
        for (check, expected) in [(&["--check"] as &[&str], 1), (&[], 2)] {
            let (code, told, errors) = outcome(serve(&["--config", file]).args(check));
            assert_eq!((code, told.as_str()), (Some(expected), ""), "{file}: {errors}");
            assert!(errors.contains(part) && errors.lines().count() == 1 && errors.contains(file), "{file}: {errors}");
        }
    }
}

/// `stillthere serve --config <(generate)`.
#[test]
fn a_pipe_is_read_to_its_end() {
    let mut child = serve(&["--config", "/dev/stdin", "--check"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"idle 9s\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    stdin.write_all(b"count 3").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("gone 24.0 to "), "{output:?}");
}

/// The example that is installed says what holds anyway.
#[test]
fn the_example_is_good_and_changes_nothing() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/stillthere.conf");
    let (code, told, errors) = outcome(&mut serve(&["--config", example, "--check"]));
    // A machine may cut the backlog.
    assert!(code == Some(0) && errors.lines().all(|line| line.starts_with("stillthere: a warning: ")), "{errors}");
    let (_, without, _) = outcome(&mut serve(&["--check"]));
    assert_eq!(told.split_once(": ").unwrap().1, without.split_once(": ").unwrap().1);
    // And each line that is commented out is right as well, on its own.
    let directory = Directory::new("example");
    let text = fs::read_to_string(example).unwrap();
    let mut checked = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with([' ', '#'])) {
        if line.is_empty() || line.starts_with("admin-token-file") {
            continue;
        }
        let with_its_service = if line.starts_with("heartbeat") { "service heartbeat\n" } else { "" };
        let file = directory.file("line.conf", format!("{with_its_service}{line}\n"));
        let (code, _, errors) = outcome(&mut serve(&["--config", &file, "--check"]));
        assert_eq!(code, Some(0), "{line}: {errors}");
        checked += 1;
    }
    assert!(checked > 15, "{checked}");
}

/// A board with 16 MiB: as many peers as the profile admits, all of which send and none of which ever reads.
#[test]
fn the_tiny_profile_stays_small_with_many_greedy_peers() {
    const PEERS: usize = 512;
    common::raise_descriptor_limit(1200);
    // Not one byte of address space more, and an allocation fails.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 16384 && exec \"$0\" serve 127.0.0.1:0 --profile tiny"]);
    command.arg(env!("CARGO_BIN_EXE_stillthere"));
    let mut server = Server::start_with(command);
    let told = server.told();
    assert!(told.contains("profile tiny sets backlog 128, max-connections 512, max-memory 1M"), "{told}");
    let before = common::memory(server.pid(), "Anonymous");
    let mut peers: Vec<_> = (0..PEERS).map(|_| with_little_room(server.address())).collect();
    // One more waits, and nobody is let go for it.
    let extra = TcpStream::connect(server.address()).expect("the backlog takes it");
    server.wait_for("the limit of 512 connections is reached");
    drop(extra);
    let idle = common::memory(server.pid(), "Anonymous");
    let (text, mut most, mut idle_since) = (vec![b'x'; 64 * 1024], 0, Instant::now());
    while idle_since.elapsed() < Duration::from_secs(2) {
        for peer in &mut peers {
            if peer.write(&text).is_ok_and(|count| count > 0) {
                idle_since = Instant::now();
            }
        }
        most = most.max(common::memory(server.pid(), "Anonymous"));
    }
    let space = common::status(server.pid(), "VmPeak");
    let kibibytes = [before, idle, most].map(|bytes| bytes >> 10);
    println!("memory of its own at the start, with {PEERS} idle peers, and when none of them reads: {kibibytes:?} KiB");
    println!("address space: {space} KiB");
    let most = most - before;
    assert!(most > 300 << 10, "their output must wait, or this shows nothing: {most} bytes");
    assert!(most <= 2 << 20, "their output takes {most} bytes");
}

/// A peer whose kernel takes little of what it never reads.
fn with_little_room(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("it takes less");
    socket.connect(&address.into()).expect("the server accepts");
    socket.set_nonblocking(true).expect("it takes that");
    socket.into()
}
