//! Who the server is to be: `NAME`, `NAME:GROUP`, or their numbers; and becoming that for good.
//!
//! Owns the lookup in /etc/passwd and /etc/group, which it reads itself: a static binary cannot load the modules of the C library that
//! ask a directory (nsswitch.conf(5)), and one program must not find other users than another.

use std::fmt;
use std::io;

use nix::unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::confine::contents;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// A user, with all of its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// As it was given.
    name: String,
    pub uid: u32,
    pub gid: u32,
    /// Each once, its own one first.
    groups: Vec<u32>,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (uid {}, gid {})", self.name, self.uid, self.gid)
    }
}

impl User {
    /// Looks up `NAME[:GROUP]`. Without a group: all groups that the user has; with one: that group and no other.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub(crate) fn find(text: &str) -> Result<Self, String> {
        let read = |path: &str| match contents(path) {
            // In a container there may be none, and numbers need none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| format!("{path} cannot be read: {error}")),
        };
        Self::find_in(text, &read(USERS)?, &read(GROUPS)?)
    }

    /// Whether it looks like `NAME[:GROUP]`. Who that is is looked up when it is needed: the next program cannot, in a sandbox.
    ///
    /// # Errors
    /// A clause.
    pub(crate) fn check(text: &str) -> Result<(), String> {
        let is_name = |name: &str| {
            let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$@".contains(&byte) || !byte.is_ascii();
            !name.is_empty() && !name.starts_with('-') && name.bytes().all(may_be)
        };
        let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
        if is_name(name) && group.is_none_or(is_name) {
            Ok(())
        } else {
            Err("it must be NAME or NAME:GROUP, or their numbers".to_string())
        }
    }

    fn find_in(text: &str, users: &str, groups: &str) -> Result<Self, String> {
        Self::check(text)?;
        let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
        // A name comes first: it may consist of digits.
        let entry = lines(users).find(|fields| fields[0] == name).or_else(|| {
            let uid = number(name)?;
            lines(users).find(|fields| fields.get(2).copied().and_then(number) == Some(uid))
        });
        let field = |nth: usize| entry.as_ref().and_then(|fields| number(fields.get(nth)?));
        let uid = field(2).or_else(|| number(name)).ok_or_else(|| {
            format!(
                "there is no user {name:?} in {USERS}; users of a directory (LDAP and the like) are given by numbers: 1000:1000"
            )
        })?;
        let gid = match group {
            Some(group) => lines(groups)
                .find(|fields| fields[0] == group)
                .and_then(|fields| number(fields.get(2)?))
                .or_else(|| number(group))
                .ok_or_else(|| format!("there is no group {group:?} in {GROUPS}; a number will do, too"))?,
            None => field(3).ok_or_else(|| {
                format!("user {name} is not in {USERS}, so its group is not known: give it, too, as {name}:{name}")
            })?,
        };
        if uid == 0 {
            return Err("it is root, who gives up nothing; name the user that the server is to be".to_string());
        }
        let mut all = vec![gid];
        if let (None, Some(user)) = (group, entry.map(|fields| fields[0])) {
            for fields in lines(groups) {
                let mut members = fields.get(3).unwrap_or(&"").split(',');
                match number(fields[2]) {
                    Some(gid) if members.any(|member| member.trim() == user) && !all.contains(&gid) => all.push(gid),
                    _ => {}
                }
            }
        }
        Ok(Self { name: name.to_string(), uid, gid, groups: all })
    }

    /// Becomes this user, with none of root's rights, and makes sure that there is no way back. True if it was another one before.
    ///
    /// # Errors
    /// A clause; the process may be neither of the two then, and must end.
    pub(crate) fn become_for_good(&self) -> Result<bool, String> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let now = getresuid().map_err(failed("getresuid"))?;
        if now.effective == uid && now.real == uid && now.saved == uid && self.is_in_force() {
            return Ok(false);
        }
        if !now.effective.is_root() {
            return Err(format!(
                "only root can become another user, and this is uid {}; start it as root, or as that user without --user",
                now.effective
            ));
        }
        let groups: Vec<_> = self.groups.iter().copied().map(Gid::from_raw).collect();
        // In this order: without root's rights nobody may change groups.
        setgroups(&groups).map_err(failed("setgroups"))?;
        setresgid(gid, gid, gid).map_err(failed("setresgid"))?;
        setresuid(uid, uid, uid).map_err(failed("setresuid"))?;
        // The kernel has taken them away, unless whoever started us had them kept (SECBIT_KEEP_CAPS, SECBIT_NO_SETUID_FIXUP).
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
            .map_err(|error| format!("capset fails: {error}"))?;
        if !self.is_in_force() {
            return Err("some of root's rights have stayed".to_string());
        }
        let root = Uid::from_raw(0);
        if setresuid(root, root, root).is_ok() {
            return Err("it could become root again".to_string());
        }
        Ok(true)
    }

    /// This process is this user, with these groups and no capability.
    fn is_in_force(&self) -> bool {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let users = getresuid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [uid; 3]);
        let groups = getresgid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [gid; 3]);
        let others = getgroups().is_ok_and(|has| {
            // In any order, and whoever set them may have named one twice. (To sort them takes 3 kB.)
            let wanted = |group: &Gid| self.groups.contains(&group.as_raw());
            has.iter().all(wanted) && self.groups.iter().all(|group| has.contains(&Gid::from_raw(*group)))
        });
        let has_none = capabilities(None)
            .is_ok_and(|sets| sets.permitted.is_empty() && sets.effective.is_empty() && sets.inheritable.is_empty());
        users && groups && others && has_none
    }
}

