//! A network that can be cut: client, router and server, each in a network namespace.
//!
//! Owns the namespaces: it makes them with iproute2, cuts the way between them, and removes them,
//! its own and those that killed runs left behind. Also finds out whether this machine allows any of
//! that, and says what to type where it does not. Knows nothing of the program under test.
//!
//! ```text
//!   client 10.0.1.2 ──── 10.0.1.1 router 10.0.2.1 ──── 10.0.2.2 server
//!                        cut: a blackhole route for each end
//! ```
//!
//! The way is cut in the router, and no link is taken down: at the end of a veth pair that would
//! lose the carrier at the other end, and the server's kernel would take its own retransmissions
//! for local congestion.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::{env, process};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// All namespaces of these tests are called `stillthere-<pid>-<number>-<role>`.
const PREFIX: &str = "stillthere-";
const ROLES: [&str; 3] = ["client", "router", "server"];
/// Where iproute2 keeps its namespaces.
const NAMESPACES: &str = "/var/run/netns";
pub const CLIENT: &str = "10.0.1.2";
pub const SERVER: &str = "10.0.2.2";
/// Tells this program that it runs in a user namespace that it made for itself.
const MARK: &str = "DEAD_PEER_IN_ITS_USER_NAMESPACE";

/// What a router can do with packets that it will not forward.
#[derive(Clone, Copy)]
pub enum Cut {
    /// They vanish, in both directions: nobody is told.
    BlackHole,
    /// Those to the client are answered with "host unreachable", as a router does that finds nobody at
    /// home. The other direction stays open, for that is the way of the answer.
    Unreachable,
}

/// Three namespaces, wired. They are removed when the test ends, however that ends.
pub struct Network {
    name: String,
}

impl Network {
    /// # Errors
    /// What this machine does not allow, in the words of the program that was refused.
    pub fn new() -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // From here on its Drop removes what was made, if only half of it.
        let network = Self { name: format!("{PREFIX}{}-{number}", process::id()) };
        let [client, router, server] = ROLES.map(|role| network.namespace(role));
        batch(&[], &format!("netns add {client}\nnetns add {router}\nnetns add {server}\n"))?;
        batch(
            &["-n", &router],
            &format!(
                "link add to-client type veth peer name to-router netns {client}\n\
                 link add to-server type veth peer name to-router netns {server}\n\
                 address add 10.0.1.1/24 dev to-client\n\
                 address add 10.0.2.1/24 dev to-server\n\
                 link set to-client up\n\
                 link set to-server up\n"
            ),
        )?;
        for (namespace, address, gateway) in [(&client, CLIENT, "10.0.1.1"), (&server, SERVER, "10.0.2.1")] {
            batch(
                &["-n", namespace],
                &format!(
                    "link set lo up\n\
                     address add {address}/24 dev to-router\n\
                     link set to-router up\n\
                     route add default via {gateway}\n"
                ),
            )?;
        }
        // /proc/sys/net is that of the thread which opens it.
        network
            .inside("router", || fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?
            .map_err(|error| format!("the router cannot be made to forward: /proc/sys/net/ipv4/ip_forward: {error}"))?;
        Ok(network)
    }

    /// From now on nothing gets through.
    pub fn cut(&self, how: Cut) {
        let routes = match how {
            Cut::BlackHole => format!("route add blackhole {CLIENT}/32\nroute add blackhole {SERVER}/32\n"),
            Cut::Unreachable => format!("route add unreachable {CLIENT}/32\n"),
        };
        batch(&["-n", &self.namespace("router")], &routes).expect("the way can be cut");
    }

    /// Runs `work` in a thread of its own inside one of the namespaces. A socket stays where it was
    /// made, and can be used from outside.
    pub fn inside<T: Send>(&self, role: &str, work: impl FnOnce() -> T + Send) -> Result<T, String> {
        let path = Path::new(NAMESPACES).join(self.namespace(role));
        let enter = || {
            let namespace = File::open(&path)?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            io::Result::Ok(())
        };
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    enter().map_err(|error| format!("{} cannot be entered: {error}", path.display()))?;
                    Ok(work())
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The same command, to be run in the server's namespace.
    pub fn on_server(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.namespace("server")]).arg(command.get_program()).args(command.get_args());
        inside
    }

    fn namespace(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for role in ROLES {
            remove(&self.namespace(role));
        }
    }
}

