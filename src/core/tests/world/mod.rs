//! A simulated host: processes that are born, report, die and are reaped, in virtual time, with every order a kernel allows.
//!
//! The world performs the machine's actions and keeps its own books. After every event the books are compared with what the
//! machine did; each way they can disagree is one of the named [`Broken`] invariants.

mod books;
pub mod saboteur;
pub mod specs;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use liege_core::{Action, Emperor, Event, Health, Late, Mounted, Name, Note, Order, Phase, Probed, ROOT, Request, Time, View};
use liege_plan::{AppWord, Exit, FromInit, Loss, Place, ToInit};

use books::Books;
pub use books::Broken;

/// One that was killed so long ago does not die of that.
const BEYOND_SIGKILL: Duration = Duration::from_secs(10);

/// The machine under test: the real one, or one that was broken on purpose.
pub trait Machine {
    fn handle(&mut self, now: Time, event: Event) -> Vec<Action>;
    fn next_deadline(&self) -> Option<Time>;
    fn view(&self, now: Time) -> View;
}

impl Machine for Emperor {
    fn handle(&mut self, now: Time, event: Event) -> Vec<Action> {
        Emperor::handle(self, now, event)
    }

    fn next_deadline(&self) -> Option<Time> {
        Emperor::next_deadline(self)
    }

    fn view(&self, now: Time) -> View {
        Emperor::view(self, now)
    }
}

/// Something the outside does next. `pick` chooses among what is possible at that moment.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Write {
        vassal: u8,
        jail: u8,
        app: u8,
    },
    ReadAgain {
        vassal: u8,
        elsewhere: Option<u8>,
    },
    Bad {
        vassal: u8,
    },
    Remove {
        vassal: u8,
    },
    Born {
        pick: u8,
        fails: bool,
    },
    Walks {
        pick: u8,
    },
    Reloads {
        pick: u8,
        kept: bool,
    },
    StepFails {
        pick: u8,
        fatal: bool,
    },
    Starts {
        pick: u8,
    },
    Says {
        pick: u8,
        word: u8,
    },
    AppEnds {
        pick: u8,
        code: u8,
    },
    Orphan {
        pick: u8,
    },
    Storm {
        pick: u8,
    },
    Mounts {
        pick: u8,
        fuse: bool,
    },
    Secured {
        pick: u8,
    },
    Saves {
        pick: u8,
        waits: bool,
    },
    GivesUp {
        pick: u8,
    },
    Garbles {
        pick: u8,
    },
    Examined {
        pick: u8,
    },
    /// Something in it hangs in the kernel: it does not die of SIGKILL.
    Clings {
        pick: u8,
    },
    Dies {
        pick: u8,
        signal: u8,
    },
    Probe {
        pick: u8,
        how: u8,
    },
    Passes {
        millis: u32,
    },
    ToDeadline,
    Ordered {
        vassal: u8,
        order: Order,
    },
    OrderedAll {
        order: Order,
    },
    /// Everything is well; then this one is served and fails, again and again, or once after a long run.
    Flaps {
        vassal: u8,
        long: bool,
    },
    /// Everything is well, then these lose their mounts at once.
    Together {
        vassals: u8,
    },
    Rescan,
    Shutdown,
}

/// What the kernel knows of one clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// The clone is under way.
    Unborn,
    /// It lives; `doomed` once it was sent SIGKILL, or asked to end.
    Alive { doomed: bool },
    /// Reaped, or never born.
    Ended,
}

pub struct World<M> {
    machine: M,
    now: Time,
    books: Books,
    files: BTreeMap<Name, (u8, u8)>,
    processes: BTreeMap<u64, (Name, Process)>,
    watched: BTreeMap<u64, BTreeSet<String>>,
    /// Lives that do not die of SIGKILL, and when each life was killed first.
    clinging: BTreeSet<u64>,
    killed: BTreeMap<u64, Time>,
    /// Lives that were left behind and whose end was not told yet.
    left: BTreeSet<u64>,
    quit: bool,
}

