//! The programs that can be put to the test: our own server, the textbook's, anybody's, and presets.
//!
//! Owns how each is started with the same keepalive settings. Knows not how it is run.

use std::net::SocketAddr;
use std::time::Duration;

use crate::keepalive::{Guard, Keepalive};
use crate::lab::programs::{installed, version};
use crate::speak::Speak;

/// Where a proxy finds the server behind it, in the same namespace.
const BACKEND: &str = "127.0.0.1:7008";

/// The name of a file in `{dir}`, and what it holds.
pub type NamedFile = (&'static str, String);

/// A program to be tested, complete.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    pub speak: Speak,
    /// The line of the shell that starts it, with `{addr}`, `{port}` and `{dir}` to be filled in.
    pub line: String,
    /// Files that it needs, in `{dir}`.
    pub files: Vec<NamedFile>,
    pub version: String,
    /// Our own server: it is held to its prediction to the tenth of a second, and its log is read.
    pub is_ours: bool,
    /// It turns keepalive on, and leaves the times to the machine's settings.
    pub by_sysctl: bool,
    has_backend: bool,
}

/// What people run today.
pub struct Preset {
    pub name: &'static str,
    program: &'static str,
    package: &'static str,
    version: &'static str,
    speak: Speak,
    line: fn(&Keepalive) -> String,
    file: Option<fn(&Keepalive) -> NamedFile>,
    by_sysctl: bool,
    has_backend: bool,
}

const PLAIN: Preset = Preset {
    name: "",
    program: "",
    package: "",
    version: "-V",
    speak: Speak::Echo,
    line: |_| String::new(),
    file: None,
    by_sysctl: false,
    has_backend: false,
};

pub const PRESETS: &[Preset] = &[
    Preset {
        name: "redis",
        program: "redis-server",
        package: "redis-server",
        version: "--version",
        speak: Speak::Redis,
        // It takes one number: the idle time. The interval is a third of it, the count is 3.
        line: |keepalive| {
            format!(
                "redis-server --bind {{addr}} --port {{port}} --dir {{dir}} --save '' --appendonly no \
                 --protected-mode no --timeout 0 --tcp-keepalive {}",
                (keepalive.deadline().as_secs() / 2).max(1)
            )
        },
        ..PLAIN
    },
    Preset {
        name: "mosquitto",
        program: "mosquitto",
        package: "mosquitto",
        version: "-h",
        speak: Speak::Mqtt,
        line: |_| "mosquitto -c {dir}/mosquitto.conf".to_string(),
        file: Some(|_| {
            let text = "listener {port} {addr}\nallow_anonymous true\npersistence false\nuser root\nlog_dest stderr\n";
            ("mosquitto.conf", text.to_string())
        }),
        ..PLAIN
    },
    Preset { name: "haproxy", file: Some(|keepalive| haproxy(keepalive, None)), ..HAPROXY },
    Preset {
        name: "haproxy-tcp-ut",
        file: Some(|keepalive| haproxy(keepalive, Some(user_timeout(keepalive)))),
        ..HAPROXY
    },
    Preset {
        name: "nginx",
        program: "nginx",
        package: "nginx libnginx-mod-stream",
        version: "-v",
        line: |_| "nginx -e stderr -p {dir} -c {dir}/nginx.conf".to_string(),
        file: Some(|keepalive| {
            let modules = "/usr/lib/nginx/modules/ngx_stream_module.so";
            let load = if std::path::Path::new(modules).exists() {
                format!("load_module {modules};\n")
            } else {
                String::new()
            };
            let (idle, interval) = (keepalive.idle().as_secs(), keepalive.interval().as_secs());
            let text = format!(
                "{load}daemon off;\nmaster_process off;\npid {{dir}}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
                 stream {{ server {{ listen {{addr}}:{{port}} so_keepalive={idle}s:{interval}s:{};\n\
                 proxy_pass {BACKEND}; proxy_timeout 24h; }} }}\n",
                keepalive.count()
            );
            ("nginx.conf", text)
        }),
        has_backend: true,
        ..PLAIN
    },
    Preset {
        name: "socat",
        program: "socat",
        package: "socat",
        line: |keepalive| {
            format!(
                "socat TCP4-LISTEN:{{port}},bind={{addr}},reuseaddr,fork,keepalive,keepidle={},keepintvl={},keepcnt={} PIPE",
                keepalive.idle().as_secs(),
                keepalive.interval().as_secs(),
                keepalive.count()
            )
        },
        ..PLAIN
    },
    Preset {
        name: "memcached",
        program: "memcached",
        package: "memcached",
        speak: Speak::Memcached,
        line: |_| "memcached -u root -l {addr} -p {port} -U 0".to_string(),
        by_sysctl: true,
        ..PLAIN
    },
];

const HAPROXY: Preset = Preset {
    program: "haproxy",
    package: "haproxy",
    version: "-v",
    line: |_| "haproxy -db -f {dir}/haproxy.cfg".to_string(),
    has_backend: true,
    ..PLAIN
};

