//! Where the logs of vassals are: a directory for each below `emperor-log-dir`, or the journal.
//!
//! What a vassal gets is its directory as a mount that stands nowhere: it works in every root, keeps none of the host's mounts
//! busy, and leads whoever should get hold of it no further than to his own log. It is written by a child of the vassal's init;
//! the daemon never touches it, and its end or restart changes nothing.
//!
//! A shortage gives no vassal more than it asked for. Where its log cannot be had at its birth (no inode, a file in the way, a dead disk)
//! it gets a [`promise`] of it, and until that is kept its words are read and counted beside it. The daemon's own output is for who asks
//! for it (`vassal-log = inherit`) and nobody else.

mod directory;
mod follow;
mod promise;
mod reader;
mod watcher;

use std::{
    collections::HashMap,
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use futures::Stream;
use liege_core::Name;
use liege_plan::stamp;
use liege_spec::LogTo;
use liege_sys::handed;

use crate::{
    disk::Disk,
    file_name::file_name,
    workers::{LIVES, QUESTIONS},
};
use follow::Which;
pub(crate) use follow::own_line;
pub(crate) use promise::Promise;
use reader::Reader;
use watcher::Watcher;

/// Where journald takes lines.
const JOURNAL: &str = "/run/systemd/journal/stdout";

/// How long a birth waits for the place of its log.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is remembered of the words of one that died.
const LAST_LINES: usize = 8;
/// More than so many lines are long.
const LAST_BYTES: usize = 160 << 10;
/// The front of a long line is enough.
const FRONT: usize = 400;

/// How long the record of an end waits for its last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The place of all logs.
#[derive(Debug)]
pub(crate) struct VassalLogs {
    directory: PathBuf,
    /// For births, so that readers never take their places.
    births: Disk,
    /// For births that have waited long enough: on a dead disk they take no place of the others.
    late_births: Disk,
    readers: Disk,
    /// For those who follow.
    watcher: Watcher,
    /// Of each vassal whose words went to no log here at its last birth.
    elsewhere: Mutex<HashMap<Name, Elsewhere>>,
    /// Somebody reads last words; on a dead disk for ever.
    reads_last_words: Arc<AtomicBool>,
}

/// Where the words of a vassal go, if to no log here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// To the journal.
    Journal,
    /// To the daemon's own output.
    Daemon,
    /// They are dropped: its log cannot be had, for this reason.
    Nowhere(String),
}

/// What init is given for its vassal's words.
#[derive(Debug)]
pub(crate) enum Place {
    /// They go where the daemon's go.
    Daemon,
    /// The log.
    Log(OwnedFd),
    /// The end through which the log comes, and the host's side of that.
    Promised(OwnedFd, Promise),
}

/// Which log a birth wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) to: LogTo,
    /// Who may read it beside root.
    pub(crate) owner: Option<u32>,
}

impl VassalLogs {
    pub(crate) fn below(directory: &str) -> Self {
        let (elsewhere, reads_last_words) = (Mutex::default(), Arc::default());
        Self {
            directory: directory.into(),
            births: Disk::new(&LIVES),
            late_births: Disk::new(&LIVES),
            readers: Disk::new(&QUESTIONS),
            watcher: Watcher::default(),
            elsewhere,
            reads_last_words,
        }
    }

    /// What a vassal has said, from before the last so many lines on (None: from the beginning); followed, it does not end.
    ///
    /// # Errors
    /// `NotFound`: it has no log. `PermissionDenied`: none of this user's (None: of root, who may read all).
    pub(crate) async fn read(
        &self,
        vassal: &str,
        of: Option<u32>,
        lines: Option<usize>,
        follow: bool,
    ) -> io::Result<impl Stream<Item = io::Result<Vec<u8>>> + Send + use<>> {
        follow::bytes(self.readers.clone(), self.watcher.clone(), Which { directory: self.of(vassal), of, follow }, lines).await
    }

