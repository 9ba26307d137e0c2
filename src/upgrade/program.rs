//! Which program comes next: the one that is now where this one was when it started.

use std::env;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

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

    /// Its arguments, without its name.
    pub(super) fn arguments(&self) -> &[OsString] {
        self.arguments.get(1..).unwrap_or_default()
    }

    /// The same for execve(2), with its name.
    pub(super) fn to_exec(&self) -> io::Result<(CString, Vec<CString>)> {
        let text = |text: OsString| CString::new(text.into_vec());
        let path = text(self.path.clone().into())?;
        let mut arguments = vec![self.arguments.first().cloned().unwrap_or(self.path.clone().into())];
        arguments.extend_from_slice(self.arguments());
        Ok((path, arguments.into_iter().map(text).collect::<Result<_, _>>()?))
    }
}

fn in_search_path(name: &Path) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut places = env::split_paths(&folders).map(|folder| folder.join(name));
    places.find(|path| path.is_file()).and_then(|path| std::path::absolute(path).ok())
}
