//! What a client says, so that a server under test has something to answer: for the lab, which only
//! looks for the end of an answer, and for the load generator, which checks every byte of it.
//!
//! Owns the few messages of each protocol. Knows no socket.

use std::str::FromStr;

/// A language that the server under test answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speak {
    /// It sends back what it gets.
    Echo,
    Redis,
    Mqtt,
    Memcached,
    /// HTTP/1.1, with a persistent connection.
    Http,
    /// Version 3 of its protocol, as the user `postgres`, who must be let in without a password (`trust`).
    Postgres,
    /// What the lab's `--ask` and `--answer` say.
    Own,
    /// None: the client only connects.
    None,
}

/// Bytes to send, and how the end of the answer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub question: Vec<u8>,
    pub answer: Answer,
}

/// How the end of an answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has this many bytes.
    Bytes(usize),
    /// It is an HTTP/1.1 response.
    Http,
    /// It ends with PostgreSQL's ReadyForQuery.
    Postgres,
}

/// Bytes to send, and all of the bytes that must come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verbatim {
    pub question: Vec<u8>,
    pub answer: Vec<u8>,
}

/// About how many bytes one question of [`Speak::fill`] makes a server send.
const PAYLOAD: usize = 1000;
const TOPIC: &[u8] = b"\x00\x09stillhere";

impl Speak {
    pub const NAMES: &'static [&'static str] =
        &["echo", "redis", "mqtt", "memcached", "http", "postgres", "own", "none"];
    /// Those that can be asked for by name.
    pub const BUILT_IN: &'static [&'static str] = &["echo", "redis", "mqtt", "memcached", "http", "postgres", "none"];
    /// Those whose answers are known to the byte, see [`Speak::ask`].
    pub const VERBATIM: &'static [&'static str] = &["echo", "redis", "mqtt", "memcached", "none"];

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// What must be said before anything else. `keepalive`, in seconds, is what an MQTT client
    /// announces.
    pub fn greetings(self, keepalive: u16) -> Vec<Exchange> {
        let exchange = |question: Vec<u8>, answer| Exchange { question, answer: Answer::Bytes(answer) };
        match self {
            Self::Echo | Self::Redis | Self::Http | Self::Own | Self::None => Vec::new(),
            Self::Postgres => {
                let version = 3u32 << 16;
                let start = [&version.to_be_bytes()[..], b"user\0postgres\0database\0postgres\0\0"].concat();
                vec![Exchange { question: counted(&start), answer: Answer::Postgres }]
            }
            Self::Mqtt => {
                let [high, low] = keepalive.to_be_bytes();
                let connect = [b"\x00\x04MQTT\x04\x02".as_slice(), &[high, low], b"\x00\x00"].concat();
                let subscribe = [b"\x00\x01".as_slice(), TOPIC, b"\x00"].concat();
                vec![exchange(packet(0x10, &connect), 4), exchange(packet(0x82, &subscribe), 5)]
            }
            Self::Memcached => {
                let store = format!("set still 0 0 {PAYLOAD}\r\n{}\r\n", "x".repeat(PAYLOAD));
                vec![exchange(store.into_bytes(), "STORED\r\n".len())]
            }
        }
    }

    /// A question with a short answer.
    pub fn exchange(self) -> Option<Exchange> {
        let (question, answer) = match self {
            Self::Echo => (b"still there?\n".to_vec(), Answer::Bytes(13)),
            Self::Redis => (b"PING\r\n".to_vec(), Answer::Bytes("+PONG\r\n".len())),
            Self::Mqtt => (b"\xc0\x00".to_vec(), Answer::Bytes(2)),
            Self::Memcached => (b"get nothing\r\n".to_vec(), Answer::Bytes("END\r\n".len())),
            Self::Http => (b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n".to_vec(), Answer::Http),
            Self::Postgres => (query("select 1"), Answer::Postgres),
            Self::Own | Self::None => return None,
        };
        Some(Exchange { question, answer })
    }

    /// Questions whose answers have `bytes` bytes or somewhat more. Empty where only the server knows how
    /// long an answer is.
    pub fn fill(self, bytes: usize) -> Vec<u8> {
        let payload = "x".repeat(PAYLOAD - 1) + "\n";
        let question = match self {
            Self::Echo => payload.into_bytes(),
            Self::Redis => format!("*2\r\n$4\r\nECHO\r\n${PAYLOAD}\r\n{payload}\r\n").into_bytes(),
            Self::Mqtt => packet(0x30, &[TOPIC, payload.as_bytes()].concat()),
            Self::Memcached => b"get still\r\n".to_vec(),
            Self::Postgres => query(&format!("select repeat('x', {PAYLOAD})")),
            Self::Http | Self::Own | Self::None => Vec::new(),
        };
        question.repeat(bytes.div_ceil(PAYLOAD))
    }

    /// What a client must say before it may be idle for as long as it likes.
    pub fn hello(self) -> Option<Verbatim> {
        let connect = b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
        (self == Self::Mqtt).then(|| Verbatim { question: packet(0x10, connect), answer: b"\x20\x02\x00\x00".to_vec() })
    }

    /// What a client must say once before [`Speak::ask`] is answered. Its `name` makes a topic or a key
    /// that no other client uses.
    pub fn prepare(self, name: &str, payload: &[u8]) -> Option<Verbatim> {
        match self {
            Self::Echo | Self::Redis | Self::Http | Self::Postgres | Self::Own | Self::None => None,
            Self::Mqtt => {
                let subscribe = [b"\x00\x01".as_slice(), &topic(name), b"\x00"].concat();
                Some(Verbatim { question: packet(0x82, &subscribe), answer: b"\x90\x03\x00\x01\x00".to_vec() })
            }
            Self::Memcached => {
                let line = format!("set still{name} 0 0 {}\r\n", payload.len());
                let question = [line.as_bytes(), payload, b"\r\n"].concat();
                Some(Verbatim { question, answer: b"STORED\r\n".to_vec() })
            }
        }
    }

    /// Writes into `said` a question that brings `payload` back, and its answer; their buffers are used
    /// again where possible. Memcached returns what [`Speak::prepare`] stored.
    pub fn ask(self, name: &str, payload: &[u8], said: &mut Verbatim) {
        let Verbatim { question, answer } = said;
        question.clear();
        answer.clear();
        match self {
            Self::Echo | Self::Http | Self::Postgres | Self::Own | Self::None => {
                question.extend_from_slice(payload);
                answer.extend_from_slice(payload);
            }
            Self::Redis => {
                let head = format!("${}\r\n", payload.len());
                question.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n");
                for text in [question, answer] {
                    [head.as_bytes(), payload, b"\r\n"].into_iter().for_each(|part| text.extend_from_slice(part));
                }
            }
            Self::Mqtt => {
                *question = packet(0x30, &[&topic(name), payload].concat());
                answer.extend_from_slice(question);
            }
            Self::Memcached => {
                question.extend_from_slice(format!("get still{name}\r\n").as_bytes());
                answer.extend_from_slice(format!("VALUE still{name} 0 {}\r\n", payload.len()).as_bytes());
                [payload, b"\r\nEND\r\n"].into_iter().for_each(|part| answer.extend_from_slice(part));
            }
        }
    }

    /// Whether each question may carry a payload of its own.
    pub fn carries_any_payload(self) -> bool {
        self != Self::Memcached
    }

    /// Whether a client must say something before it may be idle: a server waits for that, but not for long.
    pub fn greets_before_it_is_idle(self) -> bool {
        matches!(self, Self::Mqtt | Self::Postgres)
    }

    /// Whether a client must say something from time to time, or be let go.
    pub fn has_a_heartbeat(self) -> bool {
        self == Self::Mqtt
    }
}

