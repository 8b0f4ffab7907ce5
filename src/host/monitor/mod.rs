//! The monitors: which files are vassals, what changed in them, and telling the core in the end exactly what the directory says.
//!
//! One task per `emperor = ...`. inotify says *where to look*, a look says what is true: every event leads to a look at one
//! name, and a full scan (at the start, every `emperor-freq` seconds, on overflow, on a name that says nothing by itself, when
//! the directory itself changes) catches whatever no event told. So a lost or late event costs time, never truth.
//!
//! * `naming.rs`: which files are vassals, and what they are called
//! * `place.rs`, `walk.rs`: which directories and names a monitor means, and one walk over them
//! * `watch.rs`: inotify events, named
//! * `file.rs`: one file's states: being written, leaving, in reading, read (pure, told the time)
//! * `guard.rs`: whether a directory that lost all its files is believed (pure)
//! * `disks.rs`: the same of a file system that links lead to
//! * `table.rs`: all files of a monitor and what is due when (pure)
//! * `trail.rs`, `follow.rs`: what links among the files lead to, and its inotify events
//! * `pace.rs`: a flood of events is taken in gulps (pure)
//! * `look.rs`, `stamp.rs`: one look at one file, on a thread that may block
//! * `complaints.rs`: what was complained about already (pure)
//! * `scans.rs`: when the next walk is due (pure)
//! * `late.rs`: waiting for what hangs
//! * `renamed.rs`: a file that another name had is told after that name's loss
//! * `errands.rs`: one look, one walk, sent to a thread
//! * `progress.rs`: how far a look has come
//! * `owners.rs`: whose files are looked at, and how much one owner may make the others wait
//! * `task.rs`: the task that turns all this
//!
//! Deliberately not here: what a changed file means for a running vassal.

mod complaints;
mod disks;
mod errands;
mod file;
mod follow;
mod guard;
mod late;
mod look;
mod naming;
mod owners;
mod pace;
mod place;
mod progress;
mod renamed;
mod scans;
mod stamp;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod trail;
mod walk;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use liege_core::{FileId, Name};
use liege_spec::EmperorSpec;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

use self::{owners::Owners, progress::Progress};
use crate::{children::Children, inbox::Post};

/// What all monitors of one daemon share.
#[derive(Clone, Debug)]
struct Shared {
    post: Post,
    children: Arc<Children>,
    /// Names in use, over all monitors.
    names: Arc<Names>,
    /// Readings at once. One that lasts gives its place back for one among the slow ones, and one that is late goes on without any.
    readings: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    /// Large files are read one after the other, and beside the small ones.
    large: Arc<Semaphore>,
    /// Threads that readings may hold, late ones too: the rest of the pool is for the walks.
    threads: Arc<Semaphore>,
    owners: Arc<Owners>,
    rules: Arc<Rules>,
    /// Counts the times inotify's queue overflowed.
    overflows: Counter,
}

/// What the emperor's file says about vassal files.
#[derive(Debug)]
struct Rules {
    nofollow: bool,
    extra_extensions: Vec<String>,
    vassal_set: Vec<(String, String)>,
    stop_timeout: Option<Duration>,
    freq: Duration,
    shrink_guard: Duration,
}

/// The running monitors.
#[derive(Debug)]
pub(crate) struct Monitors {
    scan: Vec<Arc<Scan>>,
    names: Arc<Names>,
    watching: Vec<oneshot::Receiver<()>>,
    first_scan: Vec<oneshot::Receiver<()>>,
}

/// Has a monitor look at everything.
#[derive(Debug, Default)]
struct Scan {
    now: Notify,
    /// And believe what it finds.
    believe: AtomicBool,
}

/// What is told once, of one monitor.
struct Milestones {
    /// Everything is watched that is there.
    watching: oneshot::Receiver<()>,
    /// And every file of the first scan was read, and the core was told of it. One that hangs is not waited for.
    first_scan: oneshot::Receiver<()>,
}

/// More than the processors, because a reading mostly waits for a disk.
const READINGS_AT_ONCE: usize = 8;
/// A reading that has lasted so long waits for something, and is slow. A large file has more to be read.
const PLACE_LASTS: Duration = Duration::from_millis(100);
const LARGE_PLACE_LASTS: Duration = Duration::from_secs(1);
/// Slow readings at once; with those above they are what readings need memory for.
const SLOW_READINGS: usize = 64;
/// How long an order waits for the next of the files that are read for it, where none of them may still come. After so long a look at a
/// file is late. Longer than a file that is written is waited for.
const READING_LASTS: Duration = Duration::from_secs(3);
/// A look that has lasted so long hangs: no reading lasts longer that comes to its end by itself (`world.rs`).
const READING_HANGS: Duration = Duration::from_secs(10);
/// No order waits longer without any file that is read: for a look that was under way, and for one of its own.
const ORDER_WAITS: Duration = Duration::from_secs(20);
/// How long a birth waits for its file.
const BIRTH_WAITS: Duration = Duration::from_millis(500);
/// A file that was read so short a time ago is not read again for a birth.
const JUST_READ: Duration = Duration::from_secs(1);
/// Threads that may hang in dead file systems before a reading has to wait.
const LATE_READINGS: usize = 512;

