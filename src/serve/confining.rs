//! `--user` and `--sandbox`: from settings to what the server may still do when everything is open.
//!
//! Owns what the running server still needs, and what is said if it will not have it. Once in a chain of programs: the next one inherits
//! both, and layers of Landlock stack (the 17th is refused), so what is in force is noted for it.

use std::env;
use std::fs;
use std::path::Path;

use log::Level;

#[cfg(feature = "admin")]
use crate::admin_place::AdminPlace;
use crate::confine::allowed::{Allowed, EXECUTE, LIST, MAKE, READ, REMOVE, WRITE};
use crate::confine::contents;
#[cfg(feature = "upgrade")]
use crate::confine::gifts::may_list;
use crate::confine::gifts::{give, may_change_folder_of, may_read};
use crate::confine::user::User;
#[cfg(feature = "events")]
use crate::observe::events::EventsTo;
use crate::place::Place;
use crate::reactor::Listening;
use crate::serve::{ServeSettings, tell};

/// What is in force in this process, for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InForce {
    /// The user, as it was given.
    user: Option<String>,
    sandbox: bool,
}

impl InForce {
    /// For the next program.
    #[cfg(feature = "upgrade")]
    pub(super) fn to_note(&self) -> Vec<u8> {
        let mut note = vec![u8::from(self.sandbox), u8::from(self.user.is_some())];
        note.extend_from_slice(self.user.as_deref().unwrap_or_default().as_bytes());
        note
    }

    /// What the program before has noted, as far as it holds for this process.
    #[cfg(feature = "upgrade")]
    pub(super) fn of_note(note: Option<&[u8]>) -> Self {
        Self::read(note).that_holds()
    }

    #[cfg(feature = "upgrade")]
    fn read(note: Option<&[u8]>) -> Self {
        let Some([sandbox, user, name @ ..]) = note else { return Self::default() };
        let user = (*user == 1).then(|| String::from_utf8_lossy(name).into_owned());
        Self { user, sandbox: *sandbox == 1 }
    }

    /// A note may come from another process (a service manager kept it over a restart): whoever is root has not become the user, and whoever
    /// may list the root folder is in no sandbox of ours.
    #[cfg(feature = "upgrade")]
    fn that_holds(self) -> Self {
        let user = self.user.filter(|_| !rustix::process::geteuid().is_root());
        Self { user, sandbox: self.sandbox && !may_list(Path::new("/")) }
    }

    /// Becomes the user and forbids the rest, unless that is in force already. `next` is where the next program will be.
    ///
    /// # Errors
    /// A sentence: it cannot be done, so nobody is to be served.
    pub(super) fn put_in_force(
        &mut self,
        settings: &ServeSettings,
        bound: &[Listening],
        next: Option<&Path>,
    ) -> Result<(), String> {
        match (&settings.user, &self.user) {
            (wanted, has) if wanted == has => {}
            (Some(name), None) => {
                become_user(name, settings).map_err(|because| format!("cannot run as --user {name}: {because}"))?;
                self.user = settings.user.clone();
            }
            (_, Some(has)) => tell(
                Level::Warn,
                format_args!("the server stays user {has}, which it has become: another --user wants a new start"),
            ),
            (None, None) => {}
        }
        if settings.sandbox && !self.sandbox {
            let allowed = allowed(settings, bound, next);
            let lacking = allowed.and_nothing_else().map_err(|because| format!("cannot keep --sandbox: {because}"))?;
            tell(Level::Info, format_args!("{allowed}"));
            for what in lacking {
                tell(Level::Warn, format_args!("--sandbox: this kernel cannot forbid {what}"));
            }
            self.sandbox = true;
        } else if self.sandbox && !settings.sandbox {
            tell(
                Level::Warn,
                format_args!("what --sandbox has forbidden stays forbidden until the server is started anew"),
            );
        }
        Ok(())
    }
}

/// Why there is no such user, for `--check`.
#[cfg(feature = "config")]
pub(super) fn no_user(settings: &ServeSettings) -> Option<String> {
    User::find(settings.user.as_deref()?).err()
}

fn become_user(name: &str, settings: &ServeSettings) -> Result<(), String> {
    let user = User::find(name)?;
    for path in [admin_socket(settings), events_file(settings)].into_iter().flatten() {
        // What cannot be given stays root's, which is said below.
        let _ = give(path, &user);
    }
    if user.become_for_good()? {
        tell(Level::Info, format_args!("runs as {user} from now on"));
    }
    for path in read_again(settings).filter(|path| path.exists() && !may_read(path)) {
        tell(
            Level::Warn,
            format_args!("{user} may not read {}: no upgrade will be possible, and no reload", path.display()),
        );
    }
    if let Some(path) = events_file(settings).filter(|path| !may_change_folder_of(path)) {
        tell(
            Level::Warn,
            format_args!("{user} may not make files in the folder of {}: SIGHUP will not open it anew", path.display()),
        );
    }
    if let Some(path) = admin_socket(settings).filter(|path| !may_change_folder_of(path)) {
        tell(
            Level::Info,
            format_args!("{user} may not remove {}: it stays behind, and the next start replaces it", path.display()),
        );
    }
    Ok(())
}

