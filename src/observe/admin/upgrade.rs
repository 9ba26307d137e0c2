//! An upgrade that is asked for here, and what became of it.
//!
//! Owns the answers of `/upgrade`. Whether and how the loop upgrades itself is its own affair: it is only asked, and tells by its
//! figures how far it is.

use std::process;

use crate::markup::json::Object;
use crate::observe::admin::about::About;
use crate::observe::admin::answer::{Answer, JSON};
use crate::reactor::{Figures, Orders, Upgrades};

/// What is asked of `/upgrade`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// How far it is.
    Tell,
    /// To begin one.
    Begin,
}

/// The answer to it, at this moment. Two who ask for it in the same turn have both begun it, and there is one.
pub(super) fn answer(step: Step, figures: &Figures, about: &About, orders: &mut Orders) -> Answer {
    let upgrade = figures.upgrade;
    match step {
        Step::Tell => told(200, upgrade, figures, about),
        Step::Begin if figures.is_stopping => Answer::error(409, "the server is stopping"),
        Step::Begin if upgrade.is_under_way => Answer::error(409, "an upgrade is under way already"),
        Step::Begin => {
            orders.upgrade();
            told(202, Upgrades { is_under_way: true, ..upgrade }, figures, about)
        }
    }
}

/// Who asks again and again learns from `generation` that it has succeeded, from `refused` that it has not, and from `pid` that
/// another process answers, which is none of these.
fn told(status: u16, upgrade: Upgrades, figures: &Figures, about: &About) -> Answer {
    let because = about.refusal.in_words();
    let state = match (upgrade.is_under_way, because.is_empty()) {
        (true, _) => "rehearsing",
        (false, false) => "refused",
        (false, true) => "none",
    };
    let because = Some(because.as_str()).filter(|_| state == "refused");
    let object = Object::of(200)
        .text("state", state)
        .number("generation", upgrade.generation)
        .number("refused", upgrade.refused)
        .text_or_null("because", because)
        .text("version", env!("CARGO_PKG_VERSION"))
        .number("pid", process::id().into())
        .number("peers", figures.tally.connected as u64);
    Answer::new(status, JSON, (object.end() + "\n").into_bytes())
}
