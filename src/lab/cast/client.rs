//! The scripted peer, which runs in the process that a scene kills, stops or resets: `stillthere lab client`.
//!
//! Owns its sockets, and what each command on its standard input does with them. Every command is
//! answered with one line: `done`, or `failed: …`. Knows no namespace and no scene.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::lab::cast::language::{Language, Pattern};
use crate::lab::cast::slow_reader::SlowReader;
use crate::speak::{Answer, Speak};

/// Small buffers, so that few bytes shut a window.
const BUFFER: usize = 4096;
/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The server has stopped reading if it took nothing of a flood for this long.
const STUCK: Duration = Duration::from_millis(300);
/// A server that takes this many bytes does not pause reading.
const FLOOD: usize = 16 << 20;

/// A banner, or an answer that only a pattern describes, is complete when nothing more has come for this long.
const PAUSE: Duration = Duration::from_millis(100);

struct Client {
    server: SocketAddr,
    speak: Speak,
    language: Language,
    keepalive: u16,
    streams: Vec<TcpStream>,
    /// How many bytes an answer has, if that depends on the server.
    answer: Option<usize>,
    banner: Vec<u8>,
    /// The receive buffer of its connections; `None`: the system's default.
    buffer: Option<usize>,
    slow: Vec<SlowReader>,
}

/// How the end of an answer is known.
enum AnswerEnd {
    Known(Answer),
    Matches(Pattern),
}

