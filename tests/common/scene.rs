//! A server in a network that can be cut, and the measurement of a departure.
//!
//! Owns the origin of each measurement, the comparison with what the library predicts, and the line
//! that is printed about it. Knows no state of TCP: a trial brings the connection into it.

use std::io;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use stillthere::keepalive::{Guard, Keepalive, Prediction, State, TimerWheel, UserTimeout};
use stillthere::lab::on_this_kernel;

use crate::common::{PATIENCE, Server};
use crate::netns::{Cut, Network};

pub const DEADLINE: Duration = Duration::from_secs(5);
/// How much later than predicted a departure may be, because the machine runs all trials at once.
const LATE: Duration = Duration::from_secs(1);
/// Kernel ages are truncated to ticks, of 10 ms at most: they may be too small by this much.
const TICK: Duration = Duration::from_millis(10);

/// A server, and a client's path to it. The server ends before its namespaces are removed.
pub struct Scene {
    pub what: &'static str,
    pub server: Server,
    network: Network,
    keepalive: Keepalive,
    /// When the server's kernel last received a packet from the client; known after the cut.
    pub heard: Instant,
}

impl Scene {
    pub fn new(what: &'static str, user_timeout: UserTimeout, options: &[&str]) -> Self {
        let timeout = match user_timeout {
            UserTimeout::Auto => "auto".to_string(),
            UserTimeout::Sliding => "sliding".to_string(),
            UserTimeout::Off => "off".to_string(),
            UserTimeout::Fixed(timeout) => format!("{}ms", timeout.as_millis()),
        };
        let options = [&["--deadline", "5s", "--user-timeout", &timeout], options].concat();
        Self::of(what, keepalive(user_timeout), &options)
    }

    /// A scene with other settings; `options` must set the same ones.
    pub fn of(what: &'static str, keepalive: Keepalive, options: &[&str]) -> Self {
        let network = Network::new().unwrap_or_else(|missing| panic!("no network: {missing}"));
        let address = format!("{}:7000", network.server());
        let options = [&[address.as_str()], options].concat();
        let server = Server::start_with(network.on_server(&Server::command(&options)));
        Self { what, server, network, keepalive, heard: Instant::now() }
    }

    /// Connects a client from its namespace. If the size of its receive buffer is given, the kernel does not
    /// enlarge the buffer.
    pub fn connect(&mut self, receive_buffer: Option<usize>) -> TcpStream {
        let address = self.server.address();
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            if let Some(size) = receive_buffer {
                socket.set_recv_buffer_size(size)?;
            }
            socket.connect_timeout(&address.into(), PATIENCE)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            io::Result::Ok(TcpStream::from(socket))
        };
        self.network.at_the_client(connect).expect("the server accepts")
    }

    /// The same, and waits until the server has accepted the client.
    pub fn arrive(&mut self, receive_buffer: Option<usize>) -> TcpStream {
        let client = self.connect(receive_buffer);
        self.server.wait_for(" arrived");
        client
    }

    /// Cuts the path, and notes when the server last received a packet.
    pub fn cut(&mut self, how: Cut) {
        self.network.cut(how);
        self.heard = self.last_heard();
    }

    /// Asks the server's kernel with `ss` when it last received a packet from the client. The result may be a little too early, by
    /// the time that `ss` takes, and is never too late: a departure that seems early is early.
    fn last_heard(&self) -> Instant {
        let now = Instant::now();
        let mut command = Command::new("ss");
        command.args(["-Htin", "state", "connected"]);
        let told = self.network.on_server(&command).output().expect("ss of iproute2 runs");
        let told = String::from_utf8_lossy(&told.stdout);
        assert!(told.contains(&self.network.client().to_string()), "the server has no connection: {told}");
        assert!(told.contains(" rto:"), "this kernel gives ss no figures (CONFIG_INET_TCP_DIAG): {told}");
        // The last data or the last ACK. `ss` leaves out a figure of zero.
        let ago = |mark: &str| {
            let rest = told.split_once(mark).map_or("0", |(_, rest)| rest);
            rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|figure| figure.parse().ok()).unwrap_or(0)
        };
        now - Duration::from_millis(ago(" lastrcv:").min(ago(" lastack:"))) - TICK
    }

    /// Waits for the departure, and compares its time with the prediction. `began` is when the data were sent
    /// or the window was shut. Under a user timeout the time runs from there, and otherwise from the last packet received.
    /// Returns how long it took.
    pub fn departs(&mut self, state: State, began: Instant, reason: &str) -> Duration {
        let expected = self.keepalive.predict(state).expect("a deadline holds");
        let origin = match (state, self.keepalive.guard()) {
            // The client's packets keep coming, so the time of the last one does not matter.
            (State::Deaf, _) => {
                self.heard = began;
                began
            }
            (state, Guard::UserTimeout(_)) if state != State::Idle => began,
            _ => self.heard,
        };
        self.departs_within(expected, origin, reason, state == State::Deaf)
    }

    /// Waits for the departure of a client that has already been declared dead by the kernel.
    pub fn departs_at_once(&mut self, origin: Instant, reason: &str) {
        self.departs_within(Prediction { from: Duration::ZERO, to: Duration::ZERO }, origin, reason, false);
    }

    fn departs_within(&mut self, expected: Prediction, origin: Instant, reason: &str, is_deaf: bool) -> Duration {
        let what = self.what;
        let (told, line) = self.server.wait_for(" departed: ");
        let measured = told - origin;
        println!(
            "{what}: predicted {:.2} to {:.2} s, measured {:.2} s: {}",
            expected.from.as_secs_f64(),
            expected.to.as_secs_f64(),
            measured.as_secs_f64(),
            line.split_once(" departed: ").map_or("", |(_, departure)| departure)
        );
        assert!(line.contains(&format!(" departed: {reason}")), "{what}: {reason:?} was expected, not\n{line}");
        assert!(measured >= expected.from, "{what}: early, {measured:?} instead of {expected}\n{line}");
        assert!(measured <= expected.to + LATE, "{what}: late, {measured:?} instead of {expected}\n{line}");
        // The figure in the log has one decimal, and on a busy machine it is determined a little late.
        let (silent, heard) = (silence(&line), (told - self.heard).as_secs_f64());
        assert!(
            is_deaf || (heard - LATE.as_secs_f64()..=heard + 0.1).contains(&silent),
            "{what}: silent for {heard:.1} s, but\n{line}"
        );
        measured
    }

    /// Whether the log so far contains this. Needs `--log trace` for what happens in a turn.
    pub fn was_logged(&self, part: &str) -> bool {
        self.server.log.iter().any(|(_, line)| line.contains(part))
    }
}

/// The settings of a scene's server, as far as this kernel supports them.
pub fn keepalive(user_timeout: UserTimeout) -> Keepalive {
    let keepalive = Keepalive::with_deadline(DEADLINE).expect("5 s is a deadline");
    on_this_kernel(
        keepalive
            .on_wheel(TimerWheel::of_this_kernel())
            .with_user_timeout(user_timeout)
            .expect("it is in the kernel's range"),
    )
}

fn silence(line: &str) -> f64 {
    let figure = line.split_once(", silent ").and_then(|(_, rest)| rest.split_once(" s")?.0.parse().ok());
    figure.unwrap_or_else(|| panic!("no silence is reported in {line}"))
}
