//! The one loop. Each turn has three phases: wait for anything and *name* it, let the core decide, perform what it answers.
//!
//! The select below names events and does nothing else. No await in here waits for one vassal: what a vassal's trouble could
//! delay (its clone, its channel, its probes, its file) has a task or a thread of its own, which sends what came of it.
//!
//! Children are reaped here and nowhere else; their ends go to whoever registered them (`children.rs`).

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use liege_core::{Action, Answer, Emperor, Event, Note, Order, Request, Time, View};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    checks::Means,
    children::Children,
    clock::{Clock, PIECE},
    deaths::Deaths,
    events::Events,
    inbox::Mail,
    life::{Birth, Nursery},
    listeners::Listeners,
    lives::Lives,
    metrics::Book,
    monitor::Monitors,
    notes, service,
    signals::Told,
    trace::Trace,
    vassal_logs::Wanted,
    web::Recent,
};

/// Everything a turn touches.
pub(crate) struct Loop {
    pub(crate) core: Emperor,
    pub(crate) clock: Clock,
    pub(crate) inbox: mpsc::Receiver<Mail>,
    pub(crate) children: Arc<Children>,
    pub(crate) nursery: Nursery,
    pub(crate) lives: Lives,
    pub(crate) checks: Means,
    pub(crate) listeners: Listeners,
    pub(crate) monitors: Monitors,
    pub(crate) trace: Option<Trace>,
    pub(crate) deaths: Deaths,
    pub(crate) events: Events,
    /// Who waits for the answer to the request that is being decided.
    pub(crate) asker: Option<oneshot::Sender<Answer>>,
    pub(crate) book: Arc<Book>,
    /// For the status page, where there is one.
    pub(crate) recent: Option<Arc<Recent>>,
}

/// What woke the loop.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it goes nowhere")]
enum Woken {
    Told(Told),
    Mail(Mail),
    Deadline,
}

impl Loop {
    /// Turns until the core says that no pid lives and none will.
    pub(crate) async fn run(&mut self, mut signals: impl Stream<Item = Told> + Unpin) {
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        let mut awake = Instant::now();
        loop {
            self.clock.waited(Duration::ZERO, awake.elapsed(), Instant::now().into_std());
            awake = Instant::now();
            let deadline = self.core.next_deadline();
            if let Some(at) = deadline {
                // A deadline that has come already does not wait for the timer, whose ticks are a millisecond apart.
                if at <= self.clock.now() {
                    if self.turn(Woken::Deadline).is_break() {
                        return;
                    }
                    continue;
                }
                let at = self.wakes_at(at);
                if timer.deadline() != at {
                    timer.as_mut().reset(at);
                }
            }
            let asked = if deadline.is_some() { timer.deadline().saturating_duration_since(awake) } else { Duration::MAX };
            let woken = tokio::select! {
                biased; // a signal is rare and small, mail can be a flood; a due deadline waits for neither for long
                Some(told) = signals.next() => Some(Woken::Told(told)),
                () = &mut timer, if deadline.is_some() => None, // a deadline that has come is seen above
                Some(mail) = self.inbox.recv() => Some(Woken::Mail(mail)),
            };
            self.clock.waited(asked, awake.elapsed(), Instant::now().into_std());
            awake = Instant::now();
            if woken.is_some_and(|woken| self.turn(woken).is_break()) {
                return;
            }
        }
    }

    /// When to wake for a deadline. In pieces where it ends something: a pause is seen by what wakes too late.
    fn wakes_at(&self, deadline: Time) -> Instant {
        let at = Instant::from_std(self.clock.moment(deadline));
        if self.core.is_pressed() { at.min(Instant::now() + PIECE) } else { at }
    }

    fn turn(&mut self, woken: Woken) -> ControlFlow<()> {
        let began = std::time::Instant::now();
        let flow = self.name_and_decide(woken);
        self.book.turned(began);
        flow
    }

    fn name_and_decide(&mut self, woken: Woken) -> ControlFlow<()> {
        match woken {
            Woken::Deadline => self.decide(Event::Deadline),
            Woken::Told(Told::Asked(request)) => {
                if matches!(request, Request::Each { order: Order::Reload, .. }) {
                    service::reloads();
                }
                self.asked(request, None)
            }
            Woken::Told(Told::ChildEnded) => {
                self.children.reap();
                ControlFlow::Continue(())
            }
            Woken::Told(Told::Report) => {
                notes::report(&self.core.view(self.clock.now()));
                ControlFlow::Continue(())
            }
            // What was asked about its end is told first.
            Woken::Mail(Mail::Event(event @ Event::Exited { birth, .. })) => match self.lives.put_off(birth, event) {
                Some(event) => self.decide(event),
                None => ControlFlow::Continue(()),
            },
            Woken::Mail(Mail::Event(event)) => self.decide(event),
            Woken::Mail(Mail::Asked(request, asker)) => self.asked(request, Some(asker)),
            Woken::Mail(Mail::ReadAndAsked { request, received, unread, asker }) => {
                self.asker = asker;
                self.decide(Event::ReadAndAsked { request, received, unread })
            }
            Woken::Mail(Mail::Born(born)) => {
                let event = Event::Spawned { vassal: born.vassal.clone(), birth: born.birth, pid: born.pid };
                self.lives.register(born);
                self.decide(event)
            }
            Woken::Mail(Mail::View(answer)) => self.show(self.core.view(self.clock.now()), answer),
            Woken::Mail(Mail::ViewOf(user, answer)) => self.show(self.core.view_of(self.clock.now(), user), answer),
            Woken::Mail(Mail::OwnerOf(init, answer)) => {
                answer.send(self.core.owner_of(init)).ok();
                ControlFlow::Continue(())
            }
            Woken::Mail(Mail::Alive(answer)) => {
                answer.send(()).ok();
                ControlFlow::Continue(())
            }
        }
    }

