//! The lab with servers that are not ours: small ones written for a trial, and real ones.
//!
//! Owns the trials. They mostly wait, and run several at once. Where network namespaces cannot be created, or
//! a program is not installed, those that need it are ignored, never passed, and stderr says why.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use stillthere::lab::stage::programs::installed;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stillthere");
const PATIENCE: Duration = Duration::from_secs(60);

/// A trial: its name, the programs that it needs, and what it does.
type Needing = (&'static str, &'static [&'static str], fn());

const TRIALS: [Needing; 20] = [
    ("a_server_is_told_the_deadline", &[], a_server_is_told_the_deadline),
    ("a_server_that_leaves_the_times_to_the_machine_has_them", &["perl"], the_machine_s_times),
    ("a_file_is_written_from_a_template", &["perl"], a_file_is_written_from_a_template),
    ("a_daemon_is_found_and_ended", &["perl"], a_daemon_is_found_and_ended),
    ("a_server_that_greets_is_asked_in_its_own_words", &["perl"], own_words),
    ("a_server_that_waits_for_data_is_told_apart", &["perl"], a_server_that_waits_for_data),
    ("a_server_that_closes_late_is_late", &["perl"], a_server_that_closes_late),
    ("a_line_of_the_shell_is_run_by_it", &["perl"], a_line_of_the_shell_is_run_by_it),
    ("a_server_that_listens_elsewhere_is_told_where", &["perl"], a_server_that_listens_elsewhere),
    ("a_server_that_dies_after_it_listened_is_quoted", &["perl"], a_server_that_dies_after_it_listened),
    ("a_time_out_of_the_program_is_told_from_keepalive", &["perl"], a_time_out_of_the_program),
    ("over_ipv6_every_kind_of_fault_is_the_same", &["nft"], over_ipv6),
    ("presets_speak_ipv6", &["socat"], presets_speak_ipv6),
    ("mosquitto_is_given_what_it_may_wait", &["mosquitto", "nsenter"], mosquitto_is_given_what_it_may_wait),
    ("the_kernel_has_the_settings_of_the_presets", &["ss", "nsenter"], the_kernel_has_the_settings),
    ("sshd", &["sshd", "ssh-keygen"], sshd),
    ("vsftpd", &["vsftpd"], vsftpd),
    ("xinetd", &["xinetd"], xinetd),
    ("postgres", &["pg_config", "setpriv"], postgres),
    ("http_of_nginx", &["nginx"], http_of_nginx),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // Some of them start databases and many scenes: all at once would be too slow.
    arguments.test_threads = arguments.test_threads.or(Some(6));
    let missing = (!arguments.list).then(missing).flatten();
    if let Some(missing) = &missing {
        eprintln!("\n*** NO SERVER IS TESTED. {missing} ***\n");
    }
    let trials = TRIALS.map(|(name, needs, run)| {
        let absent = needs.iter().filter(|program| installed(program).is_none()).collect::<Vec<_>>();
        if !absent.is_empty() && !arguments.list {
            eprintln!("{name} is ignored: {absent:?} not installed");
        }
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some() || !absent.is_empty())
    });
    libtest_mimic::run(&arguments, trials.into_iter().collect()).exit();
}

/// What the lab reports as missing on this machine.
fn missing() -> Option<String> {
    let said = stderr(&lab(&["run", "idle/closed"]));
    said.contains("the lab makes").then(|| said.trim().to_string())
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("lab").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lab(arguments: &[&str]) -> Output {
    let child = command(arguments).spawn().expect("the lab starts");
    wait(child)
}

fn wait(mut child: Child) -> Output {
    let until = Instant::now() + PATIENCE;
    // Its output fits into its pipes, so they need not be read meanwhile.
    while child.try_wait().expect("a child can be waited for").is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            panic!("the lab does not end");
        }
        sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("its output can be read")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Both output streams.
fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(output))
}

/// The command must end with this exit code, and print all of these parts.
fn says(arguments: &[&str], code: i32, parts: &[&str]) -> String {
    let output = lab(arguments);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    for part in parts {
        assert!(told.contains(part), "{arguments:?}: {part:?} is missing in: {told}");
    }
    told
}

