//! A report's file: checked to be writable before the work, and written after it.
//!
//! Owns what is done to files. Where a file can be replaced, the old report stays until the new one is
//! complete, even if the disk is full or the work is interrupted. Knows no report.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// More symbolic links than this, one after the other, count as a loop (path_resolution(7)).
const LINKS: usize = 40;

/// A file that a report will be written to.
#[derive(Debug)]
pub struct ReportFile {
    /// As it was given.
    path: PathBuf,
    place: FilePlace,
}

#[derive(Debug)]
enum FilePlace {
    /// An ordinary file, or none yet: its path with all symbolic links resolved.
    Ordinary(PathBuf),
    /// A file that can only be overwritten: it has another name, too, or, like `/dev/fd/3`, perhaps none any more.
    Unnamed,
    StandardOutput,
    StandardError,
    Device(File),
    /// Needs a reader. A reader that is there already sees no end of file meanwhile, because this is a writer.
    Pipe {
        _writer: Option<File>,
    },
}

/// Finds out whether the reports that were asked for can be written, before the work begins. Changes
/// nothing yet.
///
/// # Errors
/// A sentence: which one cannot be written, and why; or that two are the same file.
pub fn prepare<const N: usize>(paths: [Option<&PathBuf>; N]) -> Result<[Option<ReportFile>; N], String> {
    let mut files = [const { None }; N];
    for (nth, path) in paths.into_iter().enumerate() {
        let Some(path) = path else { continue };
        let file = ReportFile::at(path).map_err(|error| refused(path, &error))?;
        let is_same = |other: &ReportFile| match (&other.place, &file.place) {
            (FilePlace::Ordinary(other), FilePlace::Ordinary(one)) => other == one,
            _ => false,
        };
        if files.iter().flatten().any(is_same) {
            return Err(format!("two reports cannot both be written to {}: one would be lost", path.display()));
        }
        files[nth] = Some(file);
    }
    Ok(files)
}

fn refused(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

impl ReportFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_path_buf(), place: place(path)? })
    }

    /// Writes the report. If the file can be replaced, it is written completely or not at all.
    ///
    /// # Errors
    /// A sentence: which file, and why not.
    pub fn write(self, report: &[u8]) -> Result<(), String> {
        let Self { path, place } = self;
        let result = match place {
            FilePlace::Ordinary(file) => replace(&file, report),
            FilePlace::Unnamed => overwrite(&path, report),
            FilePlace::StandardOutput => io::stdout().write_all(report).and_then(|()| io::stdout().flush()),
            FilePlace::StandardError => io::stderr().write_all(report),
            FilePlace::Device(mut device) => device.write_all(report),
            // Without a reader, this waits for one.
            FilePlace::Pipe { _writer } => {
                OpenOptions::new().write(true).open(&path).and_then(|mut pipe| pipe.write_all(report))
            }
        };
        result.map_err(|error| refused(&path, &error))
    }
}

fn place(path: &Path) -> io::Result<FilePlace> {
    let file = match fs::metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let end = end_of(path)?;
            drop(Draft::beside(&end)?); // to see that one can be created
            return Ok(FilePlace::Ordinary(end));
        }
        Err(error) => return Err(error),
    };
    // A descriptor that the shell has opened is used as it is: a file has its offset there, and a pipe is connected already.
    if is_open_as(&file, io::stdout().as_fd()) {
        return Ok(FilePlace::StandardOutput);
    }
    if is_open_as(&file, io::stderr().as_fd()) {
        return Ok(FilePlace::StandardError);
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if file.file_type().is_fifo() {
        // A blocking open would wait for a reader.
        return match options.custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(writer) => Ok(FilePlace::Pipe { _writer: Some(writer) }),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(FilePlace::Pipe { _writer: None }),
            Err(error) => Err(error),
        };
    }
    let opened = options.open(path)?;
    if !file.is_file() {
        return Ok(FilePlace::Device(opened));
    }
    let end = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let is_there = fs::metadata(&end).is_ok_and(|there| is_same(&there, &file));
    // If the file has another name, a replacement would leave the old report under that one.
    Ok(if is_there && file.nlink() == 1 { FilePlace::Ordinary(end) } else { FilePlace::Unnamed })
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn is_open_as(file: &Metadata, descriptor: BorrowedFd<'_>) -> bool {
    let ours = descriptor.try_clone_to_owned().and_then(|descriptor| File::from(descriptor).metadata());
    // A character device does not count: /dev/null, for instance, is one file for all that open it.
    !file.file_type().is_char_device() && ours.is_ok_and(|ours| is_same(&ours, file))
}

/// Where a file that does not exist yet will be, with all symbolic links resolved.
fn end_of(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => break,
        }
    }
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::other("it does not name a file"))?;
    Ok(fs::canonicalize(directory)?.join(name))
}