/// Carries out the commands on standard input until its end.
pub fn run(server: SocketAddr, speak: Speak, language: Language, keepalive: u16) {
    let mut client = Client {
        server,
        speak,
        language,
        keepalive,
        streams: Vec::new(),
        answer: None,
        banner: Vec::new(),
        buffer: None,
        slow: Vec::new(),
    };
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
            "greet" => self.greet_until_it_is_ready(),
            "exchange" => self.exchange(),
            "ask" => {
                let (question, _) = self.question()?;
                self.each(|stream| stream.write_all(&question))
            }
            "fill" => {
                let questions = self.fill(number)?;
                self.each(|stream| stream.write_all(&questions))
            }
            "flood" => {
                let questions = self.fill(1 << 16)?;
                self.each(|stream| flood(stream, &questions))
            }
            "read-slowly" => {
                let questions = self.fill(1 << 16)?;
                let slow = self.streams.iter().map(|stream| SlowReader::begin(stream, questions.clone()));
                self.slow = slow.collect::<io::Result<_>>()?;
                Ok(())
            }
            "finish" => self.each(|stream| stream.shutdown(Shutdown::Write)),
            "close" => {
                self.slow.clear();
                self.each(close)?;
                self.streams.clear();
                Ok(())
            }
            "reset" => {
                self.slow.clear();
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

    /// A database may listen before it is ready, and refuse requests until then.
    fn greet_until_it_is_ready(&mut self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.greet() {
                Err(error) if error.to_string().contains("is starting up") && Instant::now() < until => {
                    sleep(PAUSE);
                    let count = std::mem::take(&mut self.streams).len();
                    (0..count).try_for_each(|_| self.connect(self.buffer))?;
                }
                other => return other,
            }
        }
    }

    fn greet(&mut self) -> io::Result<()> {
        if self.language.banner {
            let mut heard = Vec::new();
            self.each(|stream| {
                heard = banner(stream)?;
                Ok(())
            })?;
            self.banner = heard;
        }
        for greeting in self.speak.greetings(self.keepalive) {
            let end = AnswerEnd::Known(greeting.answer);
            self.each(|stream| talk(stream, &greeting.question, &end).map(drop))?;
        }
        Ok(())
    }

    /// With buffers of this size, or with those of the system, which advertise a larger window.
    fn connect(&mut self, buffer: Option<usize>) -> io::Result<()> {
        self.buffer = buffer;
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

    fn question(&self) -> io::Result<(Vec<u8>, AnswerEnd)> {
        if self.speak == Speak::Own {
            let pattern = self.language.pattern().map_err(io::Error::other)?;
            return Ok((self.language.ask.clone(), AnswerEnd::Matches(pattern)));
        }
        let exchange = self.speak.exchange();
        let exchange = exchange.ok_or_else(|| io::Error::other("--speak none: the client has no request to send"))?;
        Ok((exchange.question, AnswerEnd::Known(exchange.answer)))
    }

    fn exchange(&mut self) -> io::Result<()> {
        let (question, end) = self.question()?;
        let mut length = None;
        let asked = self.each(|stream| {
            length = Some(talk(stream, &question, &end)?);
            Ok(())
        });
        asked.map_err(|error| match quoted(&self.banner).replace("it said", "its banner was") {
            none if none.is_empty() => error,
            banner => io::Error::other(format!("{error}{banner}")),
        })?;
        self.answer = length.or(self.answer);
        Ok(())
    }

    /// Requests whose answers have `bytes` bytes or somewhat more.
    fn fill(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let questions = self.speak.fill(bytes);
        if !questions.is_empty() {
            return Ok(questions);
        }
        if self.answer.is_none() {
            self.exchange()?;
        }
        let length = self.answer.unwrap_or(1).max(1);
        Ok(self.question()?.0.repeat(bytes.div_ceil(length)))
    }

    fn each(&mut self, mut act: impl FnMut(&mut TcpStream) -> io::Result<()>) -> io::Result<()> {
        self.streams.iter_mut().try_for_each(&mut act)
    }
}

/// Sends a request and reads the whole answer. Returns its length.
fn talk(stream: &mut TcpStream, question: &[u8], end: &AnswerEnd) -> io::Result<usize> {
    stream.write_all(question)?;
    let (mut heard, mut bytes) = (Vec::new(), [0; 4096]);
    let until = Instant::now() + PATIENCE;
    let is_complete = |heard: &[u8]| match end {
        AnswerEnd::Known(answer) => answer.is_complete(heard).map_err(io::Error::other),
        AnswerEnd::Matches(pattern) => Ok(pattern.is_in(heard)),
    };
    while !is_complete(&heard)? {
        let late = || io::Error::other(format!("the server did not answer in time{}", quoted(&heard)));
        let count = match read(stream, &mut bytes) {
            Ok(0) => return Err(io::Error::other(format!("the server closed instead of answering{}", quoted(&heard)))),
            Ok(_) if Instant::now() > until => return Err(late()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        };
        heard.extend_from_slice(&bytes[..count]);
    }
    if let AnswerEnd::Matches(_) = end {
        hear_out(stream, &mut heard)?;
    }
    Ok(heard.len())
}

/// Reads the server's banner.
fn banner(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut heard = vec![0];
    match read(stream, &mut heard) {
        Ok(0) => Err(io::Error::other("the server closed instead of sending a banner")),
        Ok(_) => hear_out(stream, &mut heard).map(|()| heard),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::other("the server sent no banner, which --banner expects"))
        }
        Err(error) => Err(error),
    }
}

/// Reads until the server pauses.
fn hear_out(stream: &mut TcpStream, heard: &mut Vec<u8>) -> io::Result<()> {
    stream.set_read_timeout(Some(PAUSE))?;
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = read(stream, &mut bytes) {
        heard.extend_from_slice(&bytes[..count]);
    }
    stream.set_read_timeout(Some(PATIENCE))
}

/// read(2). With a timeout on the socket it is interrupted without any signal handler when the process was stopped and goes on (signal(7)),
/// as on a machine that is frozen for a moment.
fn read(stream: &mut TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn quoted(heard: &[u8]) -> String {
    let text = String::from_utf8_lossy(heard).chars().take(80).collect::<String>();
    if text.is_empty() { text } else { format!("; it said {text:?}") }
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

/// The first line that the server sent without a request.
fn hear(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 512];
    let count = stream.set_nonblocking(true).and_then(|()| stream.read(&mut bytes)).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..count]);
    text.lines().next().unwrap_or_default().chars().take(80).collect()
}

/// Sends FIN, then reads up to the server's FIN.
fn close(stream: &mut TcpStream) -> io::Result<()> {
    // A client that half-closed earlier has already sent its FIN.
    let _ = stream.shutdown(Shutdown::Write);
    io::copy(stream, &mut io::sink()).map(drop)
}
