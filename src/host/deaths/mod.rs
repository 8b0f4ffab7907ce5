//! Why vassals died, kept for whoever asks later: the last few ends of each, a small JSON file in the state directory.
//!
//! The log says it too, once, among everything else; this is for three in the morning. The files are written by a thread of their
//! own, each as a whole and renamed into place; a disk that does not keep up costs records, never the loop. One that does not answer at
//! all (a dead file system) costs no answer either: an answer waits for it for two seconds (`records.rs`), and the log tells of it once.
//!
//! An end that is made is recorded twice: when it begins, because it may last and the daemon may not, and when it is over, in the
//! place of the first.
//!
//! They outlive the daemon, so that whoever has restarted it can still ask why. They go with the vassal's file. One whose file went
//! while no daemon looked is never heard of in the next daemon's life: that one takes the record away when it ends in order. One that
//! heard of no vassal at all takes none: its vassals' directory may have been missing.

mod file;
mod records;

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{self, TryRecvError, TrySendError},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use liege_core::{Cause, Death, Failure, Name, Note, View};
use tokio::runtime::Handle;

use self::{
    file::{add, failures, file_of, forget, make},
    records::Writing,
};
use crate::vassal_logs::VassalLogs;

pub(crate) use records::Records;

/// What may wait for the disk: of a thousand that end at once, beginning and end, and who holds them up.
const QUEUE: usize = 4096;
/// How long the end of the daemon waits for the disk.
const LAST: Duration = Duration::from_secs(5);

#[derive(Debug)]
enum Request {
    Add(Name, Box<Death>),
    Forget(Name),
}

/// The names that were heard of and have a file. None: of no vassal was anything heard. Beside the queue, which may be full.
type Known = Arc<Mutex<Option<HashSet<Name>>>>;

/// Those whose file went while the queue was full: of a thousand that go at once none may keep its record.
type Missed = Arc<Mutex<HashSet<Name>>>;

/// The records of all vassals.
#[derive(Debug)]
pub(crate) struct Deaths {
    records: Records,
    requests: Option<mpsc::SyncSender<Request>>,
    writing: Arc<Writing>,
    known: Known,
    missed: Missed,
    /// Those that are being destroyed, as far as it is known why.
    dying: HashMap<Name, Death>,
    /// The newest failure of each record that an earlier daemon left, by its file.
    earlier: HashMap<PathBuf, Death>,
    /// What was killed with those whose end is about to be told.
    unsaved: HashMap<Name, Unsaved>,
    /// The daemon ends: from now on vassals go, and their files stay.
    ending: bool,
    ended: mpsc::Receiver<()>,
}

/// What an end has cost, and the `stop-timeout` that was not enough.
type Unsaved = (Vec<String>, Option<Duration>);