impl<M: Machine> World<M> {
    pub fn new(machine: M) -> Self {
        Self {
            machine,
            now: Time(1_000_000),
            books: Books::default(),
            files: BTreeMap::new(),
            processes: BTreeMap::new(),
            watched: BTreeMap::new(),
            clinging: BTreeSet::new(),
            killed: BTreeMap::new(),
            left: BTreeSet::new(),
            quit: false,
        }
    }

    /// Does one thing, checks everything.
    pub fn step(&mut self, op: Op) -> Result<(), Broken> {
        if self.quit {
            return Ok(());
        }
        match op {
            Op::Write { vassal, jail, app } => {
                let name = specs::name(vassal);
                self.files.insert(name.clone(), (jail, app));
                let config = owned(vassal, jail, app).into();
                self.feed(Event::Config { vassal: name, config, directory: "/v".into(), touched: true, file: None })
            }
            // With `elsewhere` the world around the file gives it another meaning.
            Op::ReadAgain { vassal, elsewhere } => {
                let name = specs::name(vassal);
                let Some((jail, app)) = self.files.get_mut(&name) else { return Ok(()) };
                *app = elsewhere.unwrap_or(*app);
                let config = owned(vassal, *jail, *app).into();
                self.feed(Event::Config { vassal: name, config, directory: "/v".into(), touched: false, file: None })
            }
            Op::Bad { vassal } => self.feed(Event::BadConfig { vassal: specs::name(vassal), diagnostics: Vec::new() }),
            Op::Remove { vassal } => {
                let name = specs::name(vassal);
                self.files.remove(&name);
                self.feed(Event::Vanished { vassal: name })
            }
            Op::Born { pick, fails } => self.born(pick, fails),
            Op::Walks { pick } => self.report(pick, FromInit::Entered { step: 0 }),
            Op::Reloads { pick, kept } => self.report(pick, if kept { FromInit::Kept } else { FromInit::Walked }),
            Op::StepFails { pick, fatal } => {
                self.report(pick, FromInit::Failed { at: Place::Step(0), errno: 2, detail: String::new(), fatal })
            }
            Op::Starts { pick } => self.report(pick, FromInit::Started { pid: 2 }),
            Op::Says { pick, word } => self.report(pick, FromInit::Said(AppWord::from(word))),
            Op::AppEnds { pick, code } => self.report(pick, FromInit::AppExited { exit: Exit::Code(code.into()), said: None }),
            Op::Storm { pick } => self.report(pick, FromInit::OrphansDied { count: 1000 }),
            Op::Orphan { pick } => self.report(pick, FromInit::OrphanDied { pid: 3, exit: Exit::Signal(9), name: None }),
            Op::Mounts { pick, fuse } => self.report(pick, FromInit::MountsChanged { own_fuse: fuse, changes: None, number: 1 }),
            Op::Secured { pick } => match self.pick(pick, |_| true) {
                Some((birth, vassal)) => self.feed(Event::Secured { vassal, birth, number: 1 }),
                None => Ok(()),
            },
            Op::Saves { pick, waits } => {
                let waits_for = if waits { vec!["fuse-zip (pid 7) of /app".to_owned()] } else { Vec::new() };
                self.report(pick, FromInit::Saving { waits_for })
            }
            Op::GivesUp { pick } => {
                self.report(pick, FromInit::Unsaved { lost: vec![Loss::out_of_time("fuse-zip (pid 7) of /app")] })
            }
            Op::Garbles { pick } => match self.pick(pick, |p| matches!(p, Process::Alive { .. })) {
                Some((birth, vassal)) => self.feed(Event::Garbled { vassal, birth }),
                None => Ok(()),
            },
            Op::Examined { pick } => match self.pick(pick, |_| true) {
                Some((birth, vassal)) => {
                    let (found, is_stuck) = (vec!["cat (pid 9, state D)".into()], !pick.is_multiple_of(3));
                    self.feed(Event::Examined { vassal, birth, found, is_stuck })
                }
                None => Ok(()),
            },
            Op::Clings { pick } => {
                self.clinging.extend(self.pick(pick, |p| matches!(p, Process::Alive { .. })).map(|(birth, _)| birth));
                Ok(())
            }
            Op::Dies { pick, signal } => match self.pick(pick, |p| matches!(p, Process::Alive { .. })) {
                Some((birth, _)) if self.clings(birth) => Ok(()),
                Some((birth, _)) => self.reap(birth, Exit::Signal(signal.into())),
                None => Ok(()),
            },
            Op::Probe { pick, how } => self.probe(pick, how),
            Op::Passes { millis } => self.pass(Duration::from_millis(millis.into())),
            Op::ToDeadline => match self.machine.next_deadline() {
                Some(at) => self.pass(at - self.now),
                None => Ok(()),
            },
            Op::Ordered { vassal, order } => {
                let request = Request::One { vassal: specs::name(vassal), order, by: ROOT };
                // Its file was read for it during the last second.
                let received = Time(self.now.0.saturating_sub(1_000_000));
                // Or it does not answer.
                let hangs = self.now.0.is_multiple_of(3);
                let unread = hangs.then(|| (specs::name(vassal), "it hangs".to_owned())).into_iter().collect();
                let is_read = order == Order::Reload;
                self.feed(if is_read { Event::ReadAndAsked { request, received, unread } } else { Event::Asked(request) })
            }
            Op::OrderedAll { order } => self.feed(Event::Asked(Request::Each { order, by: ROOT })),
            Op::Flaps { vassal, long } => self.flaps(&specs::name(vassal), long),
            Op::Together { vassals } => self.together(vassals),
            Op::Rescan => self.feed(Event::Asked(Request::Rescan)),
            Op::Shutdown => self.feed(Event::Asked(Request::Shutdown)),
        }
    }

