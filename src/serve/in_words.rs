//! What the settings come to, for `--check`: nothing is started.
//!
//! Owns which sentences say it, and what is asked of the machine for that.

use std::fmt::Write;

use crate::count::so_many;
use crate::keepalive::State;
use crate::serve::ServeSettings;

/// A few lines about settings that make sense.
pub fn in_words(settings: &ServeSettings) -> String {
    let mut text = match &settings.configuration {
        Some(file) => format!("{} is good", file.path.display()),
        None => "the settings are good".to_string(),
    };
    let places: Vec<_> = settings.places.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, ": {} on {}", settings.service.name(), places.join(", "));
    if let Some(idle) = settings.keepalive.predict(State::Idle) {
        let _ = writeln!(text, "a silent peer is gone {idle} after its last sign of life");
    }
    let most = settings.max_connections.map(|most| so_many(most, "connection"));
    let most =
        most.map_or("as many connections as the descriptor limit allows".to_string(), |most| format!("{most} at most"));
    let memory = settings.max_memory.map_or("a quarter of the memory".to_string(), |bytes| format!("{}K", bytes >> 10));
    let output = settings.limits.max_output() >> 10;
    let _ = writeln!(text, "{most}; output that waits takes {output}K for one peer at most, {memory} for all");
    if let Some(profile) = &settings.profile {
        let _ = writeln!(text, "{profile}");
    }
    for warning in settings.keepalive.warnings() {
        let _ = writeln!(text, "warning: --{warning}");
    }
    text
}

/// What would stop the server at its start although the settings make sense: files that it cannot read.
pub fn obstacles(settings: &ServeSettings) -> Vec<String> {
    #[cfg(feature = "admin")]
    if let (Some(_), Some(file)) = (&settings.admin.place, &settings.admin.token_file) {
        return crate::observe::admin::Token::read(file).err().into_iter().collect();
    }
    let _ = settings;
    Vec::new()
}
