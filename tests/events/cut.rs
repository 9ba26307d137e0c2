//! Cut cables: what is told of a dead peer, and that a dead collector is noticed.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::common::{PATIENCE, Server, exchange};
use crate::netns::{Cut, Network};
use crate::story::{Directory, Story, read_rest, read_until};

fn network() -> Network {
    Network::new().unwrap_or_else(|missing| panic!("no network: {missing}"))
}

fn at_the_client(network: &Network, address: SocketAddr) -> std::net::TcpStream {
    let connect = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        io::Result::Ok(std::net::TcpStream::from(socket))
    };
    network.at_the_client(connect).expect("the server accepts")
}

pub fn peers() {
    let (network, directory) = (network(), Directory::new());
    let address = format!("{}:7000", network.server());
    let file = directory.path("events");
    let command = Server::command(&[&address, "--deadline", "5s", "--events", &file]);
    let mut server = Server::start_with(network.on_server(&command));
    let mut idle = at_the_client(&network, server.address());
    exchange(&mut idle);
    let mut busy = at_the_client(&network, server.address());
    exchange(&mut busy);
    sleep(Duration::from_millis(300));
    // The answer to the busy one goes out after the cut.
    server.signal("STOP");
    busy.write_all(&[7; 3000]).unwrap();
    sleep(Duration::from_millis(300));
    network.cut(Cut::BlackHole);
    server.signal("CONT");
    server.wait_for(" departed: ");
    server.wait_for(" departed: ");
    let story = Story::whole(&directory.wait_for("events", "\"probes_unanswered\""));
    let story = if story.count("departure") == 2 {
        story
    } else {
        Story::whole(&directory.wait_for("events", "\"data_unacknowledged\""))
    };
    let of = |peer: &std::net::TcpStream| {
        let here = peer.local_addr().unwrap().to_string();
        let told = story.all("departure").find(|event| event["peer"] == json!(here));
        told.unwrap_or_else(|| panic!("{here} in {:#?}", story.0)).clone()
    };
    let (idle, busy) = (of(&idle), of(&busy));
    println!("idle: {idle}\nbusy: {busy}");
    for (told, reason, unacknowledged) in [(&idle, "probes_unanswered", 0), (&busy, "data_unacknowledged", 3000)] {
        assert_eq!((&told["reason"], &told["errno"]), (&json!(reason), &json!("ETIMEDOUT")), "{told}");
        assert_eq!(told["bytes_unacknowledged"], json!(unacknowledged), "{told}");
        let silent = told["silent_ms"].as_u64().unwrap();
        assert!((4900..8000).contains(&silent), "{told}");
        assert!(told["connected_ms"].as_u64().unwrap() + 20 >= silent, "ticks apart: {told}");
    }
    assert_eq!((&busy["bytes_in"], &busy["bytes_out"]), (&json!(3005), &json!(3005)));
    // On a busy machine the idle one's answer may have been sent twice, before the cut.
    let [idle, busy] = [idle, busy].map(|told| told["retransmissions"].as_u64().unwrap());
    assert!(busy > idle, "{busy} and {idle}");
}

/// The collector is the one whose cable is cut: while nothing happens, and with lines on their way. What it has not
/// acknowledged goes to the one that takes its place.
pub fn collector() {
    let network = network();
    let listener = network.at_the_client(|| TcpListener::bind(SocketAddr::new(network.client(), 5170))).unwrap();
    let place = listener.local_addr().unwrap();
    let address = format!("{}:7000", network.server());
    let command = Server::command(&[&address, "--deadline", "3s", "--events", &format!("tcp:{place}")]);
    let mut server = Server::start_with(network.on_server(&command));
    let (mut reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let visit = |server: &Server| exchange(&mut at_the_client(&network, server.addresses[0]));
    let lines = |count: usize| move |text: &str| text.ends_with('\n') && text.lines().count() >= count;
    visit(&server);
    let mut text = read_until(&mut reader, lines(3));
    sleep(Duration::from_secs(1));
    for is_busy in [false, true] {
        if is_busy {
            // A peer comes and goes while the server is stopped: it tells of that after the cut.
            server.signal("STOP");
            drop(at_the_client(&network, server.addresses[0]));
            sleep(Duration::from_millis(200));
        }
        network.cut(Cut::BlackHole);
        let began = Instant::now();
        server.signal("CONT");
        let (_, told) = server.wait_for("events to tcp:");
        let took = began.elapsed();
        println!("a dead collector was noticed after {took:?}: {told}");
        assert!(told.contains("timed out"), "{told}");
        assert!(took >= Duration::from_millis(1500) && took < Duration::from_secs(6), "{took:?}");
        network.mend();
        (reader, _) = listener.accept().unwrap();
        reader.set_read_timeout(Some(PATIENCE)).unwrap();
        if !is_busy {
            visit(&server);
        }
        text += &read_until(&mut reader, lines(2));
        sleep(Duration::from_secs(1));
    }
    server.signal("TERM");
    text += &read_rest(&mut reader);
    server.wait();
    let story = Story::whole(&text);
    assert_eq!((story.count("departure"), story.count("stop")), (3, 1));
}
