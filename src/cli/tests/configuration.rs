//! The configuration file, `--check` and `--profile`.

use super::*;
use crate::cli::serve_options::OPTIONS;

const PATH: &str = "/etc/a.conf";

/// A command line with `--config`, and the file's text.
fn with(line: &str, environment: &[(&str, &str)], text: &[u8]) -> Result<Command, Usage> {
    let lookup =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    let files = |path: &std::path::Path| {
        assert_eq!(path.to_str(), Some(PATH));
        Ok(text.to_vec())
    };
    Command::read(line.split_whitespace().map(OsString::from), &lookup, &files)
}

fn settings_of(text: &str) -> ServeSettings {
    match with("serve --config /etc/a.conf", &[], text.as_bytes()) {
        Ok(Command::Serve(settings)) => *settings,
        other => panic!("{text}: {other:?}"),
    }
}

/// What is wrong with a file, a sentence for each mistake.
fn wrong(text: impl AsRef<[u8]>) -> Vec<String> {
    match with("serve --config /etc/a.conf --check", &[], text.as_ref()) {
        Ok(Command::Check(checked)) => {
            assert_eq!(checked.settings.is_some(), checked.wrong.is_empty());
            let said = with("serve --config /etc/a.conf", &[], text.as_ref());
            assert_eq!(said.is_err(), !checked.wrong.is_empty(), "--check and the start agree");
            checked.wrong
        }
        other => panic!("{other:?}"),
    }
}

/// The settings without what remembers where they came from.
fn bare(settings: ServeSettings) -> String {
    format!("{:?}", ServeSettings { configuration: None, ..settings })
}

#[test]
fn a_file_says_what_a_command_line_can() {
    let text = "# the port\nlisten [::1]:1 127.0.0.1:2\r\nlisten localhost:3   # one more\n\n\tidle\t7s\n  interval 3s  \n\
                count 4\nreuse-port\nlog trace\nmax-output 64K\nstalled 60s\nuser-timeout off";
    let line = "serve [::1]:1 127.0.0.1:2 localhost:3 --idle 7s --interval 3s --count 4 --reuse-port --log trace \
                --max-output 64K --stalled 60s --user-timeout off";
    assert_eq!(bare(settings_of(text)), bare(settings(line, &[])));
    // With a byte order mark, with a newline at the end, and empty.
    assert_eq!(bare(settings_of(&format!("\u{feff}{text}\n"))), bare(settings(line, &[])));
    assert_eq!(bare(settings_of("")), bare(settings("serve", &[])));
    assert_eq!(bare(settings_of("reuse-port no\n")), bare(settings("serve", &[])));
    // Who has the text reads the same settings again.
    let configuration = settings_of(text).configuration.expect("there is one");
    assert_eq!((configuration.path.to_str(), configuration.text.as_str()), (Some(PATH), text));
    assert!(configuration.given.contains(&("listen", "[::1]:1 127.0.0.1:2 localhost:3".to_string())));
    assert_eq!(settings_of(&configuration.text).configuration, Some(configuration));
}

#[test]
fn every_option_can_be_in_a_file_but_those_that_make_no_sense_there() {
    for option in OPTIONS {
        let said = wrong(format!("\n{} ?!", option.name));
        let begins = match option.name {
            "config" | "check" => format!("{PATH}:2: {}: ", option.name),
            _ => format!("{PATH}:2: {} ?!: ", option.name),
        };
        // Any text is the name of a file.
        match option.name {
            "admin-token-file" => assert_eq!(said, [format!("{begins}it goes with --admin ADDR:PORT")]),
            "events" => assert!(said.is_empty()),
            _ => assert!(said.len() == 1 && said[0].starts_with(&begins), "{}: {said:?}", option.name),
        }
    }
}

#[cfg(feature = "events")]
#[test]
fn quotation_marks_keep_what_is_in_them() {
    use crate::observe::events::EventsTo;
    let events = |text: &str| settings_of(text).events;
    let file = |path: &str| Some(EventsTo::File(path.into()));
    assert_eq!(events("events \"/var/a b # c\"  # the events"), file("/var/a b # c"));
    assert_eq!(events("events /var/a#b"), file("/var/a#b"));
    assert_eq!(events("events /var/a b #c"), file("/var/a b"));
    assert!(wrong("events \"/var/a")[0].ends_with("a quotation mark is opened and not closed"));
    assert!(wrong("events \"/var/a\"b")[0].contains("\"b\" stands behind the closing quotation mark"));
}

