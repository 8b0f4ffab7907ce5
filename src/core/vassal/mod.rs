//! One vassal's life.
//!
//! Two fields tell everything: the *wish* (the newest good configuration, stopped by somebody or not; or down) and the *phase*. What happens to a vassal is
//! one method, in the file of its kind; each is a total match over the phases, without a default arm, so a new phase or a new
//! event forces every cell of the table to be answered:
//!
//! | file | what happened |
//! |---|---|
//! | `wish.rs` | the file changed, vanished, is bad; the daemon ends, or somebody is impatient |
//! | `order.rs` | somebody asks: start, stop, restart, reload, clear |
//! | `birth.rs` | a place to start is free; the clone lives, or failed |
//! | `report.rs` | init said something |
//! | `daemons.rs` | an attached daemon started or ended |
//! | `health.rs` | a probe answered |
//! | `hooks.rs` | init has answered what the hooks said |
//! | `listening.rs` | it was found out what listens where its app wanted to |
//! | `doubts.rs` | something of a running app dies again and again, or serves nothing |
//! | `clock.rs` | a timer is due |
//! | `saving.rs` | init waits at the end for what writes back |
//! | `end.rs` | init was reaped |
//!
//! `owner.rs` knows whose it is, and `file.rs` which file it has.
//!
//! Races: a message of an earlier life is told apart by its *birth* number and is stale. A configuration that comes while the
//! clone is under way costs nothing, because the plan is made only when the clone lives. After `Exited` no signal is sent.
//!
//! Deliberately not here: names of files, pids of anything but init, and every way of doing what is decided.

mod birth;
mod clock;
mod daemons;
mod difference;
mod doubts;
mod end;
mod explained;
mod fallen;
mod file;
mod health;
mod hooks;
mod listening;
mod order;
mod owner;
mod phase;
mod report;
mod saving;
mod wish;

pub(crate) use listening::Whose;
pub use phase::Phase;
pub(crate) use saving::not_saved;

use doubts::Doubts;
use fallen::Fallen;
use hooks::Hooks;
use owner::{is_roots, owner_of};
use saving::OwnFuse;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use liege_plan::{Identity, Loss};
use liege_spec::{Cgroups, Jail, LogTo, Namespaces, Origin, Point, VassalConfig};

use crate::{
    Action, Cause, Failure, FileId, Late, MountView, Name, Note, Roots, StepView, Time, VassalView, advice,
    backoff::Backoff,
    compile::{Source, Surroundings},
    emperor::Context,
    timers::{Timer, Timers},
};

/// How long a kill may take before it is tried again and the trouble is named.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How long a start counts among those that start at once. A hook that lasts longer does not hold up the others.
const SLOT: Duration = Duration::from_secs(1);

/// How long after a uwsgi is ready a reload waits. Only its first worker says that it accepts; one that does not yet would lose the
/// word, and then uwsgi's own mercy (60 s) is what replaces it.
const CALM: Duration = Duration::from_secs(1);

/// One vassal: what is wanted, where it stands, and the life it is in.
#[derive(Debug)]
pub(crate) struct Vassal {
    name: Name,
    /// The newest good configuration; None: down.
    wish: Option<Arc<VassalConfig>>,
    /// Somebody stopped it: the wish waits for a start.
    stopped: bool,
    /// When a stop was last asked for.
    last_stop: Option<Time>,
    /// The wish is of a text that no life was given yet: what ends meanwhile is no failure of it.
    news: bool,
    directory: String,
    /// The file the wish was read from.
    file: Option<FileId>,
    /// The file its life was begun with, or the last one was.
    ran: Option<FileId>,
    phase: Phase,
    /// When the phase began.
    since: Time,
    /// From the clone's request until init is reaped.
    life: Option<Life>,
    /// Waiting, and its time has come: it only needs a place.
    pub(crate) due: bool,
    /// Waiting, and held by an incident: when the delay it has earned by itself is over.
    held: Option<Time>,
    /// It holds a place among those that start at once.
    slot: bool,
    pub(crate) timers: Timers,
    backoff: Backoff,
    /// Suspended, because it has failed as often as it may.
    gave_up: bool,
    past: Past,
    /// Watched paths where a mount was seen since the file last changed, and whether they were its root: it must be there in every later
    /// life too.
    mounted: BTreeMap<String, bool>,
    config_error: Option<String>,
    /// Who of earlier lives survives SIGKILL, and whose these lives were: root's alone, where they were not all of one.
    left_behind: (Vec<String>, Option<u32>),
}

