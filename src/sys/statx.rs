//! `statx` without a question to the file system (only what the kernel's own mount table says), and `statfs`, which is the question.

use std::{
    ffi::CStr,
    os::fd::{AsRawFd, BorrowedFd},
};

use crate::raw::check;

/// What the kernel fills in unasked: the classic mount id, the attributes. A question by name would be refused by the FUSE
/// mount of another user, so none is asked.
pub(crate) fn of_path(path: &CStr) -> nix::Result<libc::statx> {
    call(libc::AT_FDCWD, path, 0, 0)
}

/// The same of an open file, with these fields asked for.
pub(crate) fn of_fd(fd: BorrowedFd<'_>, mask: u32) -> nix::Result<libc::statx> {
    call(fd.as_raw_fd(), c"", libc::AT_EMPTY_PATH, mask)
}

/// The same of a name in a directory, as it is: no link is followed, no automount is woken.
pub(crate) fn of_name(directory: BorrowedFd<'_>, name: &CStr) -> nix::Result<libc::statx> {
    call(directory.as_raw_fd(), name, libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT, 0)
}

/// The device that an open file of a process is, by its place in a directory of `/proc`. None: it is no character device, or cannot be looked at.
pub(crate) fn device_of_link(directory: Option<BorrowedFd<'_>>, link: &CStr) -> Option<(u32, u32)> {
    let found = call(directory.map_or(libc::AT_FDCWD, |directory| directory.as_raw_fd()), link, 0, 0).ok()?;
    let is_device = u32::from(found.stx_mode) & libc::S_IFMT == libc::S_IFCHR;
    is_device.then_some((found.stx_rdev_major, found.stx_rdev_minor))
}

/// Whether this is the root of a mount (Linux 5.8).
pub(crate) fn is_mount_root(stat: &libc::statx) -> bool {
    stat.stx_attributes & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0
}

/// `fstatfs`, of which only the answer counts: this one asks the file system. Raw, so a child that shares our memory may call it.
pub(crate) fn statfs(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let mut answer = [0u64; 32]; // struct statfs has 120 bytes
    // SAFETY: room for more than the kernel writes, which outlives the call.
    check(unsafe { libc::syscall(libc::SYS_fstatfs, fd.as_raw_fd(), answer.as_mut_ptr()) }).map(drop)
}

fn call(at: i32, path: &CStr, flags: i32, mask: u32) -> nix::Result<libc::statx> {
    // SAFETY: all zeroes is a value of this plain C struct.
    let mut out: libc::statx = unsafe { std::mem::zeroed() };
    let flags = flags | libc::AT_STATX_DONT_SYNC;
    // SAFETY: the path is terminated and the struct outlives the call, which fills it.
    check(unsafe { libc::syscall(libc::SYS_statx, at, path.as_ptr(), flags, mask, &raw mut out) })?;
    Ok(out)
}
