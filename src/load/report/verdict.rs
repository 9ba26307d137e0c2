//! Whether a run succeeded: for the exit code, and in one sentence.
//!
//! Owns the rule: only what was seen to work counts as success.

use crate::load::criterion::CriterionResult;
use crate::load::report::Report;
use crate::load::trouble::TroubleKind;
use crate::speak::Speak;

impl Report {
    /// How the conditions of `--fail-if` turned out.
    pub fn judgements(&self) -> Vec<CriterionResult> {
        self.settings.fail_if.iter().map(|criterion| criterion.judge(self)).collect()
    }

    /// Exit code 0 or 1. No connection may be in trouble, unless a condition says how many may; if any were to send requests,
    /// there was an answer; the exchanges began; and no condition came true.
    pub fn is_success(&self) -> bool {
        let untroubled = self.troubles.total() == 0 || self.allows_errors();
        let served = self.connected > 0 && (self.settings.active == 0 || self.answered() > 0);
        untroubled && served && self.held.is_some() && !self.judgements().iter().any(|judgement| judgement.failed)
    }

    fn allows_errors(&self) -> bool {
        self.settings.fail_if.iter().any(|criterion| criterion.allows_errors())
    }

    /// One sentence: whether the run was complete, and whether it succeeded.
    pub fn summary(&self) -> String {
        let whole = match (self.interrupted, &self.held) {
            (true, Some(_)) => "interrupted; this is the report so far. ".to_string(),
            (true, None) => {
                let untried = if self.untried > 0 { format!(", {} not tried", self.untried) } else { String::new() };
                let wanted = self.settings.connections;
                let (connected, way) = (self.connected, self.on_their_way);
                format!(
                    "interrupted before the exchanges began, so nothing is known of them: {connected} of {wanted} \
                     connected, {way} on their way{untried}. "
                )
            }
            (false, _) => String::new(),
        };
        let trouble = match self.troubles.total() {
            0 if self.held.is_none() => "no trouble so far".to_string(),
            0 => "no trouble".to_string() + self.what_was_seen(),
            1 => "1 connection in trouble".to_string(),
            many => format!("{many} connections in trouble"),
        };
        let allowed = match self.troubles.total() > 0 && self.allows_errors() {
            true => ", which --fail-if judges",
            false => "",
        };
        let judgements = self.judgements();
        let failed = judgements.iter().filter(|judgement| judgement.failed).count();
        let conditions = match (failed, judgements.len()) {
            (_, 0) => String::new(),
            (0, _) => "; no condition of --fail-if came true".to_string(),
            (_, 1) => "; failed by --fail-if".to_string(),
            (failed, all) => format!("; failed by {failed} of {all} conditions of --fail-if"),
        };
        format!("{whole}{trouble}{allowed}{conditions}")
    }

    /// The evidence for "no trouble".
    fn what_was_seen(&self) -> &'static str {
        match (self.answered(), self.settings.speak) {
            (1.., _) => ", every byte correct",
            (0, Speak::None) => "; connected, not known to be accepted: --speak none sends no requests",
            (0, _) if self.settings.active > 0 => ", but no answer",
            (0, _) if self.understood > 0 => "; greeted, and no requests were sent after that",
            (0, _) => "; connected, not known to be accepted: no requests were sent (--active 0)",
        }
    }

    /// What may be wrong if no answer was correct.
    pub fn hint(&self) -> Option<String> {
        let kinds = [
            TroubleKind::WrongBytes,
            TroubleKind::Closed,
            TroubleKind::Reset,
            TroubleKind::NoAnswer,
            TroubleKind::Unanswered,
        ];
        let speak = self.settings.speak;
        let suspicious = self.connected > 0 && kinds.iter().any(|kind| self.troubles.of(*kind) > 0);
        if speak == Speak::None || self.understood > 0 || !suspicious {
            return None;
        }
        let first = |kind| self.troubles.each().find(|(each, ..)| *each == kind).map_or("", |(_, _, first)| first);
        let guess = match dialect(first(TroubleKind::WrongBytes)) {
            Some(dialect) if dialect == speak.name() => return None, // it understands, and refuses: it said why
            Some(dialect) => format!(" What came looks like {dialect}."),
            None => String::new(),
        };
        let others: Vec<_> = Speak::NAMES.iter().copied().filter(|name| *name != speak.name()).collect();
        let others = others.join(", ");
        let name = speak.name();
        Some(format!("no answer was correct: does the server speak {name}?{guess} --speak also knows {others}"))
    }
}

/// The protocol that a server seems to speak, judged by the quoted answer.
fn dialect(words: &str) -> Option<&'static str> {
    let came = words.rsplit_once("and \"").map_or(words, |(_, came)| came).trim_start_matches('"');
    let begins = |marks: &[&str]| marks.iter().any(|mark| came.starts_with(mark));
    if begins(&["-ERR", "-DENIED", "-NOAUTH", "-LOADING", "-WRONG", "+OK", "+PONG"]) {
        return Some("redis");
    }
    if begins(&["HTTP/"]) {
        return Some("http");
    }
    if begins(&["ERROR", "CLIENT_ERROR", "SERVER_ERROR", "STORED", "END", "VALUE "]) {
        return Some("memcached");
    }
    if begins(&["SSH-"]) {
        return Some("ssh");
    }
    if begins(&["220 ", "220-"]) {
        return Some("a mail or FTP server's greeting");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::dialect;

    #[test]
    fn a_dialect_is_known_by_its_first_word() {
        for (words, guess) in [
            ("at byte 0, \"abc\" was expected, and \"-ERR unknown command\" came", Some("redis")),
            ("at byte 0, \"abc\" was expected, and \"HTTP/1.1 400 Bad Request\" came", Some("http")),
            ("at byte 0, \"abc\" was expected, and \"ERROR\" came", Some("memcached")),
            ("\"SSH-2.0-OpenSSH_9.2\" came, which was not expected", Some("ssh")),
            ("at byte 0, \"abc\" was expected, and \"zzz\" came", None),
            ("while it was idle", None),
        ] {
            assert_eq!(dialect(words), guess, "{words}");
        }
    }
}
