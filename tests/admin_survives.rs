//! What the admin port must survive: clients that are slow, greedy, mad or many. Each time the peers are unharmed, nothing is
//! lost of what is counted, and memory is bounded.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use common::http::{admin, ask, get, head, samples};
use common::{PATIENCE, Server, connect, exchange, memory, raise_descriptor_limit};

/// Peers that are connected all the time, beside the one that asks without end.
const IDLE: usize = 50;
/// How long the peer that asks may wait at worst. The machine runs other tests, too, and the program is not optimised; a loop that
/// is held up by a client waits for that client, which takes much longer.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How much more memory may be in use while the port is attacked, and when that is over.
const MEANWHILE: u64 = 16 << 20;
const AFTERWARDS: u64 = 2 << 20;

/// A server with peers, one of which asks without end.
struct Scene {
    server: Server,
    admin: SocketAddr,
    idle: Vec<TcpStream>,
    asks: Asking,
    memory: u64,
}

/// A peer that asks without end; the thread ends with the longest wait.
struct Asking {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<(Duration, u64)>>,
}

impl Asking {
    fn start(server: &Server) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, mut peer) = (is_over.clone(), server.connect());
        let thread = thread::spawn(move || {
            let (mut longest, mut count) = (Duration::ZERO, 0);
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                peer.write_all(b"ping")?;
                peer.read_exact(&mut [0; 4])?;
                longest = longest.max(asked.elapsed());
                count += 1;
                sleep(Duration::from_millis(2));
            }
            Ok((longest, count))
        });
        Self { is_over, thread }
    }
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Self {
        raise_descriptor_limit(4000);
        // Pages of a program that was just built and is not yet written back would count as memory that it has dirtied.
        assert!(std::process::Command::new("sync").status().is_ok_and(|status| status.success()));
        let mut server =
            Server::start(&[&["127.0.0.1:0", "--admin", "127.0.0.1:0", "--log", "info"], options].concat());
        let admin = admin(&mut server);
        let mut idle: Vec<_> = (0..IDLE).map(|_| server.connect()).collect();
        idle.iter_mut().for_each(exchange);
        let asks = Asking::start(&server);
        // The buffers that any use of the port takes are no harm.
        get(admin, "/metrics");
        get(admin, "/peers");
        sleep(Duration::from_millis(200));
        let memory = memory(server.pid(), "Private_Dirty");
        Self { server, admin, idle, asks, memory }
    }

    fn grown(&self) -> u64 {
        memory(self.server.pid(), "Private_Dirty").saturating_sub(self.memory)
    }

    fn must_be_bounded(&self) {
        let grown = self.grown();
        assert!(grown <= MEANWHILE, "{} KiB more are in use", grown >> 10);
    }

    /// The peers are as they were, and everybody has been counted: so many others have come, and have gone.
    fn must_be_unharmed(mut self, others: u64) {
        // A departure is counted when it is seen, which is soon.
        let until = Instant::now() + PATIENCE;
        let figures = loop {
            let figures = figures(self.admin);
            if figures["stillthere_peers"] as usize == IDLE + 1 || Instant::now() > until {
                break figures;
            }
            sleep(Duration::from_millis(20));
        };
        assert_eq!(figures["stillthere_peers"] as usize, IDLE + 1, "{figures:#?}");
        assert_eq!(figures["stillthere_arrivals_total"] as u64, IDLE as u64 + 1 + others, "{figures:#?}");
        assert_eq!(departures(&figures) as u64, others, "{figures:#?}");
        self.idle.iter_mut().for_each(exchange);
        self.asks.is_over.store(true, Ordering::Relaxed);
        let (longest, count) =
            self.asks.thread.join().expect("it does not panic").expect("it is answered all the time");
        println!(
            "{count} exchanges meanwhile, the longest took {longest:?}; {} KiB more at the end",
            grown_at_last(&self.server, self.memory) >> 10
        );
        assert!(count > 10 && longest < LONGEST_WAIT, "{count} exchanges, the longest took {longest:?}");
        let grown = grown_at_last(&self.server, self.memory);
        assert!(grown <= AFTERWARDS, "{} KiB are not given back", grown >> 10);
        self.server.signal("TERM");
        assert!(self.server.wait().success());
    }
}

