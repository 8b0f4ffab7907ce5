//! A probe of a watched mount answered, or is late.
//!
//! A mount that is dead or gone destroys the whole instance at once: nothing in it can be trusted, and nothing polite reaches an
//! app that waits for a file system without a daemon. One that hangs is given `mountpoint-check-tolerance` more looks, whether a FUSE daemon
//! or the kernel serves it. One whose daemon, or whose disk, works hard is slow, not ill, until it has been so for ten times the timeout.
//!
//! A path where nothing is mounted is *not mounted*: ill in every view. It destroys the instance where a mount must be, because
//! `mountpoint-check-required` says so or one was seen there since the file last changed, and none came within
//! `mountpoint-check-timeout` of the app's start. Elsewhere it harms nothing: uWSGI's check of a plain directory is always well.
//!
//! On the file system of the vassal's root that is every path. On a mount of another (`/srv` is a disk of its own) a directory may be checked
//! on purpose, so there it is only where one expects more than the disk: a line of the file mounts something there, a mount was
//! seen there, or one is required and the disk was there before the vassal.
//!
//! One whose answer takes longer than usual is shown as slow before it is late, and nothing else happens.
//!
//! Where nobody can look (the prober lacks something, the mount lets nobody in) that is shown, and nothing else happens.
//!
//! Whether a mount is still the one it was is judged here, because only here it is remembered. A reload may remount (its hooks
//! run again), so while one is under way nothing counts as gone, and after it the mounts are learned anew.

use std::{path::Path, time::Duration};

use liege_spec::{MountpointCheck, Point, called_inside};

use super::{Life, Phase, Vassal};
use crate::{
    Came, Cause, Health, Late, MountView, Mounted, Note, Probed, Rule, Time,
    cause::{ENOENT, errno_name},
    emperor::Context,
    view::no_answer_yet,
};

/// How many timeouts a daemon that works may take for one answer.
const SLOW_TIMEOUTS: u32 = 10;

/// So many looks in a row that could not be made, and nothing is known of the mount any more. One that fails now and then is not worth a
/// word: the vassal may be on its way out, the prober may have been killed.
const UNKNOWNS: u32 = 5;

impl Vassal {
    pub(crate) fn probed(&mut self, path: &str, probed: Probed, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Running | Phase::Reloading if probed.is_early => self.awaited(path, probed.micros, cx),
            Phase::Running | Phase::Reloading => self.judge(path, probed, cx),
            // The answer came after the question had lost its meaning.
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Stopping
            | Phase::Killing
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }

    /// What was well is shown as slow until the answer comes, or until the look is late and judged.
    fn awaited(&mut self, path: &str, micros: u64, cx: &mut Context<'_>) {
        let since = Time(cx.now.0.saturating_sub(micros));
        let mounts = self.life.iter_mut().flat_map(|life| &mut life.mounts);
        let was_well = |mount: &&mut MountView| mount.path == path && matches!(mount.health, Some(Health::Healthy) | None);
        let Some(mount) = { mounts }.find(was_well) else { return };
        mount.health = Some(Health::Slow);
        mount.unanswered_since = Some(since);
        self.tell_mount(true, path, Health::Slow, no_answer_yet(cx.now - since), cx);
    }

