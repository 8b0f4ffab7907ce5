//! The daemon's own program, to start helpers from: hidden verbs of `liege`, each with a socket as fd 3.
//!
//! A sealed copy. Children of a helper enter namespaces of vassals, and no process in there may change the program.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use liege_sys::{
    Strings,
    clone::{Birth, BirthError, Child, Namespaces},
    sealed,
};

use crate::children::{Children, Ending};

/// The number under which a helper inherits its socket.
pub(crate) const SOCKET: i32 = 3;

/// Made once, at the start.
#[derive(Debug)]
pub(crate) struct OwnProgram {
    sealed: OwnedFd,
    null: File,
}

impl OwnProgram {
    /// # Errors
    /// The daemon's own program can be had in no safe way.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { sealed: sealed::own_program()?, null: sealed::null()? })
    }

    /// Starts a helper. It is registered as a child, so that its end is reaped and no sweep takes it for an orphan. Blocks until it has been
    /// executed.
    ///
    /// # Errors
    /// As [`Children::spawn`].
    pub(crate) fn start(&self, helper: Helper<'_>, children: &Children) -> Result<(Child, Ending), BirthError> {
        let null = self.null.as_fd();
        children.spawn(&Birth {
            namespaces: Namespaces::default(),
            cgroup: None,
            program: self.sealed.as_fd(),
            argv: &strings(&["liege", helper.verb]),
            env: &strings(helper.env),
            fds: &[(null, 0), (null, 1), (helper.stderr.unwrap_or(null), 2), (helper.socket.as_fd(), SOCKET)],
        })
    }
}

/// A helper to start.
#[derive(Debug)]
pub(crate) struct Helper<'a> {
    pub(crate) verb: &'a str,
    pub(crate) env: &'a [&'a str],
    pub(crate) socket: &'a UnixStream,
    /// None: what it writes there is lost. A helper that may hang in the kernel keeps nothing of the daemon's open.
    pub(crate) stderr: Option<BorrowedFd<'a>>,
}

fn strings(words: &[&str]) -> Strings {
    Strings::new(words.iter().copied()).unwrap_or_else(|_| unreachable!("no word of ours has a zero byte in it"))
}
