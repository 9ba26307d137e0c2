//! `stillthere top` in a pseudo-terminal: what is on the screen, and how the terminal is left.
//!
//! What the terminal shows is decided by the crate vt100, which knows nothing of us; its modes are read from the kernel.

mod common;

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use common::admin::{Admin, json, peer, say};
use common::{PATIENCE, Server, status};

/// What came out of the program, as bytes and as a screen.
struct Shown {
    bytes: Vec<u8>,
    screen: vt100::Parser,
}

/// A program in a terminal of its own.
struct Pty {
    own: File,
    /// The other side: it stays open here, so that its modes can be read when the program has ended.
    other: Option<File>,
    before: Termios,
    child: Child,
    shown: Arc<Mutex<Shown>>,
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Pty {
    /// `controls`: the terminal sends the program its signals, as it does where a person sits.
    fn start(command: &mut Command, controls: bool, is_read: bool) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
        grantpt(&own).unwrap();
        unlockpt(&own).unwrap();
        let name = ptsname(&own, Vec::new()).unwrap().into_string().unwrap();
        let other = File::options().read(true).write(true).open(name).unwrap();
        tcsetwinsize(&own, size(80, 24)).unwrap();
        let before = tcgetattr(&other).unwrap();
        // setpgid(2) and the rest cannot be done here without unsafe code; setsid is part of util-linux, like kill.
        let mut session = Command::new("setsid");
        if controls {
            session.arg("--ctty");
        }
        session.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        let side = || Stdio::from(other.try_clone().unwrap());
        let child = session.stdin(side()).stdout(side()).stderr(side()).spawn().expect("setsid runs");
        let shown = Arc::new(Mutex::new(Shown { bytes: Vec::new(), screen: vt100::Parser::new(24, 80, 100) }));
        let pty = Self { own: own.into(), other: Some(other), before, child, shown };
        if is_read {
            pty.read_on();
        }
        pty
    }

