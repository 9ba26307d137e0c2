//! A packet socket, packet(7): the frames of an interface, with the kernel's time stamps.
//!
//! Owns the system calls for which no safe crate in this program has a wrapper: binding to an
//! interface, receiving a time stamp with a frame, and reading the drop counter. All of the lab's
//! unsafe code is here. Knows no namespace: it opens in that of the calling thread.

#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::{Duration, SystemTime};

use socket2::{Domain, Socket, Type};

/// How many bytes the kernel queues until they are read.
const BUFFER: c_int = 16 << 20;

pub(in crate::lab) struct PacketSocket(Socket);

impl PacketSocket {
    /// Opens on one interface; both directions. `patience` is how long [`receive`] waits.
    ///
    /// The protocol is given at bind(2) and not before: until then nothing is received, and so nothing from another interface.
    ///
    /// [`receive`]: Self::receive
    pub(in crate::lab) fn open(interface: &str, patience: Duration) -> io::Result<Self> {
        let name = CString::new(interface)?;
        // SAFETY: `name` ends with a zero and outlives the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_read_timeout(Some(patience))?;
        let this = Self(socket);
        this.set(libc::SO_TIMESTAMPNS, 1)?;
        // The first needs a privilege over the whole machine; the second is bounded by rmem_max.
        this.set(libc::SO_RCVBUFFORCE, BUFFER).or_else(|_| this.set(libc::SO_RCVBUF, BUFFER))?;
        // SAFETY: all zeroes is a valid sockaddr_ll, which is plain numbers.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as c_int;
        let length = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: `address` is a socket address of that length, and outlives the call.
        done(unsafe { libc::bind(this.0.as_raw_fd(), ptr::from_ref(&address).cast(), length) })?;
        Ok(this)
    }

    fn set(&self, option: c_int, value: c_int) -> io::Result<()> {
        let length = mem::size_of_val(&value) as libc::socklen_t;
        // SAFETY: `value` has that length, and outlives the call.
        done(unsafe {
            libc::setsockopt(self.0.as_raw_fd(), libc::SOL_SOCKET, option, ptr::from_ref(&value).cast(), length)
        })
    }

    /// Waits for a frame and writes as much of it to `buffer` as fits: how much that is, and when
    /// the kernel saw it.
    pub(in crate::lab) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SystemTime)> {
        let mut control = [0u64; 16]; // aligned as a cmsghdr must be
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: all zeroes is a valid msghdr: no address, no parts, no control data.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of_val(&control) as _;
        // SAFETY: the header points to `part`, that to `buffer`, and to `control`, each with its
        // length; all of them outlive the call and nobody else uses them.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &mut message, 0) };
        let Ok(length) = usize::try_from(length) else {
            return Err(io::Error::last_os_error());
        };
        // SAFETY: the kernel filled the header, and its control data lie in `control`.
        let stamp = unsafe { time_stamp(&message) };
        Ok((length, stamp.unwrap_or_else(SystemTime::now)))
    }

    /// Frames that were dropped because the buffer was full, since the last call.
    pub(in crate::lab) fn dropped(&self) -> io::Result<u64> {
        // SAFETY: all zeroes is a valid tpacket_stats, which is plain numbers.
        let mut statistics: libc::tpacket_stats = unsafe { mem::zeroed() };
        let mut length = mem::size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `statistics`.
        done(unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                ptr::from_mut(&mut statistics).cast(),
                &mut length,
            )
        })?;
        Ok(statistics.tp_drops.into())
    }
}

fn done(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// # Safety
/// `message` was filled by recvmsg(2), and its control data are alive.
unsafe fn time_stamp(message: &libc::msghdr) -> Option<SystemTime> {
    // SAFETY: the CMSG macros walk the control data within the length that the kernel set there.
    // The time may not be aligned, and so is copied out.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = next.as_ref() {
            if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
                let time: libc::timespec = ptr::read_unaligned(libc::CMSG_DATA(header).cast());
                let since = Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
                return Some(SystemTime::UNIX_EPOCH + since);
            }
            next = libc::CMSG_NXTHDR(message, next);
        }
    }
    None
}
