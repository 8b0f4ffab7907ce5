//! Making and keeping fds. Everything is close-on-exec from its birth.

use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{AddressFamily, SockFlag, SockType},
};

/// A pair of connected unix stream sockets.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn socketpair() -> nix::Result<(OwnedFd, OwnedFd)> {
    nix::sys::socket::socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)
}

/// Sets close-on-exec on one fd.
///
/// # Errors
/// None for an open fd.
pub fn cloexec(fd: &impl AsFd) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map(drop)
}

/// Marks every fd from this number on close-on-exec, known or not.
///
/// # Errors
/// ENOSYS or EINVAL before Linux 5.11.
pub fn cloexec_from(first: u32) -> nix::Result<()> {
    // SAFETY: numbers only; the flag closes nothing now.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(answer).map(drop)
}

/// Takes an fd that this program was started with, under a number both sides agreed on. None: nothing is open there, or
/// it was opened or taken by this program: only an fd that came through exec lacks close-on-exec, and it gets that here.
#[must_use]
pub fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: numbers only; asks for the flags of an fd, open or not.
    let flags = Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) }).ok()?;
    if flags & libc::FD_CLOEXEC != 0 {
        return None;
    }
    // SAFETY: it is open, and nobody in this program owns it: whatever is opened here is close-on-exec from its birth.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    cloexec(&fd).ok()?;
    Some(fd)
}

pub use libc::O_NONBLOCK;
