//! A client that reads slowly while it sends as much as the server takes, so that its window keeps opening and shutting.
//!
//! Owns the thread that does it. Knows no protocol beyond the requests that it is given.

use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

/// How much is read at a time, and how long after the last read.
const SIP: usize = 8192;
const PAUSE: Duration = Duration::from_millis(800);

/// It reads until this is dropped, or its connection ends.
#[derive(Debug)]
pub(in crate::lab) struct SlowReader {
    /// Nothing is ever sent through it: the thread ends when it is dropped.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SlowReader {
    /// Sends these requests over and over.
    ///
    /// # Errors
    /// Those of dup(2).
    pub(in crate::lab) fn begin(stream: &TcpStream, questions: Vec<u8>) -> io::Result<Self> {
        let stream = stream.try_clone()?;
        let (stop, stopped) = channel::<()>();
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while send(&stream, &questions, &mut sent).is_ok()
                && stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout)
                && sip(&stream).is_ok()
            {}
        });
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for SlowReader {
    fn drop(&mut self) {
        self.stop = None;
        // The thread has a second descriptor of the connection. Until it is closed, closing the first one sends no RST.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Sends as much as the server takes. A client that has sent its FIN only reads.
fn send(stream: &TcpStream, questions: &[u8], sent: &mut usize) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    loop {
        match SockRef::from(stream).send_with_flags(&questions[*sent % questions.len()..], flags) {
            Ok(count) => *sent += count,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::BrokenPipe => return Ok(()),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
}

fn sip(stream: &TcpStream) -> io::Result<()> {
    match SockRef::from(stream).recv_with_flags(&mut [MaybeUninit::uninit(); SIP], libc::MSG_DONTWAIT) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Instant;

    /// It asks whole questions, one after the other, and takes no more than a sip at a time.
    #[test]
    fn it_speaks_in_order_and_reads_by_sips() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(&[1; 3 * SIP]).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let reader = SlowReader::begin(&client, b"abc".to_vec()).unwrap();
        let mut heard = [0; 3000];
        server.read_exact(&mut heard).unwrap();
        assert_eq!(heard.to_vec(), b"abc".repeat(1000));
        let waits = |stream: &TcpStream| SockRef::from(stream).peek(&mut [MaybeUninit::uninit(); 4 * SIP]).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while waits(&client) > 2 * SIP {
            assert!(Instant::now() < until, "it does not read");
            thread::sleep(Duration::from_millis(10));
        }
        assert!(waits(&client) >= SIP);
        // The thread has ended and its descriptor is closed, so the connection can be reset.
        drop(reader);
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let end = loop {
            match server.read(&mut [0; 1 << 16]) {
                Ok(count) if count > 0 => {}
                end => break end,
            }
        };
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
