//! The plan for machines: JSON, one object. Times are in seconds, rates per second.
//!
//! Owns the names of its members.

use std::time::Duration;

use crate::keepalive::odds::Outlook;
use crate::keepalive::{Guard, Keepalive, State};
use crate::markup::json::{NULL, array, number, object, text};
use crate::plan::curve::Curve;
use crate::plan::middlebox::Fate;
use crate::plan::{DAY, MiddleboxKind, Plan, Price, YEAR};

pub(super) fn write(plan: &Plan) -> String {
    let question = &plan.question;
    object(&[
        ("peers", question.peers.to_string()),
        ("loss", tiny(question.loss)),
        ("round_trip", seconds(question.round_trip)),
        ("burst", seconds(question.burst)),
        ("burst_loss", tiny(question.burst_loss)),
        ("battery", question.battery.to_string()),
        ("behind", array(question.behind.iter().map(|one| text(one.key)))),
        ("settings", settings(&plan.keepalive)),
        ("keepalive", price(plan, &plan.probes, &[])),
        (
            "heartbeats",
            price(
                plan,
                &plan.beats,
                &[("silence", seconds(plan.heartbeat.silence)), ("timeout", seconds(plan.heartbeat.timeout))],
            ),
        ),
        ("on_the_way", array(on_the_way(plan))),
        ("warnings", array(plan.warnings.iter().map(|warning| text(warning)))),
        ("curve", array(curve(plan))),
    ]) + "\n"
}

fn settings(keepalive: &Keepalive) -> String {
    let (guard, rto_max, user_timeout) = match keepalive.guard() {
        Guard::Loop { rto_max } => ("loop", rto_max.map_or(NULL.to_string(), seconds), NULL.to_string()),
        Guard::UserTimeout(timeout) => ("user timeout", NULL.to_string(), seconds(timeout)),
        Guard::Nobody => ("nobody", NULL.to_string(), NULL.to_string()),
    };
    let gone = |state| match keepalive.predict(state) {
        Some(prediction) => array([seconds(prediction.from), seconds(prediction.to)].into_iter()),
        None => NULL.to_string(),
    };
    object(&[
        ("deadline", seconds(keepalive.deadline())),
        ("idle", seconds(keepalive.idle())),
        ("interval", seconds(keepalive.interval())),
        ("count", keepalive.count().to_string()),
        ("guard", text(guard)),
        ("rto_max", rto_max),
        ("user_timeout", user_timeout),
        ("gone_idle", gone(State::Idle)),
        ("gone_data_in_flight", gone(State::InFlight)),
        ("gone_window_shut", gone(State::WindowShut)),
    ])
}

fn price(plan: &Plan, price: &Price, first: &[(&'static str, String)]) -> String {
    let risk = |outlook: &Outlook| {
        object(&[
            ("in_a_round", tiny(outlook.dropped_in_a_round)),
            ("a_day_and_peer", tiny(outlook.chance(DAY))),
            ("a_year_all_peers", tiny(plan.of_all(outlook.rate()) * YEAR)),
        ])
    };
    let mut members = first.to_vec();
    members.extend([
        ("packets_a_second_all_peers", tiny(plan.of_all(price.packets))),
        ("bytes_a_second_all_peers", tiny(plan.of_all(price.bytes))),
        ("packets_a_day_and_peer", tiny(price.packets * DAY)),
        ("bytes_a_day_and_peer", tiny(price.bytes * DAY)),
        ("wake_ups_a_day_and_peer", tiny(price.wake_ups * DAY)),
        ("false_drops_independent", risk(&price.independent)),
        ("false_drops_bursts", risk(&price.bursts)),
        ("false_drops_bursts_each_way", risk(&price.bursts_each_way)),
    ]);
    object(&members)
}

fn on_the_way(plan: &Plan) -> impl Iterator<Item = String> + '_ {
    let word = |fate| match fate {
        Fate::Survives => text("survived"),
        Fate::Barely(_) => text("if probes are lost"),
        Fate::Forgotten => text("forgotten"),
    };
    // No number if all may be lost, or if none is sent in time.
    let lost = |fate| if let Fate::Barely(lost) = fate { lost.to_string() } else { NULL.to_string() };
    plan.fates().map(move |(one, probes, beats)| {
        object(&[
            ("key", text(one.key)),
            ("name", text(one.name)),
            ("limit", seconds(one.limit)),
            ("proxy", (one.kind == MiddleboxKind::Proxy).to_string()),
            ("keepalive", probes.map_or(NULL.to_string(), word)),
            ("heartbeats", word(beats)),
            ("lost_probes_survived", probes.map_or(NULL.to_string(), lost)),
            ("lost_pings_survived", lost(beats)),
            ("source", text(&one.source.to_string())),
        ])
    })
}

fn curve(plan: &Plan) -> impl Iterator<Item = String> {
    Curve::of(plan).points.into_iter().map(|point| {
        object(&[
            ("deadline", number(point.deadline)),
            ("independent", tiny(point.independent)),
            ("bursts", tiny(point.bursts)),
            ("bursts_each_way", tiny(point.bursts_each_way)),
            ("packets_a_second_all_peers", tiny(point.packets)),
            ("bytes_a_second_all_peers", tiny(point.bytes)),
            ("wake_ups_a_day_and_peer", tiny(point.wake_ups)),
        ])
    })
}

fn seconds(duration: Duration) -> String {
    number(duration.as_secs_f64())
}

/// A probability may be very small: six significant digits.
fn tiny(number: f64) -> String {
    if number.is_finite() { format!("{number:.5e}") } else { NULL.to_string() }
}
