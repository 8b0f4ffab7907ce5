//! What a vassal without a pid namespace leaves to the daemon when its init is gone: all of it is ended.
//!
//! Not every stranger is an orphan of ours: as pid 1 of a container the daemon adopts whoever loses his parent there, and
//! whoever became this daemon (`sh -c 'helper & exec liege'`) may have had children. All of ours bear a mark
//! ([`liege_sys::mark::Mark`]) that they cannot shake off; who lacks it is left alone, and so are those below him.
//!
//! Stopped first, all of them, until a look finds nobody new; then killed. Whoever is only killed makes room for another where a
//! fork bomb fills its bound. All are waited for at once. Who is still there then sleeps in the kernel where no signal reaches him:
//! he is named, killed again and again by a task of his own, and nobody waits for him any more, in this sweep or a later one.
//!
//! Races: a number that was only read is never killed. Its pidfd is opened first and everything is asked afterwards: either the
//! answers are about whom the pidfd means, or he is gone and nobody is hit.

use std::{
    collections::HashMap,
    fmt,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use liege_core::{Event, Name};
use liege_sys::{
    descendants, fuse_daemon, pidfd,
    poll::{Interest, poll},
    process::own_pid,
};
use nix::libc::{SIGKILL, SIGSTOP};

use crate::{
    children::{Children, Left},
    inbox::Post,
};

/// Who does not die of SIGKILL for so long waits for something in the kernel.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often those who refuse are killed again.
const AGAIN: Duration = Duration::from_secs(5);
/// Processes named at once.
const MOST_NAMED: usize = 16;

type Doomed = HashMap<i32, OwnedFd>;

impl Children {
    /// Ends everybody who was left to us, and waits for their ends; the loop goes on reaping meanwhile. Gives the pids of those who
    /// refuse. Blocks, for [`PATIENCE`] at most after the last one was found.
    pub(crate) fn sweep(&self) -> Vec<i32> {
        let mut doomed = Doomed::new();
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            if self.find(&mut doomed) {
                deadline = Instant::now() + PATIENCE;
                continue; // until a look finds nobody new
            }
            for pidfd in doomed.values() {
                pidfd::signal(pidfd, SIGKILL).ok();
            }
            doomed.retain(|_, pidfd| !has_ended(pidfd));
            if doomed.is_empty() {
                return Vec::new();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let pids = doomed.keys().copied().collect();
                self.refusing().extend(doomed);
                return pids;
            }
            wait_for_one(&doomed, left); // whose children are ours now
        }
    }

    /// Goes on killing those who refused a vassal's sweep, and tells the core who they are, until they are gone.
    pub(crate) async fn insist(self: Arc<Self>, vassal: Name, pids: Vec<i32>, post: Post) {
        let mut told = None;
        loop {
            let found = self.kill_again(&pids);
            if told.as_ref() != Some(&found) {
                post.event(Event::LeftBehind { vassal: vassal.clone(), found: found.clone() }).await;
            }
            if found.is_empty() {
                return;
            }
            told = Some(found);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Those who refuse, in words.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let pids: Vec<i32> = self.refusing().keys().copied().collect();
        let mut words = self.kill_again(&pids);
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend(left.iter().filter(|left| !has_ended(&left.pidfd)).map(Left::to_string));
        words
    }

    fn kill_again(&self, pids: &[i32]) -> Vec<String> {
        let mut refusing = self.refusing();
        refusing.retain(|_, pidfd| !has_ended(pidfd));
        let left = pids.iter().filter(|pid| refusing.get(pid).is_some_and(|pidfd| pidfd::signal(pidfd, SIGKILL).is_ok()));
        left.filter_map(|pid| fuse_daemon::shown(*pid)).map(|seen| seen.to_string()).take(MOST_NAMED).collect()
    }

    /// Looks for orphans and all who descend from them, and stops those it has not seen. Whether there were any.
    fn find(&self, doomed: &mut Doomed) -> bool {
        let _no_births = self.no_births();
        let mut is_new = false;
        let mut parents = vec![own_pid()];
        while let Some(parent) = parents.pop() {
            for pid in descendants::children_of(parent) {
                let is_known = doomed.contains_key(&pid) || self.refusing().contains_key(&pid);
                if !is_known {
                    let Some(pidfd) = self.orphan(pid, parent) else { continue };
                    pidfd::signal(&pidfd, SIGSTOP).ok();
                    doomed.insert(pid, pidfd);
                    is_new = true;
                }
                parents.push(pid);
            }
        }
        is_new
    }

    /// The pidfd of a living orphan of ours, or of somebody below one.
    fn orphan(&self, pid: i32, parent: i32) -> Option<OwnedFd> {
        let pidfd = pidfd::open(pid).ok()?;
        let is_ours = !self.is_registered(pid)
            && descendants::parent_of(pid) == Some(parent)
            && self.mark.is_none_or(|mark| mark.is_borne_by(pid) != Some(false));
        (is_ours && !has_ended(&pidfd)).then_some(pidfd)
    }

    fn refusing(&self) -> MutexGuard<'_, Doomed> {
        self.refusing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held_by = if self.found.is_empty() { "its init".to_owned() } else { self.found.join(", ") };
        write!(f, "{}: {held_by}", self.vassal)
    }
}

/// Whether all threads of the process have ended. (A leader that left its threads behind looks like a zombie in `/proc`, and lives.)
fn has_ended(pidfd: &OwnedFd) -> bool {
    poll(&[Interest::readable(pidfd.as_fd())], Some(Duration::ZERO)).is_ok_and(|ended| ended[0])
}

/// Sleeps until one of them has ended, at most for so long; or a little less.
fn wait_for_one(doomed: &Doomed, most: Duration) {
    let all: Vec<_> = doomed.values().map(|pidfd| Interest::readable(pidfd.as_fd())).collect();
    poll(&all, Some(most)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_from_before_the_daemon_is_no_orphan_of_a_vassal() {
        let sleep = || std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let mut before = sleep();
        let children = Children::new();
        let mut after = sleep();
        let pid = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
        let judged = [&before, &after].map(|child| children.orphan(pid(child), own_pid()).is_some());
        for child in [&mut before, &mut after] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(judged, [false, true]);
    }

    #[test]
    fn a_number_that_is_somebody_elses_by_now_is_left_alone() {
        let children = Children::new();
        assert!(children.orphan(1, own_pid()).is_none(), "no child of ours");
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(dead.id()).unwrap();
        let doomed = Doomed::from([(pid, pidfd::open(pid).unwrap())]);
        wait_for_one(&doomed, PATIENCE);
        assert!(children.orphan(pid, own_pid()).is_none(), "a zombie is past killing");
        dead.wait().unwrap();
        assert!(children.orphan(pid, own_pid()).is_none(), "reaped");
    }
}
