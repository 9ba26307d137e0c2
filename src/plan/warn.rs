//! What a person should know before running with these settings.
//!
//! Owns the sentences, each with its reason. What the kernel refuses is refused before, by
//! [`crate::keepalive::Unfit`].

use crate::plan::middlebox::{Fate, Kind, MIDDLEBOXES};
use crate::plan::told::{duration, share};
use crate::plan::{Plan, heartbeat};

/// As many peers may meet in one instant: a queue on loopback holds 1000 (`netdev_max_backlog`).
const MANY: u64 = 1000;
/// A burst that lasts through all probes as often as this is worth a warning.
const OFTEN: f64 = 0.01;

pub fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings: Vec<String> = plan.keepalive.warnings().iter().map(ToString::to_string).collect();
    let keepalive = &plan.keepalive;
    let question = &plan.question;
    let [silence, longest] = keepalive.longest_silences();
    for (fate, words) in [
        (Fate::Forgotten, format!("an idle connection is silent for {}, and forgotten by", duration(silence))),
        (
            Fate::Barely,
            format!("if probes are lost, a connection is silent for {}, and forgotten by", duration(longest)),
        ),
    ] {
        let those = MIDDLEBOXES.iter().filter(|one| one.under_probes(keepalive) == Some(fate));
        // They are sorted; the table has them all.
        let those: Vec<_> = those.collect();
        if let [first, ..] = those[..] {
            let first = format!("{} ({})", first.name, duration(first.limit));
            let words = match those.len() {
                1 => format!("{words} {first}"),
                more => format!("{words} {more} of those listed, {first} first"),
            };
            warnings.push(format!("{words}; a shorter idle time would do"));
        }
    }
    if let Some((one, ..)) = plan.fates().find(|(one, _, beats)| one.kind == Kind::Proxy && *beats != Fate::Survives) {
        warnings.push(format!(
            "heartbeats {} apart are too seldom for {} ({}), and a proxy passes no probes",
            duration(plan.heartbeat.silence),
            one.name,
            duration(one.limit)
        ));
    }
    let probes = keepalive.fatal_probes();
    if question.round_trip >= keepalive.interval() * probes {
        warnings.push(format!(
            "round trip {}: no answer comes before the last interval is over, so every idle peer is dropped",
            duration(question.round_trip)
        ));
    } else if question.round_trip >= keepalive.interval() {
        warnings.push(format!(
            "round trip {}: longer than the interval, so the last probe is sent in vain; an interval above it would do",
            duration(question.round_trip)
        ));
    }
    if question.round_trip > plan.heartbeat.timeout {
        warnings.push(format!(
            "round trip {}: longer than the heartbeat's timeout, so every peer is dropped",
            duration(question.round_trip)
        ));
    } else if heartbeat::tries(question.round_trip, heartbeat::RTO_MAX, plan.heartbeat.timeout).len() < 2 {
        warnings.push("TCP has no time to send a lost heartbeat again: one lost packet ends a living peer".to_string());
    }
    let spread = keepalive.interval() * (probes - 1);
    let through = (-spread.as_secs_f64() / question.burst.as_secs_f64()).exp();
    if question.loss > 0.0 && through > OFTEN && probes > 1 {
        warnings.push(format!(
            "the {probes} probes go out within {}: {} of the bursts that meet the first last through all of them; \
             a longer interval would do",
            duration(spread),
            share(through)
        ));
    }
    if question.peers >= MANY && keepalive.splits().len() < 2 {
        warnings.push(format!(
            "of {} peers those that connected in one instant, as after a restart, are probed in one instant: where a \
             queue on the way is shorter (net.core.netdev_max_backlog is 1000), the rest of the probes is lost, and \
             these odds no longer hold; --deadline alone leaves it to the server to keep them apart, and a higher count \
             or a longer queue would do, too",
            question.peers
        ));
    }
    warnings
}
