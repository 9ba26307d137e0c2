//! `dist/needs.sh`, on machines that are made of a few scripts: what it installs, and what it tells a person to
//! type. `make fresh` tries it on real ones.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A directory that is all of a PATH: the machine. It goes when the test ends.
struct Machine(PathBuf);

impl Machine {
    /// With the programs that the script itself is written in, and a cargo and rustc of this version.
    fn new(name: &str, rust: Option<&str>) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("needs.{name}.{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let machine = Self(path);
        for program in ["sh", "sed", "dirname", "env", "cat", "chmod"] {
            let from = ["/usr/bin", "/bin"].map(|place| PathBuf::from(place).join(program));
            symlink(from.iter().find(|from| from.exists()).expect("any system has it"), machine.0.join(program))
                .unwrap();
        }
        if let Some(version) = rust {
            machine.program("cargo", &format!("echo 'cargo {version} (an old one)'"));
            machine.program("rustc", &format!("echo 'rustc {version} (an old one)'"));
        }
        machine
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Debian's package manager, which has these versions. What it is asked to install is written to a file, and `cargo-web`
    /// makes a new cargo.
    fn debian(&self, cargo: &str, web: &str) {
        self.program(
            "apt-cache",
            &format!("case $2 in cargo) echo '  Candidate: {cargo}';; cargo-web) echo '  Candidate: {web}';; esac"),
        );
        let here = self.0.display();
        self.program(
            "apt-get",
            &format!(
                "echo \"$*\" >> {here}/asked\ncase \"$*\" in *cargo*) for one in cargo rustc; do\n\
                 printf '#!/bin/sh\\necho %s 1.96.0\\n' $one > {here}/$one; chmod 755 {here}/$one; done;; esac"
            ),
        );
    }

    fn needs(&self, user: u32, what: &[&str]) -> Output {
        self.program("id", &format!("echo {user}"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/needs.sh");
        let mut command = Command::new("/bin/sh");
        command.arg(script).args(what).env_clear().env("PATH", &self.0).env("SSL_CERT_FILE", "/dev/null/none");
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.0.join("asked")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

fn wanted() -> &'static str {
    env!("CARGO_PKG_RUST_VERSION")
}

#[test]
fn a_cargo_that_is_too_old_is_recognised_and_another_installed() {
    let machine = Machine::new("old", Some("1.65.0"));
    machine.debian("0.66.0+ds1-1", "1.96.0+dfsg1-1~deb12u2");
    check(&machine.needs(0, &["cargo"]), 0, &["installing cargo-web ca-certificates, for: cargo certificates"]);
    assert_eq!(
        machine.asked(),
        "update -qq\ninstall -y --no-install-recommends cargo-web ca-certificates\n",
        "the list of packages is fetched first"
    );
}

#[test]
fn an_ordinary_user_is_told_what_to_type() {
    let machine = Machine::new("user", Some("1.65.0"));
    machine.debian("0.66.0+ds1-1", "1.96.0+dfsg1-1~deb12u2");
    let said = [
        &format!("Rust {} or later is needed; cargo 1.65.0 with rustc 1.65.0 is installed (", wanted()) as &str,
        "as root, type: apt-get update && apt-get install -y --no-install-recommends cargo-web ca-certificates",
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends cargo-web ca-certificates",
        "without root, into your home: see https://rustup.rs",
    ];
    check(&machine.needs(1000, &["cargo"]), 1, &said);
    assert_eq!(machine.asked(), "", "nothing is tried that is not allowed");
    machine.program("rustup", "");
    check(&machine.needs(1000, &["cargo"]), 1, &["rustup update stable"]);
}

#[test]
fn the_package_is_the_one_that_is_new_enough() {
    for (cargo, web, package) in [
        ("0.66.0+ds1-1", "1.85.0+dfsg3-1~deb12u3", "cargo-web"),
        ("1.85.0+dfsg3-1", "(none)", "cargo"),
        ("1.85.0+dfsg3-1", "1.96.0+dfsg1-1", "cargo-web"),
        ("2.0.1", "(none)", "cargo"),
    ] {
        let machine = Machine::new(&format!("package{}", cargo.len() + web.len()), None);
        machine.debian(cargo, web);
        check(&machine.needs(1000, &["cargo"]), 1, &[&format!("recommends {package} ca-certificates\n")]);
    }
    // Where there is none, nothing wrong is installed.
    let machine = Machine::new("nothing", None);
    machine.debian("0.66.0+ds1-1", "(none)");
    check(&machine.needs(1000, &["cargo"]), 1, &["cargo is needed, but not installed", "https://rustup.rs"]);
}

#[test]
fn what_is_there_and_new_enough_is_left_alone() {
    for version in [wanted(), "1.99.3-nightly", "2.0.0"] {
        let machine = Machine::new(&format!("there{version}"), Some(version));
        machine.debian("0.66.0+ds1-1", "1.96.0");
        let output = machine.needs(1000, &["cargo"]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("Rust "), "{version}: {output:?}");
        assert_eq!(output.status.code(), Some(0));
    }
}

/// A shell has a `kill` of its own, which a test cannot run.
#[test]
fn a_shell_s_own_kill_does_not_count() {
    let machine = Machine::new("kill", None);
    machine.debian("(none)", "(none)");
    check(&machine.needs(1000, &["kill"]), 1, &["kill is needed, but not installed", "procps"]);
    check(&machine.needs(1000, &["sh", "--", "kill"]), 0, &["kill is not installed; whatever needs it reports that"]);
}

/// What makes and tries the packages: most programs are in a package of their own name.
#[test]
fn the_programs_that_make_packages_are_found() {
    let wanted = ["sh", "--", "dh", "dpkg-buildpackage", "lintian", "mandoc", "zsh", "fish"];
    let machine = Machine::new("packages", None);
    machine.debian("(none)", "(none)");
    let installed = "recommends debhelper dpkg-dev lintian mandoc zsh fish\n";
    check(&machine.needs(1000, &wanted), 0, &[installed, "lintian is not installed; whatever needs it reports that"]);
    // A name that a package manager does not know would keep it from installing the others.
    let machine = Machine::new("packages-elsewhere", None);
    machine.program("pacman", "");
    check(&machine.needs(1000, &wanted), 0, &["pacman -S --noconfirm mandoc zsh fish\n", "dh is not installed;"]);
}

/// promtool is in a package that starts a server. That one is stopped, unless somebody ran it before.
#[test]
fn the_server_that_comes_with_promtool_does_not_stay() {
    for (name, before, stopped) in [("fresh", false, true), ("in-use", true, false)] {
        let machine = Machine::new(name, None);
        let here = machine.0.display().to_string();
        machine.program(
            "apt-get",
            &format!(
                "case \"$*\" in *prometheus*) : > {here}/unit; printf '#!/bin/sh\\n' > {here}/promtool; chmod 755 {here}/promtool;; esac"
            ),
        );
        machine.program(
            "systemctl",
            &format!("[ \"$1\" = cat ] && exec test -e {here}/unit; echo \"$*\" >> {here}/asked"),
        );
        symlink("/usr/bin/test", machine.0.join("test")).unwrap();
        if before {
            fs::write(machine.0.join("unit"), "").unwrap();
        }
        check(&machine.needs(0, &["promtool"]), 0, &["installing prometheus, for: promtool"]);
        assert_eq!(machine.asked(), if stopped { "--quiet disable prometheus\nstop prometheus\n" } else { "" });
    }
}
