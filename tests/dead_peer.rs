//! Dead peers: each state that TCP can be in when a peer vanishes, and when the server lets go of it.
//!
//! Owns the trials: how a state is reached, and the expected reason of the departure. The expected time is that of
//! `Keepalive::predict`, for the guard that this kernel supports, for that of an older kernel, and for a user timeout. No
//! departure may be early, or more than a second late. The network and the measurement are those of a [`scene`].
//!
//! The trials sleep most of their time and run all at once. Where network namespaces cannot be created
//! they are reported as ignored, never as passed, and stderr says which command helps.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use socket2::SockRef;
use stillthere::keepalive::{Keepalive, State, TimerWheel, UserTimeout};
use stillthere::lab::on_this_kernel;
use stillthere::tcp_info::TcpInfo;

use self::common::again::{self, fill};
use self::common::{PATIENCE, exchange};
use self::netns::Cut;
use self::scene::{DEADLINE, Scene};

mod common;
#[path = "common/netns.rs"]
mod netns;
#[path = "common/scene.rs"]
mod scene;

/// Long enough for everything that two living ends still have to exchange: delayed ACKs, and the
/// first window probes with their answers.
const SETTLED: Duration = Duration::from_secs(1);

const PROBES_UNANSWERED: &str = "timed out, probes unanswered";
const DATA_UNACKNOWLEDGED: &str = "timed out, data unacknowledged";
const WINDOW_SHUT: &str = "timed out, window shut";

const AUTO: UserTimeout = UserTimeout::Auto;
/// As on a kernel without `TCP_RTO_MAX_MS`.
const OLD: UserTimeout = UserTimeout::Sliding;
/// What many servers set, and what our server falls back on where `TCP_INFO` reports nothing.
const FIXED: UserTimeout = UserTimeout::Fixed(Duration::from_millis(4400));

const TRIALS: [(&str, fn()); 40] = [
    ("idle_and_never_spoke", idle_and_never_spoke),
    ("idle_after_an_exchange", idle_after_an_exchange),
    ("idle_after_an_answered_probe", idle_after_an_answered_probe),
    ("idle_with_a_long_interval", idle_with_a_long_interval),
    ("data_in_flight", || data_in_flight("data in flight", AUTO)),
    ("data_in_flight_on_an_old_kernel", || data_in_flight("data in flight, old kernel", OLD)),
    ("data_in_flight_under_a_user_timeout", || data_in_flight("data in flight, user timeout", FIXED)),
    ("cannot_hear_us", || cannot_hear_us("cannot hear us", AUTO)),
    ("cannot_hear_us_on_an_old_kernel", || cannot_hear_us("cannot hear us, old kernel", OLD)),
    ("window_shut", || window_shut("window shut", AUTO)),
    ("window_shut_on_an_old_kernel", || window_shut("window shut, old kernel", OLD)),
    ("window_shut_under_a_user_timeout", || window_shut("window shut, user timeout", FIXED)),
    ("window_shut_for_long", || window_shut_for_long("window shut for long", AUTO)),
    ("window_shut_for_long_on_an_old_kernel", || window_shut_for_long("window shut for long, old kernel", OLD)),
    ("window_shrunk", || window_shrunk("window shrunk", AUTO)),
    ("window_shrunk_on_an_old_kernel", || window_shrunk("window shrunk, old kernel", OLD)),
    ("shrunk_with_a_longer_deadline", shrunk_with_a_longer_deadline),
    ("reading_paused", || reading_paused("reading paused", AUTO)),
    ("reading_paused_on_an_old_kernel", || reading_paused("reading paused, old kernel", OLD)),
    ("reading_paused_under_a_user_timeout", || reading_paused("reading paused, user timeout", FIXED)),
    ("half_closed", || half_closed("half-closed", AUTO)),
    ("half_closed_on_an_old_kernel", || half_closed("half-closed, old kernel", OLD)),
    ("half_closed_under_a_user_timeout", || half_closed("half-closed, user timeout", FIXED)),
    ("accept_queue_echo", || accept_queue("accept queue, echo", "echo")),
    ("accept_queue_discard", || accept_queue("accept queue, discard", "discard")),
    ("closing_with_output_in_the_outbox", || closing("closing, outbox full", Output::InTheOutbox)),
    ("closing_with_output_in_the_kernel", || closing("closing, output in the kernel", Output::InTheKernel)),
    ("closing_with_nothing_but_a_fin", || closing("closing, a FIN only", Output::Nothing)),
    ("pinged_when_it_was_dead", pinged_when_it_was_dead),
    ("unreachable", || unreachable("unreachable, data in flight", AUTO)),
    ("unreachable_under_a_user_timeout", || unreachable("unreachable, user timeout", FIXED)),
    ("alive_and_idle", alive_and_idle),
    ("alive_and_slow", || alive_and_slow("alive and slow", AUTO)),
    ("alive_and_slow_on_an_old_kernel", || alive_and_slow("alive and slow, old kernel", OLD)),
    ("alive_and_never_reading", || alive_and_never_reading("alive and never reading", AUTO, &[])),
    ("alive_and_never_reading_on_an_old_kernel", || {
        alive_and_never_reading("alive and never reading, old kernel", OLD, &[])
    }),
    ("alive_and_shut_twice_on_an_old_kernel", alive_and_shut_twice),
    ("alive_and_shrunk", || alive_and_shrunk("alive and shrunk", AUTO)),
    ("alive_and_shrunk_on_an_old_kernel", || alive_and_shrunk("alive and shrunk, old kernel", OLD)),
    ("alive_and_speaking_without_reading", alive_and_speaking_without_reading),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // The trials wait and do not compute, so all run at once on any number of cores.
    arguments.test_threads = arguments.test_threads.or(Some(TRIALS.len()));
    let wanted = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let any = !arguments.list && TRIALS.iter().any(|(name, _)| wanted(name));
    let missing = if any { netns::prepare().err() } else { None };
    if let Some(missing) = &missing {
        eprintln!("\n*** DEAD PEERS ARE NOT TESTED: no network namespaces here. {missing} ***\n");
    }
    let trial = |(name, run): (&str, fn())| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    libtest_mimic::run(&arguments, TRIALS.map(trial).into()).exit();
}

