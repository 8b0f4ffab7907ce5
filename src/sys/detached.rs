//! A mount of the kernel's own file systems that stands nowhere: it has no path, hides nothing, and keeps no other mount busy.

use std::{
    ffi::CStr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::errno::Errno;

use crate::raw::check;

/// `FSCONFIG_CMD_CREATE`, kernel ABI since Linux 5.2.
const CREATE: u32 = 6;

/// The root of a fresh mount, open as a path.
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

fn fd(call: impl FnOnce() -> libc::c_long) -> nix::Result<OwnedFd> {
    let number = check(call())?;
    let number = RawFd::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
