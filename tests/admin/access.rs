//! Who may ask, and where.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::common::{PATIENCE, Server, exchange};
use crate::wire::{Client, of, start};

/// A path that no other test has.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("stillthere-admin-{}-{name}", std::process::id()))
}

/// A page may give a name of its own our address (DNS rebinding): then the browser asks us as if we were that page's host.
pub fn hosts() {
    let watched = start(&[]);
    let ask = |host: &str, headers: &str| {
        let mut client = watched.client();
        client.send(format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes());
        client.answer(false)
    };
    let own = watched.admin.to_string();
    for host in [own.as_str(), "127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:7070", "127.1.2.3"] {
        assert_eq!(ask(host, "").status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:7070", "192.0.2.1", "localhost.evil.example", "0.0.0.0", ""] {
        let answer = ask(host, "");
        assert_eq!(answer.status, 421, "{host}");
        assert!(!answer.text().contains("stillthere_"), "{}", answer.text());
    }
    // The target's host counts, and not the header's.
    let mut client = watched.client();
    assert_eq!(client.ask("GET", "http://evil.example/metrics", "").status, 421);
    // A page of another site, by the right name.
    for headers in
        ["Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n", "Origin: http://evil.example\r\n"]
    {
        assert_eq!(ask("localhost", headers).status, 403, "{headers}");
        let mut client = watched.client();
        assert_eq!(client.ask("DELETE", "/peers/1-0", headers).status, 403, "{headers}");
        assert_eq!(client.ask("GET", "/healthz", headers).status, 200, "{headers}");
    }
}

pub fn token() {
    const TOKEN: &str = "a-secret-of-more-than-16";
    let file = path("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let mut server =
        Server::start(&["127.0.0.1:0", "--admin", "0.0.0.0:0", "--admin-token-file", file.to_str().unwrap()]);
    assert!(server.told().contains("others may read it"), "{}", server.told());
    server.log.retain(|(_, line)| !line.contains("others may"));
    let watched = of(server);
    let admin = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), watched.admin.port());
    let ask = |method: &str, target: &str, headers: &str| {
        let mut client = Client::new(crate::common::connect(admin));
        client.ask(method, target, headers)
    };
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    for (method, target) in [
        ("GET", "/metrics"),
        ("GET", "/peers"),
        ("GET", "/peers/1-0"),
        ("DELETE", "/peers/1-0"),
        ("GET", "/events"),
        ("GET", "/watch"),
    ] {
        for headers in ["", "Authorization: Bearer a-secret-of-more-than-17\r\n", "Authorization: Basic YTpi\r\n"] {
            let answer = ask(method, target, headers);
            let asks = answer.header("www-authenticate");
            assert_eq!((answer.status, asks), (401, Some("Bearer")), "{method} {target} {headers}");
        }
        let answer = ask(method, target, &right);
        assert!(matches!(answer.status, 200 | 404), "{method} {target}: {answer:?}");
    }
    for target in ["/healthz", "/readyz", "/"] {
        assert_eq!(ask("GET", target, "").status, 200, "{target} holds nothing that is worth a token");
    }
    // Any address of this machine may be asked for, but no name.
    let mut client = Client::new(crate::common::connect(admin));
    client.send(format!("GET /metrics HTTP/1.1\r\nHost: 192.0.2.1\r\n{right}\r\n").as_bytes());
    assert_eq!(client.answer(false).status, 200);
    client.send(format!("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n{right}\r\n").as_bytes());
    assert_eq!(client.answer(false).status, 421);
    fs::remove_file(file).unwrap();
}

