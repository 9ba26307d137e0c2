//! Which programs the machine has, and their versions.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where servers and network tools live that an ordinary user's PATH leaves out.
const MORE_PLACES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Where a program is, if it is installed.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(MORE_PLACES.map(PathBuf::from));
    places.map(|place| place.join(program)).find(|path| path.is_file())
}

/// The version number in the output of a program: `1.22.1` of `nginx version: nginx/1.22.1`.
pub fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    number(&String::from_utf8_lossy(&said)).unwrap_or("of an unknown version").to_string()
}

fn number(said: &str) -> Option<&str> {
    let parts = said.split(|c: char| c.is_whitespace() || matches!(c, '/' | '=' | ','));
    parts.into_iter().find(|part| part.starts_with(|c: char| c.is_ascii_digit()) && part.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_a_program_says() {
        assert_eq!(number("nginx version: nginx/1.22.1\n"), Some("1.22.1"));
        assert_eq!(number("Redis server v=7.0.15 sha=00000000:0"), Some("7.0.15"));
        assert_eq!(number("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https"), Some("2.6.12-1+deb12u4"));
        assert_eq!(number("socat by Gerhard Rieger\nsocat version 1.7.4.4 on 06 Nov 2022"), Some("1.7.4.4"));
        assert_eq!(number("no idea"), None);
    }

    #[test]
    fn what_is_not_installed_is_not_found() {
        assert!(installed("sh").is_some() && installed("no-such-program").is_none());
    }
}
