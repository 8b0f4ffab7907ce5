//! The task of one monitor: signs in, looks out, news to the core.
//!
//! Nothing in here touches the file system itself; walks and looks are made on threads that may block, one walk and one look
//! per file at a time. A file that cannot be read in [`LATE`] delays nobody else.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;
use liege_core::{Event, Name};
use liege_spec::{Code, Diagnostic, Severity};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

mod late;
mod news;

use super::{
    Again, Answered, Milestones, Scan, Shared,
    complaints::{Complaint, Complaints},
    disks::Disks,
    errands::{Answer, Around, Before, Errand, Target, hangs, list, look, look_at_name},
    file::{Begun, Sign},
    follow::{Follow, Told},
    guard::{Guard, Inode, State},
    late::patiently,
    look::{Look, Reader},
    naming::{Naming, Verdict},
    pace::Pace,
    place::Place,
    progress::Progress,
    renamed::Renamed,
    scans::{SCANS_APART, Scans},
    table::Table,
    trail::Led,
    walk::Listing,
    watch::{Seen, Watch},
};
use crate::{
    workers::FILES,
    world::{World, phrase},
};

/// Signs taken before an answer.
const MOST_AT_ONCE: usize = 4096;

struct Monitor {
    place: Arc<Place>,
    naming: Naming,
    shared: Shared,
    reader: Arc<Reader>,
    watch: Watch,
    pace: Pace,
    /// What links lead to.
    follow: Follow,
    follow_pace: Pace,
    /// Looks whose answer is awaited.
    looks: usize,
    table: Table,
    /// The names of this monitor that the core has heard of.
    told: HashSet<Name>,
    complaints: Complaints,
    /// Files that are no vassals because of their names, which are told.
    unusable: BTreeMap<Name, (PathBuf, &'static str)>,
    guard: Guard,
    disks: Disks,
    /// Directories that cannot be read, of which no vassal is kept.
    unread: BTreeMap<PathBuf, String>,
    scans: Scans,
    answers: (mpsc::UnboundedSender<Answer>, mpsc::UnboundedReceiver<Answer>),
    /// Files to be read again.
    again: (mpsc::UnboundedSender<Again>, mpsc::UnboundedReceiver<Again>),
    /// Who waits for a file to be read.
    waiting: HashMap<Arc<Path>, Vec<oneshot::Sender<Answered>>>,
    /// News of files that other names had.
    renamed: Renamed,
    /// Dropped when the first scan is done, or late.
    watching: Option<oneshot::Sender<()>>,
    first_scan: FirstScan,
}

/// How far the first scan has come.
struct FirstScan {
    /// Dropped when it is over.
    over: Option<oneshot::Sender<()>>,
    listed: bool,
    /// One copy for each look whose answer is awaited.
    looks: Arc<()>,
}

/// Starts the task of `emperor = WHAT`. What it returns is told when everything is watched that is there.
pub(super) fn start(what: String, only_one: bool, shared: Shared, scan_now: Arc<Scan>) -> Milestones {
    let (watching, is_watching) = oneshot::channel();
    let (over, first_scan) = oneshot::channel();
    tokio::spawn(async move {
        let (mut watching, shown) = (Some(watching), PathBuf::from(&what));
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        // A look at a dead file system: it must keep neither the other monitors nor the daemon from starting.
        let place = patiently(FILES.finish(move || Place::new(&what, &cwd)), |since| {
            hangs(&shown, since);
            watching.take();
        });
        let place = place.await.answer;
        let first_scan = FirstScan { over: Some(over), listed: false, looks: Arc::default() };
        Monitor::of(place, only_one, shared, watching, first_scan).run(scan_now).await;
    });
    Milestones { watching: is_watching, first_scan }
}

impl Monitor {
    fn of(place: Place, only_one: bool, shared: Shared, watching: Option<oneshot::Sender<()>>, first_scan: FirstScan) -> Self {
        let reader = Reader {
            nofollow: shared.rules.nofollow,
            set: shared.rules.vassal_set.clone().into(),
            stop_timeout: shared.rules.stop_timeout,
            world: World::of_daemon(place.directory.clone(), Arc::clone(&shared.children)),
        };
        // With several directories, or a pattern over them, two vassals may have the same file name.
        let short = only_one && place.is_directory();
        Self {
            naming: Naming { short, extra: shared.rules.extra_extensions.clone() },
            place: Arc::new(place),
            guard: Guard::new(shared.rules.shrink_guard),
            disks: Disks::new(shared.rules.shrink_guard),
            unread: BTreeMap::new(),
            shared,
            reader: Arc::new(reader),
            watch: Watch::default(),
            pace: Pace::default(),
            follow: Follow::default(),
            follow_pace: Pace::default(),
            looks: 0,
            table: Table::default(),
            told: HashSet::new(),
            complaints: Complaints::default(),
            unusable: BTreeMap::new(),
            scans: Scans::default(),
            answers: mpsc::unbounded_channel(),
            again: mpsc::unbounded_channel(),
            waiting: HashMap::new(),
            renamed: Renamed::default(),
            watching,
            first_scan,
        }
    }

