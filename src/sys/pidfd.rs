//! Signals to a process by its pidfd: never to a stranger who was given the same number.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::stat::Stat;

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

/// Whether a process that has not been reaped has ended but for threads that cannot: one that waits in the kernel beyond SIGKILL keeps
/// what the process had open, so the end of no socket tells, and no pidfd either. (`PIDFD_THREAD`, measured on 6.18, waits for all threads
/// as well.) Its first thread has left by then.
#[must_use]
pub fn has_ended_but_for_threads(pidfd: &impl AsFd, pid: i32) -> bool {
    let has_left = Stat::of_first_thread(pid).is_some_and(|stat| matches!(stat.field(3), Some('Z' | 'X')));
    // Asked afterwards: the number was still its own when it was read.
    has_left && signal(pidfd, 0).is_ok()
}

/// Whether a process that has not been reaped was stopped (SIGSTOP): it does nothing until it is continued.
#[must_use]
pub fn is_stopped(pidfd: &impl AsFd, pid: i32) -> bool {
    let stopped = Stat::of_first_thread(pid).is_some_and(|stat| stat.field(3) == Some('T'));
    // Asked afterwards, as above.
    stopped && signal(pidfd, 0).is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lives_has_not_ended_and_who_was_not_reaped_has() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let pidfd = open(pid).unwrap();
        assert!(!has_ended_but_for_threads(&pidfd, pid) && !is_stopped(&pidfd, pid));
        signal(&pidfd, libc::SIGSTOP).unwrap();
        while !is_stopped(&pidfd, pid) {
            std::thread::yield_now();
        }
        assert!(!has_ended_but_for_threads(&pidfd, pid));
        child.kill().unwrap();
        while !has_ended_but_for_threads(&pidfd, pid) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!has_ended_but_for_threads(&pidfd, pid), "the number may be anybody's");
    }
}
