//! Who may ask: the token, the host that a request is for, and which page has sent it.
//!
//! Owns these checks. The port has no other protection: it listens on a loopback address or a unix socket, or it has a token.
//! A browser on this machine reaches it, too, with whatever page it shows, and any page may give its own name our
//! address (DNS rebinding). So the host must be one that only we have, and a page of somebody else's gets nothing. Knows no path.

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::observe::admin::answer::Answer;
use crate::observe::admin::request::Request;

/// The shortest token, in bytes.
const SHORTEST: usize = 16;
const LONGEST: usize = 4096;

/// A secret that must come with a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Reads it from a file: what is in it, without blanks around it. Returns a warning, too, if there is something to warn of.
    ///
    /// # Errors
    /// A sentence.
    pub fn read(path: &Path) -> Result<(Self, Option<String>), String> {
        let told = path.display();
        let cannot = |because: &dyn fmt::Display| format!("--admin-token-file {told}: {because}");
        let about = fs::metadata(path).map_err(|error| cannot(&format_args!("cannot be read: {error}")))?;
        if about.len() > LONGEST as u64 {
            return Err(cannot(&format_args!("it has {} bytes; a token has {LONGEST} at most", about.len())));
        }
        let text = fs::read_to_string(path).map_err(|error| cannot(&format_args!("cannot be read: {error}")))?;
        let token = text.trim();
        if token.len() < SHORTEST {
            return Err(cannot(&format_args!(
                "the token in it has {} characters; {SHORTEST} are needed, so that it cannot be guessed (`openssl rand -hex 32` \
                 prints a good one)",
                token.len()
            )));
        }
        // What a header can carry (RFC 6750 §2.1), and a person can copy.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(cannot(&"a token is one word of letters, digits and signs, in ASCII"));
        }
        let warning = (about.mode() & 0o077 != 0)
            .then(|| format!("--admin-token-file {told}: others may read it (chmod 600 makes it yours alone)"));
        Ok((Self(token.to_string()), warning))
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_string())
    }

    /// Whether this is the token. How long that takes depends on the length of what was given, and not on how much of it is right.
    fn is(&self, given: &str) -> bool {
        let secret = self.0.as_bytes();
        let mut differs = secret.len() ^ given.len();
        for (nth, byte) in given.bytes().enumerate() {
            differs |= usize::from(black_box(secret[nth % secret.len()] ^ byte));
        }
        black_box(differs) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Which hosts a request may be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// A unix socket: no browser reaches it.
    Any,
    /// Loopback addresses, `localhost`, and this name if one was given.
    Loopback(Option<String>),
    /// Any address, `localhost`, and this name if one was given.
    Addresses(Option<String>),
}

/// Who may ask.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub hosts: Hosts,
    pub token: Option<Token>,
}

impl Access {
    /// Whether the request may be for the host that it names.
    pub(super) fn check_host(&self, request: &Request) -> Result<(), Answer> {
        let Some(host) = &request.host else { return Ok(()) }; // HTTP/1.0; no browser speaks that
        if self.hosts.allow(host) {
            return Ok(());
        }
        let sentence = format!(
            "this is not {host}: ask for an address, or localhost (so no web page can reach this port by a name of its own)"
        );
        Err(Answer::error(421, &sentence))
    }

    /// Whether the request may see data: it has the token, and no page of another site has sent it.
    pub(super) fn check(&self, request: &Request) -> Result<(), Answer> {
        let from_elsewhere = match (&request.sec_fetch_site, &request.origin, &request.host) {
            (Some(site), ..) => !matches!(site.as_str(), "same-origin" | "none"),
            // A browser that is too old to say so.
            (None, Some(origin), Some(host)) => {
                origin.split_once("://").is_none_or(|(_, from)| !from.eq_ignore_ascii_case(host))
            }
            _ => false,
        };
        if from_elsewhere {
            return Err(Answer::error(403, "a page of another site may not ask this"));
        }
        let Some(token) = &self.token else { return Ok(()) };
        let given = request.authorization.as_deref().and_then(bearer);
        let sentence = match given {
            Some(given) if token.is(given) => return Ok(()),
            Some(_) => "the token is not the one of --admin-token-file",
            None => "a token is needed: Authorization: Bearer TOKEN, with the one of --admin-token-file",
        };
        Err(Answer::error(401, sentence).with("WWW-Authenticate", "Bearer"))
    }
}

