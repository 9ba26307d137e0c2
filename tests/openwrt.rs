//! dist/openwrt: the init script, with procd and UCI played by a few functions, in the shells that OpenWrt (busybox) and Debian
//! have. What it writes is read by the program itself. It was not tried on an OpenWrt: none is to be had here.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use libtest_mimic::{Arguments, Trial};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/openwrt/stillthere/files");

/// What /lib/functions.sh, procd.sh and rc.common do, as far as the script can tell: a configuration is a shell script, too, whose
/// commands are `config`, `option` and `list`. What procd would be told is printed.
const OPENWRT: &str = r#"
config_set() { eval "config_$1_$2=\$3"; }
config_get() { eval "$1=\"\${config_$2_$3:-$4}\""; }
config_get_bool() { config_get "$@"; eval "case \$$1 in 1|on|true|yes|enabled) $1=1 ;; *) $1=0 ;; esac"; }
config() { section=$2 sections="$sections $2"; config_set "$2" TYPE "$1"; config_cb "$1" "$2"; }
option() { config_set "$section" "$1" "$2"; option_cb "$1" "$2"; }
list() { list_cb "$1" "$2"; }
config_load() { sections=; . "$HERE/config"; config_cb; }
config_foreach() { for one in $sections; do config_get type "$one" TYPE; [ "$type" != "$2" ] || "$1" "$one"; done; }
procd_open_instance() { echo "instance $1"; }
procd_close_instance() { echo "end"; }
procd_set_param() { echo "$*"; }
procd_send_signal() { echo "signal $*"; }
procd_add_reload_trigger() { echo "trigger $*"; }
logger() { echo "log $*"; }
start() { start_service; }
"#;

struct Board {
    shell: &'static [&'static str],
    here: PathBuf,
}

impl Board {
    fn new(shell: &'static [&'static str], name: &str) -> Self {
        let name = format!("openwrt.{}.{name}.{}", shell[0], std::process::id());
        let here = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(here.join("run")).unwrap();
        Self { shell, here }
    }

    fn configure(&self, text: &str) {
        fs::write(self.here.join("config"), text).unwrap();
    }

    /// What procd is told when the script is asked for this.
    fn told(&self, what: &str) -> String {
        let script = format!("HERE='{}'\n{OPENWRT}\n. {FILES}/stillthere.init\n{what}\n", self.here.display());
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).args(["-c", &script]).stdin(Stdio::null());
        command
            .env("STILLTHERE_PROGRAM", env!("CARGO_BIN_EXE_stillthere"))
            .env("STILLTHERE_DIR", self.here.join("run"));
        let Output { status, stdout, stderr } = command.output().expect("the shell runs");
        let (told, said) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(status.success() && said.is_empty(), "{status}: {said}{told}");
        told
    }

    fn file(&self, section: &str) -> String {
        fs::read_to_string(self.here.join(format!("run/{section}.conf"))).unwrap_or_default()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.here);
    }
}

const SHELLS: [&[&str]; 2] = [&["busybox", "ash"], &["dash"]];

/// What is tried on a board.
type Act = fn(&Board);

fn main() {
    let trials: [(&str, Act); 5] = [
        ("starts_what_is_shipped", shipped),
        ("writes_each_option_of_the_program", each_option),
        ("says_what_is_wrong_and_goes_on_with_what_was_right", wrong),
        ("reloads_without_a_new_command_line", reload),
        ("starts_no_server_that_is_not_enabled", disabled),
    ];
    let is_there = |program: &str, arguments: &[&str]| {
        let ran = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let there = ran.is_ok_and(|status| status.success());
        if !there {
            eprintln!(
                "\nNOT RUN: {program} cannot be run (`apt-get install {program}`). Its tests are ignored; they have not passed.\n"
            );
        }
        there
    };
    let mut all = Vec::new();
    for shell in SHELLS {
        let there = is_there(shell[0], &[&shell[1..], &["-c", "true"]].concat());
        for (name, run) in trials {
            let run = move || {
                run(&Board::new(shell, name));
                Ok(())
            };
            all.push(Trial::test(format!("{}_{name}", shell[0]), run).with_ignored_flag(!there));
        }
    }
    let checks = is_there("shellcheck", &["--version"]);
    let run = || {
        let init = format!("{FILES}/stillthere.init");
        let output = Command::new("shellcheck").arg(init).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    };
    all.push(Trial::test("shellcheck_has_nothing_to_say", run).with_ignored_flag(!checks));
    libtest_mimic::run(&Arguments::from_args(), all).exit();
}

