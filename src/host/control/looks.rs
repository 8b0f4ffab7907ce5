//! What those who look are shown, made once for many: a snapshot of the loop, and a walk over `/proc`.
//!
//! Root is always shown what is so since he asked; of several who ask meanwhile one asks for all. Everybody else may be shown what
//! somebody was half a second ago, as long as nothing has happened since and nobody was obeyed: whoever orders and then looks sees
//! what came of it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use liege_core::View;
use liege_sys::usage::{Usage, of_trees};
use tokio::{
    spawn,
    sync::{Mutex, watch},
};

use crate::{
    events::Events,
    inbox::Post,
    workers::{NoThread, QUESTIONS},
};

/// How old may be what is shown to others than root.
const FRESH: Duration = Duration::from_millis(500);

/// What was made last.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    post: Post,
    happened: watch::Receiver<u64>,
    obeyed: Arc<AtomicU64>,
    newest: Arc<Mutex<Option<Look>>>,
    walked: Arc<Mutex<Option<Walk>>>,
}

#[derive(Debug)]
struct Look {
    asked: Instant,
    before: Before,
    view: Arc<View>,
}

/// What had happened before something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    happened: u64,
    obeyed: u64,
}

#[derive(Debug)]
struct Walk {
    began: Instant,
    usage: Arc<HashMap<i32, Usage>>,
}

impl Looks {
    pub(super) fn new(post: Post, events: &Events) -> Self {
        let (newest, walked) = (Arc::default(), Arc::default());
        Self { post, happened: events.listen(), obeyed: Arc::default(), newest, walked }
    }

    /// Somebody was answered an order: what was seen before is not shown any more.
    pub(super) fn obeyed(&self) {
        self.obeyed.fetch_add(1, Ordering::AcqRel);
    }

    /// The snapshot as it is since this was called; None: the loop has ended.
    pub(super) async fn fresh(&self) -> Option<Arc<View>> {
        let called = Instant::now();
        self.view(|look, _| look.asked >= called).await
    }

    /// One that nothing is known to have changed since.
    pub(super) async fn recent(&self) -> Option<Arc<View>> {
        self.view(|look, now| look.before == now && look.asked.elapsed() <= FRESH).await
    }

    /// Who asks meanwhile waits at the lock, and finds the answer there. It is asked for to the end, also where nobody waits any more:
    /// whoever asks and goes away asks no faster for it.
    async fn view(&self, will_do: impl Fn(&Look, Before) -> bool) -> Option<Arc<View>> {
        let mut newest = Arc::clone(&self.newest).lock_owned().await;
        let before = Before { happened: *self.happened.borrow(), obeyed: self.obeyed.load(Ordering::Acquire) };
        if let Some(look) = newest.as_ref().filter(|look| will_do(look, before)) {
            return Some(Arc::clone(&look.view));
        }
        let (post, asked) = (self.post.clone(), Instant::now());
        let view = spawn(async move {
            *newest = None;
            let view = Arc::new(post.view().await?);
            *newest = Some(Look { asked, before, view: Arc::clone(&view) });
            Some(view)
        });
        view.await.ok()?
    }

    /// What all vassals of a snapshot use: since this was called, or somewhat earlier.
    pub(super) async fn usage(&self, view: &View, is_fresh: bool) -> Result<Arc<HashMap<i32, Usage>>, NoThread> {
        let called = Instant::now();
        let mut walked = Arc::clone(&self.walked).lock_owned().await;
        let will_do = |walk: &&Walk| walk.began >= called || !is_fresh && walk.began.elapsed() <= FRESH;
        if let Some(walk) = walked.as_ref().filter(will_do) {
            return Ok(Arc::clone(&walk.usage));
        }
        let roots: Vec<i32> = view.vassals.iter().filter_map(|vassal| vassal.pid).collect();
        let walk = QUESTIONS.run(move || {
            let began = Instant::now();
            let usage = Arc::new(of_trees(&roots));
            *walked = Some(Walk { began, usage: Arc::clone(&usage) });
            usage
        });
        walk.await
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
                let Mail::View(answer) = mail else { panic!("{mail:?}") };
                asked.fetch_add(1, Ordering::AcqRel);
                answer.send(View::default()).ok();
            }
        });
        let events = Events::new();
        (Looks::new(post, &events), events, count)
    }

    #[tokio::test]
    async fn of_those_who_ask_meanwhile_one_asks_for_all() {
        let (looks, _events, count) = scene();
        assert!(join_all((0..100).map(|_| looks.fresh())).await.iter().all(Option::is_some));
        assert!(count.load(Ordering::Acquire) <= 2, "the first, and one for who came after it");
        let before = count.load(Ordering::Acquire);
        for _ in 0..3 {
            looks.fresh().await;
        }
        assert_eq!(count.load(Ordering::Acquire), before + 3, "but each one after the other");
        let given_up = looks.clone();
        drop(futures::poll!(std::pin::pin!(given_up.fresh())));
        looks.recent().await;
        assert!(count.load(Ordering::Acquire) <= before + 4, "who has given up has been asked for");
    }

    #[tokio::test]
    async fn nobody_is_shown_what_was_before_his_order_or_before_an_event() {
        let (looks, events, count) = scene();
        for _ in 0..1000 {
            looks.recent().await;
        }
        // Each half second one: a thousand take less than a few of those.
        let before = count.load(Ordering::Acquire);
        assert!(before < 20, "{before}");
        let first = looks.recent().await.unwrap();
        looks.obeyed();
        let second = looks.recent().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        events.hear(&Note::Gone { vassal: Name::from("a") }, |_| None);
        assert!(!Arc::ptr_eq(&second, &looks.recent().await.unwrap()));
    }

    #[tokio::test]
    async fn a_walk_is_shared_by_all_but_root() {
        let (looks, _events, _count) = scene();
        let view = View { vassals: vec![super::super::tests::vassal("a.ini")], ..View::default() };
        let first = looks.usage(&view, false).await.unwrap();
        assert!(first.values().next().is_some_and(|usage| usage.processes >= 1));
        let start = Instant::now();
        let second = looks.usage(&view, false).await.unwrap();
        assert!(Arc::ptr_eq(&first, &second) || start.elapsed() > FRESH / 2);
        assert!(!Arc::ptr_eq(&second, &looks.usage(&view, true).await.unwrap()));
    }
}
