//! Who our children are, and how each of them ended.
//!
//! Every child of the daemon (an init, the prober, the shell of an `exec://`) is born through [`Children::spawn`], and every
//! end is read by the loop alone, when SIGCHLD says "look". Between the two lie three races:
//! * a child may end **before it is registered**: while a birth is under way, ends that nobody claims are kept;
//! * the kernel may give us **orphans** of a vassal without a pid namespace (the daemon is a subreaper): they are reaped like
//!   all others, nobody claims them, and their ends are forgotten;
//! * the **sweep** that kills such orphans (`sweep.rs`) must never see a clone that is not registered yet: births hold the read
//!   side of a lock, the sweep its write side.
//!
//! Deliberately not here: `waitpid(-1)` as the only authority, and `tokio::process`, which would reap behind our back.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use liege_core::Name;
use liege_plan::Exit;
use liege_sys::{
    clone::{Birth, BirthError, BirthStage, Child},
    descendants,
    mark::Mark,
    wait::{self, Ended},
};
use nix::errno::Errno;
use tokio::sync::oneshot;

/// How a registered child ends; arrives once. An error means the daemon itself is ending.
pub(crate) type Ending = oneshot::Receiver<Exit>;

/// The register. Shared by the loop, which reaps, and the blocking threads, which give birth.
#[derive(Debug, Default)]
pub(crate) struct Children {
    register: Mutex<Register>,
    births: RwLock<()>,
    /// None where it could not be taken: every stranger counts as ours then.
    pub(crate) mark: Option<Mark>,
    /// Orphans that do not die of SIGKILL.
    pub(crate) refusing: Mutex<HashMap<i32, OwnedFd>>,
    /// Inits of that kind, at the daemon's end.
    pub(crate) left: Mutex<Vec<Left>>,
}

/// An init that does not die of SIGKILL, because something in its namespace does not.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) vassal: Name,
    /// What holds it; each a phrase.
    pub(crate) found: Vec<String>,
    pub(crate) pidfd: OwnedFd,
}

#[derive(Debug, Default)]
struct Register {
    /// Who waits for which pid.
    known: HashMap<i32, oneshot::Sender<Exit>>,
    /// Ends nobody claimed while births were under way.
    unclaimed: HashMap<i32, Exit>,
    under_way: usize,
    killed: bool,
    /// No more births: the daemon ends.
    closed: bool,
    /// Something was started whose orphans would be ours.
    may_leave_orphans: bool,
}

impl Children {
    /// A register for a daemon that has no children of its own yet. All it starts from now on bear its mark.
    pub(crate) fn new() -> Self {
        let mark = Mark::take();
        if let Err(errno) = mark {
            tracing::warn!(target: "emperor", "lower RLIMIT_LOCKS: {errno}; every orphan that comes to the daemon counts as its own");
        }
        Self { mark: mark.ok(), ..Self::default() }
    }

    /// While this is held nobody is born, and whoever was is registered.
    pub(crate) fn no_births(&self) -> RwLockWriteGuard<'_, ()> {
        self.births.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits for this pid.
    pub(crate) fn is_registered(&self, pid: i32) -> bool {
        self.register().known.contains_key(&pid)
    }

    /// No birth begins any more. Waits for those under way, so that whoever was born is registered.
    pub(crate) fn close(&self) {
        let _no_births = self.no_births();
        self.register().closed = true;
    }

    /// What is started now may leave orphans to us: the sweep at the daemon's end has something to look for.
    pub(crate) fn expect_orphans(&self) {
        self.register().may_leave_orphans = true;
    }

    /// Whether a sweep can find anything of ours.
    pub(crate) fn may_leave_orphans(&self) -> bool {
        self.register().may_leave_orphans
    }

    /// Makes a child and registers it. Blocks until it has executed its program.
    ///
    /// # Errors
    /// As [`liege_sys::clone::spawn`]; nothing is left of the child then.
    pub(crate) fn spawn(&self, birth: &Birth<'_>) -> Result<(Child, Ending), BirthError> {
        let under_way = self.begin();
        if self.register().closed {
            return Err(BirthError { stage: BirthStage::Clone, errno: Errno::ESHUTDOWN });
        }
        let child = liege_sys::clone::spawn(birth)?;
        let ending = under_way.register(child.pid);
        Ok((child, ending))
    }

    /// Reaps everybody who has ended. Called by the loop at every SIGCHLD, and by nobody else.
    pub(crate) fn reap(&self) {
        // Peeked first and reaped by its pid: an end is handed over in the same order in which it is taken from the kernel.
        while let Some(pid) = wait::peek() {
            // None: taken by the clone shim, whose child failed before its exec. The next one is looked for.
            if let Some(ended) = wait::reap(pid) {
                self.ended(pid, exit_of(ended));
            }
        }
    }

