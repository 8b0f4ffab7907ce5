//! A place to start is free; the clone lives, or it failed.

use liege_plan::{Act, ToInit, describe_act};
use liege_spec::{Namespaces, TakenAway, taken_away};

use super::{Life, Phase, SLOT, Vassal, daemons::in_words};
use crate::{
    Action, Cause,
    cause::errno_name,
    compile::compile,
    emperor::Context,
    shortage::{kinds, missing, no_namespace},
    timers::Timer,
};

/// So many directories are asked for at a birth.
const MOST_POINTS: usize = 64;

impl Vassal {
    /// Waiting → Spawning. The emperor calls this when a place is free and the vassal's time has come.
    pub(crate) fn spawn(&mut self, cx: &mut Context<'_>) {
        self.due = false;
        self.slot = true;
        self.ran = self.file;
        self.timers.arm(Timer::Slot, cx.now + SLOT);
        let birth = cx.next_birth();
        self.enter(Phase::Spawning, cx);
        let jail = self.wish.as_ref().map(|wish| &wish.fresh.jail);
        let (cgroups, log_to) = jail.map(|jail| (jail.cgroups.clone(), jail.log_to)).unwrap_or_default();
        let (vassal, namespaces, owner) = (self.name.clone(), cx.settings.namespaces, self.owner());
        self.life = Some(Life::new(birth, cgroups.clone(), log_to, owner, cx.now));
        let taken = self.wish.as_ref().and_then(|wish| taken_away(&wish.fresh));
        let points = taken.iter().flat_map(TakenAway::points).take(MOST_POINTS).map(str::to_owned).collect();
        let watches = self.wish.as_ref().is_some_and(|wish| !wish.fresh.checks.is_empty());
        cx.act(Action::Spawn { vassal, birth, namespaces, cgroups, log_to, owner, points, watches });
    }

    /// What of its layers were mounts before its own steps: later the old root may be gone, and they with it.
    pub(crate) fn mounted_at_birth(&mut self, points: Vec<String>) {
        if let Some(life) = &mut self.life {
            life.layers = Some(points);
        }
    }

    /// The clone lives and waits for the green light. The plan is made of the *newest* wish, so what changed meanwhile is in it.
    /// `waits`: for the end of the vassal that had its file, which came while the clone was under way.
    pub(crate) fn spawned(&mut self, pid: i32, waits: bool, cx: &mut Context<'_>) {
        if let Some(life) = &mut self.life {
            life.pid = Some(pid);
        }
        match self.phase {
            Phase::Spawning => match self.wish.clone() {
                None => self.kill(Cause::Vanished, cx),
                Some(_) if self.stopped => self.kill(Cause::Requested, cx),
                Some(_) if waits => self.kill(Cause::ConfigChanged, cx),
                // It was born into other groups, with another log or for somebody else than is wished for by now; nothing else is decided so early.
                Some(config) if self.life.as_ref().is_some_and(|life| !life.was_born_for(&config.fresh.jail)) => {
                    self.kill(Cause::ConfigChanged, cx);
                }
                Some(config) => match compile(&config, self.surroundings(cx)) {
                    Err(error) => self.kill(Cause::HookFailed { what: error.to_string() }, cx),
                    Ok(compiled) => {
                        self.ran = self.file;
                        self.enter(Phase::Preparing, cx);
                        self.timers.arm(Timer::Hook, cx.now + config.fresh.timeouts.hook);
                        if let Some(life) = &mut self.life {
                            life.steps = compiled.work.steps.iter().map(|s| describe_act(&s.act)).collect();
                            let steps = (0..).zip(&compiled.work.steps);
                            life.unshares = steps
                                .filter_map(|(i, s)| if let Act::Unshare(new) = s.act { Some((i, kinds(new))) } else { None })
                                .collect();
                            life.at_exit_steps = compiled.work.at_exit.iter().map(|s| describe_act(&s.act)).collect();
                            life.hooks.begin(&compiled.work.steps);
                            life.sources = compiled.origins;
                            life.at_exit_sources = compiled.at_exit_origins;
                            life.daemons = in_words(&config.fresh);
                            life.running = Some(config);
                        }
                        self.news = false;
                        self.tell(ToInit::Walk(Box::new(compiled.work)), cx);
                    }
                },
            },
            // Impatience came first: the kill is sent again, now that there is a pid to send it to.
            Phase::Killing => {
                if let Some(birth) = self.birth() {
                    cx.act(Action::Kill { vassal: self.name.clone(), birth });
                }
            }
            // A birth number names one life and one answer: no other phase waits for one.
            Phase::Waiting
            | Phase::Preparing
            | Phase::Running
            | Phase::Reloading
            | Phase::Stopping
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }

    /// The clone did not come about. Everything it takes is the host's and the daemon's, unless a bound of the vassal's own was met.
    pub(crate) fn spawn_failed(&mut self, stage: &str, errno: i32, own_bound: bool, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Spawning | Phase::Killing => {
                let what = format!("{stage}: {}", errno_name(errno));
                // Init makes the cgroup namespace itself. No other part of a birth than the clone has such an errno and no bound of its own.
                let made = Namespaces { cgroup: false, ..cx.settings.namespaces };
                let missing = missing(errno).map(str::to_owned).or_else(|| no_namespace(errno, made));
                let cause = match missing.filter(|_| !own_bound) {
                    Some(missing) => Cause::Shortage { what: format!("{missing}: {what}") },
                    None => Cause::SpawnFailed { what },
                };
                self.blame(&cause, cx.now);
                self.over(cx);
            }
            Phase::Waiting
            | Phase::Preparing
            | Phase::Running
            | Phase::Reloading
            | Phase::Stopping
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }
}