    fn judge(&mut self, path: &str, probed: Probed, cx: &mut Context<'_>) {
        let Some(check) = self.check(path).cloned() else { return };
        let may_remount = self.phase == Phase::Reloading;
        let runs_since = self.life.as_ref().map_or(cx.now, |life| life.runs_since);
        let began = Time(cx.now.0.saturating_sub(probed.micros));
        let died = self.daemon_that_died(cx);
        let (was_mounted, was_root) = self.mounted.get(path).map_or((false, false), |was_root| (true, *was_root));
        let expects = self.life.as_ref().map_or(Expects::Nothing, |life| Expects::of(&life.points, path));
        let step = self.life.as_ref().and_then(|life| failed_to_mount(life, path));
        let (is_step, failed) = (step.is_some(), step.or_else(|| self.life.as_ref()?.hooks.words()));
        let Some(mount) = self.life.as_mut().and_then(|l| l.mounts.iter_mut().find(|m| m.path == path)) else {
            return; // no longer watched
        };
        let Probed { health, micros, mount: seen, late, is_early: _ } = probed;
        // Says nothing about the mount: what was last known stays, for a while, and no vassal is destroyed for it.
        if let Some(why) = health.why_unknown() {
            mount.unknown = mount.unknown.saturating_add(1);
            if mount.unknown >= UNKNOWNS {
                mount.unanswered_since = None;
                let is_news = !matches!(mount.health.replace(health), Some(Health::Unknown { .. }));
                let detail = format!("it could not be looked at {} times: {why}", mount.unknown);
                self.tell_mount(is_news, path, health, detail, cx);
                self.settle(cx);
            }
            return;
        }
        (mount.unknown, mount.unanswered_since) = (0, None);
        mount.micros = micros;
        let is_nothing = |seen: Mounted| {
            let on_anothers = match expects {
                Expects::This => true,
                Expects::Above => seen.came == Came::Before,
                Expects::Nothing => check.required && seen.came == Came::Before,
            };
            seen.not_mounted || seen.is_beside() && (was_root || on_anothers)
        };
        let (health, lost) = match (health, lost(mount.mount, seen)) {
            (Health::Healthy, Some(what)) if !may_remount => (Health::Gone, what),
            (Health::Healthy, _) if seen.is_some_and(is_nothing) => (Health::NotMounted, ""),
            (health, _) => (health, ""),
        };
        let was_there = if seen.is_some_and(|seen| seen.not_mounted) { was_mounted } else { was_root };
        let is_mounted = health == Health::Healthy && seen.is_some_and(|seen| !seen.sleeps);
        mount.expected = check.required || was_mounted || is_mounted;
        // A probe that began before the app was started has perhaps seen what a reload has remounted since.
        if matches!(health, Health::Healthy | Health::NotMounted) && began >= runs_since {
            let first = mount.mount;
            // Where the connection cannot be told just now, what was known of it stays known.
            let told = |seen: Mounted| first.filter(|first| first.is_same(&seen)).map_or(seen, |first| seen.completed(&first));
            mount.mount = seen.map(told).or(first);
        }
        let why = if health == Health::NotMounted { failed.clone() } else { None };
        let has_words = why.is_some() && why != mount.why;
        mount.why = why;
        mount.hung = if health == Health::Hung { mount.hung + 1 } else { 0 };
        let hung = mount.hung;
        let is_news = mount.health.replace(health) != Some(health);
        let why = match health {
            Health::Dead { errno } => errno_name(errno),
            Health::Gone => [Some(lost.to_owned()), died.clone()].into_iter().flatten().collect::<Vec<_>>().join("; "),
            Health::Hung | Health::Slow => {
                let what = late.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("no answer for {:.1}s: {what}", Duration::from_micros(micros).as_secs_f64())
            }
            Health::Healthy if seen.is_some_and(|seen| seen.sleeps) => "an automount, nothing is mounted there now".into(),
            Health::Healthy if seen.is_some_and(|seen| !seen.is_root) => {
                "no mount point itself, the mount it lies on answers".into()
            }
            Health::NotMounted => {
                let failed = failed.iter().map(|failed| format!("; {failed}"));
                ["nothing is mounted there, the directory answers".to_owned()].into_iter().chain(failed).collect()
            }
            Health::Healthy | Health::Unknown { .. } => String::new(),
        };
        if is_mounted {
            *self.mounted.entry(path.to_owned()).or_default() |= seen.is_some_and(|seen| seen.is_root);
        }
        let waits = health == Health::NotMounted && !is_step;
        let is_told = if waits { self.tells_missing(path, is_news, cx) || has_words } else { is_news };
        self.tell_mount(is_told, path, health, why.clone(), cx);
        let seen = self.last_seen(path, health, late);
        let path = path.to_owned();
        let allowed = u64::try_from((check.timeout * SLOW_TIMEOUTS).as_micros()).unwrap_or(u64::MAX);
        match health {
            Health::Healthy => self.settle(cx),
            Health::NotMounted => {
                let lasts = cx.now - runs_since;
                if (check.required || was_there) && !may_remount && lasts >= check.timeout {
                    self.destroy_beside(missing(&check, lasts, failed), cx);
                } else {
                    self.settle(cx);
                }
            }
            Health::Unknown { .. } => {}
            Health::Dead { errno } => {
                let spec = self.running().filter(|_| errno == ENOENT).map(|config| &config.fresh);
                let called = spec.and_then(|spec| called_inside(spec, &path));
                self.destroy_beside(Cause::MountpointDead { path, errno, daemon: died, seen, called }, cx);
            }
            Health::Gone => self.destroy_beside(Cause::MountpointGone { path, what: why }, cx),
            Health::Hung if hung > check.tolerance => {
                let rule = Some(Rule::Hung { micros, looks: hung, tolerated: check.tolerance });
                self.kill_beside(Cause::MountpointHung { path, what: why, rule, seen }, cx);
            }
            Health::Slow if micros >= allowed => {
                let rule = Some(Rule::Slow { micros, allowed });
                self.kill_beside(Cause::MountpointHung { path, what: why, rule, seen }, cx);
            }
            Health::Hung | Health::Slow => {}
        }
    }

