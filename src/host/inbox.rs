//! The way from every task to the loop: one bounded queue.
//!
//! Bounded, so that a task that talks too much waits and the loop's memory does not grow; fair, because waiting senders are
//! served in the order they came. The loop itself never writes to it, so it cannot wait for itself.

use std::collections::BTreeMap;

use liege_core::{Answer, Event, Name, Request, Time, View};
use tokio::sync::{mpsc, oneshot};

use crate::lives::Born;

/// What a task has to say.
#[derive(Debug)]
pub(crate) enum Mail {
    /// Something happened; the core decides.
    Event(Event),
    /// A clone lives: it is registered first, then the core hears of it.
    Born(Born),
    /// Somebody asks for something, and waits for the answer.
    Asked(Request, oneshot::Sender<Answer>),
    /// The same, and the files it is about were read for it, since it was received; with the reasons of those that could not be read.
    ReadAndAsked { request: Request, received: Time, unread: BTreeMap<Name, String>, asker: Option<oneshot::Sender<Answer>> },
    /// Somebody wants to see everything.
    View(oneshot::Sender<View>),
    /// The same, what this user may see of it.
    ViewOf(u32, oneshot::Sender<View>),
    /// As whom the vassal with this init runs.
    OwnerOf(i32, oneshot::Sender<Option<u32>>),
    /// Somebody wants to know whether the loop turns.
    Alive(oneshot::Sender<()>),
}

/// The sending end, one copy per task.
#[derive(Clone, Debug)]
pub(crate) struct Post(mpsc::Sender<Mail>);

/// The queue; `capacity` letters may wait.
pub(crate) fn inbox(capacity: usize) -> (Post, mpsc::Receiver<Mail>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Post(sender), receiver)
}

impl Post {
    /// Sends; waits while the queue is full. After the loop's end nobody reads any more, and that is all right.
    pub(crate) async fn send(&self, mail: Mail) {
        self.0.send(mail).await.ok();
    }

    /// [`Self::send`] of an event.
    pub(crate) async fn event(&self, event: Event) {
        self.send(Mail::Event(event)).await;
    }

    /// Asks the core; None when the loop has ended.
    pub(crate) async fn ask(&self, request: Request) -> Option<Answer> {
        let (tell, answer) = oneshot::channel();
        self.send(Mail::Asked(request, tell)).await;
        answer.await.ok()
    }

    /// The snapshot; None when the loop has ended.
    pub(crate) async fn view(&self) -> Option<View> {
        let (answer, view) = oneshot::channel();
        self.send(Mail::View(answer)).await;
        view.await.ok()
    }

    /// The snapshot, what this user may see of it; None when the loop has ended.
    pub(crate) async fn view_of(&self, user: u32) -> Option<View> {
        let (answer, view) = oneshot::channel();
        self.send(Mail::ViewOf(user, answer)).await;
        view.await.ok()
    }

    /// As whom the vassal with this init runs; the outer None when the loop has ended.
    pub(crate) async fn owner_of(&self, init: i32) -> Option<Option<u32>> {
        let (answer, owner) = oneshot::channel();
        self.send(Mail::OwnerOf(init, answer)).await;
        owner.await.ok()
    }

    /// Whether the loop turns: true when it does, false when it has ended, and no answer while it is stuck.
    pub(crate) async fn alive(&self) -> bool {
        let (answer, alive) = oneshot::channel();
        self.send(Mail::Alive(answer)).await;
        alive.await.is_ok()
    }
}