/// Removes a namespace, if it is there.
fn remove(namespace: &str) {
    let _ = Command::new("ip").args(["netns", "delete", namespace]).stderr(Stdio::null()).status();
}

/// Removes what runs left behind that were killed: their namespaces, and the servers in them, which would
/// keep those alive.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(NAMESPACES) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if pid.is_none_or(|pid| Path::new("/proc").join(pid.to_string()).exists()) {
            continue;
        }
        if let Ok(told) = Command::new("ip").args(["netns", "pids", &name]).output() {
            for orphan in String::from_utf8_lossy(&told.stdout).split_whitespace() {
                let _ = Command::new("kill").args(["-s", "KILL", orphan]).stderr(Stdio::null()).status();
            }
        }
        remove(&name);
    }
}

/// Runs several commands of `ip` at once.
fn batch(options: &[&str], commands: &str) -> Result<(), String> {
    let mut child = Command::new("ip")
        .args(options)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("ip cannot be run: {error}"))?;
    // It may have ended already, and then says why.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(commands.as_bytes()));
    let told = child.wait_with_output().map_err(|error| format!("ip cannot be waited for: {error}"))?;
    if told.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&told.stderr).trim().replace('\n', "; ");
    Err(format!("`ip {}` says: {reason}", [options, &["-batch", "-"]].concat().join(" ")))
}

/// Whether a network can be had here. Where root is wanted and this is not root, the program starts
/// itself again as the root of a user namespace, and does not come back from this call.
///
/// # Errors
/// What is missing, and what to type.
pub fn prepare() -> Result<(), String> {
    if !is_iproute2() {
        return Err("`ip` and `ss` of iproute2 are missing. Type `apt-get install iproute2` (Debian, Ubuntu), \
                    `dnf install iproute` (Fedora) or `apk add iproute2` (Alpine)."
            .to_string());
    }
    let marked = env::var_os(MARK).is_some();
    if marked {
        // `ip netns` wants a place that this user may write to.
        let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]).status();
        if !mounted.is_ok_and(|status| status.success()) {
            return Err(format!("/run cannot be mounted in a user namespace. {}", what_to_type()));
        }
    }
    remove_leftovers();
    let Err(refused) = trial_run() else { return Ok(()) };
    if marked {
        return Err(format!("In a user namespace too, {refused}. {}", what_to_type()));
    }
    let error = again_in_a_user_namespace();
    Err(format!("{refused}; and as the root of a user namespace: {error}. {}", what_to_type()))
}

/// Not the `ip` of busybox, which knows no namespaces.
fn is_iproute2() -> bool {
    ["ip", "ss"].into_iter().all(|program| {
        let told = Command::new(program).arg("-V").output();
        told.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).contains("iproute2"))
    })
}

/// All that the trials do with a network, once.
fn trial_run() -> Result<(), String> {
    let network = Network::new()?;
    let told = network.on_server(&Command::new("true")).output().map_err(|error| error.to_string())?;
    if told.status.success() {
        return Ok(());
    }
    Err(format!("`ip netns exec` says: {}", String::from_utf8_lossy(&told.stderr).trim()))
}

/// Comes back only if it could not, and says why.
fn again_in_a_user_namespace() -> String {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount"]);
        command
    };
    match unshare().arg("true").output() {
        Ok(told) if told.status.success() => {}
        Ok(told) => return String::from_utf8_lossy(&told.stderr).trim().to_string(),
        Err(error) => return format!("unshare (of util-linux) cannot be run: {error}"),
    }
    match env::current_exe() {
        Ok(program) => unshare().arg(program).args(env::args_os().skip(1)).env(MARK, "1").exec().to_string(),
        Err(error) => error.to_string(),
    }
}

fn what_to_type() -> String {
    "Type `sudo -E env \"PATH=$PATH\" cargo test --test dead_peer`; in a container, start it with \
     `--privileged`. Or allow user namespaces: `sudo sysctl -w kernel.unprivileged_userns_clone=1` (Debian), \
     `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu)."
        .to_string()
}
