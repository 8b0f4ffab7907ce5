//! A question to a file system, asked by a process that wears the identity of its owner for this one question.
//!
//! A FUSE file system without `allow_other` answers only a process whose real, effective and saved ids are all its owner's. The
//! kernel lets every process of that owner kill or stop a process with such ids and set its limits (`prlimit`). A thread shares its signals and limits with its whole process, so a thread in a tenant's identity, even for
//! microseconds, hands the prober to that tenant: thread ids are stable, and a loop hits any window. A pid namespace for the prober
//! hides nothing (its ancestors see its pids), nor does a capability that it keeps, nor a user namespace: `kill` compares ids.
//!
//! So no thread of the prober wears them. [`ask`] makes a child that shares memory (`CLONE_VM`) and open files with the prober, as a
//! thread does, and is a process of its own: signals and limits are its alone. It asks one question and ends,
//! so nothing that was done to it lasts. All that is left to an owner is the look at its own mount: one that is killed answers
//! `EOWNERDEAD`, one that is stopped is found and killed by whoever judges late looks. The child's memory is the prober's, and out of
//! the owner's reach: a change of ids makes it undumpable, and the child keeps capabilities that the owner lacks, which refuses
//! `ptrace`, `/proc/PID/mem`, `oom_score_adj`, `setpriority` and `sched_setaffinity`.
//!
//! Measured on 6.18: a thread that switches, asks and switches back takes 7 µs; the child 15 µs of CPU and 24 µs until the answer
//! (19 and 31 with 3,000 open files), and no memory in peace; one that hangs holds 27 KB of the kernel's. A fork that copies the memory
//! takes 130 µs. Not chosen: a process for each owner (60 KB each in peace, and what was done to it lasts), a quarantine for owners
//! that attacked (they must be found out, and released some day), a personality of io_uring (switched off on many hosts, and it knows
//! no `statfs`).
//!
//! A child that changes its root, or enters a user namespace (`inside.rs`), is made the same way, with open files of its own.
//!
//! Where no child can be made (`EAGAIN`, `ENOMEM`), one asks that was kept for that (`reserve.rs`). It has open files of its own: those
//! that a question needs are named with it.
//!
//! A child that waits for a mount beyond SIGKILL outlives a prober that is killed, and keeps its files open.

use std::{
    ffi::c_void,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::errno::Errno;

use crate::{
    asker::Asker, handed, identity::ids, insiders::INSIDERS, place::Question, raw, reserve::RESERVE, signals, vfork, wait::Ended,
};

/// The ids a question is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// As whom a question is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guise<'a> {
    /// As the caller.
    Ours,
    /// As this owner.
    Owner(Owner),
    /// As the caller, in this user namespace.
    Inside(&'a OwnedFd),
}

/// Has `work` done by a child that shares all open files with the caller, as this owner. Where the caller is the owner it does it itself.
/// `work` uses none but these open files: where no child can be made, who asks has no others.
///
/// # Errors
/// The child could not be made and none in reserve is for this owner (EAGAIN), or it could not get the identity (EPERM without `CAP_SETPCAP`, `CAP_SETUID` and `CAP_SETGID`);
/// `EOWNERDEAD`: it was killed.
///
/// # Safety
/// `work` makes system calls only: it allocates, locks and drops nothing, and opens no file, which would stay open if it was killed.
pub(crate) unsafe fn ask<T: Copy>(owner: Owner, asker: &Asker, open: &[RawFd], work: impl FnOnce() -> T) -> Result<T, Errno> {
    if ids(libc::SYS_getresuid)? == [owner.uid; 3] && ids(libc::SYS_getresgid)? == [owner.gid; 3] {
        return Ok(work());
    }
    // SAFETY: the caller's promise.
    unsafe { by_child(Files::Shared, Guise::Owner(owner), asker, open, || Ok(()), work) }
}

/// Has `work` done by a child with a place of its own and none but these files open, in this guise. `before` comes first, still as the
/// caller.
///
/// # Errors
/// As [`ask`], and what `before` says.
///
/// # Safety
/// As [`ask`], for both closures; what they open is closed with the child.
pub(crate) unsafe fn ask_apart<T: Copy>(
    guise: Guise<'_>,
    asker: &Asker,
    open: &[RawFd],
    before: impl FnOnce() -> Result<(), Errno>,
    work: impl FnOnce() -> T,
) -> Result<T, Errno> {
    // SAFETY: the caller's promise.
    unsafe { by_child(Files::Own, guise, asker, open, before, work) }
}

/// In a child that shares its place with nobody: this directory is its root from now on.
pub(crate) fn enter(root: RawFd) -> Result<(), Errno> {
    // SAFETY: numbers only.
    raw::check(unsafe { libc::syscall(libc::SYS_fchdir, root) })?;
    // SAFETY: a terminated path.
    raw::check(unsafe { libc::syscall(libc::SYS_chroot, c".".as_ptr()) }).map(drop)
}

/// Which open files a child has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    /// Those of the caller.
    Shared,
    /// Copies of those that the question names, which are closed with it.
    Own,
}

