//! What stays possible when everything else is forbidden (Landlock).
//!
//! Owns which rights there are in which version of the kernel, and what is said about those that it lacks. A rule for a folder holds for
//! what will be in it: a rotated log, a replaced program and a replaced configuration are new files, so their folder is named, and not
//! they themselves.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::thread::set_no_new_privs;

use crate::confine::landlock::{Handled, Rules, version};

// include/uapi/linux/landlock.h
pub(crate) const EXECUTE: u64 = 1;
pub(crate) const WRITE: u64 = 1 << 1;
pub(crate) const READ: u64 = 1 << 2;
pub(crate) const LIST: u64 = 1 << 3;
pub(crate) const REMOVE: u64 = 1 << 5;
pub(crate) const MAKE: u64 = 1 << 8;
/// Rights that a rule for a single file may have.
const OF_FILES: u64 = EXECUTE | WRITE | READ;
const BIND: u64 = 1;
const CONNECT: u64 = 1 << 1;

/// The rights about files that each version of the kernel's Landlock has. Later ones than the last have been tried by nobody here.
const FILE_RIGHTS: [u64; 5] = [0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff];
/// The version that knows TCP (Linux 6.7), and the one that knows abstract sockets and signals (Linux 6.12).
const WITH_TCP: u32 = 4;
const WITH_SCOPES: u32 = 6;
const ABSTRACT_SOCKETS: u64 = 1;
const SIGNALS: u64 = 1 << 1;

/// What stays possible.
#[derive(Debug, Default)]
pub(crate) struct Allowed {
    files: Vec<(PathBuf, u64)>,
    bind: Vec<u16>,
    connect: Vec<u16>,
    /// Somebody is reached by an abstract socket.
    pub abstract_sockets: bool,
}

impl Allowed {
    /// These rights at a file, or beneath a folder. What is not there is left out.
    pub(crate) fn at(&mut self, path: impl Into<PathBuf>, rights: u64) {
        let path = path.into();
        match self.files.iter_mut().find(|(other, _)| other.as_os_str() == path.as_os_str()) {
            Some((_, has)) => *has |= rights,
            None => self.files.push((path, rights)),
        }
    }

    /// The same beneath the folder of this file; if it is a link, beneath the folder of what it leads to, too.
    pub(crate) fn beside(&mut self, path: &Path, rights: u64) {
        let Ok(path) = std::path::absolute(path) else { return };
        for file in [std::fs::canonicalize(&path).ok(), Some(path)].into_iter().flatten() {
            if let Some(folder) = file.parent() {
                self.at(folder, rights);
            }
        }
    }

    pub(crate) fn bind(&mut self, port: u16) {
        if !self.bind.contains(&port) {
            self.bind.push(port);
        }
    }

    pub(crate) fn connect(&mut self, port: u16) {
        if !self.connect.contains(&port) {
            self.connect.push(port);
        }
    }

    /// Forbids everything else, for good. Returns what this kernel cannot forbid, in words.
    ///
    /// # Errors
    /// A clause: this kernel has no Landlock, or refuses.
    pub(crate) fn and_nothing_else(&self) -> Result<Vec<&'static str>, String> {
        let version = version().map_err(|error| {
            format!(
                "this kernel has no Landlock, or it was switched off at the boot ({error}); start it without --sandbox"
            )
        })?;
        let (handled, lacking) = handled(version, self.abstract_sockets);
        self.forbid_the_rest(&handled).map_err(|error| match error.raw_os_error() {
            Some(libc::E2BIG) => "16 sandboxes are in force already, and the kernel allows no more".to_string(),
            _ => format!("Landlock refuses: {error}"),
        })?;
        Ok(lacking)
    }

    fn forbid_the_rest(&self, handled: &Handled) -> io::Result<()> {
        let rules = Rules::new(handled)?;
        for (path, rights) in &self.files {
            let Ok(file) = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { continue };
            let is_folder = rustix::fs::FileType::from_raw_mode(fstat(&file)?.st_mode).is_dir();
            let rights = if is_folder { *rights } else { rights & OF_FILES };
            match rules.allow_beneath(file.as_fd(), rights & handled.files) {
                // What is in no file system, such as a pipe, is not restricted either (EBADFD).
                Err(error) if error.raw_os_error() != Some(libc::EBADFD) => return Err(error),
                _ => {}
            }
        }
        if handled.tcp != 0 {
            self.bind.iter().try_for_each(|port| rules.allow_port(*port, BIND))?;
            self.connect.iter().try_for_each(|port| rules.allow_port(*port, CONNECT))?;
        }
        set_no_new_privs(true)?;
        rules.restrict()
    }
}