impl Monitors {
    /// Starts one task for each monitor of the emperor's file.
    pub(crate) fn start(spec: &EmperorSpec, post: &Post, children: &Arc<Children>, overflows: Counter) -> Self {
        let shared = Shared {
            post: post.clone(),
            children: Arc::clone(children),
            names: Arc::default(),
            readings: Arc::new(Semaphore::new(READINGS_AT_ONCE)),
            slow: Arc::new(Semaphore::new(SLOW_READINGS)),
            large: Arc::new(Semaphore::new(1)),
            threads: Arc::new(Semaphore::new(LATE_READINGS)),
            owners: Arc::default(),
            rules: Arc::new(Rules {
                nofollow: spec.nofollow,
                extra_extensions: spec.extra_extensions.clone(),
                vassal_set: spec.vassal_set.clone(),
                stop_timeout: spec.curse_tolerance,
                freq: spec.freq,
                shrink_guard: spec.shrink_guard,
            }),
            overflows,
        };
        let (mut scan, mut watching, mut first_scan) = (Vec::new(), Vec::new(), Vec::new());
        for monitor in &spec.monitors {
            let (now, what) = (Arc::<Scan>::default(), monitor.value.clone());
            let milestones = task::start(what, spec.monitors.len() == 1, shared.clone(), Arc::clone(&now));
            scan.push(now);
            watching.push(milestones.watching);
            first_scan.push(milestones.first_scan);
        }
        Self { scan, names: shared.names, watching, first_scan }
    }

    /// Done when everything is watched that is there; once.
    pub(crate) fn watching(&mut self) -> impl Future<Output = ()> + use<> {
        let watching = std::mem::take(&mut self.watching);
        futures::future::join_all(watching).map(drop)
    }

    /// Done when the core was told of everything that was there at the start; once.
    pub(crate) fn first_scan(&mut self) -> impl Future<Output = ()> + use<> {
        let first_scan = std::mem::take(&mut self.first_scan);
        futures::future::join_all(first_scan).map(drop)
    }

    /// Looks at everything now.
    pub(crate) fn rescan(&self) {
        self.scan.iter().for_each(|scan| scan.now.notify_one());
    }

    /// Looks at everything now, and takes directories for empty that are.
    pub(crate) fn believe(&self) {
        self.scan.iter().for_each(|scan| scan.believe.store(true, Ordering::Relaxed));
        self.rescan();
    }

    /// Reads a vassal's file again, whatever is known of it.
    pub(crate) fn read_again(&self, vassal: &Name) {
        drop(self.read_now(std::slice::from_ref(vassal)));
    }

    /// Reads these files as they are now. Done when the core was told what they say, or when for [`READING_LASTS`] none was read and none
    /// has begun that may come to its end yet. Those that could not be read, each with the reason.
    pub(crate) fn read_now(&self, vassals: &[Name]) -> impl Future<Output = BTreeMap<Name, String>> + use<> {
        let mut homes = self.names.lock();
        let read = |vassal: &Name| Some((vassal.clone(), homes.get_mut(vassal)?.read()));
        let asked: Vec<_> = vassals.iter().filter_map(read).collect();
        drop(homes);
        let mut late: BTreeSet<Name> = asked.iter().map(|(vassal, _)| vassal.clone()).collect();
        let mut reading: FuturesUnordered<_> =
            asked.into_iter().map(|(vassal, reading)| reading.map(|answered| (vassal, answered))).collect();
        let names = Arc::clone(&self.names);
        async move {
            let (mut unread, began) = (BTreeMap::new(), Instant::now());
            let mut until = began + READING_LASTS;
            loop {
                match timeout_at(until, reading.next()).await {
                    Ok(Some((vassal, answered))) => {
                        late.remove(&vassal);
                        until = Instant::now() + READING_LASTS;
                        if let Ok(Err(why)) = answered {
                            unread.insert(vassal, why);
                        }
                    }
                    Ok(None) => break,
                    Err(_) if began.elapsed() >= ORDER_WAITS => break,
                    Err(_) => match names.may_answer_in(&late) {
                        Some(left) => until = (Instant::now() + left).min(began + ORDER_WAITS),
                        None => break,
                    },
                }
            }
            for vassal in late {
                let why = names.why_unread(&vassal);
                unread.insert(vassal, why);
            }
            unread
        }
    }

