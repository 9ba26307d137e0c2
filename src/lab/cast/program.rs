//! The programs that can be tested: our own server, the textbook's, any command line, and presets.
//!
//! Owns what a program is, and how the placeholders in its command line and files are filled in.
//! [`preset`](crate::lab::cast::preset) describes the servers that people run; `server.rs` starts a program.

use std::net::SocketAddr;
use std::time::Duration;

use crate::keepalive::{Guard, Keepalive};
use crate::lab::cast::language::Language;
use crate::speak::Speak;

/// Where a proxy finds the server behind it, in the same namespace.
pub const BACKEND: &str = "127.0.0.1:7008";

/// The right value for a server whose only setting is the user timeout.
pub fn user_timeout(keepalive: &Keepalive) -> Duration {
    match keepalive.clone().without_tcp_info().guard() {
        Guard::UserTimeout(timeout) => timeout,
        _ => keepalive.deadline(),
    }
}

/// The placeholders (words in braces) that are filled in; the name of a file is one, too.
pub const WORDS: [&str; 10] =
    ["addr", "port", "host", "family", "dir", "idle", "interval", "count", "deadline", "user_timeout_ms"];

/// The defaults of keepalive in the server's namespace, for servers that turn it on and set no times. `tcp_retries2` stays
/// as it is: it is a number of retransmissions and not a time, it applies to every connection of a machine, and with a low
/// number living peers on a path that loses packets are given up.
pub const SYSCTLS: [(&str, &str); 3] = [
    ("ipv4/tcp_keepalive_time", "{idle}"),
    ("ipv4/tcp_keepalive_intvl", "{interval}"),
    ("ipv4/tcp_keepalive_probes", "{count}"),
];

/// A file in `{dir}`, written before the program is started. Its name in braces stands for its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: String,
    /// Its content, with placeholders.
    pub template: String,
}

impl File {
    pub fn new(name: &str, template: &str) -> Self {
        Self { name: name.to_string(), template: template.to_string() }
    }
}

/// A program to be tested: how it is started, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    pub speak: Speak,
    /// The request of the client if `speak` is [`Speak::Own`]; and whether the server sends a banner.
    pub language: Language,
    /// The shell command that starts it, with placeholders.
    pub line: String,
    pub files: Vec<File>,
    /// The part that sets the deadline, for the legend of a table, with placeholders.
    pub settings: String,
    pub version: String,
    /// Our own server: it must also not be early, by more than a tenth of a second, and its log is read.
    pub is_ours: bool,
    pub has_backend: bool,
}

impl Program {
    /// Our own server, with these options of `serve`.
    pub fn ours(options: &[String]) -> Self {
        let line = format!("{} serve {{addr}}:{{port}} {}", own_program(), options.join(" "));
        let version = env!("CARGO_PKG_VERSION").to_string();
        let of_deadline = options.chunks(2).filter(|option| option[0] != "--log").map(|option| option.join(" "));
        let settings = of_deadline.collect::<Vec<_>>().join(" ");
        Self { is_ours: true, version, settings, ..Self::of_line("stillthere", line, Speak::Echo) }
    }

    /// The textbook's server.
    pub fn textbook() -> Self {
        let line = format!("{} lab textbook {{addr}}:{{port}} {{idle}} {{interval}} {{count}}", own_program());
        let version = "(keepalive on the socket, and nothing else)".to_string();
        let settings = "SO_KEEPALIVE, TCP_KEEPIDLE {idle}, TCP_KEEPINTVL {interval}, TCP_KEEPCNT {count}".to_string();
        Self { version, settings, ..Self::of_line("textbook", line, Speak::Echo) }
    }

    /// Any other server.
    pub fn of_line(name: &str, line: String, speak: Speak) -> Self {
        Self {
            name: name.to_string(),
            speak,
            language: Language::default(),
            settings: line.clone(),
            line,
            files: Vec::new(),
            version: String::new(),
            is_ours: false,
            has_backend: false,
        }
    }

    /// The line that starts the server behind a proxy.
    pub fn backend(&self) -> Option<String> {
        self.has_backend.then(|| format!("{} serve {BACKEND} --log warn", own_program()))
    }

    /// The value of each placeholder.
    pub fn filling(&self, keepalive: &Keepalive, address: SocketAddr, directory: &str) -> Filling {
        let ip = address.ip();
        let (host, family) = if ip.is_ipv6() { (format!("[{ip}]"), "6") } else { (ip.to_string(), "4") };
        let values = [
            ip.to_string(),
            address.port().to_string(),
            host,
            family.to_string(),
            directory.to_string(),
            keepalive.idle().as_secs().to_string(),
            keepalive.interval().as_secs().to_string(),
            keepalive.count().to_string(),
            keepalive.deadline().as_secs().to_string(),
            user_timeout(keepalive).as_millis().to_string(),
        ];
        let words = WORDS.iter().zip(values).map(|(word, value)| (format!("{{{word}}}"), value));
        let files = self.files.iter().map(|file| (format!("{{{}}}", file.name), format!("{directory}/{}", file.name)));
        // An IPv6 address with a port is written in brackets.
        let both = ("{addr}:{port}".to_string(), address.to_string());
        Filling(std::iter::once(both).chain(files).chain(words).collect())
    }

