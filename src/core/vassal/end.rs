//! Init was reaped, and with it everything that was in its namespace.

use liege_plan::Exit;

use super::{Phase, Vassal};
use crate::{Action, Cause, Note, emperor::Context};

impl Vassal {
    pub(crate) fn exited(&mut self, exit: Exit, cx: &mut Context<'_>) {
        // What init itself said before it left comes first; its status is only a consequence of it.
        self.blame(&match exit {
            Exit::Code(code) => Cause::Exit { code },
            Exit::Signal(signal) => Cause::InitKilled { signal },
        });
        match self.phase {
            Phase::Spawning | Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Stopping | Phase::Killing => {
                self.over(cx);
            }
            // No life, nothing to end.
            Phase::Waiting | Phase::Gone => {}
        }
    }

    /// Who holds up its end was found out.
    pub(crate) fn examined(&mut self, found: Vec<String>, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Killing => {
                let Some(life) = self.life.as_mut().filter(|life| life.leftovers != found) else { return };
                life.leftovers.clone_from(&found);
                cx.note(Note::HeldUp { vassal: self.name.clone(), found });
            }
            // It has ended meanwhile.
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Reloading
            | Phase::Stopping
            | Phase::Gone => {}
        }
    }

    /// The life is over: everything of it is released, then the wish decides.
    pub(super) fn over(&mut self, cx: &mut Context<'_>) {
        let Some(life) = self.life.take() else { return };
        self.timers.disarm_life();
        self.give_slot_back(cx);
        cx.act(Action::Release { vassal: self.name.clone(), birth: life.birth });
        let cause = life.cause.unwrap_or(Cause::Requested);
        *self.ends.entry(cause.word()).or_default() += 1;
        self.last_cause = Some(cause.to_string());
        let lived = cx.now - life.began;

        let again_in = match &self.wish {
            None => None,
            // The file was mended while it died, or what died was asked to: nothing to wait for.
            Some(wish) if life.running.as_ref().is_some_and(|ran| ran != wish) => {
                self.backoff.reset();
                Some(std::time::Duration::ZERO)
            }
            Some(_) if !cause.is_failure() => Some(std::time::Duration::ZERO),
            Some(_) => Some(self.backoff.fail()),
        };
        cx.note(Note::Ended { vassal: self.name.clone(), cause, lived, again_in });
        match again_in {
            Some(delay) => self.wait(delay, cx),
            None => self.gone(cx),
        }
    }
}