const KEPT: &str = "kept its promise";

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// A server of a few lines. `before` is done between bind and listen, with the socket `$l`; `each` for each
/// peer, with `$c`, in a process of its own. It turns keepalive on, and nothing else.
fn perl(address: &str, before: &str, each: &str) -> String {
    format!(
        "perl -MSocket -e 'use strict; $| = 1; my ($host, $port) = (\"{address}\", {{port}}); $SIG{{CHLD}} = \"IGNORE\"; \
         socket(my $l, PF_INET, SOCK_STREAM, 0) or die; setsockopt($l, SOL_SOCKET, SO_REUSEADDR, 1); \
         setsockopt($l, SOL_SOCKET, SO_KEEPALIVE, 1); bind($l, sockaddr_in($port, inet_aton($host))) or die $!; \
         {before}; listen($l, 128) or die; while (1) {{ accept(my $c, $l) or next; next if fork; close $l; \
         {each}; exit }}'"
    )
}

const ECHO: &str = "my $b; while (sysread($c, $b, 4096)) { syswrite($c, $b) or exit }";

fn a_server_is_told_the_deadline() {
    let line = "sh -c 'echo told {idle} {interval} {count} {deadline}, {family} {host} {addr}:{port}; exit 3'";
    let run = ["run", "idle/reset", "--server", line, "--deadline", "5s"];
    says(&run, 1, &["told 2 1 3 5, 4 203.0.113.2 203.0.113.2:7007", "exit status: 3"]);
    says(&[&run[..], &["--ipv6"]].concat(), 1, &["told 2 1 3 5, 6 [2001:db8:0:113::2] [2001:db8:0:113::2]:7007"]);
    // A word that is nearly a placeholder is reported; variables of the shell are left alone.
    says(
        &["run", "idle", "--server", "x {port} {intervall}"],
        2,
        &["{intervall} is not filled in", "did you mean interval?"],
    );
    let mixed = ["run", "idle", "--server", "x {port}", "--speak", "redis", "--ask", "x"];
    says(&mixed, 2, &["--ask x", "--speak"]);
    says(&["run", "idle", "--server", "x {port}", "--ask", "a\\q"], 2, &["--ask a\\q", "\\xNN"]);
    says(&["run", "idle", "--server", "x {port}", "--ask", "a", "--answer", "("], 2, &["--answer ("]);
    says(&["run", "idle", "--name", "x"], 2, &["--name x", "--server"]);
    says(&["run", "idle", "--server", "x {port}", "--file", "a/b=c"], 2, &["a/b=c", "no path"]);
    says(&["run", "idle", "--server", "x {port}", "--file", "a=/no/such"], 2, &["cannot read /no/such"]);
}

/// The server sets SO_KEEPALIVE and no times: those of the namespace apply.
fn the_machine_s_times() {
    let line = perl("{addr}", "", ECHO);
    let run = ["run", "idle/black-hole", "--deadline", "3s", "--cap", "10s", "--name", "mine", "--server", &line];
    says(&run, 0, &[KEPT]);
}

fn a_file_is_written_from_a_template() {
    let template = scratch("template");
    fs::write(&template, perl("{addr}", "print STDERR qq(template of {deadline})", ECHO)).expect("it can be written");
    let file = format!("start.sh={}", template.display());
    says(&["run", "exchanged/reset", "--server", "sh {start.sh}", "--file", &file], 0, &[KEPT]);
    fs::remove_file(template).expect("the file can be removed");
}