    /// What sets its deadline, as the legend prints it.
    pub fn told(&self, keepalive: &Keepalive) -> String {
        let words = self.filling(keepalive, SocketAddr::from(([0, 0, 0, 0], 0)), "").0;
        let is_time = |word: &str| !["{addr}", "{port}", "{host}", "{family}", "{dir}"].contains(&word);
        let times = words.into_iter().filter(|(word, _)| WORDS.iter().any(|known| *word == format!("{{{known}}}")));
        Filling(times.filter(|(word, _)| is_time(word)).collect()).fill_in(&self.settings)
    }
}

/// The value of each placeholder.
#[derive(Clone, Debug)]
pub struct Filling(Vec<(String, String)>);

impl Filling {
    pub fn fill_in(&self, text: &str) -> String {
        self.0.iter().fold(text.to_string(), |text, (word, value)| text.replace(word, value))
    }
}

/// A name for the server of a line: its program's, without assignments and its directory.
pub fn name_of(line: &str) -> &str {
    let is_assignment = |word: &&str| word.split_once('=').is_some_and(|(name, _)| is_a_name(name));
    let first = line.split_whitespace().find(|word| !is_assignment(word)).unwrap_or("your server");
    first.rsplit('/').next().unwrap_or(first).trim_matches(|c| matches!(c, '\'' | '"' | ';' | '(' | '{'))
}

/// Whether a line is more than a program and its arguments, so that the shell must keep running.
pub fn wants_a_shell(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    let is_assignment = first.split_once('=').is_some_and(|(name, _)| is_a_name(name));
    let (mut quote, mut escaped) = (None, false);
    let is_the_shells = |c: char| {
        let quoted = quote.is_some() || escaped;
        escaped = c == '\\' && !escaped && quote != Some('\'');
        match quote {
            _ if quoted && quote.is_none() => {}
            None if matches!(c, '\'' | '"') => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        !quoted && matches!(c, ';' | '&' | '|' | '(' | '\n' | '<' | '>')
    };
    is_assignment || first == "exec" || line.chars().any(is_the_shells)
}

/// Whether this can be the name of a shell variable.
fn is_a_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The path of this program, quoted for the shell.
fn own_program() -> String {
    let path = std::env::current_exe().map_or_else(|_| "stillthere".to_string(), |path| path.display().to_string());
    format!("'{}'", path.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_to_be_filled_in_is_filled_in() {
        let five = Keepalive::with_deadline(Duration::from_secs(5)).unwrap();
        let mut program = Program::of_line("x", String::new(), Speak::None);
        program.files.push(File::new("x.conf", ""));
        let fill_in = |address: &str, text: &str| program.filling(&five, address.parse().unwrap(), "/d").fill_in(text);
        assert_eq!(fill_in("[::1]:80", "{addr} {port} {host} {family} {dir}/{port}"), "::1 80 [::1] 6 /d/80");
        assert_eq!(fill_in("[::1]:80", "-l {addr}:{port}"), "-l [::1]:80");
        assert_eq!(fill_in("1.2.3.4:80", "{addr}:{port} {host} {family}"), "1.2.3.4:80 1.2.3.4 4");
        assert_eq!(fill_in("1.2.3.4:80", "{idle} {interval} {count} {deadline}, {x.conf}"), "2 1 3 5, /d/x.conf");
        program.settings = "x {addr} {deadline}".to_string();
        assert_eq!(program.told(&five), "x {addr} 5");
    }

    #[test]
    fn a_line_is_named_after_its_program() {
        assert_eq!(name_of("/usr/sbin/sshd -D"), "sshd");
        assert_eq!(name_of("FOO=1 BAR= 'my server' x=y"), "my");
        assert_eq!(name_of(""), "your server");
    }

    #[test]
    fn a_line_that_is_more_than_a_program_keeps_its_shell() {
        assert!(wants_a_shell("FOO=1 cmd") && wants_a_shell("a && b") && wants_a_shell("cd x; y"));
        assert!(!wants_a_shell("redis-server --save '' --x=1 {port}"));
        assert!(!wants_a_shell("sh -c 'a; b' \"c & d\" e\\;f") && wants_a_shell("sh -c 'a' && b"));
    }
}
