//! The end of the vassal saves: after the app what it was attached to, then its FUSE mounts, top down, and their daemons.
//!
//! Many FUSE daemons write back only when they are unmounted. What each of them does at an end (measured with 20 MB just written;
//! "both" is a TERM right after the unmount):
//!
//! | daemon | plain unmount | TERM | TERM while a file is open | both |
//! |---|---|---|---|---|
//! | fuse-zip 0.5 (libfuse 2) | saves, 0.5 s | saves | saves, unmounts lazily | **the archive is lost** |
//! | unionfs-fuse 2, bindfs 1.15 | leaves at once, has written through | the same | the same | the same |
//! | unionfs-fuse in a `chroot` without libgcc_s | aborts, has written through | the same | the same | the same |
//! | sshfs 3.7 | leaves at once, has written through | the same | the same | the same |
//! | rclone mount (`--vfs-cache-mode writes`) | leaves at once, its next life uploads from the cache | the same | leaves a dead mount | the same |
//!
//! So the order matters. libfuse takes its signal handlers away when its loop ends, and the file system's `destroy` saves after that: a
//! TERM in that moment is the default one. Hence, for each mount:
//! 1. a plain unmount. Where it succeeded nothing is sent, its daemon is only waited for;
//! 2. EBUSY: what is left of the app is ended (TERM, then KILL; never a FUSE daemon, never what is older than the app or belongs to
//!    something older), and it is unmounted again;
//! 3. where that fails too (the root of the vassal is such a mount), or the connection lives on elsewhere: TERM to its daemon, once, and
//!    only to one that has a handler for it. The others are unmounted lazily.
//!
//! A daemon is known by holding `/dev/fuse`, looked at when the vassal is asked to end and again when its app has ended: one that saves
//! has closed it, so an app or a hook that unmounts by itself must not come before the first look. Which of them serves which
//! mount the kernel tells since Linux 6.16. On older ones a daemon that leaves after an unmount is taken for the one of that mount, and
//! where several are left the youngest is asked first.
//!
//! What uses such a mount without standing on it goes before it (`save/targets.rs`): it may have to write to it still.
//!
//! Where the mounts are not the vassal's own (no mount namespace) a mount is unmounted only if the kernel says that a process of the
//! vassal serves its connection; else its daemon gets TERM, and unmounts it.
//!
//! A vassal whose FUSE mounts are all read-only has nothing to save and is left at once, if its mounts end with it. Where they are the host's a
//! mount that stayed would be dead, and in the way of the next life: those go too, lazily where a plain unmount fails. Nobody waits for
//! their daemons.
//!
//! What stands around a daemon (a shell, a loop, a `tee`) is neither asked nor waited for before the mounts have gone (`save/kin.rs`).
//!
//! A daemon whose mount was unmounted before the end is known from before (`save/known.rs`), and waited for. It is sent nothing.
//!
//! Where the end is asked for before there is an app, the step under way is ended first ([`Init::end_step`]): TERM, then KILL, and never a
//! FUSE daemon. No check has looked at the mounts then, so init looks itself: a daemon that is stopped, or that leaves a request
//! unanswered and does nothing, is not waited for. The steps of the end do not run.
//!
//! Nothing is unmounted, and no daemon of a mount is asked, before the host has answered that it holds the emergency exits of all mounts
//! (`exits.rs`): those that came lately are told first.
//!
//! Calls in their order: [`Init::begin_end`] when the end is asked for, [`Init::write_back`] when no app runs any more. States: what is waited
//! for is told to the host each time it changes, and what is killed in the end.
//!
//! Races: an unmount may hang. It is a child's, and is given up at the deadline; where it hangs on its way, because a mount that it leads over
//! does not answer, already at half of the time that is left, and its daemon is asked in the end. A process is held by its pidfd before it is looked at.
//!
//! Deliberately not here: mounts that are known to be dead or hung (the host destroys such a vassal at once).

