//! The picture: from what is known to lines, for a terminal of any size.
//!
//! A pure function of the state, the size and the time; the table is put in order on the way.

use crate::ask::amount::{age, brief, short_time, size};
use crate::ask::top::frame::{Frame, Line, Look};
use crate::ask::top::peers::Row;
use crate::ask::top::state::{Link, Mode, Top, most_first};
use crate::ask::top::told::PARTS;
use crate::count::so_many;

/// The table is worth more than what is above it: that gets no more than this leaves.
const LEAST_ROWS: usize = 4;
/// A bar that is shorter says nothing.
const LEAST_BAR: usize = 8;
const LONGEST_BAR: usize = 40;

const HELP: &[&str] = &[
    "  Up, Down, PageUp, PageDown, Home, End   move",
    "  Enter      the story of one peer",
    "  s          sort: silence, output that waits, address",
    "  /          filter: a part of an address or an id, or 10.0.0.0/8; Esc clears it",
    "  d          drop the peer, after a question",
    "  q, Ctrl-C  quit",
    "  Ctrl-Z     suspend;  Ctrl-L  draw anew",
    "",
    "  A bar is a peer's silence; when it is full, the deadline has come.",
    "  Yellow: it should have been heard of, and is probed. Red: little time is left.",
    "",
    "  Any key goes back.",
];

/// What the screen shows now.
pub(super) fn picture(top: &mut Top, width: u16, height: u16, local: u64) -> Frame {
    let (width, height) = (usize::from(width), usize::from(height));
    let mut lines = Vec::new();
    match &top.mode {
        Mode::Help => {
            lines.push(title(top, width));
            lines.push(Line::default());
            lines.extend(HELP.iter().map(|line| Line::of(*line)));
        }
        Mode::Story { lines: story, .. } => {
            lines.push(title(top, width));
            lines.push(Line::default());
            match story {
                Ok(story) if story.is_empty() => lines.push(Line::of("  ...")),
                Ok(story) => lines.extend(story.iter().flat_map(|line| wrapped(line, width))),
                Err(sentence) => lines.extend(wrapped(sentence, width)),
            }
        }
        Mode::Table | Mode::Filter | Mode::Confirm { .. } => table(top, &mut lines, width, height, local),
    }
    lines.resize(height.saturating_sub(1), Line::default());
    lines.push(last_line(top, local));
    lines.drain(..lines.len().saturating_sub(height));
    Frame { lines, width }
}

fn table(top: &mut Top, lines: &mut Vec<Line>, width: usize, height: usize, local: u64) {
    // The last line, and the heading of the table, are always there.
    let room = height.saturating_sub(2);
    let head = head(top, width);
    let above = head.len().min(room.saturating_sub(LEAST_ROWS));
    let latest = top.latest.len().min((room / 20 * 2).max(1)).min(room.saturating_sub(above + LEAST_ROWS));
    let rows = room - above - latest;
    top.arrange(rows, local);
    lines.extend(head.into_iter().take(above));

    let shown: Vec<&Row> = top.order.iter().skip(top.first).take(rows).filter_map(|id| top.peers.get(id)).collect();
    let columns = Columns::for_rows(&shown, width);
    lines.push(columns.heading());
    let begin = lines.len();
    let (now, hello) = (top.now(local), top.hello.as_ref());
    let (deadline, idle) = hello.map_or((0, 0), |hello| (hello.deadline, hello.idle));
    for (nth, id) in top.order.iter().enumerate().skip(top.first).take(rows) {
        // One that has gone since the table was put in order leaves its line empty.
        let line = top.peers.get(id).map_or_else(Line::default, |row| {
            columns.row(row, now.saturating_sub(row.heard), deadline, idle, top.has_blocks)
        });
        lines.push(if nth == top.selected { line.selected(width) } else { line });
    }
    if top.order.is_empty() {
        lines.push(Line::looking(
            Look::Plain,
            match (&top.hello, top.filter.is_empty()) {
                (None, _) => "  waiting for the server",
                (Some(_), true) if !top.peers.is_complete() => "  the server looks at its peers",
                (Some(_), true) => "  nobody is connected",
                (Some(_), false) => "  nobody matches the filter",
            },
        ));
    }
    lines.resize(begin + rows, Line::default());
    lines.extend(top.latest.iter().take(latest).map(|words| Line::of(words.as_str())));
}

