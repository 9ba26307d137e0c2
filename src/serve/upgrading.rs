//! The upgrade of `serve`: what another program has to know beside the loop, and a start that goes on with one.
//!
//! Owns that nothing ends a server that has peers already: what cannot be opened any more is an error line.

#[cfg(feature = "config")]
use std::fs;
#[cfg(any(feature = "admin", feature = "config"))]
use std::path::PathBuf;
#[cfg(feature = "admin")]
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use crate::count::so_many;
use crate::observe::log::Logger;
use crate::reactor::{Reactor, State, Unclaimed};
use crate::serve::ServeSettings;
#[cfg(feature = "config")]
use crate::serve::configuration::{self, Occasion};
use crate::serve::listening::retain;
#[cfg(feature = "admin")]
use crate::upgrade::Refusal;
use crate::upgrade::{Program, Upgrading};
#[cfg(feature = "sandbox")]
use crate::{reactor::Listening, serve::confining::InForce};

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Under which tags the program notes what it has to know itself ([`State::note`]).
pub mod note {
    /// The text of the configuration file, which was rehearsed.
    pub const CONFIGURATION: u16 = 1;
    /// What the log had left out, and the rest of a line ([`Logger::save`](crate::observe::log::Logger::save)).
    pub const LOG: u16 = 3;
    /// Nothing can be opened any more but what `--sandbox` allows; and the user of `--user` is in force.
    pub const CONFINED: u16 = 2;
    /// Which sockets a supervisor has passed on ([`Passed`](crate::serve::Passed)).
    pub const PASSED: u16 = 4;
    /// The inode and the path of the admin port's socket, if it has made a file.
    pub const ADMIN_SOCKET: u16 = 6;
}

/// How this server is upgraded.
pub(super) struct Upgrade<'a> {
    log: &'a Logger,
    /// What is noted under [`note::PASSED`].
    #[cfg(feature = "notify")]
    passed: Vec<u8>,
    /// What is noted under [`note::ADMIN_SOCKET`].
    #[cfg(feature = "admin")]
    admin_socket: Option<(PathBuf, u64)>,
    /// `None`: its own program was not found.
    upgrading: Option<Upgrading>,
    /// Where the configuration is, and what it said when it was read last. Both programs of an upgrade read the same text, also if somebody
    /// writes the file meanwhile.
    #[cfg(feature = "config")]
    configuration: Option<(PathBuf, Vec<u8>)>,
    /// What `--user` and `--sandbox` have come to.
    #[cfg(feature = "sandbox")]
    in_force: InForce,
}

/// The loop goes on with what was handed over, if anything was, and is prepared to be handed over itself. A server that cannot find
/// its own program serves all the same.
pub(super) fn begin<'a>(
    reactor: &mut Reactor,
    settings: &ServeSettings,
    handed_over: Option<State>,
    log: &'a Logger,
) -> Result<Upgrade<'a>, String> {
    if let Some(state) = handed_over {
        reactor.inherit(state).map_err(|because| because.to_string())?;
    }
    let prepared = Program::of_this_process().and_then(|program| Upgrading::prepare(reactor, program, VERSION));
    #[cfg(not(feature = "config"))]
    let _ = settings;
    Ok(Upgrade {
        log,
        #[cfg(feature = "notify")]
        passed: Vec::new(),
        #[cfg(feature = "admin")]
        admin_socket: None,
        upgrading: prepared.inspect_err(|error| error!("no upgrade will be possible: {error}")).ok(),
        #[cfg(feature = "config")]
        configuration: settings.configuration.as_ref().map(|now| (now.path.clone(), now.text.clone().into())),
        #[cfg(feature = "sandbox")]
        in_force: InForce::of_note(reactor.inherited_note(note::CONFINED)),
    })
}

/// Which file the program before has made for its admin port.
#[cfg(feature = "admin")]
pub(super) fn admin_socket(reactor: &Reactor) -> Option<(PathBuf, u64)> {
    let (inode, path) = reactor.inherited_note(note::ADMIN_SOCKET)?.split_first_chunk()?;
    Some((OsStr::from_bytes(path).into(), u64::from_le_bytes(*inode)))
}

