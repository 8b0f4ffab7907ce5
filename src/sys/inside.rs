//! Questions that no thread of ours can ask: a child goes inside, asks, says what it heard, and ends (`switch.rs`).
//!
//! Inside another user namespace: a FUSE mount with `allow_other` that was made in a user namespace answers processes of that namespace alone; for everybody
//! else, root of the host too, the kernel fakes an empty success, dead or alive. A thread cannot enter a user namespace (its
//! process has others). Nor can a process leave one: what is kept for the time when no child can be made stays inside, one for each life (`insiders.rs`).
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
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use crate::{
    asker::Asker,
    insiders::INSIDERS,
    raw, statx,
    switch::{self, Guise},
};

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

/// `fstatfs` of an open mount by a child that has entered the namespace, which is this process's. Blocks as long as the mount does.
///
/// # Errors
/// Outer: it could not be asked. Inner: what it answered.
pub(crate) fn statfs(pid: i32, asker: &Asker, namespace: &OwnedFd, mount: BorrowedFd<'_>) -> nix::Result<nix::Result<()>> {
    let open = [namespace.as_raw_fd(), mount.as_raw_fd()];
    // SAFETY: system calls only, which open nothing.
    let answer = unsafe { switch::ask_apart(Guise::Inside(namespace), asker, &open, || Ok(()), || statx::statfs(mount)) };
    if answer.is_ok() {
        INSIDERS.want(namespace, pid);
    }
    answer
}

/// Follows a path in this root, with the caller's identity. Blocks as long as the mounts on the way do.
///
/// # Errors
/// Outer: there was no child to do it. Inner: what was said on the way.
pub(crate) fn follow(asker: &Asker, root: BorrowedFd<'_>, path: &CStr) -> nix::Result<nix::Result<()>> {
    let root = root.as_raw_fd();
    let mut seen = [0u64; 64]; // struct statx has 256 bytes
    // The root may be a mount that answers too, so each call is a question.
    let walk = || {
        switch::enter(root)?;
        let flags = libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
        // SAFETY: a terminated path, and as much room as the kernel writes, which outlives the call.
        raw::check(unsafe { libc::syscall(libc::SYS_statx, libc::AT_FDCWD, path.as_ptr(), flags, 0, seen.as_mut_ptr()) })
            .map(drop)
    };
    // SAFETY: system calls only, which open nothing.
    unsafe { switch::ask_apart(Guise::Ours, asker, &[root], || Ok(()), walk) }
}
