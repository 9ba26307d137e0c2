//! Variables of the environment: empty, with blanks, scoped, misspelt.

use super::*;

/// A compose file writes `STILLTHERE_X=` for what is not set.
#[test]
fn a_variable_that_is_empty_is_not_given() {
    for (line, options) in commands() {
        let plain = told(line, &[]);
        for option in options {
            for scope in ["", "SERVE_", "WHO_", "DROP_", "TOP_", "LOAD_", "LAB_", "PLAN_"] {
                let variable = format!("STILLTHERE_{scope}{}", arguments::shout(option.name));
                for nothing in ["", " ", "\n"] {
                    assert_eq!(told(line, &[(&variable, nothing)]), plain, "{line}: {variable}={nothing:?}");
                }
            }
        }
    }
    assert_eq!(told("serve", &[("STILLTHERE_LISTEN", " ")]), told("serve", &[]));
}

#[test]
fn blanks_round_a_value_do_not_count() {
    for (line, name, value) in [
        ("serve", "COUNT", "4"),
        ("serve", "IDLE", "4s"),
        ("serve", "REUSE_PORT", "yes"),
        ("serve", "SERVICE", "discard"),
        ("serve", "MAX_OUTPUT", "64K"),
        ("serve", "STALLED", "60s"),
        ("serve", "USER_TIMEOUT", "4500ms"),
        ("serve", "LOG", "debug"),
        ("serve", "WHEN_FULL", "refuse"),
        ("serve", "LISTEN", "[::]:1 localhost:2"),
        #[cfg(feature = "plan")]
        ("plan", "PLAN_LOSS", "2%"),
        #[cfg(feature = "plan")]
        ("plan", "PLAN_FALSE_DROPS", "1/year"),
        #[cfg(feature = "load")]
        ("load [::1]:1", "LOAD_SPEAK", "redis"),
    ] {
        let variable = format!("STILLTHERE_{name}");
        let bare = told(line, &[(&variable, value)]);
        assert_eq!(told(line, &[(&variable, &format!("  {value}\n"))]), bare);
        assert!(bare.contains('{') && bare != told(line, &[]), "{variable}={value} does something: {bare}");
    }
}

/// `STILLTHERE_JSON` was a file to one command and a switch to another.
#[test]
fn a_variable_means_one_thing() {
    for (line, options) in commands() {
        let command = line.split(' ').next().unwrap().to_uppercase();
        // An option of `lab run` alone is ignored by `lab matrix`, and one that describes a server or a request has effect only
        // beside it.
        let lines =
            [line, "lab run idle/none", "lab run idle/none --server x{port}", "lab matrix --server x{port} --ask x"];
        let lines = &lines[..if command == "LAB" { 4 } else { 1 }];
        for option in options {
            let name = arguments::shout(option.name);
            let heard = |variable: &str| lines.iter().any(|line| told(line, &[(variable, "?!")]) != told(line, &[]));
            let is_for_all = command == "SERVE" || arguments::SHARED.contains(&option.name);
            assert_eq!(heard(&format!("STILLTHERE_{name}")), is_for_all, "{line}: STILLTHERE_{name}");
            for other in misspelt::COMMANDS {
                let variable = format!("STILLTHERE_{other}_{name}");
                assert_eq!(heard(&variable), other == command, "{line}: {variable}");
            }
        }
    }
    // The command's own variable takes precedence, and the command line over both.
    let both = [("STILLTHERE_GRACE", "1s"), ("STILLTHERE_SERVE_GRACE", "2s")];
    assert_eq!(settings("serve", &both).grace, Duration::from_secs(2));
    assert_eq!(settings("serve --grace 3s", &both).grace, Duration::from_secs(3));
    let deadlines = [("STILLTHERE_IDLE", "9s"), ("STILLTHERE_SERVE_DEADLINE", "60s")];
    assert_eq!(settings("serve", &deadlines).keepalive.deadline(), Duration::from_secs(60), "not one too many");
}

/// A variable for the whole lab does not prevent one of its commands, nor a command line.
#[cfg(feature = "lab")]
#[test]
fn the_lab_s_environment_is_for_all_of_its_commands() {
    let environment = [("STILLTHERE_LAB_JSON", "a"), ("STILLTHERE_LAB_SVG", "b"), ("STILLTHERE_LAB_PRESET", "redis")];
    for line in ["lab run idle/black-hole", "lab matrix", "lab run idle/none --server {addr}:{port} --speak none"] {
        assert!(matches!(read(line, &environment), Ok(Command::Lab(_))), "{line}: {:?}", read(line, &environment));
    }
    assert!(refused("lab run idle/none --json a").contains("belongs to `stillthere lab matrix`"));
    assert!(refused("lab run idle/none --preset redis --server {addr}").contains("not both"));
}

#[test]
fn a_switch_may_be_given_with_a_value() {
    assert!(settings("serve --reuse-port", &[]).reuse_port && settings("serve --reuse-port=yes", &[]).reuse_port);
    let machine = [("STILLTHERE_REUSE_PORT", "yes")];
    assert!(settings("serve", &machine).reuse_port && !settings("serve --reuse-port=no", &machine).reuse_port);
}

#[test]
fn a_misspelt_variable_is_told_of() {
    let told = |command: &str, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Command::misspelt(Some(OsStr::new(command)), variables)
    };
    let guess = |command: &str, name: &str| told(command, &[(name, "5s")]).join("\n");
    assert_eq!(
        guess("serve", "STILLTHERE_DEDLINE"),
        "STILLTHERE_DEDLINE is set, but there is no such option; did you mean STILLTHERE_DEADLINE?"
    );
    assert!(guess("serve", "STILLTHERE_LISTN").ends_with("did you mean STILLTHERE_LISTEN?"));
    assert!(guess("serve", "STILLTHERE_XQ").ends_with("there is no such option"), "nothing is near");
    for (command, name) in [
        ("serve", "STILLTHERE_DEADLINE"),
        ("serve", "STILLTHERE_SERVE_DEADLINE"),
        ("serve", "STILLTHERE_LISTEN"),
        ("serve", "STILLTHERE_SERVE_LISTEN"),
        ("serve", "STILLTHERE_PLAN_WHATEVER"),
        ("serve", "STILLTHERE_LAB_INSIDE"),
        ("serve", "OTHER_DEDLINE"),
        ("help", "STILLTHERE_DEDLINE"),
    ] {
        assert_eq!(guess(command, name), "", "{name} is none of its business");
    }
    assert!(told("serve", &[("STILLTHERE_DEDLINE", " ")]).is_empty(), "it says nothing");
    #[cfg(feature = "plan")]
    {
        let scoped = "STILLTHERE_JSON is set, but there is no such option; did you mean STILLTHERE_PLAN_JSON?";
        assert_eq!(guess("plan", "STILLTHERE_JSON"), scoped, "what it was called before");
        assert!(guess("plan", "STILLTHERE_PLAN_LSOS").ends_with("did you mean STILLTHERE_PLAN_LOSS?"));
        assert_eq!(guess("plan", "STILLTHERE_GRACE"), "", "it is the server's");
    }
}
