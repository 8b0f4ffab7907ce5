//! What vassals use and where they listen: walks over their processes and descriptors, of which they may have very many.
//!
//! * [`Walks::one`]: one vassal with everything
//! * [`Walks::all`]: what each vassal of a user uses
//!
//! One walk at a time for each user who asks, however many of its connections do, and one rule for all walks: after each the user rests
//! nine times as long as it took. So no user but root burns more than a tenth of a processor with the daemon's walks. A user's walk
//! looks at its own vassals only: the processes of others cost it nothing. What was found is good until the rest is over.
//!
//! Root does not rest, and is shown what is so since it asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use liege_core::ROOT;
use liege_sys::{
    sockets,
    usage::{Usage, of_these_trees, of_trees},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::workers::{NoThread, QUESTIONS};

/// How old may be what others than root are shown, at least.
const FRESH: Duration = Duration::from_millis(500);
/// For each second of a walk so many of rest.
const REST: u32 = 9;
/// A client waits so long for the end of a rest; after that it is told that it has to ask again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Users, and vassals of each, that are remembered.
const KEPT: usize = 256;

/// What was found of one vassal.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) usage: Option<Usage>,
    pub(super) listens: Vec<String>,
}

/// Why nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlooked {
    /// There is no thread to look.
    NoThread,
    /// The last walk took so long that the user has to rest for long.
    Rests,
}

/// All users who asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Walks(Arc<StdMutex<HashMap<u32, Arc<Mutex<OfUser>>>>>);

#[derive(Debug, Default)]
struct OfUser {
    /// No walk before.
    rests_until: Option<Instant>,
    /// By the pid of the vassal's init.
    ones: HashMap<i32, Walk<Found>>,
    all: Option<Walk<HashMap<i32, Usage>>>,
}

/// A walk that is over.
#[derive(Debug)]
struct Walk<T> {
    began: Instant,
    /// How long it will do, from its beginning.
    good: Duration,
    found: Arc<T>,
}

impl<T> Clone for Walk<T> {
    fn clone(&self) -> Self {
        Self { found: Arc::clone(&self.found), ..*self }
    }
}

impl Walks {
    /// What the tree of this process uses, and where it listens.
    ///
    /// # Errors
    /// There is no thread to look, or this user has to rest.
    pub(super) async fn one(&self, user: u32, pid: i32) -> Result<Arc<Found>, Unlooked> {
        let look = move || Found { usage: of_these_trees(&[pid]).remove(&pid), listens: sockets::listening(pid) };
        let keep = move |of_user: &mut OfUser, walk| {
            if of_user.ones.len() >= KEPT {
                of_user.ones.clear();
            }
            of_user.ones.insert(pid, walk);
        };
        self.walk(user, move |of_user| of_user.ones.get(&pid).cloned(), look, keep).await
    }

    /// What the trees of these processes use: all vassals of this user. One that was born after the walk is not in it.
    ///
    /// # Errors
    /// As [`Self::one`].
    pub(super) async fn all(&self, user: u32, pids: Vec<i32>) -> Result<Arc<HashMap<i32, Usage>>, Unlooked> {
        // Nearly all processes are some vassal's, where root asks.
        let look = move || if user == ROOT { of_trees(&pids) } else { of_these_trees(&pids) };
        self.walk(user, |of_user| of_user.all.clone(), look, |of_user, walk| of_user.all = Some(walk)).await
    }

