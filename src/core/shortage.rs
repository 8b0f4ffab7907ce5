//! What the host, or the daemon, has no more of.
//!
//! A birth and every fork of init's own happen as root, against the bounds of the host and of the daemon: what is missing there is
//! missing for all, and no failure of the vassal that asked next. A bound of the vassal's own is: `pids.max` of the control group in its
//! file, for a birth (the host looks, see `SpawnFailed`) as for a fork of init's, which cannot be told apart and counts as its own in any
//! control group of its own. So are its user's `RLIMIT_NPROC`, which bounds no root, and what its own programs lack.

const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

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