mod kin;
mod known;
mod leftovers;
mod losses;
mod take_down;
mod targets;
mod told;

pub(crate) use known::Known;
use losses::Awaited;
use told::Told;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use liege_plan::{Fate, FromInit, HungMount, Loss};
use liege_sys::{
    Errno, caps, escape::breaks_a_line, fusectl::Connections, limits, mountinfo::Mount, pidfd, poll::Interest, process::own_pid,
    processes::Processes, signals::SIGTERM,
};

use crate::{
    clock, exits,
    init::{End, Init, Job},
    leave::last_steps,
    mounts::Table,
    reap::{has_ended, is_of_this_vassal},
    rights::PARKED,
};

/// What is left at least for writing back, where the app has taken all of its stop-timeout. The core has the same number.
const OVERTIME: Duration = Duration::from_secs(5);
/// Descriptors that a look for daemons leaves free.
const SPARE: u64 = 8;
/// Descriptors that are kept for the end, where init may not have as many as it wants.
const RESERVE: usize = 24;
/// What a start gets of these where there are no others, and what stays for the end.
const LENT: usize = 4;
const LEAST_RESERVE: usize = 12;
/// Between two looks at what no event tells.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the end waits for.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    /// When the end was asked for, or the app ended by itself.
    since: Option<Instant>,
    fuse: Vec<FuseDaemon>,
    /// Other processes, while they are waited for.
    others: Vec<Other>,
    /// All of these are polled for now.
    waits: bool,
    told: Told,
    /// What has not written back.
    lost: Vec<Loss>,
    /// Those that are waited for, by pid, until they are reaped.
    awaited: BTreeMap<i32, Awaited>,
    /// The groups that init has killed, by their leaders, and when, in ticks.
    killed: BTreeMap<i32, u64>,
    /// Connections that do not answer.
    hung: BTreeSet<u32>,
    /// File systems that were mounted before the vassal was born, by device; only where its mounts are its own.
    pub(crate) before: BTreeSet<(u32, u32)>,
    /// Descriptors kept for the end.
    reserve: Vec<OwnedFd>,
    /// Loop devices of the host whose image lies on a mount of the vassal.
    images: BTreeSet<(u32, u32)>,
    /// Why not all daemons could be looked for; EMFILE: too few descriptors were left.
    unseen: Option<Errno>,
    /// Daemons that were found to do nothing, by pid and start.
    given_up: BTreeSet<(i32, u64)>,
    /// The step under way is beyond SIGKILL: the host ends the connections that hold it.
    is_stuck: bool,
}

/// A process that holds `/dev/fuse`.
#[derive(Debug)]
struct FuseDaemon {
    pid: i32,
    pidfd: OwnedFd,
    started: u64,
    name: String,
    /// Its connections; None: this kernel does not say. Empty: it has closed its device, and saves or does something else.
    minors: Vec<Option<u32>>,
    /// It may have something to write back.
    saves: bool,
    /// It had a handler for TERM when it was found.
    had_handler: bool,
    /// It was sent its TERM.
    asked: bool,
    /// Its real user.
    user: u32,
}

/// Any other process.
#[derive(Debug)]
struct Other {
    pid: i32,
    name: Option<String>,
    pidfd: OwnedFd,
}

/// A FUSE daemon that seems to do nothing.
#[derive(Debug)]
struct Idle {
    pid: i32,
    started: u64,
    worked: u64,
    is_stopped: bool,
}

impl Saving {
    /// Keeps some descriptors for the end.
    pub(crate) fn keep_reserve(&mut self) {
        self.reserve = limits::reserve(RESERVE);
    }

    /// The vassal ends.
    pub(crate) fn has_begun(&self) -> bool {
        self.since.is_some()
    }