/// Waits until the other end's kernel has acknowledged everything, including the FIN.
fn wait_until_acknowledged(client: &TcpStream) {
    let until = Instant::now() + PATIENCE;
    while TcpInfo::of(client).expect("a client has figures").owes() {
        assert!(Instant::now() < until, "never acknowledged");
        sleep(Duration::from_millis(5));
    }
}

fn idle_and_never_spoke() {
    let mut scene = Scene::new("idle, never spoke", AUTO, &[]);
    let _client = scene.arrive(None);
    scene.cut(Cut::BlackHole);
    let origin = scene.heard;
    scene.departs(State::Idle, origin, PROBES_UNANSWERED);
}

fn idle_after_an_exchange() {
    let mut scene = Scene::new("idle after an exchange", AUTO, &[]);
    let mut client = scene.arrive(None);
    exchange(&mut client);
    // The last packet received is the ACK of the echo, which may be delayed.
    sleep(Duration::from_millis(300));
    scene.cut(Cut::BlackHole);
    let origin = scene.heard;
    scene.departs(State::Idle, origin, PROBES_UNANSWERED);
}

/// The answer to a probe is a sign of life like any other.
fn idle_after_an_answered_probe() {
    let mut scene = Scene::new("idle after an answered probe", AUTO, &[]);
    let _client = scene.arrive(None);
    sleep(Duration::from_millis(2500));
    scene.cut(Cut::BlackHole);
    let origin = scene.heard;
    assert!(origin.elapsed() < Duration::from_secs(1), "a probe should have been answered after two seconds");
    scene.departs(State::Idle, origin, PROBES_UNANSWERED);
}

/// With an interval longer than idle, the kernel keeps a peer that has answered a probe for an interval longer than
/// the count says. So no split that we derive has such an interval, and we warn about one that has.
fn idle_with_a_long_interval() {
    let keepalive = Keepalive::new(Duration::from_secs(1), Duration::from_secs(3), 2).expect("the kernel takes it");
    let keepalive = on_this_kernel(keepalive.on_wheel(TimerWheel::of_this_kernel()));
    let options = ["--idle", "1s", "--interval", "3s", "--count", "2"];
    let mut scene = Scene::of("idle with a long interval", keepalive, &options);
    let _client = scene.arrive(None);
    sleep(Duration::from_millis(1700));
    scene.cut(Cut::BlackHole);
    let origin = scene.heard;
    let kept = scene.departs(State::Idle, origin, PROBES_UNANSWERED);
    assert!(kept >= Duration::from_secs(9), "{kept:?}: idle + interval × count is 7 s, but the timer ran 3 × 3 s");
}

