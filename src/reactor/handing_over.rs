//! What a program does with its loop between two turns: it takes peers out, puts peers in, and reaches its own sources.

use std::io;

#[cfg(feature = "upgrade")]
use mio::Registry;

use crate::reactor::Reactor;
use crate::reactor::peer_id::{PeerId, PortId};
use crate::reactor::port::Port;
use crate::reactor::serving::saved::{CannotSave, Carried};
#[cfg(feature = "upgrade")]
use crate::reactor::{Moment, Source};

impl Reactor {
    /// Takes a peer out of the loop, with what its service remembers of it ([`Service::save`](crate::reactor::Service::save)) and the output that waits. The
    /// connection goes on, and nobody is told. The loop may be turning, but not in a turn.
    ///
    /// # Errors
    /// See [`CannotSave`]; the peer stays.
    pub fn release(&mut self, peer: PeerId) -> Result<Carried, CannotSave> {
        self.between_turns(|sources, turn| {
            let port = sources.get_mut(peer.port().source()).and_then(|source| source.as_any()?.downcast_mut::<Port>());
            port.ok_or(CannotSave::Gone)?.release(peer, turn)
        })
    }

    /// Takes over a peer that another loop, or another program, has served until now: it gets [`Service::restore`](crate::reactor::Service::restore) at this
    /// port. Its keepalive stays as it is set on the socket.
    ///
    /// # Errors
    /// `NotFound`: there is no such port. `InvalidData`: the service does not take it over ([`CannotRestore`](crate::reactor::CannotRestore)).
    /// `OutOfMemory`, or errors of the socket. The connection is closed.
    pub fn adopt(&mut self, port: PortId, carried: Carried) -> io::Result<PeerId> {
        self.between_turns(|sources, turn| {
            let port = sources.get_mut(port.source()).and_then(|source| source.as_any()?.downcast_mut::<Port>());
            port.ok_or(io::ErrorKind::NotFound)?.adopt(carried, turn)
        })
    }

    /// The first source of this type, if there is one and it may be asked for more ([`Source::as_any`]). Between two turns only.
    #[cfg(feature = "upgrade")]
    pub fn source<S: Source + 'static>(&mut self) -> Option<&mut S> {
        self.awake.wake_all();
        self.sources.iter_mut().find_map(|source| source.as_any()?.downcast_mut())
    }

    /// The same with what it may need.
    #[cfg(feature = "upgrade")]
    pub(crate) fn with_source<S: Source + 'static, R>(
        &mut self,
        act: impl FnOnce(&mut S, &Registry, Moment) -> R,
    ) -> Option<R> {
        self.between_turns(|sources, turn| {
            let source = sources.iter_mut().find_map(|source| source.as_any()?.downcast_mut())?;
            Some(act(source, turn.registry, turn.now))
        })
    }
}
