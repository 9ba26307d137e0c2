//! The timeline, line by line, as a terminal shows it.
//!
//! Owns the layout of the lines, and when colours are used. Knows no scene.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use crate::lab::ears::decode::is_plain;
use crate::lab::show::excerpt::packet_words;
use crate::lab::timeline::{Timeline, TimelineEntry, Verdict, What, Who};

/// How many plain packets in a row are printed; further ones are counted.
const RUN: usize = 4;

/// The look of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Ink {
    Plain,
    Dim,
    Strong,
    Good,
    Bad,
    Client,
    Path,
    Probe,
}

/// Colours that are legible on light and on dark backgrounds; `Plain` text stays as it is.
pub(in crate::lab) fn paint(colours: bool, ink: Ink, text: &str) -> String {
    let code = match ink {
        _ if !colours => return text.to_string(),
        Ink::Plain => return text.to_string(),
        Ink::Dim => "2",
        Ink::Strong => "1",
        Ink::Good => "32",
        Ink::Bad => "1;31",
        Ink::Client => "36",
        Ink::Path => "35",
        Ink::Probe => "33",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Colours are used on a terminal that can show them, unless `NO_COLOR` is set (no-color.org).
pub fn wants_colours(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    is_terminal
        && variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_none_or(|term| term != "dumb")
}

/// How many characters fit in a line of the terminal `out`; 100 if it is not a terminal.
pub fn width(out: impl AsFd) -> usize {
    match rustix::termios::tcgetwinsize(out) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => 100,
    }
}

/// Text that programs wrote may contain anything: terminal control sequences are removed.
pub(in crate::lab) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Prints entries as they come.
#[derive(Debug)]
pub struct Printer<W> {
    out: W,
    colours: bool,
    origin: Option<SystemTime>,
    run: usize,
}

impl<W: Write> Printer<W> {
    /// Without an `origin`, time is counted from the first fault that is printed.
    pub fn new(out: W, colours: bool, origin: Option<SystemTime>) -> Self {
        Self { out, colours, origin, run: 0 }
    }

    /// Prints one entry. A long run of plain packets is counted instead.
    ///
    /// # Errors
    /// Those of the output.
    pub fn entry(&mut self, entry: &TimelineEntry) -> io::Result<()> {
        if self.origin.is_none() && matches!(entry.what, What::Fault(_)) {
            self.origin = Some(entry.at);
        }
        if packet_words(entry).is_some_and(is_plain) {
            self.run += 1;
            if self.run > RUN {
                return Ok(());
            }
        } else {
            self.end_run()?;
        }
        let line = self.line(entry);
        writeln!(self.out, "{line}")
    }

    /// Prints how many packets were left out, if that was not printed yet.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end_run(&mut self) -> io::Result<()> {
        let run = std::mem::take(&mut self.run);
        if run > RUN {
            let words = format!("{:32}… and {} more like these", "", run - RUN);
            writeln!(self.out, "{}", paint(self.colours, Ink::Dim, &words))?;
        }
        Ok(())
    }

    /// Prints how it ended.
    ///
    /// # Errors
    /// Those of the output.
    pub fn verdict(&mut self, verdict: &Verdict) -> io::Result<()> {
        self.end_run()?;
        writeln!(self.out, "\n{}", self::verdict(verdict, self.colours))
    }

    fn line(&self, entry: &TimelineEntry) -> String {
        let time = match self.origin {
            Some(origin) => {
                let seconds = Timeline { entries: Vec::new(), origin }.seconds(entry);
                format!("{}{:>8.3} s", if seconds < 0.0 { '-' } else { '+' }, seconds.abs())
            }
            None => format!("{:11}", "  before"),
        };
        let (way, way_ink, words, ink) = match (&entry.what, entry.who) {
            (What::Packet { words, .. }, who) => {
                let (way, ink) = match who {
                    Who::Server => ("client ◀── server", Ink::Plain),
                    Who::Client => ("client ──▶ server", Ink::Client),
                    Who::Path | Who::Lab => ("  path ──▶ server", Ink::Path),
                };
                let is_try = ["keepalive probe", "window probe", "retransmission", "tail loss probe"];
                let tries = is_try.iter().any(|start| words.starts_with(start));
                (way, ink, words, if tries { Ink::Probe } else { ink })
            }
            (What::Fault(words), _) => ("───── fault ─────", Ink::Bad, words, Ink::Bad),
            (What::Departure { words }, _) => ("─── departure ───", Ink::Strong, words, Ink::Strong),
            (What::Note(words), _) => ("                 ", Ink::Dim, words, Ink::Dim),
        };
        let colours = self.colours;
        format!(
            "{}   {}  {}",
            paint(colours, Ink::Dim, &time),
            paint(colours, way_ink, way),
            paint(colours, ink, &printable(words))
        )
    }
}

/// The verdict in three lines.
pub fn verdict(verdict: &Verdict, colours: bool) -> String {
    let (ink, kept) = match (verdict.kept_its_promise, verdict.dropped) {
        (false, _) => (Ink::Bad, "BROKE ITS PROMISE"),
        (true, None) => (Ink::Good, "kept its promise"),
        (true, Some(_)) => (Ink::Probe, "dropped living peers, as its loss allows"),
    };
    format!(
        "{}: {}\n  predicted  {}\n  measured   {}",
        paint(colours, Ink::Strong, &printable(&verdict.scene)),
        paint(colours, ink, kept),
        predicted(verdict),
        printable(&measured(verdict))
    )
}

