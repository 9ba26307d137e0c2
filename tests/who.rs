//! `stillthere who` and `stillthere drop`: against a scripted admin port, whatever it answers, and against the real one.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use common::admin::{Admin, json, page, peer, say};
use common::{PATIENCE, Server, again};

fn command(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    command.args(line.split_whitespace()).stdin(Stdio::null());
    command.env_remove("STILLTHERE_ADMIN").env_remove("NO_COLOR");
    command
}

fn run(line: &str) -> Output {
    command(line).output().expect("the program runs")
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr))
}

/// It ends with this code, and stderr has this.
fn check(line: &str, code: i32, part: &str) {
    let output = run(line);
    let (told, said) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "{line}: {said}{told}");
    assert!(said.contains(part), "{line}: {said:?} does not contain {part:?}");
    if code != 0 {
        assert!(
            said.starts_with("stillthere: ") && said.lines().count() == 1 && !said.contains("panicked"),
            "{said:?}"
        );
    }
}

/// A server with so many peers, in pages of a thousand.
fn with_peers(count: u64) -> Admin {
    Admin::with(move |question| {
        let after = question.line.split_once("after=").map_or(0, |(_, after)| after.parse().unwrap());
        let until = (after + 1000).min(count);
        (200, page(after..until, (until < count).then(|| until.to_string()).as_deref()))
    })
}

#[test]
fn all_pages_are_one_table() {
    let admin = with_peers(2500);
    let output = run(&format!("who --admin {}", admin.at()));
    let (told, said) = texts(&output);
    assert_eq!((output.status.code(), said.as_str()), (Some(0), "2500 peers\n"));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2501);
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with(" RETRANS"), "{}", lines[0]);
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "they are in line");
    assert!(lines[2500].starts_with("3f2a1c09c3-9c3  192.0.2.249:3523 "), "{}", lines[2500]);
    let asked = admin.asked();
    let asked: Vec<(&str, usize)> =
        asked.iter().map(|question| (question.line.as_str(), question.connection)).collect();
    let expected = [
        ("GET /peers?limit=1000", 0),
        ("GET /peers?limit=1000&after=1000", 0),
        ("GET /peers?limit=1000&after=2000", 0),
    ];
    assert_eq!(asked, expected, "over one connection");
}

/// A million peers need no memory, and nobody waits for the last one to see the first.
#[test]
fn a_page_is_written_before_the_next_is_asked_for() {
    let (go_on, wait) = channel();
    let wait = Mutex::new(wait);
    let admin = Admin::with(move |question| {
        if question.nth == 0 {
            return (200, page(0..1000, Some("x/y z")));
        }
        wait.lock().unwrap().recv_timeout(PATIENCE).expect("the first page was read");
        (200, page(1000..1001, None))
    });
    let mut child =
        command(&format!("who --admin {}", admin.at())).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.by_ref().take(1001).filter_map(Result::ok).count(), 1001);
    go_on.send(()).unwrap();
    assert_eq!(lines.count(), 1);
    assert!(child.wait().unwrap().success());
    assert_eq!(admin.lines()[1], "GET /peers?limit=1000&after=x%2Fy%20z");
}

#[test]
fn what_is_asked_goes_to_the_server() {
    let admin = Admin::with(|_| (200, page(0..3, None).replace("false", "true")));
    let output = run(&format!("who --sort silence --from 2001:db8::/32 --admin {}", admin.at()));
    let (told, said) = texts(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(0), 4));
    let expected =
        "3 peers from 2001:db8::/32; there are more: a sorted list has an end, without --sort all are listed\n";
    assert_eq!(said, expected, "a list that was cut says so");
    assert_eq!(admin.lines(), ["GET /peers?limit=1000&sort=silence&from=2001%3Adb8%3A%3A%2F32"]);
    assert_eq!(admin.asked()[0].host, Some(admin.at()), "the server checks it");
    // From the environment.
    let mut who = command("who");
    let output = who.env("STILLTHERE_ADMIN", admin.at()).env("STILLTHERE_WHO_SORT", "age").output().unwrap();
    assert!(output.status.success());
    assert_eq!(admin.lines()[1], "GET /peers?limit=1000&sort=age");
}

