//! What the host, or the daemon, has no more of.
//!
//! A birth and every fork of init's own happen as root, against the bounds of the host and of the daemon: what is missing there is
//! missing for all, and no failure of the vassal that asked next. A bound of the vassal's own is: `pids.max` of the control group in its
//! file, for a birth (the host looks, see `SpawnFailed`) as for a fork of init's, which cannot be told apart and counts as its own in any
//! control group of its own. So are its user's `RLIMIT_NPROC`, which bounds no root, and what its own programs lack.
//!
//! New namespaces are made by root too, at a birth or by init for `unshare` and the cgroup namespace. Their limits (`/proc/sys/user`) count
//! all namespaces of root's, those of other programs included. The kernel's ENOSPC has nothing to do with a disk then.

use liege_plan::Unshare;
use liege_spec::Namespaces;

const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
/// What Linux before 4.9 says for ENOSPC, and of user namespaces some later ones too.
const EUSERS: i32 = 87;

/// In words, if this errno tells of something that is used up.
#[must_use]
pub fn missing(errno: i32) -> Option<&'static str> {
    match errno {
        EAGAIN => {
            Some("no process is left on this host (pids.max of the daemon's control group, kernel.threads-max or kernel.pid_max)")
        }
        ENOMEM => Some("no memory is left on this host"),
        ENFILE => Some("no descriptor is left on this host (fs.file-max)"),
        EMFILE => Some("no descriptor is left in the daemon (LimitNOFILE of its unit, ulimit -n)"),
        _ => None,
    }
}

/// The same of namespaces of these kinds that were to be made at once. The kernel does not say which of the limits it was.
#[must_use]
pub(crate) fn no_namespace(errno: i32, kinds: Namespaces) -> Option<String> {
    if ![ENOSPC, EUSERS].contains(&errno) {
        return None;
    }
    let Namespaces { mount, pid, ipc, uts, net, cgroup, user } = kinds;
    let asked = [(mount, "mnt"), (pid, "pid"), (ipc, "ipc"), (uts, "uts"), (net, "net"), (cgroup, "cgroup"), (user, "user")];
    let limits = asked.iter().filter(|(is_asked, _)| *is_asked).map(|(_, kind)| format!("user.max_{kind}_namespaces"));
    let nested = if pid || user { ", or more than 32 of them one in the other" } else { "" };
    let limits = limits.collect::<Vec<_>>().join(", ");
    Some(format!("no namespace is left on this host (sysctl {limits}{nested})"))
}

/// Those that a process makes for itself.
pub(crate) fn kinds(unshare: Unshare) -> Namespaces {
    let Unshare { mount, ipc, uts, net, cgroup } = unshare;
    Namespaces { mount, ipc, uts, net, cgroup, ..Namespaces::default() }
}
