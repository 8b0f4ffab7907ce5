//! Signals to a process by its pidfd: never to a stranger who was given the same number.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// Sends a signal (0 only asks). A signal without a handler never reaches pid 1 of a namespace, SIGKILL and SIGSTOP apart.
///
/// # Errors
/// ESRCH when the process has been reaped.
pub fn signal(pidfd: &impl AsFd, signal: i32) -> nix::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: numbers only; no siginfo is passed, so the kernel makes its own.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<libc::siginfo_t>(), 0) };
    Errno::result(answer).map(drop)
}

/// A pidfd of a process that is known only by its number. Only the parent can be sure whom it gets.
///
/// # Errors
/// ESRCH when there is no such process.
pub fn open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: numbers only.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just made this fd for us, close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
