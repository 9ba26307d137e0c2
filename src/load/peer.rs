//! One connection to the server: connect, greet, send requests, verify the answers.
//!
//! Owns the order of its system calls. Knows neither the other connections nor when a request is due. An
//! idle peer owns no buffer, as in the server.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use crate::load::quotation::difference;
use crate::load::trouble::{Trouble, TroubleKind};
use crate::reactor::{Moment, Readiness};
use crate::speak::Verbatim;
use crate::tcp_info::TcpInfo;

/// One connection, from connect(2) to its end.
#[derive(Debug)]
pub(super) struct LoadPeer {
    stream: TcpStream,
    /// Its number, in the order of opening.
    pub number: usize,
    pub opened: Moment,
    ready: Readiness,
    pub phase: PeerPhase,
    /// The exchange; kept while the peer is one of those that send requests.
    talk: Option<Box<Talk>>,
    /// Bytes that came with `--speak none`.
    pub unasked: u64,
    /// Whether any byte has come, which shows that the server has accepted the connection: the handshake alone is done by its
    /// kernel.
    pub heard: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerPhase {
    Connecting,
    /// It waits for the answer to its greeting, or to the request that prepares the others.
    Greeting,
    Idle,
    Asking,
    /// It ended, and waits to be reaped.
    Lost,
}

/// A request, and its answer.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub said: Verbatim,
    written: usize,
    read: usize,
    /// When it was due: its latency counts from then.
    pub due: Moment,
    /// How many of its requests have been begun, and how many more are due.
    pub begun: u64,
    pub owed: u64,
}

/// The result of [`LoadPeer::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerStep {
    /// Nothing more can be done: an edge will resume it.
    Blocked,
    Connected,
    /// The whole answer has come, and every byte of it is correct.
    Answered,
}

impl Talk {
    /// How many bytes of the request the kernel has taken.
    pub(super) fn written(&self) -> usize {
        self.written
    }
}

impl LoadPeer {
    pub(super) fn new(stream: TcpStream, number: usize, opened: Moment) -> Self {
        let ready = Readiness::default();
        Self { stream, number, opened, ready, phase: PeerPhase::Connecting, talk: None, unasked: 0, heard: false }
    }

    pub(super) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The kernel's figures of the connection.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub(super) fn figures(&self) -> io::Result<TcpInfo> {
        TcpInfo::of(&self.stream)
    }

    /// Latches an event.
    pub(super) fn latch(&mut self, news: Readiness) {
        self.ready |= news;
    }

    /// The exchange, to be filled in before [`LoadPeer::ask`].
    pub(super) fn talk(&mut self) -> &mut Talk {
        self.talk.get_or_insert_default()
    }

    /// Sends what [`LoadPeer::talk`] holds, at the next step.
    pub(super) fn ask(&mut self, phase: PeerPhase) {
        let talk = self.talk();
        (talk.written, talk.read) = (0, 0);
        self.phase = phase;
    }

    /// Makes it idle, and frees its buffers.
    pub(super) fn rest(&mut self) {
        self.phase = PeerPhase::Idle;
        self.talk = None;
    }

    /// Goes on until nothing more can be done or there is something to report.
    ///
    /// # Errors
    /// Why the connection cannot be used any more.
    pub(super) fn step(&mut self, scratch: &mut [u8], languageless: bool) -> Result<PeerStep, Trouble> {
        if self.phase == PeerPhase::Connecting {
            return self.connect();
        }
        self.write()?;
        while self.ready.has(Readiness::READABLE) {
            if self.read(scratch, languageless)? {
                return Ok(PeerStep::Answered);
            }
        }
        Ok(PeerStep::Blocked)
    }

    /// connect(2) is complete when the socket is writable: then SO_ERROR has an error, or the connection is established.
    fn connect(&mut self) -> Result<PeerStep, Trouble> {
        if !self.ready.has(Readiness::WRITABLE) && !self.ready.has(Readiness::HUNG_UP) {
            return Ok(PeerStep::Blocked);
        }
        if let Some(error) = self.stream.take_error().map_err(|error| Trouble::of(&error))? {
            return Err(Trouble::of(&error));
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.phase = PeerPhase::Idle;
                Ok(PeerStep::Connected)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected && !self.ready.has(Readiness::HUNG_UP) => {
                self.ready.clear(Readiness::WRITABLE);
                Ok(PeerStep::Blocked)
            }
            Err(_) => Err(Trouble::new(TroubleKind::Reset, "reset before the first byte")),
        }
    }

    fn write(&mut self) -> Result<(), Trouble> {
        let (Some(talk), PeerPhase::Greeting | PeerPhase::Asking) = (&mut self.talk, self.phase) else { return Ok(()) };
        while talk.written < talk.said.question.len() && self.ready.has(Readiness::WRITABLE) {
            match self.stream.write(&talk.said.question[talk.written..]) {
                Ok(0) => self.ready.clear(Readiness::WRITABLE),
                Ok(count) => talk.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.clear(Readiness::WRITABLE),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What the server sent before it reset the connection is read first: it may be a wrong
                // answer.
                Err(error) if Trouble::of(&error).kind == TroubleKind::Reset && self.ready.has(Readiness::READABLE) => {
                    break;
                }
                Err(error) => return Err(Trouble::of(&error)),
            }
        }
        Ok(())
    }

    /// Reads once. True: the answer is complete.
    fn read(&mut self, scratch: &mut [u8], languageless: bool) -> Result<bool, Trouble> {
        let count = match self.stream.read(scratch) {
            Ok(0) => return Err(Trouble::new(TroubleKind::Closed, self.left_over())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready.clear(Readiness::READABLE);
                return Ok(false);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(Trouble::of(&error)),
        };
        self.heard = true;
        // A short read has drained the socket, unless more than data shared the edge.
        if count < scratch.len() && !self.ready.has(Readiness::MORE_THAN_DATA) {
            self.ready.clear(Readiness::READABLE);
        }
        if languageless {
            self.unasked += count as u64;
            return Ok(false);
        }
        self.verify(&scratch[..count])
    }

    fn verify(&mut self, came: &[u8]) -> Result<bool, Trouble> {
        let (Some(talk), PeerPhase::Greeting | PeerPhase::Asking) = (&mut self.talk, self.phase) else {
            return Err(difference(0, &[], came, 0));
        };
        let wanted = &talk.said.answer[talk.read..];
        let both = wanted.len().min(came.len());
        if wanted[..both] != came[..both] {
            let at = (0..both).find(|&at| wanted[at] != came[at]).unwrap_or(both);
            return Err(difference(talk.read + at, &wanted[at..], came, at));
        }
        if came.len() > both {
            return Err(difference(talk.read + both, &[], came, both));
        }
        talk.read += both;
        Ok(talk.read == talk.said.answer.len())
    }

    /// How the end of the stream is described, by phase.
    fn left_over(&self) -> &'static str {
        match self.phase {
            PeerPhase::Asking => "in the middle of an exchange",
            PeerPhase::Greeting => "while it was greeted",
            PeerPhase::Connecting | PeerPhase::Idle | PeerPhase::Lost => "while it was idle",
        }
    }
}