/// What a failed call means to a person.
fn failed(call: &str) -> impl Fn(nix::errno::Errno) -> String + '_ {
    move |errno| {
        let error = io::Error::from(errno);
        let hint = if errno == nix::errno::Errno::EPERM {
            "; root needs CAP_SETUID and CAP_SETGID for this, and a user namespace that allows setgroups"
        } else {
            ""
        };
        format!("{call} fails: {error}{hint}")
    }
}

/// The lines of a file like passwd(5) that have a number in their third field.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() >= 3)
}

/// An id. The highest one means "no change" to the kernel.
fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| is_number && *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment: 1:2\n\ndaemon:x:1:1::/:\nserver:x:990:991::/:/bin/false\n7:x:77:78::/:\nbroken:x\n+::::::\nodd:x:-1:5::/:\n";
    const GROUPS: &str = "root:x:0:\nserver:x:991:\nlog:x:4:syslog,server\nssl:x:112:server , other\nthe-server:x:992:serverx\nbad\nx:x:y:server\n";

    fn find(text: &str) -> Result<User, String> {
        User::find_in(text, USERS, GROUPS)
    }

    fn ids(text: &str) -> (u32, u32, Vec<u32>) {
        let user = find(text).unwrap();
        (user.uid, user.gid, user.groups)
    }

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(ids("server"), (990, 991, vec![991, 4, 112]), "with all groups of the user");
        assert_eq!(ids("990"), (990, 991, vec![991, 4, 112]), "by its number");
        assert_eq!(ids("server:log"), (990, 4, vec![4]), "with this group alone");
        assert_eq!(ids("server:5"), (990, 5, vec![5]));
        assert_eq!(ids("1000:1001"), (1000, 1001, vec![1001]), "known to a directory, or to nobody");
        assert_eq!(ids("7"), (77, 78, vec![78]), "a name of digits is a name");
        assert_eq!(User::find_in("5:6", "", "").unwrap().groups, [6], "a container without these files");
        assert_eq!(find("server").unwrap().to_string(), "server (uid 990, gid 991)");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("", "NAME or NAME:GROUP"),
            (":log", "NAME or NAME:GROUP"),
            ("server:", "NAME or NAME:GROUP"),
            ("nobody", "no user \"nobody\" in /etc/passwd; users of a directory"),
            ("server:none", "no group \"none\" in /etc/group"),
            ("1000", "its group is not known: give it, too, as 1000:1000"),
            ("root", "gives up nothing"),
            ("0:5", "gives up nothing"),
            ("000", "gives up nothing"),
            // The kernel would keep what it has: setresuid(2).
            ("4294967295:1", "no user"),
            ("server:4294967295", "no group"),
            ("-1:1", "NAME or NAME:GROUP"),
            ("+5:1", "NAME or NAME:GROUP"),
            ("a b", "NAME or NAME:GROUP"),
            ("a:b:c", "NAME or NAME:GROUP"),
            ("99999999999:1", "no user"),
            ("broken", "no user"),
            ("odd", "no user"),
        ] {
            let because = find(text).unwrap_err();
            assert!(because.contains(said), "{text}: {because}");
        }
    }

    #[test]
    fn who_is_not_root_is_told_so() {
        let uid = getresuid().unwrap().effective;
        if uid.is_root() {
            return; // tests/sandbox.rs tries the rest
        }
        let because = find("server").unwrap().become_for_good().unwrap_err();
        assert!(because.contains("only root can become another user"), "{because}");
    }
}