/// What is told of the lives that are over. A name may be used again by somebody else's file: then it begins anew, because it is
/// nothing to him.
#[derive(Debug, Default)]
struct Past {
    /// Whose these lives were.
    owner: Option<u32>,
    ends: BTreeMap<&'static str, u64>,
    last_cause: Option<Sentence>,
    last_end: Option<Time>,
    /// The newest end that was a failure.
    last_failure: Option<(Cause, Sentence, Time)>,
}

/// Why a life ended, as its owner may read it, and as root may where that is more.
#[derive(Clone, Debug)]
struct Sentence {
    owners: String,
    roots: Option<String>,
}

impl Sentence {
    fn new(cause: &Cause, more: &str) -> Self {
        let whole = format!("{cause}{more}");
        match cause.for_owner() {
            Some(told) => Self { owners: format!("{told}{more}"), roots: Some(whole) },
            None => Self { owners: whole, roots: None },
        }
    }
}

/// One life: from a clone's request to its reaping.
#[derive(Debug)]
struct Life {
    birth: u64,
    /// Known once the clone lives.
    pid: Option<i32>,
    /// The control groups it was born into, where its output goes, and for whom.
    cgroups: Cgroups,
    log_to: LogTo,
    owner: Option<u32>,
    /// As init has found it by its names in the vassal's own root.
    found: Option<Identity>,
    /// What was compiled into the plan, or into the last reload.
    running: Option<Arc<VassalConfig>>,
    /// Where the steps of the walk under way come from.
    sources: Vec<Source>,
    at_exit_sources: Vec<Source>,
    /// The attached daemons, in words with their lines.
    daemons: Vec<String>,
    /// The step of the walk under way, and since when.
    step: Option<(u32, Time)>,
    /// The steps of the walk under way and of the end, in words.
    steps: Vec<String>,
    at_exit_steps: Vec<String>,
    /// The steps of the first walk that make namespaces.
    unshares: Vec<(u32, Namespaces)>,
    /// The first reason for its end; later ones are consequences.
    cause: Option<Cause>,
    /// When the clone was asked for, or the reload began.
    began: Time,
    /// An app of this life was started before.
    has_run: bool,
    /// When the app that runs was started, and its pid in its own namespace.
    runs_since: Time,
    app_pid: Option<i32>,
    run: Run,
    ready: bool,
    accepting: bool,
    loyal: bool,
    /// The run has lasted long enough, or has served: it is settled as soon as its mounts have answered.
    lasted: bool,
    /// Something changed while a reload was under way: once more afterwards.
    reload_again: bool,
    /// When its last reload began.
    took_over: Option<Time>,
    /// What the reload under way takes the place of.
    before: Option<Before>,
    /// The newest failure that was no end.
    tolerated: Option<String>,
    /// What failed in this life and was no end, by its line.
    tolerated_of: Vec<(Origin, String)>,
    hooks: Hooks,
    /// Where its file mounts something.
    points: Vec<Point>,
    /// Why the last reload was given up.
    kept: Option<String>,
    mounts: Vec<MountView>,
    /// What was last seen of each that does not answer.
    late: BTreeMap<String, Late>,
    /// The mount points among its layers when it was born; None: not known.
    layers: Option<Vec<String>>,
    /// What its app printed that says more than that it runs, and what of it dies.
    doubts: Doubts,
    /// Those of its processes that died lately.
    fallen: Fallen,
    /// When the kernel's OOM killer was last at work in it.
    oom: Option<(Time, Option<String>)>,
    /// Who holds up its end, while somebody does.
    leftovers: Vec<String>,
    /// The end of the daemon does not wait for it any more.
    is_left: bool,
    /// What it waits for at its end, because it may not have written back yet.
    saving: Vec<String>,
    /// What has not written back, as far as is known.
    lost: Vec<Loss>,
    /// Its own FUSE mounts, as far as its end has to know.
    fuse: OwnFuse,
    /// The step that is out of time was told to end, so that a reload is given up.
    gives_up: bool,
}

