//! `poll(2)` for a loop of one thread.

use std::{os::fd::BorrowedFd, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout},
};

/// One fd that is waited for, and whether room to write counts too.
#[derive(Clone, Copy, Debug)]
pub struct Interest<'a> {
    /// The fd.
    pub fd: BorrowedFd<'a>,
    /// Wait for room to write as well as for something to read.
    pub write: bool,
}

/// Waits until one of the fds is ready or has ended, at most for this long (None: for ever). Gives for each whether it is. Read
/// them all afterwards without waiting; an interrupted wait is one in which nothing was ready.
///
/// # Errors
/// ENOMEM.
pub fn poll(interests: &[Interest<'_>], timeout: Option<Duration>) -> nix::Result<Vec<bool>> {
    let mut fds: Vec<_> = interests
        .iter()
        .map(|i| PollFd::new(i.fd, if i.write { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN }))
        .collect();
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
