//! What the client says to a server whose protocol is not built in: `--ask`, `--answer`, `--banner`.
//!
//! Owns the parsing of bytes and patterns, and how they are passed to the client's process.
//! Knows no socket.

use regex_lite::Regex;

/// A request and reply given by options; or, for a built-in language, that the server speaks first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Language {
    /// The bytes of a request; empty for a built-in language.
    pub ask: Vec<u8>,
    /// The pattern that its answer matches; empty: any answer.
    pub answer: String,
    /// The server sends a banner before any request.
    pub banner: bool,
}

impl Language {
    /// As one word of a command line.
    pub fn to_word(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("{}:{}:{}", u8::from(self.banner), hex(&self.ask), hex(self.answer.as_bytes()))
    }

    pub fn from_word(word: &str) -> Option<Self> {
        let mut parts = word.split(':');
        let (banner, ask, answer) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { banner: banner == "1", ask: unhex(ask)?, answer: String::from_utf8(unhex(answer)?).ok()? })
    }

    /// # Errors
    /// What is wrong with the pattern.
    pub fn pattern(&self) -> Result<Pattern, String> {
        let text = if self.answer.is_empty() { "(?s)." } else { &self.answer };
        Regex::new(text).map(Pattern).map_err(|error| error.to_string())
    }
}

/// What an answer matches.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Each byte is matched as the character with its number (Latin-1), so that `\xff` in a pattern means that byte.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.is_match(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
    }
}

/// Text with the escapes `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN`; all else stands for its UTF-8.
///
/// # Errors
/// A sentence: which escape is not valid.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let mut length = 1;
        bytes.push(match after.as_bytes().first() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                length = 3;
                let digits = after.get(1..3).and_then(unhex).and_then(|bytes| bytes.first().copied());
                digits.ok_or("\\x needs two hexadecimal digits after it, as in \\x0a")?
            }
            _ => return Err("a backslash begins \\r, \\n, \\t, \\0, \\xNN or \\\\".to_string()),
        });
        rest = &after[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() & 1 == 0 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then_some(())?;
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_a_person_writes_them() {
        assert_eq!(bytes("NOOP\\r\\n\\x00\\xffé\\\\").unwrap(), b"NOOP\r\n\x00\xff\xc3\xa9\\");
        assert!(bytes("\\q").is_err() && bytes("\\x1").is_err() && bytes("\\xé1").is_err() && bytes("\\").is_err());
    }

    #[test]
    fn a_language_survives_the_command_line() {
        let language = Language { ask: b"\x00a\r\n".to_vec(), answer: "^250 é".to_string(), banner: true };
        assert_eq!(Language::from_word(&language.to_word()), Some(language));
        assert_eq!(Language::from_word(&Language::default().to_word()), Some(Language::default()));
        assert_eq!(Language::from_word("1:0g:"), None);
    }

    #[test]
    fn a_pattern_is_looked_for_in_bytes() {
        let pattern = |answer: &str| Language { answer: answer.to_string(), ..Language::default() }.pattern();
        assert!(pattern("(?m)^250 .*\\r\\n").unwrap().is_in(b"250-a\r\n250 b\r\n"));
        assert!(pattern("\\x00\\xff").unwrap().is_in(b"a\x00\xff") && !pattern("b").unwrap().is_in(b"a"));
        assert!(pattern("").unwrap().is_in(b"\n") && !pattern("").unwrap().is_in(b"") && pattern("(").is_err());
    }
}
