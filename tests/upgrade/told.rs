//! What is told of an upgrade, to whom, and that nothing of what happens around it is missing: events, the admin port, the subcommand.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::common::admin::{Admin, json};
use crate::common::{PATIENCE, Server, exchange, http};
use crate::crowd::{Crowd, Kind};
use crate::look;
use crate::program::{Program, is_refused, upgrade};
use crate::story::{Directory, Story, event, pipe, read_rest};

const COMERS: [(Kind, usize); 2] = [(Kind::Newcomer, 6), (Kind::Asker(Duration::from_millis(50)), 10)];

/// Peers come and go while the server is upgraded ten times; then it ends.
fn ten(server: &mut Server) {
    let crowd = Crowd::start(server.address(), &COMERS);
    for _ in 0..10 {
        upgrade(server);
        sleep(Duration::from_millis(20));
    }
    crowd.end().check();
    server.signal("TERM");
    server.wait();
}

fn check(story: &Story) {
    assert_eq!((story.count("start"), story.count("upgrade"), story.count("stop")), (1, 10, 1));
    assert!(story.count("arrival") > 50 && story.count("arrival") == story.count("departure"));
    assert_eq!(story.left_out(), 0);
    let generations: Vec<_> = story.all("upgrade").map(|event| event["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, (1..=10).collect::<Vec<_>>());
}

/// `-` is written on, whoever reads it; a pipe has each line once.
pub fn stdout() {
    let (mut reader, writer) = pipe();
    let mut command = Server::command(&["--log", "info", "--events", "-"]);
    command.stdout(writer);
    let mut server = Server::start_with(command);
    let reading = thread::spawn(move || read_rest(&mut reader));
    ten(&mut server);
    drop(server);
    check(&Story::whole(&reading.join().unwrap()));
}

/// A socket is connected to anew. Its reader has every line once where it acknowledges at once, as here; a line may come twice, and
/// none may be missing.
fn collector(to: &str, accept: impl FnMut() -> Option<Box<dyn Read + Send>> + Send + 'static) {
    let all = Arc::new(Mutex::new(String::new()));
    let (noted, mut accept) = (Arc::clone(&all), accept);
    thread::spawn(move || {
        while let Some(from) = accept() {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                let mut all = noted.lock().unwrap();
                *all += &String::from_utf8(line).unwrap();
                all.push('\n');
            }
        }
    });
    let mut server = Server::start(&["--log", "info", "--events", to]);
    ten(&mut server);
    let until = Instant::now() + PATIENCE;
    while !all.lock().unwrap().contains("\"stop\"") {
        assert!(Instant::now() < until, "{}", all.lock().unwrap());
        sleep(Duration::from_millis(10));
    }
    let mut events: Vec<_> = all.lock().unwrap().lines().map(event).collect();
    let told = events.len();
    events.sort_by_key(|event| event["seq"].as_u64());
    events.dedup();
    println!("{to}: {told} lines, {} of them came twice", told - events.len());
    let story = Story(events);
    story.has_no_gap();
    check(&story);
}

pub fn unix() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    collector(&format!("unix:{path}"), move || Some(Box::new(listener.accept().ok()?.0)));
}

pub fn tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap());
    collector(&to, move || Some(Box::new(listener.accept().ok()?.0)));
}

