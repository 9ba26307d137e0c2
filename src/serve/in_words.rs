//! What the settings come to, for `--check`: nothing is started.
//!
//! Owns which sentences say it, and what is asked of the machine for that.

use std::fmt::Write;

use crate::count::so_many;
use crate::keepalive::State;
use crate::serve::ServeSettings;
use crate::sysctl;

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
    text
}

/// What the machine says about settings that make sense: the files that they name are looked at, and nothing is written.
///
/// # Errors
/// A sentence: the server would not start.
pub fn try_out(settings: &ServeSettings) -> Result<Vec<String>, String> {
    let mut warnings: Vec<_> = settings.keepalive.warnings().iter().map(|warning| format!("--{warning}")).collect();
    #[cfg(feature = "admin")]
    if let (Some(_), Some(file)) = (&settings.admin.place, &settings.admin.token_file) {
        let (_, warning) = crate::observe::admin::Token::read(file)?;
        warnings.extend(warning);
    }
    #[cfg(feature = "sandbox")]
    crate::serve::confining::find_user(settings)?;
    if let Some(most) = sysctl::number("net/core/somaxconn").filter(|most| *most < settings.backlog.into()) {
        warnings.push(format!("--backlog {}: the kernel cuts it to {most}", settings.backlog));
    }
    Ok(warnings)
}
