//! What was done to a process of ours while it wore a tenant's ids: all that its owner could change, before and after.

use std::ptr;

use nix::errno::Errno;

use crate::{identity::ids, raw};

/// Limits that a kernel knows.
const LIMITS: usize = 16;
/// Words of a set of processors: a kernel with more says EINVAL, always.
const PROCESSORS: usize = 128;

/// All of a process that its owner could change, and its ids.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) parent: i32,
    uids: [u32; 3],
    gids: [u32; 3],
    limits: [[u64; 2]; LIMITS],
    /// Niceness, policy, class of its disk traffic.
    priority: [libc::c_long; 3],
    processors: [u64; PROCESSORS],
}

impl Condition {
    pub(crate) fn now() -> Result<Self, Errno> {
        let (mut limits, mut processors) = ([[0u64; 2]; LIMITS], [0u64; PROCESSORS]);
        for (which, limit) in limits.iter_mut().enumerate() {
            // SAFETY: two words that outlive the call; nothing is set.
            raw::check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, which, ptr::null::<u8>(), limit.as_mut_ptr()) })?;
        }
        // SAFETY: the block is as long as we say and outlives the call.
        unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&processors), processors.as_mut_ptr()) };
        // SAFETY: numbers only.
        let nice = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
        // SAFETY: numbers only.
        let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
        // SAFETY: numbers only; 1: of a process.
        let disk = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
        // SAFETY: no arguments.
        let parent = unsafe { libc::syscall(libc::SYS_getppid) } as i32;
        let (uids, gids) = (ids(libc::SYS_getresuid)?, ids(libc::SYS_getresgid)?);
        Ok(Self { parent, uids, gids, limits, priority: [nice, policy, disk], processors })
    }

    /// Puts the ids back on, and dies with its keeper again, which a change of ids takes back.
    pub(crate) fn put_back(&self) -> Result<(), Errno> {
        let ([ruid, euid, suid], [rgid, egid, sgid]) = (self.uids, self.gids);
        // SAFETY: numbers only.
        raw::check(unsafe { libc::syscall(libc::SYS_setresgid, rgid, egid, sgid) })?;
        // SAFETY: numbers only.
        raw::check(unsafe { libc::syscall(libc::SYS_setresuid, ruid, euid, suid) })?;
        raw::die_with(self.parent)
    }
}
