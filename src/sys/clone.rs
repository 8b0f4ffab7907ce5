//! The clone shim: a child in new namespaces, with exactly the fds it is given, running a program pinned by an fd.
//!
//! Safe in a process with many threads. Races it closes:
//! * a signal in the child before exec would run the parent's handler there (tokio's writes into the shared wake-up
//!   pipe), so all signals are blocked around the clone and the child clears handlers before it unblocks;
//! * a concurrent spawn in another thread must inherit nothing, so every fd is close-on-exec from its birth and the
//!   child marks whatever it finds;
//! * the pid could be reused, so the child comes with its pidfd.
//!
//! The calling thread sleeps until the child has executed its program or failed (see `vfork`), so it is called from a
//! thread that may block. The child's failure comes back in the memory both share meanwhile. A new user
//! namespace needs its ids before the exec: see `userns`.

use std::{
    ffi::c_void,
    fmt,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::atomic::AtomicI32,
};

use nix::errno::Errno;

use crate::{Strings, raw, signals, userns, vfork, wait};

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
    /// `CLONE_NEWUSER`: capabilities that end at the other new namespaces; the ids mean the same inside and outside.
    pub user: bool,
}

impl Namespaces {
    pub(crate) fn flags(self) -> u64 {
        [
            (self.mount, libc::CLONE_NEWNS),
            (self.pid, libc::CLONE_NEWPID),
            (self.ipc, libc::CLONE_NEWIPC),
            (self.uts, libc::CLONE_NEWUTS),
            (self.net, libc::CLONE_NEWNET),
            (self.cgroup, libc::CLONE_NEWCGROUP),
            (self.user, libc::CLONE_NEWUSER),
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
    /// The control group it is born into: the open directory of one of version 2 (Linux 5.7). None: its parent's.
    pub cgroup: Option<BorrowedFd<'a>>,
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
    /// `clone3` refused.
    Clone,
    /// The ids of its user namespace could not be mapped.
    Ids,
    /// An fd could not be put in its place.
    Fds,
    /// The program could not be executed.
    Exec,
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
            BirthStage::Clone => "clone into new namespaces",
            BirthStage::Ids => "map the ids of its user namespace",
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
    let mut errand =
        Errand { birth, moves: raw::moves(birth.fds), program: [birth.program.as_raw_fd()], maps: None, failed: None };
    let pid_first = AtomicI32::new(0);
    let flags = birth.namespaces.flags();
    let mut clone = |maps| {
        errand.maps = maps;
        let blocked = signals::block_all_in_thread();
        // SAFETY: all signals are blocked; `child` makes raw calls only and never returns, and the errand is what it takes.
        let made = unsafe { vfork::spawn(flags, birth.cgroup, &pid_first, child, (&raw mut errand).cast()) };
        drop(blocked);
        made
    };
    let made = if birth.namespaces.user { userns::with_maps(&pid_first, clone) } else { clone(None) };
    let (pid, pidfd) = made.map_err(|errno| BirthError { stage: BirthStage::Clone, errno })?;
    // SAFETY: the kernel has just made this fd for us, close-on-exec, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    match errand.failed {
        None => Ok(Child { pid, pidfd }),
        Some(error) => {
            wait::reap_blocking(pid);
            Err(error)
        }
    }
}

/// What the child needs, in memory it shares with the parent, which sleeps.
struct Errand<'a> {
    birth: &'a Birth<'a>,
    moves: Vec<raw::Move>,
    program: [RawFd; 1],
    /// Where the ids of a new user namespace come from.
    maps: Option<userns::Dialogue>,
    failed: Option<BirthError>,
}

/// The child's way to its program.
///
/// # Safety
/// `data` is an [`Errand`] that outlives the child's use of it.
unsafe extern "C" fn child(data: *mut c_void, handlers_are_clear: bool) -> ! {
    // SAFETY: the caller's promise; the parent's thread, the only other one that knows it, sleeps.
    let errand = unsafe { &mut *data.cast::<Errand<'_>>() };
    if !handlers_are_clear {
        raw::default_handlers();
    }
    if let Some(dialogue) = errand.maps
        && let Err(errno) = userns::await_maps(dialogue)
    {
        errand.failed = Some(BirthError { stage: BirthStage::Ids, errno });
        // SAFETY: as below.
        unsafe { libc::_exit(127) }
    }
    let (stage, errno) = match raw::arrange(&mut errand.moves, &mut errand.program) {
        Err(errno) => (BirthStage::Fds, errno),
        Ok(()) => {
            raw::clear_mask();
            let Birth { argv, env, .. } = errand.birth;
            (BirthStage::Exec, raw::exec(errand.program[0], c"".as_ptr(), argv.as_ptr(), env.as_ptr()))
        }
    };
    errand.failed = Some(BirthError { stage, errno });
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(127) }
}
