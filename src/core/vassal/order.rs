//! Somebody asks: start, stop, restart, reload, clear. Each is answered at once.
//!
//! A stop is remembered apart from the wish (`stopped`): the newest configuration is kept and used at the start. An order is
//! somebody's word, so it forgets the failures of whoever comes up by it.

use std::{path::Path, time::Duration};

use super::{Phase, Vassal};
use crate::{
    Answer, Cause, Note, Order, Time,
    emperor::{Context, ReadFirst},
    timers::Timers,
};

impl Vassal {
    /// `read`: its file was read for this.
    pub(crate) fn ordered(&mut self, order: Order, read: Option<&ReadFirst>, cx: &mut Context<'_>) -> Answer {
        if let Some(why) = self.refused_at_once(order, read) {
            return Answer::Refused(why);
        }
        match order {
            Order::Start => self.ordered_start(cx),
            Order::Stop => self.ordered_stop(cx),
            Order::Restart => self.ordered_restart(cx),
            Order::Reload => self.ordered_reload(read, cx),
            Order::Clear => self.ordered_clear(cx),
        }
    }

    fn ordered_start(&mut self, cx: &mut Context<'_>) -> Answer {
        match self.phase {
            Phase::Suspended => self.resume(cx),
            Phase::Waiting => self.hasten(cx),
            Phase::Spawning | Phase::Stopping | Phase::Killing => self.let_go("it comes up by itself"),
            Phase::Preparing => Answer::nothing("it is starting"),
            Phase::Running | Phase::Reloading => Answer::nothing("it runs"),
            Phase::Gone => Answer::Unknown,
        }
    }

    fn ordered_stop(&mut self, cx: &mut Context<'_>) -> Answer {
        self.last_stop = Some(cx.now);
        if self.wish.is_none() {
            return Answer::nothing("its file is gone, it ends anyway");
        }
        let is_news = !std::mem::replace(&mut self.stopped, true);
        match self.phase {
            Phase::Waiting => self.suspend(cx),
            Phase::Preparing | Phase::Running | Phase::Reloading => self.stop(Cause::Requested, cx),
            // It ends when the clone lives.
            Phase::Spawning => self.blame(&Cause::Requested, cx.now),
            Phase::Stopping | Phase::Killing => {}
            // From now on it is somebody's will: a change of its file does not start it.
            Phase::Suspended if self.gave_up => self.suspend(cx),
            Phase::Suspended => return Answer::nothing("it is stopped"),
            Phase::Gone => return Answer::Unknown,
        }
        if is_news { Answer::Done } else { Answer::nothing("it is being stopped") }
    }

    /// Nothing of the old instance is kept. Who is on its way up or down already comes up clean.
    fn ordered_restart(&mut self, cx: &mut Context<'_>) -> Answer {
        match self.phase {
            Phase::Suspended => self.resume(cx),
            Phase::Waiting => self.hasten(cx),
            Phase::Spawning | Phase::Stopping | Phase::Killing => self.let_go("it comes up anew by itself"),
            Phase::Preparing | Phase::Running | Phase::Reloading => {
                self.backoff.reset();
                self.stop(Cause::Requested, cx);
                Answer::Done
            }
            Phase::Gone => Answer::Unknown,
        }
    }

    fn ordered_reload(&mut self, read: Option<&ReadFirst>, cx: &mut Context<'_>) -> Answer {
        // The file had changed, and reading it has begun what was asked for.
        if read.is_some_and(|read| self.has_taken_over_since(read.since)) {
            return Answer::Done;
        }
        match self.phase {
            Phase::Running | Phase::Reloading => self.reload("it was asked to", cx),
            Phase::Suspended if self.gave_up => Answer::refused("it was given up after its failures; a start begins anew"),
            Phase::Suspended => Answer::refused("it is stopped; a start takes its newest file"),
            Phase::Waiting | Phase::Spawning | Phase::Preparing | Phase::Stopping | Phase::Killing => {
                if self.stopped || self.wish.is_none() {
                    Answer::refused("it is being stopped")
                } else {
                    Answer::nothing("it does not run yet, and comes up with its newest file")
                }
            }
            Phase::Gone => Answer::Unknown,
        }
    }

    fn ordered_clear(&mut self, cx: &mut Context<'_>) -> Answer {
        match self.phase {
            Phase::Waiting => self.hasten(cx),
            Phase::Suspended if self.gave_up => self.resume(cx),
            Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Reloading
            | Phase::Stopping
            | Phase::Killing
            | Phase::Suspended => {
                let has_failed = self.backoff.failures() > 0 || self.backoff.flapping().is_some();
                self.backoff.reset();
                if has_failed { Answer::Done } else { Answer::nothing("it has no failures") }
            }
            Phase::Gone => Answer::Unknown,
        }
    }

