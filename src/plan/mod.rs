//! What a deadline costs and risks, before anything runs.
//!
//! Owns the forecast: from what is known of the path and the peers to traffic, wake-ups, false drops, and which middleboxes
//! would forget the connection; for keepalive, and for heartbeats beside it.
//! The deadline's arithmetic is [`crate::keepalive`]'s. Knows no socket and no argument. The formulas,
//! with what they assume, are in `docs/plan.md`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

pub use self::budget::Budget;
pub use self::heartbeat::HeartbeatPlan;
use self::middlebox::Fate;
pub use self::middlebox::{MIDDLEBOXES, Middlebox, MiddleboxKind};
use self::search::Wish;
pub use self::search::few_wake_ups;
use crate::keepalive::odds::{Outlook, Path, Round};
use crate::keepalive::{Guard, Keepalive, RTO_MAX, TimerWheel};
use crate::markup::file;
use crate::observe::stdout;
use crate::seconds::InWords;

mod budget;
mod curve;
mod figure;
mod heartbeat;
mod json;
mod middlebox;
mod search;
mod told;
mod warn;
mod words;

const DAY: f64 = 86400.0;
const YEAR: f64 = 365.25 * DAY;
/// An empty segment of TCP over IPv4 with timestamps, as Linux sends them: 20 + 20 + 12 bytes.
const EMPTY: f64 = 52.0;
/// `PING 12345` and a line's end, or the same with PONG.
const BEAT: f64 = 11.0;

/// What is known, and what is wanted.
#[derive(Clone, Debug)]
pub struct Question {
    pub wanted: Wanted,
    pub peers: u64,
    /// The share of packets that is lost in each direction.
    pub loss: f64,
    pub round_trip: Duration,
    /// How long a burst of losses lasts on average, and the share of packets that is lost in it.
    pub burst: Duration,
    pub burst_loss: f64,
    /// Prefer few wake-ups to probes that are far apart.
    pub battery: bool,
    /// By default a heartbeat after the idle time, and the rest of the deadline to answer.
    pub heartbeat: Option<Duration>,
    pub heartbeat_timeout: Option<Duration>,
    /// The middleboxes on the path; none: nothing is known of them.
    pub behind: Vec<Middlebox>,
    /// Of the kernel that will keep the deadline.
    pub wheel: TimerWheel,
    pub json: bool,
    pub svg: Option<PathBuf>,
}

impl Default for Question {
    /// One peer on a path that loses little, with the deadline that the server has by default.
    fn default() -> Self {
        Self {
            wanted: Wanted::Deadline { usual: Keepalive::default(), given: false },
            peers: 1,
            loss: 0.01,
            round_trip: Duration::from_millis(100),
            burst: Duration::from_secs(1),
            burst_loss: 1.0,
            battery: false,
            heartbeat: None,
            heartbeat_timeout: None,
            behind: Vec::new(),
            wheel: TimerWheel::default(),
            json: false,
            svg: None,
        }
    }
}

#[derive(Clone, Debug)]
pub enum Wanted {
    /// These settings, whatever middleboxes there are.
    Settings(Keepalive),
    /// This deadline: the usual split of it, or another that is never silent for too long. If it was not
    /// given, a shorter one will do.
    Deadline { usual: Keepalive, given: bool },
    /// The shortest deadline for which no more living peers are dropped, all peers together.
    AtMost(Budget),
}

/// What keepalive, or heartbeats, cost and risk. Rates are per second and peer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Price {
    packets: f64,
    bytes: f64,
    /// How often the peer must wake up to answer.
    wake_ups: f64,
    /// False drops, if losses are independent; if they come in bursts, both directions at once; and if each
    /// direction has bursts of its own.
    independent: Outlook,
    bursts: Outlook,
    bursts_each_way: Outlook,
}

impl Price {
    /// The worst of the three.
    fn false_drops(&self) -> f64 {
        self.independent.rate().max(self.bursts.rate()).max(self.bursts_each_way.rate())
    }
}

/// The forecast.
#[derive(Clone, Debug)]
struct Plan {
    question: Question,
    keepalive: Keepalive,
    heartbeat: HeartbeatPlan,
    /// When TCP sends a ping that nobody acknowledges, counted from the first time.
    pings: Vec<Duration>,
    probes: Price,
    beats: Price,
    warnings: Vec<String>,
}

/// Answers a question on standard output, and draws the figure.
///
/// # Errors
/// A sentence: no deadline is long enough, or a file or standard output cannot be written.
pub fn answer(question: &Question) -> Result<(), String> {
    let [svg] = file::prepare([question.svg.as_ref()])?;
    let plan = Plan::make(question)?;
    if let Some(file) = svg {
        file.write(figure::draw(&plan).as_bytes())?;
    }
    let text = if question.json { json::write(&plan) } else { told::tell(&plan) };
    stdout::tell(&text)
}

