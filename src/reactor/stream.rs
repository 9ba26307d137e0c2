//! What a connection asks of its stream. A trait, so that a test can script every answer.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;

use crate::keepalive::owing::Setting;
use crate::sockopt;
use crate::tcp_info::TcpInfo;

/// A stream that never blocks: what would wait is an error of kind `WouldBlock`.
pub trait Stream: Read + Write {
    /// Ends our half: a FIN follows what was written. Input may still come.
    ///
    /// # Errors
    /// What shutdown(2) says.
    fn shut_write(&mut self) -> io::Result<()>;

    /// Takes the error that the kernel holds for this connection (`SO_ERROR`). It is told **once**:
    /// whoever takes it here must remember it, for the next read says "end of the stream".
    ///
    /// # Errors
    /// What getsockopt(2) says.
    fn take_error(&mut self) -> io::Result<Option<io::Error>>;

    /// The kernel's figures; `None` where it has none.
    fn info(&self) -> Option<TcpInfo>;

    /// Closing will send a reset and keep nothing (SO_LINGER of zero), so that no orphan lingers for
    /// a peer that is dead, and one that comes back is told.
    fn reset_on_close(&mut self);

    /// Gives the connection an option of its own, for as long as it owes an ACK.
    ///
    /// # Errors
    /// What setsockopt(2) says.
    fn set(&mut self, setting: Setting) -> io::Result<()>;
}

impl Stream for mio::net::TcpStream {
    fn shut_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        mio::net::TcpStream::take_error(self)
    }

    fn info(&self) -> Option<TcpInfo> {
        TcpInfo::of(self).ok()
    }

    fn reset_on_close(&mut self) {
        // If it fails, the kernel ends the orphan by itself, only later.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }

    fn set(&mut self, setting: Setting) -> io::Result<()> {
        match setting {
            Setting::RtoMax(most) => sockopt::set_rto_max(self, most),
            Setting::UserTimeout(timeout) => SockRef::from(&*self).set_tcp_user_timeout(timeout),
        }
    }
}
