//! From the wish for an upgrade to the next program: the rehearsal first.
//!
//! Owns the order of the two, and what is said if it comes to nothing.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::count::so_many;
use crate::reactor::{Reactor, State};
use crate::told::{info, warn};
use crate::upgrade::program::Program;
use crate::upgrade::rehearsal::{Rehearsals, Verdict};
use crate::upgrade::replace::replace;

/// Why the last upgrade was refused, for whoever wants to tell it; empty if none was.
#[derive(Clone, Debug, Default)]
pub struct Refusal(Arc<Mutex<String>>);

impl Refusal {
    /// In a sentence.
    pub fn in_words(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, because: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = because.to_string();
    }
}

/// Has another program go on when it is asked to.
#[derive(Debug)]
pub struct Upgrading {
    program: Program,
    version: String,
    refusal: Refusal,
}

impl Upgrading {
    /// Prepares a loop for it. `version` is this program's.
    ///
    /// # Errors
    /// The loop has 256 sources already.
    pub fn prepare(reactor: &mut Reactor, program: Program, version: &str) -> io::Result<Self> {
        reactor.add(|_, names| Ok(Rehearsals::open(names)))?;
        Ok(Self { program, version: version.to_string(), refusal: Refusal::default() })
    }

    /// Where the next program will be.
    #[cfg(feature = "sandbox")]
    pub(crate) fn path(&self) -> &std::path::Path {
        self.program.path()
    }

    /// Why the last one was refused.
    pub fn refusal(&self) -> Refusal {
        self.refusal.clone()
    }

    /// The loop has returned with [`Ask::Upgrade`](crate::reactor::Ask::Upgrade): an upgrade begins, or its rehearsal is over. `note`
    /// may add to the state what the program itself has to know. If the next program goes on, this does not return. The loop is to be
    /// run on.
    pub fn asked(&mut self, reactor: &mut Reactor, note: impl Fn(&mut State) -> io::Result<()>) {
        let Some(rehearsals) = reactor.source::<Rehearsals>() else { return };
        let result = match rehearsals.take_verdict() {
            None if rehearsals.is_running() => return info!("an upgrade is under way already"),
            None => self.rehearse(reactor, note),
            Some(Verdict::No(because)) => Err(because),
            Some(Verdict::Yes(version)) => self.go_over(reactor, note, &version),
        };
        if let Err(because) = result {
            self.refuse(reactor, &format!("{}: {because}", self.program.path().display()));
        }
    }

    /// The upgrade is refused for this reason, which is logged.
    pub fn refuse(&self, reactor: &mut Reactor, because: &str) {
        warn!("the upgrade is refused: {because}; nobody leaves");
        self.refusal.set(because);
        reactor.upgrade_is_refused();
    }

    fn written(&self, reactor: &mut Reactor, note: impl Fn(&mut State) -> io::Result<()>) -> Result<State, String> {
        let mut state = reactor.write_down(&self.version).map_err(|because| because.to_string())?;
        note(&mut state).map_err(|error| format!("its state cannot be written down: {error}"))?;
        Ok(state)
    }

    fn rehearse(&self, reactor: &mut Reactor, note: impl Fn(&mut State) -> io::Result<()>) -> Result<(), String> {
        let state = self.written(reactor, note)?;
        reactor.upgrade_begins();
        let begun = reactor.with_source(|rehearsals: &mut Rehearsals, registry, now| {
            rehearsals.begin(&self.program, &state, registry, now)
        });
        begun.unwrap_or(Ok(())).map_err(|error| format!("it cannot be started: {error}"))
    }

    fn go_over(
        &self,
        reactor: &mut Reactor,
        note: impl Fn(&mut State) -> io::Result<()>,
        version: &str,
    ) -> Result<(), String> {
        let state = self.written(reactor, note)?;
        info!(
            "upgrades to version {version}: {}, {} of state",
            so_many(state.sockets().len(), "socket"),
            so_many(state.bytes().len(), "byte")
        );
        match replace(&self.program, &state) {
            Ok(never) => match never {},
            Err(error) => Err(format!("it cannot be executed: {error}")),
        }
    }
}
