//! `poll(2)` for a loop of one thread.

use std::{os::fd::BorrowedFd, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout},
};

/// One fd, and what is waited for. Its end is always waited for too.
#[derive(Clone, Copy, Debug)]
pub struct Interest<'a> {
    fd: BorrowedFd<'a>,
    flags: PollFlags,
}

impl<'a> Interest<'a> {
    /// Something to read.
    #[must_use]
    pub fn readable(fd: BorrowedFd<'a>) -> Self {
        Self { fd, flags: PollFlags::POLLIN }
    }

    /// Room to write, and nothing else.
    #[must_use]
    pub fn writable(fd: BorrowedFd<'a>) -> Self {
        Self { fd, flags: PollFlags::POLLOUT }
    }

    /// Room to write counts as well, if so.
    #[must_use]
    pub fn or_writable(self, so: bool) -> Self {
        Self { flags: if so { self.flags | PollFlags::POLLOUT } else { self.flags }, ..self }
    }

    /// A change, as the files of `/proc` tell it; each is told once.
    #[must_use]
    pub fn changed(fd: BorrowedFd<'a>) -> Self {
        Self { fd, flags: PollFlags::POLLPRI }
    }
}

/// Waits until one of the fds is ready or has ended, at most for this long (None: for ever). Gives for each whether it is. Read
/// them all afterwards without waiting; an interrupted wait is one in which nothing was ready.
///
/// # Errors
/// ENOMEM.
pub fn poll(interests: &[Interest<'_>], timeout: Option<Duration>) -> nix::Result<Vec<bool>> {
    let mut fds: Vec<_> = interests.iter().map(|i| PollFd::new(i.fd, i.flags)).collect();
    // Rounded up: a deadline that is reached a little early would be waited for again and again, without pause.
    let timeout = match timeout {
        None => PollTimeout::NONE,
        Some(t) => {
            let ms = t.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
        }
    };
    match nix::poll::poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    Ok(fds.iter().map(|fd| fd.any().unwrap_or(true)).collect())
}
