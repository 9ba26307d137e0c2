//! A scripted admin port: what it is asked is noted, and what it answers is the test's.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::PATIENCE;

/// A question, as far as a test wants to know it.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// `GET /peers?limit=1000`
    pub line: String,
    pub token: Option<String>,
    pub host: Option<String>,
    /// How many questions came before it, and how many connections before this one.
    pub nth: usize,
    pub connection: usize,
}

/// A server that ends with the test's process.
pub struct Admin {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Admin {
    /// `answer` writes to the connection, and says whether it is kept.
    pub fn start(answer: impl Fn(&Question, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer)
    }

    pub fn start_at(
        at: SocketAddr,
        answer: impl Fn(&Question, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(at).expect("a port");
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                thread::spawn(move || serve(stream, connection, &noted, &*answer));
            }
        });
        Self { address, asked }
    }

    /// A server that answers each question with a text of JSON.
    pub fn with(answer: impl Fn(&Question) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::start(move |question, stream| {
            let (status, body) = answer(question);
            say(stream, &json(status, &body))
        })
    }

    pub fn at(&self) -> String {
        self.address.to_string()
    }

    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|question| question.line).collect()
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    noted: &Mutex<Vec<Question>>,
    answer: &(dyn Fn(&Question, &mut TcpStream) -> bool + Send + Sync),
) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut from = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut question = Question { connection, ..Question::default() };
        loop {
            let mut line = String::new();
            match from.read_line(&mut line) {
                Ok(1..) => {}
                _ => return,
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some(("Host", host)) => question.host = Some(host.to_string()),
                Some(("Authorization", token)) => question.token = Some(token.to_string()),
                Some(_) => {}
                None => question.line = line.trim_end_matches(" HTTP/1.1").to_string(),
            }
        }
        {
            let mut noted = noted.lock().unwrap();
            question.nth = noted.len();
            noted.push(question.clone());
        }
        if !answer(&question, &mut stream) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Writes it. True, for the answer of a server that keeps its connections.
pub fn say(stream: &mut TcpStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).is_ok()
}

/// An answer with a body of JSON.
pub fn json(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A peer, as the admin port tells of it.
pub fn peer(nth: u64) -> String {
    format!(
        r#"{{"id":"3f2a1c{nth:04x}-{nth:x}","peer":"192.0.2.{}:{}","local":"192.0.2.9:7007","connected_ms":{},"silent_ms":{},"probes":0,
        "waiting":0,"bytes_in":{},"bytes_out":0,"bytes_unacknowledged":0,"round_trip_us":85,"retransmissions":0,"deadline_ms":10000}}"#,
        nth % 250,
        1024 + nth,
        60_000 + nth,
        nth % 9000,
        nth * 100
    )
    .replace('\n', "")
}

/// A page of them.
pub fn page(peers: impl Iterator<Item = u64>, next: Option<&str>) -> String {
    let peers: Vec<String> = peers.map(peer).collect();
    let next = next.map_or("null".to_string(), |next| format!("{next:?}"));
    format!(
        r#"{{"time":"2026-11-26T14:38:58.123Z","total":1,"peers":[{}],"next":{next},"truncated":false}}"#,
        peers.join(",")
    )
}