    /// Everything under way comes to its end: clones are answered, the doomed are reaped, waits pass. Then the state of the
    /// machine must be the state of the directory.
    pub fn settle(&mut self) -> Result<(), Broken> {
        if !self.books.shutdown {
            self.clinging.clear(); // whatever they hang on is answered at last
        }
        for _ in 0..400 {
            if self.quit {
                break;
            }
            if self.pick(0, |p| p == Process::Unborn).is_some() {
                self.born(0, false)?;
            } else if let Some(birth) = self.dying() {
                self.reap(birth, Exit::Signal(9))?;
            } else if self.files.len() == self.machine.view(self.now).vassals.len() && !self.books.shutdown {
                break;
            } else if self.machine.next_deadline().is_some() {
                self.step(Op::ToDeadline)?;
            } else {
                break;
            }
        }
        let view = self.machine.view(self.now);
        let left: BTreeSet<_> = view.vassals.iter().map(|v| v.name.clone()).collect();
        if self.books.shutdown {
            return if self.quit && left.is_empty() { Ok(()) } else { Err(Broken::ShutdownEndsTheDaemon) };
        }
        if let Some(name) = left.iter().find(|name| !self.files.contains_key(*name)) {
            return Err(Broken::VanishedConfigEndsInGone(name.clone()));
        }
        match self.files.keys().find(|name| !left.contains(*name)) {
            Some(name) => Err(Broken::EveryFileHasAVassal(name.clone())),
            None => Ok(()),
        }
    }

    /// From here on everything goes well: every wanted vassal must come to run, and every stopped one to rest, whatever happened
    /// before.
    pub fn calm(&mut self) -> Result<(), Broken> {
        self.settle()?;
        for _ in 0..400 {
            let view = self.machine.view(self.now);
            if self.quit || view.vassals.iter().all(|v| v.phase == self.wished(&v.name)) {
                return Ok(());
            }
            if self.pick(0, |p| p == Process::Unborn).is_some() {
                self.born(0, false)?;
            } else if let Some(birth) = self.dying() {
                self.reap(birth, Exit::Code(0))?;
            } else if let Some(v) = view.vassals.iter().find(|v| matches!(v.phase, Phase::Preparing | Phase::Reloading)) {
                let birth = self.alive_birth(&v.name);
                let name = v.name.clone();
                self.feed(Event::Reported { vassal: name, birth, report: FromInit::Started { pid: 2 } })?;
            } else {
                self.step(Op::ToDeadline)?;
            }
        }
        let stuck = self.machine.view(self.now).vassals.into_iter().find(|v| v.phase != self.wished(&v.name));
        stuck.map_or(Ok(()), |v| Err(Broken::EveryWishIsMetInCalm(v.name)))
    }

