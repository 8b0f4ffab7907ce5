//! The clone shim: a child in new namespaces, with exactly the fds it is given, running a program pinned by an fd.
//!
//! Safe in a process with many threads. Races it closes:
//! * a signal in the child before exec would run the parent's handler there (tokio's writes into the shared wake-up
//!   pipe), so all signals are blocked around the clone and the child clears handlers before it unblocks;
//! * a concurrent spawn in another thread must inherit nothing, so every fd is close-on-exec from its birth and the
//!   child marks whatever it finds;
//! * the pid could be reused, so the child comes with its pidfd.
//!
//! The calling thread sleeps until the child has executed its program or failed (`CLONE_VFORK`), so it is called from a
//! thread that may block. Deliberately not here: a user namespace, whose maps need a dialogue.

use std::{
    fmt,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::errno::Errno;

use crate::{Strings, raw, signals, wait};

/// Which namespaces of its own the child gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// `CLONE_NEWNS`: mounts.
    pub mount: bool,
    /// `CLONE_NEWPID`: the child is pid 1.
    pub pid: bool,
    /// `CLONE_NEWIPC`: System V IPC and POSIX queues.
    pub ipc: bool,
    /// `CLONE_NEWUTS`: host name.
    pub uts: bool,
    /// `CLONE_NEWNET`: network.
    pub net: bool,
    /// `CLONE_NEWCGROUP`: the root of the cgroup tree.
    pub cgroup: bool,
}

impl Namespaces {
    fn flags(self) -> u64 {
        [
            (self.mount, libc::CLONE_NEWNS),
            (self.pid, libc::CLONE_NEWPID),
            (self.ipc, libc::CLONE_NEWIPC),
            (self.uts, libc::CLONE_NEWUTS),
            (self.net, libc::CLONE_NEWNET),
            (self.cgroup, libc::CLONE_NEWCGROUP),
        ]
        .iter()
        .filter(|f| f.0)
        .fold(0, |flags, f| flags | f.1 as u64)
    }
}

/// Everything a child is born with.
#[derive(Debug)]
pub struct Birth<'a> {
    /// Its own namespaces.
    pub namespaces: Namespaces,
    /// The program: an fd of the file, opened before. A script would need `/dev/fd` and is refused (ENOENT).
    pub program: BorrowedFd<'a>,
    /// The argument vector, with the name in front.
    pub argv: &'a Strings,
    /// The whole environment.
    pub env: &'a Strings,
    /// The fds it sees, and under which number. Nothing else is inherited. Sources and numbers may overlap.
    pub fds: &'a [(BorrowedFd<'a>, RawFd)],
}

/// A child that has executed its program. Dropping it ends nothing and reaps nothing.
#[derive(Debug)]
pub struct Child {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// Refers to this child for ever, also after its pid is reused.
    pub pidfd: OwnedFd,
}

/// How far a child came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BirthStage {
    /// The pipe for its failure could not be made.
    Pipe,
    /// `clone3` refused.
    Clone,
    /// An fd could not be put in its place.
    Fds,
    /// The program could not be executed.
    Exec,
}

impl BirthStage {
    const FDS: raw::Stage = 1;
    const EXEC: raw::Stage = 2;
}

/// A child that was not born, or died before it ran its program. Nothing is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BirthError {
    /// How far it came.
    pub stage: BirthStage,
    /// Why no further.
    pub errno: Errno,
}

impl fmt::Display for BirthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            BirthStage::Pipe => "make the pipe for the child's report",
            BirthStage::Clone => "clone into new namespaces",
            BirthStage::Fds => "hand the fds to the child",
            BirthStage::Exec => "execute the program",
        };
        write!(f, "{stage}: {}", self.errno)
    }
}

impl std::error::Error for BirthError {}

/// Makes the child and waits until it has executed its program.
///
/// # Errors
/// The stage that failed and its errno; the dead child has been reaped then.
pub fn spawn(birth: &Birth<'_>) -> Result<Child, BirthError> {
    let at = |stage| move |errno| BirthError { stage, errno };
    let (report, tell) = raw::report_pipe().map_err(at(BirthStage::Pipe))?;
    let mut moves = raw::moves(birth.fds);
    let mut keep = [tell.as_raw_fd(), birth.program.as_raw_fd()];
    let flags = birth.namespaces.flags() | (libc::CLONE_PIDFD | libc::CLONE_VFORK) as u64;

    let blocked = signals::block_all_in_thread();
    // SAFETY: the child's branch below makes raw calls only and ends in exec or `leave`.
    let side = unsafe { raw::clone3(flags) };
    if let Ok(raw::Side::Child { handlers_are_clear }) = side {
        if !handlers_are_clear {
            raw::default_handlers();
        }
        if let Err(errno) = raw::arrange(&mut moves, &mut keep) {
            raw::leave(keep[0], BirthStage::FDS, errno);
        }
        raw::clear_mask();
        let errno = raw::exec(keep[1], c"".as_ptr(), birth.argv.as_ptr(), birth.env.as_ptr());
        raw::leave(keep[0], BirthStage::EXEC, errno);
    }
    drop(blocked);
    drop(tell);
    match side.map_err(at(BirthStage::Clone))? {
        raw::Side::Child { .. } => unreachable!("the child has left above"),
        raw::Side::Parent { pid, pidfd } => {
            // SAFETY: the kernel has just made this fd for us, close-on-exec, and nobody else knows it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            match raw::read_report(report.as_fd()) {
                None => Ok(Child { pid, pidfd }),
                Some((stage, errno)) => {
                    wait::reap_blocking(pid);
                    let stage = if stage == BirthStage::FDS { BirthStage::Fds } else { BirthStage::Exec };
                    Err(BirthError { stage, errno: Errno::from_raw(errno) })
                }
            }
        }
    }
}
