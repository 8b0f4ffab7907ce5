//! What the hooks of a life said last, where a mount is missing: one of them may have failed in silence, also after its step has ended.
//!
//! Init is asked only where nothing is mounted. The first word about that in a run waits for the answer, or for the next look. What comes
//! later is asked for at growing distances, because a program in the background may fail at any time.

use std::{collections::BTreeSet, time::Duration};

use liege_plan::{Act, Step, ToInit, in_quotes};

use super::Vassal;
use crate::{Time, emperor::Context};

/// The shortest distance between two questions.
const APART: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(super) struct Hooks {
    /// One of them is a program.
    speak: bool,
    said: Option<String>,
    /// When init was asked last in this run, and whether it has answered.
    asked: Option<Time>,
    answered: bool,
    /// The paths whose missing mount was not told yet.
    untold: BTreeSet<String>,
}

impl Hooks {
    /// Those of a first walk, or of a reload.
    pub(super) fn begin(&mut self, steps: &[Step]) {
        self.speak |= steps.iter().any(|step| matches!(step.act, Act::Exec(_)));
    }

    /// In another run they may say something else.
    pub(super) fn begin_run(&mut self) {
        (self.asked, self.answered) = (None, false);
        self.untold.clear();
    }

    /// `its hooks said last: "no such archive"`
    pub(super) fn words(&self) -> Option<String> {
        self.said.as_ref().map(|said| format!("its hooks said last: {}", in_quotes(said)))
    }

    /// When the next question is due in a run that began then: half as late again as the one before.
    fn due(&self, began: Time) -> Option<Time> {
        self.asked.map(|asked| asked + ((asked - began) / 2).max(APART))
    }
}

impl Vassal {
    /// Asks init what they said, where that is due. Whether a missing mount is to be told now.
    pub(super) fn tells_missing(&mut self, path: &str, is_news: bool, cx: &mut Context<'_>) -> bool {
        let Some(life) = self.life.as_mut().filter(|life| life.hooks.speak) else { return is_news };
        let is_due = life.hooks.due(life.runs_since).is_none_or(|due| due <= cx.now);
        if is_due {
            life.hooks.asked = Some(cx.now);
        }
        if is_news && !life.hooks.answered {
            life.hooks.untold.insert(path.to_owned());
        }
        let is_told = is_news && life.hooks.answered || !is_news && life.hooks.untold.remove(path);
        if is_due {
            self.tell(ToInit::Hooks, cx);
        }
        is_told
    }

    /// Init has answered: the mounts are looked at, so that it is told.
    pub(super) fn hooks_said(&mut self, line: Option<String>, cx: &mut Context<'_>) {
        let Some(life) = &mut self.life else { return };
        let is_first = !std::mem::replace(&mut life.hooks.answered, true);
        if is_first || life.hooks.said != line {
            life.hooks.said = line;
            self.probe_now(cx);
        }
    }
}