impl Deaths {
    /// In `deaths/` below the state directory, for root's eyes: a cause may name a hook's arguments.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn keep(state_dir: &Path, logs: Arc<VassalLogs>) -> anyhow::Result<Self> {
        let records = Records::below(state_dir);
        let dir = Arc::clone(&records.dir);
        make(&dir).with_context(|| format!("make {}", dir.display()))?;
        let earlier = failures(&dir);
        let (requests, queue) = mpsc::sync_channel(QUEUE);
        let (end, ended) = mpsc::channel();
        let (known, missed, writing) = (Known::default(), Missed::default(), Arc::<Writing>::default());
        std::thread::Builder::new().name("deaths".into()).stack_size(128 << 10).spawn({
            let (known, missed, writing) = (Arc::clone(&known), Arc::clone(&missed), Arc::clone(&writing));
            move || {
                serve(&dir, &logs, &queue, &missed, &writing);
                forget_strangers(&dir, &known);
                end.send(()).ok();
            }
        })?;
        Ok(Self {
            records,
            requests: Some(requests),
            writing,
            known,
            missed,
            dying: HashMap::new(),
            unsaved: HashMap::new(),
            earlier,
            ending: false,
            ended,
        })
    }

    /// Where they can be read while the daemon runs.
    pub(crate) fn records(&self) -> Records {
        self.records.clone()
    }

    /// Adds to a snapshot the failures of which only an earlier daemon knew.
    pub(crate) fn complete(&self, view: &mut View) {
        if self.earlier.is_empty() {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        for vassal in view.vassals.iter_mut().filter(|vassal| vassal.last_failure.is_none()) {
            let of_its = self.earlier.get(&file_of(&self.records.dir, &vassal.name)).filter(|death| death.owner == vassal.owner);
            let Some(death) = of_its else { continue };
            let told = death.clone().for_owner();
            vassal.roots.last_failure = (told.what != death.what).then(|| death.sentence());
            let what = told.sentence();
            vassal.last_failure = Some(Failure { cause: told.cause, what, ago: (now - death.at).max(0.0) });
        }
    }

    /// The newest failure that an earlier daemon knew, of vassals of any owner.
    pub(crate) fn earlier(&self, vassal: &str) -> Option<&Death> {
        self.earlier.get(&file_of(&self.records.dir, vassal))
    }

    /// Takes from a note what is of interest here.
    pub(crate) fn hear(&mut self, note: &Note) {
        let request = match note {
            Note::Added { vassal } | Note::BadConfig { vassal, .. } | Note::Unread { vassal, .. } => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(vassal.clone());
                self.missed.lock().unwrap_or_else(PoisonError::into_inner).remove(vassal);
                return;
            }
            Note::ShuttingDown { .. } => {
                self.ending = true;
                return;
            }
            Note::Destroying { vassal, why, lived, owner } => {
                let death = Death { unfinished: true, ..death(why, *lived, *owner) };
                self.dying.insert(vassal.clone(), death.clone());
                Request::Add(vassal.clone(), Box::new(death))
            }
            Note::HeldUp { vassal, found } if !found.is_empty() => {
                let Some(death) = self.dying.get_mut(vassal) else { return };
                death.held_up_by.clone_from(found);
                Request::Add(vassal.clone(), Box::new(death.clone()))
            }
            Note::Unsaved { vassal, killed, stop, .. } => {
                self.unsaved.insert(vassal.clone(), (killed.clone(), *stop));
                return;
            }
            Note::Ended { vassal, cause, lived, again_in, owner, gave_up } => {
                let held_up_by = self.dying.remove(vassal).map(|death| death.held_up_by).unwrap_or_default();
                let (unsaved, stop) = self.unsaved.remove(vassal).unwrap_or_default();
                let stop_timeout = stop.as_ref().map(Duration::as_secs_f64);
                let again_in = again_in.as_ref().map(Duration::as_secs_f64);
                let death = death(cause, *lived, *owner);
                let death = Death { again_in, held_up_by, unsaved, stop_timeout, gave_up: *gave_up, ..death };
                Request::Add(vassal.clone(), Box::new(death))
            }
            Note::Gone { .. } if self.ending => return,
            Note::Gone { vassal } => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().remove(vassal);
                self.earlier.remove(&file_of(&self.records.dir, vassal));
                Request::Forget(vassal.clone())
            }
            _ => return,
        };
        let Some(requests) = &self.requests else { return };
        // Full: the disk does not keep up. Of an end the log tells.
        match requests.try_send(request) {
            Ok(()) => self.watch_writing(),
            Err(TrySendError::Full(Request::Forget(vassal))) => {
                self.missed.lock().unwrap_or_else(PoisonError::into_inner).insert(vassal);
            }
            Err(_) => {}
        }
    }

    /// One more record is to be written: a task watches while there are any.
    fn watch_writing(&self) {
        self.writing.asked.fetch_add(1, Ordering::AcqRel);
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.writing.is_watched.swap(true, Ordering::AcqRel) {
            let (writing, records) = (Arc::clone(&self.writing), self.records.clone());
            runtime.spawn(async move { writing.watch(&records).await });
        }
    }
}

impl Drop for Deaths {
    fn drop(&mut self) {
        self.requests = None;
        self.ended.recv_timeout(LAST).ok();
    }
}

fn death(cause: &Cause, lived: Duration, owner: Option<u32>) -> Death {
    Death {
        at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        cause: cause.word().to_owned(),
        what: cause.to_string(),
        detail: cause.clone(),
        lived: lived.as_secs_f64(),
        owner,
        count: 1,
        first: None,
        gave_up: false,
        again_in: None,
        unfinished: false,
        held_up_by: Vec::new(),
        unsaved: Vec::new(),
        stop_timeout: None,
        last_lines: Vec::new(), // whoever writes it may wait for a disk
    }
}

