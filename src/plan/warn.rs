//! Warnings about the settings.
//!
//! Owns the sentences, each with its reason. Settings that the kernel refuses are errors instead:
//! [`crate::keepalive::Unfit`].

use std::time::Duration;

use crate::count::so_many;
use crate::keepalive::{Guard, Keepalive, RTO_MAX};
use crate::plan::middlebox::Fate;
use crate::plan::words::{duration, share};
use crate::plan::{Middlebox, MiddleboxKind, Plan, Wanted, heartbeat};

const NEVER: Duration = Duration::ZERO;

/// This many peers may be probed in one instant: a queue on loopback holds 1000 (`netdev_max_backlog`).
const MANY: u64 = 1000;
/// A burst that lasts through all probes as often as this is worth a warning.
const OFTEN: f64 = 0.01;

pub(super) fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings: Vec<String> = plan.keepalive.warnings().iter().map(ToString::to_string).collect();
    let keepalive = &plan.keepalive;
    let question = &plan.question;
    let silences = keepalive.silences();
    let [silence, longest] = [silences.first(), silences.last()].map(|silence| duration(*silence.unwrap_or(&NEVER)));
    let those = |wanted: fn(&Fate) -> bool| -> Vec<_> {
        let fates = plan.fates().filter(|(_, probes, _)| probes.as_ref().is_some_and(wanted));
        fates.map(|(one, ..)| one).collect()
    };
    // They are sorted by limit.
    let first = |those: &[&Middlebox]| match those {
        [] => None,
        [one] => Some(format!("{} ({})", one.name, duration(one.limit))),
        [one, ..] => {
            let listed = if question.behind.is_empty() { "of those listed" } else { "of those named" };
            Some(format!("{} {listed}, {} ({}) first", those.len(), one.name, duration(one.limit)))
        }
    };
    if let Some(first) = first(&those(|fate| *fate == Fate::Forgotten)) {
        warnings.push(format!(
            "an idle connection is silent for {silence}, and forgotten by {first}; a shorter idle time prevents this"
        ));
    }
    if let Some(first) = first(&those(|fate| matches!(fate, Fate::Barely(_)))) {
        warnings.push(format!(
            "if probes are lost, a connection is silent for {longest}, and forgotten by {first}; a shorter deadline \
             prevents this, or fewer probes further apart"
        ));
    }
    let is_bounded = matches!(keepalive.guard(), Guard::Loop { rto_max: Some(_) });
    if let Some(one) = question.strictest().filter(|one| one.limit <= RTO_MAX && !is_bounded) {
        warnings.push(format!(
            "while a window stays shut the kernel probes it every {} at last, and {} ({}) forgets it; without \
             --user-timeout two probes are never that far apart",
            duration(RTO_MAX),
            one.name,
            duration(one.limit)
        ));
    }
    let usual = if let Wanted::Deadline { usual, .. } = &question.wanted { Some(usual) } else { None };
    let is_less = |usual: &&Keepalive| usual.deadline() == keepalive.deadline() && usual.count() > keepalive.count();
    if let Some(usual) = usual.filter(is_less) {
        warnings.push(format!(
            "so that an idle connection is not forgotten there is room for {} only, where {} are usual: a shorter \
             deadline may drop fewer living peers",
            so_many(keepalive.count(), "probe"),
            usual.count(),
        ));
    }
    if let Some(one) = question.behind.iter().find(|one| one.kind == MiddleboxKind::Proxy) {
        warnings.push(format!(
            "{} ends TCP on both sides: keepalive finds out whether it is still there, not whether the peer is; only \
             what the program sends reaches it, such as heartbeats",
            one.name
        ));
    }
    if let Some((one, _, beats)) =
        plan.fates().find(|(one, _, beats)| one.kind == MiddleboxKind::Proxy && *beats != Fate::Survives)
    {
        let apart = match beats {
            Fate::Barely(_) => "if pings are lost, heartbeats come",
            _ => "heartbeats",
        };
        warnings.push(format!(
            "{apart} {} apart are too seldom for {} ({}), and a proxy passes no probes",
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
            "round trip {}: longer than the interval, so the answer to the last probe comes too late; use a longer interval",
            duration(question.round_trip)
        ));
    }
    if question.round_trip > plan.heartbeat.timeout {
        warnings.push(format!(
            "round trip {}: longer than the heartbeat's timeout, so every peer is dropped",
            duration(question.round_trip)
        ));
    } else if heartbeat::tries(question.round_trip, RTO_MAX, plan.heartbeat.timeout).len() < 2 {
        warnings.push("TCP has no time to send a lost heartbeat again: one lost packet ends a living peer".to_string());
    }
    let spread = keepalive.interval() * (probes - 1);
    let through = (-spread.as_secs_f64() / question.burst.as_secs_f64()).exp();
    if question.loss > 0.0 && through > OFTEN && probes > 1 {
        warnings.push(format!(
            "the {probes} probes go out within {}: {} of the bursts that hit the first one outlast them all; \
             use a longer interval",
            duration(spread),
            share(through)
        ));
    }
    if question.peers >= MANY && keepalive.splits().len() < 2 {
        warnings.push(format!(
            "of {} peers those that connected in one instant, as after a restart, are probed in one instant: where a \
             queue on the way is shorter (net.core.netdev_max_backlog is 1000), the rest of the probes is lost, and \
             these odds no longer hold; --deadline alone leaves it to the server to keep them apart, and a higher count \
             or a longer queue helps, too",
            question.peers
        ));
    }
    warnings
}
