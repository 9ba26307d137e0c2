//! The servers that people run, each with the settings that keep a deadline best.
//!
//! Owns the presets: how each is started, and the settings of its deadline. A setting is used if the program has it for
//! this purpose, and if it does not drop a living peer that is merely silent: an idle time-out of the program is off, or
//! a day. The machine's defaults are set for all programs (see [`SYSCTLS`](crate::lab::cast::program::SYSCTLS)). Does not
//! know how a program is run.

use std::path::Path;
use std::time::Duration;

use crate::keepalive::Keepalive;
use crate::lab::cast::program::{BACKEND, File, Program};
use crate::lab::stage::programs::{installed, version};
use crate::speak::Speak;

/// The servers that people run today.
pub struct Preset {
    pub name: &'static str,
    program: &'static str,
    package: &'static str,
    version: &'static str,
    speak: Speak,
    line: &'static str,
    file: Option<fn() -> File>,
    /// The part of the command line or of the file that sets the deadline.
    settings: fn(&Keepalive) -> String,
    has_backend: bool,
}

const PLAIN: Preset = Preset {
    name: "",
    program: "",
    package: "",
    version: "-V",
    speak: Speak::Echo,
    line: "",
    file: None,
    settings: |_| String::new(),
    has_backend: false,
};

pub const PRESETS: &[Preset] = &[
    Preset {
        name: "redis",
        program: "redis-server",
        package: "redis-server",
        version: "--version",
        speak: Speak::Redis,
        line: "redis-server --bind {addr} --port {port} --dir {dir} --save '' --appendonly no --protected-mode no \
               --timeout 0 {settings}",
        settings: |keepalive| format!("--tcp-keepalive {}", redis_keepalive(keepalive.deadline())),
        ..PLAIN
    },
    Preset {
        name: "mosquitto",
        program: "mosquitto",
        package: "mosquitto",
        version: "-h",
        speak: Speak::Mqtt,
        line: "mosquitto -c {dir}/mosquitto.conf",
        file: Some(|| {
            let text = "listener {port} {addr}\nallow_anonymous true\npersistence false\nuser root\nlog_dest stderr\n";
            File::new("mosquitto.conf", text)
        }),
        // It has no setting for this: the keep-alive in the client's CONNECT decides.
        settings: |keepalive| {
            let announced = mqtt_keepalive(keepalive.deadline());
            format!("the client's CONNECT with keep-alive {announced}, of which a broker waits one and a half times")
        },
        ..PLAIN
    },
    Preset { name: "haproxy", ..HAPROXY },
    Preset {
        name: "haproxy-tcp-ut",
        file: Some(|| haproxy(" tcp-ut {user_timeout_ms}ms")),
        settings: |_| format!("{HAPROXY_KEEPALIVE}; bind … tcp-ut {{user_timeout_ms}}ms"),
        ..HAPROXY
    },
    Preset {
        name: "nginx",
        program: "nginx",
        package: "nginx libnginx-mod-stream",
        version: "-v",
        line: "nginx -e stderr -p {dir} -c {dir}/nginx.conf",
        file: Some(nginx),
        settings: |_| NGINX_KEEPALIVE.to_string(),
        has_backend: true,
        ..PLAIN
    },
    Preset { name: "socat", settings: |_| SOCAT_KEEPALIVE.to_string(), ..SOCAT },
    Preset {
        name: "socat-user-timeout",
        // socat has no name for this option, but sets any option by number: IPPROTO_TCP, TCP_USER_TIMEOUT.
        settings: |_| format!("{SOCAT_KEEPALIVE},setsockopt-int=6:18:{{user_timeout_ms}}"),
        ..SOCAT
    },
    Preset {
        name: "memcached",
        program: "memcached",
        package: "memcached",
        speak: Speak::Memcached,
        line: "memcached -u root -l {addr}:{port} -p {port} -U 0",
        settings: |_| "none of its own: SO_KEEPALIVE, and the machine's times".to_string(),
        ..PLAIN
    },
];

const HAPROXY: Preset = Preset {
    program: "haproxy",
    package: "haproxy",
    version: "-v",
    line: "haproxy -db -f {dir}/haproxy.cfg",
    file: Some(|| haproxy("")),
    settings: |_| HAPROXY_KEEPALIVE.to_string(),
    has_backend: true,
    ..PLAIN
};

const SOCAT: Preset = Preset {
    program: "socat",
    package: "socat",
    // It echoes through a pipe that only socat itself writes and reads. A pipe is writable as soon as PIPE_BUF bytes fit (pipe(7)), and
    // a longer write would wait for socat itself: with its default of 8 KiB it hangs forever once the peer stops reading.
    line: "socat -b 4096 TCP{family}-LISTEN:{port},bind={host},reuseaddr,fork,{settings} PIPE",
    ..PLAIN
};

const HAPROXY_KEEPALIVE: &str =
    "option clitcpka; clitcpka-idle {idle}s; clitcpka-intvl {interval}s; clitcpka-cnt {count}";