/// The disk is full in the middle of a line, and the next program completes that line when there is room.
pub fn torn() {
    let directory = Directory::new();
    let path = directory.path("events");
    let mut command = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_stillthere");
    // A limit on the size of files stands for the disk. It holds for the state of a server as well, so there is a mebibyte of room for that.
    let mut file = File::create(&path).unwrap();
    file.set_len((1 << 20) - 1001).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    file.write_all(b"\n").unwrap();
    let told = || fs::read_to_string(&path).unwrap().trim_start_matches('\0').trim_start().to_string();
    let script =
        format!("trap '' XFSZ; ulimit -S -f 2048; exec {binary} serve 127.0.0.1:0 --log debug --events {path}");
    command.args(["-c", &script]);
    let mut server = Server::start_with(command);
    (0..20).for_each(|_| exchange(&mut server.connect()));
    server.wait_for("File too large");
    sleep(Duration::from_millis(300));
    let torn = told();
    assert!(!torn.ends_with('\n'), "it is in the middle of a line: {torn}");
    upgrade(&mut server);
    (0..5).for_each(|_| exchange(&mut server.connect()));
    upgrade(&mut server);
    let pid = rustix::process::Pid::from_raw(server.pid() as i32);
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, unlimited).expect("a soft limit can be raised");
    directory.wait_for("events", "\"seq\":53,");
    server.signal("TERM");
    server.wait();
    directory.wait_for("events", "\"stop\"");
    let story = Story::whole(&told());
    assert_eq!((story.count("departure"), story.count("upgrade"), story.count("left_out")), (25, 2, 0));
}

/// The file was renamed, and the new program opens the new one: no line is lost between the two.
pub fn renamed() {
    let directory = Directory::new();
    let (path, old) = (directory.path("events"), directory.path("old"));
    let mut server = Server::start(&["--log", "info", "--events", &path]);
    exchange(&mut server.connect());
    directory.wait_for("events", "\"departure\"");
    fs::rename(&path, &old).unwrap();
    upgrade(&mut server);
    exchange(&mut server.connect());
    directory.wait_for("events", "\"departure\"");
    server.signal("TERM");
    server.wait();
    let story = Story::whole(&(fs::read_to_string(old).unwrap() + &fs::read_to_string(path).unwrap()));
    assert_eq!((story.count("departure"), story.count("upgrade"), story.count("stop")), (2, 1, 1));
}

/// Where the events went cannot be opened any more: that is an error of the new program, the peers stay, and it is tried again.
pub fn gone() {
    let directory = Directory::new();
    let (folder, away) = (directory.path("folder"), directory.path("away"));
    fs::create_dir(&folder).unwrap();
    let mut server = Server::start(&["--log", "info", "--events", &format!("{folder}/events")]);
    let mut peer = server.connect();
    exchange(&mut peer);
    directory.wait_for("folder/events", "\"arrival\"");
    fs::rename(&folder, &away).unwrap();
    crate::program::signal(&server);
    server.wait_for("No such file or directory");
    exchange(&mut peer);
    fs::rename(&away, &folder).unwrap();
    drop(peer);
    let story = Story::whole(&directory.wait_for("folder/events", "\"departure\""));
    assert_eq!((story.count("upgrade"), story.count("departure")), (1, 1));
}

/// Who follows the admin port is let go, comes back with the last number that it has, and misses nothing silently.
pub fn followed() {
    let mut server = Server::start(&["--log", "info", "--admin", "localhost:0"]);
    let admin = http::admin(&mut server);
    let mut last = None::<u64>;
    let (mut upgrades, mut missed) = (0, 0);
    for round in 0..4 {
        let mut stream = crate::common::connect(admin);
        let resume = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "HTTP/1.1 200 OK");
        exchange(&mut server.connect());
        let mut departures = 0;
        for line in lines.by_ref().map_while(Result::ok) {
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let event = event(data);
            let seq = event["seq"].as_u64().unwrap();
            if event["event"] == "left_out" {
                missed += event["count"].as_u64().unwrap();
                last = Some(seq - 1);
                continue;
            }
            assert!(last.is_none_or(|last| seq == last + 1), "round {round}: {last:?}, then {event}");
            last = Some(seq);
            upgrades += usize::from(event["event"] == "upgrade");
            departures += usize::from(event["event"] == "departure");
            if departures == 1 {
                break;
            }
        }
        upgrade(&mut server);
        assert!(lines.all(|line| line.is_err() || !line.unwrap().contains("\"departure\"")), "it is let go");
    }
    assert_eq!((upgrades, missed), (3, 0), "what happens until they come again is kept for them");
}

