//! The wish changed: the file is new, bad or gone; the daemon ends, or somebody is impatient.

use std::{sync::Arc, time::Duration};

use liege_plan::{ToInit, describe_act};
use liege_spec::{Diagnostic, Timeouts, VassalConfig};

use super::{Before, Phase, Vassal, daemons::in_words, difference::jail_difference};
use crate::{Answer, Cause, FileId, Note, Time, compile::compile_reload, emperor::Context, timers::Timer, view::mistakes};

impl Vassal {
    /// A new configuration, the old one touched, or only read again.
    pub(crate) fn config(
        &mut self,
        config: Arc<VassalConfig>,
        directory: String,
        touched: bool,
        file: Option<FileId>,
        cx: &mut Context<'_>,
    ) {
        self.config_error = None;
        let same = self.wish.as_ref() == Some(&config);
        self.has_file(file, same);
        self.wish = Some(config);
        self.directory = directory;
        let why = match (touched, same) {
            (false, true) => return,
            (false, false) => "its file means something else by now",
            (true, true) => "its file was touched",
            (true, false) => "its file changed",
        };
        self.news |= touched && !same;
        if touched && !same {
            self.mounted.clear();
        }
        match self.phase {
            // Whoever mends a file does not wait for the delay the broken one has earned. Where nobody did, the delay stands:
            // a file that means something else at each reading (`%t`) must not start at once for ever.
            Phase::Waiting => {
                if touched {
                    if !same {
                        self.backoff.reset();
                    }
                    self.want_start(cx);
                }
            }
            // The plan is made when the clone lives, of the newest wish; what was to end it is forgotten.
            Phase::Spawning => {
                if let Some(life) = self.life.as_mut().filter(|_| !self.stopped) {
                    life.cause = None;
                }
            }
            Phase::Preparing => {
                if !same {
                    self.tell_rebuilding(cx);
                    self.stop(Cause::ConfigChanged, cx);
                }
            }
            Phase::Running | Phase::Reloading => {
                self.reload(why, cx);
            }
            // It was given up: the file is a word, and so is a touch of it.
            Phase::Suspended if self.gave_up && touched => {
                self.backoff.reset();
                self.wait(Duration::ZERO, cx);
            }
            // Born again of the newest wish, by itself or when it is started.
            Phase::Stopping | Phase::Killing | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// The file has mistakes: what runs goes on.
    pub(crate) fn bad_config(&mut self, diagnostics: Vec<Diagnostic>, cx: &mut Context<'_>) {
        self.config_error = mistakes(&diagnostics);
        let runs_on = self.runs_on();
        cx.note(Note::BadConfig { vassal: self.name.clone(), runs_on, diagnostics });
    }

    /// It has a life that nothing has asked to end.
    pub(crate) fn runs_on(&self) -> bool {
        self.life.is_some() && self.wish.is_some()
    }

    /// Down is wanted: its file is gone, or the daemon ends.
    pub(crate) fn down(&mut self, cause: Cause, cx: &mut Context<'_>) {
        (self.wish, self.stopped, self.config_error) = (None, false, None);
        match self.phase {
            Phase::Waiting | Phase::Suspended => self.gone(cx),
            Phase::Spawning => self.blame(&cause, cx.now), // ends when the clone lives
            Phase::Preparing | Phase::Running | Phase::Reloading => self.stop(cause, cx),
            Phase::Stopping | Phase::Killing | Phase::Gone => {}
        }
    }

    /// Somebody is impatient: no more asking.
    pub(crate) fn hurry(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Spawning | Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Stopping => {
                self.kill(Cause::Requested, cx);
            }
            Phase::Waiting | Phase::Killing | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// The line that makes a rebuild necessary, if one does.
    fn jail_change(&self) -> Option<String> {
        let (running, wish) = (self.running()?, self.wish.as_ref()?);
        jail_difference(&running.fresh.jail, &wish.fresh.jail)
    }

    /// Whether a rebuild is necessary.
    fn tell_rebuilding(&self, cx: &mut Context<'_>) -> bool {
        let Some(why) = self.jail_change() else { return false };
        cx.note(Note::Rebuilding { vassal: self.name.clone(), why });
        true
    }

    /// The wish is taken over: now, or as soon as an app that is on its way up can hear of it. One that never gets there is born again
    /// of the newest wish anyway.
    pub(super) fn reload(&mut self, why: &str, cx: &mut Context<'_>) -> Answer {
        if self.can_reload() || self.jail_change().is_some() {
            return self.take_over(why, cx);
        }
        if let Some(life) = &mut self.life {
            life.reload_again = true;
        }
        Answer::Done
    }

    /// What was asked for while the app was on its way up.
    pub(super) fn reload_again(&mut self, cx: &mut Context<'_>) {
        if self.can_reload() && self.life.as_ref().is_some_and(|life| life.reload_again) {
            self.take_over("it was asked for, or its file changed, meanwhile", cx);
        }
    }

    /// A reload, or a rebuild for a changed file, was begun since then.
    pub(super) fn has_taken_over_since(&self, moment: Time) -> bool {
        let Some(life) = &self.life else { return false };
        let is_rebuilt = matches!(self.phase, Phase::Stopping | Phase::Killing) && life.cause == Some(Cause::ConfigChanged);
        life.took_over.is_some_and(|at| at >= moment) || is_rebuilt && self.since >= moment
    }

    fn can_reload(&self) -> bool {
        self.phase == Phase::Running && self.is_ready_now() && self.timers.at(Timer::Calm).is_none()
    }

    /// The running instance takes the wish over: in place where the jail is the same, else by a rebuild.
    fn take_over(&mut self, why: &str, cx: &mut Context<'_>) -> Answer {
        let Some(wish) = self.wish.clone() else { return Answer::refused("its file is gone") };
        if self.tell_rebuilding(cx) {
            self.stop(Cause::ConfigChanged, cx);
            return Answer::Done;
        }
        let compiled = match compile_reload(&wish, self.surroundings(cx)) {
            Ok(compiled) => compiled,
            Err(error) => {
                self.config_error = Some(error.to_string());
                cx.note(Note::Tolerated { vassal: self.name.clone(), what: format!("it goes on as it was: {error}") });
                return Answer::Refused(error.to_string());
            }
        };
        self.ran = self.file;
        self.enter(Phase::Reloading, cx);
        let timeouts = wish.fresh.timeouts;
        self.timers.arm(Timer::Phase, cx.now + time_to_replace(timeouts));
        for timer in [Timer::Ready, Timer::Calm, Timer::Settle, Timer::Steady, Timer::Hook] {
            self.timers.disarm(timer);
        }
        if let Some(life) = &mut self.life {
            life.reload_again = false;
            life.began = cx.now;
            life.took_over = Some(cx.now);
            life.kept = None;
            life.step = None;
            life.steps = compiled.work.steps.iter().map(|s| describe_act(&s.act)).collect();
            life.hooks.begin(&compiled.work.steps);
            life.sources = compiled.origins;
            let at_exit_steps = compiled.work.at_exit.iter().map(|s| describe_act(&s.act)).collect();
            let daemons = in_words(&wish.again);
            if daemons != life.daemons {
                life.doubts.begin_daemons();
            }
            life.before = Some(Before {
                daemons: std::mem::replace(&mut life.daemons, daemons),
                running: life.running.replace(wish),
                at_exit_steps: std::mem::replace(&mut life.at_exit_steps, at_exit_steps),
                at_exit_sources: std::mem::replace(&mut life.at_exit_sources, compiled.at_exit_origins),
            });
        }
        self.news = false;
        cx.note(Note::Reloading { vassal: self.name.clone(), why: why.to_owned() });
        self.tell(ToInit::Reload(Box::new(compiled.work)), cx);
        Answer::Done
    }
}

/// Old workers end at their leisure, the new app starts: each has its own time.
pub(super) fn time_to_replace(timeouts: Timeouts) -> Duration {
    timeouts.stop + timeouts.ready
}
