//! Init was reaped, and with it everything that was in its namespace.

use std::time::Duration;

use liege_plan::{Exit, Loss};
use liege_spec::VassalConfig;

use super::{Past, Phase, Sentence, Vassal, not_saved, saving::told};
use crate::{
    Action, Cause, Flapping, Health, MountView, Note,
    backoff::Next,
    emperor::Context,
    layers,
    storm::{self, Failure, Over, Verdict},
    timers::Timer,
};

/// A process that was killed so long ago, and waits in the kernel, is beyond SIGKILL.
const STUCK: Duration = Duration::from_secs(10);

/// What was asked for is no failure.
const AT_ONCE: Next = Next::Again { after: Duration::ZERO, begins_to_flap: false };

impl Vassal {
    pub(crate) fn exited(&mut self, exit: Exit, cx: &mut Context<'_>) {
        // What init itself said before it left comes first; its status is only a consequence of it.
        self.blame(
            &match exit {
                Exit::Code(code) => Cause::Exit { code, at_reload: false, said: None, about: None },
                Exit::Signal(signal) => Cause::InitKilled { signal },
            },
            cx.now,
        );
        if let (Phase::Stopping, Exit::Signal(signal)) = (self.phase, exit) {
            self.lost_with_init(signal); // no kill of ours
        }
        match self.phase {
            Phase::Spawning | Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Stopping | Phase::Killing => {
                self.over(cx);
            }
            // No life, nothing to end.
            Phase::Waiting | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// The kernel's OOM killer was at work; what it led to comes next.
    pub(crate) fn oom_killed(&mut self, kills: u64, around: Option<String>, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Stopping | Phase::Killing => {
                if let Some(life) = &mut self.life {
                    life.oom = Some((cx.now, around.clone()));
                }
                // Whose processes they were is known of its own groups only.
                if around.is_none() {
                    cx.note(Note::OomKilled { vassal: self.name.clone(), kills });
                }
            }
            // Nothing of it has run yet, or nothing runs any more.
            Phase::Waiting | Phase::Suspended | Phase::Spawning | Phase::Gone => {}
        }
    }

    /// Who holds up its end was found out.
    pub(crate) fn examined(&mut self, found: Vec<String>, is_stuck: bool, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Killing => {
                let Some(life) = self.life.as_mut() else { return };
                if life.leftovers != found {
                    life.leftovers.clone_from(&found);
                    // Who looked knows its connections now, perhaps for the first time.
                    cx.act(Action::Kill { vassal: self.name.clone(), birth: life.birth });
                    cx.note(Note::HeldUp { vassal: self.name.clone(), found });
                }
                if is_stuck && cx.now - self.since >= STUCK {
                    self.leave_behind(cx);
                }
            }
            // It has ended meanwhile.
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Reloading
            | Phase::Stopping
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }

    /// It was killed, and does not die. The end of the daemon does not wait for that: what no signal ends may hang for days, and nobody else
    /// of this daemon's would be started before. While the daemon rules it is waited for, because its next life may not run beside it.
    pub(super) fn leave_behind(&mut self, cx: &mut Context<'_>) {
        let Some(life) = self.life.as_mut().filter(|life| cx.is_ending && life.pid.is_some() && !life.is_left) else { return };
        life.is_left = true;
        let found = life.leftovers.clone();
        cx.act(Action::LeaveBehind { vassal: self.name.clone(), birth: life.birth, found });
    }

    /// Who of an earlier life is still there; it holds up nothing.
    pub(crate) fn left_behind(&mut self, found: Vec<String>) {
        let (before, owner) = &self.left_behind;
        let owner = if before.is_empty() || *owner == self.past.owner { self.past.owner } else { None };
        self.left_behind = (found, owner);
    }

    /// The life is over: everything of it is released, then the wish decides.
    pub(super) fn over(&mut self, cx: &mut Context<'_>) {
        let Some(life) = self.life.take() else { return };
        self.timers.disarm_life();
        self.give_slot_back(cx);
        cx.act(Action::Release { vassal: self.name.clone(), birth: life.birth });
        let cause = life.cause.unwrap_or(Cause::Requested);
        if self.past.owner != life.owner {
            self.past = Past { owner: life.owner, ..Past::default() };
        }
        *self.past.ends.entry(cause.word()).or_default() += 1;
        let stop = life.running.as_ref().map(|config| config.fresh.timeouts.stop);
        let mut lost = life.lost;
        lost.extend(life.saving.into_iter().map(Loss::out_of_time));
        let (killed, stop) = told(&lost, stop);
        let loss = Some(&killed).filter(|killed| !killed.is_empty()).map(|killed| format!("; {}", not_saved(killed, stop)));
        let said = Sentence::new(&cause, loss.as_deref().unwrap_or_default());
        (self.past.last_cause, self.past.last_end) = (Some(said.clone()), Some(cx.now));
        // What was lost is looked for as well, whoever wished for the end.
        if cause.is_failure() || loss.is_some() {
            self.past.last_failure = Some((cause.clone(), said, cx.now));
        }
        let lived = cx.now - life.began;

        let next = match &self.wish {
            None => None,
            Some(_) if self.stopped => None,
            // The file was mended while it died, or what died was asked to: nothing to wait for.
            Some(_) if self.news && life.running.is_some() => {
                self.backoff.reset();
                Some(AT_ONCE)
            }
            Some(_) if !cause.is_failure() => Some(AT_ONCE),
            // Its file and its mounts may be well: neither is to blame, so nothing is counted and nothing read again.
            Some(_) if cause.is_shortage() => Some(self.backoff.short()),
            Some(wish) => {
                let next = self.backoff.fail(cx.now, wish.fresh.restarts.over(cx.settings.restarts));
                if let Next::Again { .. } = next {
                    // The next life does not wait for the answer: where it differs, it comes in time or is a change like any other.
                    cx.act(Action::ReadAgain { vassal: self.name.clone() });
                }
                Some(next)
            }
        };
        if !killed.is_empty() {
            cx.note(Note::Unsaved { vassal: self.name.clone(), killed, stop, owner: life.owner });
        }
        let again_in = next.and_then(Next::after);
        let gave_up = matches!(next, Some(Next::GiveUp { .. }));
        cx.note(Note::Ended { vassal: self.name.clone(), cause: cause.clone(), lived, again_in, owner: life.owner, gave_up });
        match next {
            Some(Next::GiveUp { failures }) => self.give_up(failures, cx),
            Some(Next::Again { after: delay, begins_to_flap }) => {
                if begins_to_flap {
                    self.tell_flapping(cx);
                }
                match life.running.filter(|_| cause.is_failure() && !cause.is_shortage()) {
                    Some(ran) => self.wait_for_others(&ran, &cause, delay, cx),
                    None => self.wait(delay, cx),
                }
            }
            None if self.stopped => self.suspend(cx),
            None => self.gone(cx),
        }
    }

    fn tell_flapping(&self, cx: &mut Context<'_>) {
        if let Some(Flapping { failures, steady_after, .. }) = self.backoff.flapping() {
            let longest = cx.settings.max_throttle;
            cx.note(Note::Flapping { vassal: self.name.clone(), failures, window: steady_after, longest });
        }
    }

    /// A failure that is one of many with one cause waits for the canary, every other one for its own delay.
    fn wait_for_others(&mut self, ran: &VassalConfig, cause: &Cause, delay: Duration, cx: &mut Context<'_>) {
        let failure = Failure {
            vassal: self.name.clone(),
            owner: storm::owner(&ran.fresh),
            layers: layers::of(&ran.fresh),
            of_mount: cause.is_of_mount(),
            in_a_row: self.backoff.failures(),
            delay,
        };
        match cx.storms.failed(cx.now, failure) {
            Verdict::Go => self.wait(delay, cx),
            Verdict::Canary { layer, failed } => {
                cx.note(Note::Storm { vassal: self.name.clone(), layer, failed });
                self.wait(delay, cx);
            }
            Verdict::Hold { layer, until } => {
                self.enter(Phase::Waiting, cx);
                self.held = Some(cx.now + delay);
                self.timers.arm(Timer::Phase, until);
                cx.note(Note::Held { vassal: self.name.clone(), layer });
            }
        }
    }

    /// All of it does well, perhaps: if others were held for it, they may go.
    pub(super) fn is_well(&self, cx: &mut Context<'_>) {
        let is_well = |mount: &MountView| match mount.health {
            Some(Health::Healthy | Health::Unknown { .. }) => true,
            // A path where no mount ever was tells nothing, and must hold up nothing.
            Some(Health::NotMounted) => !mount.expected,
            Some(Health::Dead { .. } | Health::Gone | Health::Hung | Health::Slow) | None => false,
        };
        if !self.mounts(is_well) {
            return;
        }
        if let Some(Over { layer, lasted, held }) = cx.storms.well(cx.now, &self.name) {
            cx.note(Note::StormOver { vassal: self.name.clone(), layer, lasted, held });
        }
    }

    /// The canary is well, or this is the next one. The delay it has earned by itself stands.
    pub(crate) fn released(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Waiting => match self.held.take() {
                Some(earned) if earned > cx.now => self.timers.arm(Timer::Phase, earned),
                Some(_) => self.want_start(cx),
                None => {}
            },
            Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Reloading
            | Phase::Stopping
            | Phase::Killing
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }
}
