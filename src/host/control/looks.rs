//! What a user who looks is shown, made once for all its connections: its snapshot of the loop. (What is used is in `walks.rs`.)
//!
//! Root is always shown what is so since it asked; of several connections that ask meanwhile one asks for all. Any other user may be
//! shown what is half a second old, as long as nothing has happened to its own vassals since and no order of its own was answered.
//!
//! Users share no snapshot. When one was taken is in it, so it would tell one user when another one's vassals change, or when another
//! one looks. A user's own snapshot has its own vassals only, and costs the loop no more than those.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use liege_core::{ROOT, VassalView, View};
use tokio::{spawn, sync::Mutex};

use crate::{events::Events, inbox::Post};

/// How old may be what is shown to others than root.
const FRESH: Duration = Duration::from_millis(500);
/// Users that are remembered.
const KEPT: usize = 256;

/// What was made last.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    post: Post,
    events: Events,
    users: Arc<StdMutex<HashMap<u32, Arc<OfUser>>>>,
}

#[derive(Debug, Default)]
struct OfUser {
    /// How many of its orders were answered.
    obeyed: AtomicU64,
    newest: Arc<Mutex<Option<Look>>>,
}

#[derive(Debug)]
struct Look {
    asked: Instant,
    before: Before,
    view: Arc<View>,
}

/// How much had happened to a user's vassals before a snapshot was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    happened: u64,
    obeyed: u64,
}

impl Looks {
    pub(super) fn new(post: Post, events: Events) -> Self {
        Self { post, events, users: Arc::default() }
    }

    /// This user was answered an order: what was seen before is not shown to it any more.
    pub(super) fn obeyed(&self, user: u32) {
        self.user(user).obeyed.fetch_add(1, Ordering::AcqRel);
    }

    /// What this user may see, as it is since this was called; None: the loop has ended.
    pub(super) async fn fresh(&self, user: u32) -> Option<Arc<View>> {
        let called = Instant::now();
        self.view(user, |look, _| look.asked >= called).await
    }

    /// The same, if nothing is known to have changed since it was taken.
    pub(super) async fn recent(&self, user: u32) -> Option<Arc<View>> {
        self.view(user, |look, now| look.before == now && look.asked.elapsed() <= FRESH).await
    }

    /// Who asks meanwhile waits at the lock, and finds the answer there. It is asked for to the end, also where nobody waits any more:
    /// whoever asks and goes away asks no faster for it.
    async fn view(&self, user: u32, will_do: impl Fn(&Look, Before) -> bool) -> Option<Arc<View>> {
        let of_user = self.user(user);
        let mut newest = Arc::clone(&of_user.newest).lock_owned().await;
        let before = Before { happened: self.events.changes(user), obeyed: of_user.obeyed.load(Ordering::Acquire) };
        if let Some(look) = newest.as_ref().filter(|look| will_do(look, before)) {
            return Some(Arc::clone(&look.view));
        }
        let (post, asked) = (self.post.clone(), Instant::now());
        let view = spawn(async move {
            *newest = None;
            let mut view = post.view_of(user).await?;
            if user == ROOT {
                view.vassals = view.vassals.into_iter().map(VassalView::for_root).collect();
            }
            let view = Arc::new(view);
            *newest = Some(Look { asked, before, view: Arc::clone(&view) });
            drop(of_user); // until now it is not forgotten
            Some(view)
        });
        view.await.ok()?
    }

    fn user(&self, user: u32) -> Arc<OfUser> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= KEPT {
            users.retain(|_, of_user| Arc::strong_count(of_user) > 1);
        }
        Arc::clone(users.entry(user).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, thread};

    use futures::future::join_all;
    use liege_core::{Name, Note};

    use super::*;
    use crate::inbox::{Mail, inbox};

    /// A loop that counts how often it is asked.
    fn scene() -> (Looks, Events, Arc<AtomicUsize>) {
        let (post, mut mail) = inbox(16);
        let count = Arc::<AtomicUsize>::default();
        let asked = Arc::clone(&count);
        thread::spawn(move || {
            while let Some(mail) = mail.blocking_recv() {
                let Mail::ViewOf(_, answer) = mail else { panic!("{mail:?}") };
                asked.fetch_add(1, Ordering::AcqRel);
                answer.send(View::default()).ok();
            }
        });
        let events = Events::new();
        (Looks::new(post, events.clone()), events, count)
    }

    #[tokio::test]
    async fn of_those_who_ask_meanwhile_one_asks_for_all() {
        let (looks, _events, count) = scene();
        assert!(join_all((0..100).map(|_| looks.fresh(ROOT))).await.iter().all(Option::is_some));
        assert!(count.load(Ordering::Acquire) <= 2, "the first, and one for who came after it");
        let before = count.load(Ordering::Acquire);
        for _ in 0..3 {
            looks.fresh(ROOT).await;
        }
        assert_eq!(count.load(Ordering::Acquire), before + 3, "but each one after the other");
        let given_up = looks.clone();
        drop(futures::poll!(std::pin::pin!(given_up.fresh(ROOT))));
        looks.recent(ROOT).await;
        assert!(count.load(Ordering::Acquire) <= before + 4, "who has given up has been asked for");
    }

    #[tokio::test]
    async fn nobody_is_shown_what_was_before_his_order_or_before_an_event() {
        let (looks, events, count) = scene();
        for _ in 0..1000 {
            looks.recent(1001).await;
        }
        // Each half second one: a thousand take less than a few of those.
        let before = count.load(Ordering::Acquire);
        assert!(before < 20, "{before}");
        let first = looks.recent(1001).await.unwrap();
        looks.obeyed(1001);
        let second = looks.recent(1001).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        events.hear(&Note::Loyal { vassal: Name::from("a") }, |_| Some(Some(1001)));
        let third = looks.recent(1001).await.unwrap();
        assert!(!Arc::ptr_eq(&second, &third));
        events.hear(&Note::Loyal { vassal: Name::from("a") }, |_| Some(Some(1002)));
        assert!(!Arc::ptr_eq(&third, &looks.recent(1001).await.unwrap()), "it is another user's from now on");
    }

    #[tokio::test]
    async fn a_snapshot_is_no_newer_by_what_others_do() {
        let (looks, events, _count) = scene();
        let start = Instant::now();
        let first = looks.recent(1001).await.unwrap();
        for _ in 0..10 {
            events.hear(&Note::Gone { vassal: Name::from("a") }, |_| Some(Some(1002)));
            looks.obeyed(1002);
            looks.fresh(ROOT).await;
            looks.recent(1002).await;
            let second = looks.recent(1001).await.unwrap();
            assert!(Arc::ptr_eq(&first, &second) || start.elapsed() > FRESH);
        }
    }
}
