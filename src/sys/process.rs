//! Fork and exec for an init of one thread that has no handlers, only blocked signals: the child takes its identity, its place and its limits, then its program.
//!
//! The parent does not wait: exec may block (a program on a file system that hangs), so the answer comes through a pipe
//! that the parent polls. End of file means the program runs; a stage and an errno mean the child has ended.

use std::{
    ffi::CStr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Duration,
};

use nix::errno::Errno;

use crate::{
    Strings, caps,
    identity::{self, Identity},
    limits::{self, Bound},
    poll::{Interest, poll},
    programs, raw,
};

/// What a program is started with. Everything is laid out before the fork.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Where the program may be, tried in order as `execvp` does.
    pub programs: &'a Strings,
    /// The argument vector, with the name in front.
    pub argv: &'a Strings,
    /// The whole environment.
    pub env: &'a Strings,
    /// Fds it sees beside 0, 1 and 2, and under which number. No other is inherited.
    pub fds: &'a [(BorrowedFd<'a>, RawFd)],
    /// `RLIMIT_NOFILE`, soft and hard: the parent may have more. No more than the parent has.
    pub nofile: (u64, u64),
    /// What bounds it beside that; set with the parent's rights.
    pub bounds: &'a [Bound],
    /// Where what it writes goes (1 and 2); None: where the parent's goes.
    pub output: Option<BorrowedFd<'a>>,
    /// Who it is; None: as the parent.
    pub identity: Option<Identity<'a>>,
    /// The capabilities it keeps, whoever it becomes; None: what the kernel leaves to its identity.
    pub caps: Option<u64>,
    /// Where it starts; entered with its identity, as it will see it. None: where the parent is.
    pub chdir: Option<&'a CStr>,
    /// Its file mode creation mask; None: the parent's.
    pub umask: Option<u32>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
}

/// How far a child came on its way to its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchStage {
    /// Session, fds, mask: things that do not fail on a healthy system.
    Setup,
    /// One of its bounds, by index.
    Bound(usize),
    /// Its identity.
    Identity,
    /// Its capabilities.
    Caps,
    /// Its directory.
    Chdir,
    /// Its program.
    Exec,
}

/// The news from a child between fork and exec.
#[derive(Debug)]
pub struct Report(OwnedFd);

impl Report {
    /// Whether the answer is there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let interest = Interest::readable(self.0.as_fd());
        poll(&[interest], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
    }

    /// Reads the answer, once the fd is readable (or the child is known to have ended). None: the program runs.
    #[must_use]
    pub fn read(self) -> Option<(LaunchStage, Errno)> {
        let (stage, errno) = raw::read_report(self.0.as_fd())?;
        let stage = match stage {
            IDENTITY => LaunchStage::Identity,
            CAPS => LaunchStage::Caps,
            bound @ BOUND.. => LaunchStage::Bound((bound - BOUND) as usize),
            CHDIR => LaunchStage::Chdir,
            EXEC => LaunchStage::Exec,
            _ => LaunchStage::Setup,
        };
        Some((stage, Errno::from_raw(errno)))
    }
}