impl Upgrade<'_> {
    /// What the next program has to know of the admin port's file.
    #[cfg(feature = "admin")]
    pub(super) fn with_admin_socket(self, admin_socket: Option<(PathBuf, u64)>) -> Self {
        Self { admin_socket, ..self }
    }

    /// What the next program has to know of the sockets that a supervisor has passed on.
    #[cfg(feature = "notify")]
    pub(super) fn with_passed(self, passed: Vec<u8>) -> Self {
        Self { passed, ..self }
    }

    /// Becomes the user and gives up the rest, if that is not in force since a program before. A rehearsal leaves it to the real start.
    #[cfg(feature = "sandbox")]
    pub(super) fn confine(
        &mut self,
        reactor: &Reactor,
        settings: &ServeSettings,
        bound: &[Listening],
        is_restart: bool,
    ) -> Result<(), String> {
        if reactor.is_rehearsal() {
            return Ok(());
        }
        let next = self.upgrading.as_ref().map(Upgrading::path);
        match self.in_force.put_in_force(settings, bound, next) {
            // The program before has given its rights up, and this one was started with them again: peers or not, it must not serve.
            Err(sentence) if is_restart => Err(sentence),
            result => result.or_else(|sentence| goes_on(reactor, sentence)),
        }
    }

    /// Why the last upgrade was refused, for whoever tells it.
    #[cfg(feature = "admin")]
    pub(super) fn refusal(&self) -> Refusal {
        self.upgrading.as_ref().map(Upgrading::refusal).unwrap_or_default()
    }

    /// The upgrade is asked for, or its rehearsal is over.
    pub(super) fn asked(&mut self, reactor: &mut Reactor) {
        let Some(upgrading) = &mut self.upgrading else {
            return error!("the upgrade is refused: this program was not found when it started; nobody leaves");
        };
        #[cfg(feature = "config")]
        if let Some((path, text)) = self.configuration.as_mut().filter(|_| !reactor.upgrade_is_under_way()) {
            // What was read from a pipe cannot be read again.
            if !fs::metadata(&path).is_ok_and(|file| !file.is_file()) {
                match configuration::read(path, Occasion::Serving) {
                    Ok(read) => *text = read,
                    Err(sentence) => return upgrading.refuse(reactor, &sentence),
                }
            }
        }
        upgrading.asked(reactor, |state| {
            #[cfg(feature = "config")]
            if let Some((_, text)) = &self.configuration {
                state.note(note::CONFIGURATION, text)?;
            }
            #[cfg(feature = "admin")]
            if let Some((path, inode)) = &self.admin_socket {
                let file = [&inode.to_le_bytes(), path.as_os_str().as_bytes()].concat();
                state.note(note::ADMIN_SOCKET, &file)?;
            }
            #[cfg(feature = "notify")]
            state.note(note::PASSED, &self.passed)?;
            #[cfg(feature = "sandbox")]
            state.note(note::CONFINED, &self.in_force.to_note())?;
            state.note(note::LOG, &self.log.save())
        });
    }
}

/// All places of the settings are listened on. Peers that came to other addresses stay, too; if a name was not found, it is not known
/// which of those are still wanted, and so all of them are listened on as before.
pub(super) fn keep_the_others(reactor: &mut Reactor, settings: &ServeSettings, all_found: bool) -> Result<(), String> {
    for Unclaimed { address, is_open, .. } in reactor.unclaimed() {
        let kept = retain(reactor, settings, address, all_found || !is_open);
        if is_open {
            let what = if all_found { "nobody is accepted there any more" } else { "it is listened on as before" };
            info!("{address} is not among the addresses to listen on: {what}, and the peers that came there stay");
        }
        if let Err(error) = kept {
            goes_on(reactor, format!("the peers that came to {address} cannot be taken over: {error}"))?;
        }
    }
    Ok(())
}

/// The loop goes on, if it does.
pub(super) fn take_over(reactor: &mut Reactor, is_restart: bool) {
    let Some(resumed) = reactor.take_over() else { return };
    let stay = so_many(resumed.peers, "peer");
    let verb = if resumed.peers == 1 { "stays" } else { "stay" };
    let what = if is_restart { "restarted after" } else { "upgraded from" };
    info!("{what} {}: {stay} {verb} (generation {})", resumed.version, resumed.generation);
}

/// A server that has peers already does not end for this. A fresh one does, and so does a rehearsal.
pub(super) fn goes_on(reactor: &Reactor, sentence: String) -> Result<(), String> {
    if !reactor.goes_on() || reactor.is_rehearsal() {
        return Err(sentence);
    }
    error!("{sentence}");
    Ok(())
}