    /// Where it goes what a vassal says, as far as that is no log here.
    pub(crate) fn elsewhere(&self, vassal: &str) -> Option<Elsewhere> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).get(vassal).cloned()
    }

    /// Where they go from now on; None: to its log here.
    pub(crate) fn goes(&self, vassal: &Name, to: Option<Elsewhere>) {
        const MOST: usize = 10_000;
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        match to {
            None => _ = elsewhere.remove(vassal),
            Some(to) => {
                if elsewhere.len() >= MOST {
                    elsewhere.clear(); // names that are long gone: only a hint is lost
                }
                elsewhere.insert(vassal.clone(), to);
            }
        }
    }

    /// The last few lines since a moment; none where there are none, or they cannot be read in time. Blocks so long. None either where
    /// the log is somebody else's by now: the name may have been used again at once.
    pub(crate) fn last_lines(&self, vassal: &str, owner: Option<u32>, since: SystemTime) -> Vec<String> {
        if self.reads_last_words.swap(true, Ordering::AcqRel) {
            return Vec::new();
        }
        let (path, busy) = (self.of(vassal), Arc::clone(&self.reads_last_words));
        let (tell, told) = mpsc::channel();
        let reader = std::thread::Builder::new().name("last-words".into()).stack_size(128 << 10).spawn(move || {
            // What root alone may ask for may be anybody's.
            let is_his = || owner.is_none() || directory::is_of(&path, owner);
            // It may be put aside while it is read.
            let lines =
                Some(&path).filter(|_| is_his()).map(|path| last_lines(path, since)).filter(|_| is_his()).unwrap_or_default();
            busy.store(false, Ordering::Release);
            tell.send(lines).ok();
        });
        if reader.is_err() {
            self.reads_last_words.store(false, Ordering::Release);
        }
        told.recv_timeout(LAST_WORDS).unwrap_or_default()
    }

    fn of(&self, vassal: &str) -> PathBuf {
        self.directory.join(file_name(vassal))
    }

    /// What init is given. A log that cannot be had, or not in time (its disk may be dead), is promised: that is said, and keeps no vassal
    /// from starting.
    ///
    /// # Errors
    /// EMFILE, ENFILE: there is no descriptor for a promise.
    pub(crate) async fn place_in_time(self: Arc<Self>, vassal: Name, wanted: Wanted) -> io::Result<Place> {
        let Some(log) = self.log_of(&vassal, wanted) else {
            self.goes(&vassal, Some(Elsewhere::Daemon));
            return Ok(Place::Daemon);
        };
        match log.had_by(&self.births).await {
            Ok(place) => {
                self.goes(&vassal, log.elsewhere());
                Ok(Place::Log(place))
            }
            Err(error) => {
                let (theirs, ours) = handed::pair()?;
                let why = in_words(&error);
                let at = log.shown();
                tracing::warn!(target: "vassal", vassal = &*vassal, "its log in {at}: {why}; what it says is dropped until it can be had");
                self.goes(&vassal, Some(Elsewhere::Nowhere(why)));
                Ok(Place::Promised(theirs, Promise::new(self, vassal, log, ours)))
            }
        }
    }

    /// None: it wants none of its own.
    fn log_of(&self, vassal: &Name, Wanted { to, owner }: Wanted) -> Option<Log> {
        match to {
            LogTo::Inherit => None,
            LogTo::File => Some(Log::Directory { path: self.of(vassal), owner }),
            LogTo::Journal => Some(Log::Journal { vassal: vassal.clone() }),
        }
    }
}

/// A log that a vassal wants.
#[derive(Clone, Debug)]
enum Log {
    Directory { path: PathBuf, owner: Option<u32> },
    Journal { vassal: Name },
}

impl Log {
    /// Its place, made where it is missing.
    async fn had_by(&self, disk: &Disk) -> io::Result<OwnedFd> {
        let log = self.clone();
        disk.ask(PATIENCE, move || match &log {
            Self::Directory { path, owner } => directory::make(path, *owner).and_then(|()| directory::place(path)),
            Self::Journal { vassal } => journal(Path::new(JOURNAL), vassal),
        })
        .await?
    }

    fn shown(&self) -> String {
        match self {
            Self::Directory { path, .. } => path.display().to_string(),
            Self::Journal { .. } => JOURNAL.to_owned(),
        }
    }

    fn elsewhere(&self) -> Option<Elsewhere> {
        match self {
            Self::Directory { .. } => None,
            Self::Journal { .. } => Some(Elsewhere::Journal),
        }
    }
}

fn in_words(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut { "no answer".to_owned() } else { error.to_string() }
}

