//! The FUSE control file system: how many requests wait in a connection, and its emergency exit.
//!
//! A mount of our own that stands nowhere: no path, no namespace, nothing to unmount, and it works where the host has none.
//!
//! The trap: a connection is called by the minor of its device, and minors are used again at once. So whoever means to abort
//! opens the [`Abort`] while the connection is certainly the one he means, and keeps it: through it only that connection can be
//! reached. Written after the connection has ended it does nothing, whoever has the minor by then.
//!
//! What tells two connections of one minor apart is the inode of that file: the kernel counts them up for all its small file systems. It
//! lasts as long as anybody has the control file system mounted.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, open, openat},
    sys::stat::{Mode, fstatat},
};

use crate::detached;

/// Where the host usually has it.
const USUAL_PLACE: &str = "/sys/fs/fuse/connections";

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
        detached::mount(c"fusectl")
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

    /// Whether an exit is still the one of the connection that has this number now. Not so: its connection has ended, and the
    /// number is free or somebody else's.
    #[must_use]
    pub fn is_of(&self, minor: u32, exit: &Abort) -> bool {
        self.identity(minor).is_some_and(|now| exit.identity() == Some(now))
    }

    /// What the connection that has this number now is called, and no other while this is held. None: there is none.
    #[must_use]
    pub fn identity(&self, minor: u32) -> Option<u64> {
        let all = self.0.as_ref()?;
        fstatat(all, format!("{minor}/abort").as_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok().map(|stat| stat.st_ino)
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
    /// As [`Connections::identity`], of the connection it belongs to.
    #[must_use]
    pub fn identity(&self) -> Option<u64> {
        self.0.metadata().ok().map(|meta| meta.ino())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_connection_that_nobody_made() {
        let connections = Connections::open().expect("root, and a kernel with FUSE");
        assert_eq!(connections.waiting(u32::MAX), None);
        assert_eq!(connections.abort(u32::MAX).err(), Some(Errno::ENOENT));
        assert_eq!(connections.identity(u32::MAX), None);
    }
}
