//! Which program comes next: the one that is now where this one was when it started.

use std::env;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::upgrade::child::Execution;
use crate::upgrade::{REHEARSAL, STATE};

/// The program that this process was started as, wherever it is found now, with the same arguments.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// To be called at the start: afterwards `/proc/self/exe` may be "(deleted)", and a relative path may lead elsewhere.
    ///
    /// The path is the one that the program was called by, and not what a symbolic link on the way points to: who keeps the releases side
    /// by side changes the link.
    ///
    /// # Errors
    /// The program cannot be found.
    pub fn of_this_process() -> io::Result<Self> {
        let arguments: Vec<_> = env::args_os().collect();
        let called = arguments.first().map(PathBuf::from).unwrap_or_default();
        let found = match called.components().count() {
            0 => None,
            1 if !called.as_os_str().as_encoded_bytes().contains(&b'/') => in_search_path(&called),
            _ => std::path::absolute(&called).ok().filter(|path| path.is_file()),
        };
        // Whoever starts a program may call it as they like.
        let path = found.map_or_else(env::current_exe, Ok)?;
        Ok(Self { path, arguments })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// With the same arguments, and our environment but for the number of the descriptor that has the state; `rehearses`: only to say
    /// whether it could go on.
    pub(super) fn execution(&self, state: RawFd, rehearses: bool) -> io::Result<Execution> {
        let mut environment = vec![string(format!("{STATE}={state}").into())?];
        if rehearses {
            environment.push(string(format!("{REHEARSAL}=1").into())?);
        }
        for (name, value) in env::vars_os().filter(|(name, _)| name != STATE && name != REHEARSAL) {
            let mut variable = name.into_vec();
            variable.push(b'=');
            variable.extend(value.into_vec());
            environment.push(string(variable)?);
        }
        let path = string(self.path.as_os_str().as_encoded_bytes().to_vec())?;
        let mut arguments = Vec::new();
        for argument in &self.arguments {
            arguments.push(string(argument.as_encoded_bytes().to_vec())?);
        }
        Ok(Execution { path, arguments, environment })
    }
}

/// As execve(2) takes it. Nothing that the kernel has given us has a NUL in it.
fn string(bytes: Vec<u8>) -> io::Result<CString> {
    Ok(CString::new(bytes)?)
}

fn in_search_path(name: &Path) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut places = env::split_paths(&folders).map(|folder| folder.join(name));
    places.find(|path| path.is_file()).and_then(|path| std::path::absolute(path).ok())
}