    /// Whether no registered child lives.
    pub(crate) fn is_empty(&self) -> bool {
        self.register().known.is_empty()
    }

    /// This child counts as ended, though it has not: its task goes on, and its end will be forgotten. Nothing to do where it was reaped.
    pub(crate) fn leave_behind(&self, pid: i32, left: Left) {
        // Dropped without a word: that is what its task takes for a SIGKILL.
        if self.register().known.remove(&pid).is_some() {
            self.left.lock().unwrap_or_else(PoisonError::into_inner).push(left);
        }
    }

    /// SIGKILL to all registered children and what they started; at the daemon's end only. True when that was done before.
    pub(crate) fn kill_all(&self) -> bool {
        let mut register = self.register();
        // Not reaped yet, so their numbers are still theirs.
        for &pid in register.known.keys() {
            descendants::kill_below(&[pid]);
            descendants::kill(pid, nix::libc::SIGKILL).ok();
        }
        std::mem::replace(&mut register.killed, true)
    }

    fn begin(&self) -> UnderWay<'_> {
        let no_sweep = self.births.read().unwrap_or_else(PoisonError::into_inner);
        self.register().under_way += 1;
        UnderWay { children: self, _no_sweep: no_sweep }
    }

    fn ended(&self, pid: i32, exit: Exit) {
        let mut register = self.register();
        if let Some(waiting) = register.known.remove(&pid) {
            waiting.send(exit).ok();
        } else if register.under_way > 0 {
            register.unclaimed.insert(pid, exit);
        }
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A birth under way. While one lives, unclaimed ends are kept and no sweep runs.
struct UnderWay<'a> {
    children: &'a Children,
    _no_sweep: RwLockReadGuard<'a, ()>,
}

impl UnderWay<'_> {
    fn register(&self, pid: i32) -> Ending {
        let (tell, ending) = oneshot::channel();
        let mut register = self.children.register();
        match register.unclaimed.remove(&pid) {
            Some(exit) => drop(tell.send(exit)),
            None => drop(register.known.insert(pid, tell)),
        }
        ending
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut register = self.children.register();
        register.under_way -= 1;
        if register.under_way == 0 {
            // Nobody can claim these any more: they were orphans.
            register.unclaimed.clear();
        }
    }
}

pub(crate) fn exit_of(ended: Ended) -> Exit {
    match ended {
        Ended::Code(code) => Exit::Code(code),
        Ended::Signal(signal) => Exit::Signal(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_comes_before_its_registration_is_kept() {
        let children = Children::default();
        let birth = children.begin();
        children.ended(7, Exit::Code(3));
        assert_eq!(birth.register(7).blocking_recv(), Ok(Exit::Code(3)));
    }

    #[test]
    fn an_end_that_comes_after_its_registration_reaches_who_waits() {
        let children = Children::default();
        let ending = children.begin().register(7);
        children.ended(8, Exit::Code(0));
        children.ended(7, Exit::Signal(9));
        assert_eq!(ending.blocking_recv(), Ok(Exit::Signal(9)));
    }

    #[test]
    fn who_waits_for_a_child_that_is_left_behind_waits_no_longer() {
        let children = Children::default();
        let left = || Left { vassal: "v.ini".into(), found: Vec::new(), pidfd: liege_sys::pidfd::open(1).unwrap() };
        let (stuck, reaped) = (children.begin().register(7), children.begin().register(8));
        children.ended(8, Exit::Code(3));
        children.leave_behind(7, left());
        children.leave_behind(8, left());
        assert!(stuck.blocking_recv().is_err() && children.is_empty());
        assert_eq!(reaped.blocking_recv(), Ok(Exit::Code(3)));
        assert_eq!(children.left_behind(), ["v.ini: its init"], "the other one was reaped");
    }

    #[test]
    fn the_ends_of_orphans_are_forgotten_once_no_birth_can_claim_them() {
        let children = Children::default();
        children.ended(7, Exit::Code(1));
        let (first, second) = (children.begin(), children.begin());
        children.ended(8, Exit::Code(1));
        drop(first);
        assert_eq!(children.register().unclaimed.len(), 1);
        drop(second);
        assert!(children.register().unclaimed.is_empty());
        let mut ending = children.begin().register(8);
        assert!(ending.try_recv().is_err(), "a number may be used again, its old end is not the new one's");
    }
}