    fn wished(&self, name: &Name) -> Phase {
        if self.books.stopped.contains(name) { Phase::Suspended } else { Phase::Running }
    }

    fn alive_birth(&self, name: &Name) -> u64 {
        self.processes.iter().find(|(_, (n, p))| n == name && *p != Process::Ended).map_or(0, |(birth, _)| *birth)
    }

    fn born(&mut self, pick: u8, fails: bool) -> Result<(), Broken> {
        let Some((birth, vassal)) = self.pick(pick, |p| p == Process::Unborn) else { return Ok(()) };
        if fails {
            self.set(birth, Process::Ended);
            // Of the host's (no process), or its own (no such group).
            let errno = if pick.is_multiple_of(2) { 11 } else { 2 };
            return self.feed(Event::SpawnFailed { vassal, birth, stage: "clone".into(), errno, own_bound: false });
        }
        self.set(birth, Process::Alive { doomed: false });
        self.feed(Event::Spawned { vassal, birth, pid: i32::try_from(birth).unwrap_or(i32::MAX) })
    }

    /// The first life that is about to be reaped.
    fn dying(&self) -> Option<u64> {
        let doomed = |(birth, (_, process)): (&u64, &(Name, Process))| {
            (*process == Process::Alive { doomed: true } && !self.clings(*birth)).then_some(*birth)
        };
        self.processes.iter().find_map(doomed)
    }

    /// It was not left behind, and does not die.
    fn clings(&self, birth: u64) -> bool {
        self.clinging.contains(&birth) && !self.left.contains(&birth)
    }

    fn reap(&mut self, birth: u64, exit: Exit) -> Result<(), Broken> {
        let Some((vassal, _)) = self.processes.get(&birth).cloned() else { return Ok(()) };
        self.set(birth, Process::Ended);
        self.feed(Event::Exited { vassal, birth, exit })
    }

    fn flaps(&mut self, vassal: &Name, long: bool) -> Result<(), Broken> {
        for _ in 0..if long { 2 } else { 7 } {
            if self.books.shutdown || self.books.stopped.contains(vassal) || !self.files.contains_key(vassal) {
                return Ok(());
            }
            self.calm()?;
            let birth = self.alive_birth(vassal);
            let loyal = FromInit::Said(AppWord::Loyal);
            self.pass(Duration::from_millis(1))?; // a probe that began before the app tells nothing
            self.feed(Event::Reported { vassal: vassal.clone(), birth, report: loyal })?;
            self.feed(Event::Probed { vassal: vassal.clone(), birth, path: "/app".into(), probed: probed(11) })?;
            self.pass(Duration::from_millis(if long { 400_000 } else { 1200 }))?;
            self.reap(self.alive_birth(vassal), Exit::Code(3))?;
        }
        Ok(())
    }

    fn together(&mut self, vassals: u8) -> Result<(), Broken> {
        if self.books.shutdown {
            return Ok(());
        }
        self.calm()?;
        for vassal in (0..8).filter(|vassal| vassals & (1 << vassal) != 0) {
            let view = self.machine.view(self.now).vassals.into_iter();
            let Some(running) = view.filter(|v| v.phase == Phase::Running).find(|v| v.name == specs::name(vassal)) else {
                continue;
            };
            let (birth, vassal) = (self.alive_birth(&running.name), running.name);
            self.feed(Event::Probed { vassal, birth, path: "/app".into(), probed: probed(0) })?;
            self.reap(birth, Exit::Signal(9))?;
            self.now = self.now + Duration::from_millis(300);
            self.pass(Duration::ZERO)?;
        }
        Ok(())
    }