/// The process that was started exits with 0, and another one, in a new session, listens.
fn a_daemon_is_found_and_ended() {
    let pids = scratch("daemon");
    let each =
        format!("open(my $f, \">>\", \"{}\"); print $f \"$$ \", getppid(), \"\\n\"; close $f; {ECHO}", pids.display());
    let line = perl("{addr}", "exit if fork; use POSIX (); POSIX::setsid()", &each);
    let run = |scene| says(&["run", scene, "--deadline", "3s", "--cap", "10s", "--server", &line], 0, &[KEPT]);
    run("exchanged/black-hole");
    run("accept-queue/black-hole"); // the daemon is stopped, although it has left the process group
    let written = fs::read_to_string(&pids).expect("the daemon wrote its process ids");
    let all = written.split_whitespace().map(|pid| format!("/proc/{pid}")).collect::<Vec<_>>();
    assert!(all.len() >= 2, "{written}");
    for process in all {
        let state = fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
        let is_ours = state.contains("(perl)") && !state.contains(") Z ");
        assert!(!is_ours, "{process} lives: {state}");
    }
    fs::remove_file(pids).expect("the file can be removed");
    // A daemon that dies in the background is reported as such, whether its parent ends before the daemon listens, or its
    // end is noticed only when both are gone: one signal ends them all, the sender first.
    for (before, told) in [
        ("exit if fork; POSIX::setsid(); sleep 1", "went to the background, and has ended there"),
        ("if (fork) { wait; exit } POSIX::setsid()", "so have the processes that it had in the background"),
    ] {
        let dies = perl("{addr}", before, "kill -9, getpgrp()")
            .replace("-MSocket", "-MPOSIX -MSocket")
            .replace("$SIG{CHLD} = \"IGNORE\"; ", "");
        says(&["run", "idle/none", "--server", &dies], 1, &[told]);
    }
}

/// A client that has closed and has received everything still answers the server's probes: that does not excuse a late
/// close.
fn a_server_that_closes_late() {
    let line = perl("{addr}", "", &format!("{ECHO} sleep 6"));
    for scene in ["window-shut/closed", "reading-slowly/closed"] {
        let run = ["run", scene, "--deadline", "3s", "--cap", "12s", "--server", &line];
        says(&run, 1, &["BROKE ITS PROMISE"]);
    }
}

fn own_words() {
    let each = "syswrite($c, qq(220 hello\\r\\n)); my $b; \
                while (sysread($c, $b, 4096)) { syswrite($c, qq(250 OK\\r\\n) x ($b =~ tr/\\n//)) or exit }";
    let line = perl("{addr}", "", each);
    let run = |scene, answer, more: &[&str]| {
        let words = ["run", scene, "--deadline", "3s", "--keep", "4s", "--cap", "10s", "--server", &line];
        lab(&[&words, &["--ask", "NOOP\\r\\n", "--answer", answer][..], more].concat())
    };
    for scene in ["exchanged/black-hole", "window-shut/none", "in-flight/none", "reading-paused/reset"] {
        let output = run(scene, "^250 OK\\r\\n", &["--banner"]);
        assert!(output.status.success(), "{scene}: {}", told(&output));
    }
    // The banner does not count as the answer.
    let output = run("exchanged/none", "^331 ", &["--banner"]);
    assert!(told(&output).contains("it said \"250 OK"), "{}", told(&output));
    assert!(told(&output).contains("its banner was") && told(&output).contains("--ask"), "{}", told(&output));
}

/// TCP_DEFER_ACCEPT: until data arrive, only the kernel knows the connection.
fn a_server_that_waits_for_data() {
    let line = perl("{addr}", "setsockopt($l, 6, 9, pack(q(i), 30))", ECHO);
    let run = |scene| lab(&["run", scene, "--deadline", "3s", "--cap", "10s", "--server", &line]);
    let idle = run("idle/none");
    assert!(told(&idle).contains("TCP_DEFER_ACCEPT"), "{}", told(&idle));
    for scene in ["exchanged/black-hole", "accept-queue/black-hole"] {
        let output = run(scene);
        assert!(output.status.success(), "{scene}: {}", told(&output));
    }
}

fn a_line_of_the_shell_is_run_by_it() {
    let line = format!("FOO=1 true && cd / && BAR=2 {}", perl("{addr}", "die unless $ENV{BAR} == 2", ECHO));
    let told = says(&["matrix", "exchanged/reset", "--server", &line], 0, &["the scene kept its promise"]);
    assert!(told.contains("true"), "named after the first program: {told}");
    says(&["matrix", "exchanged/reset", "--server", &line, "--name", "mine"], 0, &["mine  ", "set by: FOO=1 true"]);
}

fn a_server_that_listens_elsewhere() {
    let run = |line: &str| {
        let run = ["run", "idle/none", "--start-patience", "1s", "--server", line];
        says(&run, 1, &["never listened on 203.0.113.2:7007", "1s were not enough", "It said: \"hear me"])
    };
    let before = "print STDERR qq(hear me\\n)";
    let told = run(&perl("127.0.0.1", before, ECHO));
    assert!(told.contains("It listens on 127.0.0.1:7007."), "{told}");
    let told = run(&perl("0.0.0.0", before, ECHO).replace("{port}", "{port} + 1"));
    assert!(told.contains("It listens on 0.0.0.0:7008."), "{told}");
}