fn last_lines(directory: &Path, since: SystemTime) -> Vec<String> {
    let mut text = vec![0; LAST_BYTES];
    let mut read = 0;
    if let Ok(mut reader) = Reader::before(directory, Some(LAST_LINES)) {
        while let Ok(n @ 1..) = reader.read(&mut text[read..]) {
            read += n;
        }
    }
    let since = stamp(since);
    let lines = String::from_utf8_lossy(&text[..read]);
    lines.lines().filter(|line| **line >= *since).map(|line| line.chars().take(FRONT).collect()).collect()
}

/// A stream of lines to the journal, as `systemd-cat` opens one: seven lines of who speaks and how, then whatever comes.
fn journal(socket: &Path, vassal: &str) -> io::Result<OwnedFd> {
    const PRIORITY: u8 = 6; // LOG_INFO
    let mut stream = UnixStream::connect(socket)?;
    let identifier = vassal.replace('\n', " ");
    // Identifier, unit, priority, whether lines have a level in front, and whether they go on to syslog, kmsg, console.
    write!(stream, "{identifier}\n\n{PRIORITY}\n0\n0\n0\n0\n")?;
    Ok(stream.into())
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixListener};

    use super::*;

    async fn place(directory: PathBuf, vassal: &str, to: LogTo) -> Place {
        let logs = Arc::new(VassalLogs::below(directory.to_str().unwrap()));
        logs.place_in_time(vassal.into(), Wanted { to, owner: Some(1001) }).await.unwrap()
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_made_is_no_obstacle_and_no_way_to_the_daemons_output() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(matches!(place(dir.path().join("file/logs"), "a.ini", LogTo::File).await, Place::Promised(..)));
        assert!(matches!(place(dir.path().join("file/logs"), "a.ini", LogTo::Inherit).await, Place::Daemon));
    }

    #[tokio::test]
    async fn where_it_goes_instead_is_known() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let logs = Arc::new(VassalLogs::below(dir.path().join("file/logs").to_str().unwrap()));
        logs.goes(&"a.ini".into(), Some(Elsewhere::Journal));
        assert_eq!(logs.elsewhere("a.ini"), Some(Elsewhere::Journal));
        logs.goes(&"a.ini".into(), None);
        assert_eq!(logs.elsewhere("a.ini"), None);
        let wanted = Wanted { to: LogTo::File, owner: None };
        let Place::Promised(..) = Arc::clone(&logs).place_in_time("a.ini".into(), wanted).await.unwrap() else { panic!("a log") };
        assert!(matches!(logs.elsewhere("a.ini"), Some(Elsewhere::Nowhere(_))), "it cannot be had");
    }

    #[test]
    fn the_last_words_are_those_of_this_life() {
        let dir = tempfile::tempdir().unwrap();
        let logs = VassalLogs::below(dir.path().to_str().unwrap());
        let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        assert!(logs.last_lines("a.ini", None, since).is_empty());
        std::fs::create_dir(dir.path().join("a.ini")).unwrap();
        let former = "2023-11-14T22:13:19.999Z app: former\n";
        let own: Vec<String> = (0..3).map(|n| format!("2023-11-14T22:13:2{n}.000Z app: own")).collect();
        std::fs::write(dir.path().join("a.ini/log"), format!("{former}{}\n", own.join("\n"))).unwrap();
        assert_eq!(logs.last_lines("a.ini", None, since), own);
        assert!(logs.last_lines("a.ini", Some(1001), since).is_empty(), "whose it is nobody knows");
    }

    #[tokio::test]
    async fn every_vassal_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let placed = place(dir.path().join("deep/logs"), "x/a.ini", LogTo::File).await;
        assert!(matches!(placed, Place::Log(_)), "also where no mount can be made");
        assert!(dir.path().join("deep/logs/x%2fa.ini").is_dir());
    }

    #[test]
    fn the_journal_is_told_who_speaks() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("stdout");
        let listener = UnixListener::bind(&socket).unwrap();
        let ours = journal(&socket, "shop.ini").unwrap();
        UnixStream::from(ours).write_all(b"app: hello\n").unwrap();
        let mut said = String::new();
        listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
        assert_eq!(said, "shop.ini\n\n6\n0\n0\n0\n0\napp: hello\n");
    }
}
