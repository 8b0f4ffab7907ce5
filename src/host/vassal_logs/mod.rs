//! Where the logs of vassals are: a directory for each below `emperor-log-dir`, or the journal.
//!
//! What a vassal gets is its directory as a mount that stands nowhere: it works in every root, keeps none of the host's mounts
//! busy, and leads whoever should get hold of it no further than to his own log. It is written by a child of the vassal's init;
//! the daemon never touches it, and its end or restart changes nothing.

mod follow;
mod reader;

use std::{
    fs::DirBuilder,
    io::{self, Write},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::Stream;
use liege_core::Name;
use liege_plan::stamp;
use liege_spec::LogTo;
use liege_sys::detached;
use tokio::{task::spawn_blocking, time::timeout};

use crate::file_name::file_name;
use reader::Reader;

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

/// The place of all logs.
#[derive(Debug)]
pub(crate) struct VassalLogs {
    directory: PathBuf,
}

impl VassalLogs {
    pub(crate) fn below(directory: &str) -> Self {
        Self { directory: directory.into() }
    }

    /// What a vassal has said, from before the last so many lines on (None: from the beginning); followed, it does not end.
    ///
    /// # Errors
    /// `NotFound`: it has no log.
    pub(crate) async fn read(
        &self,
        vassal: &str,
        lines: Option<usize>,
        follow: bool,
    ) -> io::Result<impl Stream<Item = io::Result<Vec<u8>>> + Send + use<>> {
        follow::bytes(self.of(vassal), lines, follow).await
    }

    /// The last few lines since a moment; none where there are none or they cannot be read. Blocks.
    pub(crate) fn last_lines(&self, vassal: &str, since: SystemTime) -> Vec<String> {
        let mut text = vec![0; LAST_BYTES];
        let mut read = 0;
        if let Ok(mut reader) = Reader::before(&self.of(vassal), Some(LAST_LINES)) {
            while let Ok(n @ 1..) = reader.read(&mut text[read..]) {
                read += n;
            }
        }
        let since = stamp(since);
        let lines = String::from_utf8_lossy(&text[..read]);
        lines.lines().filter(|line| **line >= *since).map(|line| line.chars().take(FRONT).collect()).collect()
    }

    fn of(&self, vassal: &str) -> PathBuf {
        self.directory.join(file_name(vassal))
    }

    /// What init is given: None where the output goes where the daemon's goes, also where the log cannot be had, or not in time: its
    /// disk may be dead. That is said, and keeps nobody from starting.
    pub(crate) async fn place_in_time(self: Arc<Self>, vassal: Name, to: LogTo) -> Option<OwnedFd> {
        if to == LogTo::Inherit {
            return None;
        }
        let (asked, name) = (Arc::clone(&self), vassal.clone());
        let Ok(place) = timeout(PATIENCE, spawn_blocking(move || asked.place(&name, to))).await else {
            let at = self.directory.display();
            tracing::warn!(target: "vassal", vassal = &*vassal, "its log in {at}: no answer in {PATIENCE:?}; what it says goes where this goes");
            return None;
        };
        place.ok().flatten()
    }

    fn place(&self, vassal: &str, to: LogTo) -> Option<OwnedFd> {
        let (what, place) = match to {
            LogTo::Inherit => return None,
            LogTo::File => {
                let directory = self.of(vassal);
                let place = make(&directory).and_then(|()| Ok(detached::tree(&directory)?));
                (directory.display().to_string(), place)
            }
            LogTo::Journal => (JOURNAL.to_owned(), journal(Path::new(JOURNAL), vassal)),
        };
        match place {
            Ok(place) => Some(place),
            Err(error) => {
                tracing::warn!(target: "vassal", vassal, "its log in {what}: {error}; what it says goes where this goes");
                None
            }
        }
    }
}

/// For root alone: who may read what is decided at the control socket.
fn make(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new().mode(0o700).recursive(true).create(directory),
        answer => answer,
    }
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

    #[test]
    fn a_directory_that_cannot_be_made_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let logs = VassalLogs::below(dir.path().join("file/logs").to_str().unwrap());
        assert!(logs.place("a.ini", LogTo::File).is_none() && logs.place("a.ini", LogTo::Inherit).is_none());
    }

    #[test]
    fn the_last_words_are_those_of_this_life() {
        let dir = tempfile::tempdir().unwrap();
        let logs = VassalLogs::below(dir.path().to_str().unwrap());
        let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        assert!(logs.last_lines("a.ini", since).is_empty());
        std::fs::create_dir(dir.path().join("a.ini")).unwrap();
        let former = "2023-11-14T22:13:19.999Z app: former\n";
        let own: Vec<String> = (0..3).map(|n| format!("2023-11-14T22:13:2{n}.000Z app: own")).collect();
        std::fs::write(dir.path().join("a.ini/log"), format!("{former}{}\n", own.join("\n"))).unwrap();
        assert_eq!(logs.last_lines("a.ini", since), own);
    }

    #[test]
    fn every_vassal_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let logs = VassalLogs::below(dir.path().join("deep/logs").to_str().unwrap());
        // Root's alone: it makes a mount.
        assert_eq!(logs.place("x/a.ini", LogTo::File).is_some(), nix::unistd::geteuid().is_root());
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
