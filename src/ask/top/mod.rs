//! `stillthere top`: the peers of a server, live in a terminal.
//!
//! Owns the loop: it waits for keys, signals and what the watching thread has heard, and never for a write: a terminal that
//! takes nothing misses pictures, and is left in order all the same. What is shown is decided in `state.rs` and `view.rs`,
//! which know no terminal; the terminal knows no peers.

use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::ask::TopSettings;
use crate::ask::client::Client;
use crate::ask::top::keys::Keys;
use crate::ask::top::signals::{Signal, Signals};
use crate::ask::top::state::{Top, Wish};
use crate::ask::top::terminal::Terminal;
use crate::ask::top::watch::{Update, Watch};

mod frame;
mod keys;
mod peers;
mod signals;
mod state;
pub mod terminal;
mod told;
mod view;
mod watch;

/// From one picture to the next, if nothing calls for one sooner.
const PICTURE: Duration = Duration::from_millis(250);
/// No two pictures are closer together: a key that repeats, or a crowd that arrives, must not draw without end.
const LEAST: Duration = Duration::from_millis(50);
/// What follows an ESC within this time belongs to it; after that it was the key of this name. A slow line needs some time.
const ESCAPE: Duration = Duration::from_millis(100);

/// Shows the server until it is told to stop. True, always.
///
/// # Errors
/// A sentence: stdout is no terminal, or the server cannot be reached to begin with.
pub fn show(settings: &TopSettings) -> Result<bool, String> {
    Terminal::check()?;
    let client = Client::new(&settings.server)?;
    let place = client.place().to_string();
    // The first connection is made before the screen is taken: a wrong address is told as by any other command.
    let events = client.events(watch::PATH).map_err(|trouble| trouble.to_string())?;
    let signals = Signals::caught().map_err(|error| format!("signals cannot be caught: {error}"))?;
    let (watch, updates) = Watch::start(&settings.server, events, signals.bell()?)?;
    let mut terminal = Terminal::enter()?;
    let ending = Screen {
        top: Top::new(place, Terminal::has_blocks()),
        terminal: &mut terminal,
        signals: &signals,
        watch,
        updates,
        keys: Keys::default(),
        plain: settings.plain,
        began: Instant::now(),
    }
    .run();
    drop(terminal); // what is said from now on is for the usual screen
    match ending {
        Ok(Ending::Quit | Ending::TerminalGone) => Ok(true),
        Ok(Ending::Signal(signal)) => {
            signal.act();
            Ok(true)
        }
        Err(error) => Err(format!("the terminal fails: {error}")),
    }
}

/// Why it ended.
enum Ending {
    Quit,
    Signal(Signal),
    /// There is nobody to show anything to.
    TerminalGone,
}

struct Screen<'a> {
    top: Top,
    terminal: &'a mut Terminal,
    signals: &'a Signals,
    watch: Watch,
    updates: Receiver<Update>,
    keys: Keys,
    plain: bool,
    began: Instant,
}

impl Screen<'_> {
    fn run(mut self) -> io::Result<Ending> {
        let (mut next, mut wanted, mut escape) = (Instant::now(), true, None::<Instant>);
        loop {
            let now = Instant::now();
            if self.terminal.has_drawn() && (wanted && now >= next || now >= next + PICTURE - LEAST) {
                self.draw()?;
                (next, wanted) = (now + LEAST, false);
            }
            // While the terminal takes nothing, it says when it does, and no picture is due.
            let mut until = if !self.terminal.has_drawn() {
                now + PICTURE
            } else if wanted {
                next
            } else {
                next + PICTURE - LEAST
            };
            if let Some(escape) = escape {
                until = until.min(escape);
            }
            let ready = self.wait(until.saturating_duration_since(Instant::now()))?;
            self.signals.hush();
            while let Some(signal) = self.signals.take() {
                match signal {
                    Signal::Resized => {}
                    Signal::Continued => self.terminal.enter_again()?,
                    signal => return Ok(Ending::Signal(signal)),
                }
                wanted = true;
            }
            if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                match self.terminal.read()? {
                    // It would be announced as ready for ever.
                    None => return Ok(Ending::TerminalGone),
                    Some(bytes) => self.keys.put(&bytes),
                }
                escape = None;
            }
            if escape.is_some_and(|escape| Instant::now() >= escape) {
                self.keys.close();
            }
            while let Some(key) = self.keys.next() {
                wanted = true;
                if let Some(wish) = self.top.press(key) {
                    match wish {
                        Wish::Quit => return Ok(Ending::Quit),
                        Wish::Suspend => self.suspend()?,
                        Wish::Redraw => self.terminal.forget(),
                        Wish::Story(id) => self.ask(|watch| watch.ask_story(id)),
                        Wish::Drop(id) => self.ask(|watch| watch.ask_drop(id)),
                    }
                }
            }
            escape = self.keys.is_open().then(|| escape.unwrap_or_else(|| Instant::now() + ESCAPE));
            let local = self.local();
            // A crowd of them does not keep a key waiting.
            for update in self.updates.try_iter().take(256) {
                wanted |= self.top.take(update, local);
            }
            if let Some(id) = self.top.story_is_due(local) {
                self.ask(|watch| watch.ask_story(id));
            }
        }
    }

    /// What cannot be asked is told.
    fn ask(&mut self, question: impl FnOnce(&Watch) -> Result<(), String>) {
        if let Err(sentence) = question(&self.watch) {
            self.top.remark = Some(sentence);
        }
    }

    /// What the terminal has for us.
    fn wait(&mut self, time: Duration) -> io::Result<PollFlags> {
        let wanted = if self.terminal.has_drawn() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let tty = self.terminal.as_fd();
        let mut fds = [PollFd::from_borrowed_fd(tty, wanted), PollFd::new(self.signals, PollFlags::IN)];
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos() as _ };
        match poll(&mut fds, Some(&time)) {
            Err(Errno::INTR) => Ok(PollFlags::empty()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(fds[0].revents()),
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let local = self.local();
        let (width, height) = self.terminal.size();
        let frame = view::picture(&mut self.top, width, height, local);
        self.terminal.show(&frame, self.plain, (width, height))
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.terminal.leave();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        self.terminal.enter_again()
    }

    fn local(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
