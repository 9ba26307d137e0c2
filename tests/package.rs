//! What is handed to others: the crate, and the Debian package.
//!
//! `make deb-try` installs, upgrades and purges the Debian package; here it is only made, of the program of the tests, and looked at.
//! Without debhelper and lintian these tests are reported as ignored, and stderr says why.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Trial};

fn main() {
    let missing: Vec<&str> =
        ["dh", "dpkg-buildpackage", "lintian"].into_iter().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        eprintln!(
            "\nNOT RUN: without {} no Debian package can be made: `apt-get install debhelper dpkg-dev lintian`. Its test is \
             ignored; it has not passed.\n",
            missing.join(", ")
        );
    }
    let tests: [(&str, bool, fn()); 4] = [
        ("the_crate_is_packed_without_a_warning", false, crate_is_packed),
        ("what_the_documents_link_to_is_in_the_crate", false, links),
        ("the_documentation_says_what_docs_rs_builds", false, docs_rs),
        ("the_debian_package_is_complete_and_lintian_is_silent", true, debian),
    ];
    let trials = tests.map(|(name, needs_debian, run)| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(needs_debian && !missing.is_empty())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(program).is_file())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory of this test, without what an earlier run left there.
fn temporary(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("package.{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Runs a command to its end, and returns what it wrote to stdout and to stderr.
fn told(command: &mut Command) -> (String, String) {
    let output = command.current_dir(root()).stdin(Stdio::null()).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {out}{err}");
    (out, err)
}

fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    // What is not committed yet is packed, too: the test is about the files.
    command.args(["package", "--offline", "--allow-dirty"]);
    command
}

fn crate_is_packed() {
    let directory = temporary("crate");
    let (_, said) = told(cargo().args(["--no-verify", "--target-dir"]).arg(&directory));
    assert!(!said.contains("warning"), "{said}");
    let file = directory.join(concat!("package/stillthere-", env!("CARGO_PKG_VERSION"), ".crate"));
    let size = fs::metadata(file).unwrap().len();
    assert!(size < 10 << 20, "{size} bytes: the registry takes 10 MiB at most");
    let _ = fs::remove_dir_all(directory);
}

/// A registry that knows the repository makes such links absolute; who has only the crate finds the files in it.
fn links() {
    // Written at the same time as the page that links to them.
    const UNDER_WAY: [&str; 5] =
        ["docs/systemd.md", "docs/configuration.md", "docs/hardening.md", "docs/packages.md", "docs/upgrade.md"];

    let (list, _) = told(cargo().arg("--list"));
    let packed: BTreeSet<&str> = list.lines().collect();
    let mut count = 0;
    let documents = packed.iter().filter(|name| name.ends_with(".md"));
    for document in documents {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for link in links_of(&text) {
            let place = Path::new(document).parent().unwrap().join(link);
            let place = normal(&place);
            assert!(
                packed.contains(place.as_str()) || UNDER_WAY.contains(&place.as_str()),
                "{document} links to {link}, which is not in the crate"
            );
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}

/// The relative links of a document: `](docs/a.md)`, `src="docs/a.png"`.
fn links_of(text: &str) -> impl Iterator<Item = &str> {
    let after = |begin: &'static str, end: &'static str| {
        text.split(begin).skip(1).map(move |rest| rest.split(end).next().unwrap_or_default())
    };
    let all = after("](", ")").chain(after("src=\"", "\"")).chain(after("srcset=\"", "\""));
    all.map(|link| link.split('#').next().unwrap_or_default())
        .filter(|link| !link.is_empty() && !link.contains("://") && !link.contains(char::is_whitespace))
}

/// `docs/../src/lib.rs` is `src/lib.rs`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.to_str().unwrap().split('/') {
        match part {
            ".." => drop(parts.pop()),
            "" | "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The features that docs.rs builds with are those that `make check` builds the documentation with.
fn docs_rs() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split("[package.metadata.docs.rs]").nth(1).expect("there is metadata for docs.rs");
    let line = section.lines().find_map(|line| line.strip_prefix("features = [")).expect("features are named");
    let features: Vec<&str> = line.trim_end_matches(']').split(", ").map(|name| name.trim_matches('"')).collect();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let built = format!("doc --locked --no-deps --no-default-features --features {}\n", features.join(","));
    assert!(makefile.contains(&built), "the Makefile does not say: {built}");
    // The library's page includes this figure as it is, and Markdown ends HTML at an empty line.
    let figure = fs::read_to_string(root().join("docs/in-flight.svg")).unwrap();
    assert!(figure.lines().all(|line| !line.trim().is_empty()), "docs/in-flight.svg has an empty line");
    for feature in features {
        assert!(text.contains(&format!("\n{feature} = [")), "{feature} is no feature");
    }
}

fn debian() {
    let make = |name: &str| {
        let directory = temporary(name);
        let mut command = Command::new(root().join("dist/deb.sh"));
        command
            .env("OUT", &directory)
            .env("BINARY", env!("CARGO_BIN_EXE_stillthere"))
            .env("SOURCE_DATE_EPOCH", "1700000000");
        command.env_remove("REVISION");
        told(&mut command);
        directory
    };
    let directory = make("deb");
    let named = |ending: &str| {
        let mut files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.to_str().unwrap().ends_with(ending)).unwrap()
    };
    let package = named(".deb");

    let (said, _) =
        told(Command::new("lintian").args(["--allow-root", "--tag-display-limit", "0"]).arg(named(".changes")));
    assert_eq!(said, "");

    let (list, _) = told(Command::new("dpkg-deb").arg("-c").arg(&package));
    for file in [
        "./etc/default/stillthere",
        "./etc/stillthere.conf",
        "./lib/systemd/system/stillthere.service",
        "./lib/systemd/system/stillthere.socket",
        "./usr/bin/stillthere",
        "./usr/share/bash-completion/completions/stillthere",
        "./usr/share/doc/stillthere/changelog.gz",
        "./usr/share/doc/stillthere/copyright",
        "./usr/share/doc/stillthere/operate.md",
        "./usr/share/fish/vendor_completions.d/stillthere.fish",
        "./usr/share/man/man1/stillthere.1.gz",
        "./usr/share/zsh/vendor-completions/_stillthere",
    ] {
        assert!(list.lines().any(|line| line.ends_with(file)), "{file} is not in\n{list}");
    }
    let (version, _) = told(Command::new("dpkg-deb").arg("-f").arg(&package).arg("Version"));
    assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));

    // Its scripts are sound, and none of them restarts the service: that would be the end of every connection.
    let scripts = directory.join("scripts");
    told(Command::new("dpkg-deb").arg("-e").arg(&package).arg(&scripts));
    for name in ["preinst", "postinst", "prerm", "postrm"] {
        told(Command::new("sh").arg("-n").arg(scripts.join(name)));
        let text = fs::read_to_string(scripts.join(name)).unwrap();
        assert!(!text.contains("restart"), "{name}: {text}");
        assert!(name == "prerm" || !text.contains("invoke stop"), "{name}: {text}");
    }
    let conffiles = fs::read_to_string(scripts.join("conffiles")).unwrap();
    assert_eq!(conffiles.trim(), "/etc/default/stillthere\n/etc/stillthere.conf");

    let again = make("deb-again");
    let name = package.file_name().unwrap();
    assert!(
        fs::read(&package).unwrap() == fs::read(again.join(name)).unwrap(),
        "it is not the same when it is made again"
    );
    for directory in [directory, again] {
        let _ = fs::remove_dir_all(directory);
    }
}
