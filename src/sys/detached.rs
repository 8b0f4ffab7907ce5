//! Mounts that stand nowhere: they have no path, hide nothing, and keep no other mount busy.

use std::{
    ffi::{CStr, CString},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
};

use nix::errno::Errno;

use crate::raw::check;

/// `FSCONFIG_CMD_CREATE`, kernel ABI since Linux 5.2.
const CREATE: u32 = 6;

/// The root of a fresh mount of one of the kernel's own file systems, open as a path.
pub(crate) fn mount(fstype: &CStr) -> nix::Result<OwnedFd> {
    let context = fd(|| {
        // SAFETY: a terminated name; a new fd is made.
        unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), libc::FSOPEN_CLOEXEC) }
    })?;
    let (raw, nothing) = (context.as_raw_fd(), ptr::null::<u8>());
    // SAFETY: this command takes neither key nor value.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, raw, CREATE, nothing, nothing, 0) })?;
    fd(|| {
        // SAFETY: numbers only; a new fd is made.
        unsafe { libc::syscall(libc::SYS_fsmount, raw, libc::FSMOUNT_CLOEXEC, 0) }
    })
}

/// A mount of this directory and what is in it that stands nowhere: whoever has it gets no further up than to its root. What is
/// mounted below is not in it.
///
/// # Errors
/// ENOENT; EPERM without `CAP_SYS_ADMIN`.
pub fn tree(directory: &Path) -> nix::Result<OwnedFd> {
    let path = CString::new(directory.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    fd(|| {
        // SAFETY: a terminated path; a new fd is made.
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) }
    })
}

/// As [`tree`], but read-only, with these attributes (`MOUNT_ATTR_*`) beside, and deaf to what is mounted elsewhere.
///
/// # Errors
/// ENOSYS before Linux 5.12; EPERM without `CAP_SYS_ADMIN`.
pub(crate) fn read_only(directory: &Path, attributes: u64) -> nix::Result<OwnedFd> {
    let mount = tree(directory)?;
    // struct mount_attr: set, clear, propagation, userns
    let attributes = [libc::MOUNT_ATTR_RDONLY | attributes, 0, libc::MS_PRIVATE, 0];
    let size = size_of_val(&attributes);
    // SAFETY: a terminated string and a block as long as we say, which outlive the call and are only read.
    check(unsafe {
        libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, attributes.as_ptr(), size)
    })?;
    Ok(mount)
}

fn fd(call: impl FnOnce() -> libc::c_long) -> nix::Result<OwnedFd> {
    let number = check(call())?;
    let number = RawFd::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
