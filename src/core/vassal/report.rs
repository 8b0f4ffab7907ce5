//! Init said something.

use std::path::Path;

use liege_plan::{AppWord, Exit, FromInit, Limit, MountChange, Place, fork, signal_name};
use liege_spec::{ProgramSpec, VassalSpec, Verb, capability_names, instead_of_shell, points, taken_away};

use super::{CALM, Phase, Run, Vassal, wish::time_to_replace};
use crate::{
    Action, Cause, Check, MountView, Note, Time, advice,
    cause::{ENOENT, errno_name},
    emperor::Context,
    shortage::{missing, no_namespace},
    timers::Timer,
};

impl Vassal {
    pub(crate) fn reported(&mut self, report: FromInit, cx: &mut Context<'_>) {
        match report {
            FromInit::Entered { step } => self.entered(step, cx),
            FromInit::Identified { identity } => self.identified(identity),
            FromInit::Walked => self.walked(cx),
            FromInit::Kept => self.kept(cx),
            FromInit::Failed { at, errno, detail, fatal } => self.failed(&at, errno, &detail, fatal, cx),
            FromInit::Started { pid } => self.started(pid, cx),
            FromInit::Said(word) => self.said(word, cx),
            FromInit::Noticed { notice, line } => self.noticed(notice, line, cx),
            FromInit::AppExited { exit, said } => self.app_exited(exit, said, cx),
            FromInit::HooksSaid { line } => self.hooks_said(line, cx),
            FromInit::MountsChanged { own_fuse, changes, number } => {
                self.mounts_changed(own_fuse, changes.as_deref(), number, cx);
            }
            FromInit::Writable { connections } => {
                if let Some(life) = &mut self.life {
                    life.fuse.was_unmounted |= life.fuse.writable.iter().any(|minor| !connections.contains(minor));
                    life.fuse.writable = connections;
                }
            }
            FromInit::OnHost { .. } => {} // the shell's: it takes them away
            FromInit::Saving { waits_for } => self.saving(waits_for, cx),
            FromInit::Unsaved { lost } => self.unsaved(lost, cx),
            FromInit::Daemon { index, news } => self.daemon_news(index, news, cx),
            FromInit::OrphanDied { pid, exit, name } => self.orphan_died(pid, exit, name, cx),
            FromInit::OrphansDied { count } => self.orphans_died(count, cx),
        }
    }