fn run(line: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    command.args(line.split_whitespace()).stdin(Stdio::null()).env_remove("STILLTHERE_ADMIN");
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// `stillthere upgrade`, asked of the real one.
pub fn asked() {
    let program = Program::new();
    let token = program.directory.path("token");
    fs::write(&token, "0123456789abcdef0123").unwrap();
    let options = ["--log", "info", "--admin", "localhost:0", "--admin-token-file", &token];
    let mut server = program.start(&options);
    let admin = http::admin(&mut server);
    let mut peers: Vec<_> = (0..7).map(|_| server.connect()).collect();
    peers.iter_mut().for_each(exchange);
    let line = format!("upgrade --admin {admin} --admin-token-file {token}");
    for generation in 1..=3 {
        let version = env!("CARGO_PKG_VERSION");
        let told = format!("upgraded: generation {generation}, 7 peers stayed, from {version} to {version}\n");
        assert_eq!(run(&line), (Some(0), told, String::new()));
    }
    program.put_script("echo no it is Thursday");
    let (code, told, said) = run(&line);
    assert!(
        code == Some(1)
            && told.is_empty()
            && said.contains("refused, and nobody has left: ")
            && said.contains("it is Thursday"),
        "{said}"
    );
    // Who has no token begins nothing.
    let (code, _, said) = run(&format!("upgrade --admin {admin}"));
    assert!(code == Some(1) && said.contains("wants a token"), "{said}");
    assert_eq!(http::send(admin, "POST", "/upgrade").status, 401);
    peers.iter_mut().for_each(exchange);
    is_refused(&mut server);
    // A page of somebody else's cannot, either; and a port without a token takes it from this machine.
    let mut server = Server::start(&["--log", "info", "--admin", "localhost:0"]);
    let admin = http::admin(&mut server);
    let request =
        "POST /upgrade HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(http::ask(&mut crate::common::connect(admin), request).unwrap().status, 403);
    assert_eq!(look::upgrade(admin)["generation"], 0);
    assert_eq!(http::send(admin, "POST", "/upgrade").status, 202);
    server.wait_for(crate::program::UPGRADED);
}

/// The listener of the admin port's unix socket outlives its file, which a cleaner of /tmp may remove: nobody can reach it then, and the
/// next program must not say that it is there. The peers stay.
pub fn file_gone() {
    let directory = Directory::new();
    let path = directory.path("admin");
    let place = format!("unix:{path}");
    let mut server = Server::start(&["--log", "info", "--admin", &place]);
    let mut peer = server.connect();
    exchange(&mut peer);
    assert_eq!(run(&format!("upgrade --admin {place}")).0, Some(0));
    server.wait_for(crate::program::UPGRADED);
    fs::remove_file(&path).unwrap();
    let before = server.log.len();
    upgrade(&mut server);
    let lines = &server.log[before..];
    assert!(lines.iter().any(|(_, line)| line.contains(" WARN ") && line.contains(&path)), "{lines:?}");
    assert!(!lines.iter().any(|(_, line)| line.contains("admin port on ")), "{lines:?}");
    exchange(&mut peer);
    // What somebody else has put there is not ours, however often we are upgraded.
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    for _ in 0..2 {
        let before = server.log.len();
        upgrade(&mut server);
        assert!(server.log[before..].iter().any(|(_, line)| line.contains(" WARN ") && line.contains(&path)));
    }
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(fs::exists(&path).unwrap(), "the other one's socket was removed");
}

/// The admin port moves with the configuration: the new socket is said to be there, and of the old one no file is left.
pub fn file_moved() {
    let directory = Directory::new();
    let (first, second, file) = (directory.path("first"), directory.path("second"), directory.path("a.conf"));
    let configure = |path: &str| fs::write(&file, format!("admin unix:{path}\n")).unwrap();
    configure(&first);
    let mut server = Server::start(&["--log", "info", "--config", &file]);
    for (path, other) in [(&second, &first), (&first, &second)] {
        configure(path);
        let before = server.log.len();
        upgrade(&mut server);
        let lines = &server.log[before..];
        assert!(lines.iter().any(|(_, line)| line.ends_with(&format!(" admin port on unix:{path}"))), "{lines:?}");
        assert!(!lines.iter().any(|(_, line)| line.contains(" WARN ")), "{lines:?}");
        assert_eq!(run(&format!("who --quiet --admin unix:{path}")).0, Some(0));
        assert!(!fs::exists(other).unwrap(), "nobody listens there any more");
    }
    fs::write(&file, "").unwrap();
    upgrade(&mut server);
    assert!(!fs::exists(&first).unwrap(), "there is no admin port any more");
    server.signal("TERM");
    assert!(server.wait().success());
}

/// What a scripted admin port answers to the nth request.
type Answer = fn(usize, &dyn Fn(u64, u64, u64) -> String) -> Option<String>;

/// The same, of ports that answer strangely.
pub fn scripted() {
    let told = |generation: u64, refused: u64, pid: u64| {
        let text = format!(
            r#"{{"state":"none","generation":{generation},"refused":{refused},"because":null,"version":"0.{generation}.0","pid":{pid},"peers":3}}"#
        );
        json(200, &text)
    };
    let check = |answer: Answer, code: i32, part: &str| {
        let admin = Admin::start(move |question, stream| match answer(question.nth, &told) {
            Some(text) => crate::common::admin::say(stream, &text),
            None => false, // it closes without an answer
        });
        let since = Instant::now();
        let (ended, told, said) = run(&format!("upgrade --admin {} --patience 2s", admin.at()));
        assert_eq!(ended, Some(code), "{part}: {told}{said}");
        assert!((told.clone() + &said).contains(part), "{part}: {told}{said}");
        assert!(since.elapsed() < PATIENCE);
        admin
    };
    // The answer to POST is lost, and so are some connections after it.
    let lost = check(
        |nth, told| match nth {
            0 => Some(told(1, 0, 9)),
            1..6 => None,
            _ => Some(told(2, 0, 9)),
        },
        0,
        "upgraded: generation 2, 3 peers stayed, from 0.1.0 to 0.2.0",
    );
    let posted = lost.lines().iter().filter(|line| line.starts_with("POST ")).count();
    assert_eq!(posted, 1, "it is asked for once, whatever becomes of the answer: {:?}", lost.lines());
    check(|nth, told| Some(told(0, u64::from(nth > 1), 9)), 1, "refused, and nobody has left");
    check(|nth, told| Some(told(0, 0, if nth > 1 { 8 } else { 9 })), 1, "another process answers there now");
    check(|_, _| Some(json(404, r#"{"error":"there is no /upgrade"}"#)), 1, "older than upgrades");
    check(
        |nth, told| {
            if nth == 0 { Some(told(0, 0, 9)) } else { Some(json(409, r#"{"error":"the server is stopping"}"#)) }
        },
        1,
        "the server is stopping",
    );
    check(|_, _| Some(json(200, "{}")), 1, "not as the admin port of stillthere does");
    check(|_, _| Some("SSH-2.0-OpenSSH\r\n".to_string()), 1, "no admin port");
    check(|nth, told| if nth == 0 { Some(told(0, 0, 9)) } else { None }, 1, "the upgrade was asked for 20s ago");
}

/// A FIFO has a reader that stays: it has it open for writing, too, as a logger has that waits for the next writer.
pub fn fifo() {
    let directory = Directory::new();
    let path = directory.path("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut reader = File::options().read(true).write(true).open(&path).unwrap();
    let mut server = Server::start(&["--log", "info", "--events", &path]);
    let reading = thread::spawn(move || {
        let (mut text, mut piece) = (String::new(), [0; 65536]);
        while !text.contains("\"stop\"") {
            let count = reader.read(&mut piece).unwrap();
            text += std::str::from_utf8(&piece[..count]).unwrap();
        }
        text
    });
    ten(&mut server);
    check(&Story::whole(&reading.join().unwrap()));
}
