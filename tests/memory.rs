//! Short memory: with a limit of the address space, in a cgroup, and after thousands of peers that never
//! read have gone. The server never ends, and serves every peer for which there is memory.
//!
//! One of the trials must create a cgroup; where that is not possible it is reported as ignored, and stderr says why.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use common::greedy::Greedy;
use common::{PATIENCE, Server, exchange, memory, raise_descriptor_limit, status};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let cgroup = Cgroup::make("probe", 64 << 20);
    if let Err(why) = &cgroup {
        eprintln!("\nNOT RUN: {why}. The scene in a cgroup is ignored; it has not passed.\n");
    }
    let trial = |name: &str, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let trials = vec![
        trial("whoever_observes_does_not_end_it", observed),
        trial("a_limit_of_the_address_space_never_ends_it", address_space),
        trial("what_waited_for_a_crowd_is_given_back_when_it_has_gone", given_back),
        trial("the_largest_go_when_all_together_owe_too_much", largest),
        trial("a_small_cgroup_holds_19000_that_never_read", cgroup_of_64_mib).with_ignored_flag(cgroup.is_err()),
    ];
    drop(cgroup);
    // One after the other: each crowd takes most of the descriptors that one process may have.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit();
}

fn binary() -> String {
    std::env::var("STILLTHERE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_stillthere").to_string())
}

/// A server whose whole address space, used or not, is limited to so many KiB.
fn start_within(kibibytes: u64, options: &str) -> Server {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {kibibytes}; exec {} serve 127.0.0.1:0 {options}", binary())]);
    Server::start_with(command)
}

/// Which allocation fails first is a matter of luck, so many limits are tried.
fn address_space() {
    raise_descriptor_limit(4000);
    // The program itself, its libraries and its stack take a part of the address space.
    let own = {
        let server = start_within(8 << 20, "--log info");
        sleep(Duration::from_millis(100));
        status(server.pid(), "VmSize")
    };
    // With the default of --max-memory, and with one so high that memory does run out.
    // The least room is tried more often: its faults were rare (1 run of 2 to 31).
    for (room, bound) in
        [(1, "1G"), (1, "1G"), (1, "1G"), (6, "1G"), (17, "1G"), (39, "1G"), (61, "1G"), (6, ""), (50, "")]
    {
        let bound = if bound.is_empty() { String::new() } else { format!("--max-memory {bound}") };
        let options = format!("--log debug --deadline 30s --stalled 20s {bound}");
        let mut server = start_within(own + room * 1024, &options);
        let mut steady = server.connect();
        exchange(&mut steady);
        let mut greedy = Greedy::connect(server.address(), 3000);
        assert_eq!(greedy.count(), 3000);
        let began = Instant::now();
        let lost = greedy.pour(1 << 20);
        println!("{room} MiB of room {bound}: {lost} let go in {:?}", began.elapsed());
        assert!(is_served(&mut steady), "it does not serve with {room} MiB of room:\n{}", tail(&mut server));
        drop(greedy);
        exchange(&mut steady);
        exchange(&mut server.connect());
        server.signal("USR1");
        server.wait_for(" accepted, ");
        server.signal("TERM");
        assert!(server.wait().success(), "it ended badly with {room} MiB of room:\n{}", tail(&mut server));
    }
}

/// An admin port is asked, and events are written, while memory runs out: the peers are served all the same.
fn observed() {
    if !cfg!(all(feature = "admin", feature = "events")) {
        return;
    }
    raise_descriptor_limit(4000);
    let options = "--admin 127.0.0.1:0 --events /dev/null --deadline 30s --max-memory 1G --log debug";
    let own = {
        let server = start_within(8 << 20, options);
        sleep(Duration::from_millis(100));
        status(server.pid(), "VmSize")
    };
    for room in [1, 1, 6, 20, 40] {
        let mut server = start_within(own + room * 1024, options);
        let admin = server.log.iter().find_map(|(_, line)| line.split_once("admin port on http://")).unwrap().1;
        let admin: SocketAddr = admin.trim_end_matches('/').parse().unwrap();
        let mut steady = server.connect();
        exchange(&mut steady);
        let over = AtomicBool::new(false);
        scope(|scope| {
            scope.spawn(|| {
                for path in ["/watch", "/events", "/peers?limit=1000&sort=silence", "/metrics", "/"].iter().cycle() {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    // It may be let go.
                    let Ok(mut client) = TcpStream::connect(admin) else { continue };
                    let _ = client.set_read_timeout(Some(Duration::from_millis(50)));
                    let _ = client.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
                    let _ = client.read(&mut [0; 4096]);
                }
            });
            let mut greedy = Greedy::connect(server.address(), 3000);
            let lost = greedy.pour(1 << 20);
            println!("{room} MiB of room: {lost} let go");
            over.store(true, Ordering::Relaxed);
        });
        assert!(is_served(&mut steady), "it does not serve with {room} MiB of room:\n{}", tail(&mut server));
        server.signal("TERM");
        assert!(server.wait().success(), "it ended badly with {room} MiB of room:\n{}", tail(&mut server));
    }
}

fn is_served(stream: &mut TcpStream) -> bool {
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut [0; 5]).is_ok()
}

fn tail(server: &mut Server) -> String {
    server.wait_for_within("no line has this", Duration::from_millis(100));
    let told = server.told();
    told.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().map(|line| format!("{line}\n")).collect()
}

/// The anonymous memory of a process, in KiB.
fn anonymous(pid: u32) -> u64 {
    memory(pid, "Anonymous") / 1024
}

