//! A timer of the vassal is due.

use super::{KILL_PATIENCE, Phase, Vassal};
use crate::{Action, Cause, Note, advice, emperor::Context, timers::Timer};

impl Vassal {
    pub(crate) fn due(&mut self, timer: Timer, cx: &mut Context<'_>) {
        match timer {
            Timer::Phase => self.phase_due(cx),
            Timer::Hook => self.hook_due(cx),
            Timer::Ready => self.kill(Cause::ReadyTimeout, cx),
            Timer::Heartbeat => self.kill(Cause::HeartbeatLost, cx),
            Timer::Calm => self.reload_again(cx),
            Timer::Settle => self.has_lasted(cx),
            Timer::Steady => self.is_steady(cx),
            Timer::Slot => self.give_slot_back(cx),
        }
    }

    fn phase_due(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Waiting => match self.held.and_then(|_| cx.storms.due(cx.now, &self.name)) {
                Some(until) => self.timers.arm(Timer::Phase, until),
                None => self.want_start(cx),
            },
            Phase::Reloading => {
                self.kill(Cause::HookTimeout { what: "the app was not replaced in time".into() }, cx);
            }
            Phase::Stopping => {
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
                }
            }
            // None of these arms the phase's own timer.
            Phase::Spawning | Phase::Preparing | Phase::Running | Phase::Suspended | Phase::Gone => {}
        }
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
        match self.phase {
            Phase::Preparing | Phase::Reloading => self.kill(Cause::HookTimeout { what }, cx),
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
