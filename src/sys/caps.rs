//! Capabilities of the calling thread: effective, permitted, inheritable, and the ambient set.
//!
//! The bounding set is deliberately out of reach here: setuid programs live from it (fusermount mounts with what it
//! leaves), and so does every program root executes, which gets back all the bounding set allows.

use nix::errno::Errno;

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
/// `chroot`.
pub const SYS_CHROOT: u64 = 1 << 18;
/// Mounts, `pivot_root`, host name and much else.
pub const SYS_ADMIN: u64 = 1 << 21;

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
    fn the_numbers_are_the_kernels() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("CapEff:\t")).unwrap();
        assert_eq!(u64::from_str_radix(line, 16).unwrap(), get().unwrap().effective);
    }
}
