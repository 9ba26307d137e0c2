//! Which system calls the server makes, which errors their man pages list (section 2, and for
//! sockets ip(7) and tcp(7)), and what each error should lead to.

/// A call by all names that it has on different machines, and how it is tested.
pub struct Row {
    pub names: &'static [&'static str],
    pub errnos: &'static [&'static str],
    /// What an error between `main` and the first wait should lead to.
    pub start: Start,
    /// How the running server is brought to make the call.
    pub running: &'static [Scene],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The server cannot start: exit code 1, and a message that says what was tried.
    Refuses,
    /// The server starts and serves, perhaps with a warning.
    Goes,
    /// rustix assumes that the call cannot fail: a debug build ends with an assertion, a release build
    /// goes on with whatever is in the memory for the result.
    Assumed,
    /// The server does not make the call between `main` and the first wait, or the call cannot fail.
    Absent,
}

/// What happens to the running server while the call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A peer sends.
    Sends,
    /// A peer whose output was waiting reads.
    Drinks,
    /// Peers send much and read nothing; then they read.
    Pours,
    /// A peer closes.
    Closes,
    /// A peer resets its connection while its output waits, so that the server is not reading from it.
    ResetsPaused,
    /// A peer connects.
    Comes,
    /// A peer connects to a port that had none yet: its options are checked.
    ComesFirst,
    /// So many peers are connected that the table must grow for the next.
    Crowds,
    /// So many connect at once that their probes must be spread.
    Rushes,
    /// A crowd leaves, and the table is freed.
    Disperses,
    /// SIGUSR1 asks for figures.
    Asks,
    /// SIGTERM asks it to stop.
    Stops,
}

impl Scene {
    pub fn in_words(self) -> &'static str {
        match self {
            Sends => "a peer sends",
            Drinks => "a slow peer reads",
            Pours => "peers send and do not read",
            Closes => "a peer closes",
            ResetsPaused => "a peer not read from resets",
            Comes => "a peer connects",
            ComesFirst => "the first peer connects",
            Crowds => "peers from the 2041st connect",
            Rushes => "600 peers connect at once",
            Disperses => "2060 peers leave",
            Asks => "SIGUSR1",
            Stops => "SIGTERM",
        }
    }
}

impl Row {
    /// A call that the program makes for its own purposes.
    const fn of(
        names: &'static [&'static str],
        errnos: &'static [&'static str],
        start: Start,
        running: &'static [Scene],
    ) -> Self {
        Self { names, errnos, start, running }
    }

    /// A call of the loader, the C library or Rust's runtime, before `main` (or after its
    /// end). They decide whether a process can begin without it.
    const fn before_main(names: &'static [&'static str], errnos: &'static [&'static str]) -> Self {
        Self { names, errnos, start: Start::Absent, running: &[] }
    }

    /// The row of a call.
    pub fn find(call: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.names.contains(&call))
    }

    /// Whether this is a call of the allocator: which of these a scene causes depends on the C library.
    pub fn is_allocator_s(&self) -> bool {
        ["brk", "mmap", "mremap", "munmap", "madvise"].contains(&self.names[0])
    }
}

/// Errors that do not mean that the connection, or the file, is broken: a peer that is hit by one
/// must still be served.
pub fn is_passing(errno: &str) -> bool {
    ["EAGAIN", "EINTR", "ENOMEM", "ENOBUFS"].contains(&errno)
}

/// Why a pair is not tried, if it is not.
pub fn is_beyond_trial(row: &Row, errno: &str, scene: Option<Scene>) -> Option<&'static str> {
    match (row.names[0], errno, scene) {
        // A debug build of Rust's library checks before each close that the descriptor is open, and ends the program if
        // not. No other build makes this call while the server runs.
        ("fcntl", "EBADF", _) => Some("not tried: a debug assertion of Rust's library ends it"),
        // The kernel promises an edge after this errno, once there is room or more to read; after an injected one there
        // is none.
        ("sendto", "EAGAIN", Some(Drinks)) | ("recvfrom", "EAGAIN", Some(Closes)) | ("read", "EAGAIN", Some(_)) => {
            Some("not tried: after a false \"would block\" no edge comes")
        }
        _ => None,
    }
}

/// How often in a row a call of the running server is made to fail.
pub fn times(row: &Row, errno: &str) -> usize {
    match row.names[0] {
        // Less than the 16 failures after which the loop gives up.
        "epoll_wait" => 8,
        // A peer left in the backlog is accepted with the next one, which must not fail.
        "accept4" if errno == "EAGAIN" => 1,
        // It is not true, so the bytes are not read or written until the peer sends more. A second fault would hit another
        // peer.
        "recvfrom" | "sendto" if errno == "EAGAIN" => 1,
        // Each causes a pause of a second.
        "accept4" if is_passing(errno) || errno.ends_with("FILE") => 2,
        "accept4" => 1,
        // The first fault ends the connection, and a second one would hit another peer.
        "recvfrom" | "sendto" if !is_passing(errno) => 1,
        // Only one peer should be hit.
        "epoll_ctl" | "close" => 1,
        _ => 3,
    }
}