fn given_back() {
    raise_descriptor_limit(10_000);
    let mut command = Command::new(binary());
    command.args(["serve", "127.0.0.1:0", "--deadline", "60s"]);
    let server = Server::start_with(command);
    let mut steady = server.connect();
    exchange(&mut steady);
    let before = anonymous(server.pid());
    let mut greedy = Greedy::connect(server.address(), 9000);
    greedy.pour(1 << 20);
    let most = anonymous(server.pid());
    drop(greedy);
    let until = Instant::now() + PATIENCE;
    loop {
        exchange(&mut steady);
        let now = anonymous(server.pid());
        if now < before + 1024 {
            println!("{before} KiB before, {most} KiB with them, {now} KiB after them");
            return;
        }
        assert!(Instant::now() < until, "{before} KiB before, {most} KiB with them, and {now} KiB stay");
        sleep(Duration::from_millis(200));
    }
}

/// Peers that send and read their answers now and then, while others never read.
struct Living(Vec<TcpStream>);

impl Living {
    fn connect(server: &Server, count: usize) -> Self {
        Self((0..count).map(|_| server.connect()).collect())
    }

    /// All of them must be served while `during` runs. Returns the longest time that one of them waited.
    fn are_served(&mut self, during: impl FnOnce()) -> Duration {
        let (over, mut worst) = (AtomicBool::new(false), Duration::ZERO);
        scope(|scope| {
            let served = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for (nth, peer) in self.0.iter_mut().enumerate() {
                        let asked = Instant::now();
                        // When memory is short, less is read at once, and this takes more than one read.
                        let question = vec![nth as u8; 20_000];
                        peer.write_all(&question).expect("a living peer is kept");
                        let mut answer = vec![0; question.len()];
                        peer.read_exact(&mut answer).expect("a living peer is served");
                        assert!(answer == question, "what comes back is what was sent");
                        worst = worst.max(asked.elapsed());
                    }
                    sleep(Duration::from_millis(20));
                }
            });
            during();
            over.store(true, Ordering::Relaxed);
            served.join().expect("the living are served");
        });
        worst
    }
}

fn largest() {
    raise_descriptor_limit(4000);
    let mut command = Command::new(binary());
    command.args(["serve", "127.0.0.1:0", "--deadline", "60s", "--max-memory", "1M"]);
    let mut server = Server::start_with(command);
    let mut living = Living::connect(&server, 10);
    let mut greedy = Greedy::connect(server.address(), 2000);
    let before = anonymous(server.pid());
    let mut lost = 0;
    let worst = living.are_served(|| lost = greedy.pour(400 << 10));
    let grown = anonymous(server.pid()) - before;
    println!("{lost} of 2000 let go, {grown} KiB more memory; a living peer waited {worst:?} at most");
    // The heap has some overhead, and freed memory is not given back to the system yet.
    assert!(grown < 1024 * 2, "{grown} KiB, and 1024 may wait");
    assert!(lost > 0 && lost < 2000, "{lost} of 2000 were let go");
    let (_, told) = server.wait_for("of the peers with the largest outboxes are let go");
    assert!(told.contains(" of 1024 KiB"), "{told}");
    server.signal("USR1");
    let (_, figures) = server.wait_for(" accepted, ");
    assert!(figures.contains(" memory limit") && !figures.contains(" out of memory"), "{figures}");
}

/// A cgroup for a test. It is removed when the processes in it have ended.
struct Cgroup {
    path: PathBuf,
    usage: &'static str,
}

impl Cgroup {
    fn make(name: &str, bytes: u64) -> Result<Self, String> {
        let versions = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ];
        let mut why = String::new();
        for (mount, limit, usage) in versions {
            let path = PathBuf::from(mount).join(format!("stillthere-{name}-{}", std::process::id()));
            // In cgroup v2 the controller must be enabled for the children of the root, which systemd does.
            let made = fs::create_dir(&path).and_then(|()| {
                let cgroup = Self { path: path.clone(), usage };
                fs::OpenOptions::new().write(true).open(path.join(limit))?.write_all(bytes.to_string().as_bytes())?;
                Ok(cgroup)
            });
            match made {
                Ok(cgroup) => return Ok(cgroup),
                Err(error) => why = format!("no cgroup with a limit of memory can be made in {mount}: {error}"),
            }
        }
        Err(why)
    }

    fn usage(&self) -> u64 {
        let text = fs::read_to_string(self.path.join(self.usage)).expect("the kernel reports the usage");
        text.trim().parse().expect("a number")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The processes in it were killed, and take a moment to end.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            sleep(Duration::from_millis(100));
        }
    }
}

fn cgroup_of_64_mib() {
    raise_descriptor_limit(19_900);
    let cgroup = Cgroup::make("small", 64 << 20).expect("it was possible before");
    let mut command = Command::new("sh");
    let procs = cgroup.path.join("cgroup.procs");
    command.args(["-c", &format!("echo $$ > {}; exec {} serve 127.0.0.1:0", procs.display(), binary())]);
    let mut server = Server::start_with(command);
    let mut living = Living::connect(&server, 10);
    let mut greedy = Greedy::connect(server.address(), 19_000);
    let came = greedy.count();
    println!("{came} connected, {} KiB used", cgroup.usage() >> 10);
    let mut lost = 0;
    let worst = living.are_served(|| lost = greedy.pour(192 << 10));
    println!("{lost} let go, {} KiB used; a living peer waited {worst:?} at most", cgroup.usage() >> 10);
    server.signal("USR1");
    println!("{}", server.wait_for(" accepted, ").1);
    drop(greedy);
    living.are_served(|| sleep(Duration::from_secs(1)));
    server.signal("TERM");
    assert!(server.wait().success(), "it ended badly:\n{}", tail(&mut server));
}