    /// Starts a process. Where it has no descriptors for that it gets a few of those that are kept for the end, which saves in rounds and needs
    /// no more than the least.
    pub(crate) fn start<T>(&mut self, launch: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        loop {
            match launch() {
                Err(Errno::EMFILE) if self.reserve.len() >= LEAST_RESERVE + LENT => {
                    self.reserve.truncate(self.reserve.len() - LENT);
                }
                launched => return launched,
            }
        }
    }

    /// The daemons of mounts.
    fn daemons(&self) -> BTreeSet<i32> {
        self.fuse.iter().map(|daemon| daemon.pid).collect()
    }

    /// What tells of their ends.
    pub(crate) fn interests<'a>(&'a self, all: &mut Vec<Interest<'a>>) {
        if self.waits {
            let fuse = self.fuse.iter().map(|daemon| &daemon.pidfd);
            all.extend(fuse.chain(self.others.iter().map(|other| &other.pidfd)).map(|fd| Interest::readable(fd.as_fd())));
        }
    }

    fn forget_the_ended(&mut self) {
        self.fuse.retain(|daemon| !has_ended(&daemon.pidfd));
        self.others.retain(|other| !has_ended(&other.pidfd));
    }

    /// Those that serve a connection that does not answer save nothing.
    fn forget_the_hung(&mut self) {
        for daemon in &mut self.fuse {
            daemon.saves &= !daemon.is_of(&self.hung) && !self.given_up.contains(&(daemon.pid, daemon.started));
            if !daemon.saves {
                self.awaited.remove(&daemon.pid);
            }
        }
    }

    fn savers(&self) -> impl Iterator<Item = &FuseDaemon> {
        self.fuse.iter().filter(|daemon| daemon.saves)
    }

    /// Whether one that may have something to save serves this connection, as far as the kernel says.
    fn is_saved(&self, minor: u32) -> bool {
        self.savers().any(|daemon| daemon.may_serve(minor))
    }

    /// Whether a process of the vassal serves this connection. None: the kernel does not say who does.
    fn is_ours(&self, minor: u32) -> Option<bool> {
        let mut minors = self.fuse.iter().flat_map(|daemon| &daemon.minors);
        match minors.clone().any(|of| *of == Some(minor)) {
            true => Some(true),
            false if minors.any(Option::is_none) => None,
            false => Some(false),
        }
    }
}

impl FuseDaemon {
    fn is_of(&self, hung: &BTreeSet<u32>) -> bool {
        self.minors.iter().flatten().any(|minor| hung.contains(minor))
    }

    fn serves(&self, minor: u32) -> bool {
        self.minors.contains(&Some(minor))
    }

    /// Also where this kernel does not say.
    fn may_serve(&self, minor: u32) -> bool {
        self.minors.iter().any(|of| of.is_none_or(|of| of == minor))
    }
}

impl Init {
    /// The end was asked for, or the app has ended: whoever may have to write back is looked for and told. Whether anything may.
    pub(crate) fn begin_end(&mut self) -> bool {
        if self.saving.since.is_none() {
            self.saving.since = Some(clock::now());
            self.saving.told.begin();
            self.saving.reserve.clear();
        }
        self.find_fuse_daemons();
        self.tell_saving();
        self.saving.savers().next().is_some()
    }

    /// These mounts do not answer: nothing waits for their daemons.
    pub(crate) fn give_up_on_mounts(&mut self, hung: &[HungMount]) {
        let _ = caps::raise(PARKED);
        let Some(table) = self.mounts.with_own_fuse() else { return };
        for HungMount { minor, path } in hung {
            if self.saving.hung.insert(*minor) && table.is_writable(*minor) == Some(true) {
                let stands_at =
                    table.own().find(|mount| mount.device.1 == *minor).map(|mount| mount.mount_point.to_string_lossy());
                let what = format!("the daemon of {}", printable(stands_at.as_deref().unwrap_or(path)));
                self.saving.lost.push(Loss { what, how: Fate::Hung });
            }
        }
        self.saving.forget_the_hung();
    }

