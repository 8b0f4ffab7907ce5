//! Pipes that programs write to and nobody waits at.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd,
};

use crate::stream::Read;

/// A pipe: the end that is read, where a read never waits, and the end that is written to.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// Makes somebody the owner of a pipe, so that he may open it once more by its name (`/dev/stderr`).
///
/// # Errors
/// EPERM without `CAP_CHOWN`.
pub fn give_to(pipe: &impl AsFd, uid: u32, gid: u32) -> nix::Result<()> {
    unistd::fchown(pipe, Some(uid.into()), Some(gid.into()))
}

/// Reads what is there. A pipe that nobody can write to any more has ended.
pub fn read(pipe: &impl AsFd, buffer: &mut [u8]) -> Read {
    loop {
        match unistd::read(pipe, buffer) {
            Ok(0) => return Read::Ended,
            Ok(n) => return Read::Bytes(n),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Read::Nothing,
            Err(_) => return Read::Ended,
        }
    }
}

/// Writes as much as there is room for.
///
/// # Errors
/// EAGAIN, EPIPE.
pub fn write(pipe: &impl AsFd, bytes: &[u8]) -> nix::Result<usize> {
    unistd::write(pipe, bytes)
}

/// Whether there is something to read (`FIONREAD`).
#[must_use]
pub fn holds_something(pipe: &impl AsFd) -> bool {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int, which lives across the call.
    let answer = unsafe { libc::ioctl(pipe.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    answer == 0 && bytes > 0
}

/// Lets what this process writes to its stdout and stderr go there.
///
/// # Errors
/// None for an open fd.
pub fn become_output(pipe: &impl AsFd) -> nix::Result<()> {
    unistd::dup2_stdout(pipe)?;
    unistd::dup2_stderr(pipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_never_waits_and_the_end_is_told() {
        let (reader, writer) = pipe().unwrap();
        let mut buffer = [0; 8];
        assert_eq!((read(&reader, &mut buffer), holds_something(&reader)), (Read::Nothing, false));
        unistd::write(&writer, b"abc").unwrap();
        assert!(holds_something(&reader));
        assert_eq!((read(&reader, &mut buffer), &buffer[..3]), (Read::Bytes(3), &b"abc"[..]));
        drop(writer);
        assert_eq!((read(&reader, &mut buffer), holds_something(&reader)), (Read::Ended, false));
    }
}
