//! The socket options for which no safe wrapper exists.
//!
//! Owns the unsafe calls of getsockopt(2) and setsockopt(2), for options that socket2 and rustix do
//! not know. Does not know what the options are used for.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// `TCP_RTO_MAX_MS` of linux/tcp.h, since Linux 6.15; not yet in the libc crate.
const TCP_RTO_MAX_MS: libc::c_int = 44;

/// Reads `TCP_INFO` (tcp(7)) into `buffer`. Returns how many bytes of it the kernel has filled in.
///
/// # Errors
/// Those of getsockopt(2).
pub(crate) fn tcp_info(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    get(socket, libc::TCP_INFO, buffer)
}

/// Sets `TCP_RTO_MAX_MS`, which bounds the time between two retransmissions, or two probes of a shut window: 1 s to
/// 120 s, in whole milliseconds. Accepted sockets inherit it from their listener.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.15; otherwise those of setsockopt(2), such as `EINVAL` for a time out of range.
pub(crate) fn set_rto_max(socket: &impl AsFd, most: Duration) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, TCP_RTO_MAX_MS, most.as_millis() as libc::c_int)
}

/// Sets `IP_BIND_ADDRESS_NO_PORT` (ip(7)): bind(2) chooses only an address, and connect(2) chooses the port, which then
/// need not differ between connections to different servers. Works for IPv6 sockets, too.
///
/// # Errors
/// Those of setsockopt(2).
#[cfg(feature = "load")]
pub(crate) fn set_bind_address_no_port(socket: &impl AsFd) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

/// `IP_LOCAL_PORT_RANGE` of linux/in.h, since Linux 6.3; not yet in the libc crate.
#[cfg(feature = "load")]
const IP_LOCAL_PORT_RANGE: libc::c_int = 51;

/// Sets `IP_LOCAL_PORT_RANGE` to the widest range: connect(2) may still use any port of `net.ipv4.ip_local_port_range`,
/// but searches it port by port. Without this option the kernel tries every other port first, and once those are
/// taken it tries all of them again at each connect(2) (`__inet_hash_connect`). Works for IPv6 sockets, too.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.3; otherwise those of setsockopt(2).
#[cfg(feature = "load")]
pub(crate) fn set_any_local_port(socket: &impl AsFd) -> io::Result<()> {
    let (low, high) = (1, u32::from(u16::MAX));
    set(socket, libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE, (high << 16 | low) as libc::c_int)
}

/// Reads the value that [`set_rto_max`] has set. The kernel has rounded it up to whole ticks, by up to 10 ms.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.15; otherwise those of getsockopt(2).
pub(crate) fn rto_max(socket: &impl AsFd) -> io::Result<Duration> {
    let mut value = [0; 4];
    get(socket, TCP_RTO_MAX_MS, &mut value)?;
    Ok(Duration::from_millis(u32::from_ne_bytes(value).into()))
}

fn set(socket: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the value outlives the call, and the kernel reads no more than the length that is given.
    // The descriptor is borrowed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get(socket: &impl AsFd, option: libc::c_int, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: `buffer` and `length` outlive the call and are borrowed mutably; the kernel writes at
    // most `length` bytes, and any byte is a valid u8. The descriptor is borrowed.
    let result = unsafe {
        libc::getsockopt(socket.as_fd().as_raw_fd(), libc::IPPROTO_TCP, option, buffer.as_mut_ptr().cast(), &mut length)
    };
    if result == 0 { Ok((length as usize).min(buffer.len())) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_retransmission_time_can_be_bounded() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        match set_rto_max(&socket, Duration::from_secs(7)) {
            Ok(()) => assert_eq!(rto_max(&socket).unwrap(), Duration::from_secs(7)),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT)), // before 6.15
        }
        assert!(set_rto_max(&socket, Duration::from_millis(999)).is_err());
    }
}
