//! Readers that do not read, or slowly: nobody waits for them, and they learn what they have missed.

use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::common::{PATIENCE, Server, connect, exchange, memory};
use crate::peers::reset;
use crate::story::{Directory, Story, pipe, read_rest, read_until};

/// More peers than the buffer, and whatever the kernel holds, has room for. Each is two events.
const PEERS: usize = 4000;
/// How long a ping may take on a busy machine, in a build without optimization. A loop that waits for a reader takes for ever.
const PROMPT: Duration = Duration::from_secs(1);

/// So many come and go. The last one is answered: then all of them were accepted.
fn come_and_go(server: SocketAddr, peers: usize) {
    for _ in 1..peers {
        reset(connect(server));
    }
    let mut last = connect(server);
    exchange(&mut last);
    reset(last);
}

/// The longest time that a ping took while `work` was done.
fn worst_ping(server: &Server, work: impl FnOnce()) -> Duration {
    let is_done = AtomicBool::new(false);
    let mut peer = server.connect();
    thread::scope(|scope| {
        let pinging = scope.spawn(|| {
            let mut worst = Duration::ZERO;
            while !is_done.load(Ordering::Relaxed) {
                let began = Instant::now();
                exchange(&mut peer);
                worst = worst.max(began.elapsed());
                thread::sleep(Duration::from_millis(1));
            }
            worst
        });
        work();
        is_done.store(true, Ordering::Relaxed);
        pinging.join().expect("pings are answered")
    })
}

/// While nobody reads, peers are served; then everything is read.
fn is_stuck_and_then_read(what: &str, mut server: Server, mut reader: impl Read + AsFd) {
    let worst = worst_ping(&server, || come_and_go(server.address(), PEERS));
    println!("{what}: the worst ping took {worst:?}");
    assert!(worst < PROMPT, "{what}: a ping took {worst:?}");
    // What the buffer holds is read, and then what was left out is told at once, and not at the next event.
    let text = read_until(&mut reader, |text| text.contains("\"left_out\"") && text.ends_with('\n'));
    server.signal("TERM");
    let text = text + &read_rest(&mut reader);
    server.wait();
    let story = Story::whole(&text);
    assert_eq!(story.count("left_out"), 1, "{what}: once");
    let told = story.count("arrival") + story.count("departure");
    assert_eq!(
        told as u64 + story.left_out(),
        2 * (PEERS as u64 + 1),
        "{what}: of each peer, and of the one that was pinged"
    );
    assert!(told > 1000 && story.left_out() > 1000, "{what}: {told} were told, {} left out", story.left_out());
    assert_eq!(story.0.last().unwrap()["event"], "stop");
    println!("{what}: {told} events were told, {} left out", story.left_out());
}

/// Quiet, because its own log is a pipe that the test reads only now and then.
const OPTIONS: &[&str] = &["--log", "info"];

fn to_stdout(stdout: OwnedFd) -> Server {
    let mut command = Server::command(&[OPTIONS, &["--events", "-"]].concat());
    command.stdout(stdout);
    Server::start_with(command)
}

pub fn pipe_is_stuck() {
    let (reader, writer) = pipe();
    is_stuck_and_then_read("a pipe", to_stdout(writer.into()), reader);
}

pub fn socket() {
    let (reader, writer) = UnixStream::pair().unwrap();
    SockRef::from(&writer).set_send_buffer_size(16 * 1024).unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    is_stuck_and_then_read("a socket as stdout", to_stdout(writer.into()), reader);
}

pub fn fifo() {
    let directory = Directory::new();
    let path = directory.path("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Opened for both, so that it has a reader from the beginning, and is no end of it when the server has gone.
    let both = File::options().read(true).write(true).open(&path).unwrap();
    let server = Server::start(&[OPTIONS, &["--events", &path]].concat());
    let reader = File::open(&path).unwrap();
    drop(both);
    is_stuck_and_then_read("a FIFO", server, reader);
}

pub fn unix() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = Server::start(&[OPTIONS, &["--events", &format!("unix:{path}")]].concat());
    let (reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    is_stuck_and_then_read("a unix socket", server, reader);
}

pub fn tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The window does not grow, so that the test need not be longer.
    SockRef::from(&listener).set_recv_buffer_size(64 * 1024).unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap());
    let server = Server::start(&[OPTIONS, &["--events", &to]].concat());
    let (reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    is_stuck_and_then_read("a TCP connection", server, reader);
}