/// How much more memory is in use, as soon as what has gone is given back.
fn grown_at_last(server: &Server, before: u64) -> u64 {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let grown = memory(server.pid(), "Private_Dirty").saturating_sub(before);
        if grown <= AFTERWARDS || Instant::now() > until {
            return grown;
        }
        sleep(Duration::from_millis(50));
    }
}

/// The figures of /metrics, by series.
fn figures(admin: SocketAddr) -> BTreeMap<String, f64> {
    samples(&get(admin, "/metrics"))
}

fn departures(figures: &BTreeMap<String, f64>) -> f64 {
    figures.iter().filter(|(name, _)| name.starts_with("stillthere_departures_total")).map(|(_, count)| count).sum()
}

/// Hundreds send a request a byte at a time. They are shown out, and somebody else is answered meanwhile.
#[test]
fn slow_loris() {
    const CLIENTS: usize = 400;
    let scene = Scene::new();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect(scene.admin)).collect();
    let beginning = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    let (began, mut answered) = (Instant::now(), None);
    let mut steps = beginning.bytes().chain(std::iter::repeat(b'x'));
    for client in &mut clients {
        client.set_nonblocking(true).unwrap();
    }
    // Until all of them are gone.
    while !clients.is_empty() && began.elapsed() < PATIENCE * 3 {
        let byte = [steps.next().expect("it has no end")];
        clients.retain_mut(|client| {
            let is_open = |outcome: io::Result<usize>| match outcome {
                Ok(count) => count > 0,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            is_open(client.write(&byte)) && is_open(client.read(&mut [0; 1024]))
        });
        if answered.is_none() {
            let mut other = connect(scene.admin);
            other.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            if ask(&mut other, &head("GET", "/healthz")).is_ok_and(|answer| answer.status == 200) {
                answered = Some((began.elapsed(), clients.len()));
            }
        }
        sleep(Duration::from_millis(100));
    }
    scene.must_be_bounded();
    println!("all were shown out after {:?}; another client was answered after {answered:?}", began.elapsed());
    assert!(clients.is_empty(), "{} of {CLIENTS} still hold the port", clients.len());
    let (after, _) = answered.expect("somebody else is answered");
    assert!(after < Duration::from_secs(8), "the slow ones kept another client out for {after:?}");
    scene.must_be_unharmed(0);
}

/// Heads and bodies without end, one after the other and many at a time. None is taken whole.
#[test]
fn header_bombs() {
    let scene = Scene::new();
    let start = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";
    let bombs: [(String, &str, &[u16]); 6] = [
        (start.to_string(), "X-Bomb: 1\r\n", &[431]),
        (format!("{start}X-Bomb: "), "xxxxxxxxxxxxxxxx", &[431]),
        ("GET /".to_string(), "xxxxxxxxxxxxxxxx", &[414, 431]),
        (String::new(), "xxxxxxxxxxxxxxxx", &[400, 414, 431]),
        // A head without end in a cookie of many words.
        (format!("{start}Cookie: "), "a=b; ", &[431]),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000000000000\r\n\r\n".to_string(),
            "xxxx",
            &[413],
        ),
    ];
    for (start, more, wanted) in &bombs {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let (admin, start, more) = (scene.admin, start.clone(), more.repeat(1000));
                thread::spawn(move || {
                    let mut client = connect(admin);
                    let mut sent = 0;
                    let mut outcome = client.write_all(start.as_bytes());
                    while outcome.is_ok() && sent < 10_000_000 {
                        outcome = client.write_all(more.as_bytes());
                        sent += more.len();
                    }
                    // The answer may have been lost by the reset that followed it.
                    let mut answer = Vec::new();
                    let _ = client.read_to_end(&mut answer);
                    (sent, String::from_utf8_lossy(&answer).into_owned(), outcome.is_err())
                })
            })
            .collect();
        while clients.iter().any(|client| !client.is_finished()) {
            scene.must_be_bounded();
            sleep(Duration::from_millis(2));
        }
        for client in clients {
            let (sent, answer, is_cut) = client.join().expect("it does not panic");
            let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
            assert!(is_cut || !answer.is_empty(), "it took {sent} bytes after {start:?}");
            assert!(
                status.is_none_or(|status| wanted.contains(&status)),
                "{start:?}: {wanted:?} expected, not {answer}"
            );
        }
    }
    scene.must_be_unharmed(0);
}