/// How the run of an app began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// By the first start of the life.
    First,
    /// By a reload that the app was told of: it goes on in its own process.
    Told,
    /// By a reload that put a new app in the old one's place.
    Replaced,
}

/// What of a life a reload replaces before it is known to come about.
#[derive(Debug)]
struct Before {
    running: Option<Arc<VassalConfig>>,
    daemons: Vec<String>,
    at_exit_sources: Vec<Source>,
    at_exit_steps: Vec<String>,
}

impl Life {
    /// What is mounted at the path of a check, as it was last seen.
    fn mount_at(&self, path: &str) -> Option<crate::Mounted> {
        self.mounts.iter().find(|mount| mount.path == path)?.mount
    }

    /// Whether what only a birth can give is what this jail wants.
    fn was_born_for(&self, jail: &Jail) -> bool {
        self.cgroups == jail.cgroups && self.log_to == jail.log_to && self.owner == owner_of(jail)
    }

    fn new(birth: u64, cgroups: Cgroups, log_to: LogTo, owner: Option<u32>, began: Time) -> Self {
        Self {
            birth,
            pid: None,
            cgroups,
            log_to,
            owner,
            found: None,
            running: None,
            sources: Vec::new(),
            at_exit_sources: Vec::new(),
            daemons: Vec::new(),
            step: None,
            steps: Vec::new(),
            at_exit_steps: Vec::new(),
            unshares: Vec::new(),
            cause: None,
            began,
            has_run: false,
            runs_since: began,
            app_pid: None,
            run: Run::First,
            ready: false,
            accepting: false,
            loyal: false,
            lasted: false,
            reload_again: false,
            took_over: None,
            before: None,
            tolerated: None,
            tolerated_of: Vec::new(),
            hooks: Hooks::default(),
            points: Vec::new(),
            kept: None,
            mounts: Vec::new(),
            late: BTreeMap::new(),
            layers: None,
            doubts: Doubts::default(),
            fallen: Fallen::default(),
            oom: None,
            leftovers: Vec::new(),
            is_left: false,
            saving: Vec::new(),
            lost: Vec::new(),
            fuse: OwnFuse::default(),
            gives_up: false,
        }
    }
}

impl Vassal {
    /// A new file: it wants to start as soon as there is a place.
    pub(crate) fn new(
        name: Name,
        config: Arc<VassalConfig>,
        directory: String,
        file: Option<FileId>,
        cx: &mut Context<'_>,
    ) -> Self {
        let mut vassal = Self {
            wish: Some(config),
            stopped: false,
            last_stop: None,
            news: false,
            directory,
            file,
            ran: None,
            phase: Phase::Waiting,
            since: cx.now,
            life: None,
            due: false,
            held: None,
            slot: false,
            timers: Timers::default(),
            backoff: Backoff::new(cx.settings.throttle, cx.settings.max_throttle),
            gave_up: false,
            past: Past::default(),
            mounted: BTreeMap::new(),
            config_error: None,
            left_behind: (Vec::new(), None),
            name,
        };
        cx.note(Note::Added { vassal: vassal.name.clone() });
        vassal.wait(Duration::ZERO, cx);
        vassal
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// What is wrong with its file, as far as was heard since the last one that was good, or gone.
    pub(crate) fn into_mistake(self) -> Option<String> {
        self.config_error
    }

    /// Somebody stopped it, and nobody has started it since.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The birth of the life it is in.
    pub(crate) fn birth(&self) -> Option<u64> {
        self.life.as_ref().map(|life| life.birth)
    }

    /// Its app said that it is ready, or cannot say it.
    pub(crate) fn is_ready_now(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.ready)
    }

    /// The pid of its init.
    pub(crate) fn init(&self) -> Option<i32> {
        self.life.as_ref().and_then(|life| life.pid)
    }