    fn show(&self, mut view: View, answer: oneshot::Sender<View>) -> ControlFlow<()> {
        self.deaths.complete(&mut view);
        answer.send(view).ok();
        ControlFlow::Continue(())
    }

    /// An order that brings an app up with its file has the file read first: the core hears of the file before the order.
    fn asked(&mut self, request: Request, asker: Option<oneshot::Sender<Answer>>) -> ControlFlow<()> {
        let about = self.core.to_be_read(&request);
        if about.is_empty() {
            self.asker = asker;
            return self.decide(Event::Asked(request));
        }
        let (reading, post, received) = (self.monitors.read_now(&about), self.nursery.post.clone(), self.clock.now());
        tokio::spawn(async move {
            let unread = reading.await;
            post.send(Mail::ReadAndAsked { request, received, unread, asker }).await;
        });
        ControlFlow::Continue(())
    }

    fn decide(&mut self, event: Event) -> ControlFlow<()> {
        let now = self.clock.tell();
        self.book.see(now, &event);
        if let Some(recent) = &self.recent {
            recent.see(&event);
        }
        let recorded = self.trace.is_some().then(|| event.clone());
        let actions = self.core.handle(now, event);
        if let (Some(trace), Some(event)) = (&mut self.trace, recorded) {
            trace.turn(now, &event, &actions);
        }
        actions.into_iter().try_for_each(|action| self.perform(now, action))
    }

    fn perform(&mut self, now: Time, action: Action) -> ControlFlow<()> {
        if let Some(recent) = &self.recent {
            recent.hear(&action);
        }
        match action {
            Action::Spawn { vassal, birth, namespaces, cgroups, log_to, owner, points, watches } => {
                let reading = self.monitors.read_for_birth(&vassal);
                let log = Wanted { to: log_to, owner };
                self.nursery.begin(Birth { vassal, birth, namespaces, cgroups, log, points, watches }, reading);
            }
            Action::Tell { birth, message, .. } => self.lives.tell(birth, message),
            Action::Kill { birth, .. } => {
                if self.lives.kill(birth) {
                    self.book.fuse_aborts.inc();
                }
            }
            Action::Examine { vassal, birth } => self.lives.examine(vassal, birth, &self.checks),
            Action::LeaveBehind { vassal, birth, found } => self.lives.leave_behind(&vassal, birth, &found, &self.children),
            Action::FindListeners { vassal, birth, wanted } => {
                self.lives.find_listeners(vassal, birth, wanted, &self.listeners, &self.nursery.post);
            }
            Action::Secure { vassal, birth, number } => self.lives.secure(vassal, birth, number, &self.checks),
            Action::Watch { birth, checks, .. } => self.lives.watch(birth, checks, &self.checks),
            Action::ReadAgain { vassal } => self.monitors.read_again(&vassal),
            Action::ProbeNow { birth, .. } => self.lives.probe_now(birth),
            Action::Release { birth, .. } => self.lives.release(birth),
            Action::Rescan => self.monitors.rescan(),
            Action::Believe => self.monitors.believe(),
            Action::Answer(answer) => {
                match (self.asker.take(), answer) {
                    (Some(asker), answer) => drop(asker.send(answer)), // an error: the asker has hung up
                    (None, Answer::Refused(why)) => {
                        tracing::warn!(target: "emperor", "what a signal asked for is refused: {why}")
                    }
                    (None, Answer::Done | Answer::Nothing(_) | Answer::Unknown) => {}
                }
            }
            Action::Note(note) => {
                notes::tell(&note);
                if matches!(note, Note::ShuttingDown { .. }) {
                    service::stops();
                }
                self.deaths.hear(&note);
                if let (Some(recent), Note::Added { vassal }) = (&self.recent, &note)
                    && let Some(death) = self.deaths.earlier(vassal)
                {
                    recent.recall(vassal, death);
                }
                self.events.hear(&note, |_| self.core.audience(&note));
                self.book.hear(now, &note, note.vassal().is_some_and(|vassal| self.core.is_ready(vassal)));
            }
            Action::Quit => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}