/// Writes until the daemon ends.
fn serve(dir: &Path, logs: &VassalLogs, queue: &mpsc::Receiver<Request>, missed: &Missed, writing: &Writing) {
    let mut failing = Failing::default();
    // Whose newest record is of an end that was not over. One of an earlier daemon's stays as it is.
    let mut begun = HashSet::new();
    loop {
        let mut request = match queue.try_recv() {
            Ok(request) => request,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                for vassal in missed.lock().unwrap_or_else(PoisonError::into_inner).drain() {
                    forget(&file_of(dir, &vassal)).ok();
                }
                let Ok(request) = queue.recv() else { return };
                request
            }
        };
        let (vassal, answer) = match &mut request {
            Request::Add(vassal, death) => {
                let born = UNIX_EPOCH + Duration::from_secs_f64((death.at - death.lived).max(0.0));
                death.last_lines = logs.last_lines(vassal, death.owner, born);
                let answer = add(&file_of(dir, vassal), death, begun.contains(vassal));
                if !death.unfinished {
                    begun.remove(vassal);
                } else if answer.is_ok() {
                    begun.insert(vassal.clone());
                }
                (&*vassal, answer)
            }
            Request::Forget(vassal) => {
                begun.remove(vassal);
                (&*vassal, forget(&file_of(dir, vassal)))
            }
        };
        writing.done.fetch_add(1, Ordering::AcqRel);
        if failing.is_news(vassal, answer.as_ref().err().map(io::Error::kind))
            && let Err(error) = answer
        {
            tracing::warn!(
                target: "emperor", vassal = &**vassal, "{}: {error}; why such vassals died is in the log only", dir.display()
            );
        }
    }
}

/// Takes away the records of those a whole daemon has never heard of.
fn forget_strangers(dir: &Path, known: &Known) {
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    // One that has heard of no vassal at all may have seen no directory of theirs.
    if let Some(known) = known.as_ref() {
        let kept: HashSet<PathBuf> = known.iter().map(|vassal| file_of(dir, vassal)).collect();
        for file in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if !kept.contains(&file) {
                fs::remove_file(file).ok(); // the next end tries again
            }
        }
    }
    fs::remove_dir(dir).ok(); // where there is a record it stays
}

/// Whose records cannot be written, and why not. Each kind of trouble is news once, until whoever met it writes well again.
#[derive(Debug, Default)]
struct Failing(HashMap<Name, io::ErrorKind>);

impl Failing {
    fn is_news(&mut self, vassal: &Name, trouble: Option<io::ErrorKind>) -> bool {
        let before = self.0.remove(vassal);
        let Some(kind) = trouble else { return false };
        let is_news = before != Some(kind) && !self.0.values().any(|other| *other == kind);
        self.0.insert(vassal.clone(), kind);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use liege_core::{Phase, ROOT, Time, VassalView};

    use super::{file::KEPT, *};

    fn ended(code: i32) -> Note {
        Note::Ended {
            vassal: "a/b.ini".into(),
            cause: Cause::Exit { code, at_reload: false, said: None, about: None },
            lived: Duration::from_millis(1500),
            again_in: Some(Duration::ZERO),
            owner: Some(1001),
            gave_up: false,
        }
    }

    fn recorded(dir: &Path) -> Vec<Death> {
        assert!(dir.join("deaths/a%2fb.ini.json").exists());
        Records::read(&dir.join("deaths"), "a/b.ini", ROOT)
    }

    /// A life of a daemon: what it heard, then its end.
    fn daemon(dir: &Path, notes: impl IntoIterator<Item = Note>) {
        let mut deaths = Deaths::keep(dir, VassalLogs::below("/nonexistent").into()).unwrap();
        notes.into_iter().for_each(|note| deaths.hear(&note));
        deaths.requests = None;
        deaths.ended.recv().unwrap();
    }

    fn added() -> Note {
        Note::Added { vassal: "a/b.ini".into() }
    }

    fn shutting_down() -> Note {
        Note::ShuttingDown { vassals: 1 }
    }

    fn wished() -> Note {
        let (vassal, cause, lived) = ("a/b.ini".into(), Cause::Requested, Duration::ZERO);
        Note::Ended { vassal, cause, lived, again_in: None, owner: Some(1001), gave_up: false }
    }

    fn gone() -> Note {
        Note::Gone { vassal: "a/b.ini".into() }
    }

    #[test]
    fn the_last_ends_are_kept_over_the_end_of_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        daemon(dir.path(), [added()].into_iter().chain((0..12).map(ended)).chain([shutting_down(), gone()]));
        daemon(dir.path(), [added()].into_iter().chain((12..20).map(ended)).chain([shutting_down(), gone()]));
        let kept = recorded(dir.path());
        assert_eq!(
            kept.iter().map(|death| death.detail.clone()).collect::<Vec<_>>(),
            (4..20).map(|code| Cause::Exit { code, at_reload: false, said: None, about: None }).collect::<Vec<_>>()
        );
        assert_eq!((kept[0].cause.as_str(), kept[0].lived), ("exit", 1.5));
    }