    pub(crate) fn view(&self, now: Time) -> VassalView {
        let life = self.life.as_ref();
        let past = Some(&self.past).filter(|past| past.owner == self.seen_by());
        VassalView {
            name: self.name.clone(),
            phase: self.phase,
            pid: self.init(),
            since: self.since,
            owner: self.seen_by(),
            runs_as_root: life.is_some() && self.running().is_some_and(|config| is_roots(&config.fresh)),
            user: self.user(),
            app_pid: life.filter(|_| self.phase == Phase::Running).and_then(|l| l.app_pid),
            up_since: life.filter(|l| l.has_run && matches!(self.phase, Phase::Running | Phase::Reloading)).map(|l| l.runs_since),
            ready: life.is_some_and(|l| l.ready),
            accepting: life.is_some_and(|l| l.accepting),
            loyal: life.is_some_and(|l| l.loyal),
            usage: None,
            mounts: life.iter().flat_map(|l| &l.mounts).map(|mount| mount.at(now)).collect(),
            leftovers: life.iter().flat_map(|l| l.leftovers.iter().chain(&l.saving).cloned()).chain(self.survivors()).collect(),
            restarts: past.iter().flat_map(|past| &past.ends).map(|(word, n)| ((*word).to_owned(), *n)).collect(),
            failures: self.backoff.failures(),
            flapping: self.backoff.flapping().filter(|_| self.phase != Phase::Suspended),
            gave_up: self.gave_up,
            waits_for: None,
            retry_at: (self.phase == Phase::Waiting).then(|| self.timers.at(Timer::Phase)).flatten(),
            last_cause: past.and_then(|past| past.last_cause.as_ref()).map(|said| said.owners.clone()),
            last_end: past.and_then(|past| past.last_end),
            last_failure: past.and_then(|past| past.last_failure.as_ref()).map(|(cause, said, at)| Failure {
                cause: cause.word().to_owned(),
                what: said.owners.clone(),
                ago: (now - *at).as_secs_f64(),
            }),
            step: self.step_view(),
            doubt: life.filter(|_| self.phase == Phase::Running).and_then(|life| life.doubts.sentence()),
            config_error: self.config_error.clone(),
            reload_given_up: life.and_then(|l| l.kept.clone()),
            roots: Roots {
                last_cause: past.and_then(|past| past.last_cause.as_ref()?.roots.clone()),
                last_failure: past.and_then(|past| past.last_failure.as_ref()?.1.roots.clone()),
            },
        }
    }

    /// The step under way, while there is no app yet.
    fn step_view(&self) -> Option<StepView> {
        let (step, since) = self.life.as_ref()?.step.filter(|_| self.phase == Phase::Preparing)?;
        let what = self.step_in_words(step, false);
        let advice = advice::for_foreground(&what);
        Some(StepView { what, since, advice })
    }

    fn enter(&mut self, phase: Phase, cx: &Context<'_>) {
        self.phase = phase;
        self.since = cx.now;
        (self.held, self.gave_up) = (None, false);
        self.timers.disarm(Timer::Phase);
    }

    /// To Waiting: for a time, then for a place to start.
    fn wait(&mut self, delay: Duration, cx: &mut Context<'_>) {
        self.enter(Phase::Waiting, cx);
        if delay.is_zero() { self.want_start(cx) } else { self.timers.arm(Timer::Phase, cx.now + delay) }
    }

    /// Its time has come: it queues for a place.
    fn want_start(&mut self, cx: &mut Context<'_>) {
        self.timers.disarm(Timer::Phase);
        self.held = None;
        cx.storms.left(&self.name);
        if !self.due {
            self.due = true;
            cx.starts.queue(self.name.clone());
        }
    }

    /// To Gone: the emperor forgets it.
    fn gone(&mut self, cx: &mut Context<'_>) {
        self.give_slot_back(cx);
        self.enter(Phase::Gone, cx);
        self.due = false;
        self.timers = Timers::default();
        cx.storms.gone(cx.now, &self.name);
        cx.note(Note::Gone { vassal: self.name.clone() });
    }

    /// To Stopping: init asks the app to leave. Where there is none yet it ends the step under way; what earlier steps have mounted saves.
    fn stop(&mut self, cause: Cause, cx: &mut Context<'_>) {
        let stop = self.running().map_or_else(Duration::default, |c| c.fresh.timeouts.stop);
        self.enter(Phase::Stopping, cx);
        self.timers.disarm_life();
        self.timers.arm(Timer::Phase, cx.now + stop);
        let cause = self.explained(cause, cx.now);
        self.blame(&cause, cx.now);
        cx.note(Note::Stopping { vassal: self.name.clone(), why: cause });
        self.tell_what_hangs(cx);
        self.tell(liege_plan::ToInit::Stop, cx);
        self.unwatch(cx);
    }