    /// What was last seen of a mount that does not answer: one that dies of it is not looked at any more.
    fn last_seen(&mut self, path: &str, health: Health, late: Option<Late>) -> Option<Late> {
        let life = self.life.as_mut()?;
        match late {
            Some(late) => _ = life.late.insert(path.to_owned(), late),
            None if health == Health::Healthy => _ = life.late.remove(path),
            None => {}
        }
        life.late.get(path).cloned()
    }

    /// The run has lasted: what failed before is forgotten, once its mounts have answered. A hang takes longer to be known than a run
    /// to last, so time alone proves nothing.
    pub(super) fn has_lasted(&mut self, cx: &mut Context<'_>) {
        if let Some(life) = &mut self.life {
            life.lasted = true;
        }
        self.settle(cx);
    }

    /// The run has lasted as long as the window of failures: it is flapping no more.
    pub(super) fn is_steady(&mut self, cx: &mut Context<'_>) {
        if let Some(flapping) = self.backoff.steady() {
            cx.note(Note::Steady { vassal: self.name.clone(), lasted: flapping.steady_after });
        }
    }

    fn settle(&mut self, cx: &mut Context<'_>) {
        let lasted = self.life.as_ref().is_some_and(|life| life.lasted);
        let has_answered = |mount: &MountView| {
            mount.mount.is_some() && !mount.is_missed() || matches!(mount.health, Some(Health::Unknown { .. }))
        };
        if lasted && self.mounts(has_answered) {
            self.backoff.settled();
        }
        self.is_well(cx);
    }

    /// Whether this holds for every watched mount. One nobody can look at tells nothing, and must hold up nothing.
    pub(super) fn mounts(&self, holds: impl Fn(&MountView) -> bool) -> bool {
        self.life.iter().flat_map(|life| &life.mounts).all(holds)
    }

    fn tell_mount(&self, is_news: bool, path: &str, health: Health, detail: String, cx: &mut Context<'_>) {
        if is_news {
            let (vassal, path) = (self.name.clone(), path.to_owned());
            cx.note(Note::Mount { vassal, path, state: health.word().to_owned(), detail });
        }
    }

    /// A daemon of the vassal that died just now: mounts die of that.
    fn daemon_that_died(&self, cx: &Context<'_>) -> Option<String> {
        self.life.as_ref()?.fallen.blamed(cx.now)
    }

    fn check(&self, path: &str) -> Option<&MountpointCheck> {
        self.running()?.fresh.checks.iter().find(|check| check.path.value == path)
    }
}

/// What the lines of a file say of a path.
#[derive(Clone, Copy)]
enum Expects {
    /// One mounts something there.
    This,
    /// One mounts something above it: what is there lies on that mount, or nothing is mounted.
    Above,
    /// None names it.
    Nothing,
}

impl Expects {
    fn of(points: &[Point], path: &str) -> Self {
        let mut points = points.iter().filter_map(|point| point.path.as_deref());
        if points.clone().any(|point| Path::new(point) == Path::new(path)) {
            Self::This
        } else if points.any(|point| point != "/" && Path::new(path).starts_with(point)) {
            Self::Above
        } else {
            Self::Nothing
        }
    }
}

/// What the step said that was to mount it.
fn failed_to_mount(life: &Life, path: &str) -> Option<String> {
    let is_above = |point: &&Point| point.path.as_ref().is_some_and(|point| Path::new(path).starts_with(point));
    let failed = |point: &Point| life.tolerated_of.iter().find(|(line, _)| *line == point.at);
    life.points.iter().filter(is_above).find_map(failed).map(|(_, what)| what.clone())
}

/// Why a run ends in which nothing was mounted where a mount must be.
fn missing(check: &MountpointCheck, lasts: Duration, said: Option<String>) -> Cause {
    let asked = if check.required { "mountpoint-check-required asks for a mount" } else { "a mount was there in an earlier run" };
    let what =
        format!("{:.1}s after the app's start the directory still answers, and {asked} ({})", lasts.as_secs_f64(), check.path.at);
    Cause::MountpointMissing { path: check.path.value.clone(), what, said }
}

/// What became of the mount first seen, if it is not the one that answers now. Where nothing was mounted nothing is lost, nor where an
/// automount has gone to sleep. Of a path that only lies on a mount it is known that it lies on none any more.
fn lost(first: Option<Mounted>, now: Option<Mounted>) -> Option<&'static str> {
    let (first, now) = (first?, now.filter(|now| !now.sleeps)?);
    let on_a_mount = !first.not_mounted && !first.sleeps;
    match (first.is_same(&now), first.is_root, now.is_root) {
        (true, _, _) => None,
        (false, true, true) => Some("another mount is there, it was replaced or covered"),
        (false, true, false) => Some("it was unmounted"),
        (false, false, _) => {
            let is_uncovered = now.not_mounted || now.came == Came::Before && first.came != Came::Before;
            (on_a_mount && is_uncovered).then_some("it was unmounted")
        }
    }
}