/// What is above the table, the most important line first.
fn head(top: &Top, width: usize) -> Vec<Line> {
    let mut lines = vec![title(top, width)];
    let Some(hello) = &top.hello else { return lines };
    let mut deadline = format!("deadline {}", brief(hello.deadline));
    if hello.interval > 0 && hello.deadline > hello.idle {
        let probes = so_many((hello.deadline - hello.idle) / hello.interval, "probe");
        deadline += &format!(" (idle {}, {probes} {} apart)", brief(hello.idle), brief(hello.interval));
    }
    let Some(figures) = &top.figures else {
        lines.push(Line::of(deadline));
        return lines;
    };
    let rates = &top.rates;
    let arrivals = format!("arrivals {}/s, {} in all", rates.arrivals, figures.arrivals);
    let refusals = format!("; refused {}/s, {} in all", rates.refusals, figures.refusals);
    let bytes = format!("; in {}/s, out {}/s", size(rates.received), size(rates.sent));
    lines.push(Line::of(format!("{arrivals}{}{bytes}", if figures.refusals > 0 { refusals.as_str() } else { "" })));
    let reasons = |counts: &[(String, u64)]| {
        let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(reason, count)| format!("{reason} {count}"));
        counts.collect::<Vec<_>>().join(", ")
    };
    let gone: u64 = rates.departures.iter().map(|(_, count)| count).sum();
    lines.push(Line::of(if gone > 0 {
        format!("departures {gone}/s: {}", reasons(&rates.departures))
    } else {
        let mut all: Vec<(String, u64)> = figures.departures.clone();
        most_first(&mut all);
        let all = reasons(&all);
        if all.is_empty() { "departures 0/s".to_string() } else { format!("departures 0/s; in all: {all}") }
    }));
    lines.push(Line::of(turns(top)));
    let known = top.peers.len() as u64;
    // Between two seconds a few come and go; a server with very many tells of a part of them only.
    if top.peers.is_complete() && figures.peers > known + known / 10 + 10 {
        lines.push(Line::looking(
            Look::Alarmed,
            format!("{known} of {} are shown, `stillthere who` lists all", so_many(figures.peers, "peer")),
        ));
    }
    let mut found = deadline;
    if figures.found_dead > 0 {
        found += &format!("; {} found dead after {} on average", figures.found_dead, age(figures.detection));
    }
    lines.push(match figures.late {
        0 => Line::of(found),
        late => Line::looking(Look::Alarmed, format!("{late} late: ")).and(Look::Plain, found),
    });
    lines
}

/// Which server, and how many peers it has.
fn title(top: &Top, width: usize) -> Line {
    let mut version = top.hello.as_ref().map(|hello| format!(" {}", hello.version)).unwrap_or_default();
    if top.figures.as_ref().is_some_and(|figures| figures.is_stopping) {
        version += ", stopping,";
    }
    let listens = top.hello.as_ref().map(|hello| hello.listen.join(", ")).filter(|listens| !listens.is_empty());
    let left = match listens {
        Some(listens) => format!("stillthere{version} on {listens} (admin {})", top.place),
        None => format!("stillthere{version} (admin {})", top.place),
    };
    let limit = top.hello.as_ref().map_or(0, |hello| hello.limit);
    let count = top.figures.as_ref().map_or(top.peers.len() as u64, |figures| figures.peers);
    let right =
        if limit > 0 { format!("{count} of {}", so_many(limit, "peer")) } else { so_many(count, "peer").to_string() };
    // If there is no room for both, the peers count more.
    let gap = width.saturating_sub(left.chars().count() + right.len()).max(1);
    let left: String = left.chars().take(width.saturating_sub(right.len() + 1)).collect();
    Line::looking(Look::Bold, left + &" ".repeat(gap) + &right)
}

/// Where the loop spends its time.
fn turns(top: &Top) -> String {
    let (spent, per_second) = (&top.spent, top.rates.turns);
    let all: u64 = spent.parts.iter().sum();
    if spent.turns == 0 || all == 0 {
        return format!("turns {per_second}/s");
    }
    let work = (all - spent.parts[0]) / spent.turns;
    let mut parts = Vec::new();
    for ((name, _), part) in PARTS.iter().zip(spent.parts) {
        let share = u128::from(part) * 1000 / u128::from(all);
        match share {
            0 => {}
            1..100 => parts.push(format!("{name} {}.{}%", share / 10, share % 10)),
            _ => parts.push(format!("{name} {}%", share / 10)),
        }
    }
    let events = (spent.events + spent.turns / 2) / spent.turns;
    format!("turns {per_second}/s ({}, {} of work): {}", so_many(events, "event"), short_time(work), parts.join(" "))
}