    async fn run(mut self, scan_now: Arc<Scan>) {
        let mut rescan = interval(self.shared.rules.freq.max(Duration::from_millis(10)));
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Without the timer, whose ticks are a millisecond apart.
            self.begin_what_is_due();
            self.first_scan.look(&self.table);
            let now = Instant::now();
            let (pause, follow_pause) = (self.pace.pause(now), self.follow_pace.pause(now));
            let due = self
                .table
                .next_due()
                .into_iter()
                .chain(self.guard.due())
                .chain(self.disks.due())
                .chain(self.scans.due())
                .chain(pause)
                .chain(follow_pause)
                .min();
            let due_at = due.unwrap_or(now);
            tokio::select! {
                biased; // signs before answers: an answer may be older than a sign
                seen = self.watch.next(), if pause.is_none() => self.seen(seen),
                told = self.follow.next(), if follow_pause.is_none() => self.followed(told),
                Some(answer) = self.answers.1.recv() => {
                    // Lets the runtime ask the kernel for new signs: whatever was seen, its sign is waiting by now.
                    yield_now().await;
                    self.take_waiting_signs();
                    match answer {
                        Answer::Listing(listing) => self.scanned(listing).await,
                        Answer::Late => drop(self.watching.take()),
                        Answer::HungLook => {}
                        Answer::LateLook(path, number, progress) => self.late(&path, number, &progress).await,
                        Answer::Name(path, found) => self.at_name(&path, found).await,
                        Answer::Settled(path) => {
                            if let (Some(event), Verdict::Vassal(vassal)) = (self.renamed.take(&path), self.naming.judge(&path)) {
                                self.tell(&vassal, &path, event).await;
                            }
                            self.answer(&path);
                        }
                        Answer::Look(path, number, _, Around { led, .. }, _awaited) if !self.table.awaits(&path, number) => {
                            self.came_back(&path, number, led);
                        }
                        Answer::Look(path, _, look, Around { led, directory, target }, _awaited) => {
                            self.looks -= 1;
                            self.led(&path, led);
                            let look = self.doubted(&path, look, directory);
                            let look = self.led_to(&path, look, target).await;
                            self.finish(&path, look).await;
                            self.answer(&path);
                        }
                    }
                }
                Some(again) = self.again.1.recv() => self.read_again(again),
                () = sleep_until(due_at), if due.is_some() => {}
                _ = rescan.tick() => self.scans.ask(Instant::now()),
                () = scan_now.now.notified() => {
                    if scan_now.believe.swap(false, Ordering::Relaxed) {
                        self.guard.believe(Instant::now());
                        self.disks.believe(Instant::now());
                    }
                    self.scans.ask(Instant::now());
                }
            }
        }
    }

    /// In a flood not all: then an answer may be older than a sign, and the look that follows the sign sets it right.
    fn take_waiting_signs(&mut self) {
        for _ in 0..MOST_AT_ONCE {
            let Some(seen) = self.watch.next().now_or_never() else { break };
            self.seen(seen);
        }
        for _ in 0..MOST_AT_ONCE {
            let Some(told) = self.follow.next().now_or_never() else { break };
            self.followed(told);
        }
    }

