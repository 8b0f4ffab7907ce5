//! Capabilities of the calling thread: effective, permitted, inheritable, and the ambient set.
//!
//! The bounding set is touched where the emperor says so, and for visitors of who was born so: setuid programs live from it (fusermount mounts with
//! what it leaves), and so does every program root executes, which gets back all the bounding set allows.

use nix::errno::Errno;

use crate::{raw::check, status};

/// Sets of capabilities, one bit each (`1 << CAP_KILL`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// What calls are checked against.
    pub effective: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What a program with inheritable file capabilities keeps.
    pub inheritable: u64,
}

/// `chown` of anything.
pub const CHOWN: u64 = 1;
/// Read, write and search past permissions.
pub const DAC_OVERRIDE: u64 = 1 << 1;
/// Read and search past permissions.
pub const DAC_READ_SEARCH: u64 = 1 << 2;
/// `chmod` of others' files.
pub const FOWNER: u64 = 1 << 3;
/// Signals to anybody.
pub const KILL: u64 = 1 << 5;
/// `setgroups`, `setresgid`.
pub const SETGID: u64 = 1 << 6;
/// `setresuid`.
pub const SETUID: u64 = 1 << 7;
/// `PR_CAPBSET_DROP`, secure bits.
pub const SETPCAP: u64 = 1 << 8;
/// A look at what other users' processes have open.
pub const SYS_PTRACE: u64 = 1 << 19;
/// `chroot`.
pub const SYS_CHROOT: u64 = 1 << 18;
/// Mounts, `pivot_root`, host name and much else.
pub const SYS_ADMIN: u64 = 1 << 21;

/// A nice value below 0.
pub const SYS_NICE: u64 = 1 << 23;
/// Limits above the hard ones.
pub const SYS_RESOURCE: u64 = 1 << 24;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

const VERSION_3: u32 = 0x2008_0522;
/// Effective, permitted, inheritable of the low 32 capabilities, then of the high ones.
type Words = [u32; 6];

/// The calling thread's sets.
///
/// # Errors
/// None that the kernel documents for ourselves.
pub fn get() -> nix::Result<Caps> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut words: Words = [0; 6];
    // SAFETY: header and six words are the layout of version 3; both outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) })?;
    let both = |low: usize| u64::from(words[low]) | u64::from(words[low + 3]) << 32;
    Ok(Caps { effective: both(0), permitted: both(1), inheritable: both(2) })
}

/// Sets the calling thread's sets. What leaves the permitted set comes back only by exec.
///
/// # Errors
/// EPERM for anything not permitted before.
pub fn set(caps: &Caps) -> nix::Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let Caps { effective, permitted, inheritable } = *caps;
    let low = |set: u64| set as u32;
    let high = |set: u64| (set >> 32) as u32;
    let words: Words = [low(effective), low(permitted), low(inheritable), high(effective), high(permitted), high(inheritable)];
    // SAFETY: as in `get`; the words are only read.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) }).map(drop)
}

/// Keeps of effective and permitted only these, and empties inheritable and ambient.
///
/// # Errors
/// None: less is always allowed.
pub fn keep(wanted: u64) -> nix::Result<()> {
    clear_ambient()?;
    let now = get()?;
    set(&Caps { effective: now.effective & wanted, permitted: now.permitted & wanted, inheritable: 0 })
}

/// As [`keep`], but these others stay permitted: without effect until they are [raised](raise).
///
/// # Errors
/// None: less is always allowed.
pub fn keep_and_park(wanted: u64, parked: u64) -> nix::Result<()> {
    clear_ambient()?;
    let now = get()?;
    set(&Caps { effective: now.effective & wanted, permitted: now.permitted & (wanted | parked), inheritable: 0 })
}

/// Makes these effective, as far as they are permitted.
///
/// # Errors
/// None: what is permitted may be effective.
pub fn raise(wanted: u64) -> nix::Result<()> {
    let now = get()?;
    set(&Caps { effective: now.effective | now.permitted & wanted, ..now })
}

