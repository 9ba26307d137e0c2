//! Lines that one program leaves to the next one, which is executed in its place: none is lost, and none is told twice.
//!
//! Owns the form in which they are written down. A file is opened anew by its name; if it is still the same one, a line of which a part
//! was written is completed. A collector is connected to anew, and gets the lines of which it has not acknowledged every byte.

use log::warn;
use rustix::fs::fstat;

use crate::count::so_many;
use crate::observe::event::Chronicle;
use crate::observe::events::Events;
use crate::observe::events::lines::Lines;
use crate::observe::events::sink::{Found, Sink};

/// The form of what is written down. Another one is not understood.
const FORM: u8 = 1;

/// A line of which a part was written, and to which file or pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    file: File,
    begun: usize,
}

/// What tells one file from every other one, and one pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct File {
    device: u64,
    inode: u64,
}

impl File {
    /// `None`: it is a connection, which ends with the program.
    fn of(sink: &Sink) -> Option<Self> {
        if matches!(sink, Sink::Unix(_) | Sink::Tcp(_)) {
            return None;
        }
        let file = fstat(sink).ok()?;
        Some(Self { device: file.st_dev, inode: file.st_ino })
    }
}

impl Events {
    /// All that the next program must know.
    pub(super) fn written_down(&self) -> Vec<u8> {
        let file = self.sink.as_ref().and_then(File::of);
        let arrived = match &self.sink {
            Some(Sink::Tcp(collector)) if self.connecting.is_none() => collector.arrived(),
            _ => 0,
        };
        let (lines, begun) = self.lines.owed(arrived);
        let File { device, inode } = file.unwrap_or(File { device: 0, inode: 0 });
        let begun = if file.is_some() { begun as u64 } else { 0 };
        let (left_out, in_all) = (self.lines.left_out_now(), self.lines.left_out_in_all());
        write([self.chronicle.next(), left_out, in_all, device, inode, begun], lines)
    }

    /// Goes on with what the program before this one has left.
    pub(super) fn take_over(&mut self, saved: Option<&[u8]>) {
        let Some(saved) = saved else { return };
        let Some((chronicle, lines, torn)) = read(saved) else {
            warn!("events to {}: what the program before this one left cannot be read, and is not told", self.to);
            return;
        };
        if lines.waiting() > 0 {
            log::debug!("events to {}: {} waiting from before", self.to, so_many(lines.waiting() as usize, "line"));
        }
        self.left_out.store(lines.left_out_in_all(), std::sync::atomic::Ordering::Relaxed);
        (self.chronicle, self.lines, self.torn) = (chronicle, lines, torn);
    }

    /// What was found when the sink was opened, in the light of what was written to it before. If it is the same file, a line that is
    /// torn there is ours, and is completed.
    pub(super) fn goes_on_in(&mut self, found: Found) -> Found {
        let Some(torn) = self.torn.take() else { return found };
        if self.sink.as_ref().and_then(File::of) != Some(torn.file) {
            return found;
        }
        self.lines.go_on_from(torn.begun);
        Found::Ready
    }
}

/// The number of the next event; how many were left out, now and in all; the file, and how much of the first line it has; the lines.
fn write<'a>(numbers: [u64; 6], lines: impl ExactSizeIterator<Item = &'a str>) -> Vec<u8> {
    let mut bytes = vec![FORM];
    let mut number = |number: u64, line: &str| {
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(line.as_bytes());
    };
    numbers.into_iter().chain([lines.len() as u64]).for_each(|one| number(one, ""));
    lines.for_each(|line| number(line.len() as u64, line));
    bytes
}

/// `None`: that is not how we write it down.
fn read(saved: &[u8]) -> Option<(Chronicle, Lines, Option<Torn>)> {
    let (form, mut rest) = saved.split_first()?;
    if *form != FORM {
        return None;
    }
    let mut number = || Some(u64::from_le_bytes(*take(&mut rest, 8)?.first_chunk()?));
    let [next, left_out, left_out_in_all] = [number()?, number()?, number()?];
    let [device, inode, begun, count] = [number()?, number()?, number()?, number()?];
    let mut lines = Vec::new();
    for _ in 0..count {
        let length = u64::from_le_bytes(*take(&mut rest, 8)?.first_chunk()?);
        lines.push(std::str::from_utf8(take(&mut rest, usize::try_from(length).ok()?)?).ok()?);
    }
    let torn = (begun > 0).then_some(Torn { file: File { device, inode }, begun: usize::try_from(begun).ok()? });
    let lines = Lines::taken_over(lines.into_iter(), left_out, left_out_in_all);
    Some((Chronicle::from(next), lines, torn))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    use super::*;
    use crate::keepalive::Keepalive;
    use crate::observe::events::{Begin, EventsTo};
    use crate::reactor::Reactor;

    const LINES: [&str; 2] = ["{\"seq\":7}\n", "{\"seq\":8}\n"];

    /// A file that has this text already is opened by a program to which this was left.
    fn goes_on(name: &str, has: &str, saved: impl FnOnce(u64, u64) -> Vec<u8>) -> String {
        let path = std::env::temp_dir().join(format!("stillthere-taken-over-{}-{name}", std::process::id()));
        fs::write(&path, has).unwrap();
        let file = fs::metadata(&path).unwrap();
        let begin = Begin::TakeOver(Some(saved(file.dev(), file.ino())));
        let mut reactor = Reactor::new(10).unwrap();
        let to = EventsTo::File(path.clone());
        reactor
            .add(|registry, names| Events::open(to, &Keepalive::default(), begin, registry, names))
            .expect("it can be opened");
        for _ in 0..3 {
            reactor.turn_within(Duration::ZERO).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        text
    }

    #[test]
    fn a_line_that_was_begun_is_completed_in_the_same_file_only() {
        let of = |begun| move |device, inode| write([9, 0, 0, device, inode, begun], LINES.into_iter());
        assert_eq!(goes_on("same", "x\n{\"se", of(4)), "x\n{\"seq\":7}\n{\"seq\":8}\n");
        assert_eq!(goes_on("whole", "x\n", of(0)), "x\n{\"seq\":7}\n{\"seq\":8}\n");
        // Somebody has renamed the file, and this is a new one.
        let other = |device, inode: u64| write([9, 0, 0, device, inode + 1, 4], LINES.into_iter());
        assert_eq!(goes_on("other", "", other), "{\"seq\":7}\n{\"seq\":8}\n");
        assert_eq!(goes_on("torn", "{\"x", other), "{\"x\n{\"seq\":7}\n{\"seq\":8}\n");
    }

    #[test]
    fn what_makes_no_sense_is_not_told() {
        let saved = write([9, 2, 3, 0, 0, 0], LINES.into_iter());
        let (chronicle, lines, torn) = read(&saved).unwrap();
        assert_eq!((chronicle.next(), lines.waiting(), torn), (9, 2, None));
        assert_eq!((lines.left_out_now(), lines.left_out_in_all()), (2, 3));
        for end in 0..saved.len() {
            assert!(read(&saved[..end]).is_none(), "{end}");
        }
        let newer = [&[FORM + 1], &saved[1..]].concat();
        assert!(read(&newer).is_none());
        assert_eq!(goes_on("newer", "x\n", |_, _| newer), "x\n");
    }
}