    fn read_again(&mut self, (path, done): Again) {
        if self.table.knows(&path) {
            self.table.read_again(Instant::now(), &path);
            self.waiting.entry(path).or_default().push(done);
        }
    }

    /// A file that is missing because its directory is another one is not gone yet: a scan decides.
    fn doubted(&mut self, path: &Path, look: Look, directory: Option<Inode>) -> Look {
        let is_doubted = matches!(look, Look::Missing | Look::NoFile(_))
            && !self.table.is_unlinked(path)
            && path.parent().is_some_and(|parent| self.guard.doubts(parent, directory));
        if !is_doubted {
            return look;
        }
        self.scans.ask(Instant::now());
        let why = if directory.is_some() { "was unmounted or replaced" } else { "is gone" };
        Look::Kept(format!("{} {why}", path.parent().unwrap_or(path).display()))
    }

    /// A link whose target's file system is gone has not lost its target for good.
    async fn led_to(&mut self, path: &Arc<Path>, look: Look, target: Target) -> Look {
        let (look, event) = match (look, target) {
            (look, Target::There(way)) => (look, self.disks.found(path, way)),
            (look @ (Look::Missing | Look::NoFile(_)), Target::Lost(directory)) => {
                let (runs_on, event) = self.disks.missing(Instant::now(), path, &directory);
                (if runs_on { Look::Kept(format!("the file system of {} is gone", directory.display())) } else { look }, event)
            }
            (look, Target::Lost(_) | Target::AsBefore) => (look, None),
        };
        if let Some(event) = event {
            self.shared.post.event(event).await;
        }
        look
    }

    /// Whoever waits for a file is told that nothing more will come of it.
    fn answer(&mut self, path: &Arc<Path>) {
        if self.table.is_settled(path) && !self.renamed.waits(path) {
            let why = self.table.why_unread(path);
            for waits in self.waiting.remove(path).into_iter().flatten() {
                waits.send(why.map_or(Ok(()), |why| Err(why.to_owned()))).ok(); // an error: it waits no longer
            }
        }
    }

    /// Something happened to what links lead to.
    fn followed(&mut self, told: Told) {
        let now = Instant::now();
        self.follow_pace.take(now);
        match told {
            Told::Overflow => {
                self.shared.overflows.inc();
                self.scans.ask(now);
            }
            Told::Files(files, sign) => {
                for path in files {
                    if *path == *self.place.base {
                        self.seen(Seen::Upheaval);
                    } else {
                        self.table.sign(now, &path, sign);
                    }
                }
            }
        }
    }

    /// Where a look at a file, or the walk to the base, has led.
    fn led(&mut self, path: &Arc<Path>, led: Led) {
        let is_sure = match led {
            Led::AsBefore => true,
            Led::Straight => {
                self.follow.forget(path);
                true
            }
            Led::Untracked => match self.follow.open() {
                Ok(()) => false,
                Err(error) => {
                    self.complain_of_way(path, &error, "fs.inotify.max_user_instances");
                    true
                }
            },
            Led::Watched(trail) => {
                if let Some(error) = &trail.blind {
                    self.complain_of_way(path, error, "fs.inotify.max_user_watches");
                } else {
                    self.complaints.forget(Complaint::Unfollowed, &self.place.base);
                }
                self.follow.settle(path, trail)
            }
        };
        if !is_sure && **path == *self.place.base {
            self.scans.ask(Instant::now());
        } else if !is_sure {
            self.table.sign(Instant::now(), path, Sign::Attributes);
        }
        if self.looks == 0 {
            self.follow.rest();
        }
    }

    /// Once, because what is used up for one is used up for all.
    fn complain_of_way(&mut self, path: &Path, error: &io::Error, limit: &str) {
        if self.complaints.is_new(Complaint::Unfollowed, &self.place.base) {
            tracing::warn!(
                target: "emperor", monitor = %self.place,
                "inotify cannot watch what {} leads to: {} (is {limit} used up?); what links lead to is looked at every {} s only",
                path.display(), phrase(error), self.shared.rules.freq.as_secs()
            );
        }
    }

