//! The task of one monitor: signs in, looks out, news to the core.
//!
//! Nothing in here touches the file system itself; walks and looks are made on threads that may block, one walk and one look
//! per file at a time. A file that cannot be read in [`LATE`] delays nobody else.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use inotify::Watches;
use liege_core::{Event, Name};
use liege_spec::Diagnostic;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::{spawn_blocking, yield_now},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Home, Milestones, Shared,
    complaints::{Complaint, Complaints},
    file::{Good, News, Sign},
    late::patiently,
    look::{Look, Question, Reader},
    naming::{Naming, Verdict},
    place::Place,
    scans::{SCANS_APART, Scans},
    table::Table,
    walk::{Listing, Whereabouts, walk},
    watch::{Seen, Watch},
};
use crate::world::{World, phrase};

struct Monitor {
    place: Arc<Place>,
    naming: Naming,
    shared: Shared,
    reader: Arc<Reader>,
    watch: Watch,
    table: Table,
    /// The names of this monitor that the core has heard of.
    told: HashSet<Name>,
    complaints: Complaints,
    scans: Scans,
    answers: (mpsc::UnboundedSender<Answer>, mpsc::UnboundedReceiver<Answer>),
    /// Files to be read again.
    again: (mpsc::UnboundedSender<Arc<Path>>, mpsc::UnboundedReceiver<Arc<Path>>),
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

/// What comes back from the threads that may block.
enum Answer {
    Listing(Listing),
    /// Some directory hangs; its listing will come.
    Late,
    /// Some file hangs; its look will come.
    LateLook,
    /// Holds its copy until it was heard; none where it was late.
    Look(Arc<Path>, Look, Option<Arc<()>>),
}

/// Starts the task of `emperor = WHAT`. What it returns is told when everything is watched that is there.
///
/// # Errors
/// No inotify instance.
pub(super) fn start(what: String, only_one: bool, shared: Shared, scan_now: Arc<Notify>) -> io::Result<Milestones> {
    let watch = Watch::new()?;
    let (watching, is_watching) = oneshot::channel();
    let (over, first_scan) = oneshot::channel();
    tokio::spawn(async move {
        let (mut watching, shown) = (Some(watching), PathBuf::from(&what));
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        // A look at a dead file system: it must keep neither the other monitors nor the daemon from starting.
        let place = patiently(spawn_blocking(move || Place::new(&what, &cwd)), |since| {
            hangs(&shown, since);
            watching.take();
        });
        if let Some(place) = place.await.answer {
            let first_scan = FirstScan { over: Some(over), listed: false, looks: Arc::default() };
            Monitor::of(place, only_one, shared, watch, watching, first_scan).run(scan_now).await;
        }
    });
    Ok(Milestones { watching: is_watching, first_scan })
}

impl Monitor {
    fn of(
        place: Place,
        only_one: bool,
        shared: Shared,
        watch: Watch,
        watching: Option<oneshot::Sender<()>>,
        first_scan: FirstScan,
    ) -> Self {
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
            shared,
            reader: Arc::new(reader),
            watch,
            table: Table::default(),
            told: HashSet::new(),
            complaints: Complaints::default(),
            scans: Scans::default(),
            answers: mpsc::unbounded_channel(),
            again: mpsc::unbounded_channel(),
            watching,
            first_scan,
        }
    }

    async fn run(mut self, scan_now: Arc<Notify>) {
        let mut rescan = interval(self.shared.rules.freq.max(Duration::from_millis(10)));
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut broken = false;
        loop {
            // Without the timer, whose ticks are a millisecond apart.
            self.begin_what_is_due();
            self.first_scan.look(&self.table);
            let due = self.table.next_due().into_iter().chain(self.scans.due()).min();
            let due_at = due.unwrap_or_else(Instant::now);
            tokio::select! {
                biased; // signs before answers: an answer may be older than a sign
                seen = self.watch.next(), if !broken => match seen {
                    Some(seen) => self.seen(seen),
                    None => broken = true,
                },
                Some(answer) = self.answers.1.recv() => {
                    // Lets the runtime ask the kernel for new signs: whatever was seen, its sign is waiting by now.
                    yield_now().await;
                    self.take_waiting_signs(&mut broken);
                    match answer {
                        Answer::Listing(listing) => self.scanned(listing),
                        Answer::Late => drop(self.watching.take()),
                        Answer::LateLook => {}
                        Answer::Look(path, look, _awaited) => self.finish(&path, look).await,
                    }
                }
                Some(path) = self.again.1.recv() => self.table.read_again(Instant::now(), &path),
                () = sleep_until(due_at), if due.is_some() => {}
                _ = rescan.tick() => self.scans.ask(Instant::now()),
                () = scan_now.notified() => self.scans.ask(Instant::now()),
            }
        }
    }

    fn take_waiting_signs(&mut self, broken: &mut bool) {
        while !*broken {
            match self.watch.next().now_or_never() {
                Some(Some(seen)) => self.seen(seen),
                Some(None) => *broken = true,
                None => return,
            }
        }
    }

