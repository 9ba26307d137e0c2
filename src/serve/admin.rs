//! The admin port: from settings to a listening socket, and the advice if it cannot be opened.
//!
//! Owns where it may listen: a loopback address, a unix socket, or anywhere with a token. Knows nothing of what it answers.

use std::fs::{self, Metadata};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::admin_place::AdminPlace;
use crate::keepalive::Keepalive;
use crate::observe::admin::{self, About, Admin, Hosts, LeftOut, Token};
use crate::place::Place;
use crate::reactor::{Listen, Listening, Reactor};
#[cfg(feature = "upgrade")]
use crate::serve::upgrading;
use crate::serve::{Passed, ServeSettings};
#[cfg(feature = "notify")]
use crate::supervision::activation::At;
#[cfg(feature = "upgrade")]
use crate::upgrade::Refusal;

/// Who may use a unix socket: its owner and its group.
const MODE: u32 = 0o660;

/// The settings of the admin port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminSettings {
    /// `None`: there is to be none.
    pub place: Option<AdminPlace>,
    pub token_file: Option<PathBuf>,
}

impl AdminSettings {
    /// Checks what can be checked without asking the machine.
    ///
    /// # Errors
    /// Other machines would reach it without a token.
    pub fn check(&self) -> Result<(), String> {
        match &self.place {
            Some(AdminPlace::Tcp(Place::Address(address))) => self.check_address(*address),
            _ => Ok(()),
        }
    }

    fn check_address(&self, address: SocketAddr) -> Result<(), String> {
        if address.ip().to_canonical().is_loopback() || self.token_file.is_some() {
            return Ok(());
        }
        let port = address.port();
        Err(format!(
            "other machines reach this address, so --admin-token-file FILE is needed, too; 127.0.0.1:{port} is for this \
             machine alone"
        ))
    }
}

/// The admin port is open; its socket file is removed with this.
#[derive(Debug)]
pub(super) struct Opened {
    file: Option<(PathBuf, u64)>,
}

impl Opened {
    /// The file, and its inode, if it is one that we have made.
    #[cfg(feature = "upgrade")]
    pub(super) fn file(&self) -> Option<&(PathBuf, u64)> {
        self.file.as_ref()
    }