    fn report(&mut self, pick: u8, report: FromInit) -> Result<(), Broken> {
        match self.pick(pick, |p| matches!(p, Process::Alive { .. })) {
            Some((birth, vassal)) => self.feed(Event::Reported { vassal, birth, report }),
            None => Ok(()),
        }
    }

    fn probe(&mut self, pick: u8, how: u8) -> Result<(), Broken> {
        // Answers may come late, for a life that is long over.
        let births: Vec<u64> = self.processes.keys().copied().collect();
        let Some(birth) = births.get(usize::from(pick) % births.len().max(1)).copied() else { return Ok(()) };
        let vassal = self.processes[&birth].0.clone();
        let probed = probed(how);
        self.feed(Event::Probed { vassal, birth, path: "/app".into(), probed })
    }

    /// Time passes; every deadline on the way is met at its very moment.
    fn pass(&mut self, span: Duration) -> Result<(), Broken> {
        let until = self.now + span;
        for _ in 0..10_000 {
            match self.machine.next_deadline().filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.feed(Event::Deadline)?;
                    if self.machine.next_deadline().is_some_and(|next| next <= self.now) {
                        return Err(Broken::EveryDeadlineFiresOrIsCancelled);
                    }
                }
                None => {
                    self.now = until;
                    return Ok(());
                }
            }
        }
        Err(Broken::EveryDeadlineFiresOrIsCancelled)
    }

    fn feed(&mut self, event: Event) -> Result<(), Broken> {
        self.books.before(self.now, &event);
        let actions = self.machine.handle(self.now, event.clone());
        for action in &actions {
            self.perform(action)?;
        }
        self.books.after(self.now, &event, &actions)?;
        self.check_lone(&actions)?;
        self.check_gone()
    }

    fn perform(&mut self, action: &Action) -> Result<(), Broken> {
        match action {
            Action::Spawn { vassal, birth, .. } => {
                if self.books.shutdown {
                    return Err(Broken::NoSpawnAfterShutdown(vassal.clone()));
                }
                if self.books.stopped.contains(vassal) {
                    return Err(Broken::StoppedStaysDownUntilStarted(vassal.clone()));
                }
                if self.processes.values().any(|(name, p)| name == vassal && *p != Process::Ended) {
                    return Err(Broken::AtMostOneLivePidPerVassal(vassal.clone()));
                }
                self.processes.insert(*birth, (vassal.clone(), Process::Unborn));
            }
            Action::LeaveBehind { vassal, birth, .. } => {
                let killed = self.killed.get(birth).is_some_and(|at| self.now - *at >= BEYOND_SIGKILL);
                let lives = self.processes.get(birth).is_some_and(|(_, p)| *p != Process::Ended);
                if !self.books.shutdown || !killed || !lives || !self.left.insert(*birth) {
                    return Err(Broken::NothingIsLeftBehindThatMayDie(vassal.clone()));
                }
            }
            Action::Kill { vassal, birth } | Action::Tell { vassal, birth, .. } => match self.processes.get_mut(birth) {
                Some((_, Process::Alive { doomed })) => {
                    let asks = matches!(action, Action::Kill { .. } | Action::Tell { message: ToInit::Stop, .. });
                    *doomed |= asks;
                    if matches!(action, Action::Kill { .. }) {
                        self.killed.entry(*birth).or_insert(self.now);
                    }
                }
                Some((_, Process::Unborn)) => {}
                Some((_, Process::Ended)) | None => return Err(Broken::NoSignalAfterReap(vassal.clone())),
            },
            Action::Watch { vassal, birth, .. }
            | Action::Secure { vassal, birth, .. }
            | Action::Examine { vassal, birth }
            | Action::FindListeners { vassal, birth, .. }
            | Action::ProbeNow { vassal, birth }
                if self.books.released.contains(birth) =>
            {
                return Err(Broken::GoneOwnsNothing(vassal.clone()));
            }
            Action::Watch { birth, checks, .. } => {
                self.watched.insert(*birth, checks.iter().map(|c| c.path.clone()).collect());
            }
            Action::Release { birth, .. } => {
                self.watched.remove(birth);
                self.books.released.insert(*birth);
            }
            Action::Quit => {
                if self.processes.values().any(|(_, p)| *p != Process::Ended) {
                    return Err(Broken::DaemonExitsOnlyWhenNoPidLives);
                }
                self.quit = true;
            }
            Action::Secure { .. }
            | Action::Examine { .. }
            | Action::FindListeners { .. }
            | Action::ProbeNow { .. }
            | Action::ReadAgain { .. }
            | Action::Rescan
            | Action::Believe
            | Action::Answer(_)
            | Action::Note(_) => {}
        }
        Ok(())
    }

    /// A failure that is not one of many waits for its own delay only.
    fn check_lone(&self, actions: &[Action]) -> Result<(), Broken> {
        for action in actions {
            let Action::Note(Note::Ended { vassal, cause, again_in: Some(delay), .. }) = action else { continue };
            let view = self.machine.view(self.now).vassals.into_iter().find(|v| v.name == *vassal);
            let waits_until = view.and_then(|v| v.retry_at);
            if self.books.is_lone(vassal, cause) && waits_until.is_some_and(|at| at > self.now + *delay) {
                return Err(Broken::ALoneFailureIsNeverDelayed(vassal.clone()));
            }
        }
        Ok(())
    }

    /// Whoever is not in the view is gone, and owns nothing. Nobody owns a life that is over.
    fn check_gone(&self) -> Result<(), Broken> {
        let known: BTreeSet<_> = self.machine.view(self.now).vassals.into_iter().map(|v| v.name).collect();
        for (birth, (name, process)) in &self.processes {
            let ended = *process == Process::Ended;
            if ended && !self.books.released.contains(birth) || !ended && !known.contains(name) {
                return Err(Broken::GoneOwnsNothing(name.clone()));
            }
        }
        Ok(())
    }

    fn pick(&self, pick: u8, which: impl Fn(Process) -> bool) -> Option<(u64, Name)> {
        let fits: Vec<_> = self.processes.iter().filter(|(_, (_, p))| which(*p)).collect();
        let (birth, (name, _)) = fits.get(usize::from(pick) % fits.len().max(1))?;
        Some((**birth, name.clone()))
    }

    fn set(&mut self, birth: u64, process: Process) {
        if let Some((_, p)) = self.processes.get_mut(&birth) {
            *p = process;
        }
    }
}