/// Stops the server, so that it answers the client only after the cut. Returns when the
/// answer was sent.
fn answer_into(scene: &mut Scene, client: &mut TcpStream, how: Cut) -> Instant {
    scene.server.signal("STOP");
    client.write_all(b"hello").expect("the client can write");
    wait_until_acknowledged(client);
    scene.cut(how);
    let origin = Instant::now();
    scene.server.signal("CONT");
    origin
}

fn data_in_flight(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &[]);
    let mut client = scene.arrive(None);
    exchange(&mut client);
    let origin = answer_into(&mut scene, &mut client, Cut::BlackHole);
    scene.departs(State::InFlight, origin, DATA_UNACKNOWLEDGED);
}

/// Our packets are lost, and the client's arrive: it has sent a question, and retransmits it because it receives no ACK.
/// The kernel takes each of these retransmissions for an ACK, but they prove nothing.
fn cannot_hear_us(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &[]);
    let mut client = scene.arrive(None);
    exchange(&mut client);
    sleep(Duration::from_millis(300));
    scene.cut(Cut::ToTheClient);
    let origin = Instant::now();
    client.write_all(b"hello").expect("the client can write");
    scene.departs(State::Deaf, origin, DATA_UNACKNOWLEDGED);
}

/// The ping is written to a peer that has been silent for a long time, and from then on no keepalive probes are sent.
/// The ping must not give the peer a new deadline.
fn pinged_when_it_was_dead() {
    let options = ["--service", "heartbeat", "--heartbeat", "3500ms", "--heartbeat-timeout", "1m", "--log", "trace"];
    let mut scene = Scene::new("pinged when it was dead", AUTO, &options);
    let _client = scene.arrive(None);
    scene.cut(Cut::BlackHole);
    let origin = scene.heard;
    scene.departs(State::InFlight, origin, DATA_UNACKNOWLEDGED);
    assert!(scene.was_logged("write of 7 bytes 7 bytes"), "it should have been pinged:\n{}", scene.server.told());
}

fn unreachable(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &[]);
    let mut client = scene.arrive(None);
    exchange(&mut client);
    let origin = answer_into(&mut scene, &mut client, Cut::Unreachable);
    scene.departs(State::InFlight, origin, "unreachable: No route to host");
}

/// The size of a receive buffer that is soon full and does not grow.
const SMALL: Option<usize> = Some(8 * 1024);
/// More bytes than fit into [`SMALL`], but no more than the server's kernel buffers.
const FITS_THE_KERNEL: usize = 40 * 1024;
/// More bytes than fit into the kernel's send buffer, but no more than the server's end holds in all.
const FITS_THE_SERVER: usize = 160 * 1024;
/// More bytes than fit anywhere.
const TOO_MUCH: usize = 64 * 1024 * 1024;
/// A part of the figures that are logged when a peer is checked: the window is shut under data in flight.
const SHRUNK: &str = "window: Some(0)";
/// What is logged when the outbox holds bytes.
const OUTBOX_IN_USE: &str = " waiting bytes ";

fn window_shut(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &["--log", "trace"]);
    let client = scene.arrive(SMALL);
    let origin = Instant::now();
    assert_eq!(fill(&client, FITS_THE_KERNEL), FITS_THE_KERNEL);
    sleep(SETTLED);
    scene.cut(Cut::BlackHole);
    scene.departs(State::WindowShut, origin, WINDOW_SHUT);
    assert!(!scene.was_logged(OUTBOX_IN_USE), "only the kernel should hold output:\n{}", scene.server.told());
}

/// By the time of the cut, the kernel's own probes would be 13 s apart.
fn window_shut_for_long(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &[]);
    let client = scene.arrive(SMALL);
    let origin = Instant::now();
    fill(&client, TOO_MUCH);
    sleep(Duration::from_secs(25));
    scene.cut(Cut::BlackHole);
    scene.departs(State::WindowShut, origin, WINDOW_SHUT);
}

