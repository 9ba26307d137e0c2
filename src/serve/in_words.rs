//! What the settings come to, for `--check`: nothing is started.
//!
//! Owns which sentences say it, and what is asked of the machine for that.

use std::fmt::Write;
#[cfg(any(feature = "admin", feature = "events"))]
use std::path::Path;

#[cfg(feature = "admin")]
use crate::admin_place::AdminPlace;
use crate::count::so_many;
use crate::keepalive::State;
#[cfg(feature = "events")]
use crate::observe::events::EventsTo;
use crate::serve::ServeSettings;
#[cfg(feature = "sandbox")]
use crate::serve::confining;
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

/// What the machine says about settings that make sense.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TriedOut {
    /// The option for which the server would not start, and why.
    pub wrong: Vec<(&'static str, String)>,
    /// Sentences about what it would not do as wished.
    pub warnings: Vec<String>,
}

/// The files that the settings name are looked at, and nothing is written.
pub fn try_out(settings: &ServeSettings) -> TriedOut {
    #[cfg_attr(not(any(feature = "admin", feature = "events", feature = "sandbox")), expect(unused_mut))]
    let mut wrong = Vec::new();
    let mut warnings: Vec<_> = settings.keepalive.warnings().iter().map(|warning| format!("--{warning}")).collect();
    #[cfg(feature = "admin")]
    if let (Some(_), Some(file)) = (&settings.admin.place, &settings.admin.token_file) {
        match crate::observe::admin::Token::read(file) {
            Ok((_, warning)) => warnings.extend(warning),
            Err(sentence) => {
                // What it begins with is told by whoever knows where it was given.
                let given = format!("--admin-token-file {}: ", file.display());
                wrong.push(("admin-token-file", sentence.strip_prefix(&given).unwrap_or(&sentence).to_string()));
            }
        }
    }
    #[cfg(feature = "admin")]
    if let Some(AdminPlace::Unix(path)) = &settings.admin.place {
        wrong.extend(no_folder(path).map(|because| ("admin", because)));
    }
    #[cfg(feature = "events")]
    if let Some(EventsTo::File(path)) = &settings.events {
        wrong.extend(no_folder(path).map(|because| ("events", because)));
    }
    #[cfg(feature = "sandbox")]
    wrong.extend(confining::no_user(settings).map(|because| ("user", because)));
    if let Some(most) = sysctl::number("net/core/somaxconn").filter(|most| *most < settings.backlog.into()) {
        warnings.push(format!("--backlog {}: the kernel cuts it to {most}", settings.backlog));
    }
    TriedOut { wrong, warnings }
}

/// Why a file cannot be made there.
#[cfg(any(feature = "admin", feature = "events"))]
fn no_folder(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    match folder.metadata() {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is no folder", folder.display())),
        Err(error) => Some(format!("its folder {}: {error}", folder.display())),
    }
}