    /// To Stopping: the instance is destroyed, and what its mounts and daemons have not written back is saved, as after the app's own
    /// death. Only what does not answer is killed without that.
    fn destroy(&mut self, cause: Cause, cx: &mut Context<'_>) {
        self.enter(Phase::Stopping, cx);
        self.timers.disarm_life();
        self.timers.arm(Timer::Phase, cx.now + saving::ANSWER);
        self.tell_destroying(cause, cx);
        self.tell_what_hangs(cx);
        self.tell(liege_plan::ToInit::Destroy, cx);
        self.unwatch(cx);
    }

    /// To Killing: the instance is destroyed.
    fn kill(&mut self, cause: Cause, cx: &mut Context<'_>) {
        self.enter(Phase::Killing, cx);
        self.timers.disarm_life();
        self.timers.arm(Timer::Phase, cx.now + KILL_PATIENCE);
        self.tell_destroying(cause, cx);
        self.unwatch(cx);
        if let Some(birth) = self.birth() {
            cx.act(Action::Kill { vassal: self.name.clone(), birth });
        }
    }

    fn tell_destroying(&mut self, cause: Cause, cx: &mut Context<'_>) {
        let cause = self.explained(cause, cx.now);
        self.blame(&cause, cx.now);
        let life = self.life.as_ref();
        let (lived, owner) = life.map_or((Duration::ZERO, None), |life| (cx.now - life.began, life.owner));
        cx.note(Note::Destroying { vassal: self.name.clone(), why: cause, lived, owner });
    }

    /// The first cause is the reason; what follows from it is not.
    fn blame(&mut self, cause: &Cause, now: Time) {
        let cause = self.explained(cause.clone(), now);
        if let Some(life) = &mut self.life {
            life.cause.get_or_insert(cause);
        }
    }

    fn tell(&self, message: liege_plan::ToInit, cx: &mut Context<'_>) {
        if let Some(birth) = self.birth() {
            cx.act(Action::Tell { vassal: self.name.clone(), birth, message });
        }
    }

    fn unwatch(&self, cx: &mut Context<'_>) {
        if let Some(life) = self.life.as_ref().filter(|life| !life.mounts.is_empty()) {
            cx.act(Action::Watch { vassal: self.name.clone(), birth: life.birth, checks: Vec::new() });
        }
    }

    fn give_slot_back(&mut self, cx: &mut Context<'_>) {
        self.timers.disarm(Timer::Slot);
        if std::mem::take(&mut self.slot) {
            cx.starts.give_back();
        }
    }

    fn running(&self) -> Option<&Arc<VassalConfig>> {
        self.life.as_ref()?.running.as_ref()
    }

    fn surroundings<'a>(&'a self, cx: &Context<'a>) -> Surroundings<'a> {
        Surroundings {
            vassal: &self.name,
            directory: &self.directory,
            namespaces: cx.settings.namespaces,
            vassal_caps: cx.settings.vassal_caps,
            graceful_stop: cx.settings.graceful_stop,
            hooks: &cx.settings.vassal_hooks,
            limits: cx.settings.limits,
        }
    }

    /// `exec fuse-zip ... (shop.ini:12: exec-as-user)`: a step of the walk under way, and who asked for it.
    fn step_in_words(&self, step: u32, at_exit: bool) -> String {
        let Some(life) = &self.life else { return format!("step {step}") };
        let (sources, words) = if at_exit { (&life.at_exit_sources, &life.at_exit_steps) } else { (&life.sources, &life.steps) };
        let source = sources.get(step as usize);
        let what = match (words.get(step as usize), source) {
            (Some(words), Some(Source { hidden: false, .. }) | None) => words.clone(),
            (Some(_), Some(Source { hidden: true, .. })) | (None, _) => "a hook".to_owned(),
        };
        match source.and_then(|s| s.origin.as_ref()) {
            Some(origin) => format!("{what} ({origin})"),
            None => what,
        }
    }
}
