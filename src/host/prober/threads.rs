//! The threads that look, and those among them that hang for nobody.
//!
//! A look whose life is over is taken back. Its judge ends then, and the process that asks for it is killed; its thread ends when that
//! has ended, or when the mount answers, which an aborted FUSE connection does at once and a dead NFS server never. No signal reaches one
//! thread without ending its whole process. So what hangs on is told, and the daemon has this prober relieved: its end frees whoever can be freed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use liege_sys::{fuse_daemon, probe::Progress};
use nix::unistd::gettid;
use tokio::task::AbortHandle;

use super::protocol::Look;

/// A thread that was taken back may take so long to end.
const GRACE: Duration = Duration::from_secs(5);

/// What is told again is told so often.
const AGAIN: Duration = Duration::from_secs(30);

/// One look.
#[derive(Debug)]
struct Thread {
    path: String,
    /// Known from its first system call on.
    tid: Option<i32>,
    progress: Arc<Progress>,
    judge: Option<AbortHandle>,
    /// Since when nobody wants its answer.
    unwanted: Option<Instant>,
}

/// All looks under way, by their id.
#[derive(Debug, Default)]
pub(super) struct Threads {
    looks: Mutex<HashMap<u64, Thread>>,
    told: Mutex<(Vec<String>, Option<Instant>)>,
}

/// A look under way, until its thread drops it.
#[derive(Debug)]
pub(super) struct UnderWay {
    threads: Arc<Threads>,
    progress: Arc<Progress>,
    id: u64,
}

impl Threads {
    /// A look begins.
    pub(super) fn enter(self: &Arc<Self>, id: u64, look: &Look) -> UnderWay {
        let progress = Arc::new(Progress::new(look.whose()));
        let thread = Thread { path: look.path.clone(), tid: None, progress: Arc::clone(&progress), judge: None, unwanted: None };
        self.looks().insert(id, thread);
        UnderWay { threads: Arc::clone(self), progress, id }
    }

    /// This task judges it while it lasts.
    pub(super) fn judged_by(&self, id: u64, judge: AbortHandle) {
        if let Some(thread) = self.looks().get_mut(&id) {
            thread.judge = Some(judge);
        }
    }

    /// Nobody wants its answer any more.
    pub(super) fn cancel(&self, id: u64) {
        if let Some(thread) = self.looks().get_mut(&id) {
            thread.unwanted = Some(Instant::now());
            thread.progress.end_asker();
            if let Some(judge) = thread.judge.take() {
                judge.abort();
            }
        }
    }

    /// What hangs on though nobody wants it, if that is news, or was told long ago.
    pub(super) fn stranded(&self, now: Instant) -> Option<Vec<String>> {
        let is_stranded = |thread: &Thread| thread.unwanted.is_some_and(|since| now.saturating_duration_since(since) > GRACE);
        let mut stranded: Vec<(String, i32)> = {
            let looks = self.looks();
            let hangs = |t: &Thread| Some((t.path.clone(), t.progress.asker().or(t.tid)?));
            looks.values().filter(|thread| is_stranded(thread)).filter_map(hangs).collect()
        };
        stranded.sort();
        let found: Vec<String> =
            stranded.into_iter().filter_map(|(path, tid)| Some(format!("{} at {path}", fuse_daemon::shown(tid)?))).collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.0 != found || told.1.is_none_or(|at| now.saturating_duration_since(at) > AGAIN);
        if found.is_empty() || !is_news {
            return None;
        }
        *told = (found.clone(), Some(now));
        Some(found)
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<u64, Thread>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// How far it has come.
    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The thread that calls this looks. False: nobody wants it any more.
    pub(super) fn begin(&self) -> bool {
        let mut looks = self.threads.looks();
        let Some(thread) = looks.get_mut(&self.id) else { return false };
        thread.tid = Some(gettid().as_raw());
        thread.unwanted.is_none()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.threads.looks().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(path: &str) -> Look {
        Look {
            pid: 1,
            birth: 1,
            owner: None,
            path: path.into(),
            timeout: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            answered: None,
        }
    }

    #[test]
    fn who_hangs_for_nobody_is_told_once_and_again_later() {
        let threads = Arc::new(Threads::default());
        let wanted = threads.enter(1, &look("/wanted"));
        let unwanted = threads.enter(2, &look("/unwanted"));
        assert!(wanted.begin() && unwanted.begin());
        threads.cancel(2);
        let (now, later) = (Instant::now(), Instant::now() + GRACE + Duration::from_secs(1));
        assert_eq!(threads.stranded(now), None, "it may still end");
        let found = threads.stranded(later).unwrap();
        assert!(found.len() == 1 && found[0].ends_with(" at /unwanted"), "{found:?}");
        assert_eq!(threads.stranded(later), None, "told");
        assert!(threads.stranded(later + AGAIN + GRACE).is_some());
        drop(unwanted);
        assert_eq!(threads.stranded(later + 3 * AGAIN), None, "it has ended");
        drop(wanted);
        assert!(threads.looks().is_empty());
    }

    #[test]
    fn what_is_taken_back_before_it_began_does_not_begin() {
        let threads = Arc::new(Threads::default());
        let entered = threads.enter(1, &look("/a"));
        threads.cancel(1);
        assert!(!entered.begin());
    }
}