    fn seen(&mut self, seen: Seen) {
        let now = Instant::now();
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
            Verdict::Vassal(_) if taken => self.table.sign(now, path, sign),
            Verdict::OtherFormat if taken && matches!(sign, Sign::Deleted | Sign::MovedAway) => {
                self.complaints.forget(Complaint::Format, path);
            }
            Verdict::OtherFormat if taken => self.complain_of_format(path),
            // A name that is no vassal's may be the way to one: the `..data` link of a ConfigMap.
            Verdict::Vassal(_) | Verdict::OtherFormat | Verdict::Ignored => match sign {
                Sign::Created | Sign::Complete | Sign::Deleted | Sign::MovedAway => self.scans.ask(now + SCANS_APART),
                Sign::Modified | Sign::Attributes => {}
            },
        }
    }

    fn begin_what_is_due(&mut self) {
        let now = Instant::now();
        if self.scans.begin(now) {
            let (place, nofollow) = (Arc::clone(&self.place), self.shared.rules.nofollow);
            tokio::spawn(list(place, self.watch.watches(), nofollow, self.answers.0.clone()));
        }
        while let Some((path, question)) = self.table.begin(now) {
            let (reader, awaited) = (Arc::clone(&self.reader), Arc::clone(&self.first_scan.looks));
            tokio::spawn(look(self.shared.clone(), reader, path, question, self.answers.0.clone(), awaited));
        }
    }

    fn scanned(&mut self, mut listing: Listing) {
        let now = Instant::now();
        self.watch.set(std::mem::take(&mut listing.watched));
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
        let vassal = |monitor: &mut Self, path: &Path| match monitor.naming.judge(path) {
            Verdict::Vassal(_) => true,
            Verdict::OtherFormat => {
                monitor.complain_of_format(path);
                false
            }
            Verdict::Ignored => false,
        };
        listing.files.retain(|path, _| vassal(self, path));
        listing.unknown.retain(|path| vassal(self, path));
        let gone_for_good = !listing.base_missing || self.scans.base_was_missing;
        if listing.base_missing != self.scans.base_was_missing {
            match listing.base_missing {
                true => tracing::warn!(target: "emperor", monitor = %self.place, "the directory is missing; waiting for it"),
                false => tracing::info!(target: "emperor", monitor = %self.place, "the directory is there"),
            }
        }
        self.table.scanned(now, &listing, complete && gone_for_good);
        self.scans.finish(now, listing.base_missing);
        self.watching = None;
        self.first_scan.listed = true;
    }

    fn complain_of_format(&mut self, path: &Path) {
        if self.complaints.is_new(Complaint::Format, path) {
            tracing::warn!(target: "emperor", "{}: vassals are written in INI; this format is not read", path.display());
        }
    }

    async fn finish(&mut self, path: &Path, look: Look) {
        let news = self.table.finish(Instant::now(), path, look);
        let Verdict::Vassal(vassal) = self.naming.judge(path) else { return };
        let event = match news {
            News::None => return,
            News::Gone => {
                self.complaints.forget(Complaint::NameTaken, path);
                if self.told.remove(&vassal) {
                    self.shared.names.release(&vassal);
                    self.shared.post.event(Event::Vanished { vassal }).await;
                }
                return;
            }
            News::Good(Good { config, warnings, touched }) => {
                if touched {
                    warn(&vassal, &warnings); // else they were said before
                }
                Event::Config { vassal: vassal.clone(), config, directory: self.place.directory.clone(), touched }
            }
            News::Bad(diagnostics) => Event::BadConfig { vassal: vassal.clone(), diagnostics },
        };
        if self.told.contains(&vassal) || self.claim(&vassal, path) {
            self.shared.post.event(event).await;
        }
    }

    fn claim(&mut self, vassal: &Name, path: &Path) -> bool {
        if self.shared.names.claim(vassal, Home { path: path.into(), again: self.again.0.clone() }) {
            self.told.insert(vassal.clone());
            return true;
        }
        if self.complaints.is_new(Complaint::NameTaken, path) {
            tracing::warn!(target: "emperor", vassal = &**vassal, monitor = %self.place, "another monitor has this file already");
        }
        false
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

fn warn(vassal: &Name, warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!(target: "vassal", vassal = &**vassal, "{warning}");
    }
}

/// One look, on a thread that may block.
async fn look(
    shared: Shared,
    reader: Arc<Reader>,
    path: Arc<Path>,
    question: Question,
    answers: mpsc::UnboundedSender<Answer>,
    awaited: Arc<()>,
) {
    let (Ok(_thread), Ok(place)) = (shared.threads.acquire().await, shared.readings.acquire().await) else { return };
    let (mut place, mut awaited) = (Some(place), Some(awaited));
    let reading = spawn_blocking({
        let path = Arc::clone(&path);
        move || reader.look(&path, &question)
    });
    let waited = patiently(reading, |since| {
        place = None;
        if awaited.take().is_some() {
            answers.send(Answer::LateLook).ok();
        }
        tracing::warn!(
            target: "emperor", "{} cannot be read for {} s: a dead file system, or an `exec://` that hangs? What runs goes on",
            path.display(), since.as_secs()
        );
    })
    .await;
    if let Some(look) = waited.answer {
        answers.send(Answer::Look(path, look, awaited)).ok(); // an error: the runtime is ending
    }
}

/// One walk, on a thread that may block.
async fn list(place: Arc<Place>, mut watches: Watches, nofollow: bool, answers: mpsc::UnboundedSender<Answer>) {
    let at = Whereabouts::default();
    let walking = spawn_blocking({
        let at = at.clone();
        move || walk(&place, &mut watches, nofollow, &at)
    });
    let mut hung = PathBuf::new();
    let waited = patiently(walking, |since| {
        hung = at.path();
        hangs(&hung, since);
        answers.send(Answer::Late).ok();
    })
    .await;
    if let Some(late) = waited.late {
        tracing::info!(target: "emperor", "{} answers again after {} s", hung.display(), late.as_secs());
    }
    if let Some(listing) = waited.answer {
        answers.send(Answer::Listing(listing)).ok(); // an error: the daemon is ending
    }
}

fn hangs(directory: &Path, since: Duration) {
    tracing::warn!(
        target: "emperor", "{} has not answered for {} s: a dead file system? What runs goes on, what changes there is not seen",
        directory.display(), since.as_secs()
    );
}
