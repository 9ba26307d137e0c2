//! The terminal: its modes, the other screen, and what is written there.
//!
//! Owns the promise that it is left as it was found, exactly once, however the program ends: by the drop, by the hook of a
//! panic (which aborts, and drops nothing), or before a signal is obeyed. Knows nothing of what is shown.
//!
//! No write blocks: the terminal is opened once more, so that O_NONBLOCK is ours alone (open(2)). What it does not take is kept,
//! and while something is kept no new picture is drawn.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::ask::top::frame::Frame;

/// The other screen, no cursor, and lines that are too long are cut and not continued (xterm's control sequences, ctlseqs).
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/// The reverse, in reverse order. CAN first ends a sequence that was cut in the middle.
const LEAVE: &[u8] = b"\x18\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
/// How long a terminal that takes nothing is waited for at the end.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// A terminal in our hands.
#[derive(Debug)]
pub struct Terminal {
    tty: Arc<Tty>,
    /// What it has not taken yet.
    kept: Vec<u8>,
    /// The lines that it shows, and the size that it had then.
    shown: Vec<String>,
    size: (u16, u16),
}

/// What the hook of a panic needs as well.
#[derive(Debug)]
struct Tty {
    file: File,
    before: Termios,
    is_entered: AtomicBool,
}

impl Terminal {
    /// Whether a live table can be shown.
    ///
    /// # Errors
    /// A sentence that says what can be done instead.
    pub fn check() -> Result<(), String> {
        let instead = "`stillthere who` prints the table once, and is made for files and pipes";
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(format!("`stillthere top` needs a terminal for its input and output; {instead}"));
        }
        match env::var("TERM").unwrap_or_default().as_str() {
            "" | "dumb" => Err(format!("this terminal can move no cursor (TERM is dumb or not set); {instead}")),
            _ => Ok(()),
        }
    }

    /// Whether it shows more than ASCII, as far as the environment tells (locale(7)).
    pub fn has_blocks() -> bool {
        let set = |name: &&str| env::var(name).is_ok_and(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find(|name| set(name)).and_then(|name| env::var(name).ok());
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        locale.ends_with("utf-8") || locale.ends_with("utf8")
    }

    /// Takes the terminal over.
    ///
    /// # Errors
    /// A sentence.
    pub fn enter() -> Result<Self, String> {
        let open = |path: &str| {
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
        };
        // Another user's terminal (su, sudo) cannot be opened by its name, but as our controlling one.
        let file = open("/proc/self/fd/1").or_else(|_| open("/dev/tty"));
        let file = file.map_err(|error| format!("the terminal cannot be opened: {error}"))?;
        let before = tcgetattr(&file).map_err(|error| format!("the terminal's modes cannot be read: {error}"))?;
        let tty = Arc::new(Tty { file, before, is_entered: AtomicBool::new(false) });
        let left = Arc::clone(&tty);
        let then = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            left.leave();
            then(panic);
        }));
        let mut terminal = Self { tty, kept: Vec::new(), shown: Vec::new(), size: (0, 0) };
        terminal.enter_again().map_err(|error| format!("the terminal's modes cannot be set: {error}"))?;
        Ok(terminal)
    }

    /// Takes it over once more: the shell may have had it. The other screen is entered only if it was left: entering it
    /// again would lose where the cursor was before.
    pub(super) fn enter_again(&mut self) -> io::Result<()> {
        let mut raw = self.tty.before.clone();
        raw.make_raw();
        let was_left = !self.tty.is_entered.swap(true, Ordering::SeqCst);
        tcsetattr(&self.tty.file, OptionalActions::Now, &raw)?;
        if was_left {
            self.kept.extend(ENTER);
        }
        self.forget();
        self.write()
    }

    /// Gives it back.
    pub(super) fn leave(&mut self) {
        self.kept.clear();
        self.tty.leave();
    }

    /// Columns and rows. A terminal that tells none is of the usual size.
    pub(super) fn size(&self) -> (u16, u16) {
        match tcgetwinsize(&self.tty.file) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        }
    }

    /// What was typed; none if there will be no more.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = [0; 1024];
        match (&self.tty.file).read(&mut bytes) {
            Ok(0) => Ok(None),
            Ok(count) => {
                // It may take output again, too: it costs nothing to try.
                self.write()?;
                Ok(Some(bytes[..count].to_vec()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(Some(Vec::new()))
            }
            // What a terminal says that was hung up.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether everything is written.
    pub(super) fn has_drawn(&mut self) -> bool {
        let _ = self.write(); // an error is found by the next read as well
        self.kept.is_empty()
    }

    /// Everything is written anew with the next picture.
    pub(super) fn forget(&mut self) {
        self.size = (0, 0);
    }

    /// Writes the lines that have changed.
    pub(super) fn show(&mut self, frame: &Frame, plain: bool, size: (u16, u16)) -> io::Result<()> {
        let lines = frame.lines(plain);
        if self.size != size {
            self.size = size;
            self.shown.clear();
            self.kept.extend(b"\x1b[0m\x1b[2J");
        }
        for (row, line) in lines.iter().enumerate() {
            if self.shown.get(row) != Some(line) {
                // The rest of the line is erased first: after the last column it would erase what was written there.
                let _ = write!(self.kept, "\x1b[{};1H\x1b[K{line}", row + 1); // a Vec takes all
            }
        }
        self.shown = lines;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.kept.is_empty() {
            match (&self.tty.file).write(&self.kept) {
                Ok(count) => drop(self.kept.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => {
                    self.kept.clear(); // it has gone: the next read says so
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tty.file.as_fd()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tty.leave();
    }
}

impl Tty {
    /// Once, and not again: a second time would move the cursor of whoever has the terminal by then.
    fn leave(&self) {
        if !self.is_entered.swap(false, Ordering::SeqCst) {
            return;
        }
        let (mut rest, until) = (LEAVE, Instant::now() + LAST_WAIT);
        while !rest.is_empty() {
            match (&self.file).write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    let time = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&time));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // Not when the output is drained: a terminal that is stuck would keep us for ever.
        let _ = tcsetattr(&self.file, OptionalActions::Now, &self.before);
    }
}
