//! How many descriptors this process may have open, raised as far as the kernel lets it.
//!
//! There are three bounds: the soft limit, which is what counts; the hard limit, up to which any process may
//! raise it; and `fs.nr_open`, above which the kernel accepts neither: it refuses a higher hard limit, even
//! one that was inherited and is only set again (`do_prlimit` in Linux's `kernel/sys.c`).
#![forbid(unsafe_code)]

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::sysctl;

/// What `fs.nr_open` is unless somebody changes it (`sysctl_nr_open` in Linux's `fs/file.c`).
const NR_OPEN: u64 = 1 << 20;

/// The result of [`raise`].
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// This many may be open.
    pub allowed: usize,
    /// What was asked for and not given, and why.
    pub refused: Option<(u64, io::Error)>,
}

/// Raises the soft limit as far as it goes. If the kernel refuses, the result says so, and the limit stays
/// what it was.
pub(crate) fn raise() -> Descriptors {
    let limit = getrlimit(Resource::Nofile);
    let most = most(limit.maximum, sysctl::number("fs/nr_open"));
    let refused = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) }).err();
    let allowed = getrlimit(Resource::Nofile).current.map_or(most, |soft| soft.min(most));
    Descriptors { allowed: allowed as usize, refused: refused.map(|error| (most, error.into())) }
}

/// The highest soft limit that can be set. Without a hard limit there is only the kernel's own.
fn most(hard: Option<u64>, nr_open: Option<u64>) -> u64 {
    hard.into_iter().chain(nr_open).min().unwrap_or(NR_OPEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_the_hard_limit_and_nr_open() {
        for (hard, nr_open, expected) in [
            (Some(4096), Some(1 << 20), 4096),
            (Some(1 << 30), Some(1 << 20), 1 << 20),
            (None, Some(1 << 20), 1 << 20),
            (Some(1 << 30), None, 1 << 30),
            (None, None, NR_OPEN),
        ] {
            assert_eq!(most(hard, nr_open), expected, "{hard:?} {nr_open:?}");
        }
    }
}
