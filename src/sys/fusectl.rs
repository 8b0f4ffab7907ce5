//! The FUSE control file system: how many requests wait in a connection, and its emergency exit.
//!
//! A mount of our own that stands nowhere: no path, no namespace, nothing to unmount, and it works where the host has none.
//!
//! The trap: a connection is called by the minor of its device, and minors are used again at once. So whoever means to abort
//! opens the [`Abort`] while the connection is certainly the one he means, and keeps it: through it only that connection can be
//! reached. Written after the connection has ended it does nothing, whoever has the minor by then.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::MetadataExt,
    },
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

use crate::raw::check;

/// Where the host usually has it.
const USUAL_PLACE: &str = "/sys/fs/fuse/connections";

/// `FSCONFIG_CMD_CREATE`, kernel ABI since Linux 5.2.
const CREATE: u32 = 6;

/// All FUSE connections of this machine.
#[derive(Debug)]
pub struct Connections(Option<OwnedFd>);

/// The emergency exit of one connection.
#[derive(Debug)]
pub struct Abort(File);

impl Connections {
    /// Mounts the control file system for ourselves; where that is refused (inside a container) the host's mount is taken.
    ///
    /// # Errors
    /// The kernel has no FUSE, or it is refused and not mounted either.
    pub fn open() -> nix::Result<Self> {
        mount()
            .or_else(|errno| {
                open(USUAL_PLACE, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map_err(|_| errno)
            })
            .map(|fd| Self(Some(fd)))
    }

    /// Where the kernel shows none: whoever asks for one is told that there is none.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Requests in flight or queued. None: there is no such connection (any more).
    #[must_use]
    pub fn waiting(&self, minor: u32) -> Option<u64> {
        let file = self.entry(minor, "waiting", OFlag::O_RDONLY).ok()?;
        io::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// Opens the emergency exit of a connection.
    ///
    /// # Errors
    /// ENOENT: there is no such connection.
    pub fn abort(&self, minor: u32) -> nix::Result<Abort> {
        self.entry(minor, "abort", OFlag::O_WRONLY).map(Abort)
    }

    fn entry(&self, minor: u32, name: &str, flags: OFlag) -> nix::Result<File> {
        let all = self.0.as_ref().ok_or(Errno::ENOENT)?;
        openat(all, format!("{minor}/{name}").as_str(), flags | OFlag::O_CLOEXEC, Mode::empty()).map(File::from)
    }
}

impl Abort {
    /// Whether the connection has not ended yet. (Its entry is taken away with it; we hold what was behind it.)
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.0.metadata().is_ok_and(|meta| meta.nlink() > 0)
    }

    /// Ends the connection: every request in it, waiting or being answered, fails with `ECONNABORTED`, and whoever hung in one is
    /// free. On a connection that has ended already it does nothing.
    ///
    /// # Errors
    /// None that matter: a connection that is gone is what was wanted.
    pub fn now(&self) -> io::Result<()> {
        (&self.0).write_all(b"1")
    }
}

fn mount() -> nix::Result<OwnedFd> {
    let context = fd(|| {
        // SAFETY: a terminated name; a new fd is made.
        unsafe { libc::syscall(libc::SYS_fsopen, c"fusectl".as_ptr(), libc::FSOPEN_CLOEXEC) }
    })?;
    let raw = context.as_raw_fd();
    let nothing = std::ptr::null::<u8>();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_connection_that_nobody_made() {
        let connections = Connections::open().expect("root, and a kernel with FUSE");
        assert_eq!(connections.waiting(u32::MAX), None);
        assert_eq!(connections.abort(u32::MAX).err(), Some(Errno::ENOENT));
    }
}
