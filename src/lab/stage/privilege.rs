//! What the lab needs to create networks: root, or a user namespace in which it is root.
//!
//! Owns the restart under `unshare`, and the error message for a machine that refuses it.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::lab::stage::namespaces::Namespace;
use crate::lab::stage::programs::installed;

/// Set in the environment of the program that runs inside, so that it is not restarted again.
const INSIDE: &str = "STILLTHERE_LAB_INSIDE";
const UNSHARE: [&str; 4] = ["--user", "--map-root-user", "--net", "--mount"];
/// `ip netns` keeps its names in /run, which only root can write; so a separate /run is mounted.
const WITH_OWN_RUN: &str = "mount -t tmpfs tmpfs /run && exec \"$@\"";

/// Returns if networks can be created here. Otherwise the program is started again, with the same
/// arguments, in a user namespace.
///
/// # Errors
/// A sentence: what is missing, and what to type.
pub fn obtain() -> Result<(), String> {
    if installed("ip").is_none() {
        return Err("the lab makes its networks with `ip`, which is not installed; `apt install iproute2`".to_string());
    }
    if is_root_here() {
        return Ok(());
    }
    let again = |why: &str| {
        format!(
            "the lab makes networks of its own, which needs root or user namespaces: {why}. Run it as root \
             (`sudo`), or allow user namespaces (`sysctl kernel.unprivileged_userns_clone=1`, \
             `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, `sysctl user.max_user_namespaces=1000`)"
        )
    };
    if std::env::var_os(INSIDE).is_some() {
        return Err(again("network namespaces cannot be created in the new user namespace"));
    }
    // Tried first with a command that does nothing: exec replaces this process, so after it nothing could report an error.
    let trial = Command::new("unshare")
        .args(UNSHARE)
        .args(["--", "sh", "-c", WITH_OWN_RUN, "sh", "ip", "netns", "add", "trial"])
        .stdin(Stdio::null())
        .output();
    match trial {
        Err(error) => return Err(again(&format!("`unshare` cannot be run: {error}"))),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(again(said.lines().next().unwrap_or("`unshare` failed").trim()));
        }
        Ok(_) => {}
    }
    let program = std::env::current_exe().map_err(|error| format!("cannot find my own program: {error}"))?;
    let error = Command::new("unshare")
        .args(UNSHARE)
        .args(["--", "sh", "-c", WITH_OWN_RUN, "sh"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(again(&format!("`unshare` cannot be run: {error}")))
}

/// Root may lack the capability, for instance in a container, so it is tried.
fn is_root_here() -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    Namespace::make(0, "trial").is_ok()
}
