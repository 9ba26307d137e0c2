//! Answers: a status, headers and a body, as bytes.
//!
//! Owns the form of an answer. Knows no path, and does not know who gets it.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::markup::json;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
pub(super) const EVENTS: &str = "text/event-stream";

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    /// Its Content-Type; without one it has no body.
    pub kind: &'static str,
    pub body: Cow<'static, [u8]>,
    /// Headers that not every answer has.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The connection ends behind it: where the next request would begin is not known, or the client asked for it.
    pub closes: bool,
}

/// How an answer is given to the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// The headers alone (HEAD).
    pub is_head: bool,
    /// The connection goes on.
    pub keeps_alive: bool,
    /// HTTP/1.0, which has to be told that it goes on.
    pub is_1_0: bool,
}

impl Answer {
    pub(super) fn new(status: u16, kind: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { status, kind, body: body.into(), headers: Vec::new(), closes: false }
    }

    /// What was asked for cannot be had: a sentence says why.
    pub(super) fn error(status: u16, sentence: &str) -> Self {
        let body = json::object(&[("error", json::text(sentence))]) + "\n";
        Self::new(status, JSON, body.into_bytes())
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn and_close(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The whole answer.
    pub(super) fn bytes(&self, manner: Manner, now: SystemTime) -> Vec<u8> {
        let mut bytes = self.head(manner, now, Some(self.body.len())).into_bytes();
        if !manner.is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    /// The head of an answer that goes on until the connection ends.
    pub(super) fn open_end(&self, now: SystemTime) -> Vec<u8> {
        self.head(Manner { is_head: false, keeps_alive: false, is_1_0: false }, now, None).into_bytes()
    }

    fn head(&self, manner: Manner, now: SystemTime, length: Option<usize>) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\nDate: {}\r\n", self.status, words(self.status), HttpDate(now));
        let mut add = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head += part;
            }
        };
        if !self.kind.is_empty() {
            add("Content-Type", self.kind);
        }
        // A 204 has no body and no length of one (RFC 9110 §8.6).
        if let Some(length) = length.filter(|_| self.status != 204) {
            add("Content-Length", &length.to_string());
        }
        add("Cache-Control", "no-store");
        add("X-Content-Type-Options", "nosniff");
        add("Cross-Origin-Resource-Policy", "same-origin");
        for (name, value) in &self.headers {
            add(name, value);
        }
        if !manner.keeps_alive {
            add("Connection", "close");
        } else if manner.is_1_0 {
            add("Connection", "keep-alive");
        }
        head + "\r\n"
    }
}

fn words(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// A date as HTTP has it: `Thu, 26 Nov 2026 14:38:58 GMT` (RFC 9110 §5.6.7).
struct HttpDate(SystemTime);

impl std::fmt::Display for HttpDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.0.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Years that begin in March, so that the leap day is the last one of its year; 400 of them are an era.
        let from_march = days + 719_468;
        let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12;
        let year = era * 400 + year_of_era + u64::from(month < 2);
        let (weekday, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize]);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_as_http_has_them() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), // the one of RFC 9110
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (1_795_694_400, "Thu, 26 Nov 2026 12:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(HttpDate(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), date);
        }
    }

    #[test]
    fn an_answer_is_a_head_and_a_body() {
        let kept = Manner { is_head: false, keeps_alive: true, is_1_0: false };
        let told = |answer: &Answer, manner| String::from_utf8(answer.bytes(manner, UNIX_EPOCH)).unwrap();
        let answer = Answer::error(404, "there is no \"x\"").with("Allow", "GET");
        let whole = told(&answer, kept);
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "{\"error\":\"there is no \\\"x\\\"\"}\n");
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\nDate: Thu, 01 Jan 1970"), "{head}");
        assert!(head.contains("\r\nContent-Length: 30\r\n") && head.ends_with("\r\nAllow: GET"), "{head}");
        // HEAD: the same, without the body.
        assert_eq!(told(&answer, Manner { is_head: true, ..kept }), format!("{head}\r\n\r\n"));
        assert!(told(&answer, Manner { is_1_0: true, ..kept }).contains("\r\nConnection: keep-alive\r\n"));
        assert!(told(&answer, Manner { keeps_alive: false, ..kept }).contains("\r\nConnection: close\r\n"));
        let none = told(&Answer::new(204, "", Vec::new()), kept);
        assert!(!none.contains("\r\nContent-"), "{none}");
        let stream = String::from_utf8(Answer::new(200, EVENTS, Vec::new()).open_end(UNIX_EPOCH)).unwrap();
        assert!(!stream.contains("Content-Length") && stream.contains("Connection: close"), "{stream}");
    }
}