/// The command line comes first, then the environment, the file, and the profile.
#[test]
fn what_is_nearer_takes_precedence() {
    let text = b"profile tiny\ngrace 3s\nlisten [::]:3\nmax-output 32K\nidle 9s\n";
    let grace = |line: &str, environment: &[(&str, &str)]| match with(line, environment, text) {
        Ok(Command::Serve(settings)) => (settings.grace.as_secs(), settings.places[0].to_string()),
        other => panic!("{line}: {other:?}"),
    };
    let machine = [("STILLTHERE_CONFIG", PATH), ("STILLTHERE_GRACE", "2s"), ("STILLTHERE_LISTEN", "[::]:2")];
    assert_eq!(grace("serve --config /etc/a.conf", &[]), (3, "[::]:3".to_string()));
    assert_eq!(grace("serve", &machine[..1]), (3, "[::]:3".to_string()), "STILLTHERE_CONFIG is enough");
    assert_eq!(grace("serve", &machine), (2, "[::]:2".to_string()));
    assert_eq!(grace("serve [::]:1 --grace 1s", &machine), (1, "[::]:1".to_string()));
    let Ok(Command::Serve(settings)) = with("serve --max-memory 2M", &machine[..1], text) else { panic!() };
    let limits = (settings.backlog, settings.max_memory, settings.limits.max_output(), settings.limits.stalled());
    assert_eq!(limits, (128, Some(2 << 20), 32 << 10, Some(Duration::from_secs(60))));
    let words = settings.profile.expect("there is a profile");
    assert!(
        words.starts_with("profile tiny sets backlog 128, max-connections 512, stalled 60s (max-memory 2M, "),
        "{words}"
    );
    assert!(words.contains("max-output 32K was given instead)"), "{words}");
    // A deadline from elsewhere does not quarrel with a part of one in the file.
    let Ok(Command::Serve(settings)) = with("serve --deadline 30s", &machine[..1], text) else { panic!() };
    assert_eq!(settings.keepalive.deadline(), Duration::from_secs(30));
}

#[test]
fn all_that_is_wrong_is_told_with_its_line() {
    let text = "listen 7007\nidle 0s\ncount x\n# fine\ndedline 3s\nbacklog 7\nbacklog 8\nservice http\nheartbeat 9s\n\
                grace\nwhen-full panic\nstalled soon\n";
    let expected = [
        ":1: listen 7007: \"7007\" is not an address and a port",
        ":2: idle 0s: the kernel takes whole seconds, 1s to 32767s",
        ":3: count x: it must be a whole number from 1 to 127",
        ":5: there is no option dedline; did you mean deadline?",
        ":7: backlog is given in line 6 already: leave one of the two out",
        ":8: service http: it must be echo, discard or heartbeat",
        ":10: grace needs a value: grace DURATION",
        ":11: when-full panic: it must be wait, refuse or evict-oldest-idle",
        ":12: stalled soon: it must be a duration",
    ];
    let said = wrong(text);
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(&format!("{PATH}{expected}")), "{said}\n{expected}");
    }
    let start = with("serve --config /etc/a.conf", &[], text.as_bytes()).unwrap_err().0;
    assert_eq!(start, said.join("\n"), "a start says the same");
    // What is wrong elsewhere is told, too.
    let Ok(Command::Check(both)) = with("serve --config /etc/a.conf --check --grace x", &[], b"idle 0s") else {
        panic!()
    };
    assert!(both.wrong[0].starts_with("--grace x: ") && both.wrong[1].contains(":1: idle 0s"), "{:?}", both.wrong);
    let Ok(Command::Check(hidden)) = with("serve --config /etc/a.conf --check --log info", &[], b"log loud\nidle 5s")
    else {
        panic!()
    };
    assert!(hidden.wrong.len() == 1 && hidden.wrong[0].starts_with("/etc/a.conf:1: log loud: "), "{:?}", hidden.wrong);
    let many = wrong("x\n".repeat(5000));
    assert!(many.len() == 21 && many[20] == "and 4980 more like these: is it the right file?", "{many:?}");
}