    async fn walk<T: Send + Sync + 'static>(
        &self,
        user: u32,
        kept: impl Fn(&OfUser) -> Option<Walk<T>>,
        look: impl FnOnce() -> T + Send + 'static,
        keep: impl FnOnce(&mut OfUser, Walk<T>) + Send + 'static,
    ) -> Result<Arc<T>, Unlooked> {
        let (rests, called) = (user != ROOT, Instant::now());
        // Who asks meanwhile waits here, and finds the answer.
        let mut of_user = self.user(user).lock_owned().await;
        let last = kept(&of_user);
        if let Some(last) = last.as_ref().filter(|last| last.will_do(called, rests)) {
            return Ok(Arc::clone(&last.found));
        }
        if let Some(rests_until) = of_user.rests_until.filter(|_| rests) {
            if rests_until > Instant::now() + PATIENCE {
                return last.map(|last| last.found).ok_or(Unlooked::Rests);
            }
            sleep_until(rests_until).await;
        }
        let walk = QUESTIONS.run(move || {
            let began = Instant::now();
            let found = Arc::new(look());
            let rest = began.elapsed() * REST;
            of_user.rests_until = Some(Instant::now() + rest);
            keep(&mut of_user, Walk { began, good: rest.max(FRESH), found: Arc::clone(&found) });
            found
        });
        walk.await.map_err(|NoThread| Unlooked::NoThread)
    }

    fn user(&self, user: u32) -> Arc<Mutex<OfUser>> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= KEPT {
            let is_needed = |of_user: &Arc<Mutex<OfUser>>| {
                Arc::strong_count(of_user) > 1 || of_user.try_lock().map_or(true, |of_user| of_user.rests())
            };
            users.retain(|_, of_user| is_needed(of_user));
        }
        Arc::clone(users.entry(user).or_default())
    }
}

impl OfUser {
    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|rests_until| rests_until > Instant::now())
    }
}

impl<T> Walk<T> {
    fn will_do(&self, called: Instant, may_be_old: bool) -> bool {
        self.began >= called || may_be_old && self.began.elapsed() <= self.good
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use futures::future::join_all;
    use tokio::time::sleep;

    use super::*;

    fn me() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[tokio::test]
    async fn of_many_who_ask_for_one_user_one_walks() {
        let (walks, me) = (Walks::default(), me());
        let found = join_all((0..50).map(|_| walks.one(1001, me))).await;
        assert!(found.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), found[0].as_ref().unwrap())));
        assert!(found[0].as_ref().unwrap().usage.is_some());
        let all = join_all((0..50).map(|_| walks.all(1001, vec![me]))).await;
        assert!(all.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), all[0].as_ref().unwrap())));
        assert!(all[0].as_ref().unwrap()[&me].processes >= 1);
        let (roots, roots_all) = (walks.one(ROOT, me).await.unwrap(), walks.all(ROOT, vec![me]).await.unwrap());
        assert!(!Arc::ptr_eq(&roots, &walks.one(ROOT, me).await.unwrap()), "root is shown what is so since it asked");
        assert!(!Arc::ptr_eq(&roots_all, &walks.all(ROOT, vec![me]).await.unwrap()));
    }

    /// Asks again and again until it was walked so often, each time for so long. How long it was rested between two walks, at least.
    async fn rest(walk: Duration, count: usize) -> Duration {
        let (walks, times) = (Walks::default(), Arc::<StdMutex<Vec<(Instant, Instant)>>>::default());
        while times.lock().unwrap().len() < count {
            let walked = Arc::clone(&times);
            let look = move || {
                let began = Instant::now();
                thread::sleep(walk);
                walked.lock().unwrap().push((began, Instant::now()));
                HashMap::default()
            };
            walks.walk(1001, |of_user| of_user.all.clone(), look, |of_user, walk| of_user.all = Some(walk)).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        let times = times.lock().unwrap();
        times.windows(2).map(|two| two[1].0 - two[0].1).min().unwrap()
    }

    #[tokio::test]
    async fn a_user_rests_nine_times_as_long_as_its_walk_took() {
        for (millis, count) in [(90, 3), (300, 2)] {
            let walk = Duration::from_millis(millis);
            let rest = rest(walk, count).await;
            assert!(rest >= walk * 9, "{rest:?} after {walk:?}");
        }
    }

    #[tokio::test]
    async fn who_has_to_rest_for_long_is_told_so() {
        let (walks, me) = (Walks::default(), me());
        let first = walks.one(1001, me).await.unwrap();
        walks.user(1001).lock().await.rests_until = Some(Instant::now() + Duration::from_secs(3600));
        walks.user(1001).lock().await.ones.get_mut(&me).unwrap().good = Duration::ZERO;
        assert!(Arc::ptr_eq(&first, &walks.one(1001, me).await.unwrap()), "what was found before is better than nothing");
        assert_eq!(walks.all(1001, vec![me]).await, Err(Unlooked::Rests));
        assert!(walks.all(1002, vec![me]).await.is_ok() && walks.all(ROOT, vec![me]).await.is_ok());
    }
}
