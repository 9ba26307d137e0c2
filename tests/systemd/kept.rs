//! Peers that a supervisor keeps over a restart, and what becomes of them if it does not, or if they are of no use.

use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair,
};

use crate::Trials;
use crate::common::{Server, connect, exchange};
use crate::passed::with;
use crate::supervisor::Supervisor;

pub const TRIALS: Trials = &[
    ("a_supervisor_that_takes_nobody_has_the_server_stop_in_order", not_taken),
    ("what_was_kept_and_is_of_no_use_is_said_and_forgotten", useless),
    ("what_was_kept_and_is_gone_is_said_and_forgotten", gone),
];

/// The test itself takes no descriptors: they are closed when the message is read.
fn not_taken() {
    let supervisor = Supervisor::at_a_path();
    let mut command = Server::command(&["--keep-peers-over-restart", "--max-output", "8M"]);
    command.env("NOTIFY_SOCKET", &supervisor.name);
    let mut server = Server::start_with(command);
    supervisor.expects("READY=1\n");
    let mut peer = server.connect();
    exchange(&mut peer);
    // Output waits.
    let sent = vec![b'x'; 1 << 20];
    let mut writer = peer.try_clone().unwrap();
    writer.write_all(&sent).unwrap();
    server.signal("TERM");
    for told in ["FDSTORE=1\n", "BARRIER=1", "FDSTOREREMOVE=1\n", "BARRIER=1", "STOPPING=1\n"] {
        supervisor.expects(told);
    }
    server.wait_for("the peers are not kept: the supervisor has not taken them");
    let mut got = Vec::new();
    peer.read_to_end(&mut got).expect("it is closed in order");
    assert!(got.iter().all(|byte| *byte == b'x') && !got.is_empty());
    supervisor.expects("STATUS=stopped: 0 connected");
    drop((peer, writer));
    assert!(server.wait().success());
}

/// A start with something in flight that the supervisor has kept, among it the listener of the same address.
fn start_with(sent: &[&[u8]], because: &str) {
    let flags = SocketFlags::CLOEXEC;
    let (writer, reader) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for bytes in sent {
        let name = crate::supervisor::path("state");
        std::fs::write(&name, bytes).unwrap();
        let file = std::fs::File::open(&name).unwrap();
        std::fs::remove_file(&name).unwrap();
        let descriptors = [file.as_fd(), listener.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&writer, &[IoSlice::new(&[0])], &mut control, SendFlags::empty()).unwrap();
    }
    drop((writer, listener));
    starts(reader, address, because);
}

fn starts(kept: OwnedFd, address: SocketAddr, because: &str) {
    let supervisor = Supervisor::at_a_path();
    let mut command = with(kept, None, "stillthere-peers", "$$", &[&address.to_string()]);
    command.env("NOTIFY_SOCKET", &supervisor.name);
    let told = thread::spawn(move || {
        supervisor.expects("FDSTOREREMOVE=1\nFDNAME=stillthere-peers\n");
        supervisor.expects("BARRIER=1");
        supervisor.expects("READY=1\n");
        supervisor.hears_within(Duration::from_millis(300))
    });
    // Its standard input is what is passed on.
    let server = Server::start_as_it_is(command);
    let log = server.told();
    assert!(log.contains("the peers that the supervisor has kept are lost: ") && log.contains(because), "{log}");
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    exchange(&mut connect(address));
    assert_eq!(told.join().unwrap(), None);
}

fn useless() {
    start_with(&[b"no state"], "is not the state of a server");
    // The next release, say: the magic number, and another version.
    start_with(&[b"stillthr\x09\x00"], "has version 9");
    // Its records cannot be read, which is seen late.
    start_with(&[b"stillthr\x01\x00\x01\x00\x04\x00\x00\x00\xff\xff\xff\xff"], "is not the state of a server");
}

fn gone() {
    start_with(&[], "a start before this one has taken them");
}
