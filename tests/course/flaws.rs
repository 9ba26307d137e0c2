//! What is wrong with each server of the course, and that the next one mends it.
//!
//! A test asks one question of two servers, and wants a yes from one and a no from the other.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::servers::*;

/// 1: one peer at a time.
pub fn the_second_peer_waits_for_the_first() {
    let is_served_beside_another = |example| {
        let server = Server::start(example);
        let (first, mut second) = (server.peer(), server.connect());
        let beside = is_answered(&mut second);
        drop(first);
        if !beside {
            assert!(
                comes(&mut second, b"hello\n"),
                "{example}: the second one is not even answered when the first has left"
            );
        }
        beside
    };
    assert!(!is_served_beside_another(ONE_AT_A_TIME));
    assert!(is_served_beside_another(A_THREAD_EACH));
}

/// 2: a thread each. What 5 000 of them cost is measured by `make threads`.
pub fn each_peer_costs_a_thread() {
    const PEERS: usize = 200;
    let threads = |example| {
        let server = Server::start(example);
        let peers: Vec<TcpStream> = (0..PEERS).map(|_| server.peer()).collect();
        let threads = server.status("Threads");
        drop(peers);
        threads
    };
    assert_eq!(threads(A_THREAD_EACH), 1 + PEERS as u64);
    assert_eq!(threads(ASKING_IN_TURN), 1);
}

/// 3: asking in turn.
pub fn a_processor_is_taken_for_nothing() {
    let enough = Duration::from_millis(300);
    let server = Server::start(ASKING_IN_TURN);
    let _peer = server.peer();
    let begin = server.processor_time();
    until("processor time taken for one idle peer", || server.processor_time() - begin >= enough);

    let server = Server::start(READINESS);
    let _peer = server.peer();
    sleep(NOT_ANSWERED); // it goes to sleep after its answer
    // It does not run at all: it would have gone to sleep again, and that is counted. A machine that is frozen for a moment wakes it, so it is
    // looked at several times.
    let figures = || (server.processor_time(), server.status("voluntary_ctxt_switches"));
    let rests = (0..4).any(|_| {
        let begin = figures();
        sleep(Duration::from_secs(2));
        figures() == begin
    });
    assert!(rests, "04 wakes for an idle peer");
}

/// 3: what a peer does not take at once. It is the same in 4; 5 keeps it for later.
pub fn a_peer_that_reads_late_is_let_go() {
    let is_given_all = |example| {
        let server = Server::start(example);
        let mut peer = server.peer();
        // More than the buffers of both kernels hold (tcp_wmem and tcp_rmem are 4 and 6 MiB at most, unless somebody has
        // set them), and read when all of it was sent.
        let sent = 16 << 20;
        let mut writer = peer.try_clone().expect("a descriptor");
        let writing = std::thread::spawn(move || writer.write_all(&vec![7; sent]).is_ok());
        sleep(NOT_ANSWERED);
        let count = received(&mut peer, sent).len();
        let _ = peer.shutdown(Shutdown::Both);
        writing.join().expect("no panic") && count == sent
    };
    assert!(!is_given_all(ASKING_IN_TURN));
    assert!(!is_given_all(READINESS));
    assert!(is_given_all(TO_THE_END));
}

/// 4: one call for each edge.
pub fn a_half_read_buffer_is_not_announced_again() {
    let answer = |example| {
        let server = Server::start(example);
        let mut peer = server.peer();
        peer.write_all(&[7; 3000]).expect("it is sent");
        let at_once = received(&mut peer, 3000).len();
        peer.write_all(&[8]).expect("it is sent"); // a new edge
        (at_once, received(&mut peer, 3001).len())
    };
    assert_eq!(answer(READINESS), (1024, 1024), "the second edge is for the rest of the first bytes");
    assert_eq!(answer(TO_THE_END), (3000, 1));
}

/// 5: no bound for what is owed.
pub fn a_peer_that_never_reads_eats_the_memory() {
    let grown = |example| {
        let server = Server::start(example);
        let mut peer = server.peer();
        let before = server.status("VmRSS");
        peer.set_nonblocking(true).expect("it can be set");
        let (piece, mut left, mut moved) = ([7; 64 * 1024], 48 << 20, Instant::now());
        while left > 0 && moved.elapsed() < NOT_ANSWERED {
            match peer.write(&piece) {
                Ok(count) => (left, moved) = (left - count.min(left), Instant::now()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(1)),
                Err(error) => panic!("{example}: {error}"),
            }
        }
        sleep(NOT_ANSWERED);
        server.status("VmRSS").saturating_sub(before)
    };
    let (without, with) = (grown(TO_THE_END), grown(A_SLAB));
    assert!(without > 24 << 10, "05 has kept only {without} KiB of 48 MiB");
    assert!(with < 1 << 10, "06 has kept {with} KiB");
}