    /// Init sent what is no message: nothing it says can be believed.
    pub(crate) fn garbled(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Stopping => self.kill(Cause::Protocol, cx),
            Phase::Waiting | Phase::Spawning | Phase::Killing | Phase::Suspended | Phase::Gone => {}
        }
    }

    fn entered(&mut self, step: u32, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Preparing | Phase::Reloading => {
                let timeouts = self.running().map(|c| c.fresh.timeouts).unwrap_or_default();
                self.timers.arm(Timer::Hook, cx.now + timeouts.hook);
                if self.phase == Phase::Reloading {
                    self.timers.arm(Timer::Phase, cx.now + timeouts.hook + time_to_replace(timeouts));
                }
                if let Some(life) = &mut self.life {
                    (life.step, life.gives_up) = (Some((step, cx.now)), false);
                }
            }
            Phase::Waiting
            | Phase::Spawning
            | Phase::Running
            | Phase::Stopping
            | Phase::Killing
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }

    /// The steps of a reload are done: what comes now is the old app's own time, no hook's.
    fn walked(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Reloading => {
                let timeouts = self.running().map(|c| c.fresh.timeouts).unwrap_or_default();
                self.timers.disarm(Timer::Hook);
                self.timers.arm(Timer::Phase, cx.now + time_to_replace(timeouts));
                if let Some(life) = &mut self.life {
                    life.step = None;
                }
            }
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Stopping
            | Phase::Killing
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }

    /// A step of the reload failed: the app of before goes on, with the configuration of before, and the new one is tried again when
    /// somebody asks, or at the next birth.
    fn kept(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Reloading => {
                self.enter(Phase::Running, cx);
                self.timers.disarm(Timer::Hook);
                self.timers.arm(Timer::Settle, cx.now + self.backoff.settles_after());
                if let Some(life) = &mut self.life {
                    life.kept = Some(life.tolerated.take().unwrap_or_default());
                    life.step = None;
                    if let Some(before) = life.before.take() {
                        life.running = before.running;
                        life.daemons = before.daemons;
                        life.at_exit_sources = before.at_exit_sources;
                        life.at_exit_steps = before.at_exit_steps;
                    }
                }
                let what = "the reload was given up, the app goes on as it was".to_owned();
                cx.note(Note::Tolerated { vassal: self.name.clone(), what });
                self.learn_mounts_anew();
                self.reload_again(cx);
            }
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Stopping
            | Phase::Killing
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }

    fn failed(&mut self, at: &Place, errno: i32, detail: &str, fatal: bool, cx: &mut Context<'_>) {
        let what = self.failure_in_words(at, errno, detail);
        if !fatal {
            if let Some(life) = &mut self.life {
                life.tolerated = Some(what.clone());
                if let Place::Step(step) = at
                    && let Some(line) = life.sources.get(*step as usize).and_then(|source| source.origin.clone())
                {
                    life.tolerated_of.retain(|(other, _)| *other != line);
                    life.tolerated_of.push((line, what.clone()));
                }
            }
            cx.note(Note::Tolerated { vassal: self.name.clone(), what });
            return;
        }
        let missing = self.missing_for_a_child(errno, detail).map(str::to_owned);
        let cause = match (missing.or_else(|| self.no_namespace(at, errno)), at) {
            (Some(missing), _) => Cause::Shortage { what: format!("{missing}: {what}") },
            (None, Place::Step(_) | Place::AtExit(_)) => Cause::HookFailed { what },
            (
                None,
                Place::AppLimit(_)
                | Place::AppIdentity
                | Place::AppCaps
                | Place::AppChdir
                | Place::AppExec
                | Place::Log
                | Place::Init,
            ) => Cause::ExecFailed { what },
        };
        match self.phase {
            // Init leaves by itself, once it has saved; the deadline makes sure of it.
            Phase::Preparing | Phase::Running | Phase::Reloading => self.destroy(cause, cx),
            Phase::Stopping | Phase::Killing => self.blame(&cause, cx.now),
            Phase::Waiting | Phase::Spawning | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// What the host has no more of, where init could make no child. In a control group of the vassal's own its bound may be the reason.
    fn missing_for_a_child(&self, errno: i32, detail: &str) -> Option<&'static str> {
        let is_bounded = self.life.as_ref().is_none_or(|life| !life.cgroups.paths.is_empty());
        if is_bounded || ![fork::FOR_STEP, fork::FOR_APP].contains(&detail) { None } else { missing(errno) }
    }

    /// The limits of the host's that an `unshare` has met. A reload makes no namespaces.
    fn no_namespace(&self, at: &Place, errno: i32) -> Option<String> {
        let (Place::Step(step), Phase::Preparing) = (at, self.phase) else { return None };
        let made = self.life.as_ref()?.unshares.iter().find(|(index, _)| index == step)?;
        no_namespace(errno, made.1)
    }

    /// One sentence: the reason, what helps, the step with its object, the line that asked for it. The reason comes first, because a
    /// screen may cut the end.
    fn failure_in_words(&self, at: &Place, errno: i32, detail: &str) -> String {
        let step = match at {
            Place::Step(step) => self.step_in_words(*step, false),
            Place::AtExit(step) => self.step_in_words(*step, true),
            Place::AppLimit(limit) => self.limit_in_words(*limit),
            Place::AppCaps => self.caps_in_words(),
            Place::AppIdentity => self.app_in_words("take the app's identity"),
            Place::AppChdir => {
                let line = self.running().and_then(|config| config.fresh.app.chdir.as_ref());
                line.map_or_else(|| "enter the app's directory".into(), |line| format!("enter the app's directory ({})", line.at))
            }
            Place::AppExec => self.app_in_words("start the app"),
            Place::Log => "write its log".into(),
            Place::Init => "init".into(),
        };
        // Where the detail is a sentence of its own, its errno says less.
        let explains = matches!(at, Place::AppLimit(_) | Place::AppCaps | Place::AppExec);
        let reason = match (errno, detail) {
            (0, detail) => detail.to_owned(),
            (errno, "") => errno_name(errno),
            (errno, detail) if explains => format!("{detail}, {}", errno_name(errno)),
            (errno, detail) => format!("{}, {detail}", errno_name(errno)),
        };
        let advice = match at {
            Place::Step(_) => advice::for_mounting(detail, self.owner()),
            Place::AppChdir if errno == ENOENT => Some("mkdir it, or mount what brings it before the app starts".to_owned()),
            Place::AppExec => self.for_a_shell(),
            Place::AtExit(_)
            | Place::AppLimit(_)
            | Place::AppIdentity
            | Place::AppCaps
            | Place::AppChdir
            | Place::Log
            | Place::Init => None,
        };
        let advice = advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
        let mut sentence = format!("{reason}{advice}: {step}");
        let lacks = errno == ENOENT || detail.contains("this root has no");
        if let Some(taken) = lacks.then(|| self.what_was_taken_away()).flatten() {
            sentence += &format!("; {taken}");
        }
        sentence
    }

    /// What to write where the app's command is a line for a shell.
    fn for_a_shell(&self) -> Option<String> {
        let ProgramSpec::Command(words) = &self.running()?.fresh.app.program else { return None };
        Some(format!("no shell runs this: {}", instead_of_shell(words.value.first()?)?))
    }

    /// What went with the old root, if a line of the file took something away with it.
    fn what_was_taken_away(&self) -> Option<String> {
        let spec = &self.running()?.fresh;
        let taken = taken_away(spec)?;
        let Some(at_birth) = self.life.as_ref().and_then(|life| life.layers.as_ref()) else {
            let layers = taken.layers.iter().map(|layer| layer.path.value.as_str()).collect::<Vec<_>>().join(", ");
            return Some(format!(
                "{} ({}) took away what was mounted below it: a layer of the root ({layers}) that is a mount of its own is gone",
                taken.words, taken.by
            ));
        };
        let by_its_hooks = |point: &str| {
            let mut verbs = spec.jail.hooks.iter().map(|hook| &hook.verb.value);
            verbs.any(|verb| matches!(verb, Verb::Mount { target, .. } if target == point))
        };
        let lost = taken.lost(|point| at_birth.iter().any(|mounted| mounted == point) || by_its_hooks(point));
        let lost = lost.into_iter().map(|(layer, mount)| match layer.value == mount {
            true => format!("the layer {mount} ({})", layer.at),
            false => format!("{mount} with the layer {} ({})", layer.value, layer.at),
        });
        let lost = lost.collect::<Vec<_>>().join(", ");
        // None: each lies on the file system of its union.
        (!lost.is_empty()).then(|| format!("{} ({}) took away a mount of its own: {lost}", taken.words, taken.by))
    }

    /// A step of the app's own start, and the line its command stands in; a uwsgi is asked for by no line of its own.
    fn app_in_words(&self, step: &str) -> String {
        let at = self.running().and_then(|config| match &config.fresh.app.program {
            ProgramSpec::Command(words) => Some(&words.at),
            ProgramSpec::Shell(line) | ProgramSpec::PrivilegedShell(line) => Some(&line.at),
            ProgramSpec::Uwsgi { .. } => None,
        });
        at.map_or_else(|| step.to_owned(), |at| format!("{step} ({at})"))
    }

    /// A bound of the app, and the line that asked for it.
    fn limit_in_words(&self, limit: Limit) -> String {
        let limits = self.running().map(|config| &config.fresh.app.limits);
        let (what, at) = match limit {
            Limit::AddressSpace => {
                ("the app's address space", limits.and_then(|l| l.address_space.as_ref().map(|asked| &asked.at)))
            }
            Limit::Processes => {
                ("the number of its user's processes", limits.and_then(|l| l.processes.as_ref().map(|asked| &asked.at)))
            }
            Limit::Files => ("the number of the app's open files", limits.and_then(|l| l.files.as_ref().map(|asked| &asked.at))),
            Limit::Nice => ("the app's priority", limits.and_then(|l| l.nice.as_ref().map(|asked| &asked.at))),
        };
        at.map_or_else(|| format!("bound {what}"), |at| format!("bound {what} ({at})"))
    }

    fn caps_in_words(&self) -> String {
        let caps = self.running().and_then(|config| config.fresh.jail.caps.as_ref());
        caps.map_or_else(
            || "keep the app's capabilities".to_owned(),
            |caps| format!("keep the capabilities {} ({})", capability_names(caps.value), caps.at),
        )
    }

    fn started(&mut self, pid: i32, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Preparing => {
                self.enter(Phase::Running, cx);
                self.give_slot_back(cx);
                let took = self.begin_run(pid, cx);
                cx.note(Note::Started { vassal: self.name.clone(), pid, took });
                self.watch(cx);
            }
            Phase::Reloading => {
                self.enter(Phase::Running, cx);
                let took = self.begin_run(pid, cx);
                cx.note(Note::Reloaded { vassal: self.name.clone(), took });
                self.watch(cx);
                self.learn_mounts_anew();
                self.reload_again(cx);
            }
            // uwsgi reloaded by itself (touch-reload, its own fifo): the same files, a new app.
            Phase::Running => {
                if let Some(life) = &mut self.life {
                    life.began = cx.now;
                }
                let took = self.begin_run(pid, cx);
                cx.note(Note::Reloaded { vassal: self.name.clone(), took });
            }
            // The stop came first: an app that does not heed it is told.
            Phase::Stopping => {
                if let Some(life) = &mut self.life {
                    life.app_pid = Some(pid);
                    life.ready = !life.running.as_ref().is_some_and(|config| says_ready(&config.fresh));
                }
            }
            Phase::Waiting | Phase::Spawning | Phase::Killing | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// The app's exec succeeded: from here on it must get ready, and then last.
    fn begin_run(&mut self, pid: i32, cx: &mut Context<'_>) -> std::time::Duration {
        for timer in [Timer::Hook, Timer::Heartbeat, Timer::Ready, Timer::Calm, Timer::Settle, Timer::Steady] {
            self.timers.disarm(timer);
        }
        let Some(life) = &mut self.life else { return std::time::Duration::ZERO };
        // One that never said that it accepts (it may have no workers) will not say it after a reload either.
        let is_first = !std::mem::replace(&mut life.has_run, true);
        let says_ready = life.running.as_ref().is_some_and(|c| says_ready(&c.fresh)) && (is_first || life.accepting);
        (life.ready, life.accepting, life.loyal) = (!says_ready, false, false);
        life.lasted = false;
        life.runs_since = cx.now;
        life.run = match life.app_pid.replace(pid) {
            None => Run::First,
            Some(before) if before == pid => Run::Told,
            Some(_) => Run::Replaced,
        };
        life.step = None;
        life.before = None;
        life.doubts.begin_run();
        life.hooks.begin_run();
        let took = cx.now - life.began;
        if let Some(flapping) = self.backoff.flapping() {
            self.timers.arm(Timer::Steady, cx.now + flapping.steady_after);
        }
        if says_ready {
            let ready = life.running.as_ref().map(|c| c.fresh.timeouts.ready).unwrap_or_default();
            self.timers.arm(Timer::Ready, cx.now + ready);
        } else {
            self.timers.arm(Timer::Settle, cx.now + self.backoff.settles_after());
        }
        took
    }

    /// The mounts of the configuration in force are watched, whatever was watched before.
    fn watch(&mut self, cx: &mut Context<'_>) {
        let Some(life) = &mut self.life else { return };
        let Some(config) = &life.running else { return };
        let before = std::mem::take(&mut life.mounts);
        let checks: Vec<Check> = config
            .fresh
            .checks
            .iter()
            .map(|c| Check { path: c.path.value.clone(), interval: c.interval, timeout: c.timeout })
            .collect();
        life.mounts = checks
            .iter()
            .map(|c| {
                let known = before.iter().find(|m| m.path == c.path).cloned();
                known.unwrap_or_else(|| MountView::new(&c.path))
            })
            .collect();
        life.points = if checks.is_empty() { Vec::new() } else { points(&config.fresh) };
        if !checks.is_empty() || !before.is_empty() {
            cx.act(Action::Watch { vassal: self.name.clone(), birth: life.birth, checks });
        }
    }

    /// What a reload has remounted is no loss.
    fn learn_mounts_anew(&mut self) {
        self.life.iter_mut().flat_map(|life| &mut life.mounts).for_each(|mount| mount.mount = None);
    }

    fn said(&mut self, word: AppWord, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Running | Phase::Reloading => match word {
                // Of the old app, which is being replaced: the new one has not been started yet.
                AppWord::Ready if self.phase == Phase::Reloading => {}
                AppWord::Ready => self.is_ready(cx),
                AppWord::Accepting => {
                    // After a reload of its own uwsgi says no "ready" again; who accepts is.
                    if self.phase == Phase::Running {
                        self.is_ready(cx);
                    }
                    if self.life.as_mut().is_some_and(|life| !std::mem::replace(&mut life.accepting, true)) {
                        cx.note(Note::Accepting { vassal: self.name.clone() });
                    }
                }
                AppWord::Loyal => {
                    if self.phase == Phase::Running {
                        self.is_ready(cx);
                    }
                    self.has_lasted(cx); // as uWSGI: a loyal vassal leaves the blacklist
                    if self.life.as_mut().is_some_and(|life| !std::mem::replace(&mut life.loyal, true)) {
                        cx.note(Note::Loyal { vassal: self.name.clone() });
                    }
                }
                AppWord::Heartbeat => {
                    self.timers.arm(Timer::Heartbeat, cx.now + cx.settings.required_heartbeat);
                }
                // As uWSGI's Emperor: it is ended, and comes up anew because its file is still there.
                AppWord::Leaving => self.stop(Cause::Idle, cx),
                // Init has answered it. It reloads, by itself or because it was told to: what it has said before is not said of the new run.
                AppWord::WantsConfig => self.undoubt_run(cx),
                AppWord::Sos | AppWord::Unknown(_) => {} // reinforcements are not had here
            },
            // It was still loading when it was asked to end, and works by now.
            Phase::Stopping => {
                if let (AppWord::Ready | AppWord::Accepting | AppWord::Loyal, Some(life)) = (word, &mut self.life) {
                    life.ready = true;
                }
            }
            Phase::Waiting | Phase::Spawning | Phase::Preparing | Phase::Killing | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// The app got ready in time; now it must last.
    fn is_ready(&mut self, cx: &mut Context<'_>) {
        let Some(life) = self.life.as_mut().filter(|life| !life.ready) else { return };
        life.ready = true;
        cx.note(Note::Ready { vassal: self.name.clone(), took: cx.now - life.began });
        self.timers.disarm(Timer::Ready);
        self.timers.arm(Timer::Calm, cx.now + CALM);
        self.timers.arm(Timer::Settle, cx.now + self.backoff.settles_after());
    }

    /// The app ended: init runs the steps of the end and leaves, in bounded time.
    fn app_exited(&mut self, exit: Exit, said: Option<String>, cx: &mut Context<'_>) {
        if let Some(life) = &mut self.life {
            life.app_pid = None;
        }
        match self.phase {
            Phase::Running | Phase::Reloading => {
                self.blame(&self.end_of_app(exit, said, cx.now), cx.now);
                let stop = self.running().map(|c| c.fresh.timeouts.stop).unwrap_or_default();
                self.enter(Phase::Stopping, cx);
                self.timers.disarm_life();
                self.timers.arm(Timer::Phase, cx.now + stop);
                self.tell_what_hangs(cx);
                self.unwatch(cx);
                self.ask_what_listens(cx);
            }
            Phase::Preparing | Phase::Stopping | Phase::Killing => self.blame(&Cause::of_app(exit, said), cx.now),
            Phase::Waiting | Phase::Spawning | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// The app's end as a cause. Some apps reload by leaving: that is no failure. One that was told of the reload by a signal has the
    /// `stop-timeout` for it, as long as any end of an app may take; afterwards its end is its own affair again.
    fn end_of_app(&self, exit: Exit, said: Option<String>, now: Time) -> Cause {
        let (Some(life), Some(config)) = (&self.life, self.running()) else { return Cause::of_app(exit, said) };
        let is_fresh = now - life.runs_since < config.fresh.timeouts.stop;
        let is_told = match (self.phase, life.run) {
            (Phase::Reloading, _) => true,
            (_, Run::Told) if is_fresh => true,
            // It is the new app that ended.
            (_, Run::Replaced) if is_fresh => false,
            (_, Run::First | Run::Told | Run::Replaced) => return Cause::of_app(exit, said),
        };
        let wished = match exit {
            Exit::Code(code) => code == 0,
            Exit::Signal(signal) => config.fresh.app.reload_signal == Some(signal),
        };
        Cause::of_app_at_reload(exit, said, is_told && wished)
    }

    /// The connections of new FUSE mounts are got hold of while they certainly are the vassal's; watched mounts are asked at once where the
    /// change may be one of theirs.
    fn mounts_changed(&mut self, own_fuse: bool, changes: Option<&[MountChange]>, number: u32, cx: &mut Context<'_>) {
        if let Some(life) = &mut self.life {
            life.fuse.had_any |= own_fuse;
        }
        match self.phase {
            Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Stopping => {
                if let Some(birth) = self.birth().filter(|_| own_fuse) {
                    cx.act(Action::Secure { vassal: self.name.clone(), birth, number });
                }
                if changes.is_none_or(|changes| self.concerns_a_check(changes)) {
                    self.probe_now(cx);
                }
            }
            Phase::Waiting | Phase::Spawning | Phase::Killing | Phase::Suspended | Phase::Gone => {}
        }
    }

    /// Whether a watched mount may have gone, or been covered. What a symbolic link in its path hides from this the next probe sees.
    fn concerns_a_check(&self, changes: &[MountChange]) -> bool {
        let mounts = self.life.as_ref().map_or(&[][..], |life| &life.mounts);
        changes.iter().any(|change| match change {
            MountChange::Came { point } => mounts.iter().any(|mount| Path::new(&mount.path).starts_with(point)),
            // One that was not seen yet may be any.
            MountChange::Went { device } => mounts.iter().any(|m| m.mount.is_none_or(|mount| mount.device == *device)),
        })
    }

    /// Perhaps it was the daemon of a watched mount: ask the mounts at once.
    fn orphan_died(&mut self, pid: i32, exit: Exit, name: Option<String>, cx: &mut Context<'_>) {
        if let Some(life) = &mut self.life {
            let spec = life.running.as_ref().map(|config| &config.fresh);
            life.fallen.orphan(cx.now, pid, name.as_deref(), exit, spec);
        }
        let how = match exit {
            Exit::Code(code) => format!("exited with status {code}"),
            Exit::Signal(signal) => format!("killed by {}", signal_name(signal)),
        };
        let name = name.unwrap_or_else(|| "daemon".to_owned());
        cx.note(Note::OrphanDied { vassal: self.name.clone(), pid, name, how });
        self.probe_now(cx);
    }

    /// Perhaps it was one of these. Init sums them up, so a storm of them costs no more than a breeze.
    fn orphans_died(&mut self, count: u32, cx: &mut Context<'_>) {
        cx.note(Note::OrphansDied { vassal: self.name.clone(), count });
        self.probe_now(cx);
    }

    pub(super) fn probe_now(&self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Running | Phase::Reloading => {
                if let Some(life) = self.life.as_ref().filter(|life| !life.mounts.is_empty()) {
                    cx.act(Action::ProbeNow { vassal: self.name.clone(), birth: life.birth });
                }
            }
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Stopping
            | Phase::Killing
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }
}

/// Only a real uwsgi says by itself when it is ready.
fn says_ready(spec: &VassalSpec) -> bool {
    matches!(spec.app.program, liege_spec::ProgramSpec::Uwsgi { .. })
}