impl FromStr for Speak {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let all =
            [Self::Echo, Self::Redis, Self::Mqtt, Self::Memcached, Self::Http, Self::Postgres, Self::Own, Self::None];
        all.into_iter().find(|speak| speak.name() == name).ok_or(())
    }
}

impl Answer {
    /// Whether all of the answer has been `heard`.
    ///
    /// # Errors
    /// A sentence: it is not an answer in this language, or it is a refusal.
    pub fn is_complete(self, heard: &[u8]) -> Result<bool, String> {
        match self {
            Self::Bytes(count) => Ok(heard.len() >= count),
            Self::Http => is_http_complete(heard),
            Self::Postgres => is_postgres_complete(heard),
        }
    }
}

/// Whether there is the whole head, and as much of a body as the head says (RFC 9112, 6.3).
fn is_http_complete(heard: &[u8]) -> Result<bool, String> {
    let Some(end) = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = (String::from_utf8_lossy(&heard[..end]).to_ascii_lowercase(), &heard[end + 4..]);
    let field = |name: &str| {
        let line = head.lines().skip(1).find_map(|line| line.split_once(':').filter(|(field, _)| *field == name));
        line.map(|(_, value)| value.trim())
    };
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if !head.starts_with("http/1.") {
        return Err(format!(
            "its answer begins with {:?} and is not HTTP/1.1",
            head.lines().next().unwrap_or_default()
        ));
    }
    if field("connection") == Some("close") || head.starts_with("http/1.0") {
        return Err(format!("it answers {status} and does not keep the connection"));
    }
    if field("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
        return Ok(body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n"));
    }
    match field("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => Ok(body.len() >= length),
        _ if matches!(status, "204" | "304") => Ok(true),
        _ => Err("its answer does not say how long it is".to_string()),
    }
}

/// Whether there are messages, each a type byte and a length, up to ReadyForQuery.
fn is_postgres_complete(heard: &[u8]) -> Result<bool, String> {
    let mut rest = heard;
    while let [kind, a, b, c, d, body @ ..] = rest {
        let length = (u32::from_be_bytes([*a, *b, *c, *d]) as usize).saturating_sub(4);
        let Some(message) = body.get(..length) else { return Ok(false) };
        match kind {
            b'Z' => return Ok(true),
            b'E' => {
                let text = message.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"M"));
                return Err(format!("it refuses: {}", String::from_utf8_lossy(text.unwrap_or_default())));
            }
            b'R' if message != [0; 4] => return Err("it requires a password: user postgres needs `trust`".to_string()),
            _ => {}
        }
        rest = &body[length..];
    }
    Ok(false)
}

