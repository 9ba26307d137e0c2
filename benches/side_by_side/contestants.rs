//! The servers that are measured: a minimal one in C as the limit, ours, and well-known ones.
//!
//! Owns how each is built or found, and started on a port of 127.0.0.1. Knows no measurement.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stillthere::speak::Speak;

/// A connect rate that is higher than any client reaches.
pub const AT_ONCE: u32 = 1_000_000;
/// The connect rate for servers that cannot accept all peers at once.
pub const GENTLE: u32 = 4_000;
/// mosquitto listens with a backlog of 100, and has no option for it. The others accept more slowly than the
/// load generator connects, so that a backlog of 4096 overflows, too.
const SLOW_TO_ACCEPT: [&str; 3] = ["redis", "mosquitto", "haproxy"];
/// The port of the echo server behind a proxy.
pub const BACKEND: u16 = 7199;

pub struct Contestant {
    pub name: &'static str,
    pub speak: Speak,
    pub version: String,
    /// It needs two connections for each peer.
    pub is_a_proxy: bool,
    /// How many connections a second are opened to it. If its backlog is full, SYNs are dropped
    /// and sent again seconds later: that would measure TCP, not the server.
    pub connect_rate: u32,
    pub port: u16,
    pub program: PathBuf,
    arguments: Vec<String>,
}

impl Contestant {
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// All that are installed; what is missing is reported on stderr.
pub fn all(directory: &Path) -> Result<Vec<Contestant>, Box<dyn Error>> {
    let mut all = Vec::new();
    let mut next = BACKEND;
    let mut add = |name, speak, program: PathBuf, version: String, is_a_proxy, line: &dyn Fn(u16) -> String| {
        next += 1;
        let arguments = line(next).split_whitespace().map(str::to_string).collect();
        let connect_rate = if SLOW_TO_ACCEPT.contains(&name) { GENTLE } else { AT_ONCE };
        all.push(Contestant { name, speak, version, is_a_proxy, connect_rate, port: next, program, arguments });
    };
    let limit = build_limit(directory)?;
    add("C epoll", Speak::Echo, limit.clone(), version("cc", "--version"), false, &|port| port.to_string());
    add("C epoll, 16 closes a turn", Speak::Echo, limit, String::new(), false, &|port| format!("{port} 16"));
    let ours = PathBuf::from(std::env::var("STILLTHERE_BINARY").unwrap_or(env!("CARGO_BIN_EXE_stillthere").into()));
    add("stillthere", Speak::Echo, ours, env!("CARGO_PKG_VERSION").into(), false, &|port| {
        format!("serve 127.0.0.1:{port} --deadline 60s --log warn")
    });
    match build_tokio(directory) {
        Some(program) => {
            add("tokio, one thread", Speak::Echo, program, "1".into(), false, &|port| port.to_string());
        }
        None => eprintln!("tokio: benches/tokio_echo could not be built, and is left out"),
    }
    let mut found =
        |name, program: &str, flag, speak, is_a_proxy, line: &dyn Fn(u16) -> String| match installed(program) {
            Some(path) => add(name, speak, path, version(program, flag), is_a_proxy, line),
            None => eprintln!("{name}: `{program}` is not installed, and is left out"),
        };
    let place = directory.display().to_string();
    found("redis", "redis-server", "--version", Speak::Redis, false, &|port| {
        format!(
            "--bind 127.0.0.1 --port {port} --appendonly no --protected-mode no --maxclients 19968 --tcp-keepalive 30 --tcp-backlog 4096 --dir {place}"
        )
    });
    found("memcached", "memcached", "-V", Speak::Memcached, false, &|port| {
        format!("-u root -l 127.0.0.1 -p {port} -U 0 -t 1 -c 19900 -b 4096")
    });
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).expect("a temporary file can be written");
        path.display().to_string()
    };
    found("mosquitto", "mosquitto", "-h", Speak::Mqtt, false, &|port| {
        let text =
            format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\nlog_type none\n");
        format!("-c {}", write("mosquitto.conf", text))
    });
    found("nginx stream", "nginx", "-v", Speak::Echo, true, &|port| {
        let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
        let load = if Path::new(module).exists() { format!("load_module {module};") } else { String::new() };
        let text = format!(
            "{load} user root; daemon off; master_process off; pid {place}/nginx.pid; error_log /dev/null; \
             worker_rlimit_nofile 20000; events {{ worker_connections 20000; }} stream {{ access_log off; server {{ \
             listen 127.0.0.1:{port} so_keepalive=30s:10s:3 backlog=4096; proxy_pass 127.0.0.1:{BACKEND}; \
             proxy_timeout 24h; }} }}\n"
        );
        format!("-p {place} -c {}", write("nginx.conf", text))
    });
    found("haproxy", "haproxy", "-v", Speak::Echo, true, &|port| {
        let text = format!(
            "global\n maxconn 9900\n nbthread 1\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 24h\n timeout server \
             24h\n option clitcpka\nlisten bench\n bind 127.0.0.1:{port} backlog 4096\n server echo 127.0.0.1:{BACKEND}\n"
        );
        format!("-db -f {}", write("haproxy.cfg", text))
    });
    Ok(all)
}

fn build_limit(directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let program = directory.join("epoll_echo");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/limit/epoll_echo.c");
    let status = Command::new("cc").args(["-O2", "-s", "-o"]).arg(&program).arg(source).status()?;
    if status.success() { Ok(program) } else { Err("cc could not build benches/limit/epoll_echo.c".into()) }
}

/// Builds it in a directory that is kept, so that it is built only once.
fn build_tokio(directory: &Path) -> Option<PathBuf> {
    let target = directory.parent()?.join("tokio_echo");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/tokio_echo/Cargo.toml")).arg("--target-dir").arg(&target);
    cargo.status().ok()?.success().then(|| target.join("release/tokio_echo"))
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|place| place.join(program)).find(|path| path.is_file())
}

fn version(program: &str, flag: &str) -> String {
    let Some(path) = installed(program) else { return String::new() };
    let output = Command::new(path).arg(flag).output().map(|output| [output.stdout, output.stderr].concat());
    let said = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    said.split(|c: char| c.is_whitespace() || "/=,()".contains(c)).find(is_number).unwrap_or_default().to_string()
}
