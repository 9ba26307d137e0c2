//! The page of the admin port, in a real browser: chromium without a window, driven by playwright-core.
//!
//! Owns the trials and where their programs come from. What is looked at in the page is written in `page/scenes.mjs`, which node runs,
//! a scene for each trial. Most scenes have a server that is none (`page/mock.mjs`), which sends what a real one sends only
//! seldom; the last ones have ours, in the lab's network.
//!
//! Where node, npm, chromium or playwright-core are missing, or namespaces cannot be created, the trials that need them are reported as ignored,
//! never as passed, and stderr says so.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

use self::common::{Server, raise_descriptor_limit};
use self::netns::{Cut, Network};

mod common;
#[allow(dead_code)] // each test program uses its own part
#[path = "common/netns.rs"]
mod netns;

/// The version is fixed: what drives the browser does not change under a test.
const PLAYWRIGHT: &str = "playwright-core@1.65.1";
/// The oldest node that this version of it runs on.
const NODE: u32 = 20;
/// Where our server has its admin port, in a namespace of its own.
const ADMIN: &str = "127.0.0.1:7070";
/// No scene takes longer, on the slowest machine.
const SCENE: Duration = Duration::from_secs(60);
const SCENES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/scenes.mjs");

/// Scenes with a server that is none: in `page/scenes.mjs` they have the same names.
const MOCKED: [&str; 12] = [
    "peers_appear_turn_and_vanish",
    "a_cell_tells_its_story",
    "the_keyboard_reaches_everything",
    "a_filter_and_a_link",
    "nineteen_thousand_cells_are_smooth",
    "a_phone_and_the_dark",
    "the_server_goes_and_comes_back",
    "a_hidden_page_asks_for_nothing",
    "a_token_is_asked_for",
    "what_a_peer_sends_is_never_markup",
    "a_turn_is_told_in_slow_motion",
    "charts_and_departures_in_words",
];

/// A trial with our own server.
type Play = fn(&Programs);

fn main() {
    let mut arguments = Arguments::from_args();
    // They wait most of the time; but each has a browser.
    arguments.test_threads = arguments.test_threads.or(Some(3));
    let isolated = if arguments.list { Ok(()) } else { netns::prepare() };
    let node = node();
    let programs = if arguments.list { Err(String::new()) } else { node.clone().and_then(|()| Programs::find()) };
    if !arguments.list {
        for missing in [programs.as_ref().err(), isolated.as_ref().err()].into_iter().flatten() {
            eprintln!("\nNOT RUN: {missing} Those tests of the page are ignored; they have not passed.\n");
        }
    }
    let mut trials = vec![trial("the_state_of_the_page", node.is_ok(), state)];
    let found = programs.ok();
    for name in MOCKED {
        let programs = found.clone();
        trials.push(trial(name, found.is_some(), move || {
            programs.expect("not ignored").play(name, None, &mut |wish| panic!("{wish}?"));
        }));
    }
    let real: [(&str, Play); 3] = [
        ("a_cable_is_cut", cut),
        ("our_server_goes_and_comes_back", comes_back),
        ("our_server_with_19000_peers", crowd),
    ];
    for (name, play) in real {
        let programs = found.clone();
        let is_possible = found.is_some() && isolated.is_ok();
        trials.push(trial(name, is_possible, move || play(&programs.expect("not ignored"))));
    }
    if let Some(directory) = std::env::var_os("STILLTHERE_SCREENSHOTS") {
        assert!(found.is_some(), "there can be no pictures without a browser");
        trials.push(trial("screenshots", true, move || found.expect("as asserted").pictures(Path::new(&directory))));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: &str, is_possible: bool, play: impl FnOnce() + Send + 'static) -> Trial {
    let play = move || {
        play();
        Ok(())
    };
    Trial::test(name, play).with_ignored_flag(!is_possible)
}

/// What needs no document is tested by node alone.
fn state() {
    let mut node = Command::new("node");
    node.args(["--test", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/state.test.mjs")]);
    run(node, &mut |wish| panic!("{wish}?"));
}

fn node() -> Result<(), String> {
    let version = Command::new("node").arg("--version").output();
    let version = version.map_err(|error| format!("node cannot be run ({error}): `apt install nodejs`."))?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_string();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < NODE { Err(format!("node {NODE} or later is needed, and {version} is installed.")) } else { Ok(()) }
}

/// The browser, and what drives it.
#[derive(Clone)]
struct Programs {
    chromium: PathBuf,
    playwright: PathBuf,
}

impl Programs {
    fn find() -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |name: &str| std::env::split_paths(&path).map(|at| at.join(name)).find(|file| file.is_file());
        let chromium = ["chromium", "chromium-browser"].iter().find_map(|name| find(name));
        let chromium = chromium.ok_or("chromium is missing: `apt install chromium`.")?;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PLAYWRIGHT);
        let playwright = directory.join("node_modules/playwright-core");
        if !playwright.join("package.json").is_file() {
            install(&directory)?;
        }
        Ok(Self { chromium, playwright })
    }

    /// Makes the pictures of the README, in a directory: `make screenshots`.
    fn pictures(&self, directory: &Path) {
        let mut node = Command::new("node");
        node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/screenshots.mjs")).arg(directory);
        self.run(node, &mut |wish| panic!("{wish}?"));
    }

    /// Plays a scene. What it asks for in between (a line "please: WISH") is done by `grant`.
    fn play(&self, name: &str, network: Option<&Network>, grant: &mut dyn FnMut(&str)) {
        let mut node = Command::new("node");
        node.args([SCENES, name]);
        if let Some(network) = network {
            node = network.on_server(&node);
        }
        self.run(node, grant);
    }

    fn run(&self, mut node: Command, grant: &mut dyn FnMut(&str)) {
        node.env("STILLTHERE_PLAYWRIGHT", &self.playwright)
            .env("STILLTHERE_CHROMIUM", &self.chromium)
            .env("STILLTHERE_PAGE", env!("OUT_DIR"))
            .env("STILLTHERE_AT", format!("http://{ADMIN}/"));
        run(node, grant);
    }
}

/// Installs playwright-core below target/, from the registry that npm is set to. It downloads no browser.
fn install(directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(directory.join("package.json"), "{ \"private\": true }\n"))
        .map_err(|error| format!("{} cannot be written: {error}.", directory.display()))?;
    let npm = Command::new("npm")
        .args([
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-timeout=30000",
            PLAYWRIGHT,
        ])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output();
    match npm {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("npm could not install {PLAYWRIGHT}: {}.", said.lines().next().unwrap_or("it says nothing")))
        }
        Err(error) => Err(format!("npm cannot be run ({error}): `apt install npm`.")),
    }
}

