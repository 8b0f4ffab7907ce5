//! A timer of the vassal is due.

use std::time::Duration;

use super::{KILL_PATIENCE, Phase, Vassal};
use crate::{Action, Cause, Note, advice, emperor::Context, timers::Timer};

/// What the end of a step that is out of time may take: its TERM, its KILL, and init's word.
const GIVES_UP: Duration = Duration::from_secs(5);

/// How long the end of the daemon waits for one that was killed and of which nothing tells why it does not die.
const LINGERS: Duration = Duration::from_secs(30);

impl Vassal {
    pub(crate) fn due(&mut self, timer: Timer, cx: &mut Context<'_>) {
        match timer {
            Timer::Phase => self.phase_due(cx),
            Timer::Hook => self.hook_due(cx),
            Timer::Ready => self.destroy(Cause::ReadyTimeout, cx),
            Timer::Heartbeat => self.destroy(Cause::HeartbeatLost, cx),
            Timer::Calm => self.reload_again(cx),
            Timer::Settle => self.has_lasted(cx),
            Timer::Steady => self.is_steady(cx),
            Timer::Doubts => self.doubts_due(cx),
            Timer::Slot => self.give_slot_back(cx),
        }
    }

    /// Whether a timer runs that ends something of it.
    pub(crate) fn is_pressed(&self) -> bool {
        let ends = [Timer::Hook, Timer::Ready, Timer::Heartbeat].into_iter().any(|timer| self.timers.at(timer).is_some());
        let is_timed = match self.phase {
            Phase::Reloading | Phase::Stopping => true,
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Killing
            | Phase::Suspended
            | Phase::Gone => false,
        };
        ends || is_timed && self.timers.at(Timer::Phase).is_some()
    }

    fn phase_due(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Waiting => match self.held.and_then(|_| cx.storms.due(cx.now, &self.name)) {
                Some(until) => self.timers.arm(Timer::Phase, until),
                None => self.want_start(cx),
            },
            Phase::Reloading => {
                self.destroy(Cause::HookTimeout { what: "the app was not replaced in time".into() }, cx);
            }
            Phase::Stopping => {
                self.app_is_out_of_time();
                let cause = self.life.as_ref().and_then(|life| life.cause.clone()).unwrap_or(Cause::Requested);
                self.kill(cause, cx);
            }
            Phase::Killing => {
                self.timers.arm(Timer::Phase, cx.now + KILL_PATIENCE);
                if let Some(life) = &self.life {
                    cx.act(Action::Kill { vassal: self.name.clone(), birth: life.birth });
                    cx.act(Action::Examine { vassal: self.name.clone(), birth: life.birth });
                    let since = cx.now - self.since;
                    cx.note(Note::Lingers { vassal: self.name.clone(), pid: life.pid.unwrap_or_default(), since });
                    if since >= LINGERS {
                        self.leave_behind(cx);
                    }
                }
            }
            // None of these arms the phase's own timer.
            Phase::Spawning | Phase::Preparing | Phase::Running | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// A step of a reload is out of time: it ends, and the app goes on as it was. False: there is none, or its end was asked for before.
    fn gives_up_step(&mut self, what: &str, cx: &mut Context<'_>) -> bool {
        let Some(life) = self.life.as_mut().filter(|life| !life.gives_up) else { return false };
        let Some((step, _)) = life.step else { return false };
        (life.gives_up, life.tolerated) = (true, Some(what.to_owned()));
        self.timers.arm(Timer::Hook, cx.now + GIVES_UP);
        cx.note(Note::Tolerated { vassal: self.name.clone(), what: what.to_owned() });
        self.tell(liege_plan::ToInit::GiveUp { step }, cx);
        true
    }

    fn hook_due(&mut self, cx: &mut Context<'_>) {
        let what = match self.life.as_ref().and_then(|life| life.step) {
            Some((step, _)) => {
                let what = self.step_in_words(step, false);
                let advice = advice::for_foreground(&what).map(|advice| format!(" ({advice})")).unwrap_or_default();
                format!("did not end in time{advice}: {what}")
            }
            None => "init did not answer in time".to_owned(),
        };
        if self.phase == Phase::Reloading && self.gives_up_step(&what, cx) {
            return;
        }
        match self.phase {
            Phase::Preparing | Phase::Reloading => self.destroy(Cause::HookTimeout { what }, cx),
            Phase::Waiting
            | Phase::Spawning
            | Phase::Running
            | Phase::Stopping
            | Phase::Killing
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }
}
