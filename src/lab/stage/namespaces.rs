//! Network namespaces: created, entered, and removed in every case.
//!
//! Owns their names, which contain the process id of their lab and its PID namespace, so that several labs can run at the same
//! time; and the locks that distinguish what a killed lab left behind from what a running one needs. Knows no topology and no
//! scene.
//!
//! A process id means nothing in another PID namespace: labs in containers may share `/run/netns` and
//! nothing else. So a lab holds a lock (flock(2)) on each namespace and directory that it creates. The lock ends with
//! the process, however that ends, and every other lab can test it.

use std::fs::{self, File};
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The names of all namespaces and directories of a lab begin with it.
const MARK: &str = "stillthere-lab-";
/// Where `ip netns` keeps the names.
const NAMES: &str = "/run/netns";

/// How often a namespace is made again if another lab removed it before it was locked.
const ATTEMPTS: usize = 10;
/// How long a lab may take to lock what it has created. If it takes longer, another lab may have removed it, and it is
/// created again.
const UNTIL_LOCKED: Duration = Duration::from_millis(300);

/// A network namespace with a name. It is removed when it is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    _lock: File,
}

impl Namespace {
    /// Creates one. Its loopback interface is down. `number` distinguishes the scenes of one lab.
    ///
    /// # Errors
    /// A sentence: what `ip` said.
    pub fn make(number: usize, role: &str) -> Result<Self, String> {
        let name = format!("{}{number}-{role}", own_mark());
        let lock = make_locked(&Path::new(NAMES).join(&name), || ip(None, &[format!("netns add {name}")]))?;
        let namespace = Self { name, _lock: lock };
        // IPv6's own packets would only clutter the timeline.
        let _ = namespace.set("ipv6/conf/default/disable_ipv6", 1); // there may be no IPv6 at all
        Ok(namespace)
    }