#[test]
fn json_is_a_line_for_each() {
    let admin = with_peers(1001);
    let output = run(&format!("who --json --admin {}", admin.at()));
    let (told, said) = texts(&output);
    assert_eq!((told.lines().count(), said.as_str()), (1001, "1001 peers\n"));
    for line in told.lines() {
        assert!(
            line.starts_with(r#"{"id":"3f2a1c"#) && line.ends_with('}') && line.contains(r#""deadline_ms":10000"#),
            "{line}"
        );
    }
    let nobody = with_peers(0);
    let (told, said) = texts(&run(&format!("who --json --admin {}", nobody.at())));
    assert_eq!((told.as_str(), said.as_str()), ("", "0 peers\n"));
}

#[test]
fn one_is_told_of_in_words() {
    let admin = Admin::with(|question| match question.line.as_str() {
        "GET /peers/3f2a1c0007-7" => (200, peer(7)),
        _ => (404, r#"{"error":"no such peer"}"#.to_string()),
    });
    let (told, said) = texts(&run(&format!("who 3f2a1c0007-7 --admin {}", admin.at())));
    assert!(told.starts_with("192.0.2.7:1031 has been connected to 192.0.2.9:7007 for 1m 0s.\n"), "{told}{said}");
    assert!(told.contains("Silent: 0.0s of at most 10.0s; no probe is unanswered.\n") && said.is_empty(), "{told}");
    let (told, _) = texts(&run(&format!("who 3f2a1c0007-7 --json --admin {}", admin.at())));
    assert!(
        told.starts_with(r#"{"id":"3f2a1c0007-7","peer":"192.0.2.7:1031","#) && told.lines().count() == 1,
        "{told}"
    );
    check(
        &format!("who 1-1 --admin {}", admin.at()),
        1,
        "there is no peer 1-1: it has gone, or this server never had it",
    );
}

#[test]
fn some_are_dropped_and_who_was_not_there_is_told() {
    let admin = Admin::with(|question| match question.line.as_str() {
        "DELETE /peers/1-1" => (202, r#"{"id":"1-1"}"#.to_string()),
        "DELETE /peers/2-2" => (202, r#"{"id":"2-2"}"#.to_string()),
        "DELETE /peers/9-9" => (503, r#"{"error":"too much is ordered; try again"}"#.to_string()),
        _ => (404, r#"{"error":"no such peer"}"#.to_string()),
    });
    let (told, said) = texts(&run(&format!("drop 1-1 --admin {}", admin.at())));
    assert_eq!((told.as_str(), said.as_str()), ("1-1 is let go\n", ""));
    let output = run(&format!("drop 3-3 1-1 4-4 2-2 --admin {}", admin.at()));
    let (told, said) = texts(&output);
    assert_eq!((output.status.code(), told.as_str()), (Some(1), "1-1 is let go\n2-2 is let go\n"));
    assert_eq!(said, "stillthere: there are no peers 3-3, 4-4: they have gone, or this server never had them\n");
    let output = run(&format!("drop 3-3 9-9 2-2 --admin {}", admin.at()));
    let (told, said) = texts(&output);
    assert_eq!((output.status.code(), told.as_str()), (Some(1), ""));
    assert!(said.contains("no peer 3-3: ") && said.contains("answers: too much is ordered; try again"), "{said}");
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A directory that is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("stillthere-who-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn without_a_server_it_is_told_what_to_do() {
    let at = free_address();
    let advice = format!(
        "nothing listens on {at}: start the server with --admin {at}, or say where its admin port is with --admin"
    );
    check(&format!("who --admin {at}"), 1, &advice);
    check(&format!("drop 1-1 --admin {at}"), 1, &advice);
    let directory = Directory::new("none");
    let path = directory.0.join("socket").display().to_string();
    check(
        &format!("who --admin unix:{path}"),
        1,
        &format!("unix:{path}: there is no such socket; start the server with"),
    );
    drop(UnixListener::bind(&path).unwrap());
    check(&format!("who --admin unix:{path}"), 1, &format!("nothing listens on unix:{path}: start"));
    check("who --admin no-such-name.invalid:7070", 1, "cannot be resolved");
}

/// Ctrl-Z and fg, while it waits for the answer.
#[test]
fn who_is_suspended_goes_on() {
    let admin = Admin::with(|_| {
        thread::sleep(Duration::from_millis(500));
        (200, page(0..2, None))
    });
    let (told, said) = texts(&again::suspended(&mut command(&format!("who --admin {}", admin.at()))));
    assert_eq!((told.lines().count(), said.as_str()), (3, "2 peers\n"));
    assert_eq!(admin.lines(), ["GET /peers?limit=1000"], "asked once");
}

#[test]
fn a_unix_socket_will_do() {
    let directory = Directory::new("unix");
    let path = directory.0.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = [0; 1024];
        let count = stream.read(&mut question).unwrap();
        stream.write_all(json(200, &page(0..2, None)).as_bytes()).unwrap();
        String::from_utf8_lossy(&question[..count]).into_owned()
    });
    let (told, said) = texts(&run(&format!("who --admin unix:{}", path.display())));
    assert_eq!((told.lines().count(), said.as_str()), (3, "2 peers\n"));
    assert!(asked.join().unwrap().contains("\r\nHost: localhost\r\n"));
}

#[test]
fn a_token_is_sent_and_asked_for() {
    let admin = Admin::with(|question| match question.token.as_deref() {
        Some("Bearer s3cret") => (200, page(0..1, None)),
        _ => (401, r#"{"error":"a token is needed"}"#.to_string()),
    });
    let directory = Directory::new("token");
    let (right, wrong) = (directory.file("right", "s3cret\n"), directory.file("wrong", "other"));
    check(&format!("who --admin {} --admin-token-file {right}", admin.at()), 0, "1 peer\n");
    check(
        &format!("who --admin {}", admin.at()),
        1,
        "wants a token: give the server's token file with --admin-token-file FILE",
    );
    check(&format!("who --admin {} --admin-token-file {wrong}", admin.at()), 1, "does not accept the token");
    for (name, text) in [("empty", " \n"), ("two", "a b"), ("evil", "a\r\nX: y"), ("binary", "\u{1}")] {
        let file = directory.file(name, text);
        check(
            &format!("who --admin {} --admin-token-file {file}", admin.at()),
            1,
            "a token is one word of visible ASCII",
        );
    }
    check(&format!("who --admin {} --admin-token-file {}/none", admin.at(), directory.0.display()), 1, "No such file");
    assert!(
        admin.asked().iter().all(|question| question.token.as_deref().is_none_or(|token| token.starts_with("Bearer ")))
    );
}

#[test]
fn something_else_there_is_named() {
    for (answer, part) in [
        ("SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "it does not speak HTTP; it said: SSH-2.0-OpenSSH_9.2p1 Debian"),
        ("220 mail.example ESMTP \x1b[2J\x07", "it said: 220 mail.example ESMTP ?[2J?"),
        ("\0\u{1}\u{2}", "it does not speak HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", "another program's port"),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "answers, but not as the admin port of stillthere does: 404",
        ),
        ("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", "does: 302"),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "its answer has no list of \"peers\"",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"peers\":[{}]}",
            "for each peer",
        ),
        (
            "HTTP/1.1 403 No\r\nContent-Length: 30\r\n\r\n{\"error\":\"\x1bthe Host is wrong\"}",
            "another program's port",
        ),
        (
            "HTTP/1.1 403 No\r\nContent-Length: 30\r\n\r\n{\"error\":\" the Host is wrong\"}",
            "answers:  the Host is wrong",
        ),
    ] {
        let admin = Admin::start(move |_, stream| say(stream, answer));
        check(&format!("who --admin {} --patience 20s", admin.at()), 1, part);
    }
    // The port for peers, which sends back what it is sent.
    let server = Server::start(&[]);
    check(&format!("who --admin {}", server.address()), 1, "that is a port for peers, and not the admin port");
    check(&format!("drop 1-1 --admin {}", server.address()), 1, "that is a port for peers, and not the admin port");
    // A connection that is accepted and closed.
    let admin = Admin::start(|_, _| false);
    check(&format!("who --admin {}", admin.at()), 1, "has closed the connection without an answer");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let admin = Admin::start(|question, stream| {
        // The first says nothing at all, the second stops in the middle.
        if question.nth == 1 {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{");
        }
        sleep(PATIENCE);
        false
    });
    for _ in 0..2 {
        let began = Instant::now();
        check(
            &format!("who --admin {} --patience 300ms", admin.at()),
            1,
            "has taken the connection, but says nothing for 300ms",
        );
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    // Nor one that takes no connection any more: all places in its backlog are taken.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let _taken: Vec<TcpStream> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&at, Duration::from_millis(200)).ok()).take(10).collect();
    check(&format!("who --admin {at} --patience 300ms"), 1, "has not taken a connection within 300ms");
}

#[test]
fn an_answer_that_is_cut_off_is_not_taken_for_all() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"peers\":[],\"next\":null}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n{\"peers\":[],\"next\":null}\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
    ] {
        let admin = Admin::start(move |_, stream| {
            say(stream, answer);
            false
        });
        check(&format!("who --admin {}", admin.at()), 1, "in the middle of it");
    }
    // The second page does not come: the first is there, and the end says that this is not all.
    let admin =
        Admin::start(|question, stream| question.nth == 0 && say(stream, &json(200, &page(0..1000, Some("1000")))));
    let output = run(&format!("who --admin {}", admin.at()));
    let (told, said) = texts(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1001));
    assert!(said.ends_with("(after 1000 peers)\n"), "{said}");
}

#[test]
fn a_connection_that_was_kept_and_closed_is_opened_anew() {
    let admin = Admin::start(|question, stream| {
        let page = if question.nth == 0 { page(0..1, Some("1")) } else { page(1..2, None) };
        say(stream, &json(200, &page));
        false // though it did not say so
    });
    check(&format!("who --admin {}", admin.at()), 0, "2 peers\n");
    let connections: Vec<usize> = admin.asked().iter().map(|question| question.connection).collect();
    assert_eq!(connections, [0, 1]);
}

/// A listing of very many peers is not to fail for a moment in which others ask, too; but it is not asked for ever.
#[test]
fn a_server_that_is_busy_is_asked_again() {
    let busy = || (503, r#"{"error":"too much is being asked at this moment"}"#.to_string());
    let admin = Admin::with(move |question| match question.nth {
        0 => (200, page(0..1, Some("1"))),
        1 => busy(),
        _ => (200, page(1..2, None)),
    });
    check(&format!("who --admin {}", admin.at()), 0, "2 peers\n");
    assert_eq!(admin.asked().len(), 3);
    let admin = Admin::with(move |_| busy());
    let began = Instant::now();
    check(
        &format!("who --admin {} --patience 1500ms", admin.at()),
        1,
        "answers: too much is being asked at this moment",
    );
    assert!(admin.asked().len() == 2 && began.elapsed() < Duration::from_secs(5), "{:?}", admin.lines());
}

#[test]
fn a_list_without_end_ends() {
    let admin = Admin::with(|_| (200, page(0..10, Some("again"))));
    check(&format!("who --admin {}", admin.at()), 1, "its answer has no new place to go on from");
}

/// `stillthere who | head -1`
#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    for option in ["", "--json"] {
        let admin = Admin::with(|question| (200, page(0..1000, Some(&question.nth.to_string()))));
        let mut child = command(&format!("who {option} --admin {}", admin.at()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("ID") || line.contains("\"id\""), "{line}");
        let output = wait(child);
        assert_eq!((output.status.code(), texts(&output).1.as_str()), (Some(0), ""));
        assert!(admin.asked().len() < 10, "it does not ask on");
    }
}

#[test]
fn a_full_disk_is_told_of() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return eprintln!("NOT TESTED: there is no /dev/full");
    };
    let admin = with_peers(3);
    let output =
        wait(command(&format!("who --admin {}", admin.at())).stdout(full).stderr(Stdio::piped()).spawn().unwrap());
    let said = texts(&output).1;
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("stillthere: cannot write to standard output: No space left"), "{said}");
}

/// Waits, but not for ever.
fn wait(mut child: Child) -> Output {
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it does not end");
        sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// A name that somebody else chose must not write on the terminal.
#[test]
fn nothing_in_an_answer_is_obeyed_by_a_terminal() {
    let evil =
        r#"{"id":"1-1","peer":"192.0.2.1:5\u001b]52;c;eA==\u0007\u009b2J\u202e","state":"\u001b[31m","silent_ms":1}"#;
    let admin = Admin::with(move |question| match question.line.contains("/peers/") {
        true => (200, evil.to_string()),
        false => (200, format!(r#"{{"peers":[{evil}],"next":null}}"#)),
    });
    for line in ["who", "who --json", "who 1-1", "who 1-1 --json"] {
        let (told, _) = texts(&run(&format!("{line} --admin {}", admin.at())));
        assert!(told.contains("192.0.2.1:5"), "{told}");
        assert!(!told.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{line}: {told:?}");
    }
}

/// The real one. Where it is asked, and the server.
fn real(options: &[&str]) -> (Server, String) {
    let mut server = Server::start(&[&["--admin=127.0.0.1:0"], options].concat());
    let at = common::http::admin(&mut server).to_string();
    (server, at)
}

#[test]
fn the_real_server_is_understood() {
    let (mut server, at) = real(&["--deadline", "60s"]);
    let mut peers: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    (0..3).for_each(|_| drop(server.wait_for("arrived")));
    let known = |peer: &TcpStream| peer.local_addr().unwrap().to_string();
    // The third one has sent most, and spoken last.
    sleep(Duration::from_millis(300));
    common::ask(&mut peers[2], &[b'x'; 3000]);
    let list = |options: &str| {
        let (told, said) = texts(&run(&format!("who {options} --admin {at}")));
        assert!(told.starts_with("ID ") && said.starts_with("3 peers"), "{told}{said}");
        let rows = told.lines().skip(1).map(|line| line.split_whitespace().map(str::to_string).collect());
        rows.collect::<Vec<Vec<String>>>()
    };
    let rows = list("");
    assert!(peers.iter().zip(&rows).all(|(peer, row)| row[1] == known(peer)), "in the order of the table: {rows:?}");
    assert!(rows[2].contains(&"3000".to_string()) && rows[2].contains(&"60s".to_string()), "{:?}", rows[2]);
    assert_eq!(list("--sort bytes")[0][1], known(&peers[2]));
    assert_eq!(list("--sort silence")[2][1], known(&peers[2]));
    assert_eq!(list("--sort age")[0][1], known(&peers[0]));
    assert_eq!(list("--from 127.0.0.0/8").len(), 3);
    check(&format!("who --from 10.0.0.0/8 --admin {at}"), 0, "0 peers from 10.0.0.0/8\n");
    let (told, _) = texts(&run(&format!("who --json --admin {at}")));
    let ids: Vec<&str> = told.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
    assert_eq!(ids, rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>());
    let id = ids[2];
    let (told, said) = texts(&run(&format!("who {id} --admin {at}")));
    let begin = format!("{} has been connected to {} for ", known(&peers[2]), server.address());
    assert!(told.starts_with(&begin) && told.contains("Received from it: 3000 bytes, the last "), "{told}{said}");
    assert!(told.contains("TCP's state: established") && told.contains(" of at most 1m 0s; no probe"), "{told}");
    let (told, said) = texts(&run(&format!("drop {id} --admin {at}")));
    assert_eq!((told.as_str(), said.as_str()), (format!("{id} is let go\n").as_str(), ""));
    assert_eq!(again::read(&peers[2], &mut [0; 1]).map_err(|error| error.kind()).unwrap_or(0), 0, "it has noticed");
    server.wait_for(id);
    check(&format!("who {id} --admin {at}"), 1, &format!("there is no peer {id}: it has gone"));
    check(&format!("drop {id} --admin {at}"), 1, &format!("there is no peer {id}: it has gone"));
}

/// More than a page, a token, and a unix socket.
#[test]
fn the_real_server_gives_all_pages_over_a_unix_socket_to_whoever_has_the_token() {
    const PEERS: usize = 2345;
    common::raise_descriptor_limit(2 * PEERS as u64);
    let directory = Directory::new("real");
    let token = directory.file("token", "0123456789abcdef0123\n");
    let socket = format!("unix:{}/socket", directory.0.display());
    let server = Server::start(&["--admin", &socket, "--admin-token-file", &token]);
    let _peers: Vec<TcpStream> = (0..PEERS).map(|_| server.connect()).collect();
    check(&format!("who --admin {socket}"), 1, "wants a token");
    let until = Instant::now() + PATIENCE;
    for option in ["", "--sort silence", "--sort age --json"] {
        loop {
            let (told, said) = texts(&run(&format!("who {option} --admin {socket} --admin-token-file {token}")));
            let rows: std::collections::HashSet<&str> =
                told.lines().filter(|line| line.contains("127.0.0.1:")).collect();
            if rows.len() == PEERS && said == format!("{PEERS} peers\n") {
                break;
            }
            assert!(Instant::now() < until, "{option}: {} rows, {said}", rows.len());
        }
    }
}

/// `--quiet`: for whoever runs the server, and asks it every few seconds whether it is well.
#[test]
fn a_quiet_question_is_answered_by_the_exit_code_alone() {
    let quiet = |line: &str| {
        let output = command(line).env("STILLTHERE_WHO_SROT", "misspelt").output().expect("the program runs");
        assert_eq!(texts(&output), (String::new(), String::new()), "{line} prints nothing");
        output.status.code().expect("it is not killed")
    };
    let answers = |text: &'static str| Admin::start(move |_, stream| say(stream, text));
    let ready = answers("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nready\n");
    assert_eq!(quiet(&format!("who --quiet --admin {}", ready.at())), 0);
    assert_eq!(ready.lines(), ["GET /readyz HTTP/1.1"].map(|line| line.trim_end_matches(" HTTP/1.1")));
    for other in [
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ndraining\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nready\n",
        "+PONG\r\n",
    ] {
        let admin = answers(other);
        assert_eq!(quiet(&format!("who --quiet --patience 300ms --admin {}", admin.at())), 1, "{other:?}");
    }
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(quiet(&format!("who --quiet --admin {gone}")), 1);
    // The real server, which wants a token from everybody else.
    let directory = Directory::new("quiet");
    let token = directory.file("token", "0123456789abcdef0123\n");
    let (server, at) = real(&["--admin-token-file", &token]);
    assert_eq!(quiet(&format!("who --quiet --admin {at}")), 0);
    assert_eq!(quiet(&format!("who --quiet --admin {at} --admin-token-file /nowhere")), 0);
    server.signal("STOP");
    assert_eq!(quiet(&format!("who --quiet --patience 300ms --admin {at}")), 1, "its loop does not turn");
    server.signal("CONT");
    drop(server);
    assert_eq!(quiet(&format!("who --quiet --admin {at}")), 1);
}