    /// Until when the app may go on, where something may have to be written back after it. Else the host ends it.
    pub(crate) fn app_ends_at(&self) -> Option<Instant> {
        let since = self.saving.since.filter(|_| self.saving.savers().next().is_some())?;
        Some(since + self.app.as_ref()?.stop_timeout())
    }

    /// The app has ended, or there was none: what was attached to it, the steps of the end, then the mounts.
    ///
    /// # Errors
    /// The host's end.
    pub(crate) fn write_back(&mut self) -> Result<(), End> {
        self.begin_end();
        let stop = self.app.as_ref().map_or(self.later.stop_timeout, |app| app.stop_timeout());
        let until = self.saving.since.map_or_else(clock::now, |since| since + stop);
        let at_least = |until: Instant| until.max(clock::now() + stop.min(OVERTIME));
        // Those that are told to end, and the steps of the end, may unmount.
        if self.saving.savers().next().is_some() {
            self.await_exits(at_least(until))?;
        }
        let leaders = self.end_daemons(at_least(until))?;
        if !leaders.is_empty() {
            let _ = caps::raise(PARKED);
            self.find_groups(&leaders);
            self.await_others(at_least(until))?;
        }
        self.end_smart_daemons(at_least(until))?;
        last_steps(self)?;
        let some_are_left = self.end_what_is_left(true, at_least(until))?;
        self.stop_starters();
        self.save(at_least(until))?;
        let is_saved = self.saving.savers().next().is_none();
        if some_are_left {
            self.end_what_is_left(false, at_least(until))?;
        }
        if some_are_left && is_saved {
            self.save(at_least(until))?; // what could not be stopped may have started a daemon anew
        }
        self.reap(); // how the last of them ended
        self.saving.forget_the_ended();
        self.tell_saving(); // the last word: what has ended by now is not lost
        if self.saving.is_stuck || !self.saving.lost.is_empty() {
            self.give_up();
        }
        Ok(())
    }

    /// Waits until the host holds the exits of all mounts there are now.
    fn await_exits(&mut self, until: Instant) -> Result<(), End> {
        if let Some(mounted) = self.mounts.settled() {
            self.tell_mounts(&mounted);
        }
        let (number, until) = (self.mounts.exits.told(), exits::bound(clock::now(), until));
        while self.mounts.exits.waits(number, clock::now(), until) {
            self.turn(Some(until))?;
        }
        self.mounts.exits.secured(number); // no second wait for what was not answered
        Ok(())
    }

    /// Tells the host what is waited for, where that has changed.
    pub(crate) fn tell_saving(&mut self) {
        let fuse = self.saving.savers().map(|daemon| daemon.name.clone());
        let others = self.saving.others.iter().filter_map(|other| other.name.clone());
        let waits_for = fuse.chain(others).chain(self.daemons.waited_for()).collect();
        if let Some(waits_for) = self.saving.told.news(waits_for, self.destroy) {
            self.say(&FromInit::Saving { waits_for });
        }
    }

    fn find_fuse_daemons(&mut self) {
        self.saving.forget_the_ended();
        self.saving.unseen = None;
        let _ = caps::raise(PARKED);
        if let Some(table) = self.mounts.with_own_fuse() {
            self.find_serving(&table);
        }
        self.find_unmounted();
        self.saving.forget_the_hung();
        if self.later.own_mounts && self.saving.savers().next().is_none() {
            self.saving.fuse.clear();
        }
    }

    fn find_serving(&mut self, table: &Table) {
        let hung = self.saving.hung.clone();
        let saves = |mount: &Mount| table.is_writable(mount.device.1) != Some(false) && !hung.contains(&mount.device.1);
        if self.later.own_mounts && table.own().next().is_some() && !table.own().any(saves) {
            return; // nothing can have been written, or nothing can be
        }
        // Each that is held takes one, looking takes a few for a moment, and so does all that the end does. A look without any finds nothing.
        let lack = || (!limits::are_numbers_free(SPARE)).then_some(Errno::EMFILE);
        self.saving.unseen = lack();
        let processes = match Processes::open() {
            Ok(processes) => processes,
            Err(errno) => return self.saving.unseen = Some(errno),
        };
        for pid in ours(&processes) {
            if self.saving.unseen.is_some() {
                return;
            }
            if pid != own_pid() && !self.saving.fuse.iter().any(|daemon| daemon.pid == pid) {
                let Some(daemon) = fuse_daemon(&processes, pid, table, &hung) else { continue };
                self.saving.wait_for_daemon(daemon, &processes);
                self.saving.unseen = lack();
            }
        }
    }