/// What would be right for a server that has nothing but the user timeout.
fn user_timeout(keepalive: &Keepalive) -> Duration {
    match keepalive.clone().without_tcp_info().guard() {
        Guard::UserTimeout(timeout) => timeout,
        _ => keepalive.deadline(),
    }
}

fn haproxy(keepalive: &Keepalive, user_timeout: Option<Duration>) -> NamedFile {
    let user_timeout = user_timeout.map_or_else(String::new, |timeout| format!(" tcp-ut {}ms", timeout.as_millis()));
    let text = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 24h\n timeout server 24h\n option clitcpka\n \
         clitcpka-idle {}s\n clitcpka-intvl {}s\n clitcpka-cnt {}\nlisten lab\n bind {{addr}}:{{port}}{user_timeout}\n \
         server echo {BACKEND}\n",
        keepalive.idle().as_secs(),
        keepalive.interval().as_secs(),
        keepalive.count()
    );
    ("haproxy.cfg", text)
}

impl Program {
    /// Our own server, with these options of `serve`.
    pub fn ours(options: &[String]) -> Self {
        let line = format!("{} serve {{addr}}:{{port}} {}", own_program(), options.join(" "));
        let version = env!("CARGO_PKG_VERSION").to_string();
        Self { is_ours: true, version, ..Self::of_line("stillthere", line, Speak::Echo) }
    }

    /// The textbook's server.
    pub fn textbook(keepalive: &Keepalive) -> Self {
        let (idle, interval) = (keepalive.idle().as_secs(), keepalive.interval().as_secs());
        let line = format!("{} lab textbook {{addr}}:{{port}} {idle} {interval} {}", own_program(), keepalive.count());
        let version = "(keepalive on the socket, and nothing else)".to_string();
        Self { version, ..Self::of_line("textbook", line, Speak::Echo) }
    }

    /// Anybody's.
    pub fn of_line(name: &str, line: String, speak: Speak) -> Self {
        Self {
            name: name.to_string(),
            speak,
            line,
            files: Vec::new(),
            version: String::new(),
            is_ours: false,
            by_sysctl: false,
            has_backend: false,
        }
    }

    /// One of [`PRESETS`].
    ///
    /// # Errors
    /// A sentence: it is not installed.
    pub fn of_preset(preset: &Preset, keepalive: &Keepalive) -> Result<Self, String> {
        let Some(program) = installed(preset.program) else {
            let (name, program, package) = (preset.name, preset.program, preset.package);
            return Err(format!("{name}: `{program}` is not installed; `apt install {package}`"));
        };
        Ok(Self {
            files: preset.file.map(|file| file(keepalive)).into_iter().collect(),
            version: version(&program, preset.version),
            by_sysctl: preset.by_sysctl,
            has_backend: preset.has_backend,
            ..Self::of_line(preset.name, (preset.line)(keepalive), preset.speak)
        })
    }

    /// The line that starts the server behind a proxy.
    pub fn backend(&self) -> Option<String> {
        self.has_backend.then(|| format!("{} serve {BACKEND} --log warn", own_program()))
    }

    /// Replaces `{addr}`, `{port}` and `{dir}`.
    pub fn fill_in(&self, text: &str, address: SocketAddr, directory: &str) -> String {
        text.replace("{addr}", &address.ip().to_string())
            .replace("{port}", &address.port().to_string())
            .replace("{dir}", directory)
    }
}

/// This very program, as the shell reads it.
fn own_program() -> String {
    let path = std::env::current_exe().map_or_else(|_| "stillthere".to_string(), |path| path.display().to_string());
    format!("'{}'", path.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_filled_in_is_filled_in() {
        let program = Program::of_line("x", "serve {addr} {port} {dir}/{port}".into(), Speak::None);
        let line = program.fill_in(&program.line, "[::1]:80".parse().unwrap(), "/tmp/d");
        assert_eq!(line, "serve ::1 80 /tmp/d/80");
    }

    #[test]
    fn presets_have_the_settings_in_their_line_or_file() {
        let five = Keepalive::with_deadline(Duration::from_secs(5)).unwrap();
        let texts = |name: &str| {
            let preset = PRESETS.iter().find(|preset| preset.name == name).unwrap();
            (preset.line)(&five) + &preset.file.map(|file| file(&five).1).unwrap_or_default()
        };
        assert!(texts("redis").contains("--tcp-keepalive 2"));
        assert!(texts("socat").contains("keepidle=2,keepintvl=1,keepcnt=3"));
        assert!(texts("nginx").contains("so_keepalive=2s:1s:3;"));
        assert!(!texts("haproxy").contains("tcp-ut"));
        let user_timeout = user_timeout(&five).as_millis();
        assert!(texts("haproxy-tcp-ut").contains(&format!("bind {{addr}}:{{port}} tcp-ut {user_timeout}ms")));
    }
}