/// Four vassals of one owner and four with owners of their own; some files make them all one owner's.
fn owned(vassal: u8, jail: u8, app: u8) -> liege_spec::VassalConfig {
    let uid = if app < 2 { 1000 } else { 1000 + u32::from(vassal % 8).saturating_sub(3) };
    specs::owned(uid, specs::config(jail, app))
}

/// What a prober may say of `/app`: mostly that the mount first seen is well.
fn probed(how: u8) -> Probed {
    let mount = |id, is_root| Some(Mounted { id, device: (0, 50), is_root, not_mounted: id == 2, ..Mounted::default() });
    let late = || Some(Late { at: "/app".into(), waiting: Some(1), ..Late::default() });
    if how % 12 == 9 {
        return Probed::awaited(1_000_000);
    }
    let (health, mount, late, micros) = match how % 12 {
        0 => (Health::Dead { errno: 107 }, None, None, 13),
        1 => (Health::Healthy, mount(8, true), None, 13),
        2 => (Health::Healthy, mount(1, false), None, 13),
        3 | 4 => (Health::Hung, None, late(), 5_000_000),
        5 => (Health::Slow, None, late(), 5_000_000),
        6 => (Health::Slow, None, late(), 50_000_000),
        8 => (Health::Healthy, mount(2, false), None, 13),
        7 => (Health::Unknown { errno: 3 }, None, None, 13),
        _ => (Health::Healthy, mount(7, true), None, 13),
    };
    Probed { micros, mount, late, ..Probed::of(health) }
}