/// 5: a peer that closes its end is still owed an answer.
pub fn who_has_closed_its_end_is_not_given_the_rest() {
    let is_given_all = |example| {
        let server = Server::start(example);
        let mut peer = server.peer();
        let sent = 16 << 20; // more than the kernels hold, as above
        let mut writer = peer.try_clone().expect("a descriptor");
        let writing = std::thread::spawn(move || {
            let _ = writer.write_all(&vec![7; sent]);
            let _ = writer.shutdown(Shutdown::Write);
        });
        sleep(NOT_ANSWERED);
        let count = received(&mut peer, sent).len();
        let _ = peer.shutdown(Shutdown::Both);
        writing.join().expect("no panic");
        count == sent
    };
    assert!(!is_given_all(TO_THE_END));
    assert!(is_given_all(A_SLAB));
}

/// Half a dozen are for the server itself.
const DESCRIPTORS: usize = 16;
const PEERS: usize = 8;

/// A server that has no descriptor left, or no place in the case of 06, and its peers in the order in which they came.
fn full(example: &str) -> (Server, Vec<TcpStream>) {
    if example == A_SLAB {
        let server = Server::start_with(example, &PEERS.to_string(), 1024);
        let peers = (0..PEERS).map(|_| server.peer()).collect();
        return (server, peers);
    }
    let server = Server::start_with(example, "", DESCRIPTORS);
    let mut peers = vec![server.peer()]; // once it is answered, the server has all that it opens for itself
    peers.extend((server.descriptors_below(DESCRIPTORS)..DESCRIPTORS).map(|_| server.peer()));
    (server, peers)
}

/// 5: an edge of the listener is used up by an `accept` that fails. 06 has a bound, so that it never does; 07 remembers the edge.
pub fn a_listener_is_deaf_after_emfile() {
    let is_accepted_when_there_is_room = |example| {
        let (server, mut peers) = full(example);
        let mut waits = server.connect();
        sleep(NOT_ANSWERED / 4); // it tries to accept
        drop(peers.pop());
        is_answered(&mut waits)
    };
    assert!(!is_accepted_when_there_is_room(TO_THE_END));
    assert!(is_accepted_when_there_is_room(A_SLAB));
    assert!(is_accepted_when_there_is_room(STILL_THERE));
}

/// 7 tries again, and does not spin meanwhile: `accept` takes a descriptor before it looks whether anybody waits, so it fails for as
/// long as none is free. (joyent/libuv#690)
pub fn nothing_spins_without_descriptors() {
    let (server, _peers) = full(STILL_THERE);
    let _waits = server.connect();
    sleep(NOT_ANSWERED);
    let begin = server.status("voluntary_ctxt_switches");
    sleep(2 * NOT_ANSWERED);
    let turns = server.status("voluntary_ctxt_switches") - begin;
    assert!((1..=5).contains(&turns), "{turns} turns in two seconds");
    assert!(server.processor_time() < Duration::from_millis(500), "{:?}", server.processor_time());
}

/// 6: somebody who is there is let go for somebody who comes.
pub fn a_living_peer_makes_room() {
    let all_stay = |example| {
        let (server, mut peers) = full(example);
        let _waits = server.connect();
        sleep(NOT_ANSWERED / 4);
        peers.iter_mut().all(is_answered)
    };
    assert!(!all_stay(A_SLAB));
    assert!(all_stay(STILL_THERE));
}

/// 6: slots are freed in the middle of a batch.
pub fn an_old_event_meets_a_newcomer() {
    let is_served = |example| {
        let (server, mut peers) = full(example);
        // While the server is stopped, events gather, in this order: somebody comes; the eldest is reset.
        server.signal("STOP");
        let mut newcomer = server.connect();
        let eldest = peers.remove(0);
        SockRef::from(&eldest).set_linger(Some(Duration::ZERO)).expect("it can be set");
        drop(eldest); // with this option, close(2) sends RST
        server.signal("CONT");
        let is_answered_now = is_answered(&mut newcomer);
        assert!(peers.iter_mut().all(is_answered), "{example}: the others have no part in this");
        if !is_answered_now {
            newcomer.set_nonblocking(true).expect("it can be set");
            let end = newcomer.read(&mut [0; 1]);
            let waits = matches!(&end, Err(error) if error.kind() == ErrorKind::WouldBlock);
            assert!(!waits, "{example}: the newcomer is not answered, but not thrown out either");
        }
        is_answered_now
    };
    assert!(!is_served(A_SLAB));
    assert!(is_served(STILL_THERE));
}

/// 7: it wakes for peers that do nothing. (The house does not: `tests/system_calls.rs` asserts it with 5 000 of them.)
pub fn it_wakes_for_idle_peers() {
    let server = Server::start(STILL_THERE);
    let _peer = server.peer();
    let begin = server.status("voluntary_ctxt_switches");
    until("07 wakes", || server.status("voluntary_ctxt_switches") >= begin + 2);
}