/// Ten times more than is kept: it is counted, and takes no memory.
pub fn flood() {
    const MANY: usize = 50_000;
    let (mut reader, writer) = pipe();
    let mut server = to_stdout(writer.into());
    come_and_go(server.address(), PEERS);
    let before = memory(server.pid(), "Anonymous");
    come_and_go(server.address(), MANY);
    let after = memory(server.pid(), "Anonymous");
    println!("{MANY} peers more: {before} bytes before, {after} after");
    assert!(after < before + (1 << 20), "memory grew from {before} to {after}");
    server.signal("TERM");
    let story = Story::whole(&read_rest(&mut reader));
    server.wait();
    assert_eq!(
        (story.count("arrival") + story.count("departure")) as u64 + story.left_out(),
        2 * (PEERS + MANY) as u64
    );
}

/// A reader that is slower than the events come: it has whole lines, and is told now and then what it has missed.
pub fn slow() {
    let (mut reader, writer) = pipe();
    let mut server = to_stdout(writer.into());
    let is_done = AtomicBool::new(false);
    let mut text = String::new();
    let address = server.address();
    thread::scope(|scope| {
        let coming = scope.spawn(|| {
            come_and_go(address, 3 * PEERS);
            is_done.store(true, Ordering::Relaxed);
        });
        let mut piece = [0; 1000];
        while !is_done.load(Ordering::Relaxed) {
            let count = reader.read(&mut piece).unwrap();
            text += std::str::from_utf8(&piece[..count]).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        coming.join().unwrap();
    });
    server.signal("TERM");
    text += &read_rest(&mut reader);
    server.wait();
    let story = Story::whole(&text);
    let (told, missed) = (story.0.len(), story.count("left_out"));
    println!("slow: {told} lines, {missed} of them say that {} were left out", story.left_out());
    assert!(missed >= 1 && told > 200 * missed, "{missed} of {told} lines say that others were left out");
}

/// A pipe takes a piece of whole lines at once or not at all (pipe(7), PIPE_BUF), so that several may write to it.
pub fn shared() {
    let (mut reader, writer) = pipe();
    let other: OwnedFd = writer.try_clone().unwrap().into();
    let mut servers = [to_stdout(writer.into()), to_stdout(other)];
    let reading = thread::spawn(move || read_rest(&mut reader));
    let addresses = servers.each_ref().map(Server::address);
    thread::scope(|scope| addresses.map(|address| drop(scope.spawn(move || come_and_go(address, 1000)))));
    for server in &mut servers {
        server.signal("TERM");
        server.wait();
    }
    let text = reading.join().unwrap();
    let story = Story::of(&text);
    assert_eq!((story.count("start"), story.count("stop")), (2, 2));
    assert_eq!((story.count("arrival") + story.count("departure")) as u64 + story.left_out(), 4000);
}

/// The flags belong to whoever else has the description open, too: a shell, `tee`, the log's reader.
pub fn flags() {
    let flags = |of: &File| {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", of.as_raw_fd())).unwrap();
        text.lines().find_map(|line| line.strip_prefix("flags:").map(str::to_string)).unwrap()
    };
    let (_reader, writer) = pipe();
    let ours = writer.try_clone().unwrap();
    let before = flags(&ours);
    let mut server = to_stdout(writer.into());
    come_and_go(server.address(), 10);
    assert_eq!(flags(&ours), before);
    server.signal("TERM");
    server.wait();
    // Its reader has gone from the beginning: the server goes on.
    let mut command = Server::command(&["--events", "-"]);
    let (reader, writer) = pipe();
    drop(reader);
    command.stdout(Stdio::from(writer));
    let mut server = Server::start_with(command);
    exchange(&mut server.connect());
    server.wait_for("events to standard output: the reader has gone");
    server.signal("TERM");
    assert!(server.wait().success());
}
