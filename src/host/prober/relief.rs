//! What becomes of a prober that is not talked to any more.
//!
//! It finishes what it has begun, its socket is closed, and it ends; if not by itself, then by SIGKILL, which frees every thread of it
//! that can be freed. What is left then waits in the kernel for something that only the kernel or the other side of the mount can end. It
//! is named and counted, and its end is told: no thread of ours is lost sight of.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use liege_sys::{Errno, descendants::threads_of, fuse_daemon};
use tokio::time::{Instant, timeout};

use super::conversation::{Conversation, Need};
use crate::children::Ending;

/// How long one that is not needed any more may take to leave.
const LEAVES: Duration = Duration::from_secs(2);
/// And how long one that was killed may take to die.
const DIES: Duration = Duration::from_secs(5);

/// No prober is relieved sooner after the last one: where the whole machine is in need, a fresh one is no better.
const APART: Duration = Duration::from_secs(30);

/// Threads named in one line.
const MOST_NAMED: usize = 8;

/// Who relieves whom, and when.
#[derive(Debug, Default)]
pub(super) struct Relief {
    last: Option<Instant>,
    /// Probers that cannot end.
    stuck: Arc<AtomicUsize>,
    /// What was last told about threads that hang.
    told: Vec<String>,
}

impl Relief {
    /// Whether this need is a reason for another prober now.
    pub(super) fn may(&mut self, need: &Need, now: Instant) -> bool {
        let is_due = self.last.is_none_or(|last| now - last >= APART);
        let helps = match need {
            // A process more would lack it too.
            Need::Lacks(Errno::EAGAIN | Errno::ENOMEM | Errno::ENFILE) => false,
            Need::Lacks(_) => true,
            // The threads of the last one did not die of it: these would not either.
            Need::Stranded(_) => self.stuck.load(Ordering::Relaxed) == 0,
        };
        if is_due && helps {
            self.last = Some(now);
        }
        is_due && helps
    }

    /// Says what is wrong, once.
    pub(super) fn tell(&mut self, pid: i32, need: &Need, is_relieved: bool) {
        let then = if is_relieved { "; another one takes over" } else { "" };
        match need {
            Need::Lacks(errno) if is_relieved => {
                tracing::error!(target: "mountpoint", "the prober (pid {pid}) cannot look any more: {errno}{then}");
            }
            Need::Lacks(_) => {}
            Need::Stranded(found) => {
                if is_relieved || self.told != *found {
                    let (count, found) = (found.len(), found.join("; "));
                    tracing::warn!(target: "mountpoint", "{count} threads of the prober (pid {pid}) hang for nobody: {found}{then}");
                }
                self.told.clone_from(found);
            }
        }
    }

    /// Sees a prober to its end, in a task of its own.
    pub(super) fn see_off(&self, mut conversation: Conversation, ending: Ending, finishes: bool) {
        let stuck = Arc::clone(&self.stuck);
        tokio::spawn(async move {
            if finishes {
                conversation.finish().await;
            }
            let child = conversation.hang_up();
            let mut ending = ending;
            if timeout(LEAVES, &mut ending).await.is_ok() {
                return;
            }
            liege_sys::pidfd::signal(&child.pidfd, nix::libc::SIGKILL).ok();
            if timeout(DIES, &mut ending).await.is_ok() {
                return;
            }
            let count = stuck.fetch_add(1, Ordering::Relaxed) + 1;
            // Not reaped yet, so the number is its own.
            let threads: Vec<_> = threads_of(child.pid).filter_map(fuse_daemon::shown).filter(|seen| seen.state != 'Z').collect();
            let named: Vec<String> = threads.iter().take(MOST_NAMED).map(ToString::to_string).collect();
            tracing::warn!(
                target: "mountpoint", threads = threads.len(), probers = count,
                "the prober with pid {} is not needed any more and cannot end: {}", child.pid, named.join("; ")
            );
            let ended = ending.await;
            stuck.fetch_sub(1, Ordering::Relaxed);
            if ended.is_ok() {
                tracing::info!(target: "mountpoint", "the prober with pid {} has ended at last", child.pid);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_one_would_lack_too_relieves_nobody() {
        let (mut relief, now) = (Relief::default(), Instant::now());
        assert!([Errno::EAGAIN, Errno::ENOMEM, Errno::ENFILE].into_iter().all(|errno| !relief.may(&Need::Lacks(errno), now)));
        assert!(relief.may(&Need::Lacks(Errno::EMFILE), now), "and does not put off what helps");
    }

    #[test]
    fn one_is_relieved_at_a_time_and_not_in_vain() {
        let (mut relief, now) = (Relief::default(), Instant::now());
        let (lacks, stranded) = (Need::Lacks(Errno::EMFILE), Need::Stranded(vec!["one".into()]));
        assert!(relief.may(&lacks, now));
        assert!(!relief.may(&stranded, now + APART / 2), "so soon it would not help");
        assert!(relief.may(&stranded, now + APART));
        relief.stuck.store(1, Ordering::Relaxed);
        assert!(!relief.may(&stranded, now + 2 * APART), "a kill did not free the last one's threads");
        assert!(relief.may(&lacks, now + 2 * APART));
    }
}