    /// Creates one from within this one. It has a small table of connections for itself (since Linux 6.1), which can be read
    /// often. Otherwise each read would go through the table of the whole machine.
    ///
    /// # Errors
    /// Those of [`Namespace::make`].
    pub fn make_small(&self, number: usize, role: &str) -> Result<Self, String> {
        let _ = self.set("ipv4/tcp_child_ehash_entries", 64); // before 6.1 this setting does not exist: reads are slow
        self.within(|| Ok(Self::make(number, role)))
            .map_err(|error| format!("cannot enter the network namespace {}: {error}", self.name))?
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file through which it is entered.
    pub fn path(&self) -> PathBuf {
        Path::new(NAMES).join(&self.name)
    }

    /// Runs `work` inside, in a separate thread, because a namespace belongs to a thread. Programs that it starts are
    /// inside, too.
    ///
    /// # Errors
    /// Those of `work`, or the namespace cannot be entered.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let inside = || {
            let namespace = File::open(self.path())?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    /// Sets one of its `net.` settings: `ipv4/ip_forward` to `1`.
    ///
    /// # Errors
    /// A sentence: which one, and why not.
    pub fn set(&self, setting: &str, value: impl ToString) -> Result<(), String> {
        let (path, value) = (format!("/proc/sys/net/{setting}"), value.to_string());
        self.within(|| fs::write(&path, &value))
            .map_err(|error| format!("cannot write {value} to {path} in a network namespace: {error}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Runs lines of `ip -batch`, in this namespace or in that of the calling thread.
///
/// # Errors
/// A sentence: the lines, and what `ip` said.
pub fn ip(namespace: Option<&Namespace>, lines: &[String]) -> Result<(), String> {
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", &namespace.name]);
    }
    command.args(["-batch", "-"]);
    feed(command, &lines.join("\n"))
}

/// Runs a program to its end, with `text` as its input.
///
/// # Errors
/// A sentence: what was to be done, and what the program said.
pub fn feed(mut command: Command, text: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let refused = |said: &str| format!("`{program}` cannot do {text:?}: {said}");
    command.process_group(0); // Ctrl-C must reach only the lab, which undoes what is half done
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| refused(&error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // If the program does not read all of its input, the reason is on its stderr.
        let _ = input.write_all(format!("{text}\n").as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| refused(&error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refused(said.lines().next().unwrap_or("it gave no reason")))
}

/// A directory for the files that a server needs. It is removed when it is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// # Errors
    /// A sentence: the path, and why it cannot be made.
    pub fn make(number: usize) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("{}{number}", own_mark()));
        let make = || {
            fs::create_dir_all(&path).map_err(|error| {
                format!("cannot make the directory {} for the server's files: {error}", path.display())
            })
        };
        let lock = make_locked(&path, make)?;
        Ok(Self { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What the names of this lab begin with. Another PID namespace may have the same process id.
fn own_mark() -> String {
    let namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino());
    format!("{MARK}{}.{namespace}-", std::process::id())
}

/// Creates a namespace or a directory and locks it. In between, [`sweep`] of another lab may remove it.
fn make_locked(path: &Path, make: impl Fn() -> Result<(), String>) -> Result<File, String> {
    for _ in 0..ATTEMPTS {
        make()?;
        let locked = File::open(path).and_then(|file| Ok(flock(&file, FlockOperation::LockExclusive).map(|()| file)?));
        match locked {
            Ok(file) if is_still_there(path, &file) => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot lock {}: {error}", path.display())),
        }
    }
    Err(format!("{} was removed by another process each time it was created", path.display()))
}

fn is_still_there(path: &Path, file: &File) -> bool {
    let (there, ours) = (fs::metadata(path), file.metadata());
    there.is_ok_and(|there| ours.is_ok_and(|ours| (there.dev(), there.ino()) == (ours.dev(), ours.ino())))
}

/// Locks what a dead lab left behind: it is not locked. `None`: its lab is running, or that cannot be found out.
fn lock_left_behind(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    is_still_there(path, &file).then_some(file)
}

/// Removes what dead labs left behind, and returns its names.
pub fn sweep() -> Vec<String> {
    // A name that is not a namespace in this mount namespace may be one in that of its lab.
    let of_namespaces = fs::metadata("/proc/self/ns/net").ok().map(|namespace| namespace.dev());
    let is_namespace = |path: &Path| fs::metadata(path).ok().map(|file| file.dev()) == of_namespaces;
    let left_behind = |path: &Path| {
        let may_be_known = path.parent() != Some(Path::new(NAMES)) || is_namespace(path);
        may_be_known.then(|| lock_left_behind(path)).flatten()
    };
    let places = [PathBuf::from(NAMES), std::env::temp_dir()];
    let all = places.iter().flat_map(|place| marked(place).map(|name| place.join(name)));
    let unlocked = all.filter(|path| left_behind(path).is_some()).collect::<Vec<_>>();
    if unlocked.is_empty() {
        return Vec::new();
    }
    // Some may have been created just now, and will be locked in a moment.
    thread::sleep(UNTIL_LOCKED);
    remove_all(|path| unlocked.iter().any(|known| known == path).then(|| left_behind(path)).flatten())
}

/// Removes all that this process created: for a panic, after which no destructor runs. Other threads may create more
/// until they notice that they must stop.
pub fn remove_ours() {
    let mut quiet = 0;
    for _ in 0..20 {
        let own = own_mark();
        let is_own = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&own));
        let removed = remove_all(|path| is_own(path).then_some(()));
        quiet = if removed.is_empty() { quiet + 1 } else { 0 };
        if quiet == 3 {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Removes each path for which `is_to_go` returns a value, and keeps that value (a lock) until the path is removed.
fn remove_all<T>(is_to_go: impl Fn(&Path) -> Option<T>) -> Vec<String> {
    let mut removed = Vec::new();
    for name in marked(Path::new(NAMES)) {
        if let Some(_held) = is_to_go(&Path::new(NAMES).join(&name)) {
            remove(&name);
            removed.push(format!("network namespace {name}"));
        }
    }
    let directories = std::env::temp_dir();
    for name in marked(&directories) {
        let Some(_held) = is_to_go(&directories.join(&name)) else { continue };
        if fs::remove_dir_all(directories.join(&name)).is_ok() {
            removed.push(format!("directory {}", directories.join(&name).display()));
        }
    }
    removed.sort();
    removed
}

/// Ends the processes inside, and removes the name. If that fails, [`sweep`] of the next lab tries again.
fn remove(name: &str) {
    let path = Path::new(NAMES).join(name);
    for _ in 0..50 {
        let pids = inside(&path);
        if pids.is_empty() {
            break;
        }
        pids.into_iter().for_each(|pid| kill_process(pid, Signal::KILL).unwrap_or_default());
        thread::sleep(Duration::from_millis(10));
    }
    // The same steps as `ip netns delete`, without the cost of starting a program.
    let _ = unmount(&path, UnmountFlags::DETACH);
    let _ = fs::remove_file(&path);
}

/// The processes in a namespace.
fn inside(path: &Path) -> Vec<Pid> {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let Some(wanted) = identity(path) else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let pids = pids.filter(|pid: &i32| identity(Path::new(&format!("/proc/{pid}/ns/net"))) == Some(wanted));
    pids.filter_map(Pid::from_raw).collect()
}

fn marked(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_marked(name))
}

/// Whether the name was given by a lab that locks what it creates.
fn is_marked(name: &str) -> bool {
    let owner = name.strip_prefix(MARK).and_then(|rest| rest.split('-').next()?.split_once('.'));
    owner.is_some_and(|(pid, namespace)| [pid, namespace].iter().all(|number| number.parse::<u64>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_whether_a_lab_gave_it() {
        assert!(is_marked("stillthere-lab-4711.4026531836-3-client") && is_marked("stillthere-lab-4711.0-3"));
        assert!(!is_marked("stillthere-lab-4711-3") && !is_marked("stillthere-lab-x.1-3"));
        assert!(!is_marked("somebody-else") && is_marked(&format!("{}1-server", own_mark())));
    }

    #[test]
    fn only_what_nobody_has_locked_is_left_behind() {
        let path = std::env::temp_dir().join(format!("a-lock-of-{}", std::process::id()));
        let make = || fs::create_dir_all(&path).map_err(|error| error.to_string());
        let lock = make_locked(&path, make).unwrap();
        assert!(lock_left_behind(&path).is_none(), "its lab lives");
        drop(lock);
        assert!(lock_left_behind(&path).is_some());
        fs::remove_dir(&path).unwrap();
        assert!(lock_left_behind(&path).is_none(), "it is not there");
    }

    #[test]
    fn what_was_swept_before_it_was_locked_is_made_again() {
        let path = std::env::temp_dir().join(format!("a-swept-one-of-{}", std::process::id()));
        let made = std::cell::Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            // The first two vanish at once.
            if made.get() > 2 { fs::create_dir(&path).map_err(|error| error.to_string()) } else { Ok(()) }
        };
        drop(make_locked(&path, make).unwrap());
        fs::remove_dir(&path).unwrap();
        assert_eq!(made.get(), 3);
        assert!(make_locked(&path, || Ok(())).unwrap_err().contains("removed by another process each time"));
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; echo \"no $line\" >&2; exit 1"]);
        assert_eq!(feed(command, "way").unwrap_err(), "`sh` cannot do \"way\": no way");
        let missing = feed(Command::new("no-such-program"), "").unwrap_err();
        assert!(missing.starts_with("`no-such-program` cannot do"), "{missing}");
    }
}