    /// [`Self::read_now`] of a file that was not read just before: for a life that begins.
    pub(crate) fn read_for_birth(&self, vassal: &Name) -> Option<impl Future<Output = ()> + use<>> {
        let is_old = |home: &Home| home.read.is_none_or(|read| read.elapsed() >= JUST_READ);
        let reading = self.names.lock().get_mut(vassal).filter(|home| is_old(home)).map(Home::read)?;
        Some(timeout(BIRTH_WAITS, reading).map(drop))
    }
}

/// The names in use. Two monitors may mean the same file; the first one has it.
#[derive(Debug, Default)]
struct Names(Mutex<HashMap<Name, Home>>);

/// Where a name belongs.
#[derive(Debug)]
struct Home {
    path: Arc<Path>,
    /// Where its monitor hears of files to be read again.
    again: mpsc::UnboundedSender<Again>,
    /// When it was last understood.
    read: Option<Instant>,
    /// Which file that was.
    file: Option<FileId>,
    /// The last look that has begun at it.
    look: Arc<Progress>,
    /// The first one of those that have come to no end.
    first: Arc<Progress>,
}

/// A file to be read again, and who is told of it.
type Again = (Arc<Path>, oneshot::Sender<Answered>);

/// The core was told what a file says; else why it cannot be read now. Dropped: there is no such file.
type Answered = Result<(), String>;

impl Home {
    /// The first look at it of those that have come to no end.
    fn unanswered(&self) -> Option<&Arc<Progress>> {
        [&self.first, &self.look].into_iter().find(|look| !look.is_done())
    }

    fn new(path: &Path, again: &mpsc::UnboundedSender<Again>) -> Self {
        let look = Arc::new(Progress::of_the_past());
        Self { path: path.into(), again: again.clone(), read: None, file: None, first: Arc::clone(&look), look }
    }

    fn read(&mut self) -> oneshot::Receiver<Answered> {
        self.read = None; // a birth meanwhile waits for this reading
        let (done, is_done) = oneshot::channel();
        self.again.send((Arc::clone(&self.path), done)).ok(); // an error: the daemon is ending
        is_done
    }
}

impl Names {
    /// Takes a name; false when another monitor has it.
    fn claim(&self, name: &Name, home: Home) -> bool {
        match self.lock().entry(name.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(home);
                true
            }
        }
    }

    /// A file was understood.
    fn was_read(&self, name: &Name, file: Option<FileId>) {
        if let Some(home) = self.lock().get_mut(name) {
            (home.read, home.file) = (Some(Instant::now()), file);
        }
    }

    /// A look at a file begins.
    fn reads(&self, name: &Name, look: &Arc<Progress>) {
        if let Some(home) = self.lock().get_mut(name) {
            home.first = Arc::clone(home.unanswered().unwrap_or(look));
            home.look = Arc::clone(look);
        }
    }

    /// Within what time one of these files may yet come to be read, as far as their looks tell. None: all that have a look hang.
    fn may_answer_in(&self, vassals: &BTreeSet<Name>) -> Option<Duration> {
        let names = self.lock();
        let since = |vassal: &Name| names.get(vassal)?.unanswered()?.since();
        let shortest = vassals.iter().filter_map(since).min()?;
        READING_HANGS.checked_sub(shortest).filter(|left| !left.is_zero())
    }

    /// Why a look at a file has not come to its end.
    fn why_unread(&self, name: &Name) -> String {
        let names = self.lock();
        let Some(home) = names.get(name) else { return Progress::default().why(None) };
        home.look.why(home.unanswered().map(|first| &**first))
    }

    /// The other names that had this file when they were read. Where several links lead to one target, it is a template and nobody's own:
    /// then only the link itself counts.
    fn of_file(&self, name: &Name, file: &FileId) -> Vec<(Name, Arc<Path>)> {
        let names = self.lock();
        if names.get(name).is_some_and(|home| home.file.is_some_and(|own| own.is_same(file))) {
            return Vec::new(); // it had it before
        }
        let had = |home: &&Home, fits: fn(&FileId, &FileId) -> bool| home.file.is_some_and(|had| fits(&had, file));
        let is_template = names.values().filter(|home| had(home, |a, b| a.target == b.target)).nth(1).is_some();
        let fits: fn(&FileId, &FileId) -> bool = if is_template { |a, b| a.entry == b.entry } else { FileId::is_same };
        let others = names.iter().filter(|(other, home)| *other != name && had(home, fits));
        others.map(|(other, home)| (other.clone(), Arc::clone(&home.path))).collect()
    }

    fn release(&self, name: &Name) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Home>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