    fn seen(&mut self, seen: Seen) {
        let now = Instant::now();
        self.pace.take(now);
        match seen {
            Seen::Nothing => {}
            Seen::Unclear => self.scans.ask(now),
            Seen::Upheaval => {
                self.table.distrust();
                self.scans.ask(now);
            }
            Seen::Overflow => {
                self.shared.overflows.inc();
                tracing::warn!(target: "emperor", monitor = %self.place, "inotify's queue overflowed; everything is looked at again");
                self.scans.ask(now);
            }
            Seen::Names(paths, sign) => paths.iter().for_each(|path| self.sign(now, path, sign)),
        }
    }

    fn sign(&mut self, now: Instant, path: &Path, sign: Sign) {
        let taken = path.file_name().is_some_and(|name| self.place.takes(name));
        match self.naming.judge(path) {
            Verdict::Vassal(_) if taken => {
                // The link of a target that was removed is no vassal, but its way was watched.
                if matches!(sign, Sign::Deleted | Sign::MovedAway) && !self.table.knows(path) {
                    self.follow.forget(&Arc::from(path));
                }
                self.table.sign(now, path, sign);
            }
            Verdict::OtherFormat if taken && matches!(sign, Sign::Deleted | Sign::MovedAway) => {
                self.complaints.forget(Complaint::Format, path);
            }
            Verdict::OtherFormat if taken => self.complain_of_format(path),
            // A name that is no vassal's may be the way to one: the `..data` link of a ConfigMap.
            Verdict::Vassal(_) | Verdict::OtherFormat | Verdict::Unusable(..) | Verdict::Ignored => match sign {
                Sign::Created | Sign::Complete | Sign::Deleted | Sign::MovedAway => self.scans.ask(now + SCANS_APART),
                Sign::Modified | Sign::Attributes => {}
            },
        }
    }

    fn begin_what_is_due(&mut self) {
        let now = Instant::now();
        if self.guard.due().is_some_and(|due| due <= now) {
            self.scans.ask(now); // the scan believes it
        }
        if self.disks.is_over(now) {
            self.scans.ask(now); // the looks that follow it believe it
        }
        if self.scans.begin(now) {
            self.open_watch();
            let (place, nofollow) = (Arc::clone(&self.place), self.shared.rules.nofollow);
            let tracker = (!nofollow).then(|| self.follow.tracker()).flatten();
            tokio::spawn(list(place, self.watch.watches(), tracker, nofollow, self.answers.0.clone()));
        }
        while let Some((path, number, begun)) = self.table.begin(now) {
            let Begun::Look(question) = begun else {
                tokio::spawn(look_at_name(path, self.answers.0.clone()));
                continue;
            };
            let progress = Arc::<Progress>::default();
            if let Verdict::Vassal(vassal) = self.naming.judge(&path) {
                self.shared.names.reads(&vassal, &progress);
            }
            let (reader, awaited) = (Arc::clone(&self.reader), Arc::clone(&self.first_scan.looks));
            let before = Before {
                tracker: self.follow.tracker(),
                way_holds: self.follow.holds(&path),
                base: self.place.base.clone(),
                way: self.disks.way(&path),
            };
            self.looks += 1;
            let owners = Arc::clone(&self.shared.owners);
            let errand = Errand { reader, path, number, progress, owners, question, before, led: None };
            tokio::spawn(look(self.shared.clone(), errand, self.answers.0.clone(), awaited));
        }
    }

