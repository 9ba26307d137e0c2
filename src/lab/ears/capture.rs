//! The packets that the server sends and receives, captured in its network namespace.
//!
//! Owns a thread that lives in that namespace and reads one interface until it is stopped. Knows
//! nothing of what the frames mean.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::lab::ears::packet_socket::PacketSocket;

/// How many bytes of a frame are kept. Frames on a wire are shorter; a virtual link passes frames that a real one would
/// segment (segmentation offload), and of those the headers are enough.
const HELD: usize = 2048;
/// How soon the thread notices that it must stop.
const PATIENCE: Duration = Duration::from_millis(20);

/// A packet with its link-layer header, and when the kernel saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub at: SystemTime,
    pub bytes: Vec<u8>,
}

/// Everything that was captured.
#[derive(Clone, Debug)]
pub struct Captured {
    pub frames: Vec<Frame>,
    /// Frames that the kernel dropped because its buffer was full.
    pub dropped: u64,
}

/// A capture that is running; it ends when it is dropped.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<SharedFrames>,
    thread: Option<JoinHandle<io::Result<u64>>>,
    /// How many frames [`Capture::poll`] has returned.
    told: usize,
}

#[derive(Debug, Default)]
struct SharedFrames {
    frames: Mutex<Vec<Frame>>,
    stop: AtomicBool,
}

impl SharedFrames {
    /// Only whole frames are added, so the list is valid even if the thread has panicked.
    fn frames(&self) -> MutexGuard<'_, Vec<Frame>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capture {
    /// Captures what passes `interface` in the namespace whose file (`/run/netns/NAME`) is given.
    /// No frame is missed after it has returned.
    ///
    /// # Errors
    /// No such namespace or interface, or no privilege (`CAP_SYS_ADMIN`, `CAP_NET_RAW`).
    pub fn start(namespace: &Path, interface: &str) -> io::Result<Self> {
        let file = File::open(namespace).map_err(|error| {
            io::Error::new(error.kind(), format!("network namespace {}: {error}", namespace.display()))
        })?;
        let interface = interface.to_string();
        let shared = Arc::new(SharedFrames::default());
        let theirs = Arc::clone(&shared);
        let (opened, is_open) = mpsc::channel();
        let thread = std::thread::Builder::new().name("capture".to_string()).spawn(move || {
            // Only this thread enters the namespace, and it stays there.
            let socket = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(io::Error::from)
                .and_then(|()| PacketSocket::open(&interface, PATIENCE))
                .map_err(|error| io::Error::new(error.kind(), format!("capture on {interface}: {error}")));
            match socket {
                Ok(socket) => {
                    let _ = opened.send(Ok(())); // the receiver may be gone
                    read_on(&socket, &theirs)
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                    Ok(0)
                }
            }
        })?;
        is_open.recv().map_err(|_| io::Error::other("the capture's thread ended at once"))??;
        Ok(Self { shared, thread: Some(thread), told: 0 })
    }

    /// The frames since the last call.
    pub fn poll(&mut self) -> Vec<Frame> {
        let frames = self.shared.frames();
        let new = frames.get(self.told..).unwrap_or_default().to_vec();
        self.told = frames.len();
        new
    }

    /// Ends the capture, and returns all frames.
    ///
    /// # Errors
    /// The capture had failed before.
    pub fn stop(mut self) -> io::Result<Captured> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let dropped = match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result?,
            _ => return Err(io::Error::other("the capture's thread panicked")),
        };
        Ok(Captured { frames: std::mem::take(&mut *self.shared.frames()), dropped })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // only `stop` reports how it ended
        }
    }
}

/// Reads until it must stop, and then what is still queued. Returns how many frames were lost.
fn read_on(socket: &PacketSocket, shared: &SharedFrames) -> io::Result<u64> {
    let mut buffer = [0; HELD];
    let mut end = None;
    loop {
        if end.is_none() && shared.stop.load(Ordering::Relaxed) {
            end = Some(SystemTime::now());
        }
        match socket.receive(&mut buffer) {
            // Continuous traffic must not keep the thread from stopping.
            Ok((_, at)) if end.is_some_and(|end| at > end) => break,
            Ok((length, at)) => {
                let bytes = buffer.get(..length).unwrap_or(&buffer).to_vec();
                shared.frames().push(Frame { at, bytes });
            }
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::AGAIN) if end.is_some() => break,
                // The interface went down, which some scenes do. It is reported once, and the interface may come up again.
                Some(Errno::AGAIN | Errno::INTR | Errno::NETDOWN) => {}
                _ => return Err(error),
            },
        }
    }
    socket.dropped()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::stage::namespaces::{Namespace, ip};
    use std::io::Write;
    use std::net::UdpSocket;

    /// On the loopback interface of a namespace without other traffic. There a datagram is captured twice: when it is sent
    /// and when it is received.
    #[test]
    fn both_ways_are_captured_and_stamped() {
        let namespace = match Namespace::make(0, "capture") {
            Ok(namespace) => namespace,
            Err(refused) => {
                // Written past the test harness, which captures output: a skip must be visible.
                let _ = writeln!(io::stderr(), "SKIPPED, nothing was captured: {refused}");
                return;
            }
        };
        let capture = Capture::start(&namespace.path(), "lo").unwrap();
        ip(Some(&namespace), &["link set lo up".to_string()]).unwrap();
        let word = b"a datagram of the capture's own test";
        let before = SystemTime::now();
        let talk = || {
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            receiver.send_to(word, receiver.local_addr()?)?;
            receiver.recv(&mut [0; 64])
        };
        namespace.within(talk).unwrap();
        let after = SystemTime::now();
        let captured = capture.stop().unwrap();
        let ours: Vec<&Frame> = captured.frames.iter().filter(|frame| frame.bytes.ends_with(word)).collect();
        assert_eq!((ours.len(), captured.dropped), (2, 0));
        assert!(ours.iter().all(|frame| (before..=after).contains(&frame.at)), "{before:?} {ours:?} {after:?}");
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let error = Capture::start(Path::new("/run/netns/no-such"), "lo").unwrap_err();
        assert!(error.to_string().contains("/run/netns/no-such"), "{error}");
        let error = Capture::start(Path::new("/proc/self/ns/net"), "no-such").unwrap_err();
        assert!(error.to_string().contains("no-such") || error.kind() == io::ErrorKind::PermissionDenied, "{error}");
    }
}
