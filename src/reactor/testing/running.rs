//! A loop on real sockets, in a thread of a test.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::reactor::{Ending, Handle, Reactor, Tally};

/// A loop that runs in a thread until a test stops it, or drops it. (The library itself never starts a thread; this is for
/// tests.)
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    thread: Option<JoinHandle<io::Result<(Ending, Tally)>>>,
}

impl Running {
    /// Starts a loop for at most `limit` connections, once `build` has made it listen; what that returns comes back.
    ///
    /// # Errors
    /// Those of [`Reactor::new`] and of `build`.
    pub fn start<T: Send + 'static>(
        limit: usize,
        build: impl FnOnce(&mut Reactor) -> io::Result<T> + Send + 'static,
    ) -> io::Result<(Self, T)> {
        let (tells, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let begun = Reactor::new(limit).and_then(|mut reactor| {
                let built = build(&mut reactor)?;
                let handle = reactor.handle()?;
                Ok((reactor, built, handle))
            });
            match begun {
                Ok((mut reactor, built, handle)) => {
                    let _ = tells.send(Ok((built, handle)));
                    let ending = reactor.run()?;
                    Ok((ending, reactor.tally()))
                }
                Err(error) => {
                    let kind = error.kind();
                    let _ = tells.send(Err(error));
                    Err(kind.into())
                }
            }
        });
        let (built, handle) =
            told.recv().unwrap_or_else(|_| Err(io::Error::other("the loop's thread has panicked")))?;
        Ok((Self { handle, thread: Some(thread) }, built))
    }

    /// A handle of the loop.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops the loop within `grace`, and waits for its end. Returns how it ended, and its figures.
    ///
    /// # Errors
    /// The loop could not go on, or its thread has panicked.
    pub fn stop(mut self, grace: Duration) -> io::Result<(Ending, Tally)> {
        self.handle.stop(grace);
        self.join().unwrap_or_else(|| Err(io::Error::other("the loop has ended already")))
    }

    fn join(&mut self) -> Option<io::Result<(Ending, Tally)>> {
        let ended = self.thread.take()?.join();
        Some(ended.unwrap_or_else(|_| Err(io::Error::other("the loop's thread has panicked"))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Twice: the second call ends it at once.
        self.handle.stop(Duration::ZERO);
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.handle.stop(Duration::ZERO);
        }
        let _ = self.join();
    }
}