/// Runs a scene to its end, which is a success, and grants what it asks for. What it prints is shown if it fails.
fn run(mut command: Command, grant: &mut dyn FnMut(&str)) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node was found before");
    let mut stdin = child.stdin.take().expect("it is piped");
    let (sender, lines) = channel();
    let streams: [Box<dyn BufRead + Send>; 2] = [
        Box::new(BufReader::new(child.stdout.take().expect("it is piped"))),
        Box::new(BufReader::new(child.stderr.take().expect("it is piped"))),
    ];
    for stream in streams {
        let sender = sender.clone();
        thread::spawn(move || stream.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    }
    drop(sender);
    let until = Instant::now() + SCENE;
    let mut told = String::new();
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.strip_prefix("please: ") {
                Some(wish) => {
                    grant(wish);
                    let _ = writeln!(stdin, "done"); // a scene that has failed meanwhile says so itself
                }
                None => told += &(line + "\n"),
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                drop(stdin); // it ends its browser, and then itself
                thread::sleep(Duration::from_secs(1));
                let _ = child.kill();
                let _ = child.wait();
                panic!("not over after {SCENE:?}:\n{told}");
            }
        }
    }
    let status = child.wait().expect("a child can be waited for");
    assert!(status.success(), "{status}:\n{told}");
}

/// Our server and its network. Variables are dropped from last to first: the server ends before its namespaces are removed.
fn stage() -> (Network, Server) {
    let network = Network::new().unwrap_or_else(|missing| panic!("no network: {missing}"));
    let server = start(&network);
    (network, server)
}

fn start(network: &Network) -> Server {
    let address = format!("{}:7000", network.server());
    // Long enough that each colour is shown for two seconds, which is enough for a busy browser.
    let options = [&address, "--deadline", "12s", "--admin", ADMIN, "--log", "info"];
    Server::start_with(network.on_server(&Server::command(&options)))
}

/// Peers that only hold their connections, in the client's namespace.
fn hold(network: &Network, server: &Server, count: usize) -> Load {
    let mut load = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    load.args([
        "load",
        &server.address().to_string(),
        "--time",
        "5m",
        "--active",
        "0",
        "--connections",
        &count.to_string(),
    ]);
    Load(
        network
            .on_client(&load)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts"),
    )
}

/// A running load. It ends when the test does.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cut(programs: &Programs) {
    let (network, server) = stage();
    let _load = hold(&network, &server, 40);
    programs.play("a_cable_is_cut", Some(&network), &mut |wish| match wish {
        "cut the cable" => network.cut(Cut::BlackHole),
        other => panic!("{other}?"),
    });
}

fn comes_back(programs: &Programs) {
    let (network, server) = stage();
    let mut server = Some(server);
    programs.play("our_server_goes_and_comes_back", Some(&network), &mut |wish| match wish {
        "end the server" => server = None,
        "start the server" => server = Some(start(&network)),
        other => panic!("{other}?"),
    });
}

fn crowd(programs: &Programs) {
    raise_descriptor_limit(19_900);
    let (network, server) = stage();
    let _load = hold(&network, &server, 19_000);
    programs.play("our_server_with_19000_peers", Some(&network), &mut |wish| panic!("{wish}?"));
}
