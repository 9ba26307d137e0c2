//! The plan in words and columns, for a terminal.
//!
//! Owns the sentences and tables. Knows no formula.

use std::fmt::Write;
use std::time::Duration;

use crate::keepalive::{Guard, State};
use crate::plan::curve::Curve;
use crate::plan::middlebox::Fate;
use crate::plan::words::{amount, duration, peers, per, percent, share};
use crate::plan::{DAY, MiddleboxKind, Plan, Price, Question, Wanted};
use crate::seconds::InWords;

/// Sentences are broken after about this many characters.
const WIDTH: usize = 96;
/// The longest that a radio of the third generation stays awake after a packet.
const RADIO_TAIL: f64 = 15.0;

pub(super) fn tell(plan: &Plan) -> String {
    let mut text = String::new();
    question(&mut text, plan);
    settings(&mut text, plan);
    noticed(&mut text, plan);
    price(&mut text, plan);
    on_the_way(&mut text, plan);
    if !plan.warnings.is_empty() {
        text += "\nWarnings:\n";
        for warning in &plan.warnings {
            paragraph(&mut text, "  - ", "    ", warning);
        }
    }
    choices(&mut text, plan);
    // Where nothing is lost there is nothing to plot.
    if plan.question.loss == 0.0 {
        return text;
    }
    text += "\nLiving peers dropped a year, all peers\n  o independent, * in bursts, both directions at once,\n  + in bursts, each direction by itself, \
             @ this plan\n";
    text += &Curve::of(plan).plot();
    text
}

fn question(text: &mut String, plan: &Plan) {
    let question = &plan.question;
    let wanted = match &question.wanted {
        Wanted::Settings(_) => String::new(),
        Wanted::Deadline { usual, .. } if usual.deadline() > plan.keepalive.deadline() => {
            format!(": the longest that survives with its usual split; {} is too long", duration(usual.deadline()))
        }
        Wanted::Deadline { .. } => String::new(),
        Wanted::AtMost(budget) => {
            format!(": the shortest that drops at most {budget} of all living peers, under each loss model")
        }
    };
    let _ = writeln!(text, "A deadline of {}{wanted}", duration(plan.keepalive.deadline()));
    let known = format!(
        "for {}, {} of packets lost in each direction, round trip {}, bursts of {}{}{}{}",
        peers(question.peers),
        percent(question.loss),
        duration(question.round_trip),
        duration(question.burst),
        if question.burst_loss < 1.0 { format!(" that take {}", percent(question.burst_loss)) } else { String::new() },
        if question.battery { ", few wake-ups" } else { "" },
        behind(question),
    );
    paragraph(text, "", "", &known);
}

/// `, behind Azure Load Balancer and Cloudflare to the client`.
pub(super) fn behind(question: &Question) -> String {
    let names: Vec<&str> = question.behind.iter().map(|one| one.name).collect();
    if names.is_empty() { String::new() } else { format!(", behind {}", names.join(" and ")) }
}

fn settings(text: &mut String, plan: &Plan) {
    let keepalive = &plan.keepalive;
    let _ = writeln!(
        text,
        "\nSettings:  --idle {} --interval {} --count {}",
        InWords(keepalive.idle()),
        InWords(keepalive.interval()),
        keepalive.count()
    );
    let guard = match keepalive.guard() {
        Guard::Loop { .. } => format!(
            "while output is outstanding, when keepalive sends no probes (RFC 9293 §3.8.4): the loop, which looks for \
             signs of life every {}, and has the kernel ask as often",
            duration(keepalive.pace())
        ),
        Guard::UserTimeout(timeout) => {
            format!("while output is outstanding: the kernel, by a user timeout of {}", duration(timeout))
        }
        Guard::Nobody => "while output is outstanding: nothing".to_string(),
    };
    paragraph(text, "  ", "  ", &guard);
}

fn noticed(text: &mut String, plan: &Plan) {
    let _ = writeln!(text, "\nA dead peer is gone:");
    for (name, state) in
        [("idle", State::Idle), ("data in flight", State::InFlight), ("window shut", State::WindowShut)]
    {
        let when = match plan.keepalive.predict(state) {
            Some(prediction) => prediction.to_string(),
            None => "after 15 minutes or more".to_string(),
        };
        let _ = writeln!(text, "  {name:<16}{when}");
    }
}

fn price(text: &mut String, plan: &Plan) {
    let (probes, beats, question) = (&plan.probes, &plan.beats, &plan.question);
    let _ = writeln!(text, "\n{:<42}{:<24}heartbeats", "If every peer is idle", "keepalive");
    let mut row = |name: &str, probes: String, beats: String| {
        let _ = writeln!(text, "  {name:<40}{probes:<24}{beats}");
    };
    row("silence before it asks", duration(plan.keepalive.idle()), duration(plan.heartbeat.silence));
    row(
        "then",
        match plan.keepalive.count() {
            1 => format!("one probe, {} to answer", duration(plan.keepalive.interval())),
            count => format!("{count} probes, {} apart", duration(plan.keepalive.interval())),
        },
        format!("{} to answer", duration(plan.heartbeat.timeout)),
    );
    let mut both = |name: &str, of: &dyn Fn(&Price) -> String| row(name, of(probes), of(beats));
    both("packets a second, all peers", &|price| amount(plan.of_all(price.packets)));
    both("bytes a second, all peers", &|price| amount(plan.of_all(price.bytes)));
    both("packets a day, each peer", &|price| amount(price.packets * DAY));
    both("bytes a day, each peer", &|price| amount(price.bytes * DAY));
    both("wake-ups a day, each peer", &|price| amount(price.wake_ups * DAY));
    both("a living peer is dropped, in a day", &|price| share(price.independent.chance(DAY)));
    both("  in bursts, both directions at once", &|price| share(price.bursts.chance(DAY)));
    both("  in bursts, each direction by itself", &|price| share(price.bursts_each_way.chance(DAY)));
    both("living peers dropped, all peers", &|price| per(plan.of_all(price.independent.rate())));
    both("  in bursts, both directions at once", &|price| per(plan.of_all(price.bursts.rate())));
    both("  in bursts, each direction by itself", &|price| per(plan.of_all(price.bursts_each_way.rate())));
    let [yes, no] = ["yes", "no"].map(str::to_string);
    row("finds a cut cable, a crash, a lost NAT", yes.clone(), yes.clone());
    row("finds a program that hangs", "no, its kernel answers".to_string(), yes.clone());
    row("keeps a slow reader, window shut", yes, "no, the ping waits too".to_string());
    row("needs a protocol for it", no.clone(), "yes".to_string());
    row("wakes the server up", no, "yes, each time".to_string());
    if question.battery {
        let awake = |price: &Price| (price.wake_ups * RADIO_TAIL).min(1.0) * 24.0;
        let words = format!(
            "a cellular radio stays awake after each packet, up to 15 s on 3G (Qian et al., TOP, ICNP 2010); so these \
             keep it awake for up to {:.1} and {:.1} hours a day",
            awake(probes),
            awake(beats),
        );
        paragraph(text, "  ", "  ", &words);
    }
}

