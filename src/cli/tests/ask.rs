//! The command lines of `who`, `drop` and `top`.

use super::*;
use crate::admin_place::AdminPlace;
use crate::ask::{Sort, WhoSettings, Whom};

fn who(line: &str, environment: &[(&str, &str)]) -> WhoSettings {
    match read(line, environment) {
        Ok(Command::Who(settings)) => *settings,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn who_is_asked_what() {
    let plain = who("who", &[]);
    assert_eq!((plain.server.place, plain.json), (AdminPlace::DEFAULT, false));
    assert_eq!((plain.server.patience, plain.server.token_file), (Duration::from_secs(10), None));
    assert_eq!(plain.whom, Whom::All { sort: None, from: None });
    let full = who(
        "who --admin unix:/run/a.sock --admin-token-file t --patience 2s --sort bytes --from 10.0.0.0/8 --json",
        &[],
    );
    assert_eq!((full.server.place, full.json), (AdminPlace::Unix("/run/a.sock".into()), true));
    assert_eq!((full.server.token_file, full.server.patience), (Some("t".into()), Duration::from_secs(2)));
    assert_eq!(full.whom, Whom::All { sort: Some(Sort::Bytes), from: Some("10.0.0.0/8".parse().unwrap()) });
    assert_eq!(who("who --quiet", &[("STILLTHERE_WHO_SORT", "age")]).whom, Whom::Nobody);
    assert_eq!(who("who 3f-2a --json", &[]).whom, Whom::One("3f-2a".into()));
    match read("drop 3f-2a 1-1 --admin localhost:1", &[]) {
        Ok(Command::Drop(settings)) => {
            assert_eq!(
                (settings.server.place.to_string().as_str(), settings.ids.join(" ").as_str()),
                ("localhost:1", "3f-2a 1-1")
            );
        }
        other => panic!("{other:?}"),
    }
}

/// What is set for the whole machine is where the server opens its port.
#[test]
fn the_server_s_variable_says_where_it_is() {
    let machine = [("STILLTHERE_ADMIN", "[::1]:1"), ("STILLTHERE_WHO_SORT", "age")];
    assert_eq!(who("who", &machine).server.place.to_string(), "[::1]:1");
    assert_eq!(who("who --admin 127.0.0.1:2", &machine).server.place.to_string(), "127.0.0.1:2");
    assert_eq!(who("who", &[machine[0], ("STILLTHERE_WHO_ADMIN", "[::1]:3")]).server.place.to_string(), "[::1]:3");
    assert_eq!(
        who("who 3f-2a", &machine).whom,
        Whom::One("3f-2a".into()),
        "how lists are sorted does not matter to one"
    );
}

#[test]
fn what_makes_no_sense_is_told() {
    for (line, part) in [
        ("who --sort loud", "--sort loud: it must be silence, age or bytes"),
        ("who --from here", "--from here: it must be an address or a network, such as"),
        ("who --from 10.0.0.0/33", "from 0 to 32"),
        ("who 3f-2a --sort age", "--sort age: it is about all peers"),
        ("who 3f-2a 1-1", "one peer at a time"),
        ("who 3f-2a --quiet", "with --quiet nothing is told of any peer"),
        ("who --quiet --json", "with --quiet nothing is listed"),
        ("who everybody", "\"everybody\" is no id of a peer, such as"),
        ("who 192.0.2.1:5000", "`stillthere who --from 192.0.2.1` lists"),
        ("who --admin 7070", "did you mean 127.0.0.1:7070"),
        ("who --admin /run/a.sock", "did you mean unix:/run/a.sock?"),
        ("who --admin http://127.0.0.1:7070/", "no URL; did you mean 127.0.0.1:7070?"),
        ("who --admin unix:", "the path of a socket"),
        ("who --admin 127.0.0.1:0", "port 0 is nowhere"),
        ("who --patience 0s", "from 1ms to 1day"),
        ("who --patience soon", "a duration such as"),
        ("drop", "which peer? `stillthere who` prints their ids"),
        ("drop all", "\"all\" is no id of a peer"),
        ("upgrade /usr/bin/stillthere", "takes options only; the program that takes over"),
        ("whos", "did you mean who?"),
        #[cfg(feature = "top")]
        ("top 3f-2a", "`stillthere top` takes options only"),
        #[cfg(feature = "top")]
        ("topp", "did you mean top?"),
    ] {
        let said = refused(line);
        assert!(said.contains(part), "{line}: {said:?} does not contain {part:?}");
    }
}

#[test]
fn their_help_fits_a_screen_and_names_every_option() {
    for (line, table) in commands() {
        let command = line.split(' ').next().unwrap();
        if command == "serve" {
            continue; // its help has pages
        }
        let Ok(Command::Tell(text)) = read(&format!("{command} --help"), &[]) else { panic!("{command}") };
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(table.iter().all(|option| text.contains(&format!("--{} ", option.name))), "{text}");
    }
}

#[cfg(feature = "top")]
#[test]
fn no_color_is_obeyed_whatever_it_says() {
    for (value, plain) in [(None, false), (Some(""), false), (Some("1"), true), (Some("0"), true)] {
        let environment: Vec<_> = value.iter().map(|value| ("NO_COLOR", *value)).collect();
        match read("top", &environment) {
            Ok(Command::Top(settings)) => assert_eq!(settings.plain, plain, "{value:?}"),
            other => panic!("{other:?}"),
        }
    }
}
