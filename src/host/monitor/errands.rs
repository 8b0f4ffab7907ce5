//! What a monitor sends threads for: one look, one walk. Each says when it is late, and comes back with an [`Answer`].

use std::{
    fs,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use inotify::Watches;
use liege_sys::memory;
use tokio::{
    sync::{SemaphorePermit, mpsc},
    time::timeout,
};

use super::{
    LARGE_PLACE_LASTS, PLACE_LASTS, READING_LASTS, Shared,
    disks::Way,
    guard::Inode,
    late::patiently,
    look::{Look, Question, Reader, lacks},
    owners::{Owners, Whose},
    place::Place,
    progress::{May, Progress},
    stamp::Stamp,
    trail::{Led, Tracker},
    walk::{Listing, is_gone, walk},
};
use crate::{whereabouts::Whereabouts, workers::FILES};

/// Bytes. What a larger file needs while it is read is needed once at a time, and given back.
const LARGE: u64 = 128 << 10;

/// What comes back from the threads that may block.
pub(super) enum Answer {
    Listing(Listing),
    /// What other names have become of a path's file is known.
    Settled(Arc<Path>),
    /// Some directory hangs; its listing will come.
    Late,
    /// The look of this number has lasted [`READING_LASTS`].
    LateLook(Arc<Path>, u64, Arc<Progress>),
    /// Some file hangs, and the first scan does not wait for it.
    HungLook,
    /// Holds its copy until it was heard; none where it hung.
    Look(Arc<Path>, u64, Look, Around, Option<Arc<()>>),
    /// The name of a file whose look is late was looked at.
    Name(Arc<Path>, AtName),
}

/// What was found of a name.
pub(super) enum AtName {
    There(Stamp),
    /// With its directory.
    Gone(Option<Inode>),
    /// It could not be looked at.
    Unclear,
}

/// What was seen beside the file.
pub(super) struct Around {
    pub(super) led: Led,
    /// Its directory, where the file was missing.
    pub(super) directory: Option<Inode>,
    pub(super) target: Target,
}

/// The file system of a file, where links lead to it.
pub(super) enum Target {
    /// Nothing new of it.
    AsBefore,
    /// The file is there. None: by no link.
    There(Option<Way>),
    /// The file is missing because this directory is another one than it was.
    Lost(PathBuf),
}

/// What is known before a look.
pub(super) struct Before {
    pub(super) tracker: Option<Tracker>,
    /// Nothing was told of the links on its way since the last look.
    pub(super) way_holds: bool,
    /// The directory of its monitor.
    pub(super) base: PathBuf,
    /// The way it had when it was there.
    pub(super) way: Option<Arc<Way>>,
}

/// One look.
pub(super) struct Errand {
    pub(super) reader: Arc<Reader>,
    pub(super) path: Arc<Path>,
    pub(super) number: u64,
    pub(super) progress: Arc<Progress>,
    pub(super) owners: Arc<Owners>,
    pub(super) question: Question,
    pub(super) before: Before,
    /// Where its links lead, when it had to wait for its turn: they are watched already.
    pub(super) led: Option<Led>,
}

enum Found {
    Look(Look, Around),
    /// It is large and waits for its turn.
    Large(Errand),
    /// It waits for other looks of its owner's.
    Crowded(Errand, Whose),
}

impl Errand {
    /// Blocks. A large file is read only where it is its turn.
    fn run(mut self) -> Found {
        let is_its_turn = self.led.is_some();
        let Before { tracker, way_holds, base, way } = &mut self.before;
        let (reader, path) = (&self.reader, &*self.path);
        let as_before = |look| Found::Look(look, Around { led: Led::AsBefore, directory: None, target: Target::AsBefore });
        match self.progress.begin(path, &self.owners) {
            May::GoOn => {}
            May::Not(why) => return as_before(lacks(path, &why)),
            May::Wait(whose) => return Found::Crowded(self, whose),
        }
        if *way_holds && let Some(known) = reader.is_same(path, &self.question) {
            return as_before(Look::Same(known));
        }
        // Watched first, then read: no change in between is missed.
        let led = match self.led.take() {
            Some(led) => led,
            None if reader.is_followed(path) => Led::follow(path, tracker.take()),
            None => Led::Straight,
        };
        if !is_its_turn && is_large(path) {
            *way_holds = false; // whose trail would be lost
            return Found::Large(Self { led: Some(led), ..self });
        }
        let look = reader.look(path, &self.question, &self.progress.at);
        self.progress.at.set(path);
        if is_its_turn {
            memory::give_back();
        }
        let is_missing = matches!(look, Look::Missing | Look::NoFile(_));
        let directory = path.parent().filter(|_| is_missing).and_then(|parent| Inode::at(parent).ok());
        let target = match look {
            Look::Missing | Look::NoFile(_) => {
                way.take().and_then(|way| way.lost(path, base)).map_or(Target::AsBefore, Target::Lost)
            }
            Look::Same(_) | Look::Read(..) if !reader.nofollow => Target::There(Way::of(path, base)),
            _ => Target::AsBefore,
        };
        Found::Look(look, Around { led, directory, target })
    }
}

fn is_large(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > LARGE)
}

