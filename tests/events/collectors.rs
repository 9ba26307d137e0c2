//! Readers that go and come back.

use std::fs;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Server, again, exchange};
use crate::story::{Directory, Story, read_rest, read_until};

/// One peer comes and goes, so that there are two events more.
fn visit(server: &mut Server) {
    let mut peer = server.connect();
    exchange(&mut peer);
    drop(peer);
    server.wait_for(" departed: ");
}

fn has(count: usize) -> impl FnMut(&str) -> bool {
    move |text| text.ends_with('\n') && text.lines().count() >= count
}

pub fn unix() {
    let directory = Directory::new();
    let path = directory.path("socket");
    // Nobody listens at first.
    let mut server = Server::start(&["--events", &format!("unix:{path}")]);
    server.wait_for("events to unix:");
    visit(&mut server);
    let listener = UnixListener::bind(&path).unwrap();
    let (mut reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = read_until(&mut reader, has(3));
    server.wait_for("events go to unix:");
    // It goes, and so does its socket.
    drop((reader, listener));
    fs::remove_file(&path).unwrap();
    let (_, told) = server.wait_for("WARN");
    assert!(told.contains("the reader has gone"), "{told}");
    visit(&mut server);
    let listener = UnixListener::bind(&path).unwrap();
    let (mut reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    text += &read_until(&mut reader, has(2));
    // One that only says that it will send nothing has not gone: `socat -`, whose own input is at its end.
    reader.shutdown(Shutdown::Write).unwrap();
    sleep(Duration::from_millis(200));
    visit(&mut server);
    text += &read_until(&mut reader, has(2));
    server.signal("TERM");
    text += &read_rest(&mut reader);
    assert!(server.wait().success());
    let story = Story::whole(&text);
    assert_eq!((story.count("departure"), story.count("stop")), (3, 1));
}

/// What was sent to a collector that has gone without reading it is sent again: its kernel has said that it did not take it.
pub fn tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::start(&["--events", &format!("tcp:{}", listener.local_addr().unwrap())]);
    let (mut reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    visit(&mut server);
    let text = read_until(&mut reader, has(3));
    Story::whole(&text);
    sleep(Duration::from_secs(1)); // until it is known that all of it has arrived
    drop(reader);
    let (_, told) = server.wait_for("WARN");
    assert!(told.contains("the reader has gone"), "{told}");
    visit(&mut server);
    let (mut reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let text = text + &read_until(&mut reader, has(2));
    server.signal("TERM");
    let text = text + &read_rest(&mut reader);
    assert!(server.wait().success());
    let story = Story::whole(&text);
    assert_eq!((story.count("departure"), story.count("stop")), (2, 1));
}

/// A load balancer closes a connection that was idle. Whoever notices only when it writes loses what it writes: the first write
/// after a FIN succeeds.
pub fn closes_quietly() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::start(&["--events", &format!("tcp:{}", listener.local_addr().unwrap())]);
    let (mut reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = read_until(&mut reader, has(1));
    sleep(Duration::from_secs(1));
    let began = Instant::now();
    drop(reader);
    // It connects anew though it has nothing to say.
    let (mut reader, _) = listener.accept().unwrap();
    println!("a collector that closed was connected to again after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(3), "at once, and not at a probe: {:?}", began.elapsed());
    reader.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(
        again::read(&reader, &mut [0; 100]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "nothing twice"
    );
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    visit(&mut server);
    text += &read_until(&mut reader, has(2));
    assert_eq!(Story::whole(&text).count("departure"), 1);
    // One that talks back is read, so that neither end fills up, and to the end: a reset would take the last events along.
    let talking = reader.try_clone().unwrap();
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok(count) = again::write(&talking, &[7; 65536]) {
                taken.fetch_add(count, Ordering::Relaxed);
            }
        });
        let until = Instant::now() + PATIENCE;
        while taken.load(Ordering::Relaxed) < 8 << 20 {
            assert!(Instant::now() < until, "only {taken:?} bytes were taken");
            sleep(Duration::from_millis(1));
        }
        server.signal("TERM");
        text += &read_rest(&mut reader);
        reader.shutdown(Shutdown::Both).unwrap();
    });
    assert_eq!(Story::whole(&text).count("stop"), 1);
}

/// Tried again and again, with growing pauses, and said once.
pub fn down() {
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = Server::start(&["--events", &format!("tcp:{place}"), "--log", "info"]);
    server.wait_for("events to tcp:");
    let peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    drop(peers);
    sleep(Duration::from_secs(4));
    server.signal("USR1");
    server.wait_for(" connected, ");
    let said = server.log.iter().filter(|(_, line)| line.contains("tcp:")).count();
    assert_eq!(said, 2, "where they go, and that it does not work:\n{}", server.told());
    // SIGHUP does not wait for the pause to end.
    let listener = TcpListener::bind(place).unwrap();
    server.signal("HUP");
    let (mut reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let text = read_until(&mut reader, has(41));
    server.signal("TERM");
    let text = text + &read_rest(&mut reader);
    assert_eq!(Story::whole(&text).0.len(), 42);
    server.wait();
}