fn on_the_way(text: &mut String, plan: &Plan) {
    let silences = plan.keepalive.silences();
    let [first, last] =
        [silences.first(), silences.last()].map(|silence| duration(*silence.unwrap_or(&Duration::ZERO)));
    let fates: Vec<_> = plan.fates().collect();
    let lives = |fate: &Option<Fate>| *fate == Some(Fate::Survives);
    let named = !plan.question.behind.is_empty();
    let (survived, told): (Vec<_>, Vec<_>) = fates.iter().partition(|(one, probes, beats)| {
        !named && (lives(probes) || one.kind == MiddleboxKind::Proxy) && *beats == Fate::Survives
    });
    let what = match (named, told.is_empty()) {
        (true, _) => "the middleboxes named:",
        (false, true) => "no middlebox listed forgets it",
        (false, false) => "these middleboxes forget it:",
    };
    let silence =
        format!("On the path: an idle connection is silent for at most {first}, or {last} if probes are lost; {what}");
    text.push('\n');
    paragraph(text, "", "", &silence);
    let fate = |fate: &Fate, asked: &str| match fate {
        Fate::Survives => "survived".to_string(),
        Fate::Barely(0) => format!("if a {asked} is lost"),
        Fate::Barely(lost) => format!("if {} {asked}s are lost", lost + 1),
        Fate::Forgotten => "forgotten".to_string(),
    };
    for (one, probes, beats) in told {
        let probes = probes.as_ref().map_or("forwards no probes".to_string(), |probes| fate(probes, "probe"));
        let name = format!("{}, {}", one.name, duration(one.limit));
        let _ = writeln!(text, "  {name:<40}{probes:<24}{}\n    {}", fate(&beats, "ping"), one.source);
    }
    let name = |one: &str, limit: Duration| format!("{one} {}", duration(limit));
    let (proxies, forward): (Vec<_>, Vec<_>) =
        survived.iter().partition(|(one, _, _)| one.kind == MiddleboxKind::Proxy);
    for (intro, those) in
        [("survived: ", forward), ("survived by heartbeats only, because a proxy forwards no probes: ", proxies)]
    {
        let names: Vec<String> = those.iter().map(|(one, _, _)| name(one.name, one.limit)).collect();
        if !names.is_empty() {
            paragraph(text, "  ", "  ", &format!("{intro}{}", names.join(", ")));
        }
    }
}

/// The table for a choice: the deadline against traffic and false drops.
fn choices(text: &mut String, plan: &Plan) {
    *text += "\nShorter and longer deadlines (keepalive; drops under the worst of the three loss models)\n";
    let row = |text: &mut String, cells: [&str; 5]| {
        let [deadline, packets, bytes, wake_ups, drops] = cells;
        let line = format!("  {deadline:<20}{packets:<26}{bytes:<16}{wake_ups:<16}{drops}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    row(text, ["", "packets a second", "bytes a second", "wake-ups a day", "living dropped"]);
    row(text, ["", "all peers", "all peers", "each peer", "all peers"]);
    let own = plan.keepalive.deadline();
    for (deadline, point) in Curve::choices(plan) {
        let name = format!("{}{}", duration(deadline), if deadline == own { " @" } else { "" });
        let Some(point) = point else {
            // If no middlebox was named, the deadline is too long for the kernel's timers, and is left out.
            if let Some(one) = plan.question.strictest() {
                row(text, [&name, &format!("forgotten by {}", one.name), "", "", ""]);
            }
            continue;
        };
        let times = point.packets / plan.of_all(plan.probes.packets);
        let packets = match times {
            _ if deadline == own => amount(point.packets),
            less if less < 1.0 => format!("{}, {:.0} % less", amount(point.packets), (1.0 - less) * 100.0),
            more => format!("{}, {more:.1} times as many", amount(point.packets)),
        };
        let [bytes, wake_ups] = [point.bytes, point.wake_ups].map(amount);
        row(text, [&name, &packets, &bytes, &wake_ups, &per(point.at_worst)]);
    }
}

fn paragraph(text: &mut String, first: &str, rest: &str, words: &str) {
    let mut line = first.to_string();
    for (n, word) in words.split_whitespace().enumerate() {
        if n > 0 && line.chars().count() + word.chars().count() >= WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line = rest.to_string();
        }
        line += word;
        line.push(' ');
    }
    let _ = writeln!(text, "{}", line.trim_end());
}