/// A new file beside the one that it is to replace. Removed, unless it has replaced it.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
        Ok(Self { path: draft, file })
    }

    /// Takes over the owner and the permissions of the file that it replaces.
    fn resemble(&self, old: &Metadata) -> io::Result<()> {
        fchown(&self.file, Some(old.uid()), Some(old.gid()))?;
        self.file.set_permissions(old.permissions())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the rename there is no file with this name, which is no error.
        let _ = fs::remove_file(&self.path);
    }
}

/// Puts a complete report in the place of the old one. A file in a directory in which no file may be
/// created, or one that is a mount point, is overwritten.
fn replace(path: &Path, report: &[u8]) -> io::Result<()> {
    let Ok(mut draft) = Draft::beside(path) else { return overwrite(path, report) };
    // Without an old file, there is nothing to take over.
    if fs::metadata(path).is_ok_and(|old| draft.resemble(&old).is_err()) {
        return overwrite(path, report);
    }
    draft.file.write_all(report)?;
    fs::rename(&draft.path, path).or_else(|_| overwrite(path, report))
}

fn overwrite(path: &Path, report: &[u8]) -> io::Result<()> {
    File::create(path).and_then(|mut file| file.write_all(report))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;

    use super::*;

    /// A directory that is removed with what is in it.
    struct ScratchFile(PathBuf);

    impl ScratchFile {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("stillthere-file-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap().flatten();
            let mut names = entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>();
            names.sort();
            names
        }
    }

    impl Drop for ScratchFile {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn prepare_one(path: &Path) -> Result<ReportFile, String> {
        prepare([Some(&path.to_path_buf())]).map(|[file]| file.unwrap())
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let scratch = ScratchFile::new("refused");
        let refused = |path: &Path| prepare_one(path).unwrap_err();
        assert!(refused(&scratch.0.join("none/out.json")).contains("none/out.json: No such file or directory"));
        assert!(refused(&scratch.0).contains("Is a directory"));
        assert!(refused(Path::new("/dev/null/out")).contains("cannot write /dev/null/out: Not a directory"));
        let out = scratch.0.join("out");
        let twice = prepare([Some(&out), None, Some(&scratch.0.join("./out"))]).unwrap_err();
        assert!(twice.contains("two reports"), "{twice}");
        assert_eq!(scratch.names(), Vec::<String>::new(), "nothing is left behind");
    }

    #[test]
    fn the_old_report_stays_until_the_new_one_is_complete() {
        let scratch = ScratchFile::new("replaced");
        let (out, link, new) = (scratch.0.join("out"), scratch.0.join("link"), scratch.0.join("new"));
        fs::write(&out, "old").unwrap();
        fs::set_permissions(&out, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("out", &link).unwrap();
        let file = prepare_one(&link).unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), "old");
        drop(prepare_one(&new).unwrap());
        assert_eq!(scratch.names(), ["link", "out"], "nothing is made before it is written");
        file.write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), "new");
        assert_eq!(fs::metadata(&out).unwrap().mode() & 0o777, 0o640);
        prepare_one(&new).unwrap().write(b"first").unwrap();
        symlink("hidden", scratch.0.join("dangling")).unwrap();
        prepare_one(&scratch.0.join("dangling")).unwrap().write(b"behind").unwrap();
        assert_eq!(scratch.names(), ["dangling", "hidden", "link", "new", "out"]);
    }

    #[test]
    fn another_name_of_the_file_has_the_new_report_too() {
        let scratch = ScratchFile::new("linked");
        let (out, other) = (scratch.0.join("out"), scratch.0.join("other"));
        fs::write(&out, "an old and longer one").unwrap();
        fs::hard_link(&out, &other).unwrap();
        prepare_one(&out).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "new");
    }

    #[test]
    fn a_pipe_and_a_device_are_written_to() {
        let scratch = ScratchFile::new("pipes");
        let pipe = scratch.0.join("pipe");
        let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(status.success());
        let path = pipe.clone();
        let read = move || {
            let mut text = String::new();
            File::open(&path).and_then(|mut file| file.read_to_string(&mut text)).map(|_| text)
        };
        // A reader that comes late, and one that waits from the start.
        let file = prepare_one(&pipe).unwrap();
        let reader = thread::spawn(read.clone());
        let long = "x".repeat(200_000);
        file.write(long.as_bytes()).unwrap();
        assert_eq!(reader.join().unwrap().unwrap().len(), long.len());
        let reader = thread::spawn(read);
        thread::sleep(std::time::Duration::from_millis(100));
        let file = prepare_one(&pipe).unwrap();
        thread::sleep(std::time::Duration::from_millis(50));
        file.write(long.as_bytes()).unwrap();
        assert_eq!(reader.join().unwrap().unwrap().len(), long.len());
        prepare_one(Path::new("/dev/null")).unwrap().write(b"gone").unwrap();
        assert!(prepare_one(Path::new("/dev/full")).unwrap().write(b"x").unwrap_err().contains("No space left"));
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}
