//! Who observes the loop of `serve`: the reader of events, and the admin port.
//!
//! Owns in which order they are opened, and what one must know of the other: the admin port tells how many events were left out.

#[cfg(all(feature = "admin", feature = "upgrade"))]
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

#[cfg(feature = "events")]
use crate::observe::event::Chronicle;
#[cfg(feature = "events")]
use crate::observe::events::{Begin, Events, EventsTo};
use crate::observe::log::Logger;
use crate::reactor::{Listening, Reactor};
#[cfg(feature = "upgrade")]
use crate::serve::upgrading::{Upgrade, goes_on};
use crate::serve::{Passed, ServeSettings};
#[cfg(feature = "admin")]
use crate::{observe::admin::LeftOut, serve::admin};

/// They are open until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Observers {
    #[cfg(feature = "admin")]
    _admin: Option<admin::Opened>,
}

impl Observers {
    /// Which file the admin port has made, if it is a socket of the file system.
    #[cfg(all(feature = "admin", feature = "upgrade"))]
    pub(super) fn admin_socket(&self) -> Option<(PathBuf, u64)> {
        self._admin.as_ref()?.file().cloned()
    }

    /// What they have opened stays for the next program.
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    pub(super) fn outlive(mut self) {
        #[cfg(feature = "admin")]
        self._admin.iter_mut().for_each(admin::Opened::outlive);
        let _ = &mut self;
    }
}

/// How many events were not taken by their reader.
type Count = Arc<AtomicU64>;

pub(super) fn open(
    reactor: &mut Reactor,
    settings: &ServeSettings,
    bound: &[Listening],
    log: &Logger,
    passed: &mut Passed,
    #[cfg(feature = "upgrade")] upgrade: &Upgrade<'_>,
) -> Result<Observers, String> {
    #[cfg(all(feature = "upgrade", not(feature = "admin")))]
    let _ = upgrade;
    let left_out = tell_events(reactor, settings, bound)?;
    #[cfg(feature = "admin")]
    {
        let opened = admin::open(
            reactor,
            settings,
            bound,
            LeftOut { log: log.left_out(), events: left_out },
            passed,
            #[cfg(feature = "upgrade")]
            upgrade.refusal(),
        );
        #[cfg(feature = "upgrade")]
        let opened = opened.or_else(|sentence| goes_on(reactor, sentence).map(|()| None));
        Ok(Observers { _admin: opened? })
    }
    #[cfg(not(feature = "admin"))]
    {
        let _ = (left_out, log, passed);
        Ok(Observers {})
    }
}

/// If events are to go anywhere, they go there from now on. The first one is the start.
#[cfg(feature = "events")]
fn tell_events(reactor: &mut Reactor, settings: &ServeSettings, bound: &[Listening]) -> Result<Count, String> {
    let mut left_out = Count::default();
    let Some(to) = &settings.events else { return Ok(left_out) };
    #[cfg(feature = "upgrade")]
    if reactor.is_rehearsal() {
        return Ok(left_out); // who reads the events is not to see two of us
    }
    let listen: Vec<_> = bound.iter().map(|listening| listening.address).collect();
    let start = || Begin::Start(Chronicle::start(&listen, settings.keepalive.deadline()));
    #[cfg(feature = "upgrade")]
    let begin = if reactor.goes_on() { Begin::TakeOver(reactor.inherited_source(Events::NAME)) } else { start() };
    #[cfg(not(feature = "upgrade"))]
    let begin = start();
    let open = |registry: &_, names| {
        let events = Events::open(EventsTo::clone(to), &settings.keepalive, begin, registry, names)?;
        left_out = events.left_out();
        Ok(events)
    };
    let added = reactor.add(open).map_err(|error| format!("events cannot be written to {to}: {error}"));
    #[cfg(feature = "upgrade")]
    let added = added.or_else(|sentence| goes_on(reactor, sentence));
    added?;
    Ok(left_out)
}

#[cfg(not(feature = "events"))]
fn tell_events(_reactor: &mut Reactor, _settings: &ServeSettings, _bound: &[Listening]) -> Result<Count, String> {
    Ok(Count::default())
}