fn a_server_that_dies_after_it_listened() {
    let line =
        perl("{addr}", "if (fork == 0) { sleep 1; print STDERR qq(alas\\n); kill 9, getppid(); exit }", "sleep 60");
    says(&["run", "idle/none", "--server", &line], 1, &["has ended by itself", "signal: 9", "alas"]);
    // The server dies at once, before the client can connect; and when it gets a request.
    let line = perl("{addr}", "listen($l, 1); print STDERR qq(alas\\n); exit 3", "");
    says(&["run", "idle/none", "--server", &line], 1, &["alas"]);
    let line = perl("{addr}", "", "my $b; sysread($c, $b, 1); print STDERR qq(alas\\n); kill 9, getppid(); exit");
    says(&["run", "exchanged/none", "--server", &line], 1, &["has ended by itself", "alas"]);
}

fn a_time_out_of_the_program() {
    // It closes after two seconds of silence, even if the peer is alive.
    let each = "my $b; local $SIG{ALRM} = sub { exit }; while (1) { alarm 2; sysread($c, $b, 4096) or exit; syswrite($c, $b) }";
    let line = perl("{addr}", "", each);
    let json = scratch("own.json");
    let path = json.display().to_string();
    let scenes = ["exchanged/none", "exchanged/black-hole", "exchanged/closed"];
    let options = ["--deadline", "3s", "--keep", "6s", "--server", &line, "--name", "sleepy", "--json", &path];
    let told =
        says(&[&["matrix"], &scenes[..], &options].concat(), 1, &["2 ended by a time-out of the program's own (†)"]);
    assert!(told.contains("✗†") && told.contains("✓†"), "{told}");
    let text = fs::read_to_string(&json).expect("the file is written");
    assert_eq!(text.matches("\"own_time_out\":true").count(), 2);
    fs::remove_file(json).expect("the file can be removed");
}

fn over_ipv6() {
    let scenes = [
        "idle/black-hole",
        "idle/arp-gone",
        "idle/rebooted",
        "in-flight/link-down",
        "in-flight/nat-forgot",
        "window-shut/black-hole",
        "window-shut/none",
        "accept-queue/black-hole",
        "exchanged/lossy-10",
    ];
    let output = lab(&[&["matrix", "--ipv6", "--keep", "8s", "--jobs", "9"], &scenes[..]].concat());
    let told = told(&output);
    assert!(output.status.success() && !told.contains("could not be played"), "{told}");
    // A router's ICMPv6 error and a neighbour that does not answer cause the same errno as with IPv4.
    for (scene, parts) in [
        ("in-flight/host-unreachable", ["ICMP", "EHOSTUNREACH"]),
        ("in-flight/arp-gone", ["neighbour", "EHOSTUNREACH"]),
        ("in-flight/admin-prohibited", ["ICMP", "EACCES"]),
    ] {
        says(&["run", "--ipv6", scene], 0, &parts);
    }
}

/// Whether nginx can be played: Debian has what it needs for that in a package of its own.
fn has_stream() -> bool {
    let Some(nginx) = installed("nginx") else { return false };
    let told = Command::new(nginx).arg("-V").output().expect("nginx tells how it was built");
    let told = String::from_utf8_lossy(&told.stderr);
    let has = told.split_whitespace().any(|option| option == "--with-stream")
        || Path::new("/usr/lib/nginx/modules/ngx_stream_module.so").exists();
    if !has {
        eprintln!(
            "\n*** THE PRESET OF NGINX IS NOT TESTED: it lacks its stream module; `apt install libnginx-mod-stream`. ***\n"
        );
    }
    has
}

fn presets_speak_ipv6() {
    let mut there = vec!["redis", "mosquitto", "haproxy", "socat", "memcached"];
    there.extend(has_stream().then_some("nginx"));
    let output = lab(&["matrix", "exchanged/reset", "--ipv6", "--jobs", "10", "--preset", &there.join(",")]);
    let told = told(&output);
    assert!(output.status.success() && !told.contains("could not be played") && !told.contains("BROKE"), "{told}");
}

