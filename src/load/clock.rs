//! A timer to the microsecond. The loop's own waits end at whole milliseconds (epoll_wait(2)), which is
//! longer than most answers take.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// A timer whose event wakes the loop.
#[derive(Debug)]
pub(super) struct TimerFd(OwnedFd);

impl TimerFd {
    /// # Errors
    /// Those of timerfd_create(2) and epoll_ctl(2).
    pub(super) fn open(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Wakes the loop after `time`; what was set before no longer counts. The timer is never read: setting
    /// it again clears its event.
    pub(super) fn set(&self, time: Duration) {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would disarm it.
        let time = time.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos() as _ };
        // It cannot fail with a valid time, and the loop wakes for samples in any case.
        let _ =
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: value });
    }
}
