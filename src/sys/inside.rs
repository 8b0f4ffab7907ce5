//! One question to a mount, asked from inside another user namespace.
//!
//! A FUSE mount with `allow_other` that was made in a user namespace answers processes of that namespace alone; for everybody
//! else, root of the host too, the kernel fakes an empty success, dead or alive. A thread cannot enter a user namespace (its
//! process has others), so a child does: it enters, asks, says what it heard, and ends.
//!
//! A child that waits for a mount may be beyond SIGKILL and outlive who asked. So it has nothing of his open, whose end nobody would hear of
//! else, and where it can die it dies with him.

use std::{
    fs,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::fs::MetadataExt,
    },
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use crate::{raw, wait};

/// Where the child was: at the door, or at the mount.
const ENTER: raw::Stage = 0;
const ASK: raw::Stage = 1;

/// The user namespace of a process. None: it is ours.
pub(crate) fn other_user_namespace(pid: i32) -> nix::Result<Option<OwnedFd>> {
    let number = |path: &str| fs::metadata(path).map(|meta| meta.ino());
    let theirs = format!("/proc/{pid}/ns/user");
    match (number(&theirs), number("/proc/self/ns/user")) {
        (Ok(theirs), Ok(ours)) if theirs == ours => return Ok(None),
        (Ok(_), Ok(_)) => {}
        _ => return Err(Errno::ESRCH),
    }
    open(theirs.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).map(Some)
}

/// `fstatfs` of an open mount by a child that has entered the namespace. Blocks as long as the mount does.
///
/// # Errors
/// Outer: it could not be asked. Inner: what it answered.
pub(crate) fn statfs(namespace: &OwnedFd, mount: BorrowedFd<'_>) -> nix::Result<nix::Result<()>> {
    let (namespace, mount) = (namespace.as_raw_fd(), mount.as_raw_fd());
    let mut answer = [0u64; 32]; // struct statfs has 120 bytes
    // SAFETY: `ask` makes raw calls only.
    unsafe { by_child([namespace, mount], |parent| ask(namespace, mount, parent, &mut answer)) }
}

/// Forks a child that has only these files open, runs `ask`, and says what came of it.
///
/// # Errors
/// As [`statfs`].
///
/// # Safety
/// `ask` makes raw calls only: the caller has other threads. It is told the pid of the child's parent.
pub(crate) unsafe fn by_child<const N: usize>(
    open: [RawFd; N],
    ask: impl FnOnce(i32) -> (raw::Stage, Errno),
) -> nix::Result<nix::Result<()>> {
    let (report, tell) = raw::report_pipe()?;
    let mut keep: Vec<RawFd> = open.into_iter().chain([tell.as_raw_fd()]).collect();
    keep.sort_unstable();
    let parent = nix::unistd::getpid().as_raw();
    // SAFETY: the child makes raw calls, as those of `ask` are, and leaves.
    match unsafe { raw::fork(0) }? {
        raw::Side::Child => {
            raw::close_all_but(&keep);
            let (stage, errno) = raw::die_with(parent).map_or_else(|errno| (ENTER, errno), |()| ask(parent));
            raw::leave(tell.as_raw_fd(), stage, errno)
        }
        raw::Side::Parent(pid) => {
            drop(tell);
            let said = raw::read_report(std::os::fd::AsFd::as_fd(&report));
            wait::reap_blocking(pid);
            match said {
                Some((ASK, 0)) => Ok(Ok(())),
                Some((ASK, errno)) => Ok(Err(Errno::from_raw(errno))),
                Some((_, errno)) => Err(Errno::from_raw(errno)),
                None => Err(Errno::EINTR), // it was killed
            }
        }
    }
}

/// In the child. Errno 0: it answered.
fn ask(namespace: i32, mount: i32, parent: i32, answer: &mut [u64; 32]) -> (raw::Stage, Errno) {
    // SAFETY: numbers only; the child is alone in its process.
    let entered = raw::check(unsafe { libc::syscall(libc::SYS_setns, namespace, libc::CLONE_NEWUSER) });
    // Once more: with its capabilities it has lost the signal.
    if let Err(errno) = entered.and_then(|_| raw::die_with(parent)) {
        return (ENTER, errno);
    }
    // SAFETY: room for more than the kernel writes, which outlives the call.
    match raw::check(unsafe { libc::syscall(libc::SYS_fstatfs, mount, answer.as_mut_ptr()) }) {
        Ok(_) => (ASK, Errno::UnknownErrno), // 0
        Err(errno) => (ASK, errno),
    }
}