    /// Tries for an inotify instance where there is none.
    fn open_watch(&mut self) {
        let base = self.place.base.clone();
        match self.watch.open() {
            Ok(()) if self.complaints.forget(Complaint::NoInstance, &base) => {
                tracing::info!(target: "emperor", "inotify watches {} from now on", base.display());
            }
            Ok(()) => {}
            Err(error) if self.complaints.is_new(Complaint::NoInstance, &base) => tracing::warn!(
                target: "emperor",
                "inotify cannot watch {}: {} (is fs.inotify.max_user_instances used up?); changes are found by the rescans only, \
                 every {} s",
                base.display(), phrase(&error), self.shared.rules.freq.as_secs()
            ),
            Err(_) => {}
        }
    }

    async fn scanned(&mut self, mut listing: Listing) {
        let now = Instant::now();
        self.watch.set(std::mem::take(&mut listing.watched));
        self.led(&Arc::from(&*self.place.base), std::mem::take(&mut listing.way));
        let unwatched = listing.unwatched.take();
        self.complaints.keep(Complaint::Unwatched, |path| unwatched.as_ref().is_some_and(|(directory, _)| directory == path));
        if let Some((directory, error)) = &unwatched
            && self.complaints.is_new(Complaint::Unwatched, directory)
        {
            tracing::warn!(
                target: "emperor", "inotify cannot watch {}: {}; changes are found by the rescans only", directory.display(), phrase(error)
            );
        }
        let complete = listing.unreadable.is_empty();
        for (path, error) in &listing.unreadable {
            if self.complaints.is_new(Complaint::Unreadable, path) {
                tracing::warn!(target: "emperor", "{} cannot be listed: {}; what runs goes on", path.display(), phrase(error));
            }
        }
        self.complaints.keep(Complaint::Unreadable, |path| listing.unreadable.iter().any(|(directory, _)| directory == path));
        if complete {
            let unknown: HashSet<&Path> = listing.unknown.iter().map(PathBuf::as_path).collect();
            self.complaints.keep(Complaint::Format, |path| listing.files.contains_key(path) || unknown.contains(path));
        }
        let mut unusable = BTreeMap::new();
        let mut vassal = |monitor: &mut Self, path: &Path| match monitor.naming.judge(path) {
            Verdict::Vassal(_) => true,
            Verdict::Unusable(name, why) => {
                unusable.insert(name, (path.to_owned(), why));
                false
            }
            Verdict::OtherFormat => {
                monitor.complain_of_format(path);
                false
            }
            Verdict::Ignored => false,
        };
        listing.files.retain(|path, _| vassal(self, path));
        listing.unknown.retain(|path| vassal(self, path));
        // By its name alone: what is no file has no format.
        listing.no_files.retain(|path| matches!(self.naming.judge(path), Verdict::Vassal(_)));
        listing.unknown.append(&mut listing.no_files);
        if complete {
            self.tell_unusable(unusable).await;
        }
        self.guard_directories(now, &listing).await;
        self.tell_unread(&listing).await;
        let gone_for_good = !listing.base_missing || self.scans.base_was_missing;
        let guard = &self.guard;
        let kept = |path: &Path| path.parent().is_some_and(|directory| guard.holds(directory));
        self.table.scanned(now, &listing, complete && gone_for_good, kept);
        if complete {
            let there: HashSet<&Path> = listing.unknown.iter().map(PathBuf::as_path).chain([&*self.place.base]).collect();
            let gone = |path: &Path| !there.contains(path) && !self.table.knows(path);
            let gone: Vec<Arc<Path>> = self.follow.files().filter(|path| gone(path)).cloned().collect();
            gone.iter().for_each(|path| self.follow.forget(path));
        }
        self.scans.finish(now, listing.base_missing);
        self.watching = None;
        self.first_scan.listed = true;
    }

