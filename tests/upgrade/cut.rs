//! The promise holds over an upgrade: a peer whose cable is cut is noticed in the interval that was predicted, whatever state its
//! connection is in, and whether the cable was cut before the upgrade or after it.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::thread::sleep;
use std::time::{Duration, Instant};

use stillthere::keepalive::{State, UserTimeout};
use stillthere::tcp_info::TcpInfo;

use crate::common::again::fill;
use crate::common::{PATIENCE, exchange};
use crate::netns::Cut;
use crate::program::upgrade;
use crate::scene::{DEADLINE, Scene, keepalive};
use crate::story::Directory;

const AUTO: UserTimeout = UserTimeout::Auto;
/// As on a kernel without `TCP_RTO_MAX_MS`.
const OLD: UserTimeout = UserTimeout::Sliding;

/// When the server is upgraded.
#[derive(Clone, Copy, PartialEq)]
enum Upgraded {
    /// Before the cable is cut.
    Before,
    /// While the peer is silent, twice.
    Amid,
}

use Upgraded::{Amid, Before};

/// The cut, and the upgrades around it.
fn cut(scene: &mut Scene, when: Upgraded) {
    if when == Before {
        upgrade(&mut scene.server);
        sleep(Duration::from_millis(500));
    }
    scene.cut(Cut::BlackHole);
    if when == Amid {
        for _ in 0..2 {
            sleep(Duration::from_millis(1300));
            upgrade(&mut scene.server);
        }
    }
}

fn idle(what: &'static str, when: Upgraded) {
    let mut scene = Scene::new(what, AUTO, &[]);
    let mut client = scene.arrive(None);
    exchange(&mut client);
    sleep(Duration::from_millis(300));
    cut(&mut scene, when);
    let origin = scene.heard;
    scene.departs(State::Idle, origin, "timed out, probes unanswered");
}

fn in_flight(what: &'static str, user_timeout: UserTimeout, when: Upgraded) {
    let mut scene = Scene::new(what, user_timeout, &[]);
    let mut client = scene.arrive(None);
    exchange(&mut client);
    if when == Before {
        upgrade(&mut scene.server);
    }
    // The server answers only after the cut.
    scene.server.signal("STOP");
    client.write_all(b"hello").expect("the client can write");
    let until = Instant::now() + PATIENCE;
    while TcpInfo::of(&client).expect("a client has figures").owes() {
        assert!(Instant::now() < until, "never acknowledged");
        sleep(Duration::from_millis(5));
    }
    scene.cut(Cut::BlackHole);
    let origin = Instant::now();
    scene.server.signal("CONT");
    if when == Amid {
        for _ in 0..2 {
            sleep(Duration::from_millis(1300));
            upgrade(&mut scene.server);
        }
    }
    scene.departs(State::InFlight, origin, "timed out, data unacknowledged");
}

/// The kernel's window is shut; with more bytes than fit into all buffers, the outbox holds some and input is not read; with fewer, and
/// a FIN behind them, the peer is half-closed and owed its echo.
fn window_shut(what: &'static str, user_timeout: UserTimeout, bytes: usize, shuts_down: bool, when: Upgraded) {
    let mut scene = Scene::new(what, user_timeout, &[]);
    let client = scene.arrive(Some(8 * 1024));
    let origin = Instant::now();
    fill(&client, bytes);
    if shuts_down {
        client.shutdown(Shutdown::Write).expect("the client can shut down");
    }
    sleep(Duration::from_secs(1));
    cut(&mut scene, when);
    scene.departs(State::WindowShut, origin, "timed out, window shut");
}

/// More bytes than fit anywhere; no more than the server's end holds; no more than its kernel's buffer does.
const TOO_MUCH: usize = 64 << 20;
const FITS_THE_SERVER: usize = 160 * 1024;
const FITS_THE_KERNEL: usize = 40 * 1024;

/// A configuration with another deadline is read by the new program, and holds for the old peers.
fn changed(what: &'static str, old: &str, state: State) {
    let directory = Directory::new();
    let file = directory.path("configuration");
    fs::write(&file, format!("deadline {old}\nlog debug\n")).unwrap();
    let mut scene = Scene::of(what, keepalive(AUTO), &["--config", &file]);
    let mut client = scene.arrive((state == State::WindowShut).then_some(8 * 1024));
    exchange(&mut client);
    let mut origin = Instant::now();
    if state == State::WindowShut {
        fill(&client, FITS_THE_KERNEL);
        sleep(Duration::from_secs(1));
        origin = Instant::now();
    }
    fs::write(&file, "deadline 5s\nlog debug\n").unwrap();
    upgrade(&mut scene.server);
    // A probe that the old settings have planned may still be answered.
    sleep(Duration::from_millis(300));
    scene.cut(Cut::BlackHole);
    if state == State::Idle {
        origin = scene.heard;
        scene.departs(State::Idle, origin, "timed out, probes unanswered");
    } else {
        scene.departs(State::WindowShut, origin, "timed out, window shut");
    }
}

/// A peer that is only slow stays, also over upgrades.
fn alive(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &[]);
    let client = scene.arrive(Some(8 * 1024));
    fill(&client, TOO_MUCH);
    for _ in 0..5 {
        upgrade(&mut scene.server);
        let departed = scene.server.wait_for_within(" departed: ", DEADLINE / 2);
        assert_eq!(departed, None, "{what}: a living peer was let go");
    }
    drop(client);
}

pub const TRIALS: [(&str, fn()); 17] = [
    ("cut_idle", || idle("idle, upgraded", Before)),
    ("cut_idle_amid", || idle("idle, upgraded amid", Amid)),
    ("cut_in_flight", || in_flight("data in flight, upgraded", AUTO, Before)),
    ("cut_in_flight_amid", || in_flight("data in flight, upgraded amid", AUTO, Amid)),
    ("cut_in_flight_amid_on_an_old_kernel", || in_flight("data in flight, old kernel, amid", OLD, Amid)),
    ("cut_window_shut", || window_shut("window shut, upgraded", AUTO, FITS_THE_KERNEL, false, Before)),
    ("cut_window_shut_amid", || window_shut("window shut, upgraded amid", AUTO, FITS_THE_KERNEL, false, Amid)),
    ("cut_window_shut_amid_on_an_old_kernel", || {
        window_shut("window shut, old kernel, amid", OLD, FITS_THE_KERNEL, false, Amid);
    }),
    ("cut_reading_paused", || window_shut("reading paused, upgraded", AUTO, TOO_MUCH, false, Before)),
    ("cut_reading_paused_amid", || window_shut("reading paused, upgraded amid", AUTO, TOO_MUCH, false, Amid)),
    ("cut_half_closed", || window_shut("half-closed, upgraded", AUTO, FITS_THE_SERVER, true, Before)),
    ("cut_half_closed_amid", || window_shut("half-closed, upgraded amid", AUTO, FITS_THE_SERVER, true, Amid)),
    ("a_shorter_deadline_holds_for_old_peers", || changed("idle, from 60 s", "60s", State::Idle)),
    ("a_longer_deadline_holds_for_old_peers", || changed("idle, from 3 s", "3s", State::Idle)),
    ("a_shorter_deadline_holds_for_a_shut_window", || changed("window shut, from 60 s", "60s", State::WindowShut)),
    ("alive_and_slow", || alive("alive and slow, upgraded", AUTO)),
    ("alive_and_slow_on_an_old_kernel", || alive("alive and slow, old kernel, upgraded", OLD)),
];