    /// Those whose mount went before the end. One that has its device yet is as any other, where the kernel says that its mount does not hang.
    fn find_unmounted(&mut self) {
        if self.known.is_empty() {
            return;
        }
        let processes = match Processes::open() {
            Ok(processes) => processes,
            Err(errno) => return self.saving.unseen = Some(errno),
        };
        for mut daemon in self.known.take() {
            daemon.minors = processes.fuse(daemon.pid);
            let may_hang = daemon.minors.contains(&None) && !self.saving.hung.is_empty();
            if !may_hang && !self.saving.fuse.iter().any(|found| found.pid == daemon.pid) {
                self.saving.wait_for_daemon(daemon, &processes);
            }
        }
    }

    fn await_child(&mut self, child: Result<i32, Errno>, until: Instant) -> Result<Option<i32>, End> {
        self.await_child_longer(child, until, |_| None)
    }

    /// The same; when its time is over `longer` says until when it has more, if it has.
    fn await_child_longer(
        &mut self,
        child: Result<i32, Errno>,
        mut until: Instant,
        mut longer: impl FnMut(&mut Self) -> Option<Instant>,
    ) -> Result<Option<i32>, End> {
        let Ok(pid) = child else { return Ok(Some(Errno::EAGAIN as i32)) };
        self.job = Some(Job { pid, ended: None });
        loop {
            if let Some(exit) = self.job.and_then(|job| job.ended) {
                self.job = None;
                return Ok(Some(exit.status()));
            }
            if clock::now() >= until {
                if let Some(later) = longer(self) {
                    until = later;
                    continue;
                }
                self.kill_group(pid);
                self.job = None; // it may sleep where no signal reaches it; the host ends the connection
                return Ok(None);
            }
            self.turn(Some(until))?;
        }
    }

    /// TERM to those that have a handler for it, each once. How many have been asked, now or before.
    fn ask(&mut self, until: Instant, which: impl Fn(&FuseDaemon) -> bool) -> Result<usize, End> {
        let Ok(processes) = Processes::open() else { return Ok(0) };
        let mut asked = 0;
        for daemon in self.saving.fuse.iter_mut().filter(|daemon| which(daemon)) {
            let has_handler = || processes.look(daemon.pid).is_some_and(|seen| seen.catches_term);
            if !daemon.asked && clock::now() < until && has_handler() {
                daemon.asked = pidfd::signal(&daemon.pidfd, SIGTERM).is_ok();
            }
            asked += usize::from(daemon.asked);
        }
        Ok(asked)
    }

    /// The daemons that leave a request unanswered and have done nothing since the look before, and those that are stopped.
    fn idle(&mut self, before: Option<&[Idle]>) -> Vec<Idle> {
        let (Some(table), Ok(processes)) = (self.mounts.with_own_fuse(), Processes::open()) else { return Vec::new() };
        let connections = Connections::open().unwrap_or_else(|_| Connections::none());
        let own: Vec<u32> = table.own().map(|mount| mount.device.1).collect();
        let owes = |minor: &u32| connections.waiting(*minor).is_some_and(|waiting| waiting > 0);
        // An older kernel does not say which connection is a daemon's own.
        let may_owe = |daemon: &FuseDaemon| match daemon.minors.contains(&None) {
            true => own.iter().any(owes),
            false => daemon.minors.iter().flatten().any(owes),
        };
        let look = |daemon: &FuseDaemon| {
            let seen = processes.look(daemon.pid).filter(|seen| seen.started == daemon.started)?;
            let was_idle = |idle: &Idle| (idle.pid, idle.worked) == (daemon.pid, seen.worked);
            let is_idle = may_owe(daemon) && before.is_none_or(|before| before.iter().any(was_idle));
            let (pid, started, worked, is_stopped) = (daemon.pid, daemon.started, seen.worked, seen.is_stopped);
            (is_idle || is_stopped).then_some(Idle { pid, started, worked, is_stopped })
        };
        self.saving.savers().filter_map(look).collect()
    }