/// The socket in the file system that this start may have made.
fn admin_socket(settings: &ServeSettings) -> Option<&Path> {
    #[cfg(feature = "admin")]
    if let Some(AdminPlace::Unix(path)) = &settings.admin.place {
        return Some(path);
    }
    let _ = settings;
    None
}

/// The file that this start may have made.
fn events_file(settings: &ServeSettings) -> Option<&Path> {
    #[cfg(feature = "events")]
    if let Some(EventsTo::File(path)) = &settings.events {
        return Some(path);
    }
    let _ = settings;
    None
}

/// What a place needs.
type Need = fn(&mut Allowed, u16);

/// Where TCP is listened or connected to, beside the peers' addresses.
fn others(settings: &ServeSettings) -> impl Iterator<Item = (&Place, Need)> {
    let mut all: Vec<(&Place, Need)> = Vec::new();
    #[cfg(feature = "admin")]
    if let Some(AdminPlace::Tcp(place)) = &settings.admin.place {
        all.push((place, Allowed::bind));
    }
    #[cfg(feature = "events")]
    if let Some(EventsTo::Tcp(place)) = &settings.events {
        all.push((place, Allowed::connect));
    }
    let _ = (settings, &mut all);
    all.into_iter()
}

/// Files that are read again, by a reload or by the next program.
fn read_again(settings: &ServeSettings) -> impl Iterator<Item = &Path> {
    let mut all: Vec<&Path> = Vec::new();
    #[cfg(feature = "config")]
    all.extend(settings.configuration.as_ref().map(|file| file.path.as_path()));
    #[cfg(feature = "admin")]
    all.extend(settings.admin.token_file.as_deref());
    let _ = (settings, &mut all);
    all.into_iter()
}

/// What must stay possible: a reload, a file that is opened anew, the figures of /metrics, and the next program's start.
fn allowed(settings: &ServeSettings, bound: &[Listening], next: Option<&Path>) -> Allowed {
    let mut allowed = Allowed::default();
    // The whole of it: a rule for /proc/self would be one for an inode that the kernel may forget. What other processes keep to themselves
    // there is forbidden by Landlock all the same (ptrace(2)).
    allowed.at("/proc", READ | LIST);
    allowed.at("/sys/fs/cgroup", READ); // how much memory there is
    allowed.at("/dev/null", READ | WRITE);
    // The log, and events, which the next program opens once more.
    for stream in ["/proc/self/fd/1", "/proc/self/fd/2"] {
        if let Ok(file) = fs::canonicalize(stream) {
            allowed.at(file, WRITE);
        }
    }
    for path in read_again(settings) {
        allowed.beside(path, READ);
    }
    bound.iter().for_each(|listening| allowed.bind(listening.address.port()));
    if let Some(path) = admin_socket(settings) {
        allowed.beside(path, REMOVE);
    }
    if let Some(path) = events_file(settings) {
        allowed.beside(path, MAKE | WRITE | READ);
    }
    let mut names = settings.places.iter().any(Place::is_name);
    for (place, need) in others(settings) {
        names |= place.is_name();
        need(&mut allowed, place.port());
    }
    if names {
        for file in ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"] {
            allowed.at(file, READ);
        }
        allowed.connect(53);
    }
    allowed.abstract_sockets =
        env::var_os("NOTIFY_SOCKET").is_some_and(|path| path.as_encoded_bytes().starts_with(b"@"));
    if let Some(path) = next {
        allow_to_become(path, &mut allowed);
    }
    allowed
}

/// The next program, where this one was found, and what the loader loads.
fn allow_to_become(program: &Path, allowed: &mut Allowed) {
    allowed.beside(program, EXECUTE | READ);
    for file in ["/etc/ld.so.cache", "/etc/ld.so.preload"] {
        allowed.at(file, READ);
    }
    // "7f0123400000-7f0123426000 r--p 00000000 fe:00 1234    /usr/lib/x86_64-linux-gnu/libc.so.6"
    let maps = contents("/proc/self/maps").unwrap_or_default();
    for line in maps.lines().filter(|line| line.contains(".so")) {
        if let Some(folder) = line.find('/').and_then(|at| Path::new(&line[at..]).parent()) {
            allowed.at(folder, EXECUTE | READ);
        }
    }
}

#[cfg(all(test, feature = "upgrade"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_read_as_it_was_noted() {
        for user in [None, Some("server:log".to_string())] {
            for sandbox in [false, true] {
                let in_force = InForce { user: user.clone(), sandbox };
                assert_eq!(InForce::read(Some(&in_force.to_note())), in_force);
            }
        }
        for nothing in [None, Some(&b""[..]), Some(&b"\x01"[..])] {
            assert_eq!(InForce::read(nothing), InForce::default());
        }
    }

    /// This test is in no sandbox, and root is root.
    #[test]
    fn a_note_of_another_process_proves_nothing() {
        let noted = InForce { user: Some("server".to_string()), sandbox: true }.to_note();
        let is_root = rustix::process::geteuid().is_root();
        let user = Some("server".to_string()).filter(|_| !is_root);
        assert_eq!(InForce::of_note(Some(&noted)), InForce { user, sandbox: false });
    }
}
