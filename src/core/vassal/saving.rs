//! A vassal ends, and something in it holds what may not be written back yet: FUSE daemons, attached daemons.
//!
//! Init waits for them and names them. Within `stop-timeout` of the request to end, or within [`OVERTIME`] of the app's end where
//! the app alone has used that up. What init had to kill is told: in the log, in the record of the death, in the metrics.
//!
//! Before init unmounts anything it waits for the answer that the exits of its mounts are held.
//!
//! Races: an init that cannot leave (a mount hangs) says nothing more. Then this room's own deadline ends it, and the list it told
//! last is what was not saved.

use std::time::Duration;

use liege_plan::{Fate, HungMount, LOST, Loss};
use liege_spec::VassalConfig;

use super::{Phase, Vassal};
use crate::{Cause, Health, Note, compile::has_own_mounts, emperor::Context, timers::Timer};

/// What is left at least for writing back, where the app has taken all of `stop-timeout`; init has the same number.
const OVERTIME: Duration = Duration::from_secs(5);

/// How long an init that is to destroy its vassal may take to say what it waits for. One that is well says it at once.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// Init's own word comes first: it can say it in the vassal's log as well.
const INIT_FIRST: Duration = Duration::from_secs(1);

/// What a life knows of its own FUSE mounts.
#[derive(Debug, Default)]
pub(super) struct OwnFuse {
    /// The connections that can be written to.
    pub(super) writable: Vec<u32>,
    /// One of them went, by an unmount: its daemon may save yet, which init alone knows.
    pub(super) was_unmounted: bool,
    /// There were any.
    pub(super) had_any: bool,
}

impl Vassal {
    /// A mount is dead or gone. Daemons of the vassal that live may have something to write back, also one whose mount was unmounted; where
    /// none has, nothing is waited for. A dead mount that would outlive the vassal, on the host, is unmounted by init.
    pub(super) fn destroy_beside(&mut self, cause: Cause, cx: &mut Context<'_>) {
        let was_unmounted = self.life.as_ref().is_some_and(|life| life.fuse.was_unmounted);
        if self.others_to_save(&cause) > 0 || was_unmounted || self.leaves_mounts(cx) {
            self.destroy(cause, cx);
        } else {
            self.kill(cause, cx);
        }
    }

    /// Whether FUSE mounts of its own outlive it, because its mount table is the host's.
    fn leaves_mounts(&self, cx: &Context<'_>) -> bool {
        let is_hosts = |config: &VassalConfig| !has_own_mounts(&config.fresh, cx.settings.namespaces);
        self.life.as_ref().is_some_and(|life| life.fuse.had_any && life.running.as_deref().is_some_and(is_hosts))
    }

    /// A mount does not answer, so nothing in its vassal can be waited for: what others have not written back is lost, and told.
    pub(super) fn kill_beside(&mut self, cause: Cause, cx: &mut Context<'_>) {
        let others = self.others_to_save(&cause);
        let Some(life) = &mut self.life else { return };
        let path = cause.mount().unwrap_or_default();
        let is_writable = life.mount_at(path).is_some_and(|mount| life.fuse.writable.contains(&mount.device.1));
        let itself = is_writable.then(|| format!("the daemon of {path}"));
        let others = match others {
            0 => None,
            1 => Some("the daemon of another FUSE mount".to_owned()),
            others => Some(format!("the daemons of {others} other FUSE mounts")),
        };
        life.lost = itself.into_iter().chain(others).map(|what| Loss { what, how: Fate::Hung }).collect();
        self.kill(cause, cx);
    }

    /// How many connections can be written to beside the one that serves nothing any more. Where only the path of a check was lost its daemon
    /// may be well, and save.
    fn others_to_save(&self, cause: &Cause) -> usize {
        let Some(life) = &self.life else { return 0 };
        let ill = cause.mount().filter(|_| cause.is_of_connection()).and_then(|path| life.mount_at(path));
        life.fuse.writable.iter().filter(|minor| ill.is_none_or(|ill| ill.device.1 != **minor)).count()
    }

