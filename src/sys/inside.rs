//! One question to a mount, asked from inside another user namespace.
//!
//! A FUSE mount with `allow_other` that was made in a user namespace answers processes of that namespace alone; for everybody
//! else, root of the host too, the kernel fakes an empty success, dead or alive. A thread cannot enter a user namespace (its
//! process has others), so a child does: it enters, asks, says what it heard, and ends.

use std::{
    fs,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
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
    let (report, tell) = raw::report_pipe()?;
    let mut answer = [0u64; 32]; // struct statfs has 120 bytes
    // SAFETY: the child makes the raw calls of `ask` and leaves.
    match unsafe { raw::fork(0) }? {
        raw::Side::Child => {
            let (stage, errno) = ask(namespace.as_raw_fd(), mount.as_raw_fd(), &mut answer);
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
fn ask(namespace: i32, mount: i32, answer: &mut [u64; 32]) -> (raw::Stage, Errno) {
    // SAFETY: numbers only; the child is alone in its process.
    if let Err(errno) = raw::check(unsafe { libc::syscall(libc::SYS_setns, namespace, libc::CLONE_NEWUSER) }) {
        return (ENTER, errno);
    }
    // SAFETY: room for more than the kernel writes, which outlives the call.
    match raw::check(unsafe { libc::syscall(libc::SYS_fstatfs, mount, answer.as_mut_ptr()) }) {
        Ok(_) => (ASK, Errno::UnknownErrno), // 0
        Err(errno) => (ASK, errno),
    }
}