fn shipped(board: &Board) {
    board.configure(&fs::read_to_string(format!("{FILES}/stillthere.config")).unwrap());
    let told = board.told("start");
    let file = board.here.join("run/main.conf");
    let command = format!("command {} serve --config {}", env!("CARGO_BIN_EXE_stillthere"), file.display());
    assert!(told.starts_with("instance main\n") && told.contains(&command) && told.ends_with("end\n"), "{told}");
    assert!(!told.contains("log "), "{told}");
    assert!(board.file("main").contains("listen \"127.0.0.1:7007\"\n"), "{}", board.file("main"));
    assert_eq!(board.told("service_triggers"), "trigger stillthere\n");
}

/// Every option that the program's own example has, with its dashes.
fn each_option(board: &Board) {
    let example = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/dist/stillthere.conf")).unwrap();
    let options: Vec<(&str, &str)> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .map(|line| line.split_once(' ').unwrap_or((line, "yes")))
        .collect();
    assert!(options.len() > 20, "{options:?}");
    let mut text = String::from("config other 'one'\n\toption deadline '1h'\nconfig serve 'all'\n");
    for (name, value) in &options {
        let kind = if *name == "listen" { "list" } else { "option" };
        text += &format!("\t{kind} {} '{value}'\n", name.replace('-', "_"));
    }
    board.configure(&text);
    board.told("write_files");
    let written = fs::read_to_string(board.here.join("run/all.new")).unwrap();
    let expected: String = options.iter().map(|(name, value)| format!("{name} \"{value}\"\n")).collect();
    assert_eq!(written.split_once('\n').unwrap().1, expected);
    assert!(!board.here.join("run/one.new").exists());
}

fn wrong(board: &Board) {
    board.configure("config serve 'a'\n\tlist listen '127.0.0.1:7007'\n\toption deadlin '3s'\n");
    let told = board.told("start");
    assert!(
        told.starts_with("log -t stillthere") && told.contains("section a of") && told.contains("deadlin"),
        "{told}"
    );
    assert!(!told.contains("instance"), "{told}");
    board.configure("config serve 'a'\n\tlist listen '127.0.0.1:7007'\n\toption deadline '30s'\n");
    assert!(board.told("start").starts_with("instance a\n"));
    // Now one is there, and stays.
    board.configure("config serve 'a'\n\toption deadline 'soon'\n");
    let told = board.told("start");
    assert!(told.starts_with("log ") && told.contains("soon") && told.contains("instance a\n"), "{told}");
    assert!(board.file("a").contains("deadline \"30s\"\n"), "{}", board.file("a"));
}

fn reload(board: &Board) {
    board.configure("config serve 'a'\n\toption deadline '30s'\n\toption reuse_port '1'\n");
    let before = board.told("start");
    board.configure("config serve 'a'\n\toption deadline '40s'\n");
    assert_eq!(board.told("reload_service"), format!("{before}signal stillthere * USR2\n"));
    assert!(board.file("a").ends_with("deadline \"40s\"\n"), "{}", board.file("a"));
    board.told("stop_service");
    assert!(!board.here.join("run").exists());
}

fn disabled(board: &Board) {
    board.configure("config serve 'a'\n\toption enabled '0'\nconfig serve 'b'\n");
    let told = board.told("start");
    assert!(told.starts_with("instance b\n") && !told.contains("instance a"), "{told}");
}