    /// Nothing waits for these any more. What they may not have written back is told.
    fn give_up_on<'a>(&mut self, idle: impl Iterator<Item = &'a Idle>) {
        self.saving.given_up.extend(idle.map(|daemon| (daemon.pid, daemon.started)));
        let is_given_up = |daemon: &&FuseDaemon| self.saving.given_up.contains(&(daemon.pid, daemon.started));
        let lost: Vec<&FuseDaemon> = self.saving.savers().filter(is_given_up).collect();
        let losses = lost.iter().map(|daemon| Loss { what: daemon.name.clone(), how: Fate::Hung }).collect::<Vec<_>>();
        let minors = lost.iter().flat_map(|daemon| daemon.minors.iter().flatten().copied()).collect::<Vec<_>>();
        self.saving.lost.extend(losses);
        self.saving.hung.extend(minors);
        self.saving.forget_the_hung();
    }

    /// Turns while this holds of those that live, at most until then.
    fn wait_while(&mut self, until: Instant, holds: impl Fn(&Saving) -> bool) -> Result<(), End> {
        loop {
            self.saving.forget_the_ended();
            self.tell_saving();
            if clock::now() >= until || !holds(&self.saving) {
                return Ok(());
            }
            self.saving.waits = true;
            let turned = self.turn(Some(until));
            self.saving.waits = false;
            turned?;
        }
    }
}

/// All processes of the vassal.
fn ours(processes: &Processes) -> Vec<i32> {
    if own_pid() == 1 { processes.all() } else { processes.below(own_pid()) }
}

fn fuse_daemon(processes: &Processes, pid: i32, table: &Table, hung: &BTreeSet<u32>) -> Option<FuseDaemon> {
    let pidfd = pidfd::open(pid).ok()?;
    let minors = processes.fuse(pid);
    if minors.is_empty() {
        return None;
    }
    // In this order: that it lives yet means that all this was said of the process the pidfd holds.
    let seen = processes.look(pid).filter(|_| is_of_this_vassal(pid) && !has_ended(&pidfd))?;
    // One whose mount is not in the table any more may save just now.
    let may_save = |minor: &u32| table.is_writable(*minor) != Some(false) && !hung.contains(minor);
    let saves = minors.iter().any(|minor| minor.is_none_or(|minor| may_save(&minor)));
    let may_serve = |mount: &Mount| !table.is_shared() || mount.is_mounted_by(seen.user);
    let served = |mount: &&Mount| minors.contains(&Some(mount.device.1)) && may_serve(mount);
    let point = table.own().find(served).map(|mount| format!(" of {}", printable(&mount.mount_point.to_string_lossy())));
    let name = format!("{} (pid {pid}){}", seen.name, point.unwrap_or_default());
    Some(FuseDaemon {
        pid,
        pidfd,
        started: seen.started,
        name,
        minors,
        saves,
        had_handler: seen.catches_term,
        asked: false,
        user: seen.user,
    })
}

fn printable(text: &str) -> String {
    text.chars().take(200).map(|c| if breaks_a_line(c) { '?' } else { c }).collect()
}

/// Half of the time that is left: one that never ends must not take all of it from the others.
fn soft(until: Instant) -> Instant {
    let now = clock::now();
    now + until.saturating_duration_since(now) / 2
}