/// 10 000 requests that are none, or nearly one.
#[test]
fn garbage() {
    const REQUESTS: u32 = 10_000;
    const CLIENTS: u32 = 4;
    let scene = Scene::new();
    let answers = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (admin, answers) = (scene.admin, answers.clone());
            thread::spawn(move || {
                let mut random = Random(0x5eed + client);
                for nth in 0..REQUESTS / CLIENTS {
                    let mut stream = connect(admin);
                    // A port without room may have reset it already.
                    let _ = stream.write_all(&garbled(&mut random, nth));
                    let _ = stream.shutdown(Shutdown::Write);
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer);
                    if answer.starts_with(b"HTTP/1.1 ") {
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(
                        answer.is_empty() || answer.starts_with(b"HTTP/1.1 "),
                        "{}",
                        String::from_utf8_lossy(&answer)
                    );
                }
            })
        })
        .collect();
    while clients.iter().any(|client| !client.is_finished()) {
        scene.must_be_bounded();
        sleep(Duration::from_millis(100));
    }
    clients.into_iter().for_each(|client| client.join().expect("each answer is one of HTTP"));
    println!("{} of {REQUESTS} were answered", answers.load(Ordering::Relaxed));
    assert!(answers.load(Ordering::Relaxed) > u64::from(REQUESTS) / 2, "most of them are answered");
    scene.must_be_unharmed(0);
}

struct Random(u32);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % limit
    }
}

/// A request that is spoilt in some places, or bytes of any kind.
fn garbled(random: &mut Random, nth: u32) -> Vec<u8> {
    const WORDS: [&str; 14] = [
        "GET ",
        "DELETE ",
        "/peers",
        "/metrics",
        "/events",
        "?limit=",
        "?after=zz",
        "%00",
        " HTTP/1.1\r\n",
        " HTTP/9.9\r\n",
        "Host: localhost\r\n",
        "Host: evil.example\r\n",
        "Content-Length: -1\r\n",
        "\r\n",
    ];
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(12) {
        if nth % 2 == 0 {
            bytes.extend(WORDS[random.below(WORDS.len())].bytes());
        } else {
            bytes.extend((0..random.below(64)).map(|_| random.below(256) as u8));
        }
    }
    if nth % 4 == 0 && !bytes.is_empty() {
        let place = random.below(bytes.len());
        bytes[place] = random.below(256) as u8;
    }
    // Streams go on until the client goes, which it does; but it waits for their end.
    if bytes.starts_with(b"GET /events") || bytes.starts_with(b"GET /watch") {
        bytes.insert(0, b' ');
    }
    bytes
}

/// 1000 clients ask for the events and never read, while thousands of peers come and go.
#[test]
fn readers_that_never_read() {
    const READERS: usize = 1000;
    const PEERS: u64 = 12_000;
    let scene = Scene::new();
    let mut readers = Vec::new();
    for path in ["/events", "/watch"] {
        for _ in 0..READERS / 2 {
            // With a small buffer it is stuck soon.
            let reader = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            reader.set_recv_buffer_size(4096).unwrap();
            // One that is refused may learn of it before its connect(2) has returned.
            match reader.connect(&scene.admin.into()) {
                Err(error) if error.kind() == ErrorKind::ConnectionReset => continue,
                connected => connected.unwrap(),
            }
            readers.push(TcpStream::from(reader));
            let last = readers.last_mut().expect("just pushed");
            let _ = last.write_all(head("GET", path).as_bytes()); // it may be refused
        }
    }
    for nth in 0..PEERS {
        exchange(&mut scene.server.connect());
        if nth % 500 == 0 {
            scene.must_be_bounded();
        }
    }
    scene.must_be_bounded();
    println!("{} KiB more with {READERS} readers that never read", scene.grown() >> 10);
    drop(readers);
    scene.must_be_unharmed(PEERS);
}

