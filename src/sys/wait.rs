//! Children that ended: seen without touching, then claimed one by one.
//!
//! A SIGCHLD only says "look": several ends may share one signal. [`peek`] names somebody, [`reap`] claims exactly the
//! pid that is asked for, so an end nobody has registered yet stays where it is.

use nix::errno::Errno;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// The pid of some child that has ended and was not reaped yet. It stays reapable. The same one is named until it is reaped.
#[must_use]
pub fn peek() -> Option<i32> {
    waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT).ok().flatten().map(|end| end.0)
}

/// Whether this is a child of ours, living or not reaped yet. Needs no `/proc`.
#[must_use]
pub fn is_child(pid: i32) -> bool {
    libc::id_t::try_from(pid).is_ok_and(|id| waitid(libc::P_PID, id, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT).is_ok())
}

/// Reaps this child if it has ended. None: it lives, or is no child of ours (any more).
#[must_use]
pub fn reap(pid: i32) -> Option<Ended> {
    let id = libc::id_t::try_from(pid).ok()?;
    waitid(libc::P_PID, id, libc::WEXITED | libc::WNOHANG).ok().flatten().map(|end| end.1)
}

/// Reaps some child that has ended, whoever it is: for an init, which inherits children it never made.
#[must_use]
pub fn reap_any() -> Option<(i32, Ended)> {
    waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG).ok().flatten()
}

/// Waits for this child's end and reaps it. None: it is no child of ours.
pub fn reap_blocking(pid: i32) -> Option<Ended> {
    let id = libc::id_t::try_from(pid).ok()?;
    waitid(libc::P_PID, id, libc::WEXITED).ok().flatten().map(|end| end.1)
}

/// Waits for the end of a child that the calling thread made, and leaves it to be reaped.
pub(crate) fn end_of_own(pid: i32) {
    own(pid, libc::WNOWAIT);
}

/// Reaps a child that the calling thread made, also one whose end sends no signal. Waits for its end.
pub(crate) fn reap_own(pid: i32) -> Option<Ended> {
    own(pid, 0)
}

/// `__WNOTHREAD`: the children of thousands of threads need not be looked through for one.
fn own(pid: i32, options: i32) -> Option<Ended> {
    let id = libc::id_t::try_from(pid).ok()?;
    let options = options | libc::WEXITED | libc::__WALL | libc::__WNOTHREAD;
    waitid(libc::P_PID, id, options).ok().flatten().map(|end| end.1)
}

/// `waitid` in numbers, because signals beyond the named ones (real-time) end processes too.
fn waitid(kind: libc::idtype_t, id: libc::id_t, options: i32) -> Result<Option<(i32, Ended)>, Errno> {
    loop {
        // SAFETY: all zeroes is a value of this plain C struct.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the struct outlives the call, which fills it.
        let answer = unsafe { libc::waitid(kind, id, &raw mut info, options) };
        match Errno::result(answer) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => {
                // SAFETY: waitid filled the child's part of the union, or left it zero (WNOHANG and nobody ended).
                let pid = unsafe { info.si_pid() };
                // SAFETY: as above.
                let status = unsafe { info.si_status() };
                let ended = if info.si_code == libc::CLD_EXITED { Ended::Code(status) } else { Ended::Signal(status) };
                return Ok((pid != 0).then_some((pid, ended)));
            }
        }
    }
}
