//! What one vassal uses and where it listens: a walk over its processes and their descriptors, of which it may have very many.
//!
//! One walk at a time for each user who asks, however many of its connections do. What was found is good for a while for all but root,
//! and longer the longer the walk took; between two walks for the same user there is a rest. So no user burns more than a tenth of a
//! processor with the daemon's walks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use liege_core::ROOT;
use liege_sys::{
    sockets,
    usage::{self, Usage},
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
/// But no longer than a client waits.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// Users and vassals that are remembered.
const KEPT: usize = 256;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) usage: Option<Usage>,
    pub(super) listens: Vec<String>,
}

/// All users who asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Walks(Arc<StdMutex<HashMap<u32, Arc<Mutex<OfUser>>>>>);

#[derive(Debug, Default)]
struct OfUser {
    /// No walk before.
    rests_until: Option<Instant>,
    /// By the pid of the vassal's init: when its walk began, and how long it is good.
    found: HashMap<i32, (Instant, Duration, Arc<Found>)>,
}

impl Walks {
    /// What the tree of this process uses, and where it listens.
    ///
    /// # Errors
    /// There is no thread to look.
    pub(super) async fn of(&self, uid: u32, pid: i32) -> Result<Arc<Found>, NoThread> {
        let (is_root, called) = (uid == ROOT, Instant::now());
        // Who asks meanwhile waits here, and finds the answer.
        let mut of_user = self.user(uid).lock_owned().await;
        let will_do = |began: Instant, good: Duration| began >= called || !is_root && began.elapsed() <= good;
        if let Some((_, _, found)) = of_user.found.get(&pid).filter(|(began, good, _)| will_do(*began, *good)) {
            return Ok(Arc::clone(found));
        }
        if let Some(rests_until) = of_user.rests_until.filter(|_| !is_root) {
            sleep_until(rests_until).await;
        }
        let walk = QUESTIONS.run(move || {
            let began = Instant::now();
            let found = Arc::new(Found { usage: usage::of_tree(pid), listens: sockets::listening(pid) });
            let rest = (began.elapsed() * REST).min(LONGEST_REST);
            of_user.rests_until = Some(Instant::now() + rest);
            if of_user.found.len() >= KEPT {
                of_user.found.clear();
            }
            of_user.found.insert(pid, (began, rest.max(FRESH), Arc::clone(&found)));
            found
        });
        walk.await
    }

    fn user(&self, uid: u32) -> Arc<Mutex<OfUser>> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= KEPT {
            users.retain(|_, of_user| Arc::strong_count(of_user) > 1);
        }
        Arc::clone(users.entry(uid).or_default())
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn of_many_who_ask_for_one_user_one_walks() {
        let (walks, me) = (Walks::default(), i32::try_from(std::process::id()).unwrap());
        let found = join_all((0..50).map(|_| walks.of(1001, me))).await;
        assert!(found.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), found[0].as_ref().unwrap())));
        assert!(found[0].as_ref().unwrap().usage.is_some());
        let roots = walks.of(ROOT, me).await.unwrap();
        assert!(!Arc::ptr_eq(&roots, &walks.of(ROOT, me).await.unwrap()), "root is shown what is so since it asked");
    }
}