/// `gone after 4.9 to 5.3 s`, or that the peer must be kept.
pub(in crate::lab) fn predicted(verdict: &Verdict) -> String {
    match verdict.predicted {
        Some((from, to)) => format!("gone after {:.1} to {:.1} s", from.as_secs_f64(), to.as_secs_f64()),
        None => "kept: its kernel still answers".to_string(),
    }
}

/// `gone after 5.083 s: ETIMEDOUT, says the server's log`, and how far off that is.
pub(in crate::lab) fn measured(verdict: &Verdict) -> String {
    let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    let Some(measured) = verdict.measured else {
        let words = format!("still there after {:.1} s", verdict.watched.as_secs_f64());
        return if verdict.said_by.is_empty() { words } else { format!("{words}: {}", verdict.said_by) };
    };
    let mut words = format!("gone after {}", seconds(measured));
    match verdict.predicted {
        Some((from, _)) if measured < from => words += &format!(", {} early", seconds(from - measured)),
        Some((_, to)) if measured > to => words += &format!(", {} past the prediction", seconds(measured - to)),
        Some(_) => {}
        None => words += ", a living peer",
    }
    if !verdict.errno.is_empty() {
        words += &format!(": {}", verdict.errno);
    }
    if !verdict.said_by.is_empty() {
        words += &format!(", says {}", verdict.said_by);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::ears::frames::{cut_cable, verdict as a_verdict};

    fn print(timeline: &Timeline, colours: bool, origin: Option<SystemTime>) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, colours, origin);
        timeline.entries.iter().for_each(|entry| printer.entry(entry).unwrap());
        printer.verdict(&a_verdict()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_lines_read_as_a_story() {
        let timeline = cut_cable();
        let said = print(&timeline, false, Some(timeline.origin));
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "-   1.000 s   client ──▶ server  SYN");
        assert_eq!(lines[5], "+   0.000 s   ───── fault ─────  the cable is cut: both ways are dead, silently");
        assert_eq!(lines[6], "+   1.048 s   client ◀── server  keepalive probe 1 of 3");
        assert_eq!(
            lines[11..],
            [
                "",
                "idle/black-hole: kept its promise",
                "  predicted  gone after 4.0 to 4.3 s",
                "  measured   gone after 4.121 s: ETIMEDOUT, says the server's log",
            ]
        );
        let live = print(&timeline, false, None);
        assert_eq!(live.lines().next().unwrap(), "  before      client ──▶ server  SYN");
        assert_eq!(live.lines().skip(5).collect::<Vec<_>>(), lines[5..]);
    }

    #[test]
    fn a_flood_is_counted() {
        let mut timeline = cut_cable();
        let data = timeline.entries[3].clone();
        timeline.entries.splice(3..3, std::iter::repeat_n(data, 1000));
        let said = print(&timeline, false, Some(timeline.origin));
        assert!(said.contains("… and 998 more like these\n+   0.000 s"), "{said}");
        assert!(said.lines().count() < 20);
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert!(print(&cut_cable(), true, None).contains("\x1b[1;31m"));
        assert!(!print(&cut_cable(), false, None).contains('\x1b'));
        let with =
            |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| OsString::from(value));
        assert!(wants_colours(true, |_| None) && !wants_colours(false, |_| None));
        assert!(!wants_colours(true, with("NO_COLOR", "1")) && wants_colours(true, with("NO_COLOR", "")));
        assert!(!wants_colours(true, with("TERM", "dumb")) && wants_colours(true, with("TERM", "xterm")));
    }

    #[test]
    fn what_is_no_terminal_has_a_width_too() {
        assert_eq!(width(std::fs::File::open("/dev/null").unwrap()), 100);
    }

    #[test]
    fn what_a_program_wrote_cannot_steer_the_terminal() {
        let mut timeline = cut_cable();
        timeline.entries[0].what = What::Note("\x1b]0;title\x07 hello\r\n".to_string());
        assert!(!print(&timeline, false, None).contains(['\x1b', '\x07', '\r']));
    }

    #[test]
    fn a_broken_promise_says_how_far_off() {
        let late = Verdict { measured: Some(Duration::from_secs(9)), kept_its_promise: false, ..a_verdict() };
        assert!(verdict(&late, false).contains("BROKE ITS PROMISE"));
        assert!(measured(&late).starts_with("gone after 9.000 s, 4.700 s past the prediction: ETIMEDOUT"));
        let never = Verdict { measured: None, said_by: String::new(), ..late.clone() };
        assert_eq!(measured(&never), "still there after 60.0 s");
        let held = Verdict { said_by: "descriptor 7 of it is open".to_string(), ..never.clone() };
        assert_eq!(measured(&held), "still there after 60.0 s: descriptor 7 of it is open");
        let living = Verdict { predicted: None, ..late };
        assert!(measured(&living).contains("a living peer"));
    }
}
