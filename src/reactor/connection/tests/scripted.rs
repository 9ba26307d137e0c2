//! A scripted kernel, for one socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

use rustix::io::Errno;

use super::*;

/// What a kernel would hold for one socket. It keeps the promises that the code relies on, and no
/// others: an error is reported once, a read stops at the mark of urgent data, and an edge comes only
/// when something changed.
#[derive(Debug, Default)]
pub(super) struct ScriptedKernel {
    /// What the peer sent and nobody read yet; a mark stands before urgent data.
    pub(super) input: VecDeque<u8>,
    pub(super) mark: Option<usize>,
    pub(super) fin: bool,
    pub(super) error: Option<Errno>,
    /// The error of the next call, though the connection is fine.
    pub(super) refusal: Option<Errno>,
    pub(super) dead: bool,
    /// A write has failed: what was owed is lost.
    pub(super) failed: bool,
    /// How many bytes a write may still take, and what it took.
    pub(super) room: usize,
    pub(super) output: Vec<u8>,
    pub(super) shut: bool,
    /// How many calls of each kind are to be interrupted by a signal.
    pub(super) interrupt_reads: u32,
    pub(super) interrupt_writes: u32,
    /// What was announced since the last edge was taken.
    pub(super) news: Readiness,
    /// It was asked to announce room.
    pub(super) tells_of_room: bool,
    pub(super) info: Option<TcpInfo>,
    pub(super) reset: bool,
    pub(super) set: Vec<Setting>,
    /// Echo only: the bytes that were read and must be written before the next read.
    pub(super) owed: usize,
    pub(super) reads: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Scripted(pub(super) Rc<RefCell<ScriptedKernel>>);

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let kernel = &mut *self.0.borrow_mut();
        assert!(kernel.owed == 0 || kernel.dead || kernel.failed, "read while {} bytes of output wait", kernel.owed);
        kernel.reads += 1;
        if kernel.interrupt_reads > 0 {
            kernel.interrupt_reads -= 1;
            return Err(Errno::INTR.into());
        }
        if let Some(errno) = kernel.refusal.take() {
            return Err(errno.into());
        }
        let until_mark = kernel.mark.filter(|mark| *mark > 0).unwrap_or(usize::MAX);
        let count = kernel.input.len().min(buffer.len()).min(until_mark);
        if count > 0 {
            kernel.mark = kernel.mark.map(|mark| mark.saturating_sub(count));
            for (slot, byte) in buffer.iter_mut().zip(kernel.input.drain(..count)) {
                *slot = byte;
            }
            if !kernel.dead {
                kernel.owed += count;
            }
            return Ok(count);
        }
        match kernel.error.take() {
            Some(errno) => Err(errno.into()),
            None if kernel.fin || kernel.dead => Ok(0),
            None => Err(Errno::AGAIN.into()),
        }
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let kernel = &mut *self.0.borrow_mut();
        assert!(!kernel.shut, "written after the FIN");
        if kernel.interrupt_writes > 0 {
            kernel.interrupt_writes -= 1;
            return Err(Errno::INTR.into());
        }
        if let Some(errno) = kernel.refusal.take() {
            return Err(errno.into());
        }
        if kernel.dead {
            return Err(kernel.error.take().unwrap_or(Errno::PIPE).into());
        }
        let count = kernel.room.min(bytes.len());
        if count == 0 {
            return Err(Errno::AGAIN.into());
        }
        kernel.room -= count;
        kernel.owed = kernel.owed.saturating_sub(count);
        kernel.output.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Scripted {
    fn shut_write(&mut self) -> io::Result<()> {
        self.0.borrow_mut().shut = true;
        Ok(())
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(self.0.borrow_mut().error.take().map(io::Error::from))
    }

    fn info(&self) -> Option<TcpInfo> {
        self.0.borrow().info
    }

    fn local(&self) -> Option<std::net::SocketAddr> {
        None
    }

    fn reset_on_close(&mut self) {
        self.0.borrow_mut().reset = true;
    }

    fn register(&mut self, _registry: &mio::Registry, _token: mio::Token) -> io::Result<()> {
        Ok(())
    }

    fn register_for_room(&mut self, _registry: &mio::Registry, _token: mio::Token) -> io::Result<()> {
        Ok(())
    }

    fn set(&mut self, setting: Setting) -> io::Result<()> {
        self.0.borrow_mut().set.push(setting);
        Ok(())
    }
}