/// The window goes to zero under data that are in flight: the client makes its buffer smaller after it has advertised
/// a larger window, and does not read.
fn shrink(scene: &mut Scene) -> TcpStream {
    let mut client = scene.arrive(None);
    exchange(&mut client);
    SockRef::from(&client).set_recv_buffer_size(4096).expect("a buffer can be made smaller");
    assert_eq!(fill(&client, FITS_THE_KERNEL), FITS_THE_KERNEL);
    sleep(SETTLED);
    client
}

fn window_shrunk(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &["--log", "trace"]);
    let _client = shrink(&mut scene);
    let origin = Instant::now();
    scene.cut(Cut::BlackHole);
    scene.departs(State::Shrunk, origin, DATA_UNACKNOWLEDGED);
    assert!(scene.was_logged(SHRUNK), "the window should have shrunk under data:\n{}", scene.server.told());
}

/// The kernel gives such a peer up after twice TCP_RTO_MAX_MS (`tcp_rtx_probe0_timed_out`), which must not be before the
/// deadline.
fn shrunk_with_a_longer_deadline() {
    let keepalive = Keepalive::with_deadline(Duration::from_secs(10)).expect("a deadline");
    let keepalive = on_this_kernel(keepalive.on_wheel(TimerWheel::of_this_kernel()));
    let mut scene = Scene::of("window shrunk, 10 s", keepalive, &["--deadline", "10s"]);
    let _client = shrink(&mut scene);
    let origin = Instant::now();
    scene.cut(Cut::BlackHole);
    scene.departs(State::Shrunk, origin, DATA_UNACKNOWLEDGED);
}

fn reading_paused(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &["--log", "trace"]);
    let client = scene.arrive(SMALL);
    let origin = Instant::now();
    let written = fill(&client, TOO_MUCH);
    assert!(written < TOO_MUCH, "the server should have stopped reading");
    sleep(SETTLED);
    scene.cut(Cut::BlackHole);
    scene.departs(State::WindowShut, origin, WINDOW_SHUT);
    assert!(scene.was_logged(OUTBOX_IN_USE), "output should wait in the outbox:\n{}", scene.server.told());
}

fn half_closed(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &["--log", "trace"]);
    let client = scene.arrive(SMALL);
    let origin = Instant::now();
    assert_eq!(fill(&client, FITS_THE_SERVER), FITS_THE_SERVER);
    client.shutdown(Shutdown::Write).expect("the client can shut down");
    wait_until_acknowledged(&client);
    let (_, told) = scene.server.wait_for("more than data");
    assert!(!told.contains("hung up"), "the FIN should have been received before the cut: {told}");
    sleep(SETTLED);
    scene.cut(Cut::BlackHole);
    scene.departs(State::WindowShut, origin, WINDOW_SHUT);
    assert!(scene.was_logged(OUTBOX_IN_USE), "output should wait in the outbox:\n{}", scene.server.told());
}

/// The server is stopped, so that its kernel completes the connection and ends it before it is accepted.
fn accept_queue(what: &'static str, service: &str) {
    let mut scene = Scene::new(what, AUTO, &["--log", "trace", "--service", service]);
    scene.server.signal("STOP");
    let mut client = scene.connect(None);
    client.write_all(b"last words").expect("the client can write");
    wait_until_acknowledged(&client);
    scene.cut(Cut::BlackHole);
    sleep(DEADLINE + Duration::from_secs(2));
    let origin = Instant::now();
    scene.server.signal("CONT");
    scene.departs_at_once(origin, PROBES_UNANSWERED);
    // What arrived before the end reaches the service, and echo tries to answer it.
    let heard = if service == "echo" { "write of 10 bytes says " } else { "read 10 bytes" };
    assert!(scene.was_logged(heard), "the last words were not read:\n{}", scene.server.told());
}

/// Where output waits when the server is asked to stop.
#[derive(Clone, Copy, PartialEq)]
enum Output {
    InTheOutbox,
    InTheKernel,
    /// Nowhere: only the FIN is not acknowledged.
    Nothing,
}