const NGINX_KEEPALIVE: &str = "listen … so_keepalive={idle}s:{interval}s:{count}";
const SOCAT_KEEPALIVE: &str = "keepalive,keepidle={idle},keepintvl={interval},keepcnt={count}";

/// redis takes one number, the idle time: the interval is a third of it, but at least a second, and the count is 3
/// (`anetKeepAlive`). Returns the longest idle time with which a silent peer is gone by the deadline; 1 if there is none.
fn redis_keepalive(deadline: Duration) -> u64 {
    let gone = |idle: u64| idle + 3 * (idle / 3).max(1);
    (1..=deadline.as_secs()).rev().find(|idle| gone(*idle) <= deadline.as_secs()).unwrap_or(1)
}

/// The keep-alive that an MQTT client announces, in seconds. A broker waits up to one and a half times that (MQTT 3.1.1,
/// 3.1.2.10), so it is two thirds of the deadline. It is rounded down, because rounding up would make a broker late that
/// waits for the whole time.
pub fn mqtt_keepalive(deadline: Duration) -> u16 {
    u16::try_from(deadline.as_secs() * 2 / 3).unwrap_or(u16::MAX).max(1)
}

fn haproxy(user_timeout: &str) -> File {
    let keepalive = HAPROXY_KEEPALIVE.replace("; ", "\n ");
    let text = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 24h\n timeout server 24h\n {keepalive}\n\
         listen lab\n bind {{addr}}:{{port}}{user_timeout}\n server echo {BACKEND}\n"
    );
    File::new("haproxy.cfg", &text)
}

fn nginx() -> File {
    let modules = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let load = if Path::new(modules).exists() { format!("load_module {modules};\n") } else { String::new() };
    let listen = NGINX_KEEPALIVE.replace('…', "{addr}:{port}");
    let text = format!(
        "{load}daemon off;\nmaster_process off;\npid {{dir}}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
         stream {{ server {{ {listen};\nproxy_pass {BACKEND}; proxy_timeout 24h; }} }}\n"
    );
    File::new("nginx.conf", &text)
}

impl Preset {
    /// The program, with these settings.
    ///
    /// # Errors
    /// A sentence: it is not installed.
    pub fn program(&self, keepalive: &Keepalive) -> Result<Program, String> {
        let Some(program) = installed(self.program) else {
            let (name, program, package) = (self.name, self.program, self.package);
            return Err(format!("{name}: `{program}` is not installed; `apt install {package}`"));
        };
        Ok(Program { version: version(&program, self.version), ..self.described(keepalive) })
    }

    fn described(&self, keepalive: &Keepalive) -> Program {
        let settings = (self.settings)(keepalive);
        let line = self.line.replace("{settings}", &settings);
        Program {
            files: self.file.map(|file| file()).into_iter().collect(),
            has_backend: self.has_backend,
            settings,
            ..Program::of_line(self.name, line, self.speak)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn presets_have_the_settings_in_their_line_or_file() {
        let five = Keepalive::with_deadline(seconds(5)).unwrap();
        let texts = |name: &str| {
            let preset = PRESETS.iter().find(|preset| preset.name == name).unwrap();
            let program = preset.described(&five);
            let files = program.files.iter().map(|file| file.template.as_str()).collect::<String>();
            let filling = program.filling(&five, "203.0.113.2:7007".parse().unwrap(), "/d");
            (filling.fill_in(&(program.line.clone() + &files)), filling.fill_in(&program.settings))
        };
        for (name, part) in [
            ("redis", "--tcp-keepalive 2"),
            ("socat", "keepidle=2,keepintvl=1,keepcnt=3"),
            ("socat-user-timeout", "keepcnt=3,setsockopt-int=6:18:4"),
            ("nginx", "so_keepalive=2s:1s:3"),
        ] {
            let (run, told) = texts(name);
            assert!(run.contains(part) && told.contains(part), "{name}: {run}\n{told}");
        }
        assert!(
            texts("haproxy").0.contains("\n option clitcpka\n clitcpka-idle 2s\n")
                && !texts("haproxy").0.contains("tcp-ut")
        );
        assert!(texts("nginx").0.contains("listen 203.0.113.2:7007 so_keepalive=2s:1s:3;"));
        let user_timeout = crate::lab::cast::program::user_timeout(&five).as_millis();
        assert!(texts("haproxy-tcp-ut").0.contains(&format!("bind 203.0.113.2:7007 tcp-ut {user_timeout}ms")));
    }

    #[test]
    fn a_broker_that_waits_as_long_as_it_may_keeps_the_deadline() {
        for deadline in 3..200 {
            let keepalive = u64::from(mqtt_keepalive(seconds(deadline)));
            assert!(keepalive * 3 <= deadline * 2 && (keepalive + 1) * 3 > deadline * 2, "{deadline}");
        }
    }

    #[test]
    fn redis_is_told_the_longest_that_keeps_the_deadline() {
        let told = [4, 5, 6, 12, 35, 36].map(|deadline| redis_keepalive(seconds(deadline)));
        assert_eq!(told, [1, 2, 3, 6, 17, 18], "1 and 3 probes of a second; …; 17 and 15 s; 18 and 18 s");
    }
}