#[test]
fn what_was_meant_is_guessed() {
    for (line, part) in [
        ("idle=5s", "\"idle=5s\": a line is an option and its value: did you mean `idle 5s`?"),
        ("idle = 5s", "did you mean `idle 5s`?"),
        ("idle: 5s", "did you mean `idle 5s`?"),
        ("--idle 5s", "did you mean `idle 5s`?"),
        ("--idle=5s", "did you mean `idle 5s`?"),
        ("STILLTHERE_IDLE=5s", "did you mean `idle 5s`?"),
        ("MAX_OUTPUT 64K", "did you mean `max-output 64K`?"),
        ("--reuse-port", "did you mean `reuse-port`?"),
        ("[::]:7007", "did you mean `listen [::]:7007`?"),
        ("listen=[::]:7007", "did you mean `listen [::]:7007`?"),
        ("LISTN [::]:7007", "no option LISTN; did you mean listen?"),
        ("[server]", "there are no sections in this file: leave the line out"),
        ("xyzzy 1", "there is no option xyzzy; `stillthere serve --help all` lists the options"),
        ("config b.conf", "config: a configuration cannot name another one"),
        ("check", "it is for the command line: `stillthere serve --config FILE --check`"),
        ("help", "it is for the command line"),
        ("include /etc/b.conf", "it includes no other"),
        ("listen", "listen needs a value: listen ADDR:PORT"),
        ("listen # nowhere", "listen needs a value"),
        ("idle \"\"", "idle needs a value: idle DURATION"),
        ("heartbeat 5s", "heartbeat 5s: it goes with --service heartbeat"),
        ("profile huge", "profile huge: it must be tiny"),
        ("idle 5s\0", "a zero byte in the line: is it a text file?"),
        ("idle \u{1b}[31m5s", "the control character '\\u{1b}' in the line"),
        ("idle 5s\rcount 3", "the control character '\\r' in the line"),
    ] {
        let said = wrong(line);
        assert!(said.len() == 1 && said[0].contains(part), "{line}: {said:?} does not contain {part:?}");
        assert!(said[0].starts_with("/etc/a.conf:1: ") && !said[0].contains('\x1b'), "{said:?}");
    }
}

#[test]
fn what_is_no_text_is_no_configuration() {
    assert_eq!(wrong(b"idle 5s\n\ngrace \xff5s\n"), ["/etc/a.conf:3: a byte that is not text (UTF-8)"]);
    assert_eq!(wrong(b"\xff\xfei\0"), ["/etc/a.conf:1: it is UTF-16; save the file as UTF-8"]);
    let read = |check: &str| {
        let words = ["serve", "--config", "none", check].into_iter().filter(|word| !word.is_empty());
        Command::read(words.map(OsString::from), &|_| None, &|_| Err("it is not there".to_string()))
    };
    assert_eq!(read("").unwrap_err().0, "it is not there");
    assert!(matches!(read("--check"), Ok(Command::Check(checked)) if checked.wrong == ["it is not there"]));
}

#[test]
fn a_check_needs_no_file() {
    let check = |line: &str| match read(line, &[]) {
        Ok(Command::Check(checked)) => checked,
        other => panic!("{line}: {other:?}"),
    };
    let good = check("serve [::1]:1 --check --profile tiny");
    assert!(good.wrong.is_empty());
    let words = serve::in_words(&good.settings.expect("they are good"));
    assert!(words.starts_with("the settings are good: echo on [::1]:1\n"), "{words}");
    assert!(words.contains("512 connections at most; ") && words.contains("profile tiny sets backlog 128"), "{words}");
    assert_eq!(check("serve 7007 --check --idle 0s").wrong.len(), 2);
    assert!(matches!(read("serve --check=no", &[]), Ok(Command::Serve(_))));
}

/// Whoever adds an option adds it to the example as well: with its default, or with an example if it is off.
#[test]
fn every_option_is_in_the_example() {
    let example = include_str!("../../../dist/stillthere.conf");
    for option in OPTIONS.iter().filter(|option| !["config", "check"].contains(&option.name)) {
        let is_there =
            |line: &str| line.strip_prefix('#').is_some_and(|line| line.split(' ').next() == Some(option.name));
        assert!(example.lines().any(is_there), "dist/stillthere.conf has no line #{} {}", option.name, option.value);
    }
}
