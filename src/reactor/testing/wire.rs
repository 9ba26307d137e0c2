//! A scripted stream: what the kernel would hold for one socket.
//!
//! Owns the bytes on both ways, and the figures. Knows neither the service nor the stage.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use mio::{Registry, Token};
use rustix::io::Errno;

use crate::keepalive::owing::Setting;
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::connection::stream::Stream;
use crate::reactor::time::moment::Moment;
use crate::tcp_info::TcpInfo;

/// What the kernel holds for one socket.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What the peer has sent and nobody has read yet.
    pub input: VecDeque<u8>,
    /// The peer has sent its FIN.
    pub fin: bool,
    /// Reported once, by a read or as SO_ERROR.
    pub error: Option<Errno>,
    /// The connection has died: writing fails.
    pub dead: bool,
    /// How many bytes the peer still takes.
    pub room: usize,
    /// What the peer has got and the test has not fetched.
    pub output: Vec<u8>,
    /// Bytes, or a FIN, that the peer will never acknowledge: its cable was pulled before.
    pub unacknowledged: u32,
    /// Since when nothing comes and nothing arrives.
    pub pulled: Option<Moment>,
    /// Data were last received, and last sent.
    pub data_received: Moment,
    pub data_sent: Moment,
    /// What was announced since the last edge was taken.
    pub news: Readiness,
    announces_room: bool,
}

/// A stream whose other end is a test.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub kernel: Rc<RefCell<Kernel>>,
    now: Rc<Cell<Moment>>,
}

impl Wire {
    pub(super) fn new(now: &Rc<Cell<Moment>>) -> Self {
        let kernel = Kernel {
            input: VecDeque::new(),
            fin: false,
            error: None,
            dead: false,
            room: usize::MAX,
            output: Vec::new(),
            unacknowledged: 0,
            pulled: None,
            data_received: now.get(),
            data_sent: now.get(),
            news: Readiness::default(),
            announces_room: false,
        };
        Self { kernel: Rc::new(RefCell::new(kernel)), now: now.clone() }
    }

    /// The peer takes this many bytes from now on.
    pub(super) fn set_room(&self, room: usize) {
        let kernel = &mut *self.kernel.borrow_mut();
        if kernel.room == 0 && room > 0 && kernel.announces_room {
            kernel.news |= Readiness::WRITABLE;
        }
        kernel.room = room;
    }

    /// The connection dies.
    pub(super) fn fail(&self, errno: Errno) {
        let kernel = &mut *self.kernel.borrow_mut();
        (kernel.dead, kernel.error) = (true, Some(errno));
        kernel.news |= Readiness::READABLE | Readiness::MORE_THAN_DATA | Readiness::HUNG_UP;
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let kernel = &mut *self.kernel.borrow_mut();
        if !kernel.input.is_empty() {
            return kernel.input.read(buffer);
        }
        match kernel.error.take() {
            Some(errno) => Err(errno.into()),
            None if kernel.fin || kernel.dead => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let kernel = &mut *self.kernel.borrow_mut();
        if kernel.dead {
            return Err(kernel.error.take().unwrap_or(Errno::PIPE).into());
        }
        let count = bytes.len().min(kernel.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if kernel.room != usize::MAX {
            kernel.room -= count;
        }
        kernel.data_sent = self.now.get();
        match kernel.pulled {
            Some(_) => kernel.unacknowledged += 1,
            None => kernel.output.extend_from_slice(&bytes[..count]),
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Wire {
    fn shut_write(&mut self) -> io::Result<()> {
        let kernel = &mut *self.kernel.borrow_mut();
        kernel.unacknowledged += u32::from(kernel.pulled.is_some());
        Ok(())
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(self.kernel.borrow_mut().error.take().map(io::Error::from))
    }

    fn info(&self) -> Option<TcpInfo> {
        let kernel = self.kernel.borrow();
        let ago = |moment| self.now.get().since(moment);
        Some(TcpInfo {
            silent: kernel.pulled.map_or(Duration::ZERO, ago),
            sent: ago(kernel.data_sent),
            received: ago(kernel.data_received),
            unacknowledged: kernel.unacknowledged,
            not_sent: u32::from(kernel.room == 0),
            ..TcpInfo::default()
        })
    }

    fn local(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(Ipv4Addr::new(192, 0, 2, 9).into(), 7007))
    }

    fn reset_on_close(&mut self) {}

    fn register(&mut self, _registry: &Registry, _token: Token) -> io::Result<()> {
        Ok(())
    }

    fn register_for_room(&mut self, _registry: &Registry, _token: Token) -> io::Result<()> {
        let kernel = &mut *self.kernel.borrow_mut();
        kernel.announces_room = true;
        if kernel.room > 0 {
            kernel.news |= Readiness::WRITABLE;
        }
        Ok(())
    }

    fn set(&mut self, _setting: Setting) -> io::Result<()> {
        Ok(())
    }
}
