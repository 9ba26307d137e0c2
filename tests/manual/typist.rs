//! A person at a shell: types a line, presses the tab key, and sees what the line has become.
//!
//! The shell runs in a pseudo-terminal. There `stillthere` is a function that tells its arguments, except for the `who` by which a
//! completion asks for ids, which is the program.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::common::PATIENCE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
}

/// A directory that goes when the test ends.
pub struct Temporary(pub PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl std::ops::Deref for Temporary {
    type Target = PathBuf;

    fn deref(&self) -> &PathBuf {
        &self.0
    }
}

pub fn temporary(name: &str) -> Temporary {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("stillthere-{name}-{}-{number}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    Temporary(path)
}

/// A PATH on which the program is found.
pub fn places() -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_stillthere"));
    format!("{}:/usr/local/bin:/usr/bin:/bin", program.parent().unwrap().display())
}

pub struct Typist {
    own: File,
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of it there was before the latest line.
    before: usize,
    pub home: Temporary,
}

/// What the function writes before and after the arguments. It is put together there, so that its echo is not taken for it.
const BEGIN: &str = "{{<";
const END: &str = ">}}";

impl Typist {
    pub fn start(shell: Shell) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let home = temporary("typist");
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
        grantpt(&own).unwrap();
        unlockpt(&own).unwrap();
        let name = ptsname(&own, Vec::new()).unwrap().into_string().unwrap();
        let other = File::options().read(true).write(true).open(name).unwrap();
        // So wide that no line is broken.
        let size = rustix::termios::Winsize { ws_row: 50, ws_col: 500, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&own, size).unwrap();
        let own = File::from(own);
        // setsid is part of util-linux, like kill: the shell's children go with its terminal.
        let mut command = Command::new("setsid");
        command.arg("--ctty");
        match shell {
            Shell::Bash => command.args(["bash", "--noprofile", "--norc", "-i"]),
            Shell::Zsh => command.args(["zsh", "-f", "-i"]),
        };
        command.env_clear().env("HOME", &home.0).env("TERM", "dumb").env("PATH", places()).env("LC_ALL", "C.UTF-8");
        command.current_dir(&home.0);
        let side = || Stdio::from(other.try_clone().unwrap());
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("setsid runs");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut from, seen) = (own.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                seen.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        let mut typist = Self { own, child, shown, before: 0, home };
        let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/manual");
        let tell = r#"stillthere() { case "$*" in "who --patience 500ms"*) command stillthere "$@";; *) printf '%s' '{''{<'; printf '%s<>' "$@"; printf '%s\n' '>}''}';; esac; }"#;
        let lines = match shell {
            Shell::Bash => vec![
                "PS1=; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'".to_string(),
                format!("source '{manual}/stillthere.bash'"),
                tell.to_string(),
            ],
            Shell::Zsh => vec![
                "PROMPT=; RPROMPT=; unsetopt prompt_sp zle_bracketed_paste beep; setopt no_nomatch".to_string(),
                format!(
                    "fpath=('{manual}' $fpath); autoload -Uz compinit; compinit -u -d '{}/dump'",
                    typist.home.display()
                ),
                tell.to_string(),
            ],
        };
        for line in lines {
            typist.press(&format!("{line}\n"));
        }
        // It is ready when it has carried out a line; compinit of zsh takes a moment.
        assert_eq!(typist.type_line("stillthere ready\n"), ["ready"]);
        typist
    }

    fn press(&mut self, keys: &str) {
        self.own.write_all(keys.as_bytes()).unwrap();
    }

    /// Types this, presses the tab key and Enter, and returns the words that the program would have been given.
    pub fn type_and_complete(&mut self, line: &str) -> Vec<String> {
        self.type_line(&format!("{line}\t\n"))
    }

    fn type_line(&mut self, keys: &str) -> Vec<String> {
        let before = self.count();
        self.before = self.text().len();
        self.press(keys);
        let until = Instant::now() + PATIENCE;
        while self.count() == before {
            assert!(Instant::now() < until, "{keys:?} was never carried out; the terminal has\n{}", self.text());
            sleep(Duration::from_millis(2));
        }
        let text = self.text();
        let told = text.rsplit_once(BEGIN).unwrap().1.split(END).next().unwrap();
        told.split("<>").map(str::to_string).filter(|word| !word.is_empty()).collect()
    }

    /// What the terminal has shown since the latest line was begun.
    pub fn shown(&self) -> String {
        self.text().split_off(self.before)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn count(&self) -> usize {
        self.text().matches(END).count()
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