/// One look, on a thread that may block.
pub(super) async fn look(shared: Shared, mut errand: Errand, answers: mpsc::UnboundedSender<Answer>, awaited: Arc<()>) {
    let (path, number, progress) = (Arc::clone(&errand.path), errand.number, Arc::clone(&errand.progress));
    let (mut is_large, mut awaited) = (false, Some(awaited));
    let (look, around) = loop {
        // A look that waits for a place holds no thread.
        let (places, lasts) = if is_large { (&shared.large, LARGE_PLACE_LASTS) } else { (&shared.readings, PLACE_LASTS) };
        let Ok(place) = places.acquire().await else { return };
        let Ok(_thread) = shared.threads.acquire().await else { return };
        let mut work = pin!(FILES.finish(move || errand.run()));
        let found = match in_time(&shared, place, lasts, work.as_mut()).await {
            Some(found) => found,
            None => {
                progress.give_pass_back();
                let _hang = shared.owners.hangs(progress.whose());
                answers.send(Answer::LateLook(Arc::clone(&path), number, Arc::clone(&progress))).ok();
                let waited = patiently(work, |since| {
                    if awaited.take().is_some() {
                        answers.send(Answer::HungLook).ok();
                    }
                    tracing::warn!(
                        target: "emperor", "{} cannot be read for {} s, because {} does not answer: a dead file system, or an \
                        `exec://` that hangs? What runs goes on",
                        path.display(), (READING_LASTS + since).as_secs(), progress.at.path().display()
                    );
                });
                waited.await.answer
            }
        };
        let whose = match found {
            Found::Look(look, around) => break (look, around),
            Found::Large(waiting) => {
                (errand, is_large) = (waiting, true);
                progress.whose()
            }
            Found::Crowded(waiting, whose) => {
                errand = waiting;
                whose
            }
        };
        progress.waits();
        if whose != Whose::Root {
            progress.has_pass(shared.owners.wait_for_pass(&whose, is_large).await);
        }
    };
    progress.finish();
    answers.send(Answer::Look(path, number, look, around, awaited)).ok(); // an error: the runtime is ending
}

/// Waits until a look is late. One that lasts has a place among the slow ones meanwhile, if there is one: it waits for a disk, or for a
/// program, and those that would be done at once do not wait for it.
async fn in_time<T>(
    shared: &Shared,
    place: SemaphorePermit<'_>,
    lasts: Duration,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    if let Ok(found) = timeout(lasts, &mut work).await {
        return Some(found);
    }
    let _place = match shared.slow.try_acquire() {
        Ok(slow) => {
            drop(place);
            slow
        }
        Err(_) => place,
    };
    timeout(READING_LASTS.saturating_sub(lasts), work).await.ok()
}

/// A look at the name of a file whose look is late, on a thread that may block. It asks nothing of what the name leads to.
pub(super) async fn look_at_name(path: Arc<Path>, answers: mpsc::UnboundedSender<Answer>) {
    let name = Arc::clone(&path);
    let found = FILES.finish(move || match fs::symlink_metadata(&name) {
        Ok(found) => AtName::There(Stamp::of(&found)),
        Err(error) if is_gone(&error) => AtName::Gone(name.parent().and_then(|parent| Inode::at(parent).ok())),
        Err(_) => AtName::Unclear,
    });
    answers.send(Answer::Name(path, found.await)).ok(); // an error: the daemon is ending
}

/// One walk, on a thread that may block.
pub(super) async fn list(
    place: Arc<Place>,
    mut watches: Option<Watches>,
    tracker: Option<Tracker>,
    nofollow: bool,
    answers: mpsc::UnboundedSender<Answer>,
) {
    let at = Whereabouts::default();
    let walking = FILES.finish({
        let at = at.clone();
        move || walk(&place, watches.as_mut(), tracker, nofollow, &at)
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
    answers.send(Answer::Listing(waited.answer)).ok(); // an error: the daemon is ending
}

pub(super) fn hangs(directory: &Path, since: Duration) {
    tracing::warn!(
        target: "emperor", "{} has not answered for {} s: a dead file system? What runs goes on, what changes there is not seen",
        directory.display(), since.as_secs()
    );
}
