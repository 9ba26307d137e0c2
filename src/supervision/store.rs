//! Peers that the supervisor keeps while this program is started anew: systemd's store of descriptors (sd_pid_notify_with_fds(3)).
//!
//! Owns the form in which they are stored: one socket, in which all descriptors are in flight, the first of them a file in memory with the
//! state of the loop. So either all of it is stored or nothing. The store itself takes every descriptor one by one and compares it with all others: thousands would hold PID 1
//! for minutes. `FDPOLL=0` keeps it from dropping what has been hung up, which is how the socket looks to it.
//!
//! No answer says whether the store has taken something. So BARRIER=1 is waited for, after which the supervisor has dealt with the message
//! (one from a process that has ended is not for anybody any more), and then our end of the socket tells whether anybody has the other:
//! a supervisor that stores nothing (`FileDescriptorStoreMax=0`, or one that is not systemd) closes it, or has never received it.
//!
//! What was taken back is forgotten at once, whatever comes of it: the store has the listeners, too, so a start that failed and left them
//! there would keep every later one from its own address.

use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use socket2::{Domain, Socket, Type};

use crate::inherited;
use crate::reactor::State;
use crate::supervision::activation::{Passed, STORED};
use crate::supervision::notify::{Notifier, send};
use crate::upgrade;

/// How many descriptors a message takes (SCM_MAX_FD, unix(7)).
const A_MESSAGE: usize = 253;
/// The kernel cuts it to what net.core.wmem_max allows. Twice that, which is usual, is room for more than 100 000 descriptors.
const ROOM: usize = 64 << 20;
/// How long PID 1 may take to read what it was sent.
const PATIENCE: Duration = Duration::from_secs(5);
/// The numbers that the descriptors had, in the order in which they are sent: a note of the state.
const NUMBERS: u16 = 5;

/// Gives the loop to the supervisor, with all of its descriptors, which stay open here as well.
///
/// # Errors
/// There is no supervisor, it does not read, or there is no room for so many.
pub(crate) fn keep(notifier: &Notifier, mut state: State) -> io::Result<()> {
    if !notifier.is_heard() {
        return Err(io::Error::new(
            ErrorKind::NotConnected,
            "there is no supervisor that could keep them (NOTIFY_SOCKET)",
        ));
    }
    let numbers: Vec<u8> = state.sockets().iter().flat_map(|number| number.to_le_bytes()).collect();
    state.note(NUMBERS, &numbers)?;
    let file = upgrade::in_memory(&state)?;
    let (writer, reader) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    let _ = writer.set_send_buffer_size(ROOM);
    send(&writer, &[0], &[file.as_fd()])?;
    for numbers in state.sockets().chunks(A_MESSAGE) {
        inherited::lend(numbers, |descriptors| send(&writer, &[0], descriptors))?;
    }
    let lines = format!("FDSTORE=1\nFDNAME={STORED}\nFDPOLL=0\n");
    notifier.send(&lines, &[reader.as_fd()], PATIENCE)?;
    drop(reader);
    let kept = wait_until_read(notifier).and_then(|()| match is_held(&writer)? {
        true => Ok(()),
        false => Err(io::Error::other("the supervisor has not taken them (FileDescriptorStoreMax= must be 1 or more)")),
    });
    if kept.is_err() {
        // It may take them later.
        forget(notifier);
    }
    kept
}

/// Somebody has the other end.
fn is_held(socket: &Socket) -> io::Result<bool> {
    let mut asked = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(!asked[0].revents().contains(PollFlags::HUP))
}

/// What the program before has left with the supervisor, if it has. The descriptors are ours then, and nobody else has them.
///
/// # Errors
/// A sentence: it cannot be used. Those peers are closed.
pub(crate) fn take(passed: &mut Passed, notifier: &Notifier) -> Result<Option<State>, String> {
    // If there are several, somebody has stored again what was not taken back: the latest comes first.
    let Some(stored) = std::mem::take(&mut passed.stored).into_iter().next() else { return Ok(None) };
    let received = receive(&stored);
    drop(stored);
    forget(notifier);
    let state = received.map_err(Into::into).and_then(put_together);
    state.map(Some).map_err(|because| format!("the peers that the supervisor has kept are lost: {because}"))
}