/// Begins a scene of a preset. Returns the lab's process and the name of the server's namespace.
fn begin(preset: &str, scene: &str, more: &[&str]) -> (Child, String) {
    let child = command(&[&["run", scene, "--preset", preset], more].concat()).spawn().expect("the lab starts");
    let own = fs::metadata("/proc/self/ns/pid").expect("every process is in a PID namespace").ino();
    let name = format!("stillthere-lab-{}.{own}-1-server", child.id());
    (child, format!("/run/netns/{name}"))
}

fn within(namespace: &str, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={namespace}")).arg(program).args(arguments);
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The deadline is 1.5 times the keep-alive that the client announces, and the broker checks every six seconds.
fn mosquitto_is_given_what_it_may_wait() {
    let told = says(
        &["matrix", "exchanged/none", "--preset", "mosquitto", "--deadline", "12s", "--keep", "26s"],
        0,
        &["kept ✓"],
    );
    assert!(told.contains("keep-alive 8, of which a broker waits one and a half times"), "{told}");
}

/// The kernel uses the settings that a preset's command line has: the idle time and the interval are read from the running
/// timer, the count follows from the time of the departure.
fn the_kernel_has_the_settings() {
    let presets = [
        ("redis", "redis-server"),
        ("haproxy", "haproxy"),
        ("nginx", "nginx"),
        ("socat", "socat"),
        ("memcached", "memcached"),
    ];
    let there = presets.into_iter().filter(|(_, program)| installed(program).is_some());
    let there = there.filter(|(name, _)| *name != "nginx" || has_stream());
    let watched = there.map(|(name, _)| (name, std::thread::spawn(move || timers_of(name))));
    for (name, watch) in watched.collect::<Vec<_>>() {
        let longest = watch.join().expect("it is watched");
        let (idle, interval) = if name == "redis" { (5.0, 1.0) } else { (4.0, 2.0) };
        println!("{name}: {longest:?}");
        assert!(longest[0] > idle - 1.0 && longest[0] <= idle + 0.1, "{name}: idle {}", longest[0]);
        assert!(longest[1] > interval - 0.7 && longest[1] <= interval + 0.1, "{name}: interval {}", longest[1]);
    }
}

/// The longest remaining time of the keepalive timer that was observed after zero, one, two and three probes.
fn timers_of(preset: &str) -> [f64; 4] {
    // idle 4, interval 2, count 3; of redis 5, 1, 3.
    let settings = ["--idle", "4s", "--interval", "2s", "--count", "3", "--cap", "14s"];
    let (mut child, namespace) = begin(preset, "idle/black-hole", &settings);
    let mut longest = [0.0_f64; 4];
    while child.try_wait().expect("a child can be waited for").is_none() {
        let table = within(&namespace, "ss", &["-tnoH", "state", "established"]);
        for line in table.lines().filter(|line| line.contains(":7007 ")) {
            let Some((_, timer)) = line.split_once("timer:(keepalive,") else { continue };
            let mut fields = timer.trim().trim_end_matches(')').split(',');
            let (left, probes) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            // `724ms`, `4.724ms` (which means 4 s and 724 ms), `4sec`.
            let number = left.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse::<f64>().unwrap_or(0.0);
            let is_small = left.ends_with("ms") && !left.contains('.');
            let seconds = if is_small { number / 1000.0 } else { number };
            let probes = probes.parse::<usize>().unwrap_or(0).min(3);
            longest[probes] = longest[probes].max(seconds);
        }
        sleep(Duration::from_millis(50));
    }
    let output = wait(child);
    assert!(output.status.success(), "{preset}: {}", told(&output));
    longest
}

fn sshd() {
    // It goes to the background, sends a banner, and sets no keepalive times.
    let line = "ssh-keygen -q -t ed25519 -N '' -f {dir}/key && mkdir -p /run/sshd && exec $(command -v sshd) -e -f /dev/null \
                -h {dir}/key -p {port} -o ListenAddress={addr} -o PidFile={dir}/pid -o LoginGraceTime=0";
    let run = |scene, more: &[&str]| {
        says(&[&["run", scene, "--server", line, "--name", "sshd", "--cap", "10s"], more].concat(), 0, &[KEPT])
    };
    run("idle/black-hole", &[]);
    run("exchanged/black-hole", &["--banner", "--ask", "SSH-2.0-lab\\r\\n", "--answer", "curve25519"]);
}

fn vsftpd() {
    let template = scratch("vsftpd");
    let text = "listen=YES\nbackground=YES\nlisten_address={addr}\nlisten_port={port}\nlocal_enable=YES\n\
                anonymous_enable=NO\nseccomp_sandbox=NO\nsecure_chroot_dir={dir}\nidle_session_timeout=86400\n";
    fs::write(&template, text).expect("it can be written");
    let file = format!("vsftpd.conf={}", template.display());
    let words = ["--banner", "--ask", "SYST\\r\\n", "--answer", "^530 "];
    let server = ["--server", "vsftpd {vsftpd.conf}", "--file", &file, "--cap", "10s"];
    says(&[&["run", "exchanged/black-hole"], &server[..], &words].concat(), 0, &[KEPT]);
    fs::remove_file(template).expect("the file can be removed");
}

fn xinetd() {
    let template = scratch("xinetd");
    let text = "defaults\n{\n}\nservice lab\n{\ntype = UNLISTED INTERNAL\nid = echo-stream\nprotocol = tcp\nsocket_type = stream\n\
                wait = no\nuser = root\nport = {port}\nbind = {addr}\nflags = KEEPALIVE\n}\n";
    let text = text.replace("service lab", "service echo");
    fs::write(&template, text).expect("it can be written");
    let file = format!("xinetd.conf={}", template.display());
    let server = ["--server", "xinetd -f {xinetd.conf} -pidfile {dir}/pid", "--file", &file, "--cap", "10s"];
    says(&[&["run", "exchanged/black-hole"], &server[..]].concat(), 0, &[KEPT]);
    fs::remove_file(template).expect("the file can be removed");
}

fn postgres() {
    // It refuses to run as root, and needs a data directory.
    let line = "bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1) && as='setpriv --reuid=postgres --regid=postgres --clear-groups' && \
                install -d -o postgres {dir}/data && cd {dir}/data && $as $bin/initdb -A trust -D {dir}/data >{dir}/initdb.log && \
                exec $as $bin/postgres -D {dir}/data -h {addr} -p {port} -k '' -c tcp_keepalives_idle={idle} \
                -c tcp_keepalives_interval={interval} -c tcp_keepalives_count={count} -c tcp_user_timeout={user_timeout_ms} \
                -c fsync=off";
    let access = "&& echo 'host all all all trust' >>{dir}/data/pg_hba.conf && exec";
    let line = line.replace("&& exec", "&& echo 'host all all all trust' >>{dir}/data/pg_hba.conf && exec");
    assert!(line.contains(access));
    let options =
        ["--server", &line, "--name", "postgres", "--speak", "postgres", "--start-patience", "40s", "--cap", "10s"];
    let scenes = ["exchanged/black-hole", "in-flight/black-hole", "window-shut/black-hole", "idle/none"];
    let told = says(&[&["matrix"], &scenes[..], &options].concat(), 0, &["all 4 scenes kept their promise"]);
    assert!(!told.contains("ended by a time-out"), "{told}");
}

fn http_of_nginx() {
    let template = scratch("nginx");
    let text = "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n\
                keepalive_timeout 1d;\nkeepalive_requests 1000000;\nserver {\n\
                listen {addr}:{port} so_keepalive={idle}s:{interval}s:{count};\nlocation / { return 200 hello; }\n} }\n";
    fs::write(&template, text).expect("it can be written");
    let file = format!("nginx.conf={}", template.display());
    let line = "nginx -e stderr -p {dir} -c {nginx.conf}";
    let options = ["--server", line, "--file", &file, "--speak", "http", "--keep", "8s", "--cap", "10s"];
    let scenes = ["exchanged/black-hole", "window-shut/none", "in-flight/none"];
    says(&[&["matrix"], &scenes[..], &options].concat(), 0, &["all 3 scenes kept their promise"]);
    fs::remove_file(template).expect("the file can be removed");
}
