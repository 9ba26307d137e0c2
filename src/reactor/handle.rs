//! Calls from outside of the loop: stop, wake, and messages for a service.
//!
//! Owns the one eventfd(2) of the loop, which is only made when a handle is asked for. Knows no service: whoever was called
//! for looks into its own mailbox.
//!
//! Many calls are one event: a call that finds an earlier one still unseen writes nothing. What was said before a call is
//! therefore written down first, and the loop clears the mark before it looks.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::Duration;

use log::{debug, trace};
use mio::event::Event;
use mio::{Registry, Waker};

use crate::reactor::source::{Names, Request, Source, Turn};

/// Nobody has asked the loop to stop.
const NO_STOP: u64 = u64::MAX;

/// Reaches a loop from any thread. All clones reach the same loop; once that is gone, calls do nothing.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Outside>);

#[derive(Debug)]
struct Outside {
    waker: Waker,
    /// Somebody has called, and the loop has not seen it yet.
    called: AtomicBool,
    /// The grace in nanoseconds if the loop is to stop, or [`NO_STOP`].
    stop: AtomicU64,
}

impl Handle {
    /// Wakes the loop; each service gets [`Service::called`](crate::reactor::Service::called). Calls that come close together
    /// may become one.
    pub fn wake(&self) {
        if self.0.called.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Err(error) = self.0.waker.wake() {
            // eventfd(2): only a full counter refuses, and then the event is there anyway.
            debug!("the loop cannot be woken: {error}");
        }
    }

    /// Ends the loop in an orderly way, within `grace`, as SIGTERM does. A second call ends it at once.
    pub fn stop(&self, grace: Duration) {
        let grace = u64::try_from(grace.as_nanos()).unwrap_or(NO_STOP).min(NO_STOP - 1);
        self.0.stop.store(grace, Ordering::Release);
        self.wake();
    }

    /// See [`Reactor::mailbox`](crate::reactor::Reactor::mailbox).
    pub fn mailbox<M>(&self, bound: usize) -> (Mailbox<M>, Receiver<M>) {
        let (sender, receiver) = mpsc::sync_channel(bound.max(1));
        (Mailbox { sender, handle: self.clone() }, receiver)
    }
}

/// Puts messages before a service, from any thread.
#[derive(Debug)]
pub struct Mailbox<M> {
    sender: SyncSender<M>,
    handle: Handle,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), handle: self.handle.clone() }
    }
}

impl<M> Mailbox<M> {
    /// Puts a message in, without waiting, and wakes the loop.
    ///
    /// # Errors
    /// The mailbox is full, or the service is gone; the message comes back.
    pub fn send(&self, message: M) -> Result<(), CannotSend<M>> {
        self.sender.try_send(message).map_err(|refused| match refused {
            TrySendError::Full(message) => CannotSend::Full(message),
            TrySendError::Disconnected(message) => CannotSend::Gone(message),
        })?;
        self.handle.wake();
        Ok(())
    }

    /// The same, but waits while the mailbox is full. Never from the loop's own thread: it would wait for itself.
    ///
    /// # Errors
    /// The service is gone; the message comes back.
    pub fn send_when_there_is_room(&self, message: M) -> Result<(), CannotSend<M>> {
        match self.send(message) {
            // Whoever filled it has woken the loop, so room will come.
            Err(CannotSend::Full(message)) => {
                self.sender.send(message).map_err(|refused| CannotSend::Gone(refused.0))?;
                self.handle.wake();
                Ok(())
            }
            sent => sent,
        }
    }
}

/// A message was not taken.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotSend<M> {
    /// As many messages wait as the mailbox may hold.
    Full(M),
    /// The service that had the receiver is gone.
    Gone(M),
}

impl<M> fmt::Display for CannotSend<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the mailbox is full: the service is behind; try again later, or make it larger",
            Self::Gone(_) => "the service that the mailbox belongs to is gone",
        })
    }
}

impl<M> fmt::Debug for CannotSend<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Full(_)) { "Full" } else { "Gone" })
    }
}

impl<M> Error for CannotSend<M> {}

/// The loop's end of its handles.
pub(super) struct Callers {
    outside: Arc<Outside>,
    announced: bool,
    stopping: bool,
}

/// Makes the first handle, and the source that listens to it.
pub(super) fn open(registry: &Registry, names: Names) -> io::Result<(Handle, Callers)> {
    let waker = Waker::new(registry, names.token(0))?;
    let outside = Arc::new(Outside { waker, called: AtomicBool::new(false), stop: AtomicU64::new(NO_STOP) });
    Ok((Handle(outside.clone()), Callers { outside, announced: false, stopping: false }))
}

impl Source for Callers {
    fn latch(&mut self, _key: usize, _event: &Event) {
        trace!("somebody calls from outside");
        self.announced = true;
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut self.announced) {
            return;
        }
        // Before anything is looked at: whoever calls from now on is an event of its own.
        self.outside.called.store(false, Ordering::Release);
        turn.called = true;
        let grace = self.outside.stop.swap(NO_STOP, Ordering::AcqRel);
        if grace != NO_STOP {
            let request =
                if self.stopping { Request::Abort } else { Request::Stop { grace: Duration::from_nanos(grace) } };
            self.stopping = true;
            turn.requests.push(request);
        }
    }
}