impl AsFd for Report {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const SETUP: raw::Stage = 0;
const IDENTITY: raw::Stage = 1;
const CHDIR: raw::Stage = 2;
const EXEC: raw::Stage = 3;
const CAPS: raw::Stage = 4;
/// And one more for each index.
const BOUND: raw::Stage = 8;

/// Forks, and lets the child go its way to its program, in a session of its own. Gives its pid and where its news come.
///
/// # Errors
/// EAGAIN, ENOMEM: no process could be made.
pub fn launch(launch: &Launch<'_>) -> nix::Result<(i32, Report)> {
    let (report, tell) = raw::report_pipe()?;
    let output = launch.output.map(|fd| fd.as_raw_fd());
    let mut moves = vec![(0, 0), (output.unwrap_or(1), 1), (output.unwrap_or(2), 2)];
    moves.extend(raw::moves(launch.fds));
    let mut keep = [tell.as_raw_fd()];
    // SAFETY: the child's branch makes raw calls only and ends in exec or `leave`.
    match unsafe { raw::fork(0) }? {
        raw::Side::Parent(pid) => Ok((pid, Report(report))),
        raw::Side::Child => {
            let (stage, errno) = child(launch, &mut moves, &mut keep);
            raw::leave(keep[0], stage, errno)
        }
    }
}

/// In the child: comes back only to say what failed.
fn child(launch: &Launch<'_>, moves: &mut [raw::Move], keep: &mut [RawFd; 1]) -> (raw::Stage, Errno) {
    if let Err(errno) = raw::arrange(moves, keep) {
        return (SETUP, errno);
    }
    // SAFETY: no arguments; a fresh child leads no group, so this cannot fail.
    unsafe { libc::syscall(libc::SYS_setsid) };
    if let Err(errno) = limits::take_nofile(launch.nofile) {
        return (SETUP, errno);
    }
    for (index, bound) in (BOUND..).zip(launch.bounds) {
        if let Err(errno) = bound.set() {
            return (index, errno);
        }
    }
    if let Err(refused) = become_who_it_is(launch) {
        return refused;
    }
    if let Some(directory) = launch.chdir
        // SAFETY: a terminated string that outlives the call.
        && let Err(errno) = raw::check(unsafe { libc::syscall(libc::SYS_chdir, directory.as_ptr()) })
    {
        return (CHDIR, errno);
    }
    if let Some(umask) = launch.umask {
        // SAFETY: numbers only.
        unsafe { libc::syscall(libc::SYS_umask, umask) };
    }
    if launch.no_new_privs
        // SAFETY: numbers only.
        && let Err(errno) = raw::check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
    {
        return (SETUP, errno);
    }
    raw::clear_mask();
    (EXEC, programs::execute(launch.programs, launch.argv, launch.env))
}

/// Its identity, and its capabilities through it.
fn become_who_it_is(launch: &Launch<'_>) -> Result<(), (raw::Stage, Errno)> {
    let Some(caps) = launch.caps else {
        return launch.identity.as_ref().map_or(Ok(()), identity::take).map_err(|errno| (IDENTITY, errno));
    };
    let stays_root = launch.identity.as_ref().is_none_or(|identity| identity.uid == 0);
    caps::keep_through_setuid().map_err(|errno| (CAPS, errno))?;
    launch.identity.as_ref().map_or(Ok(()), identity::take).map_err(|errno| (IDENTITY, errno))?;
    if stays_root {
        caps::root_is_nobody_special().map_err(|errno| (CAPS, errno))?;
    }
    caps::hand_down(caps).map_err(|errno| (CAPS, errno))
}

/// The proof that this process has one thread, so that a child may run ordinary code in its copy of it.
#[derive(Debug)]
pub struct OneThread(());

impl OneThread {
    /// Looked at once, early: later `/proc` may be gone, or be somebody's who does not answer. Without `/proc` the caller's
    /// word is taken for it. None: there are more threads.
    #[must_use]
    pub fn now() -> Option<Self> {
        let alone = std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.take(2).count() < 2);
        alone.then_some(Self(()))
    }
}

/// Forks a child that runs this closure and leaves with the status it gives. It has a memory and an identity of its own, but
/// *shares* the root, the working directory and the file mode creation mask: where it goes, its parent goes. So a call that
/// may hang (a `chdir` into a file system whose server is dead) can be a child's, and be ended by killing that child.
///
/// # Errors
/// EAGAIN, ENOMEM.
pub fn fork_in_place(_: &OneThread, work: impl FnOnce() -> i32) -> nix::Result<i32> {
    // SAFETY: there is no other thread, so the child finds the heap and libc as this thread left them; it ends in `_exit`.
    match unsafe { raw::fork(libc::CLONE_FS as u64) }? {
        raw::Side::Child => {
            let status = work();
            // SAFETY: ends the child without running the parent's exit handlers a second time.
            unsafe { libc::_exit(status) }
        }
        raw::Side::Parent(pid) => Ok(pid),
    }
}

/// Forks a child with a memory and a place of its own that runs this closure and leaves with the status it gives. Of the open
/// files it has only these: the others are closed in it, so the closure must use no other.
///
/// # Errors
/// EAGAIN, ENOMEM.
pub fn fork_apart(_: &OneThread, keep: &[BorrowedFd<'_>], work: impl FnOnce() -> i32) -> nix::Result<i32> {
    let mut keep: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    keep.sort_unstable();
    // SAFETY: as above.
    match unsafe { raw::fork(0) }? {
        raw::Side::Child => {
            raw::close_all_but(&keep);
            let status = work();
            // SAFETY: as above; nothing that owned a closed file is dropped on the way.
            unsafe { libc::_exit(status) }
        }
        raw::Side::Parent(pid) => Ok(pid),
    }
}

/// No process may look into this one, trace it or open what it has open, without `CAP_SYS_PTRACE` in the user namespace that its memory
/// belongs to, and its memory is written to no core file (`PR_SET_DUMPABLE`). Its children have it too, until they execute a program.
pub fn keep_to_itself() {
    let _ = nix::sys::prctl::set_dumpable(false);
}

/// The name under which this process is listed (`PR_SET_NAME`, at most 15 bytes): exec by fd leaves a number there.
pub fn set_name(name: &CStr) {
    let _ = nix::sys::prctl::set_name(name);
}

/// Makes this process the leader of a session of its own, so that no terminal and no group of the daemon's reaches it.
pub fn new_session() {
    let _ = nix::unistd::setsid();
}

/// This process's pid in its own namespace.
#[must_use]
pub fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// Sets the file mode creation mask of this process.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}

/// Sets the host name of this UTS namespace.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`, EINVAL for one over 64 bytes.
pub fn set_hostname(name: &str) -> nix::Result<()> {
    nix::unistd::sethostname(name)
}
