//! Questions that no thread of ours can ask: a child goes inside, asks, says what it heard, and ends.
//!
//! Inside another user namespace: a FUSE mount with `allow_other` that was made in a user namespace answers processes of that namespace alone; for everybody
//! else, root of the host too, the kernel fakes an empty success, dead or alive. A thread cannot enter a user namespace (its
//! process has others).
//!
//! Inside another root: who follows a path there by an fd of it needs one more fd, and luck with each `..`. Who has it for his own root needs
//! nothing, so whatever he is refused for want of something was said by a mount on the way.
//!
//! A child that waits for a mount may be beyond SIGKILL and outlive who asked. So it has nothing of his open, whose end nobody would hear of
//! else, and where it can die it dies with him.

use std::{
    ffi::CStr,
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

use crate::{asker::Asker, raw};

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
pub(crate) fn statfs(asker: &Asker, namespace: &OwnedFd, mount: BorrowedFd<'_>) -> nix::Result<nix::Result<()>> {
    let (namespace, mount) = (namespace.as_raw_fd(), mount.as_raw_fd());
    let mut answer = [0u64; 32]; // struct statfs has 120 bytes
    // SAFETY: `ask` makes raw calls only.
    unsafe { by_child(asker, [namespace, mount], |parent| ask(namespace, mount, parent, &mut answer)) }
}

/// Follows a path in this root, with the caller's identity. Blocks as long as the mounts on the way do.
///
/// # Errors
/// Outer: there was no child to do it. Inner: what was said on the way.
pub(crate) fn follow(asker: &Asker, root: BorrowedFd<'_>, path: &CStr) -> nix::Result<nix::Result<()>> {
    let root = root.as_raw_fd();
    let mut seen = [0u64; 64]; // struct statx has 256 bytes
    // SAFETY: `walk` makes raw calls only.
    unsafe { by_child(asker, [root], |_| walk(root, path, &mut seen)) }
}

/// Forks a child that has only these files open, runs `ask`, and says what came of it.
///
/// # Errors
/// As [`statfs`].
///
/// # Safety
/// `ask` makes raw calls only: the caller has other threads. It is told the pid of the child's parent.
unsafe fn by_child<const N: usize>(
    asker: &Asker,
    open: [RawFd; N],
    ask: impl FnOnce(i32) -> (raw::Stage, Errno),
) -> nix::Result<nix::Result<()>> {
    let (report, tell) = raw::report_pipe()?;
    let mut keep: Vec<RawFd> = open.into_iter().chain([tell.as_raw_fd()]).collect();
    keep.sort_unstable();
    let parent = nix::unistd::getpid().as_raw();
    asker.run(|| {
        // SAFETY: the child makes raw calls, as those of `ask` are, and leaves.
        match unsafe { raw::fork(0) }? {
            raw::Side::Parent(pid) => Ok(pid),
            raw::Side::Child => {
                raw::close_all_but(&keep);
                let (stage, errno) = secluded(parent).map_or_else(|errno| (ENTER, errno), |()| ask(parent));
                raw::leave(tell.as_raw_fd(), stage, errno)
            }
        }
    })?;
    drop(tell);
    match raw::read_report(std::os::fd::AsFd::as_fd(&report)) {
        Some((ASK, 0)) => Ok(Ok(())),
        Some((ASK, errno)) => Ok(Err(Errno::from_raw(errno))),
        Some((_, errno)) => Err(Errno::from_raw(errno)),
        None => Err(Errno::EOWNERDEAD), // it was killed
    }
}

/// In the child: it dies with its parent, and root of the namespace it enters cannot trace it.
fn secluded(parent: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    raw::check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })?;
    raw::die_with(parent)
}

/// In the child.
fn ask(namespace: i32, mount: i32, parent: i32, answer: &mut [u64; 32]) -> (raw::Stage, Errno) {
    // SAFETY: numbers only; the child is alone in its process.
    let entered = raw::check(unsafe { libc::syscall(libc::SYS_setns, namespace, libc::CLONE_NEWUSER) });
    // Once more: with its capabilities it has lost the signal.
    if let Err(errno) = entered.and_then(|_| raw::die_with(parent)) {
        return (ENTER, errno);
    }
    // SAFETY: room for more than the kernel writes, which outlives the call.
    heard(unsafe { libc::syscall(libc::SYS_fstatfs, mount, answer.as_mut_ptr()) })
}

/// In the child. The root may be a mount that answers too, so each call is a question.
fn walk(root: i32, path: &CStr, seen: &mut [u64; 64]) -> (raw::Stage, Errno) {
    // SAFETY: numbers only; the child shares its directory with nobody.
    let there = raw::check(unsafe { libc::syscall(libc::SYS_fchdir, root) })
        // SAFETY: a terminated path; the child shares its root with nobody.
        .and_then(|_| raw::check(unsafe { libc::syscall(libc::SYS_chroot, c".".as_ptr()) }));
    if let Err(errno) = there {
        return (ASK, errno);
    }
    let flags = libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
    // SAFETY: a terminated path, and as much room as the kernel writes, which outlives the call.
    heard(unsafe { libc::syscall(libc::SYS_statx, libc::AT_FDCWD, path.as_ptr(), flags, 0, seen.as_mut_ptr()) })
}

fn heard(answer: libc::c_long) -> (raw::Stage, Errno) {
    (ASK, raw::check(answer).err().unwrap_or(Errno::UnknownErrno)) // 0: it answered
}