/// A PostgreSQL message without its type byte: the length includes itself.
fn counted(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32 + 4).to_be_bytes()[..], message].concat()
}

fn query(text: &str) -> Vec<u8> {
    [b"Q", &counted(&[text.as_bytes(), b"\0"].concat())[..]].concat()
}

/// An MQTT topic for one client, preceded by its length.
fn topic(name: &str) -> Vec<u8> {
    let topic = format!("still/{name}");
    [&(topic.len() as u16).to_be_bytes(), topic.as_bytes()].concat()
}

/// A control packet of MQTT 3.1.1: its length comes in groups of seven bits, the lowest first.
fn packet(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = rest.len();
    while length > 127 {
        packet.push((length % 128) as u8 | 128);
        length /= 128;
    }
    packet.push(length as u8);
    packet.extend_from_slice(rest);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_mqtt_is_as_the_standard_says() {
        assert_eq!(packet(0xc0, b""), b"\xc0\x00");
        assert_eq!(packet(0x30, &[0; 321])[..3], [0x30, 0xc1, 0x02]);
        let connect = &Speak::Mqtt.greetings(300)[0];
        assert_eq!(connect.question, b"\x10\x0c\x00\x04MQTT\x04\x02\x01\x2c\x00\x00");
    }

    #[test]
    fn a_fill_is_long_enough() {
        assert_eq!(Speak::Echo.fill(2001).len(), 3000);
        assert_eq!(Speak::Memcached.fill(2001), b"get still\r\nget still\r\nget still\r\n");
        assert!(Speak::None.fill(5).is_empty());
        assert!(Speak::NAMES.iter().all(|name| name.parse::<Speak>().unwrap().name() == *name));
        assert!(Speak::Http.fill(5).is_empty() && Speak::Postgres.fill(1).starts_with(b"Q\0\0"));
    }

    #[test]
    fn the_end_of_an_answer_of_http_is_found() {
        let complete = |text: &str| Answer::Http.is_complete(text.as_bytes());
        assert_eq!(complete("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"), Ok(false));
        assert_eq!(complete("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nab"), Ok(true));
        assert_eq!(complete("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"), Ok(false));
        assert_eq!(complete("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), Ok(true));
        assert_eq!(complete("HTTP/1.1 204 No Content\r\n\r\n"), Ok(true));
        assert!(complete("HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n").unwrap_err().contains("400"));
        assert!(complete("-ERR\r\n\r\n").unwrap_err().contains("-err"));
    }

    #[test]
    fn postgres_is_ready_when_it_says_so() {
        let greeting = &Speak::Postgres.greetings(0)[0].question;
        assert_eq!(greeting[..9], [0, 0, 0, greeting.len() as u8, 0, 3, 0, 0, b'u']);
        assert_eq!(query("x"), b"Q\0\0\0\x06x\0");
        let complete = |bytes: &[u8]| Answer::Postgres.is_complete(bytes);
        assert_eq!(complete(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05"), Ok(false));
        assert_eq!(complete(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"), Ok(true));
        assert!(complete(b"R\0\0\0\x08\0\0\0\x05").unwrap_err().contains("password"));
        assert!(complete(b"E\0\0\0\x0dSX\0Mno\0\0\0").unwrap_err().contains("refuses: no"));
    }

    #[test]
    fn what_is_asked_comes_back_in_the_answer() {
        let mut said = Verbatim::default();
        Speak::Redis.ask("7", b"abc", &mut said);
        assert_eq!(said.question, b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n");
        assert_eq!(said.answer, b"$3\r\nabc\r\n");
        Speak::Memcached.ask("7", b"abc", &mut said);
        assert_eq!(
            (said.question.as_slice(), said.answer.as_slice()),
            (b"get still7\r\n".as_slice(), b"VALUE still7 0 3\r\nabc\r\nEND\r\n".as_slice())
        );
        Speak::Mqtt.ask("7", b"abc", &mut said);
        assert_eq!(
            (said.question.as_slice(), &said.answer),
            (b"\x30\x0c\x00\x07still/7abc".as_slice(), &said.question)
        );
        Speak::Echo.ask("7", b"abc", &mut said);
        assert_eq!((said.question.as_slice(), &said.answer), (b"abc".as_slice(), &said.question));
    }
}