    #[test]
    fn a_failure_is_remembered_whatever_was_wished_since() {
        let dir = tempfile::tempdir().unwrap();
        daemon(dir.path(), [added(), ended(1), ended(2)].into_iter().chain((0..40).map(|_| wished())).chain([shutting_down()]));
        let kept = recorded(dir.path());
        assert_eq!(
            (kept.len(), kept[0].detail.clone(), kept[1].detail.clone()),
            (KEPT, Cause::Exit { code: 2, at_reload: false, said: None, about: None }, Cause::Requested)
        );
        let deaths = Deaths::keep(dir.path(), VassalLogs::below("/nonexistent").into()).unwrap();
        let vassal = |owner| VassalView { owner, ..VassalView::new("a/b.ini".into(), Phase::Running, Time(0)) };
        let mut view = View { vassals: vec![vassal(Some(1001)), vassal(Some(1002))], ..View::default() };
        deaths.complete(&mut view);
        let failure = view.vassals[0].last_failure.as_ref().unwrap();
        assert_eq!(failure.what, "the app exited with status 2");
        assert_eq!(view.vassals[1].last_failure, None, "another owner's name by now");
    }

    /// It is shown as it was before the daemon was restarted.
    #[test]
    fn a_loss_is_remembered_whatever_was_wished_since() {
        let unsaved = || Note::Unsaved {
            vassal: "a/b.ini".into(),
            killed: vec!["fuse-zip (pid 7) of /app".into()],
            stop: Some(Duration::from_secs(1)),
            owner: Some(1001),
        };
        let lost =
            "what was not written back is lost: fuse-zip (pid 7) of /app; raise stop-timeout (1 s) where much is written back";
        for (end, cause) in [(wished(), "it was asked to"), (ended(2), "the app exited with status 2")] {
            let dir = tempfile::tempdir().unwrap();
            let after = (0..40).map(|_| wished());
            daemon(dir.path(), [added(), ended(1), unsaved(), end].into_iter().chain(after).chain([shutting_down()]));
            let deaths = Deaths::keep(dir.path(), VassalLogs::below("/nonexistent").into()).unwrap();
            let vassal = VassalView { owner: Some(1001), ..VassalView::new("a/b.ini".into(), Phase::Running, Time(0)) };
            let mut view = View { vassals: vec![vassal], ..View::default() };
            deaths.complete(&mut view);
            let told = view.vassals[0].last_failure.as_ref().map(|failure| failure.what.clone());
            assert_eq!(told, Some(format!("{cause}; {lost}")));
        }
    }

