//! Command lines, good and bad, without a process.

use std::time::Duration;

use super::*;
use crate::keepalive::State;
use crate::reactor::{Limits, WhenFull};
use crate::serve::{Beats, ServeSettings, ServiceName};

#[cfg(feature = "admin")]
mod ask;
#[cfg(feature = "config")]
mod configuration;
mod environment;
#[cfg(feature = "plan")]
mod plan;

fn read(line: &str, environment: &[(&str, &str)]) -> Result<Command, Usage> {
    let lookup =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    read_words(line.split_whitespace().map(OsString::from), &lookup)
}

fn read_words(words: impl IntoIterator<Item = OsString>, environment: &Environment<'_>) -> Result<Command, Usage> {
    #[cfg(feature = "config")]
    return Command::read(words, environment, &|path| Err(format!("there is no {}", path.display())));
    #[cfg(not(feature = "config"))]
    Command::read(words, environment)
}

fn settings(line: &str, environment: &[(&str, &str)]) -> ServeSettings {
    match read(line, environment) {
        Ok(Command::Serve(settings)) => *settings,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    read(line, &[]).expect_err(line).to_string()
}

/// The help prints each default from the settings. Given as a value, it must change nothing.
#[test]
fn the_defaults_in_the_help_are_those_that_hold() {
    type Of = fn(&str) -> arguments::Preset;
    let commands: &[(&str, Table, Of)] = &[
        ("serve --service heartbeat", serve_options::OPTIONS, serve_options::preset),
        #[cfg(feature = "admin")]
        ("who", ask_options::WHO, ask_options::preset),
        #[cfg(feature = "admin")]
        ("drop 3f-2a", ask_options::DROP, ask_options::preset),
        #[cfg(feature = "top")]
        ("top", ask_options::TOP, ask_options::preset),
        #[cfg(feature = "lab")]
        ("lab matrix", lab_options::OPTIONS, |_| arguments::Preset::None),
        #[cfg(feature = "load")]
        ("load 127.0.0.1:1", load_options::OPTIONS, load_options::preset),
        #[cfg(feature = "plan")]
        ("plan", plan_options::OPTIONS, plan_options::preset),
    ];
    let mut checked = 0;
    for (command, options, preset) in commands {
        let without = format!("{:?}", read(command, &[]));
        for option in *options {
            let (before, preset, after) = help::words(option, *preset);
            let words = format!("{before}{preset}{after}");
            let is_filled = !matches!(preset, arguments::Preset::None);
            assert_eq!(is_filled, option.help.contains("{}"), "{command} --{}", option.name);
            // One of several names, `echo (default), discard or heartbeat`; or a value, `4096`.
            let default = match words.split_once(" (default)") {
                Some((before, _)) => before.rsplit(' ').next().unwrap(),
                None => match words.split_once("(default ") {
                    Some((_, value)) => value.trim_end_matches(')'),
                    None => continue,
                },
            };
            if option.name == "service" {
                assert_eq!(told(&format!("serve --service {default}"), &[]), told("serve", &[]));
                continue;
            }
            let line = format!("{command} --{} {default}", option.name);
            // A plan remembers whether its deadline was given.
            let with = format!("{:?}", read(&line, &[])).replace("given: true", "given: false");
            assert_eq!(with, without, "{line}");
            checked += 1;
        }
    }
    assert!(checked > 5, "{checked}");
}

#[test]
fn everything_has_a_default() {
    let settings = settings("serve", &[]);
    assert_eq!(settings.places, ["127.0.0.1:7007".parse().unwrap()]);
    assert_eq!(settings.keepalive.deadline(), Duration::from_secs(35));
    assert_eq!((settings.backlog, settings.grace), (4096, Duration::from_secs(10)));
    assert_eq!((settings.service, settings.max_connections), (ServiceName::Echo, None));
}

#[test]
fn every_option_is_read_from_both_places() {
    let line = "serve [::1]:1 127.0.0.1:2 --service heartbeat --backlog 7 --max-connections 9 --reuse-port --idle 7s \
                --interval=3s --count 4 --user-timeout off --grace 500ms --log trace --expect 90s --heartbeat 20s --heartbeat-timeout 4s \
                --max-per-address 3 --max-output 64K --max-memory 3g --stalled 60s --when-full refuse";
    #[cfg(feature = "admin")]
    let line = &format!("{line} --admin [::]:7070 --admin-token-file /run/token");
    #[cfg(feature = "events")]
    let line = &format!("{line} --events /run/events");
    #[cfg(feature = "upgrade")]
    let line = &format!("{line} --drain 30s");
    #[cfg(feature = "sandbox")]
    let line = &format!("{line} --user server:log --sandbox");
    #[cfg(feature = "notify")]
    let line = &format!("{line} --log-format json");
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    let line = &format!("{line} --keep-peers-over-restart");
    let on_line = settings(line, &[]);
    let environment = [
        ("STILLTHERE_LISTEN", "[::1]:1 127.0.0.1:2"),
        ("STILLTHERE_SERVICE", "heartbeat"),
        ("STILLTHERE_BACKLOG", "7"),
        ("STILLTHERE_MAX_CONNECTIONS", "9"),
        ("STILLTHERE_REUSE_PORT", "1"),
        ("STILLTHERE_IDLE", "7s"),
        ("STILLTHERE_INTERVAL", "3s"),
        ("STILLTHERE_COUNT", "4"),
        ("STILLTHERE_USER_TIMEOUT", "off"),
        ("STILLTHERE_GRACE", "500ms"),
        ("STILLTHERE_LOG", "trace"),
        ("STILLTHERE_EXPECT", "90s"),
        ("STILLTHERE_HEARTBEAT", "20s"),
        ("STILLTHERE_HEARTBEAT_TIMEOUT", "4s"),
        ("STILLTHERE_MAX_PER_ADDRESS", "3"),
        ("STILLTHERE_MAX_OUTPUT", "64K"),
        ("STILLTHERE_MAX_MEMORY", "3G"),
        ("STILLTHERE_STALLED", "60s"),
        ("STILLTHERE_WHEN_FULL", "refuse"),
        #[cfg(feature = "admin")]
        ("STILLTHERE_ADMIN", "[::]:7070"),
        #[cfg(feature = "admin")]
        ("STILLTHERE_ADMIN_TOKEN_FILE", "/run/token"),
        #[cfg(feature = "events")]
        ("STILLTHERE_EVENTS", "/run/events"),
        #[cfg(feature = "upgrade")]
        ("STILLTHERE_DRAIN", "30s"),
        #[cfg(feature = "sandbox")]
        ("STILLTHERE_USER", "server:log"),
        #[cfg(feature = "sandbox")]
        ("STILLTHERE_SANDBOX", "1"),
        #[cfg(feature = "notify")]
        ("STILLTHERE_LOG_FORMAT", "json"),
        #[cfg(all(feature = "notify", feature = "upgrade"))]
        ("STILLTHERE_KEEP_PEERS_OVER_RESTART", "1"),
    ];
    assert_eq!(format!("{on_line:?}"), format!("{:?}", settings("serve", &environment)));
    assert_eq!(on_line.keepalive.deadline(), Duration::from_secs(19));
    let beats = Beats { after: Duration::from_secs(20), timeout: Duration::from_secs(4) };
    assert_eq!((on_line.heartbeat, on_line.expect), (beats, Some(Duration::from_secs(90))));
    let limits = Limits::default().with_when_full(WhenFull::Refuse).with_max_output(64 * 1024).unwrap();
    let limits = limits.with_stalled(Some(Duration::from_secs(60))).unwrap();
    assert_eq!((on_line.limits, on_line.max_per_address, on_line.max_memory), (limits, Some(3), Some(3 << 30)));
    assert_eq!(on_line.keepalive.predict(State::InFlight), None);
    assert!(on_line.reuse_port && on_line.places.len() == 2);
    // These stand for others, or for none: see configuration.rs.
    let others = ["deadline", "config", "check", "profile"];
    for option in serve_options::OPTIONS.iter().filter(|option| !others.contains(&option.name)) {
        let variable = format!("STILLTHERE_{}", option.name.to_uppercase().replace('-', "_"));
        assert!(environment.iter().any(|(name, _)| *name == variable), "{variable} is not tested");
    }
}

type Table = &'static [arguments::Opt];

/// The commands with all of their options, and a complete command line of each.
fn commands() -> Vec<(&'static str, Table)> {
    vec![
        ("serve", serve_options::OPTIONS),
        #[cfg(feature = "admin")]
        ("who", ask_options::WHO),
        #[cfg(feature = "admin")]
        ("drop 3f-2a", ask_options::DROP),
        #[cfg(feature = "admin")]
        ("upgrade", ask_options::UPGRADE),
        #[cfg(feature = "top")]
        ("top", ask_options::TOP),
        #[cfg(feature = "load")]
        ("load 127.0.0.1:7007", load_options::OPTIONS),
        #[cfg(feature = "lab")]
        ("lab matrix", lab_options::OPTIONS),
        #[cfg(feature = "plan")]
        ("plan", plan_options::OPTIONS),
    ]
}

fn told(line: &str, environment: &[(&str, &str)]) -> String {
    read(line, environment).map_or_else(|usage| usage.to_string(), |command| format!("{command:?}"))
}

/// The command line takes precedence over what is set for the whole machine.
#[test]
fn the_command_line_comes_first() {
    let environment = [("STILLTHERE_DEADLINE", "60s"), ("STILLTHERE_GRACE", "1s"), ("STILLTHERE_LISTEN", "[::]:1")];
    assert_eq!(settings("serve", &environment).keepalive.deadline(), Duration::from_secs(60));
    let settings = settings("serve 127.0.0.1:2 --idle 9s --grace 2s", &environment);
    assert_eq!(settings.keepalive.deadline(), Duration::from_secs(9 + 3 * 10));
    assert_eq!((settings.grace, settings.places), (Duration::from_secs(2), vec!["127.0.0.1:2".parse().unwrap()]));
}

#[test]
fn a_bad_value_says_which_what_and_what_instead() {
    for (line, parts) in [
        ("serve --idle 0s", ["--idle 0s", "1s to 32767s"]),
        ("serve --idle 5", ["--idle 5", "500ms, 5s, 2m or 1h"]),
        ("serve --interval 1500ms", ["--interval 1500ms", "whole seconds"]),
        ("serve --count 128", ["--count 128", "1 to 127"]),
        ("serve --count x", ["--count x", "whole number"]),
        ("serve --deadline 2s", ["--deadline 2s", "3s is the least"]),
        ("serve --deadline 30s --count 3", ["--deadline 30s", "not --count too"]),
        ("serve --user-timeout soon", ["--user-timeout soon", "auto, sliding, off"]),
        ("serve --backlog 0", ["--backlog 0", "from 1 to"]),
        ("serve --max-connections -1", ["--max-connections -1", "whole number"]),
        ("serve --service http", ["--service http", "echo, discard or heartbeat"]),
        ("serve --heartbeat 5s", ["--heartbeat 5s", "--service heartbeat"]),
        ("serve --max-memory 1000K", ["--max-memory 1000K", "1M or more"]),
        #[cfg(feature = "admin")]
        (
            "serve --admin 0.0.0.0:7070",
            ["--admin 0.0.0.0:7070: other machines reach", "--admin-token-file FILE is needed"],
        ),
        #[cfg(feature = "admin")]
        ("serve --admin [2001:db8::1]:7070", ["other machines reach", "127.0.0.1:7070 is for this machine alone"]),
        #[cfg(feature = "admin")]
        ("serve --admin unix:", ["--admin unix:", "the path of a socket"]),
        #[cfg(feature = "admin")]
        ("serve --admin /run/x", ["--admin /run/x", "did you mean unix:/run/x?"]),
        #[cfg(feature = "admin")]
        ("serve --admin 7070", ["--admin 7070", "did you mean 127.0.0.1:7070"]),
        #[cfg(feature = "admin")]
        ("serve --admin-token-file x", ["--admin-token-file x", "it goes with --admin ADDR:PORT"]),
        ("serve --max-output 4095", ["--max-output 4095", "4K to 1024M"]),
        ("serve --max-output 9999999999G", ["--max-output 9999999999G", "with K or M"]),
        ("serve --when-full panic", ["--when-full panic", "wait, refuse or evict-oldest-idle"]),
        ("serve --stalled soon", ["--stalled soon", "a duration"]),
        ("serve --expect 1ms", ["--expect 1ms", "10ms to 40days"]),
        ("serve --log loud", ["--log loud", "debug or trace"]),
        ("serve --grace", ["--grace", "needs a value"]),
        ("serve --dedline 3s", ["no option --dedline", "did you mean --deadline?"]),
        ("serve -q", ["no option -q", "--help"]),
        ("serve 7007", ["\"7007\"", "did you mean 127.0.0.1:7007 or [::]:7007?"]),
        ("serve ::1", ["\"::1\"", "did you mean [::1]:7007?"]),
        ("serve ::1:7007", ["\"::1:7007\"", "did you mean [::1]:7007 or"]),
        ("serve localhost:99999", ["\"localhost:99999\"", "99999 is no port"]),
        ("serve --reuse-port=maybe", ["--reuse-port maybe", "yes or no"]),
        ("serve --deadline 2.5s", ["--deadline 2.5s", "seconds; 3s would do"]),
        ("serve --deadline 1y", ["--deadline 1y", "2days 15h 42m 49s is the most"]),
        ("serv", ["\"serv\" is not a command", "did you mean serve?"]),
        ("", ["which command?", "stillthere serve"]),
    ] {
        let said = refused(line);
        for part in parts {
            assert!(said.contains(part), "{line}: {said:?} does not contain {part:?}");
        }
    }
    let in_environment = read("serve", &[("STILLTHERE_COUNT", "0")]).unwrap_err().to_string();
    assert!(in_environment.starts_with("STILLTHERE_COUNT=0: "), "{in_environment}");
}

#[test]
fn help_fits_a_screen_and_names_every_option() {
    for line in ["serve --help", "serve --idle 0s -h", "serve --help [::]:7007", "--help", "help"] {
        let Ok(Command::Tell(text)) = read(line, &[]) else { panic!("{line}") };
        assert!(text.lines().count() <= 24, "{line}: {} lines", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{line}: wider than 80 columns:\n{text}");
    }
    #[cfg(feature = "lab")]
    {
        let Ok(Command::Tell(text)) = read("lab --help", &[]) else { panic!() };
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(lab_options::OPTIONS.iter().all(|option| text.contains(&format!("--{} ", option.name))));
    }
    #[cfg(feature = "load")]
    {
        let Ok(Command::Tell(text)) = read("load --help", &[]) else { panic!() };
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(load_options::OPTIONS.iter().all(|option| text.contains(&format!("--{} ", option.name))));
    }
    let page = |line: &str| match read(line, &[]) {
        Ok(Command::Tell(text)) => text,
        other => panic!("{line}: {other:?}"),
    };
    let pages = ["serve --help", "serve --help running"];
    let pages: Vec<_> = pages[..if serve_options::IS_PAGED { 2 } else { 1 }].iter().map(|line| page(line)).collect();
    for text in &pages {
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    for option in serve_options::OPTIONS {
        let is_listed = |text: &&String| {
            let mut rows = text.lines().filter(|line| line.starts_with("  --"));
            rows.any(|row| row.contains(&format!("--{} ", option.name)))
        };
        assert_eq!(pages.iter().filter(is_listed).count(), 1, "--{} is on one page", option.name);
    }
    if serve_options::IS_PAGED {
        assert_eq!(page("serve --help all"), pages.join("\n\n"));
        assert_eq!(
            (page("serve --help=running"), page("serve --idle 1s -h running")),
            (pages[1].clone(), pages[1].clone())
        );
        assert!(refused("serve --help runing").contains("no page \"runing\"; did you mean --help running?"));
    }
    assert!(matches!(read("--version", &[]), Ok(Command::Tell(text)) if text.starts_with("stillthere 0.")));
}

#[cfg(feature = "load")]
#[test]
fn a_load_is_read_and_checked() {
    let load = |line: &str| match read(line, &[]) {
        Ok(Command::Load(settings)) => *settings,
        other => panic!("{line}: {other:?}"),
    };
    let plain = load("load 127.0.0.1:7007");
    assert_eq!((plain.connections, plain.active, plain.size, plain.rate), (1000, 10, 64, None));
    assert_eq!(load("load [::1]:1 --connections 3").active, 3);
    assert_eq!(load("load [::1]:1 --speak none").active, 0);
    let full = load(
        "load 127.0.0.1:1 --connections 9 --connect-rate 8 --patience 7s --source 127.0.0.2,127.0.0.3 --speak redis \
         --active 6 --size 5 --rate 4 --time 3s --pid 2 --json a --html b --grace 9s --fail-if p99>5ms --fail-if held<9",
    );
    assert_eq!((full.connections, full.connect_rate, full.sources.len(), full.active), (9, 8, 2, 6));
    assert_eq!((full.size, full.rate, full.time, full.pid), (5, Some(4.0), Duration::from_secs(3), Some(2)));
    assert_eq!((full.grace, full.fail_if.len()), (Duration::from_secs(9), 2), "conditions add up");
    assert_eq!(plain.grace, Duration::from_secs(2));
    for text in ["", "\n", "12\n13", "12 13"] {
        let arguments = ["load", "127.0.0.1:1", "--pid", text].map(OsString::from);
        let said = read_words(arguments, &|_: &str| None).unwrap_err().0;
        let part =
            if text.trim().is_empty() { "did pgrep find none?" } else { "--pid takes one process, and 2 are named" };
        assert!(said.contains(part), "{text:?}: {said}");
    }
    for (line, part) in [
        ("load 1.2.3.4:5 --pid 12 13", "--pid takes one process, and 2 are named; `pgrep -o NAME`"),
        ("load --pid 12 13 14 1.2.3.4:5", "and 3 are named"),
        ("load 1.2.3.4:5 --pid --html x", "did pgrep find none?"),
        ("load 1.2.3.4:5 --pid me", "a whole number"),
        ("load 1.2.3.4:5 --fail-if q99>5ms", "there is no figure \"q99\"; there are p50"),
        ("load 1.2.3.4:5 --fail-if p99>5", "a duration such as 5ms"),
        ("load 1.2.3.4:5 --grace soon", "a duration such as"),
        ("load", "which server?"),
        ("load 7007", "did you mean 127.0.0.1:7007"),
        ("load 1.2.3.4:5 1.2.3.4:6", "one server at a time"),
        ("load 0.0.0.0:5", "nowhere to connect to"),
        ("load 1.2.3.4:0", "nowhere to connect to"),
        ("load 1.2.3.4:5 --speak http", "echo, redis, mqtt, memcached, none"),
        ("load 1.2.3.4:5 --speak none --active 1", "sends no requests"),
        ("load 1.2.3.4:5 --speak none --rate 1", "no connection sends requests"),
        ("load 1.2.3.4:5 --connections 5 --active 6", "from 0 to 5"),
        ("load 1.2.3.4:5 --time 0s", "longer than 0s"),
        ("load 1.2.3.4:5 --source ::1", "not the same family"),
        ("load 1.2.3.4:5 --source here", "\"here\" is no address"),
        ("load 1.2.3.4:5 --size 0", "from 1 to"),
        ("laod", "did you mean load?"),
    ] {
        let said = refused(line);
        assert!(said.contains(part), "{line}: {said:?} does not contain {part:?}");
    }
}

/// The script of `make kernels` starts the lab's own client, whose arguments are not in the help.
#[cfg(feature = "lab")]
#[test]
fn the_crowd_of_make_kernels_is_understood() {
    let script = include_str!("../../../dist/kernels/crowd");
    let line = script.lines().find_map(|line| line.strip_prefix("stillthere lab client")).expect("a client");
    let arguments = line.split('<').next().unwrap_or_default().replace("\"$address\"", "127.0.0.1:7007");
    let understood = read(&format!("lab client{arguments}"), &[]);
    assert!(
        matches!(&understood, Ok(Command::Lab(command)) if matches!(**command, crate::lab::Task::Client { .. })),
        "{arguments}: {understood:?}"
    );
}