use Scene::*;
use Start::*;

const FILE: &[&str] =
    &["EACCES", "EBADF", "EFAULT", "EINVAL", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOMEM", "ENOTDIR", "EOVERFLOW"];
const READ: &[&str] = &["EAGAIN", "EBADF", "EFAULT", "EINTR", "EINVAL", "EIO", "EISDIR"];
const OPTION: &[&str] = &["EBADF", "EFAULT", "EINVAL", "ENOPROTOOPT", "ENOTSOCK"];
#[rustfmt::skip]
const WRITE: &[&str] = &[
    "EAGAIN", "EBADF", "EDESTADDRREQ", "EDQUOT", "EFAULT", "EFBIG", "EINTR", "EINVAL", "EIO", "ENOSPC", "EPERM", "EPIPE",
];
#[rustfmt::skip]
const OPEN: &[&str] = &[
    "EACCES", "EBADF", "EBUSY", "EDQUOT", "EEXIST", "EFAULT", "EFBIG", "EINTR", "EINVAL", "EISDIR", "ELOOP", "EMFILE",
    "ENAMETOOLONG", "ENFILE", "ENODEV", "ENOENT", "ENOMEM", "ENOSPC", "ENOTDIR", "ENXIO", "EOPNOTSUPP", "EOVERFLOW",
    "EPERM", "EROFS", "ETXTBSY", "EAGAIN",
];
#[rustfmt::skip]
const ACCEPT: &[&str] = &[
    "EAGAIN", "EBADF", "ECONNABORTED", "EFAULT", "EINTR", "EINVAL", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENOTSOCK",
    "EOPNOTSUPP", "EPERM", "EPROTO", "ENOSR", "ESOCKTNOSUPPORT", "EPROTONOSUPPORT", "ETIMEDOUT", "ENETDOWN",
    "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "ENETUNREACH",
];
#[rustfmt::skip]
const RECEIVE: &[&str] = &[
    "EAGAIN", "EBADF", "ECONNREFUSED", "EFAULT", "EINTR", "EINVAL", "ENOMEM", "ENOTCONN", "ENOTSOCK",
    "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENOBUFS", "ETIMEDOUT",
];
#[rustfmt::skip]
const SEND: &[&str] = &[
    "EACCES", "EAGAIN", "EALREADY", "EBADF", "ECONNRESET", "EDESTADDRREQ", "EFAULT", "EINTR", "EINVAL", "EISCONN",
    "EMSGSIZE", "ENOBUFS", "ENOMEM", "ENOTCONN", "ENOTSOCK", "EOPNOTSUPP", "EPIPE", "EHOSTUNREACH", "ETIMEDOUT",
];
#[rustfmt::skip]
const MAP: &[&str] = &[
    "EACCES", "EAGAIN", "EBADF", "EEXIST", "EINVAL", "ENFILE", "ENODEV", "ENOMEM", "EOVERFLOW", "EPERM", "ETXTBSY",
];
#[rustfmt::skip]
const BIND: &[&str] = &[
    "EACCES", "EADDRINUSE", "EADDRNOTAVAIL", "EBADF", "EFAULT", "EINVAL", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOMEM",
    "ENOTDIR", "ENOTSOCK", "EROFS",
];
#[rustfmt::skip]
const FCNTL: &[&str] = &[
    "EACCES", "EAGAIN", "EBADF", "EBUSY", "EDEADLK", "EFAULT", "EINTR", "EINVAL", "EMFILE", "ENOLCK", "ENOTDIR", "EPERM",
];

/// All calls that are known, in the order of the table that is printed.
pub static ROWS: &[Row] = &[
    // The loop.
    Row::of(&["epoll_create1"], &["EINVAL", "EMFILE", "ENFILE", "ENOMEM"], Refuses, &[]),
    Row::of(
        &["epoll_ctl"],
        &["EBADF", "EEXIST", "EINVAL", "ELOOP", "ENOENT", "ENOMEM", "ENOSPC", "EPERM"],
        Refuses,
        &[Comes, ComesFirst],
    ),
    Row::of(&["epoll_wait", "epoll_pwait"], &["EBADF", "EFAULT", "EINTR", "EINVAL"], Absent, &[Sends, Comes, Stops]),
    // Listening and accepting.
    Row::of(
        &["socket"],
        &["EACCES", "EAFNOSUPPORT", "EINVAL", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPROTONOSUPPORT"],
        Refuses,
        &[],
    ),
    Row::of(&["setsockopt"], OPTION, Refuses, &[Rushes]),
    Row::of(&["bind"], BIND, Refuses, &[]),
    Row::of(&["listen"], &["EADDRINUSE", "EBADF", "ENOTSOCK", "EOPNOTSUPP"], Refuses, &[]),
    Row::of(&["getsockname"], &["EBADF", "EFAULT", "EINVAL", "ENOBUFS", "ENOTSOCK"], Refuses, &[]),
    Row::of(&["accept4"], ACCEPT, Absent, &[Comes, ComesFirst]),
    // The peers.
    Row::of(&["recvfrom"], RECEIVE, Absent, &[Sends, Closes]),
    Row::of(&["sendto"], SEND, Absent, &[Sends, Drinks]),
    Row::of(&["getsockopt"], OPTION, Goes, &[ComesFirst, Closes, ResetsPaused, Stops]),
    Row::of(&["shutdown"], &["EBADF", "EINVAL", "ENOTCONN", "ENOTSOCK"], Absent, &[Stops]),
    Row::of(&["close"], &["EBADF", "EINTR", "EIO", "ENOSPC", "EDQUOT"], Goes, &[Closes, Stops]),
    // Signals.
    Row::of(&["signalfd4"], &["EBADF", "EINVAL", "EMFILE", "ENFILE", "ENODEV", "ENOMEM"], Refuses, &[]),
    Row::of(&["rt_sigprocmask"], &["EFAULT", "EINVAL"], Refuses, &[]),
    // The log, and what is printed at the start.
    Row::of(&["write"], WRITE, Goes, &[Comes, Closes, Asks, Stops]),
    Row::of(&["getpid"], &[], Absent, &[]), // always succeeds, says getpid(2)
    Row::of(&["openat", "open"], OPEN, Goes, &[]),
    Row::of(&["dup2", "dup3"], &["EBADF", "EBUSY", "EINTR", "EINVAL", "EMFILE"], Goes, &[]),
    Row::of(&["statx", "newfstatat", "fstatat64", "fstat"], FILE, Goes, &[]),
    Row::of(&["read"], READ, Goes, &[Asks, Stops]), // files at the start, and then signals
    Row::of(&["pread64"], READ, Goes, &[]),
    Row::of(&["prlimit64"], &["EFAULT", "EINVAL", "EPERM", "ESRCH"], Assumed, &[]),
    Row::of(
        &["clock_getres", "clock_getres_time64"],
        &["EACCES", "EFAULT", "EINVAL", "ENODEV", "EOPNOTSUPP", "EPERM"],
        Assumed,
        &[],
    ),
    // Memory.
    Row::of(&["brk"], &["ENOMEM"], Goes, &[Pours]),
    Row::of(&["mmap", "mmap2"], MAP, Goes, &[Crowds]),
    Row::of(&["mremap"], &["EAGAIN", "EFAULT", "EINVAL", "ENOMEM"], Goes, &[Crowds]),
    Row::of(&["munmap"], &["EINVAL", "ENOMEM"], Goes, &[Disperses]),
    // Only debug builds of Rust's library make this call, before each close, to find descriptors that were
    // already closed elsewhere.
    Row::of(&["fcntl", "fcntl64"], FCNTL, Goes, &[Closes, Stops]),
    // Before `main`, and after its end.
    Row::before_main(&["access", "faccessat"], &["EACCES", "ENOENT", "ENOMEM", "EIO"]),
    Row::before_main(&["arch_prctl"], &["EFAULT", "EINVAL", "ENODEV", "EPERM"]),
    Row::before_main(&["execve"], &[]), // made by strace
    Row::before_main(&["exit_group"], &[]),
    Row::before_main(&["getrandom"], &["EAGAIN", "EFAULT", "EINTR", "EINVAL", "ENOSYS"]),
    Row::before_main(&["gettid"], &[]),
    Row::before_main(&["mprotect"], &["EACCES", "EFAULT", "EINVAL", "ENOMEM"]),
    Row::before_main(&["poll", "ppoll", "ppoll_time64"], &["EFAULT", "EINTR", "EINVAL", "ENOMEM"]),
    Row::before_main(&["rt_sigaction"], &["EFAULT", "EINVAL"]),
    Row::before_main(&["rseq"], &["EBUSY", "EFAULT", "EINVAL", "ENOSYS", "EPERM"]),
    Row::before_main(&["sched_getaffinity"], &["EFAULT", "EINVAL", "EPERM", "ESRCH"]),
    Row::before_main(&["set_robust_list"], &["EFAULT", "EINVAL", "EPERM", "ESRCH"]),
    Row::before_main(&["set_tid_address"], &[]),
    Row::before_main(&["sigaltstack"], &["EFAULT", "EINVAL", "ENOMEM", "EPERM"]),
];