pub fn unix() {
    let file = path("socket");
    let option = format!("unix:{}", file.display());
    // What a server leaves behind that was killed (nginx/nginx#851, canonical/lxd#296).
    let mut killed = Server::start(&["--admin", &option]);
    killed.signal("KILL");
    killed.wait();
    assert!(file.exists());
    let mut server = Server::start(&["--admin", &option]);
    assert!(server.told().contains(&format!("admin port on {option}")), "{}", server.told());
    let about = fs::symlink_metadata(&file).unwrap();
    assert_eq!((about.file_type().is_socket(), about.permissions().mode() & 0o777), (true, 0o660));
    let connect = || {
        let stream = UnixStream::connect(&file).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    };
    let mut peer = server.connect();
    exchange(&mut peer);
    let mut client = connect();
    client.send(b"GET /metrics HTTP/1.1\r\nHost: whoever\r\n\r\n");
    assert!(client.answer(false).text().contains("stillthere_peers 1\n"));
    assert!(client.ask("GET", "/peers", "").json()["peers"][0]["silent_ms"].is_u64());
    let mut events = connect();
    events.send(b"GET /events HTTP/1.0\r\n\r\n");
    assert!(events.head().starts_with("HTTP/1.1 200"));
    drop(peer);
    assert_eq!(events.event().2["event"], "departure");
    // A second server does not take it away.
    let second = Command::new(env!("CARGO_BIN_EXE_stillthere"))
        .args(["serve", "127.0.0.1:0", "--admin", &option])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another server listens there"), "{said}");
    assert_eq!(connect().ask("GET", "/healthz", "").text(), "ok\n");
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(!file.exists(), "the socket is removed at the end");
    // A file that is no socket is left alone.
    fs::write(&file, "mine").unwrap();
    let other = Command::new(env!("CARGO_BIN_EXE_stillthere"))
        .args(["serve", "127.0.0.1:0", "--admin", &option])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("a file of another kind; it is not removed"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    fs::remove_file(&file).unwrap();
}

pub fn sentences() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let short = path("short");
    fs::write(&short, "secret\n").unwrap();
    let short = short.to_str().unwrap();
    // An address of this machine that is no loopback one, if it has any.
    let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let own = own.map_or("0.0.0.0:0".to_string(), |own| format!("{}:0", own.ip()));
    for (options, part) in [
        (vec!["--admin", &own], "--admin-token-file FILE is needed"),
        (
            vec!["--admin", "localhost:0", "--admin-token-file", short],
            "the token in it has 6 characters; 16 are needed",
        ),
        (vec!["--admin", "127.0.0.1:0", "--admin-token-file", "/nowhere/x"], "cannot be read: No such file"),
        (vec!["--admin", &address], "another socket has this address: `ss -ltnp sport = :"),
        (vec!["--admin", "unix:/nowhere/x"], "the admin port cannot listen on unix:/nowhere/x"),
        (vec!["--admin", "no-such-name.invalid:1"], "cannot be resolved"),
        (vec!["--admin-token-file", "x"], "it goes with --admin ADDR:PORT"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stillthere"))
            .args(["serve", "127.0.0.1:0"])
            .args(&options)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(part), "{options:?}: {said}");
    }
    drop(taken);
    fs::remove_file(short).unwrap();
}

pub fn draining() {
    let mut watched = start(&["--grace", "5s"]);
    let mut peer = watched.server.connect();
    exchange(&mut peer);
    let mut client = watched.client();
    let mut events = watched.client();
    events.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    events.head();
    assert_eq!(client.ask("GET", "/readyz", "").text(), "ready\n");
    watched.server.signal("TERM");
    // The peer does not close, so the server drains for a while; it is asked again and again, as a balancer does.
    let started = std::time::Instant::now();
    let answer = loop {
        let answer = client.ask("GET", "/readyz", "");
        if answer.status != 200 {
            break answer;
        }
        assert!(started.elapsed() < Duration::from_secs(3), "it still says that it is ready");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((answer.status, answer.text().as_str()), (503, "draining\n"));
    assert_eq!(client.ask("GET", "/healthz", "").text(), "ok\n");
    let event = events.event().2;
    assert_eq!((&event["event"], &event["reason"]), (&"departure".into(), &"shut_down".into()));
    assert!(watched.server.wait().success());
}
