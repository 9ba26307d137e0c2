//! What a request is for: a path, and what is asked in the query.
//!
//! Owns percent-encoding. Knows no path.

use crate::observe::admin::method::Method;

/// The target of a request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Begins with a slash; or `*`.
    pub path: String,
    /// Names and values, in their order.
    pub query: Vec<(String, String)>,
    /// The host, if the target is a whole URL.
    pub host: Option<String>,
}

/// It is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadTarget;

impl Target {
    /// Reads `/path?query`, `http://host/path?query`, or, of OPTIONS, `*`.
    pub(super) fn read(text: &str, method: Method) -> Result<Self, BadTarget> {
        if text == "*" && method == Method::Options {
            return Ok(Self { path: text.to_string(), ..Self::default() });
        }
        let (host, rest) = match scheme(text) {
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let host = &rest[..end];
                // A name and a password in a URL are never meant for us.
                if host.is_empty() || host.contains('@') {
                    return Err(BadTarget);
                }
                (Some(host.to_string()), &rest[end..])
            }
            None => (None, text),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if path.is_empty() && host.is_some() { "/" } else { path };
        if !path.starts_with('/') || text.contains('#') {
            return Err(BadTarget);
        }
        let mut asked = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            asked.push((decoded(name, true)?, decoded(value, true)?));
        }
        Ok(Self { path: decoded(path, false)?, query: asked, host })
    }
}

fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// `%2f` is `/`; in a query, `+` is a space.
fn decoded(text: &str, is_query: bool) -> Result<String, BadTarget> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(BadTarget) };
                (high << 4 | low) as u8
            }
            b'+' if is_query => b' ',
            other => other,
        });
    }
    let decoded = String::from_utf8(bytes).map_err(|_| BadTarget)?;
    if decoded.contains('\0') { Err(BadTarget) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Target, BadTarget> {
        Target::read(text, Method::Get)
    }

    #[test]
    fn a_target_is_a_path_and_a_query() {
        let target = read("/p%65ers/3f-1?from=fe80%3a%3A%2F10&sort=a+b&&limit&x=%e2%82%ac=1").unwrap();
        assert_eq!((target.path.as_str(), target.host), ("/peers/3f-1", None));
        let asked: Vec<_> = target.query.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(asked, ["from:fe80::/10", "sort:a b", "limit:", "x:€=1"]);
        assert_eq!(read("/a+b").unwrap().path, "/a+b", "a plus is a space in a query only");
    }

    #[test]
    fn a_whole_url_names_its_host() {
        for (text, host, path) in [
            ("http://localhost:7070/metrics", "localhost:7070", "/metrics"),
            ("HTTP://[::1]", "[::1]", "/"),
            ("https://a?x=/", "a", "/"),
        ] {
            let target = read(text).unwrap();
            assert_eq!((target.host.as_deref(), target.path.as_str()), (Some(host), path), "{text}");
        }
        assert_eq!(Target::read("*", Method::Options).unwrap().path, "*");
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "",
            "*",
            "peers",
            "?x",
            "/%",
            "/%1",
            "/%zz",
            "/%ff",
            "/%00",
            "/a#b",
            "http://",
            "http:///x",
            "http://a@b/x",
            "ftp://a/x",
            "localhost:80",
            "/x?%",
            "/x?a=%f",
        ] {
            assert_eq!(read(text), Err(BadTarget), "{text}");
        }
    }
}