    fn read_on(&self) {
        let (mut from, shown) = (self.own.try_clone().unwrap(), Arc::clone(&self.shown));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                let mut shown = shown.lock().unwrap();
                shown.bytes.extend_from_slice(&piece[..count]);
                shown.screen.process(&piece[..count]);
            }
        });
    }

    fn top(admin: &Admin) -> Self {
        Self::start(&mut top(&admin.at()), true, true)
    }

    fn text(&self) -> String {
        self.shown.lock().unwrap().screen.screen().contents()
    }

    fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap().bytes).into_owned()
    }

    /// Waits until the screen has this, and returns it.
    fn wait_for(&self, part: &str) -> String {
        self.wait_until(part, |text| text.contains(part))
    }

    fn wait_until(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_there(&text) {
                return text;
            }
            assert!(Instant::now() < until, "the screen never had {what:?}, but:\n{text}");
            sleep(Duration::from_millis(10));
        }
    }

    fn press(&self, keys: &str) {
        (&self.own).write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.text());
            sleep(Duration::from_millis(10));
        }
    }

    /// The modes that the kernel has now.
    fn modes(&self) -> Termios {
        tcgetattr(self.other.as_ref().unwrap()).unwrap()
    }

    /// The terminal is as it was before.
    fn is_left_as_it_was(&self) {
        let now = self.modes();
        // Without CIBAUD: it is 0 for "as the output", and the same speed by its name once anybody has set anything.
        let control = |of: &Termios| of.control_modes.bits() & !0x100f_0000;
        let modes = |of: &Termios| (of.input_modes, of.output_modes, control(of), of.local_modes, of.input_speed());
        assert_eq!(modes(&now), modes(&self.before));
        assert!(now.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        // What was written last may still be on its way to the reading thread.
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            {
                let shown = self.shown.lock().unwrap();
                let screen = shown.screen.screen();
                if !screen.alternate_screen() && !screen.hide_cursor() {
                    let bytes = String::from_utf8_lossy(&shown.bytes).into_owned();
                    assert_eq!((bytes.matches("\x1b[?1049h").count(), bytes.matches("\x1b[?1049l").count()), (1, 1));
                    let (off, on) = (bytes.rfind("\x1b[?7l"), bytes.rfind("\x1b[?7h"));
                    assert!(off < on, "long lines go on again");
                    return;
                }
            }
            assert!(Instant::now() < until, "it is still on the other screen");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn top(at: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    command.args(["top", "--admin", at, "--patience", "5s"]);
    command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
    command.env_remove("NO_COLOR").env_remove("STILLTHERE_ADMIN");
    command
}

const HELLO: &str = r#"{"version":"0.1.0","time":1700000000000,"deadline_ms":10000,"idle_ms":5000,"interval_ms":1000,"count":5,"listen":["127.0.0.1:7007"],"limit":20000,"pace_ms":1000}"#;

fn event(name: &str, data: &str) -> String {
    let text = format!("event: {name}\ndata: {data}\n\n");
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// All peers: so many, each heard of so long before the server's clock, in milliseconds.
fn sweep(silences: impl IntoIterator<Item = u64>) -> String {
    let peers: Vec<String> = silences
        .into_iter()
        .enumerate()
        .map(|(nth, silent)| {
            format!(r#"["3f2a1c{nth:04x}-{nth:x}","192.0.2.{nth}:5000",{},0,0]"#, 1_700_000_000_000 - silent)
        })
        .collect();
    event("peers", &format!(r#"{{"sweep":1,"full":true,"last":true,"peers":[{}]}}"#, peers.join(",")))
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A server with peers that have been silent for so long, and what it says after that, if a test wants it to; the end of that is
/// the end of the connection.
fn server(silences: &'static [u64]) -> (Admin, Sender<String>) {
    server_at("127.0.0.1:0", silences)
}

fn server_at(at: &str, silences: &'static [u64]) -> (Admin, Sender<String>) {
    let (sender, more) = channel::<String>();
    let more = Mutex::new(Some(more));
    let admin = Admin::start_at(at.parse().unwrap(), move |question, stream| match question.line.as_str() {
        "GET /watch" => {
            say(stream, &format!("{STREAM}{}{}", event("hello", HELLO), sweep(silences.iter().copied())));
            match more.lock().unwrap().take() {
                Some(more) => drop(more.iter().all(|text| say(stream, &text))),
                None => sleep(PATIENCE),
            }
            false
        }
        "GET /peers/3f2a1c0001-1" => say(stream, &json(200, &peer(1))),
        "DELETE /peers/3f2a1c0001-1" => say(stream, &json(202, r#"{"id":"3f2a1c0001-1"}"#)),
        _ => say(stream, &json(404, r#"{"error":"no such peer"}"#)),
    });
    (admin, sender)
}

#[test]
fn the_screen_at_80_by_24_and_at_other_sizes() {
    let (admin, more) = server(&[9500, 6000, 100]);
    let mut pty = Pty::top(&admin);
    let text = pty.wait_for("192.0.2.2:5000");
    let lines: Vec<&str> = text.lines().collect();
    let title = format!("stillthere 0.1.0 on 127.0.0.1:7007 (admin {})", admin.at());
    assert!(lines[0].starts_with(&title) && lines[0].ends_with(" 3 of 20000 peers"), "{text}");
    assert_eq!(lines[1], "deadline 10s (idle 5s, 5 probes 1s apart)");
    assert!(lines[2].starts_with("  SILENT ") && lines[2].ends_with("PROBES WAITING ID"), "{text}");
    assert!(lines[3].contains("████") && lines[3].trim_end().ends_with("3f2a1c0000-0"), "{text}");
    assert!(lines[4].contains(" 192.0.2.1:5000 ") && lines[5].contains(" 192.0.2.2:5000 "), "{text}");
    assert_eq!(lines[23], "q quit  s sort: silence  / filter  Enter story  d drop  ? help");
    // It lives: silence grows, a peer leaves.
    pty.wait_until("a longer silence", |text| text.contains("   7.") && text.contains("   1."));
    let gone = r#"{"event":"departure","time":"2026-11-26T14:38:58.123Z","id":"3f2a1c0000-0","peer":"192.0.2.0:5000","reason":"probes_unanswered","connected_ms":61000,"silent_ms":10000}"#;
    more.send(event("news", gone)).unwrap();
    pty.wait_until("no 192.0.2.0 in the table", |text| !text.contains("3f2a1c0000-0"));
    assert!(
        pty.text().contains("\n14:38:58 192.0.2.0:5000 probes_unanswered, silent 10.0s, connected 1m 1s\n"),
        "{}",
        pty.text()
    );
    for (columns, rows) in [(132, 50), (40, 10), (20, 3), (80, 24)] {
        tcsetwinsize(&pty.own, size(columns, rows)).unwrap();
        pty.shown.lock().unwrap().screen.screen_mut().set_size(rows, columns);
        let text = pty.wait_until("a picture of this size", |text| {
            text.lines().count() == usize::from(rows)
                && text.lines().last().is_some_and(|line| line.starts_with("q quit"))
        });
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(columns)), "{columns}x{rows}:\n{text}");
    }
    pty.wait_for("192.0.2.2:5000");
    pty.press("q");
    assert_eq!(pty.wait().code(), Some(0));
    pty.is_left_as_it_was();
}

/// The parameters of each Select Graphic Rendition that was written.
fn renditions(bytes: &str) -> Vec<String> {
    let sequences = bytes.split("\x1b[").skip(1);
    let sequences = sequences
        .filter_map(|rest| rest.split_once(|c: char| c.is_ascii_alphabetic()).map(|(before, _)| (before, rest)));
    sequences
        .filter(|(before, rest)| rest[before.len()..].starts_with('m'))
        .map(|(before, _)| before.to_string())
        .collect()
}

#[test]
fn no_color_means_none() {
    for (no_color, is_plain) in [("", false), ("1", true)] {
        let (admin, _more) = server(&[9500, 6000, 100]);
        let mut pty = Pty::start(top(&admin.at()).env("NO_COLOR", no_color), true, true);
        pty.wait_for("192.0.2.2:5000");
        // The selection must be seen without any colour, too.
        assert!(pty.shown.lock().unwrap().screen.screen().cell(3, 5).unwrap().inverse());
        pty.press("?");
        pty.wait_for("Any key goes back");
        pty.press("q");
        pty.press("/x");
        pty.wait_for("nobody matches");
        pty.press("\r");
        pty.press("q");
        assert_eq!(pty.wait().code(), Some(0));
        pty.is_left_as_it_was();
        let used = renditions(&pty.bytes());
        assert!(used.iter().any(|used| used == "7") && used.iter().any(|used| used == "1"), "{used:?}");
        let colours: Vec<&String> = used.iter().filter(|used| !["0", "1", "7"].contains(&used.as_str())).collect();
        assert_eq!(colours.is_empty(), is_plain, "{colours:?}");
    }
}

/// However it ends, the terminal is as it was; and the parent sees what it died of.
#[test]
fn the_terminal_is_left_as_it_was() {
    for (name, number) in [("q", 0), ("\x03", 0), ("INT", 2), ("TERM", 15), ("HUP", 1), ("QUIT", 3)] {
        let (admin, _more) = server(&[100]);
        let mut pty = Pty::top(&admin);
        pty.wait_for("192.0.2.0:5000");
        let raw = pty.modes();
        assert!(!raw.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        if number == 0 {
            pty.press(name)
        } else {
            pty.signal(name)
        }
        let status = pty.wait();
        assert_eq!(
            (status.code(), status.signal()),
            if number == 0 { (Some(0), None) } else { (None, Some(number)) },
            "{name:?}"
        );
        pty.is_left_as_it_was();
    }
}

const PANICS: &str = "STILLTHERE_TEST_PANICS";

/// The release build aborts at a panic, and drops nothing: the hook alone must do it. This test starts itself once more,
/// in a terminal.
#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    if env::var_os(PANICS).is_some() {
        let _kept = ManuallyDrop::new(stillthere::ask::top::terminal::Terminal::enter().expect("a terminal"));
        panic!("on purpose");
    }
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", "a_panic_leaves_the_terminal_as_it_was", "--nocapture"]).env(PANICS, "1");
    again.env("RUST_BACKTRACE", "0"); // it would not fit on the screen
    let mut pty = Pty::start(&mut again, true, true);
    assert!(!pty.wait().success());
    pty.is_left_as_it_was();
    let text = pty.wait_for("on purpose");
    assert!(text.contains("panicked at"), "it is said on the usual screen: {text}");
}

/// A terminal that takes nothing, because the line hangs or nobody reads: it can be ended all the same.
#[test]
fn a_terminal_that_is_stuck_does_not_keep_it() {
    let silences: &'static [u64] = Box::leak((0..200).map(|nth| nth * 10).collect::<Vec<u64>>().into_boxed_slice());
    let (admin, more) = server(silences);
    let mut pty = Pty::start(&mut top(&admin.at()), true, false);
    // Until it is full: pictures of many lines, of which every one changes.
    let until = Instant::now() + Duration::from_secs(4);
    let mut nth = 0;
    while Instant::now() < until {
        nth += 1;
        more.send(sweep((0..200).map(|peer| (peer * 37 + nth * 119) % 10_000))).unwrap();
        pty.press("\x0c");
        sleep(Duration::from_millis(20));
    }
    // It waits for the terminal, and does not try all the time.
    let before = status(pty.child.id(), "voluntary_ctxt_switches");
    let cpu = processor_time(pty.child.id());
    sleep(Duration::from_secs(1));
    assert!(status(pty.child.id(), "voluntary_ctxt_switches") - before < 50);
    assert!(processor_time(pty.child.id()) - cpu < 20, "ticks of a hundredth of a second");
    let began = Instant::now();
    pty.signal("TERM");
    assert_eq!(pty.wait().signal(), Some(15));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let modes = |of: &Termios| (of.input_modes, of.output_modes, of.local_modes);
    assert_eq!(modes(&pty.modes()), modes(&pty.before));
}

/// utime and stime of proc(5).
fn processor_time(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = text.rsplit_once(") ").expect("a name").1.split(' ');
    fields.skip(11).take(2).map(|time| time.parse::<u64>().expect("a number")).sum()
}

/// The terminal goes and no signal tells of it (nohup, or a parent that caught it): no process must stay behind that spins.
#[test]
fn it_ends_with_its_terminal() {
    let (admin, _more) = server(&[100]);
    let mut pty = Pty::start(&mut top(&admin.at()), false, false);
    pty.read_until_seen("192.0.2.0:5000");
    pty.other = None;
    pty.own = File::open("/dev/null").unwrap();
    let began = Instant::now();
    let status = pty.wait();
    assert!(
        began.elapsed() < Duration::from_secs(3) && status.code() == Some(0),
        "{status:?} after {:?}",
        began.elapsed()
    );
}

impl Pty {
    /// Without a thread that would keep this side open.
    fn read_until_seen(&mut self, part: &str) {
        let mut piece = [0; 4096];
        while !self.text().contains(part) {
            let count = self.own.read(&mut piece).unwrap();
            self.shown.lock().unwrap().screen.process(&piece[..count]);
        }
    }
}

#[test]
fn a_server_that_has_gone_is_waited_for() {
    let (admin, more) = server(&[100]);
    let mut pty = Pty::top(&admin);
    pty.wait_for("192.0.2.0:5000");
    drop(more); // the connection ends; a second one says nothing but hello
    let text = pty.wait_for("The server has gone");
    assert!(text.contains("192.0.2.0:5000"), "what was known is still shown:\n{text}");
    pty.wait_until("the usual last line", |text| text.ends_with("? help"));
    let watched = || admin.lines().iter().filter(|line| *line == "GET /watch").count();
    assert_eq!(watched(), 2);
    pty.press("q");
    assert_eq!(pty.wait().code(), Some(0));
    pty.is_left_as_it_was();
}

#[test]
fn keys_filter_tell_and_drop() {
    let (admin, more) = server(&[9000, 6000, 3000, 100]);
    let mut pty = Pty::top(&admin);
    pty.wait_for("192.0.2.3:5000");
    pty.press("\x1b[B\r");
    let text = pty.wait_for("192.0.2.1:1025 has been connected to 192.0.2.9:7007 for 1m 0s.");
    assert!(text.contains("Silent: 0.0s of at most 10.0s") && text.ends_with("Esc back  d drop"), "{text}");
    pty.press("\x1b");
    pty.wait_for("? help");
    pty.press("/192.0.2.1\r");
    pty.wait_until("one peer only", |text| text.contains("192.0.2.1:5000") && !text.contains("192.0.2.3:5000"));
    pty.press("d");
    pty.wait_for("Drop 192.0.2.1:5000 (3f2a1c0001-1)? y: yes, any other key: no");
    pty.press("n");
    pty.wait_for("nobody was let go");
    pty.press("d");
    pty.wait_for("Drop 192.0.2.1:5000");
    pty.press("y");
    pty.wait_for("3f2a1c0001-1 is let go");
    more.send(event(
        "news",
        r#"{"event":"departure","id":"3f2a1c0001-1","peer":"192.0.2.1:5000","reason":"shut_down"}"#,
    ))
    .unwrap();
    pty.wait_for("nobody matches the filter");
    pty.press("\x1b");
    pty.wait_for("192.0.2.3:5000");
    pty.press("/zz\x1b"); // at once: the ESC is the key, though nothing comes after it
    pty.wait_for("nobody matches the filter");
    pty.wait_for("192.0.2.3:5000");
    pty.press("q");
    assert_eq!(pty.wait().code(), Some(0));
    assert_eq!(admin.lines().iter().filter(|line| line.starts_with("DELETE")).count(), 1);
}

/// Ctrl-Z gives the terminal to the shell, and fg takes it back.
#[test]
fn it_can_be_suspended() {
    let (admin, _more) = server(&[100]);
    let mut shell = Command::new("sh");
    let line = format!(
        "set -m; {} top --admin {}; echo; stty -a; echo suspended; read line; fg",
        env!("CARGO_BIN_EXE_stillthere"),
        admin.at()
    );
    shell.args(["-c", &line]).env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
    let mut pty = Pty::start(&mut shell, true, true);
    pty.wait_for("192.0.2.0:5000");
    pty.press("\x1a");
    let text = pty.wait_for("\nsuspended");
    assert!(text.contains(" icanon ") && text.contains(" echo ") && !text.contains("192.0.2.0"), "{text}");
    pty.press("\n");
    pty.wait_for("192.0.2.0:5000");
    assert!(!pty.modes().local_modes.contains(LocalModes::ICANON));
    pty.press("q");
    assert_eq!(pty.wait().code(), Some(0));
    assert!(!pty.shown.lock().unwrap().screen.screen().alternate_screen());
    assert_eq!(pty.modes().local_modes, pty.before.local_modes);
}

#[test]
fn without_a_terminal_it_names_who() {
    let (admin, _more) = server(&[100]);
    let output = top(&admin.at()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(said.contains("needs a terminal for its input and output; `stillthere who` prints the table"), "{said}");
    let mut pty = Pty::start(top(&admin.at()).env("TERM", "dumb"), true, true);
    assert_eq!(pty.wait().code(), Some(1));
    pty.wait_for("TERM is dumb or not set");
    assert!(!pty.bytes().contains('\x1b') && admin.lines().is_empty());
}

#[test]
fn what_goes_wrong_at_the_start_is_said_on_the_usual_screen() {
    let admin = Admin::with(|_| (401, r#"{"error":"a token is needed"}"#.to_string()));
    let other = Admin::start(|_, stream| {
        say(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi")
    });
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (at, part) in [
        (admin.at(), "wants a token: give the server's"),
        (other.at(), "not as the admin port"),
        (nobody.clone(), "nothing listens on"),
    ] {
        let mut pty = Pty::start(&mut top(&at), true, true);
        assert_eq!(pty.wait().code(), Some(1));
        pty.wait_for(part);
        assert!(!pty.bytes().contains('\x1b'), "{}", pty.bytes());
        assert_eq!(pty.modes().local_modes, pty.before.local_modes);
    }
}

#[test]
fn the_real_server_is_shown() {
    let mut server = Server::start(&["--admin", "127.0.0.1:0", "--deadline", "10s"]);
    let at = common::http::admin(&mut server).to_string();
    let (one, other) = (server.connect(), server.connect());
    let known = |peer: &std::net::TcpStream| peer.local_addr().unwrap().to_string();
    let mut pty = Pty::start(&mut top(&at), true, true);
    let text = pty.wait_until("both peers", |text| text.contains(&known(&one)) && text.contains(&known(&other)));
    assert!(text.starts_with("stillthere 0.") && text.contains(&server.address().to_string()), "{text}");
    let text = pty.wait_until("the figures", |text| text.contains("arrivals 0/s, 2 in all") && text.contains("wait 9"));
    assert!(text.contains("deadline 10s (idle 4s, 6 probes 1s apart)"), "{text}");
    drop(one);
    pty.wait_for(" closed, silent ");
    let third = server.connect();
    pty.wait_until("the newcomer, and not who left", |text| text.contains(&known(&third)) && text.contains("closed 1"));
    pty.press("/");
    pty.press(&known(&third));
    pty.press("\r");
    pty.wait_until("only one", |text| !text.contains(&known(&other)));
    pty.press("\r");
    pty.wait_for(&format!("{} has been connected to", known(&third)));
    pty.press("dy");
    pty.wait_for("is let go");
    pty.wait_for("nobody matches the filter");
    server.signal("TERM");
    pty.wait_for("The server has gone");
    pty.press("q");
    assert_eq!(pty.wait().code(), Some(0));
    pty.is_left_as_it_was();
}