    /// The next program listens there.
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    pub(super) fn outlive(&mut self) {
        self.file = None;
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let Some((path, inode)) = &self.file else { return };
        // Another server may have its socket there by now.
        if fs::symlink_metadata(path).is_ok_and(|file| file.ino() == *inode) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Opens the admin port, if there is to be one, and logs where it is.
pub(super) fn open(
    reactor: &mut Reactor,
    settings: &ServeSettings,
    bound: &[Listening],
    left_out: LeftOut,
    passed: &mut Passed,
    #[cfg(feature = "upgrade")] refusal: Refusal,
) -> Result<Option<Opened>, String> {
    let admin = &settings.admin;
    #[cfg(feature = "upgrade")]
    if let Some(file) = upgrading::admin_socket(reactor).filter(|_| !reactor.is_rehearsal()) {
        if !matches!(&admin.place, Some(AdminPlace::Unix(path)) if *path == file.0) {
            drop(Opened { file: Some(file) }); // nobody listens there any more
        }
    }
    let Some(place) = &admin.place else { return Ok(None) };
    let (token, warning) = match &admin.token_file {
        Some(file) => Token::read(file).map(|(token, warning)| (Some(token), warning))?,
        None => (None, None),
    };
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    let about = about(
        settings,
        bound,
        left_out,
        #[cfg(feature = "upgrade")]
        refusal,
    );
    let opened = match place {
        AdminPlace::Tcp(place) => listen_on(reactor, admin, place, token, about, passed)?,
        AdminPlace::Unix(path) => listen_at(reactor, path, token, about, passed)?,
    };
    Ok(Some(opened))
}

fn listen_on(
    reactor: &mut Reactor,
    admin: &AdminSettings,
    place: &Place,
    token: Option<Token>,
    about: About,
    passed: &mut Passed,
) -> Result<Opened, String> {
    let addresses = place.addresses()?;
    // Of a name's addresses, the one that most clients try first or at all.
    let Some(address) = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied() else {
        return Err(format!("--admin {place}: the name has no address"));
    };
    admin.check_address(address).map_err(|because| format!("--admin {place}: {because}"))?;
    let name = match place {
        Place::Name { host, .. } => Some(host.clone()),
        Place::Address(_) => None,
    };
    let hosts = if address.ip().to_canonical().is_loopback() { Hosts::Loopback(name) } else { Hosts::Addresses(name) };
    let listen = passed_on(Listen::on(address).keepalive(keepalive()), passed, &address);
    let listening = listen_apart(reactor, listen, hosts, token, about).map_err(|error| {
        let advice = if error.kind() == io::ErrorKind::AddrInUse {
            format!("; another socket has this address: `ss -ltnp sport = :{}` shows whose", address.port())
        } else {
            String::new()
        };
        format!("the admin port cannot listen on {address}: {error}{advice}")
    })?;
    info!("admin port on http://{}/", listening.address);
    Ok(Opened { file: None })
}

fn listen_at(
    reactor: &mut Reactor,
    path: &Path,
    token: Option<Token>,
    about: About,
    passed: &mut Passed,
) -> Result<Opened, String> {
    let told = path.display();
    let listen = passed_on(Listen::at_path(path, MODE), passed, path);
    #[cfg(feature = "upgrade")]
    let is_ours = reactor.inherits(&listen.clone().apart(1));
    #[cfg(not(feature = "upgrade"))]
    let is_ours = false;
    let is_of_another = is_of_another(passed, path);
    if !is_ours && !is_of_another {
        remove_stale(path).map_err(|because| format!("--admin unix:{told}: {because}"))?;
    }
    listen_apart(reactor, listen, Hosts::Any, token, about)
        .map_err(|error| format!("the admin port cannot listen on unix:{told}: {error}"))?;
    let there = fs::symlink_metadata(path).ok().as_ref().map(Metadata::ino);
    // An inherited listener outlives its file, and somebody else may have made one there. While it is open, no other file has
    // its inode.
    #[cfg(feature = "upgrade")]
    let inode = upgrading::admin_socket(reactor).filter(|(made, _)| made == path).map(|(_, inode)| inode).or(there);
    #[cfg(not(feature = "upgrade"))]
    let inode = there;
    if there.is_some() && there == inode {
        info!("admin port on unix:{told}");
    } else {
        warn!("--admin unix:{told}: the socket was removed, and nobody reaches it; a new start makes it anew");
    }
    if is_of_another {
        return Ok(Opened { file: None });
    }
    // A rehearsal ends, and the socket is that of the server that goes on.
    #[cfg(feature = "upgrade")]
    let inode = inode.filter(|_| !reactor.is_rehearsal());
    Ok(Opened { file: inode.map(|inode| (path.to_path_buf(), inode)) })
}

/// With the listener that a supervisor has opened there, if it has.
#[cfg(feature = "notify")]
fn passed_on(listen: Listen, passed: &mut Passed, at: impl Into<At>) -> Listen {
    match passed.take(&at.into(), true) {
        Some(listener) => listen.inherited(listener),
        None => listen,
    }
}

#[cfg(not(feature = "notify"))]
fn passed_on<T: ?Sized>(listen: Listen, _: &mut Passed, _: &T) -> Listen {
    listen
}

/// The socket's file belongs to a supervisor.
#[cfg(feature = "notify")]
fn is_of_another(passed: &Passed, path: &Path) -> bool {
    passed.is_of_the_supervisor(&path.into())
}

#[cfg(not(feature = "notify"))]
fn is_of_another(_: &Passed, _: &Path) -> bool {
    false
}

/// Removes the socket file of a server that has ended without doing so itself.
fn remove_stale(path: &Path) -> Result<(), String> {
    let Ok(file) = fs::symlink_metadata(path) else { return Ok(()) };
    if !file.file_type().is_socket() {
        return Err("there is a file of another kind; it is not removed".to_string());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err("another server listens there; stop it, or choose another path".to_string()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|error| format!("the socket of a server that has ended cannot be removed: {error}")),
        Err(error) => Err(format!("there is a socket, and it is not known whether somebody listens on it: {error}")),
    }
}

fn listen_apart(
    reactor: &mut Reactor,
    listen: Listen,
    hosts: Hosts,
    token: Option<Token>,
    about: About,
) -> io::Result<Listening> {
    let listen = listen.apart(admin::MOST_CLIENTS).limits(admin::limits()?);
    let admin = Admin::new(hosts, token, about);
    #[cfg(feature = "upgrade")]
    if let Some((now, happened)) = reactor.goes_on_at() {
        let listening = reactor.listen(listen, admin.that_expects_followers(now, happened))?;
        reactor.tell_news_to(listening.port);
        return Ok(listening);
    }
    reactor.listen(listen, admin)
}

/// The keepalive of the admin port's own clients: one that is gone must not hold its place for long.
fn keepalive() -> Keepalive {
    Keepalive::with_deadline(Duration::from_secs(30)).unwrap_or_default()
}

fn about(
    settings: &ServeSettings,
    bound: &[Listening],
    left_out: LeftOut,
    #[cfg(feature = "upgrade")] refusal: Refusal,
) -> About {
    let keepalive = bound.first().map_or(&settings.keepalive, |listening| &listening.keepalive);
    About {
        deadline: settings.keepalive.deadline(),
        latest: keepalive.latest().unwrap_or(settings.keepalive.deadline()),
        idle: keepalive.idle(),
        interval: keepalive.interval(),
        listen: bound.iter().map(|listening| listening.address).collect(),
        left_out,
        #[cfg(feature = "upgrade")]
        refusal,
    }
}