/// A peer is dropped in the instant in which it goes by itself. It departs once, and the answer is that it goes, or has gone.
#[test]
fn a_peer_that_is_going_is_dropped() {
    const PEERS: u64 = 300;
    let events = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("going-{}.jsonl", std::process::id()));
    let scene = Scene::with(&["--events", events.to_str().expect("it is text")]);
    let mut statuses = BTreeMap::<u16, u32>::new();
    let mut client = connect(scene.admin);
    for nth in 0..PEERS {
        let mut peer = scene.server.connect();
        exchange(&mut peer);
        let ours = peer.local_addr().unwrap();
        let list = get(scene.admin, "/peers?limit=1000&sort=age");
        let id = id_of(&list, ours);
        let barrier = Arc::new(Barrier::new(2));
        let goes = thread::spawn({
            let barrier = barrier.clone();
            move || {
                barrier.wait();
                if nth % 2 == 0 {
                    // A reset instead of a FIN.
                    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
                }
                drop(peer);
            }
        });
        barrier.wait();
        if nth % 3 == 0 {
            sleep(Duration::from_micros(50 * (nth / 3)));
        }
        let answer = ask(&mut client, &head("DELETE", &format!("/peers/{id}"))).expect("it is answered");
        assert!(matches!(answer.status, 202 | 404), "{}", answer.body);
        *statuses.entry(answer.status).or_default() += 1;
        goes.join().unwrap();
        assert_eq!(ask(&mut client, &head("DELETE", "/peers/1-1")).expect("it is answered").status, 404);
    }
    println!("{statuses:?}");
    assert!(statuses.contains_key(&202), "none was there in time: {statuses:?}");
    scene.must_be_unharmed(PEERS);
    // Each has come once, and has gone once.
    let mut told = BTreeMap::<String, (u32, u32)>::new();
    for line in fs::read_to_string(&events).expect("the events were written").lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        let Some(id) = event["id"].as_str() else { continue };
        let counts = told.entry(id.to_string()).or_default();
        match event["event"].as_str() {
            Some("arrival") => counts.0 += 1,
            Some("departure") => counts.1 += 1,
            _ => panic!("{line}"),
        }
    }
    fs::remove_file(&events).unwrap();
    assert_eq!(told.len(), PEERS as usize + IDLE + 1);
    assert!(told.values().all(|counts| *counts == (1, 1)), "{told:?}");
}

/// The id of the peer with this address.
fn id_of(list: &str, address: SocketAddr) -> String {
    let list: serde_json::Value = serde_json::from_str(list).expect("the list is JSON");
    let peers = list["peers"].as_array().expect("a list of peers");
    let one = peers.iter().find(|peer| peer["peer"] == address.to_string().as_str());
    one.and_then(|one| one["id"].as_str()).unwrap_or_else(|| panic!("{address} is not in {list}")).to_string()
}

/// Four clients scrape without a pause while thousands of peers come and go. No scrape is wrong, and no figure goes back.
#[test]
fn scrapes_in_an_arrival_storm() {
    const PEERS: u64 = 4000;
    let scene = Scene::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let scrapers: Vec<_> = (0..4)
        .map(|_| {
            let (admin, is_over) = (scene.admin, is_over.clone());
            thread::spawn(move || {
                let (mut client, mut last, mut count) = (connect(admin), 0.0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    let answer = ask(&mut client, &head("GET", "/metrics")).expect("it is answered");
                    assert_eq!(answer.status, 200);
                    let figures = samples(&answer.body);
                    let (arrivals, peers) = (figures["stillthere_arrivals_total"], figures["stillthere_peers"]);
                    assert!(arrivals >= last, "{arrivals} after {last}");
                    assert_eq!(arrivals, peers + departures(&figures), "everybody is there, or has gone: {figures:#?}");
                    (last, count) = (arrivals, count + 1);
                }
                count
            })
        })
        .collect();
    for _ in 0..PEERS / 500 {
        let mut peers: Vec<_> = (0..500).map(|_| scene.server.connect()).collect();
        peers.iter_mut().step_by(10).for_each(exchange);
        scene.must_be_bounded();
    }
    is_over.store(true, Ordering::Relaxed);
    let counts: Vec<u32> = scrapers.into_iter().map(|scraper| scraper.join().expect("each scrape is right")).collect();
    println!("{counts:?} scrapes");
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
    scene.must_be_unharmed(PEERS);
}