    /// Files whose names make them no vassals have a row where files with mistakes have theirs.
    async fn tell_unusable(&mut self, unusable: BTreeMap<Name, (PathBuf, &'static str)>) {
        for (vassal, (path, why)) in &unusable {
            if self.unusable.contains_key(vassal) {
                continue;
            }
            let path = path.as_os_str().as_bytes().escape_ascii().to_string();
            let mistake = Diagnostic::of_file(Severity::Error, Code::Unreadable, path, format!("is no vassal: {why}"));
            self.shared.post.event(Event::BadConfig { vassal: vassal.clone(), diagnostics: vec![mistake] }).await;
        }
        let gone: Vec<Name> = self.unusable.keys().filter(|vassal| !unusable.contains_key(*vassal)).cloned().collect();
        for vassal in gone {
            self.shared.post.event(Event::Vanished { vassal }).await;
        }
        self.unusable = unusable;
    }

    /// What is believed of the directories. A pattern's base decides for all below it.
    async fn guard_directories(&mut self, now: Instant, listing: &Listing) {
        let unknown: HashSet<&Path> = listing.unknown.iter().map(PathBuf::as_path).collect();
        let found = |path: &Path| listing.files.contains_key(path) || unknown.contains(path);
        let mut missing = self.table.missing(found);
        let mut files: HashMap<&Path, usize> = HashMap::new();
        for path in listing.files.keys().map(PathBuf::as_path).chain(unknown.iter().copied()) {
            *files.entry(path.parent().unwrap_or(Path::new("/"))).or_default() += 1;
        }
        let there: HashMap<&Path, Inode> = listing.directories.iter().map(|(path, inode)| (&**path, *inode)).collect();
        let unreadable: HashMap<&Path, String> =
            listing.unreadable.iter().map(|(path, error)| (&**path, phrase(error))).collect();
        let base = &self.place.base;
        let is_all_gone = listing.base_missing || (files.is_empty() && self.guard.doubts(base, there.get(&**base).copied()));
        let mut directories: Vec<PathBuf> = self.guard.directories();
        directories.extend(listing.directories.iter().map(|(path, _)| path.clone()));
        directories.extend(missing.keys().cloned());
        directories.sort_unstable();
        directories.dedup();
        for directory in directories {
            let state = match (there.get(&*directory), unreadable.get(&*directory)) {
                (_, Some(why)) => State::Unreadable(why.clone()),
                (Some(inode), None) => State::There { inode: *inode, files: files.get(&*directory).copied().unwrap_or_default() },
                (None, None) => State::Gone,
            };
            // One directory of a pattern may be removed with its file.
            let is_removed = state == State::Gone && !is_all_gone;
            let missing = missing.remove(&*directory).filter(|_| !is_removed).unwrap_or_default();
            if let Some(event) = self.guard.scanned(now, &directory, &state, missing) {
                self.shared.post.event(event).await;
            }
        }
    }

    /// A directory that cannot be read has no vassal, and that is no health.
    async fn tell_unread(&mut self, listing: &Listing) {
        let missing = listing.base_missing.then(|| (self.place.base.clone(), "is missing".to_owned()));
        let unreadable =
            listing.unreadable.iter().map(|(path, error)| (path.clone(), format!("cannot be listed ({})", phrase(error))));
        let mut unread: BTreeMap<PathBuf, String> = missing.into_iter().chain(unreadable).collect();
        unread.retain(|path, _| !self.guard.holds(path));
        let name = |path: &Path| path.to_string_lossy().into_owned();
        // One that the guard holds from now on is not released, and what was told of it is told by the guard.
        for path in self.unread.keys().filter(|path| !unread.contains_key(*path) && !self.guard.holds(path)) {
            self.shared.post.event(Event::DirectoryReleased { directory: name(path), believed: false }).await;
        }
        for (path, why) in unread.iter().filter(|(path, why)| self.unread.get(*path) != Some(why)) {
            let (directory, why) = (name(path), why.clone());
            self.shared.post.event(Event::DirectoryHeld { directory, vassals: 0, why, believed_in: None }).await;
        }
        self.unread = unread;
    }

    fn complain_of_format(&mut self, path: &Path) {
        if self.complaints.is_new(Complaint::Format, path) {
            tracing::warn!(target: "emperor", "{}: vassals are written in INI; this format is not read", path.display());
        }
    }
}

impl FirstScan {
    /// It is over when everything was listed and nobody is asked any more: told once.
    fn look(&mut self, table: &Table) {
        if self.listed && table.next_due().is_none() && Arc::strong_count(&self.looks) == 1 {
            self.over = None;
        }
    }
}
