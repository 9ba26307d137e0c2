//! Listens to a server, and comes back to it after it has gone; asks it about one peer meanwhile.
//!
//! Owns the threads that do that, so that none waits for another nor for the terminal. What they hear goes through a bounded channel:
//! if it is full the stream waits in the kernel, and the server leaves out what does not fit.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::ask::Server;
use crate::ask::client::{Client, Events};
use crate::ask::peer::Peer;
use crate::ask::story::story;
use crate::ask::top::told::Told;
use crate::ask::trouble::Trouble;

/// What is listened to.
pub(super) const PATH: &str = "/watch";
/// The first pause before it is tried again. Each is twice the one before.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(8);

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Update {
    Told(Told),
    /// The server has gone; it is tried again after this time.
    Away {
        sentence: String,
        pause: Duration,
    },
    Story {
        id: String,
        lines: Result<Vec<String>, String>,
    },
    Dropped {
        id: String,
        result: Result<(), String>,
    },
}

/// What a thread does. Boxed, so that there is one spawn in the binary.
type Errand = Box<dyn FnOnce(&Server, &Teller) + Send>;

/// Whom to ask.
#[derive(Debug)]
pub(super) struct Watch {
    server: Server,
    teller: Teller,
}

impl Watch {
    /// Listens to `events`, and later ones. For each update the bell is rung.
    pub(super) fn start(server: &Server, events: Events, bell: UnixStream) -> Result<(Self, Receiver<Update>), String> {
        let (updates, received) = sync_channel(64);
        let watch = Self { server: server.clone(), teller: Teller { updates, bell } };
        watch.beside(Box::new(move |server, teller| watch_on(server, events, teller)))?;
        Ok((watch, received))
    }

    /// Asks for the story of a peer.
    pub(super) fn ask_story(&self, id: String) -> Result<(), String> {
        self.beside(Box::new(move |server, teller| {
            let lines = Client::new(server).and_then(|mut client| {
                let value = client.get(&format!("/peers/{id}")).map_err(|trouble| trouble.to_string())?;
                Peer::of(&value).map(story).ok_or_else(|| client.strange("\"id\" and \"peer\"").to_string())
            });
            teller.tell(Update::Story { id, lines });
        }))
    }

    /// Has the server let a peer go.
    pub(super) fn ask_drop(&self, id: String) -> Result<(), String> {
        self.beside(Box::new(move |server, teller| {
            let result = Client::new(server).and_then(|mut client| {
                client.delete(&format!("/peers/{id}")).map(|_| ()).map_err(|trouble| trouble.to_string())
            });
            teller.tell(Update::Dropped { id, result });
        }))
    }

    /// Does it in a thread of its own. There are few: a story is asked for again when it was answered.
    fn beside(&self, errand: Errand) -> Result<(), String> {
        let (server, teller) = (self.server.clone(), self.teller.again()?);
        let started = thread::Builder::new().spawn(move || errand(&server, &teller));
        started.map(|_| ()).map_err(|error| format!("cannot start a thread: {error}"))
    }
}

/// Tells the loop, and wakes it.
#[derive(Debug)]
struct Teller {
    updates: SyncSender<Update>,
    bell: UnixStream,
}

impl Teller {
    fn again(&self) -> Result<Self, String> {
        let bell = self.bell.try_clone().map_err(|error| format!("no descriptor is left: {error}"))?;
        Ok(Self { updates: self.updates.clone(), bell })
    }

    /// Whether anybody listens still.
    fn tell(&self, update: Update) -> bool {
        let is_heard = self.updates.send(update).is_ok();
        let _ = (&self.bell).write(&[1]); // if it is full, it rings already
        is_heard
    }
}

fn watch_on(server: &Server, events: Events, teller: &Teller) {
    let (mut pause, mut heard) = (FIRST, Ok(events));
    loop {
        let trouble = match heard {
            Ok(events) => match listen(events, teller, &mut pause) {
                Some(trouble) => trouble,
                None => return,
            },
            Err(trouble) => trouble,
        };
        if !teller.tell(Update::Away { sentence: trouble.to_string(), pause }) {
            return;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
        heard = match Client::new(server) {
            Ok(client) => client.events(PATH),
            Err(sentence) => Err(Trouble::Refused(sentence)),
        };
    }
}

/// Until the stream ends: why. None if nobody listens any more.
fn listen(mut events: Events, teller: &Teller, pause: &mut Duration) -> Option<Trouble> {
    loop {
        let event = match events.next() {
            Ok(event) => event,
            Err(trouble) => return Some(trouble),
        };
        match Told::of(&event.name, &event.data) {
            Ok(Some(told)) => {
                *pause = FIRST; // it is well again
                if !teller.tell(Update::Told(told)) {
                    return None;
                }
            }
            Ok(None) => {}
            Err(missing) => return Some(events.strange(missing)),
        }
    }
}