/// Takes every capability that is not in this set out of the bounding set, for good and for all descendants.
///
/// # Errors
/// EPERM without `CAP_SETPCAP`.
pub fn bound(left: u64) -> nix::Result<()> {
    for number in 0..u64::BITS {
        // SAFETY: numbers only.
        let has = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
        match has {
            1 if left >> number & 1 == 0 => {
                // SAFETY: numbers only.
                Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) })?;
            }
            0 | 1 => {}
            _ => break, // the kernel knows no more of them
        }
    }
    Ok(())
}

/// The bounding set of a process.
///
/// # Errors
/// ESRCH: there is none of this number.
pub fn bound_of(pid: i32) -> nix::Result<u64> {
    status::field(pid, "CapBnd").and_then(|set| u64::from_str_radix(&set, 16).ok()).ok_or(Errno::ESRCH)
}

/// Makes these the sets of a program that is executed next, whoever executes it: the ambient set brings them through exec. Raw
/// calls only, so a forked child may call it; after the change of identity, through which `keep_through_setuid` brought them.
///
/// # Errors
/// EPERM for what was not permitted.
pub(crate) fn hand_down(wanted: u64) -> nix::Result<()> {
    set(&Caps { effective: wanted, permitted: wanted, inheritable: wanted })?;
    for number in (0..u64::BITS).filter(|number| wanted >> number & 1 == 1) {
        let raise = libc::PR_CAP_AMBIENT_RAISE;
        // SAFETY: numbers only.
        check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAP_AMBIENT, raise, number, 0, 0) })?;
    }
    Ok(())
}

/// The permitted set survives the next change of the user id.
pub(crate) fn keep_through_setuid() -> nix::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }).map(drop)
}

/// From now on root is nobody special when it executes a program: it has what the sets say.
///
/// # Errors
/// EPERM without `CAP_SETPCAP`.
pub(crate) fn root_is_nobody_special() -> nix::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_SECUREBITS, libc::SECBIT_NOROOT, 0, 0, 0) }).map(drop)
}

/// Empties the ambient set.
///
/// # Errors
/// EINVAL before Linux 4.3.
pub fn clear_ambient() -> nix::Result<()> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capabilities belong to a thread, so each test tries on one of its own.
    fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|s| s.spawn(work).join().unwrap())
    }

    #[test]
    fn what_is_kept_is_all_there_is() {
        on_a_thread(|| {
            keep(KILL | SETUID).unwrap();
            assert_eq!(get().unwrap(), Caps { effective: KILL | SETUID, permitted: KILL | SETUID, inheritable: 0 });
            assert_eq!(set(&Caps { effective: SYS_ADMIN, permitted: SYS_ADMIN, inheritable: 0 }), Err(Errno::EPERM));
        });
    }

    #[test]
    fn what_is_parked_has_no_effect_until_it_is_raised() {
        on_a_thread(|| {
            keep_and_park(KILL, SYS_ADMIN).unwrap();
            assert_eq!(get().unwrap(), Caps { effective: KILL, permitted: KILL | SYS_ADMIN, inheritable: 0 });
            raise(SYS_ADMIN | SETUID).unwrap();
            assert_eq!(get().unwrap().effective, KILL | SYS_ADMIN);
        });
    }

    #[test]
    fn a_bound_is_read_as_it_was_set() {
        on_a_thread(|| {
            bound(KILL | SETUID).unwrap();
            assert_eq!(bound_of(nix::unistd::gettid().as_raw()), Ok(KILL | SETUID));
        });
        assert_eq!(bound_of(i32::MAX), Err(Errno::ESRCH));
    }

    #[test]
    fn the_numbers_are_the_kernels() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("CapEff:\t")).unwrap();
        assert_eq!(u64::from_str_radix(line, 16).unwrap(), get().unwrap().effective);
    }
}
