//! Who our children are, and how each of them ended.
//!
//! Every child of the daemon (an init, the prober, the shell of an `exec://`) is born through [`Children::spawn`], and every
//! end is read by the loop alone, when SIGCHLD says "look". Between the two lie three races:
//! * a child may end **before it is registered**: while a birth is under way, ends that nobody claims are kept;
//! * the kernel may give us **orphans** of a vassal without a pid namespace (the daemon is a subreaper): they are reaped like
//!   all others, nobody claims them, and their ends are forgotten;
//! * the **sweep** that kills such orphans must never see a clone that is not registered yet: births hold the read side of a
//!   lock, the sweep its write side.
//!
//! Not every stranger is an orphan of ours: as pid 1 of a container the daemon adopts whoever loses his parent there, and
//! whoever became this daemon (`sh -c 'helper & exec liege'`) may have had children. All of ours bear a mark ([`Mark`]) that
//! they cannot shake off; who lacks it is left alone.
//!
//! Deliberately not here: `waitpid(-1)` as the only authority, and `tokio::process`, which would reap behind our back.

use std::{
    collections::HashMap,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use liege_plan::Exit;
use liege_sys::{
    clone::{Birth, BirthError, BirthStage, Child},
    descendants,
    mark::Mark,
    pidfd,
    wait::{self, Ended},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tokio::sync::oneshot;

/// How a registered child ends; arrives once. An error means the daemon itself is ending.
pub(crate) type Ending = oneshot::Receiver<Exit>;

/// The register. Shared by the loop, which reaps, and the blocking threads, which give birth.
#[derive(Debug, Default)]
pub(crate) struct Children {
    register: Mutex<Register>,
    births: RwLock<()>,
    /// None where it could not be taken: every stranger counts as ours then.
    mark: Option<Mark>,
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

    /// No birth begins any more. Waits for those under way, so that whoever was born is registered.
    pub(crate) fn close(&self) {
        let _no_births = self.births.write().unwrap_or_else(PoisonError::into_inner);
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

    /// Kills everybody who was left to us by a vassal without a pid namespace, and waits for their ends. Blocks; the loop goes on
    /// reaping meanwhile.
    ///
    /// Generation by generation: whoever dies leaves his children to us, so nobody is killed by a number that was only read.
    pub(crate) fn sweep(&self) {
        let mut given_up = Vec::new();
        loop {
            let no_births = self.births.write().unwrap_or_else(PoisonError::into_inner);
            let strangers = descendants::children_of(own_pid()).into_iter().filter(|pid| !given_up.contains(pid));
            let doomed: Vec<(i32, OwnedFd)> = strangers.filter_map(|pid| Some((pid, self.orphan(pid)?))).collect();
            for (_, pidfd) in &doomed {
                pidfd::signal(pidfd, nix::libc::SIGKILL).ok();
            }
            drop(no_births);
            if doomed.is_empty() {
                return;
            }
            let late = doomed.into_iter().filter(|(_, pidfd)| !has_ended(pidfd, PATIENCE));
            given_up.extend(late.map(|(pid, _)| pid));
        }
    }

    /// The pidfd of a living orphan of ours.
    ///
    /// The number was read a moment ago, and the loop reaps meanwhile: it may be anybody's by now. So the pidfd is opened first
    /// and everything is asked afterwards. Either the answers are about whom the pidfd means, or he is gone and nobody is hit.
    fn orphan(&self, pid: i32) -> Option<OwnedFd> {
        let pidfd = pidfd::open(pid).ok()?;
        let is_ours = !self.register().known.contains_key(&pid)
            && descendants::parent_of(pid) == Some(own_pid())
            && !self.mark.is_some_and(|mark| mark.is_lacked_by(pid));
        (is_ours && !has_ended(&pidfd, 0)).then_some(pidfd)
    }

    /// Whether no registered child lives.
    pub(crate) fn is_empty(&self) -> bool {
        self.register().known.is_empty()
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

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}

pub(crate) fn exit_of(ended: Ended) -> Exit {
    match ended {
        Ended::Code(code) => Exit::Code(code),
        Ended::Signal(signal) => Exit::Signal(signal),
    }
}

/// Who does not die of SIGKILL for so long is in the kernel, uninterruptible: it waits for him there.
const PATIENCE: u16 = 10_000;

/// Whether all threads of the process have ended; sleeps until then, at most so many milliseconds. (A leader that left its threads behind
/// looks like a zombie in `/proc`, and lives.)
fn has_ended(pidfd: &impl AsFd, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::from(milliseconds)) {
            Err(Errno::EINTR) => {}
            ended => return ended != Ok(0),
        }
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
    fn a_child_from_before_the_daemon_is_no_orphan_of_a_vassal() {
        let sleep = || std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let mut before = sleep();
        let children = Children::new();
        let mut after = sleep();
        let pid = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
        let judged = [&before, &after].map(|child| children.orphan(pid(child)).is_some());
        for child in [&mut before, &mut after] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(judged, [false, true]);
    }

    #[test]
    fn a_number_that_is_somebody_elses_by_now_is_left_alone() {
        let children = Children::new();
        assert!(children.orphan(1).is_none(), "no child of ours");
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(dead.id()).unwrap();
        let pidfd = pidfd::open(pid).unwrap();
        assert!(has_ended(&pidfd, PATIENCE) && children.orphan(pid).is_none(), "a zombie is past killing");
        dead.wait().unwrap();
        assert!(children.orphan(pid).is_none(), "reaped");
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