/// `Bearer x`: the scheme is written in any case.
fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl Hosts {
    fn allow(&self, host: &str) -> bool {
        let name = without_port(host);
        let (own, any) = match self {
            Self::Any => return true,
            Self::Loopback(own) => (own, false),
            Self::Addresses(own) => (own, true),
        };
        let is_own = own.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        is_own
            || name.eq_ignore_ascii_case("localhost")
            || ip(name).is_some_and(|ip| any || ip.to_canonical().is_loopback())
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            // `::1` is no host: an IPv6 address has brackets there.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

/// An address as a URL has it.
fn ip(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::observe::admin::request::{Incoming, Next};

    fn request(headers: &str) -> Request {
        let mut incoming = Incoming::default();
        incoming.add(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes());
        match incoming.next() {
            Next::Request(request) => *request,
            other => panic!("{headers}: {other:?}"),
        }
    }

    fn status(result: Result<(), Answer>) -> u16 {
        result.err().map_or(200, |answer| answer.status)
    }

    #[test]
    fn a_name_that_somebody_else_can_have_is_not_ours() {
        let own = Some("monitor.example".to_string());
        for (host, loopback, addresses) in [
            ("127.0.0.1", true, true),
            ("127.0.0.1:7070", true, true),
            ("127.8.9.10:1", true, true),
            ("[::1]:7070", true, true),
            ("[::ffff:127.0.0.1]", true, true),
            ("LocalHost:80", true, true),
            ("Monitor.Example:7070", true, true),
            ("192.0.2.7:7070", false, true),
            ("[2001:db8::1]:7070", false, true),
            ("evil.example:7070", false, false),
            ("evil.example", false, false),
            ("localhost.evil.example", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("127.0.0.1:7070:evil", false, false),
            ("127.1", false, false),
            ("0x7f000001", false, false),
            ("2130706433", false, false),
            ("::1", false, false),
            ("[::1", false, false),
            ("0.0.0.0", false, true), // a browser would connect to this machine
            ("", false, false),
            (":7070", false, false),
        ] {
            assert_eq!(Hosts::Loopback(own.clone()).allow(host), loopback, "{host}");
            assert_eq!(Hosts::Addresses(own.clone()).allow(host), addresses, "{host}");
            assert!(Hosts::Any.allow(host));
        }
        let access = Access { hosts: Hosts::Loopback(None), token: None };
        let refused = access.check_host(&request("Host: evil.example\r\n")).unwrap_err();
        assert!(refused.status == 421 && String::from_utf8_lossy(&refused.body).contains("this is not evil.example"));
    }

    #[test]
    fn a_page_of_another_site_gets_nothing() {
        let access = Access { hosts: Hosts::Loopback(None), token: None };
        for (headers, wanted) in [
            ("", 200),
            ("Sec-Fetch-Site: none\r\n", 200),
            ("Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost:7070\r\n", 200),
            ("Sec-Fetch-Site: same-site\r\n", 403),
            ("Sec-Fetch-Site: cross-site\r\n", 403),
            ("Origin: http://localhost:7070\r\n", 200),
            ("Origin: http://localhost:3000\r\n", 403),
            ("Origin: null\r\n", 403),
            ("Origin: http://evil.example\r\n", 403),
        ] {
            let request = request(&format!("Host: localhost:7070\r\n{headers}"));
            assert_eq!(status(access.check(&request)), wanted, "{headers}");
        }
    }

    #[test]
    fn a_token_is_needed_whole() {
        let token = Some(Token::of("0123456789abcdef"));
        let access = Access { hosts: Hosts::Addresses(None), token };
        for (header, wanted) in [
            ("Authorization: Bearer 0123456789abcdef\r\n", 200),
            ("authorization: bearer   0123456789abcdef \r\n", 200),
            ("", 401),
            ("Authorization: Bearer\r\n", 401),
            ("Authorization: Bearer \r\n", 401),
            ("Authorization: Basic 0123456789abcdef\r\n", 401),
            ("Authorization: 0123456789abcdef\r\n", 401),
            ("Authorization: Bearer 0123456789abcde\r\n", 401),
            ("Authorization: Bearer 0123456789abcdeg\r\n", 401),
            ("Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n", 401),
            ("Authorization: Bearer 0123456789ABCDEF\r\n", 401),
        ] {
            let checked = access.check(&request(&format!("Host: a\r\n{header}")));
            if let Err(answer) = &checked {
                assert!(answer.headers.contains(&("WWW-Authenticate", "Bearer".into())), "{answer:?}");
            }
            assert_eq!(status(checked), wanted, "{header}");
        }
        assert_eq!(format!("{:?}", access.token), "Some(Token(…))", "it is not printed");
    }

    #[test]
    fn a_token_file_holds_one_long_word_that_others_cannot_read() {
        let path = std::env::temp_dir().join(format!("stillthere-token-{}", std::process::id()));
        let read = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Token::read(&path)
        };
        assert_eq!(read(" 0123456789abcdef\n", 0o600).unwrap(), (Token::of("0123456789abcdef"), None));
        let (_, warning) = read("0123456789abcdef", 0o640).unwrap();
        assert!(warning.unwrap().ends_with("others may read it (chmod 600 makes it yours alone)"));
        for (text, wanted) in [
            ("", "has 0 characters; 16 are needed"),
            (" 0123456789abcde \n", "has 15 characters"),
            ("01234567 89abcdef", "one word"),
            ("0123456789abcdéf", "in ASCII"),
            (&"x".repeat(5000), "it has 5000 bytes"),
        ] {
            let said = read(text, 0o600).unwrap_err();
            assert!(said.starts_with("--admin-token-file /") && said.contains(wanted), "{said}");
        }
        fs::remove_file(&path).unwrap();
        assert!(Token::read(&path).unwrap_err().contains("cannot be read: No such file"));
    }
}