/// Who the child becomes.
#[derive(Clone, Copy)]
enum Becomes {
    Nobody,
    Owner(Owner),
    Inside(RawFd),
}

/// What the child reads, and where its answer goes.
struct Errand<T, B, W> {
    becomes: Becomes,
    parent: i32,
    /// The files it keeps, in ascending order. None: it shares the caller's.
    keep: Option<([RawFd; handed::MOST], usize)>,
    before: Option<B>,
    work: Option<W>,
    answer: Result<T, Errno>,
}

/// # Safety
/// As [`ask_apart`].
unsafe fn by_child<T: Copy, B: FnOnce() -> Result<(), Errno>, W: FnOnce() -> T>(
    files: Files,
    guise: Guise<'_>,
    asker: &Asker,
    open: &[RawFd],
    before: B,
    work: W,
) -> Result<T, Errno> {
    let parent = nix::unistd::getpid().as_raw();
    let becomes = match guise {
        Guise::Ours => Becomes::Nobody,
        Guise::Owner(owner) => Becomes::Owner(owner),
        Guise::Inside(namespace) => Becomes::Inside(namespace.as_raw_fd()),
    };
    let (flags, keep) = match files {
        Files::Shared => (libc::CLONE_FILES as u64, None),
        Files::Own => (0, Some(kept(open)?)),
    };
    let mut errand = Errand { becomes, parent, keep, before: Some(before), work: Some(work), answer: Err(Errno::EOWNERDEAD) };
    let mut stack = vec![0u128; vfork::STACK / size_of::<u128>()];
    // Blocked in the child too: KILL and STOP are all that reaches it.
    let blocked = signals::block_all_in_thread();
    let data = ptr::from_mut(&mut errand).cast();
    let ended = asker.run(|| {
        // SAFETY: signals are blocked; the closures make raw calls only (the caller's promise) and `child` no others. This thread does
        // nothing but wait until the child has ended, so stack and errand outlive it and are touched by it alone.
        unsafe { vfork::beside(flags, &mut stack, child::<T, B, W>, data) }
    });
    drop(blocked);
    if matches!(ended, Err(Errno::EAGAIN | Errno::ENOMEM)) {
        if let Guise::Inside(_) = guise {
            errand.becomes = Becomes::Nobody; // who asks is inside
        }
        let moves = files == Files::Own && !matches!(guise, Guise::Inside(_));
        let question = Question::new(open, moves, perform::<T, B, W>, ptr::from_mut(&mut errand).cast());
        match guise {
            // SAFETY: the caller's promise for the closures; the errand is not begun, and outlives the call.
            Guise::Inside(namespace) => unsafe { INSIDERS.ask(namespace, asker, &question) }?,
            // SAFETY: as above.
            Guise::Ours | Guise::Owner(_) => unsafe { RESERVE.ask(asker, &question) }?,
        }
        return errand.answer;
    }
    match ended? {
        Some(Ended::Code(0)) => errand.answer,
        // It may have been killed in the middle of its answer.
        Some(Ended::Code(_) | Ended::Signal(_)) | None => Err(Errno::EOWNERDEAD),
    }
}

/// The same in ascending order, in memory that a child may read, and how many they are.
fn kept(open: &[RawFd]) -> Result<([RawFd; handed::MOST], usize), Errno> {
    let mut keep = [0; handed::MOST];
    let kept = keep.get_mut(..open.len()).ok_or(Errno::E2BIG)?;
    kept.copy_from_slice(open);
    kept.sort_unstable();
    Ok((keep, open.len()))
}

/// The child's way from the clone to its end.
///
/// # Safety
/// As [`perform`].
unsafe extern "C" fn child<T, B: FnOnce() -> Result<(), Errno>, W: FnOnce() -> T>(data: *mut c_void, _: bool) -> ! {
    // SAFETY: the caller's promise.
    if let Some((keep, count)) = unsafe { &*data.cast::<Errand<T, B, W>>() }.keep {
        raw::close_all_but(&keep[..count]);
    }
    // SAFETY: the caller's promise.
    unsafe { perform::<T, B, W>(data) };
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(0) }
}

