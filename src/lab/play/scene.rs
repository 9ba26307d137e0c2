//! Scenes: the state of a connection, and the fault that happens in it.
//!
//! Owns their names and a sentence for each. Does not know how they are produced.

use std::fmt;
use std::str::FromStr;

use crate::lab::stage::network::Between;

/// What the connection is doing when the fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    Idle,
    Exchanged,
    InFlight,
    BothInFlight,
    WindowShut,
    WindowShrunk,
    ReadingPaused,
    ReadingSlowly,
    HalfClosed,
    AcceptQueue,
}

impl State {
    pub const ALL: [Self; 10] = [
        Self::Idle,
        Self::Exchanged,
        Self::InFlight,
        Self::BothInFlight,
        Self::WindowShut,
        Self::WindowShrunk,
        Self::ReadingPaused,
        Self::ReadingSlowly,
        Self::HalfClosed,
        Self::AcceptQueue,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Exchanged => "exchanged",
            Self::InFlight => "in-flight",
            Self::BothInFlight => "both-in-flight",
            Self::WindowShut => "window-shut",
            Self::WindowShrunk => "window-shrunk",
            Self::ReadingPaused => "reading-paused",
            Self::ReadingSlowly => "reading-slowly",
            Self::HalfClosed => "half-closed",
            Self::AcceptQueue => "accept-queue",
        }
    }

    pub fn explanation(self) -> &'static str {
        match self {
            Self::Idle => "connected, and nothing was ever said",
            Self::Exchanged => "idle after a question and its answer",
            Self::InFlight => "the server has sent an answer, and its ACK is outstanding",
            Self::BothInFlight => "both have sent, and both wait for an ACK",
            Self::WindowShut => "the client stopped reading: its window is shut, and output waits",
            Self::WindowShrunk => "the client made its buffer smaller: its window is shut under data in flight",
            Self::ReadingPaused => "both send, neither reads: the server holds output and pauses reading",
            Self::ReadingSlowly => {
                "the client sends all the time and reads 8 KiB each 0.8 s: its window opens and shuts"
            }
            Self::HalfClosed => "the client has sent its FIN, and does not read what it is still owed",
            Self::AcceptQueue => "the server is busy elsewhere and has not accepted the connection yet",
        }
    }

    /// The server waits for the client to make room.
    pub fn has_shut_window(self) -> bool {
        matches!(
            self,
            Self::WindowShut | Self::WindowShrunk | Self::ReadingPaused | Self::ReadingSlowly | Self::HalfClosed
        )
    }

    /// The server sends its answer only after the fault.
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::InFlight | Self::BothInFlight)
    }
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    BlackHole,
    LinkDown,
    InDead,
    OutDead,
    HostUnreachable,
    AdminProhibited,
    ArpGone,
    NatForgot,
    QueueFull,
    Rebooted,
    Killed,
    Closed,
    HalfCloseThenCut,
    Reset,
    Frozen,
    Lossy10,
    Lossy30,
    Nothing,
}

