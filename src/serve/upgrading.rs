//! The upgrade of `serve`: what another program has to know beside the loop, and a start that goes on with one.
//!
//! Owns that nothing ends a server that has peers already: what cannot be opened any more is an error line.

use log::{error, info};

use crate::count::so_many;
use crate::reactor::{Reactor, State};
use crate::serve::ServeSettings;
use crate::serve::listening::retain;
use crate::upgrade::{Program, Upgrading};

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The loop goes on with what was handed over, if anything was, and is prepared to be handed over itself. A server that cannot find
/// its own program serves all the same.
pub(super) fn begin(reactor: &mut Reactor, handed_over: Option<State>) -> Result<Option<Upgrading>, String> {
    if let Some(state) = handed_over {
        reactor.inherit(state).map_err(|because| because.to_string())?;
    }
    let prepared = Program::of_this_process().and_then(|program| Upgrading::prepare(reactor, program, VERSION));
    Ok(prepared.inspect_err(|error| error!("no upgrade will be possible: {error}")).ok())
}

/// The upgrade is asked for.
pub(super) fn upgrade(upgrading: Option<&mut Upgrading>, reactor: &mut Reactor) {
    match upgrading {
        Some(upgrading) => upgrading.asked(reactor, |_| Ok(())),
        None => error!("the upgrade is refused: this program was not found when it started; nobody leaves"),
    }
}

/// All places of the settings are listened on. Peers that came to other addresses stay, too; if a name was not found, it is not known
/// which of those are still wanted, and so all of them are listened on as before.
pub(super) fn keep_the_others(reactor: &mut Reactor, settings: &ServeSettings, all_found: bool) -> Result<(), String> {
    for address in reactor.unclaimed() {
        let kept = retain(reactor, settings, address, all_found);
        let what = if all_found { "nobody is accepted there any more" } else { "it is listened on as before" };
        info!("{address} is not among the addresses to listen on: {what}, and the peers that came there stay");
        if let Err(error) = kept {
            goes_on(reactor, format!("the peers that came to {address} cannot be taken over: {error}"))?;
        }
    }
    Ok(())
}

/// The loop goes on, if it does.
pub(super) fn take_over(reactor: &mut Reactor) {
    let Some(resumed) = reactor.take_over() else { return };
    let stay = so_many(resumed.peers, "peer");
    let verb = if resumed.peers == 1 { "stays" } else { "stay" };
    info!("upgraded from {}: {stay} {verb} (generation {})", resumed.version, resumed.generation);
}

/// A server that has peers already does not end for this. A fresh one does, and so does a rehearsal.
pub(super) fn goes_on(reactor: &Reactor, sentence: String) -> Result<(), String> {
    if !reactor.goes_on() || reactor.is_rehearsal() {
        return Err(sentence);
    }
    error!("{sentence}");
    Ok(())
}