/// The answer in its three forms, for the fuzzer.
#[cfg(any(test, fuzzing))]
pub(crate) fn in_all_forms(question: &Question) -> Result<[String; 3], String> {
    let plan = Plan::make(question)?;
    Ok([told::tell(&plan), json::write(&plan), figure::draw(&plan)])
}

impl Question {
    /// The three models of the path: losses are independent, come in bursts in both directions at once, or in
    /// bursts of each direction by itself.
    fn paths(&self) -> [Path; 3] {
        [
            Path::independent(self.loss),
            Path::bursts(self.loss, self.burst, self.burst_loss),
            Path::bursts_each_way(self.loss, self.burst, self.burst_loss),
        ]
    }

    /// Whether keepalive drops more living peers than `rate`, per second and peer, under one of the models, if no middlebox
    /// forgets them. The last model is tried first: it is usually the worst.
    fn drops_more(&self, keepalive: &Keepalive, rate: f64) -> bool {
        let outlook = |path: &Path| Round::of_probes(keepalive, path, self.round_trip).outlook();
        self.paths().iter().rev().any(|path| outlook(path).rate() > rate)
    }

    /// The forecast of one model. A probe that comes when a middlebox has already forgotten the connection is lost.
    fn outlook(&self, keepalive: &Keepalive, path: &Path) -> Outlook {
        let in_time = match self.strictest().and_then(|one| one.under_probes(keepalive)) {
            None | Some(Fate::Survives) => u32::MAX,
            Some(Fate::Barely(lost)) => lost + 1,
            Some(Fate::Forgotten) => 0,
        };
        Round::of_first_probes(keepalive, path, self.round_trip, in_time).outlook()
    }

    /// The forecast for keepalive with these settings.
    fn price_of_probes(&self, keepalive: &Keepalive) -> Price {
        let [independent, bursts, bursts_each_way] = self.paths().map(|path| self.outlook(keepalive, &path));
        let probes = independent.asked_in_a_round / independent.round;
        // A probe that is lost is not answered.
        let packets = probes * (1.0 + (1.0 - self.loss));
        Price { packets, bytes: packets * EMPTY, wake_ups: probes, independent, bursts, bursts_each_way }
    }

    /// The forecast for heartbeats, if two tries of TCP are at most `rto_max` apart.
    fn price_of_beats(&self, heartbeat: &HeartbeatPlan, rto_max: Duration) -> Price {
        let outlook = |path: Path| heartbeat.round(&path, self.round_trip, rto_max).outlook();
        let [independent, bursts, bursts_each_way] = self.paths().map(outlook);
        // Ping; pong, which acknowledges it; and what acknowledges the pong. What is lost is sent again.
        let sendings = heartbeat::sendings(self.loss);
        let rounds = 1.0 / independent.round;
        let packets = rounds * (2.0 * sendings + 1.0);
        let bytes = rounds * (2.0 * sendings * (EMPTY + BEAT) + EMPTY);
        Price { packets, bytes, wake_ups: rounds, independent, bursts, bursts_each_way }
    }

    /// The settings for a deadline, by the rule that was asked for.
    fn usual(&self, deadline: Duration) -> Option<Keepalive> {
        let keepalive = match self.battery {
            true => few_wake_ups(deadline, self.round_trip, self.burst),
            false => Keepalive::with_deadline(deadline),
        };
        keepalive.ok().map(|keepalive| keepalive.on_wheel(self.wheel))
    }

    /// The same, if no middlebox that was named forgets a connection with them.
    fn settings_for(&self, deadline: Duration) -> Option<Keepalive> {
        let usual = self.usual(deadline)?;
        match self.strictest() {
            Some(one) => search::kept(usual, one.limit),
            None => Some(usual),
        }
    }

    /// The middleboxes on the path: those that were named, or else all that are known.
    fn on_the_way(&self) -> &[Middlebox] {
        if self.behind.is_empty() { MIDDLEBOXES } else { &self.behind }
    }

    /// The middlebox that forgets first, of those that were named and forward probes.
    fn strictest(&self) -> Option<&Middlebox> {
        self.behind.iter().filter(|one| one.kind == MiddleboxKind::Forwards).min_by_key(|one| one.limit)
    }