impl Fault {
    pub const ALL: [Self; 18] = [
        Self::BlackHole,
        Self::LinkDown,
        Self::InDead,
        Self::OutDead,
        Self::HostUnreachable,
        Self::AdminProhibited,
        Self::ArpGone,
        Self::NatForgot,
        Self::QueueFull,
        Self::Rebooted,
        Self::Killed,
        Self::Closed,
        Self::HalfCloseThenCut,
        Self::Reset,
        Self::Frozen,
        Self::Lossy10,
        Self::Lossy30,
        Self::Nothing,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::BlackHole => "black-hole",
            Self::LinkDown => "link-down",
            Self::InDead => "in-dead",
            Self::OutDead => "out-dead",
            Self::HostUnreachable => "host-unreachable",
            Self::AdminProhibited => "admin-prohibited",
            Self::ArpGone => "arp-gone",
            Self::NatForgot => "nat-forgot",
            Self::QueueFull => "queue-full",
            Self::Rebooted => "rebooted",
            Self::Killed => "killed",
            Self::Closed => "closed",
            Self::HalfCloseThenCut => "half-close-then-cut",
            Self::Reset => "reset",
            Self::Frozen => "frozen",
            Self::Lossy10 => "lossy-10",
            Self::Lossy30 => "lossy-30",
            Self::Nothing => "none",
        }
    }

    pub fn explanation(self) -> &'static str {
        match self {
            Self::BlackHole => "a cable is cut somewhere: every packet is lost, and nobody is told",
            Self::LinkDown => "the server's own cable is pulled: its link has no carrier",
            Self::InDead => "only the way to the server is dead",
            Self::OutDead => "only the way to the client is dead",
            Self::HostUnreachable => "the client is gone, and a router says so: ICMP host unreachable",
            Self::AdminProhibited => "a firewall appears, and says so: ICMP administratively prohibited",
            Self::ArpGone => "a neighbour on the same network is gone: nobody answers ARP",
            Self::NatForgot => "a NAT forgot the connection and drops its packets; others still pass",
            Self::QueueFull => {
                "a cable is cut, and until well after the deadline the server's own transmit queue accepts no packet"
            }
            Self::Rebooted => "the client's machine restarted: its kernel answers RST",
            Self::Killed => "the client's process is killed; its kernel closes the connection (FIN or RST)",
            Self::Closed => "the client closes in an orderly way, having read what it was owed",
            Self::HalfCloseThenCut => "the client sends its FIN, and then the cable is cut",
            Self::Reset => "the client resets the connection",
            Self::Frozen => "the client's process is stopped; its kernel still answers",
            Self::Lossy10 => "the client lives, but of ten packets one is lost, either way",
            Self::Lossy30 => "the client lives, but of ten packets three are lost, either way",
            Self::Nothing => "nothing: the client lives and stays as it is",
        }
    }

    pub fn between(self) -> Between {
        if self == Self::ArpGone { Between::Switch } else { Between::Router }
    }

    /// Whether nothing more arrives from the client, or nothing that TCP accepts.
    pub fn is_silent(self) -> bool {
        use Fault::*;
        matches!(
            self,
            BlackHole | LinkDown | InDead | OutDead | HostUnreachable | AdminProhibited | ArpGone | NatForgot
        ) || self == QueueFull
    }

    /// How many of a hundred packets are lost.
    pub fn loss(self) -> Option<u32> {
        match self {
            Self::Lossy10 => Some(10),
            Self::Lossy30 => Some(30),
            _ => None,
        }
    }
}

/// `idle/black-hole`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scene {
    pub state: State,
    pub fault: Fault,
}

impl Scene {
    /// All scenes, including the impossible ones.
    pub fn all() -> impl Iterator<Item = Self> {
        State::ALL.into_iter().flat_map(|state| Fault::ALL.into_iter().map(move |fault| Self { state, fault }))
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.state.name(), self.fault.name())
    }
}

/// A name of no scene: which part of it is wrong, and the valid names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoScene {
    pub part: &'static str,
    pub given: String,
    pub names: Vec<&'static str>,
}

impl FromStr for Scene {
    type Err = NoScene;

    fn from_str(text: &str) -> Result<Self, NoScene> {
        let (state, fault) = text.split_once('/').unwrap_or((text, "black-hole"));
        let find = |part, given: &str, names: Vec<&'static str>| match names.iter().position(|name| *name == given) {
            Some(index) => Ok(index),
            None => Err(NoScene { part, given: given.to_string(), names }),
        };
        let state = State::ALL[find("state", state, State::ALL.map(State::name).to_vec())?];
        let fault = Fault::ALL[find("fault", fault, Fault::ALL.map(Fault::name).to_vec())?];
        Ok(Self { state, fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_is_found_by_its_name() {
        for scene in Scene::all() {
            assert_eq!(scene.to_string().parse(), Ok(scene));
        }
        assert_eq!(Scene::all().count(), 10 * 18);
        let cut = Scene { state: State::Idle, fault: Fault::BlackHole };
        assert_eq!("idle".parse(), Ok(cut));
        let missing = "idle/flood".parse::<Scene>().unwrap_err();
        assert_eq!((missing.part, missing.given.as_str()), ("fault", "flood"));
        assert_eq!("bored/none".parse::<Scene>().unwrap_err().part, "state");
    }
}