/// In a child: becomes who it is to be, asks, and leaves the answer.
///
/// # Safety
/// `data` is an [`Errand`] of these types, and this process's alone.
unsafe fn perform<T, B: FnOnce() -> Result<(), Errno>, W: FnOnce() -> T>(data: *mut c_void) {
    // SAFETY: the caller's promise.
    let errand = unsafe { &mut *data.cast::<Errand<T, B, W>>() };
    if let (Some(before), Some(work)) = (errand.before.take(), errand.work.take()) {
        let become_it = || match errand.becomes {
            Becomes::Nobody => seclude(),
            Becomes::Owner(owner) => wear(owner),
            Becomes::Inside(namespace) => go_inside(namespace),
        };
        let ready = before().and_then(|()| become_it()).and_then(|()| raw::die_with(errand.parent));
        errand.answer = ready.map(|()| work());
    }
}

/// In a child: it enters a user namespace, whose root cannot trace it. Its signal of death is lost with its capabilities.
pub(crate) fn go_inside(namespace: RawFd) -> Result<(), Errno> {
    seclude()?;
    // SAFETY: numbers only; the child is alone in its process and shares its place with nobody.
    raw::check(unsafe { libc::syscall(libc::SYS_setns, namespace, libc::CLONE_NEWUSER) })?;
    seclude()
}

/// Nobody traces this process, or reads its memory. `fs.suid_dumpable` may say otherwise after each change of ids.
fn seclude() -> Result<(), Errno> {
    // SAFETY: numbers only.
    raw::check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

/// All three uids and gids of this process. `SECBIT_NO_SETUID_FIXUP` keeps the capabilities, to pass the directories of others
/// on the way to the mount.
fn wear(Owner { uid, gid }: Owner) -> Result<(), Errno> {
    // SAFETY: numbers only.
    let bits = raw::check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_GET_SECUREBITS, 0, 0, 0, 0) })?;
    let bits = bits | libc::c_long::from(libc::SECBIT_NO_SETUID_FIXUP);
    // SAFETY: numbers only.
    raw::check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_SECUREBITS, bits, 0, 0, 0) })?;
    // SAFETY: numbers only. The group first: it needs the rights that may go away with the user.
    raw::check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: numbers only.
    raw::check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })?;
    seclude()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descendants;

    const TENANT: Owner = Owner { uid: 54_321, gid: 54_322 };

    fn pid() -> i32 {
        // SAFETY: no arguments.
        unsafe { libc::syscall(libc::SYS_getpid) as i32 }
    }

    #[test]
    fn the_child_wears_all_three_ids_and_the_caller_none() {
        let own = || (ids(libc::SYS_getresuid), ids(libc::SYS_getresgid), crate::caps::get());
        let before = own();
        // SAFETY: system calls only.
        let within = unsafe { ask(TENANT, &Asker::default(), &[], || (own(), pid())) }.unwrap();
        assert_eq!(within.0, (Ok([54_321; 3]), Ok([54_322; 3]), before.2), "ids change, capabilities stay");
        assert_ne!(within.1, pid(), "another process");
        assert_eq!(own(), before);
    }

    #[test]
    fn who_is_the_owner_asks_for_itself() {
        // SAFETY: system calls only.
        assert_eq!(unsafe { ask(Owner { uid: 0, gid: 0 }, &Asker::default(), &[], pid) }, Ok(pid()));
    }

    #[test]
    fn a_child_that_is_killed_takes_nothing_with_it() {
        let asker = Asker::default();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                // SAFETY: no arguments.
                let wait = || unsafe { libc::syscall(libc::SYS_pause) };
                // SAFETY: a system call only.
                unsafe { ask(TENANT, &asker, &[], wait) }
            });
            let child = loop {
                if let Some(pid) = asker.pid() {
                    break pid;
                }
                std::thread::yield_now();
            };
            descendants::kill(child, libc::SIGTERM).unwrap();
            assert_eq!(asker.pid(), Some(child), "only two signals reach it");
            asker.kill();
            assert_eq!(asked.join().unwrap(), Err(Errno::EOWNERDEAD));
        });
        assert_eq!(asker.pid(), None);
    }

    #[test]
    fn what_is_done_to_the_child_is_not_done_to_the_caller() {
        let limit = || {
            let mut both = [0u64; 2];
            // SAFETY: two words that outlive the call.
            unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, ptr::null::<u8>(), both.as_mut_ptr()) };
            both
        };
        let before = limit();
        let lowered = || {
            // SAFETY: two words that outlive the call.
            unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, [3u64; 2].as_ptr(), ptr::null::<u8>()) };
            limit()
        };
        // SAFETY: system calls only.
        assert_eq!(unsafe { ask(TENANT, &Asker::default(), &[], lowered) }, Ok([3; 2]));
        assert_eq!(limit(), before);
    }
}