/// The state that was in flight with its sockets.
fn put_together(mut received: Vec<OwnedFd>) -> Result<State, Box<dyn Error>> {
    if received.is_empty() {
        return Err("a start before this one has taken them, and has ended".into());
    }
    let file = received.remove(0);
    let state = State::inherited(upgrade::read(&File::from(file))?)?;
    let numbers = state.noted(NUMBERS).unwrap_or_default().chunks_exact(4);
    let numbers = numbers.map(|number| RawFd::from_le_bytes(number.try_into().unwrap_or_default()));
    let sockets = numbers.zip(received).collect();
    Ok(State::sent(state.bytes().to_vec(), sockets)?)
}

/// The supervisor need not keep anything any more. It knows that when this returns: a program that ends now may not be heard.
fn forget(notifier: &Notifier) {
    let lines = format!("FDSTOREREMOVE=1\nFDNAME={STORED}\n");
    if let Err(error) = notifier.send(&lines, &[], PATIENCE).and_then(|()| wait_until_read(notifier)) {
        crate::told::warn!("the supervisor was not told to forget the peers that it had kept: {error}");
    }
}

/// All descriptors that are in flight, in their order.
fn receive(socket: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = Vec::new();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(A_MESSAGE))];
    loop {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = recvmsg(socket, &mut [io::IoSliceMut::new(&mut byte)], &mut control, flags)?;
        if message.bytes == 0 {
            return Ok(sockets);
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                sockets.extend(descriptors);
            }
        }
        if message.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
            return Err(io::Error::other("more descriptors are kept than this process may have (LimitNOFILE=)"));
        }
    }
}

/// The supervisor closes its end of a pipe when it has read all that was sent before.
fn wait_until_read(notifier: &Notifier) -> io::Result<()> {
    if !notifier.is_heard() {
        return Ok(());
    }
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    notifier.send("BARRIER=1", &[theirs.as_fd()], PATIENCE)?;
    drop(theirs);
    let within = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    match poll(&mut [PollFd::new(&ours, PollFlags::IN)], Some(&within))? {
        0 => Err(io::Error::new(ErrorKind::TimedOut, "the supervisor does not read what it is told")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_come_out_in_the_order_in_which_they_went_in() {
        let (writer, reader) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        writer.set_send_buffer_size(ROOM).unwrap();
        let files: Vec<_> = (0..600).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for some in files.chunks(A_MESSAGE) {
            let some: Vec<_> = some.iter().map(AsFd::as_fd).collect();
            send(&writer, &[0], &some).unwrap();
        }
        let port = |socket: &std::net::UdpSocket| socket.local_addr().unwrap().port();
        let sent: Vec<_> = files.iter().map(port).collect();
        drop((writer, files));
        let received = receive(&reader.into()).unwrap();
        let received: Vec<_> = received.into_iter().map(|socket| port(&socket.into())).collect();
        assert_eq!(received, sent);
    }

    #[test]
    fn what_was_taken_back_before_is_said_and_forgotten() {
        let mut passed = Passed::default();
        let nobody = Notifier::default();
        assert!(take(&mut passed, &nobody).unwrap().is_none());
        passed.stored.push(Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap().0.into());
        let said = take(&mut passed, &nobody).unwrap_err();
        assert!(said.contains("are lost: a start before this one has taken them"), "{said}");
        let (writer, reader) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        send(&writer, &[0], &[writer.as_fd()]).unwrap();
        drop(writer);
        passed.stored.push(reader.into());
        assert!(take(&mut passed, &nobody).is_err(), "it is no file");
    }

    #[test]
    fn a_supervisor_that_has_closed_the_socket_holds_nothing() {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        assert!(is_held(&ours).unwrap());
        drop(theirs);
        assert!(!is_held(&ours).unwrap());
    }
}