fn closing(what: &'static str, output: Output) {
    let grace = Duration::from_secs(20);
    let mut scene = Scene::new(what, AUTO, &["--log", "trace", "--grace", "20s"]);
    let client = scene.arrive(SMALL);
    let filled = Instant::now();
    let waiting = match output {
        Output::InTheOutbox => TOO_MUCH,
        Output::InTheKernel => FITS_THE_KERNEL,
        Output::Nothing => 0,
    };
    fill(&client, waiting);
    sleep(SETTLED);
    scene.cut(Cut::BlackHole);
    if output == Output::Nothing {
        // The FIN is sent late: it must not give a new deadline to a peer that was silent before.
        sleep(DEADLINE / 2);
    }
    let told_to_end = Instant::now();
    scene.server.signal("TERM");
    match output {
        Output::Nothing => scene.departs(State::InFlight, told_to_end, DATA_UNACKNOWLEDGED),
        _ => scene.departs(State::WindowShut, filled, WINDOW_SHUT),
    };
    assert_eq!(scene.was_logged(OUTBOX_IN_USE), output == Output::InTheOutbox, "{what}:\n{}", scene.server.told());
    let status = scene.server.wait();
    let ended = told_to_end.elapsed();
    assert!(status.success(), "{what}: {status}\n{}", scene.server.told());
    assert!(ended < grace, "{what}: ended after {ended:?}, at the end of the grace time and not at the deadline");
}

fn alive_and_idle() {
    let mut scene = Scene::new("alive and idle", AUTO, &[]);
    let mut client = scene.arrive(None);
    stays(&mut scene);
    exchange(&mut client);
}

/// The client reads, but slowly: the window is shut again and again, but never for as long as a deadline.
fn alive_and_slow(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &[]);
    let mut client = scene.arrive(SMALL);
    let reader = client.try_clone().expect("a socket can be cloned");
    let written = fill(&client, FITS_THE_SERVER);
    let slowly = thread::spawn(move || {
        let mut chunk = [0; 8 * 1024];
        let mut read = 0;
        while read < written {
            sleep(Duration::from_millis(800));
            read += again::read(&reader, &mut chunk).expect("the server goes on");
        }
    });
    stays(&mut scene);
    slowly.join().expect("the client gets the whole echo");
    exchange(&mut client);
}

/// The client never reads, and its kernel answers every probe of the shut window.
fn alive_and_never_reading(what: &'static str, user_timeout: UserTimeout, options: &[&str]) {
    let mut scene = Scene::new(what, user_timeout, options);
    let client = scene.arrive(SMALL);
    assert!(fill(&client, TOO_MUCH) < TOO_MUCH, "the server should have stopped reading");
    stays(&mut scene);
}

/// The kernel's clock of a shut window is not reset when the window opens by a little: the second time the window is
/// shut, a user timeout may expire immediately.
fn alive_and_shut_twice() {
    let mut scene = Scene::new("alive and shut twice, old kernel", OLD, &[]);
    let client = scene.arrive(SMALL);
    let written = fill(&client, FITS_THE_SERVER);
    sleep(Duration::from_millis(1500));
    let (mut read, mut chunk) = (0, [0; 1000]);
    while read < written {
        read += again::read(&client, &mut chunk).expect("the server goes on");
    }
    sleep(DEADLINE);
    assert!(fill(&client, TOO_MUCH) < TOO_MUCH, "the server should have stopped reading");
    stays(&mut scene);
}

fn alive_and_shrunk(what: &'static str, user_timeout: UserTimeout) {
    let mut scene = Scene::new(what, user_timeout, &["--log", "trace"]);
    let _client = shrink(&mut scene);
    stays(&mut scene);
    assert!(scene.was_logged(SHRUNK), "the window should have shrunk under data:\n{}", scene.server.told());
}

/// The client's window is shut, and it keeps sending: its data postpone the kernel's probes, so that it never answers
/// one.
fn alive_and_speaking_without_reading() {
    let mut scene = Scene::new("alive and speaking without reading", AUTO, &[]);
    let client = scene.arrive(SMALL);
    assert_eq!(fill(&client, FITS_THE_KERNEL), FITS_THE_KERNEL);
    let mut writer = client.try_clone().expect("a socket can be cloned");
    let speaking = thread::spawn(move || {
        for _ in 0..60 {
            sleep(Duration::from_millis(250));
            writer.write_all(b"still here").expect("the server goes on");
        }
    });
    stays(&mut scene);
    speaking.join().expect("it sends to the end");
}

/// Waits for three deadlines, in which the client must not depart.
fn stays(scene: &mut Scene) {
    let departed = scene.server.wait_for_within(" departed: ", 3 * DEADLINE);
    assert_eq!(departed, None, "{}: a living peer was let go", scene.what);
    println!("{}: still there after three deadlines", scene.what);
}