/// The widths of the columns, for the rows that are shown.
struct Columns {
    bar: usize,
    address: usize,
    /// None if there is no room for it.
    id: usize,
}

const SILENT: usize = 8;
const PROBES: usize = 6;
const WAITING: usize = 7;

impl Columns {
    fn for_rows(rows: &[&Row], width: usize) -> Self {
        let widest = |text: fn(&Row) -> &str, least: usize| {
            rows.iter().map(|row| text(row).chars().count()).chain([least]).max().unwrap_or(least)
        };
        let (address, mut id) = (widest(|row| &row.address, 21), widest(|row| &row.id, 14));
        let left = |id: usize| width.saturating_sub(SILENT + PROBES + WAITING + address + id + 4 + usize::from(id > 0));
        if left(id) < LEAST_BAR {
            id = 0;
        }
        Self { bar: left(id).min(LONGEST_BAR), address, id }
    }

    fn heading(&self) -> Line {
        let (bar, address, id) = (self.bar, self.address, self.id);
        let id = if id > 0 { " ID" } else { "" };
        Line::looking(
            Look::Bold,
            format!(
                "{:>SILENT$} {:<bar$} {:<address$} {:>PROBES$} {:>WAITING$}{id}",
                "SILENT", "", "PEER", "PROBES", "WAITING"
            ),
        )
    }

    fn row(&self, row: &Row, silent: u64, deadline: u64, idle: u64, has_blocks: bool) -> Line {
        let look = match () {
            () if deadline > 0 && silent >= deadline / 4 * 3 => Look::Alarmed,
            () if row.probes > 0 || idle > 0 && silent > idle => Look::Uneasy,
            () => Look::Calm,
        };
        let address = self.address;
        let id = if self.id > 0 { format!(" {}", row.id) } else { String::new() };
        Line::of(format!("{:>SILENT$} ", age(silent))).and(look, bar(silent, deadline, self.bar, has_blocks)).and(
            Look::Plain,
            format!(" {:<address$} {:>PROBES$} {:>WAITING$}{id}", row.address, row.probes, size(row.waiting)),
        )
    }
}

/// Silence against the deadline, in this many cells.
fn bar(silent: u64, deadline: u64, cells: usize, has_blocks: bool) -> String {
    let cells = cells as u64;
    let halves = if deadline == 0 {
        0
    } else {
        (u128::from(silent) * u128::from(cells) * 2 / u128::from(deadline)).min(u128::from(cells) * 2) as u64
    };
    let (full, half, empty) = if has_blocks { ('█', '▌', '·') } else { ('#', '-', '.') };
    let cell = |nth: u64| match halves.saturating_sub(nth * 2) {
        0 => empty,
        1 => half,
        _ => full,
    };
    (0..cells).map(cell).collect()
}

/// What keys do, a question, or what has happened to the server.
fn last_line(top: &Top, local: u64) -> Line {
    if let Mode::Confirm { id, address } = &top.mode {
        return Line::looking(Look::Bold, format!("Drop {address} ({id})? y: yes, any other key: no"));
    }
    if let Mode::Filter = top.mode {
        return Line::looking(Look::Bold, format!("/{}", top.filter))
            .and(Look::Reversed, " ")
            .and(Look::Plain, "  Enter: done  Esc: all");
    }
    if let Some(remark) = &top.remark {
        return Line::looking(Look::Bold, remark.as_str());
    }
    if let Link::Down { sentence, again, .. } = &top.link {
        let left = again.saturating_sub(local).div_ceil(1000);
        return Line::looking(Look::Alarmed, format!("The server has gone; next try in {left}s. {sentence}"));
    }
    match &top.mode {
        Mode::Help => Line::default(),
        Mode::Story { .. } => Line::of("Esc back  d drop"),
        _ => {
            let filter = if top.filter.is_empty() { String::new() } else { format!(" ({})", top.filter) };
            let keys = format!("q quit  s sort: {}  / filter{filter}  Enter story  d drop  ? help", top.by.name());
            Line::of(keys)
        }
    }
}

/// A sentence in lines of this width, indented.
fn wrapped(sentence: &str, width: usize) -> Vec<Line> {
    let mut lines = vec![String::from(" ")];
    for word in sentence.split(' ') {
        let last = lines.last_mut().expect("there is one from the beginning on");
        if last.chars().count() + 1 + word.chars().count() > width && last.len() > 4 {
            lines.push(format!("    {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.into_iter().map(Line::of).collect()
}
