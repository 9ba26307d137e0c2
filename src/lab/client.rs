//! The scripted peer, inside the process that is killed, frozen or reset: `stillthere lab client`.
//!
//! Owns its sockets, and what each command on its standard input does with them. Every command is
//! answered by one line: `done`, or `failed: …`. Knows no namespace and no scene.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::speak::{Exchange, Speak};

/// Small buffers, so that a window is shut with little.
const BUFFER: usize = 4096;
/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A flood has reached the server's limit when nothing was taken for so long.
const STUCK: Duration = Duration::from_millis(300);
/// A server that takes so much does not pause reading.
const FLOOD: usize = 16 << 20;

struct Client {
    server: SocketAddr,
    speak: Speak,
    keepalive: u16,
    streams: Vec<TcpStream>,
}

/// Obeys the commands on standard input until its end.
pub fn run(server: SocketAddr, speak: Speak, keepalive: u16) {
    let mut client = Client { server, speak, keepalive, streams: Vec::new() };
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap_or_default();
        let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
        let answer = match client.obey(command, number) {
            Ok(()) => "done".to_string(),
            Err(error) => format!("failed: {error}"),
        };
        if writeln!(io::stdout(), "{answer}").is_err() {
            return; // the lab has gone
        }
    }
}

impl Client {
    fn obey(&mut self, command: &str, number: usize) -> io::Result<()> {
        match command {
            "connect" => (0..number).try_for_each(|_| self.connect(Some(BUFFER))),
            "connect-wide" => self.connect(None),
            "shrink" => self.each(|stream| socket2::SockRef::from(&*stream).set_recv_buffer_size(BUFFER)),
            "greet" => {
                let greetings = self.speak.greetings(self.keepalive);
                self.each(|stream| greetings.iter().try_for_each(|greeting| talk(stream, greeting)))
            }
            "exchange" => {
                let exchange = self.exchange()?;
                self.each(|stream| talk(stream, &exchange))
            }
            "ask" => {
                let exchange = self.exchange()?;
                self.each(|stream| stream.write_all(&exchange.question))
            }
            "fill" => {
                let questions = self.speak.fill(number);
                self.each(|stream| stream.write_all(&questions))
            }
            "flood" => {
                let questions = self.speak.fill(1 << 16);
                self.each(|stream| flood(stream, &questions))
            }
            "finish" => self.each(|stream| stream.shutdown(Shutdown::Write)),
            "close" => {
                self.each(close)?;
                self.streams.clear();
                Ok(())
            }
            "reset" => {
                let streams = std::mem::take(&mut self.streams);
                streams.into_iter().try_for_each(|stream| Socket::from(stream).set_linger(Some(Duration::ZERO)))
            }
            "hear" => {
                let heard = self.streams.first_mut().map(hear).unwrap_or_default();
                Err(io::Error::other(heard))
            }
            _ => Err(io::Error::other("no such command")),
        }
    }

    /// With small buffers, or with those of the system, which promise the server more.
    fn connect(&mut self, buffer: Option<usize>) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, None)?;
        if let Some(size) = buffer {
            socket.set_recv_buffer_size(size)?;
            socket.set_send_buffer_size(size)?;
        }
        socket.connect_timeout(&self.server.into(), PATIENCE)?;
        socket.set_tcp_nodelay(true)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        self.streams.push(stream);
        Ok(())
    }

    fn exchange(&self) -> io::Result<Exchange> {
        self.speak.exchange().ok_or_else(|| io::Error::other("--speak none: there is nothing to say"))
    }

    fn each(&mut self, mut act: impl FnMut(&mut TcpStream) -> io::Result<()>) -> io::Result<()> {
        self.streams.iter_mut().try_for_each(&mut act)
    }
}

fn talk(stream: &mut TcpStream, exchange: &Exchange) -> io::Result<()> {
    stream.write_all(&exchange.question)?;
    stream.read_exact(&mut vec![0; exchange.answer]).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::other("the server did not answer in time"),
        io::ErrorKind::UnexpectedEof => io::Error::other("the server closed instead of answering"),
        _ => error,
    })
}

/// Writes until the server takes no more.
fn flood(stream: &mut TcpStream, questions: &[u8]) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let (mut sent, mut moved) = (0, Instant::now());
    while sent < FLOOD && moved.elapsed() < STUCK {
        match stream.write(&questions[sent % questions.len()..]) {
            Ok(count) => (sent, moved) = (sent + count, Instant::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(Duration::from_millis(5)),
            Err(error) => return Err(error),
        }
    }
    stream.set_nonblocking(false)
}

/// The first line of what the server said without being asked.
fn hear(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 512];
    let count = stream.set_nonblocking(true).and_then(|()| stream.read(&mut bytes)).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..count]);
    text.lines().next().unwrap_or_default().chars().take(80).collect()
}

/// FIN, and then all that the server still has to say, up to its own.
fn close(stream: &mut TcpStream) -> io::Result<()> {
    // A client that half-closed before has sent its FIN.
    let _ = stream.shutdown(Shutdown::Write);
    io::copy(stream, &mut io::sink()).map(drop)
}