    /// The usual settings, or others with the same deadline; or another deadline if none was given.
    fn kept(&self, usual: &Keepalive, given: bool) -> Result<Keepalive, String> {
        let Some(one) = self.strictest() else { return Ok(usual.clone()) };
        if let Some(kept) = search::kept(usual.clone(), one.limit) {
            return Ok(kept);
        }
        let [deadline, limit] = [usual.deadline(), one.limit].map(words::duration);
        let name = one.name;
        let cannot = format!(
            "a deadline of {deadline} cannot be kept behind {name}, which forgets a connection after {limit} of silence: \
             however it is split, it is silent that long when all probes but the last are lost"
        );
        let longest = search::longest_kept(usual.deadline(), one.limit, |deadline| self.usual(deadline));
        match longest {
            // With the usual number of probes, if that is possible.
            Some(longest) if !given => Ok(self.roomiest(longest.deadline(), one.limit).unwrap_or(longest)),
            Some(longest) => Err(format!(
                "{cannot}. {} is the longest that can; or give --idle, --interval and --count, to see how many \
                 probes may be lost",
                words::duration(longest.deadline())
            )),
            None => Err(format!("{cannot}. No deadline can: {limit} is too short for two probes")),
        }
    }

    /// The longest deadline, up to this one, that is kept with the usual split of it.
    fn roomiest(&self, longest: Duration, limit: Duration) -> Option<Keepalive> {
        let usual = (1..=longest.as_secs()).rev().filter_map(|seconds| self.usual(Duration::from_secs(seconds)));
        usual.into_iter().find(|usual| search::keeps(usual, limit))
    }

    /// Heartbeats to compare with: by default after the idle time, with the rest of the deadline to
    /// answer; but a connection that was forgotten meanwhile cannot answer.
    fn heartbeat_beside(&self, keepalive: &Keepalive) -> HeartbeatPlan {
        let second = Duration::from_secs(1);
        let limit = self.behind.iter().map(|one| one.limit.saturating_sub(second)).min();
        let deadline = limit.map_or(keepalive.deadline(), |limit| limit.min(keepalive.deadline()));
        let half = Duration::from_secs(deadline.as_secs() / 2).max(second);
        let usual = if deadline < keepalive.deadline() { keepalive.idle().min(half) } else { keepalive.idle() };
        let silence = self.heartbeat.unwrap_or(usual);
        let rest = deadline.saturating_sub(silence);
        HeartbeatPlan { silence, timeout: self.heartbeat_timeout.unwrap_or(rest.max(second)) }
    }
}

impl Plan {
    fn make(question: &Question) -> Result<Self, String> {
        let keepalive = match &question.wanted {
            Wanted::Settings(keepalive) => keepalive.clone(),
            Wanted::Deadline { usual, given } => question.kept(usual, *given)?,
            Wanted::AtMost(budget) => Self::within(question, *budget)?,
        };
        let heartbeat = question.heartbeat_beside(&keepalive);
        // A ping that is not acknowledged is retransmitted; from a pace of silence on, at least once a pace.
        let rto_max = match keepalive.guard() {
            Guard::Loop { rto_max: Some(_) } => keepalive.pace(),
            _ => RTO_MAX,
        };
        let probes = question.price_of_probes(&keepalive);
        let beats = question.price_of_beats(&heartbeat, rto_max);
        let pings = heartbeat::tries(question.round_trip, rto_max, heartbeat.timeout);
        let question = question.clone();
        let mut plan = Self { question, keepalive, heartbeat, pings, probes, beats, warnings: Vec::new() };
        plan.warnings = warn::warnings(&plan);
        Ok(plan)
    }

    fn within(question: &Question, budget: Budget) -> Result<Keepalive, String> {
        let a_peer = budget.rate() / question.peers.max(1) as f64;
        let few = |keepalive: &Keepalive| !question.drops_more(keepalive, a_peer);
        let free = Wish { few_wake_ups: question.battery, limit: None, wheel: question.wheel };
        let limit = question.strictest().map(|one| one.limit);
        search::shortest(Wish { limit, ..free }, few).ok_or_else(|| {
            let because = format!(
                "bursts of {} that take {} of the packets last too long, or the loss of {} is too high",
                InWords(question.burst),
                words::percent(question.burst_loss),
                words::percent(question.loss),
            );
            match (question.strictest(), search::shortest(free, few)) {
                (Some(one), Some(longer)) => format!(
                    "no deadline drops as few living peers as {budget} and is kept behind {}, which forgets a connection \
                     after {} of silence: it would take {} at least, and be silent that long when probes are lost",
                    one.name,
                    words::duration(one.limit),
                    words::duration(longer.deadline()),
                ),
                _ => format!(
                    "no deadline up to {} drops as few living peers as {budget}: {because}",
                    InWords(Duration::from_secs(search::LONGEST)),
                ),
            }
        })
    }

    /// False drops a second, of all peers.
    fn of_all(&self, rate: f64) -> f64 {
        rate * self.question.peers as f64
    }

    /// What happens at each middlebox, with keepalive.
    fn fates(&self) -> impl Iterator<Item = (&Middlebox, Option<Fate>, Fate)> + '_ {
        let beats = |one: &Middlebox| one.under_heartbeats(self.heartbeat.silence, &self.pings);
        self.question.on_the_way().iter().map(move |one| (one, one.under_probes(&self.keepalive), beats(one)))
    }
}

#[cfg(test)]
mod tests;