    /// A vassals' directory that was away since then is as it was. A failure of that time may be due to it.
    pub(crate) fn directory_is_back(&mut self, directory: &str, since: Time, cx: &mut Context<'_>) {
        let has_failed = self.past.last_failure.as_ref().is_some_and(|(.., at)| *at >= since);
        if has_failed && Path::new(&self.directory) == Path::new(directory) {
            let _ = self.ordered_clear(cx); // nobody asks how it went
        }
    }

    /// To Suspended: known, and not wanted before somebody says so.
    pub(super) fn suspend(&mut self, cx: &mut Context<'_>) {
        self.give_slot_back(cx);
        self.enter(Phase::Suspended, cx);
        self.due = false;
        self.timers = Timers::default();
        cx.storms.gone(cx.now, &self.name);
        cx.note(Note::Suspended { vassal: self.name.clone() });
    }

    /// To Suspended: it has failed as often as it may. A word of somebody's, or a change of its file, begins anew.
    pub(super) fn give_up(&mut self, failures: u32, cx: &mut Context<'_>) {
        self.give_slot_back(cx);
        self.enter(Phase::Suspended, cx);
        (self.due, self.gave_up) = (false, true);
        self.timers = Timers::default();
        cx.storms.gone(cx.now, &self.name);
        cx.note(Note::GaveUp { vassal: self.name.clone(), failures });
    }

    /// Why an order is not carried out, whatever its vassal does now.
    pub(crate) fn refused_at_once(&self, order: Order, read: Option<&ReadFirst>) -> Option<String> {
        // Its file was read for it, and meanwhile the later order was carried out.
        if read.is_some_and(|read| self.last_stop.is_some_and(|stop| stop > read.since)) {
            return Some("overtaken by a later order: stop".to_owned());
        }
        self.refused_for_its_file(order, read)
    }

    /// An order that would take its file takes nothing while that has mistakes or cannot be read: why, and what becomes of the vassal.
    fn refused_for_its_file(&self, order: Order, read: Option<&ReadFirst>) -> Option<String> {
        match order {
            Order::Start | Order::Restart | Order::Reload => {}
            Order::Stop | Order::Clear => return None,
        }
        // A mistake of a vassal without a wish is of the file that comes after it.
        self.wish.as_ref()?;
        let mistake = self.config_error.as_ref().and_then(|mistakes| mistakes.lines().next());
        let why = match (read.and_then(|read| read.unread.get(&self.name)), mistake) {
            (Some(unread), _) => format!("its file cannot be read: {unread}"),
            (None, Some(mistake)) => format!("its file cannot be used: {mistake}"),
            (None, None) => return None,
        };
        let then = match self.phase {
            Phase::Preparing | Phase::Running | Phase::Reloading => "it runs on with the file of before",
            Phase::Waiting => "it is tried again with the file of before",
            Phase::Spawning | Phase::Stopping | Phase::Killing if self.stopped => "it is being stopped",
            Phase::Spawning | Phase::Stopping | Phase::Killing => "it comes up with the file of before",
            Phase::Suspended => "it stays down",
            Phase::Gone => return None,
        };
        Some(format!("{why}; {then}"))
    }

    /// From Suspended up.
    fn resume(&mut self, cx: &mut Context<'_>) -> Answer {
        self.stopped = false;
        self.backoff.reset();
        self.wait(Duration::ZERO, cx);
        Answer::Done
    }

    /// From a delay to the queue.
    fn hasten(&mut self, cx: &mut Context<'_>) -> Answer {
        self.backoff.reset();
        if self.due {
            return Answer::nothing("it starts as soon as there is a place");
        }
        self.want_start(cx);
        Answer::Done
    }

    /// A life is beginning or ending: what matters is whether another one follows.
    fn let_go(&mut self, else_nothing: &str) -> Answer {
        if self.wish.is_none() {
            return Answer::refused("its file is gone, it ends");
        }
        self.backoff.reset();
        if !std::mem::take(&mut self.stopped) {
            return Answer::nothing(else_nothing);
        }
        // The stop was not carried out yet where the clone is still under way.
        if let (Phase::Spawning, Some(life)) = (self.phase, &mut self.life) {
            life.cause = None;
        }
        Answer::Done
    }
}