/// What a kernel with this version can forbid, and what it cannot, in words.
fn handled(version: u32, abstract_sockets: bool) -> (Handled, Vec<&'static str>) {
    let files = FILE_RIGHTS[(version as usize).clamp(1, FILE_RIGHTS.len()) - 1];
    let mut lacking = Vec::new();
    if version < 3 {
        lacking.push("cutting files short by truncate(2) (Linux 6.2)");
    }
    if version < WITH_TCP {
        lacking.push("TCP on other ports (Linux 6.7)");
    }
    if version < WITH_SCOPES {
        lacking.push("signals to other programs, and their abstract sockets (Linux 6.12)");
    }
    let scopes = SIGNALS | if abstract_sockets { 0 } else { ABSTRACT_SOCKETS };
    let handled = Handled {
        files,
        tcp: if version < WITH_TCP { 0 } else { BIND | CONNECT },
        scopes: if version < WITH_SCOPES { 0 } else { scopes },
    };
    (handled, lacking)
}

impl fmt::Display for Allowed {
    /// For the log: what is still possible.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sandboxed; still possible: listen on TCP ports")?;
        self.bind.iter().try_for_each(|port| write!(f, " {port}"))?;
        if !self.connect.is_empty() {
            f.write_str("; connect to ports")?;
        }
        self.connect.iter().try_for_each(|port| write!(f, " {port}"))?;
        for (path, rights) in &self.files {
            write!(f, "; ")?;
            for (right, word) in
                [(EXECUTE, "execute "), (READ, "read "), (WRITE, "write "), (MAKE, "make "), (REMOVE, "remove ")]
            {
                f.write_str(if rights & right == 0 { "" } else { word })?;
            }
            path.display().fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_asked_for_what_it_knows_and_the_rest_is_named() {
        let asked = |version| {
            let (Handled { files, tcp, scopes }, lacking) = handled(version, false);
            (files, tcp, scopes, lacking.len())
        };
        assert_eq!(asked(1), (0x1fff, 0, 0, 3));
        assert_eq!(asked(2), (0x3fff, 0, 0, 3));
        assert_eq!(asked(3), (0x7fff, 0, 0, 2));
        assert_eq!(asked(4), (0x7fff, 3, 0, 1));
        assert_eq!(asked(5), (0xffff, 3, 0, 1));
        assert_eq!(asked(6), (0xffff, 3, 3, 0));
        assert_eq!(asked(99), (0xffff, 3, 3, 0));
        assert_eq!(handled(6, true).0.scopes, SIGNALS);
    }

    #[test]
    fn what_stays_possible_is_told() {
        let mut allowed = Allowed::default();
        allowed.at("/etc/stillthere", READ);
        allowed.at("/var/log", WRITE | MAKE);
        allowed.at("/var/log", READ);
        allowed.bind(7007);
        allowed.bind(7007);
        let told =
            "sandboxed; still possible: listen on TCP ports 7007; read /etc/stillthere; read write make /var/log";
        assert_eq!(allowed.to_string(), told);
    }

    #[test]
    fn beside_a_link_is_also_beside_what_it_leads_to() {
        let mut allowed = Allowed::default();
        allowed.beside(Path::new("/proc/self/exe"), EXECUTE);
        let exe = std::env::current_exe().unwrap();
        let folders: Vec<_> = allowed.files.iter().map(|(path, _)| path.as_path()).collect();
        assert!(folders.contains(&exe.parent().unwrap()) && folders.contains(&Path::new("/proc/self")), "{folders:?}");
    }
}
