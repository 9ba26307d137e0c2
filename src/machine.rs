//! How much memory there is for this process: the machine's, its cgroup's, or what its own limits leave.
//!
//! Owns the reading of /proc and of the cgroup's files. Knows nothing of what the memory is used for.
#![forbid(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::process::{Resource, getrlimit};

/// Where cgroups are mounted, and what their files are called (Linux's admin-guide/cgroup-v2.rst and
/// cgroup-v1/memory.rst).
struct Version {
    mount: &'static str,
    /// What /proc/self/cgroup has between the colons.
    controllers: &'static str,
    limits: &'static [&'static str],
    usage: &'static str,
    /// Pages that the kernel reclaims before it kills a process.
    cache: [&'static str; 2],
}

/// More than any of these files holds up to the line that is needed.
const MOST: usize = 8192;

const VERSIONS: [Version; 2] = [
    Version {
        mount: "/sys/fs/cgroup",
        controllers: "",
        limits: &["memory.max", "memory.high"],
        usage: "memory.current",
        cache: ["inactive_file ", "active_file "],
    },
    Version {
        mount: "/sys/fs/cgroup/memory",
        controllers: "memory",
        limits: &["memory.limit_in_bytes"],
        usage: "memory.usage_in_bytes",
        cache: ["total_inactive_file ", "total_active_file "],
    },
];

/// The memory that there is, in bytes.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The smallest of all limits and of the machine's own memory.
    pub memory: usize,
    /// Of the cgroup with the smallest limit, where there is one.
    pub gauge: Option<Gauge>,
}

impl Machine {
    /// Reads the machine's memory, the limits of each cgroup up to the root, RLIMIT_AS and
    /// RLIMIT_DATA. What cannot be read limits nothing.
    pub(crate) fn look() -> Self {
        let mut buffer = [0; MOST];
        let total = open("/proc/meminfo").as_ref().and_then(|file| field(text(file, &mut buffer)?, "MemTotal:"));
        let mut memory = total.map_or(usize::MAX, |kibibytes| kibibytes.saturating_mul(1024));
        for limit in [Resource::As, Resource::Data] {
            memory = memory.min(getrlimit(limit).current.map_or(usize::MAX, |bytes| bytes as usize));
        }
        let gauge = Gauge::find("", memory);
        Self { memory: gauge.as_ref().map_or(memory, |gauge| gauge.limit), gauge }
    }
}

/// Measures how much memory a cgroup uses. The kernel's share is included: sockets, and in cgroup v2 what
/// waits in them.
#[derive(Debug)]
pub(crate) struct Gauge {
    limit: usize,
    usage: File,
    stat: File,
    cache: [&'static str; 2],
}

impl Gauge {
    /// The cgroup of this process whose limit is the smallest, if that is below `memory`. All files are looked
    /// for under `root`.
    fn find(root: &str, memory: usize) -> Option<Self> {
        let mut buffer = [0; MOST];
        let own = text(&open(&format!("{root}/proc/self/cgroup"))?, &mut buffer)?;
        let (mut smallest, mut found) = (memory, None);
        for version in &VERSIONS {
            let path = own.lines().find_map(|line| {
                let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
                controllers.split(',').any(|name| name == version.controllers).then_some(path)
            });
            // In a container the path may be the host's: then the levels that are not there have no limit, and
            // the container's own is that of the mount.
            let mut level = path.unwrap_or_default();
            loop {
                let directory = format!("{root}{}{level}/", version.mount);
                for limit in version.limits.iter().filter_map(|file| number(&open(&format!("{directory}{file}"))?)) {
                    if limit < smallest {
                        (smallest, found) = (limit, Some((directory.clone(), version)));
                    }
                }
                let Some((above, _)) = level.rsplit_once('/') else { break };
                level = above;
            }
        }
        let (directory, version) = found?;
        let open = |name| open(&format!("{directory}{name}"));
        Some(Self { limit: smallest, usage: open(version.usage)?, stat: open("memory.stat")?, cache: version.cache })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// How much may still be used, in bytes: two system calls at most. `None` if the kernel's
    /// figures cannot be read.
    pub(crate) fn free(&self) -> Option<usize> {
        let mut used = number(&self.usage)?;
        if used > self.limit / 2 {
            let mut buffer = [0; MOST];
            let stat = text(&self.stat, &mut buffer)?;
            let cache = self.cache.iter().filter_map(|name| field(stat, name)).sum::<usize>();
            used -= cache.min(used);
        }
        Some(self.limit.saturating_sub(used))
    }
}

fn open(path: &str) -> Option<File> {
    File::open(path).ok()
}

fn text<'a>(file: &File, buffer: &'a mut [u8]) -> Option<&'a str> {
    let count = file.read_at(buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..count]).ok()
}

/// `None` for "max", which is no limit.
fn number(file: &File) -> Option<usize> {
    text(file, &mut [0; 32])?.trim_end().parse().ok()
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_ascii().split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A tree of files such as the kernel shows.
    struct Tree(PathBuf);

    impl Tree {
        fn grow(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("stillthere-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }

        fn find(&self) -> Option<Gauge> {
            Gauge::find(self.0.to_str().unwrap(), 1 << 40)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const MEBI: usize = 1 << 20;

    #[test]
    fn the_smallest_limit_up_to_the_root_counts() {
        let tree = Tree::grow(
            "v2",
            &[
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                ("sys/fs/cgroup/a/memory.max", "104857600\n"),
                ("sys/fs/cgroup/a/memory.high", "67108864\n"),
                ("sys/fs/cgroup/a/memory.current", "50331648\n"),
                ("sys/fs/cgroup/a/memory.stat", "anon 1\nfile 7\ninactive_file 4194304\nactive_file 4194304\nslab 5\n"),
            ],
        );
        let gauge = tree.find().unwrap();
        assert_eq!((gauge.limit(), gauge.free()), (64 * MEBI, Some(24 * MEBI)), "what is cached can be had");
    }

    #[test]
    fn a_container_sees_its_own_limit_at_the_mount() {
        let tree = Tree::grow(
            "v1",
            &[
                ("proc/self/cgroup", "9:name=systemd:/x\n4:cpu,memory:/docker/abc\n0::/\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "33554432\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1048576\n"),
                ("sys/fs/cgroup/memory/memory.stat", "cache 7\ntotal_inactive_file 9\n"),
            ],
        );
        let gauge = tree.find().unwrap();
        assert_eq!((gauge.limit(), gauge.free()), (32 * MEBI, Some(31 * MEBI)));
    }

    #[test]
    fn no_limit_is_no_gauge() {
        let tree = Tree::grow(
            "none",
            &[
                ("proc/self/cgroup", "4:memory:/\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
        );
        assert!(tree.find().is_none());
        assert!(Machine::look().memory >= 16 * MEBI, "this machine has some");
    }
}