    #[test]
    fn a_name_that_is_used_again_tells_its_new_owner_nothing_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut later = ended(2);
        if let Note::Ended { owner, .. } = &mut later {
            *owner = Some(1002);
        }
        daemon(dir.path(), [added(), ended(1), later, shutting_down()]);
        let records = dir.path().join("deaths");
        let seen = |by| Records::read(&records, "a/b.ini", by).iter().map(|death| death.what.clone()).collect::<Vec<_>>();
        let [hers, his] = ["the app exited with status 1", "the app exited with status 2"];
        assert_eq!((seen(1001), seen(1002)), (vec![hers.to_owned()], vec![his.to_owned()]));
        assert_eq!(seen(ROOT), [hers, his]);
    }

    #[test]
    fn a_record_that_does_not_tell_whose_it_is_is_roots() {
        let dir = tempfile::tempdir().unwrap();
        daemon(dir.path(), [added(), ended(1), shutting_down()]);
        let file = dir.path().join("deaths/a%2fb.ini.json");
        fs::write(&file, fs::read_to_string(&file).unwrap().replace("\"owner\": 1001,", "")).unwrap();
        let seen = |by| Records::read(&dir.path().join("deaths"), "a/b.ini", by).len();
        assert_eq!((seen(ROOT), seen(1001)), (1, 0));
    }

    #[test]
    fn an_end_is_on_record_from_its_beginning_on() {
        let dir = tempfile::tempdir().unwrap();
        let cause = Cause::Exit { code: 1, at_reload: false, said: None, about: None };
        let begins = || {
            let why = Cause::MountpointGone { path: "/app".into(), what: "x".into() };
            Note::Destroying { vassal: "a/b.ini".into(), why, lived: Duration::ZERO, owner: Some(1001) }
        };
        let held =
            |found: &[&str]| Note::HeldUp { vassal: "a/b.ini".into(), found: found.iter().map(|&who| who.to_owned()).collect() };
        // This daemon does not live to see it.
        daemon(dir.path(), [added(), ended(1), begins(), held(&["cat (pid 9)"]), shutting_down()]);
        let kept = recorded(dir.path());
        assert_eq!((kept.len(), kept[1].unfinished, &kept[1].held_up_by[..]), (2, true, &["cat (pid 9)".to_owned()][..]));
        assert_eq!((kept[0].detail.clone(), kept[1].owner), (cause, Some(1001)));
        // The next one does, of another; what nobody saw stays.
        daemon(dir.path(), [added(), begins(), held(&["ls (pid 8)"]), held(&[]), ended(2), ended(3), shutting_down()]);
        let kept = recorded(dir.path());
        assert_eq!(kept.iter().map(|death| death.unfinished).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(kept[2].held_up_by, ["ls (pid 8)"]);
        assert!(kept[3].held_up_by.is_empty());
    }

    #[test]
    fn of_many_that_go_at_once_none_is_forgotten_to_be_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let (requests, queue) = mpsc::sync_channel(1);
        let missed = Missed::default();
        let mut records = Records::below(dir.path());
        records.dir = dir.path().into();
        let (known, ended) = (Known::default(), mpsc::channel().1);
        let missing = Arc::clone(&missed);
        let dying = HashMap::new();
        let mut deaths = Deaths {
            records,
            requests: Some(requests),
            writing: Arc::default(),
            known,
            missed: missing,
            dying,
            unsaved: HashMap::new(),
            earlier: HashMap::new(),
            ending: false,
            ended,
        };
        for name in ["a.ini", "b.ini", "c.ini", "back.ini"] {
            fs::write(file_of(dir.path(), name), "[]").unwrap();
            deaths.hear(&Note::Gone { vassal: name.into() });
        }
        deaths.hear(&Note::Added { vassal: "back.ini".into() });
        let logs = VassalLogs::below("/nonexistent");
        // The server comes to rest, then the daemon ends.
        std::thread::scope(|scope| {
            let (dir, logs, missed) = (dir.path(), &logs, &missed);
            scope.spawn(move || serve(dir, logs, &queue, missed, &Writing::default()));
            while !missed.lock().unwrap().is_empty() {
                std::thread::yield_now();
            }
            deaths.requests = None;
        });
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["back.ini.json"]);
    }

    #[test]
    fn they_go_with_the_file_of_the_vassal() {
        let dir = tempfile::tempdir().unwrap();
        daemon(dir.path(), [added(), ended(1), gone(), shutting_down()]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_vassal_that_a_whole_daemon_never_heard_of_is_gone_for_good() {
        let dir = tempfile::tempdir().unwrap();
        daemon(dir.path(), [added(), ended(1), shutting_down()]);
        assert_eq!(recorded(dir.path()).len(), 1);
        let other = || Note::Added { vassal: "other.ini".into() };
        daemon(dir.path(), [other(), Note::Gone { vassal: "other.ini".into() }, shutting_down()]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_daemon_that_heard_of_no_vassal_takes_no_record_away() {
        let dir = tempfile::tempdir().unwrap();
        daemon(dir.path(), [added(), ended(1), shutting_down()]);
        daemon(dir.path(), [shutting_down()]);
        assert_eq!(recorded(dir.path()).len(), 1, "its vassals' directory may have been missing");
    }

    #[test]
    fn a_directory_that_went_away_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut deaths = Deaths::keep(dir.path(), VassalLogs::below("/nonexistent").into()).unwrap();
        fs::remove_dir(dir.path().join("deaths")).unwrap();
        [added(), ended(1), shutting_down()].iter().for_each(|note| deaths.hear(note));
        deaths.requests = None;
        deaths.ended.recv().unwrap();
        assert_eq!(recorded(dir.path()).len(), 1);
    }

    #[test]
    fn a_trouble_is_told_once_whatever_others_write_meanwhile() {
        let mut failing = Failing::default();
        let [a, b]: [Name; 2] = ["a".into(), "b".into()];
        let (long, full) = (Some(io::ErrorKind::InvalidFilename), Some(io::ErrorKind::StorageFull));
        let heard = [(&a, long), (&b, None), (&a, long), (&b, full), (&a, full), (&a, long), (&b, None), (&a, None), (&b, full)];
        assert_eq!(
            heard.map(|(vassal, trouble)| failing.is_news(vassal, trouble)),
            [true, false, false, true, false, true, false, false, true]
        );
    }

    #[test]
    fn a_name_no_file_can_have_costs_nothing_but_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let name = "x".repeat(300).into();
        let long = Note::Ended {
            vassal: name,
            cause: Cause::Requested,
            lived: Duration::ZERO,
            again_in: None,
            owner: None,
            gave_up: false,
        };
        daemon(dir.path(), [added(), long, ended(1), shutting_down()]);
        assert_eq!(recorded(dir.path()).len(), 1);
    }
}
