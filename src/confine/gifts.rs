//! Files that were made as root, given to the user that the server is from then on: so it may remove its socket at the end, and open its
//! file anew.
//!
//! Only what was surely made here changes its owner, through a descriptor: whoever may write to the directory could put a link to
//! another file there in between.

use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, accessat, chownat, fstat, openat};

use crate::confine::user::User;

/// Gives a socket or an empty file that root owns to the user; anything else stays as it is. Whether it was given.
///
/// # Errors
/// It is not there, or the kernel refuses.
pub(crate) fn give(path: &Path, user: &User) -> io::Result<bool> {
    let file = openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let found = fstat(&file)?;
    let is_ours = match FileType::from_raw_mode(found.st_mode) {
        FileType::Socket => true,
        FileType::RegularFile => found.st_size == 0,
        _ => false,
    };
    if !is_ours || found.st_uid != 0 || found.st_nlink != 1 {
        return Ok(false);
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
    chownat(&file, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    Ok(true)
}

/// Whether this process, as the user that it is now, may make and remove files where this one is.
pub(crate) fn may_change_folder_of(path: &Path) -> bool {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// Whether this process may read it.
pub(crate) fn may_read(path: &Path) -> bool {
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok()
}

/// Whether this process may list this folder. (access(2) does not ask Landlock; std's `read_dir` takes 500 bytes more.)
#[cfg(feature = "upgrade")]
pub(crate) fn may_list(folder: &Path) -> bool {
    openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}