    /// A mount that does not answer saves nothing, and must not hold up the end. Only one of which that is certain: of another one the
    /// daemon may save.
    pub(super) fn tell_what_hangs(&self, cx: &mut Context<'_>) {
        let Some(life) = &self.life else { return };
        let hung = life.mounts.iter().filter(|mount| mount.health == Some(Health::Hung));
        let found = |path: &String| Some(HungMount { minor: life.late.get(path)?.connection?, path: path.clone() });
        let mounts: Vec<HungMount> = hung.filter_map(|mount| found(&mount.path)).collect();
        if !mounts.is_empty() {
            self.tell(liege_plan::ToInit::Hung { mounts }, cx);
        }
    }

    /// The exits of the mounts told so far are held, or could not be opened: init may unmount them.
    pub(crate) fn secured(&self, number: u32, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Stopping => {
                self.tell(liege_plan::ToInit::Secured { number }, cx);
            }
            // Nothing is unmounted any more.
            Phase::Waiting | Phase::Spawning | Phase::Killing | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// Init waits for these, or for none any more.
    pub(super) fn saving(&mut self, waits_for: Vec<String>, cx: &mut Context<'_>) {
        let stop = self.running().map_or_else(Duration::default, |config| config.fresh.timeouts.stop);
        let Some(life) = &mut self.life else { return };
        match self.phase {
            Phase::Stopping => {
                let until = self.since + stop;
                let most = until + stop.min(OVERTIME) + INIT_FIRST;
                let is_saved = waits_for.is_empty();
                // What never had to be saved has no time of its own.
                let until = if is_saved && life.saving.is_empty() && life.cause.as_ref().is_some_and(Cause::is_failure) {
                    cx.now
                } else {
                    until
                };
                self.timers.arm(Timer::Phase, if is_saved { most.min(until.max(cx.now) + INIT_FIRST) } else { most });
                life.saving = waits_for;
            }
            // What ended before the kill has saved.
            Phase::Killing => life.saving = waits_for,
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Reloading
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }

    /// The time of the end is over, and nothing else holds it up: an app that was asked to leave and has not is killed, and told. A uwsgi that
    /// never got as far as its work has nothing to write back; how far a command has come is not known.
    pub(super) fn app_is_out_of_time(&mut self) {
        let app = self.app_that_was_asked();
        if let Some(life) = &mut self.life {
            life.lost.extend(app);
        }
    }

    fn app_that_was_asked(&self) -> Option<Loss> {
        let life = self.life.as_ref()?;
        let is_asked = life.cause.as_ref().is_some_and(|cause| !cause.is_failure());
        life.app_pid.filter(|_| is_asked && life.ready && life.saving.is_empty()).map(Loss::of_app)
    }

    /// Init was killed while it waited: that it took too long is not the reason.
    pub(super) fn lost_with_init(&mut self, signal: i32) {
        let app = self.app_that_was_asked().map(|app| app.what);
        if let Some(life) = &mut self.life {
            let lost = std::mem::take(&mut life.saving).into_iter().chain(app);
            life.lost.extend(lost.map(|what| Loss { what, how: Fate::InitKilled(signal) }));
        }
    }

    /// These have not written back. Init leaves, if it can.
    pub(super) fn unsaved(&mut self, lost: Vec<Loss>, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Stopping => {
                let Some(life) = &mut self.life else { return };
                (life.lost, life.saving) = (lost, Vec::new());
                let cause = life.cause.clone().unwrap_or(Cause::Requested);
                self.kill(cause, cx);
            }
            // An attached daemon that a reload ends; the vassal goes on.
            Phase::Reloading => {
                let (lost, stop) = told(&lost, self.running().map(|config| config.fresh.timeouts.stop));
                cx.note(Note::Tolerated { vassal: self.name.clone(), what: not_saved(&lost, stop) });
            }
            Phase::Killing
            | Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }
}

/// Each in words, and the time that was not enough, if it was that.
pub(super) fn told(lost: &[Loss], stop: Option<Duration>) -> (Vec<String>, Option<Duration>) {
    let was_short = lost.iter().any(|loss| loss.how == Fate::OutOfTime);
    (lost.iter().map(Loss::to_string).collect(), stop.filter(|_| was_short))
}

/// The sentence, and what to do about it, where more time would have helped.
pub(crate) fn not_saved(lost: &[String], stop: Option<Duration>) -> String {
    let hint = stop.map(|stop| format!("; raise stop-timeout ({} s) where much is written back", stop.as_secs()));
    format!("{LOST}{}{}", lost.join(", "), hint.unwrap_or_default())
}
