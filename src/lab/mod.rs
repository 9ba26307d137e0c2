//! The fault lab: breaks a connection in a known state, shows the packets, and measures when the server drops the peer.
//!
//! Everything that is observed is entered in a [`timeline::Timeline`], and every report is made from one.
//!
//! ```text
//!  scene ─▶ expectation ───────────────────────────────────────────────▶ verdict
//!    │                                                                      ▲
//!    ▼                          namespaces, network                         │
//!  play ──▶ peer (client) ◀──── router, and the fault ────▶ server ──▶ measure, log
//!                                                            │              │
//!                                                            ▼              ▼
//!                                      capture ──frames──▶ decode ──▶ diary ─▶ timeline
//!                                                                           │
//!                                terminal, pcapng, figure, report ◀─────────┘
//! ```

use std::io::{self, Write};
use std::net::SocketAddr;
use std::panic;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::keepalive::{Keepalive, TimerWheel};
use crate::lab::cast::language::Language;
use crate::lab::cast::program::File;
use crate::lab::cast::{client, preset, program, textbook};
use crate::lab::play::scene::Scene;
use crate::lab::stage::interrupt::Interrupt;
use crate::lab::stage::network::Family;
use crate::lab::stage::{namespaces, privilege};
use crate::speak::Speak;

pub mod cast;
mod compare;
pub mod ears;
mod list;
mod matrix;
pub mod play;
mod run;
pub mod show;
pub mod stage;
pub mod timeline;

/// What is printed after Ctrl-C.
const INTERRUPTED: &str = "interrupted; the networks and servers of this lab are removed";

/// What the lab is to do.
#[derive(Clone, Debug)]
pub enum Task {
    List,
    Run(SceneRun),
    Matrix(MatrixRun),
    /// Compare the results of several places, one directory each.
    Compare(Vec<PathBuf>),
    /// The scripted peer, which the lab starts for itself.
    Client {
        server: SocketAddr,
        speak: Speak,
        language: Language,
        keepalive: u16,
    },
    /// The textbook's server, which the lab starts for itself.
    Textbook {
        address: SocketAddr,
        keepalive: Keepalive,
    },
}

impl Task {
    /// A process that the lab starts for itself, many times in a run: warnings for a person were printed by the first one.
    pub fn is_of_a_scene(&self) -> bool {
        matches!(self, Self::Client { .. } | Self::Textbook { .. })
    }
}

/// Which server is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    Ours,
    Textbook,
    /// One of [`preset::PRESETS`], by its name.
    Preset(&'static str),
    OtherServer(OtherServer),
}

/// Any server, by the line that starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherServer {
    pub line: String,
    /// Its name in reports; by default that of its program.
    pub name: Option<String>,
    pub speak: Speak,
    pub language: Language,
    pub files: Vec<File>,
}

/// What all scenes have in common.
#[derive(Clone, Debug)]
pub struct LabSettings {
    pub keepalive: Keepalive,
    /// The same, as options of `serve`.
    pub options: Vec<String>,
    pub wheel: TimerWheel,
    /// How long a dead peer is watched if the server keeps it.
    pub cap: Duration,
    /// How long a living peer is watched.
    pub keep: Duration,
    /// How long a server may take until it listens.
    pub start_patience: Duration,
    pub family: Family,
}

/// `stillthere lab run`.
#[derive(Clone, Debug)]
pub struct SceneRun {
    pub scene: Scene,
    pub whose: Whose,
    pub settings: LabSettings,
    pub pcap: Option<PathBuf>,
    pub svg: Option<PathBuf>,
}

/// `stillthere lab matrix`.
#[derive(Clone, Debug)]
pub struct MatrixRun {
    pub scenes: Vec<Scene>,
    pub whose: Vec<Whose>,
    pub settings: LabSettings,
    pub jobs: usize,
    /// How many of them may set up, or clear away, at a time.
    pub at_once: usize,
    pub json: Option<PathBuf>,
    pub html: Option<PathBuf>,
    pub markdown: Option<PathBuf>,
}

/// Whether the result is what was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    Kept,
    Broken,
    /// The reader of the timeline (a pipe) closed before the end, and the scene was given up.
    Unseen,
}

/// Carries out a task.
///
/// # Errors
/// A sentence: what could not be done, why, and what to do about it.
pub fn obey(command: &Task) -> Result<Promise, String> {
    match command {
        Task::List => list::print()?,
        Task::Run(run) => return run::run(run, &enter()?),
        Task::Matrix(matrix) => return matrix::run(matrix, &enter()?),
        Task::Compare(directories) => compare::print(directories)?,
        Task::Client { server, speak, language, keepalive } => {
            client::run(*server, *speak, language.clone(), *keepalive);
        }
        Task::Textbook { address, keepalive } => {
            textbook::run(*address, keepalive).map_err(|error| format!("cannot listen on {address}: {error}"))?;
        }
    }
    Ok(Promise::Kept)
}

/// What the settings become on a kernel that does not support all of them. They are set on an unused socket to find out, so
/// that the prediction is for the settings that a server really gets.
pub fn on_this_kernel(mut keepalive: Keepalive) -> Keepalive {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
    // If no socket can be made for this, the server will report it.
    let _ = socket.map(|socket| keepalive.apply(&SockRef::from(&socket)));
    keepalive
}

/// Obtains the privilege to create network namespaces, and removes those that killed labs left behind.
fn enter() -> Result<Interrupt, String> {
    privilege::obtain()?;
    for what in namespaces::sweep() {
        // Its reader may be gone.
        let _ = writeln!(io::stderr(), "removed what a killed lab had left behind: {what}");
    }
    let interrupt = Interrupt::listen().map_err(|error| format!("cannot install signal handlers: {error}"))?;
    // With panic=abort no destructor runs, so the hook cleans up. The other jobs end as with Ctrl-C.
    let (usual, others) = (panic::take_hook(), interrupt.clone());
    panic::set_hook(Box::new(move |info| {
        usual(info);
        others.ask();
        namespaces::remove_ours();
        std::process::exit(101);
    }));
    Ok(interrupt)
}

impl Whose {
    /// The program, with the settings.
    ///
    /// # Errors
    /// A sentence: it is not installed.
    fn program(&self, settings: &LabSettings) -> Result<program::Program, String> {
        use crate::lab::cast::program::Program;
        match self {
            Self::Ours => Ok(Program::ours(&settings.options)),
            Self::Textbook => Ok(Program::textbook()),
            Self::OtherServer(OtherServer { line, name, speak, language, files }) => {
                let name = name.as_deref().unwrap_or_else(|| program::name_of(line));
                let program = Program::of_line(name, line.clone(), *speak);
                Ok(Program { language: language.clone(), files: files.clone(), ..program })
            }
            Self::Preset(name) => match preset::PRESETS.iter().find(|preset| preset.name == *name) {
                Some(preset) => preset.program(&settings.keepalive),
                None => Err(format!("{name} is no preset")),
            },
        }
    }
}
