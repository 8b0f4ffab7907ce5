//! A log as a stream of its bytes: what there is, and, followed, what comes.
//!
//! A name may come to be somebody else's. His log is another one, in a directory of its own: root goes on with it, whoever else
//! follows has heard the end of his own.

use std::{io, os::fd::AsFd, path::PathBuf, time::Duration};

use futures::{Stream, stream};
use liege_plan::stamp;
use tokio::time::sleep;

use super::{
    reader::Reader,
    watcher::{Changes, Watcher, is_at},
};
use crate::disk::Disk;

/// How long the disk may take for one piece.
const PATIENCE: Duration = Duration::from_secs(10);
/// So much at once.
const PIECE: usize = 64 << 10;
/// A directory that is put aside is followed by the next one at once, if by any.
const LOOKS: usize = 50;
const LOOKS_APART: Duration = Duration::from_millis(200);

/// Which log, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Which {
    pub(crate) directory: PathBuf,
    /// None: for root, who may read everybody's.
    pub(crate) of: Option<u32>,
    pub(crate) follow: bool,
}

struct Following {
    disk: Disk,
    watcher: Watcher,
    which: Which,
    reader: Reader,
    changes: Option<Changes>,
    /// Nothing is added to what it reads any more.
    is_put_aside: bool,
    is_over: bool,
}

/// The bytes from before the last so many lines on (None: all of them). Followed, it ends only when it is dropped, or with a line
/// that says why.
///
/// # Errors
/// There is no such log of his.
pub(crate) async fn bytes(
    disk: Disk,
    watcher: Watcher,
    which: Which,
    lines: Option<usize>,
) -> io::Result<impl Stream<Item = io::Result<Vec<u8>>> + Send + use<>> {
    let (reader, changes) = open(&disk, &watcher, &which, lines).await?;
    let following = Following { disk, watcher, which, reader, changes, is_put_aside: false, is_over: false };
    Ok(stream::try_unfold(following, Following::next))
}

/// Watched before anything is read, so that nothing is missed between the last read and the first wait.
async fn open(disk: &Disk, watcher: &Watcher, which: &Which, lines: Option<usize>) -> io::Result<(Reader, Option<Changes>)> {
    let which = which.clone();
    let instance = if which.follow { watcher.instance() } else { None };
    let open = move || {
        let reader = Reader::before(&which.directory, lines)?;
        if which.of.is_some_and(|uid| !reader.is_of(uid)) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        let changes = which.follow.then(|| Changes::of(instance.as_ref(), reader.directory().as_fd()));
        Ok((reader, changes))
    };
    disk.ask(PATIENCE, open).await?
}

impl Following {
    async fn next(mut self) -> io::Result<Option<(Vec<u8>, Self)>> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            let mut reader = self.reader;
            // Looked at before the read: what was written until it was put aside is read.
            let looks = self.changes.as_ref().is_some_and(Changes::is_polled).then(|| self.which.directory.clone());
            let read = move || {
                let is_put_aside = looks.is_some_and(|path| !is_at(reader.directory().as_fd(), &path));
                let mut piece = vec![0; PIECE];
                let read = reader.read(&mut piece);
                (reader, read.map(|n| piece.truncate(n)).map(|()| piece), is_put_aside)
            };
            let (back, piece, is_put_aside) = self.disk.ask(PATIENCE, read).await?;
            self.reader = back;
            self.is_put_aside |= is_put_aside;
            let mut piece = piece?;
            if self.reader.take_gap() {
                piece.splice(0..0, own_line("lines may be missing here: they were taken away before they were read"));
            }
            if !piece.is_empty() {
                return Ok(Some((piece, self)));
            }
            match &self.changes {
                None => return Ok(None),
                Some(_) if self.is_put_aside => {
                    if let Some(last) = self.turn_to_the_next().await? {
                        self.is_over = true;
                        return Ok(Some((last, self)));
                    }
                }
                Some(changes) => self.is_put_aside = changes.next().await,
            }
        }
    }

    /// To the directory that has the name now; else the last words.
    async fn turn_to_the_next(&mut self) -> io::Result<Option<Vec<u8>>> {
        for _ in 0..LOOKS {
            match open(&self.disk, &self.watcher, &self.which, None).await {
                Ok((reader, changes)) => {
                    (self.reader, self.changes, self.is_put_aside) = (reader, changes, false);
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => sleep(LOOKS_APART).await,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Some(own_line("this log was put aside: what comes under its name is another one")))
    }
}

/// A line of our own, as the logger writes them.
pub(crate) fn own_line(what: &str) -> Vec<u8> {
    format!("{} liege: {what}\n", stamp(std::time::SystemTime::now())).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, path::Path, pin::Pin};

    use futures::StreamExt;

    use super::{
        super::directory::{is_of, make},
        *,
    };

    async fn read(
        dir: &Path,
        lines: Option<usize>,
        of: Option<u32>,
        follow: bool,
    ) -> Pin<Box<dyn Stream<Item = io::Result<Vec<u8>>>>> {
        let which = Which { directory: dir.to_owned(), of, follow };
        Box::pin(bytes(Disk::new(&crate::workers::QUESTIONS), Watcher::default(), which, lines).await.unwrap())
    }

    async fn next(log: &mut (impl Stream<Item = io::Result<Vec<u8>>> + Unpin)) -> String {
        String::from_utf8(log.next().await.expect("it goes on").unwrap()).unwrap()
    }

    #[tokio::test]
    async fn what_is_there_and_what_comes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log"), "a\nb\n").unwrap();
        let mut once = read(dir.path(), Some(1), None, false).await;
        assert_eq!(next(&mut once).await, "b\n");
        assert!(once.next().await.is_none());

        let mut followed = read(dir.path(), Some(1), None, true).await;
        assert_eq!(next(&mut followed).await, "b\n");
        fs::File::options().append(true).open(dir.path().join("log")).unwrap().write_all(b"c\n").unwrap();
        assert_eq!(next(&mut followed).await, "c\n");
        fs::rename(dir.path().join("log"), dir.path().join("log.1")).unwrap();
        fs::write(dir.path().join("log"), "d\n").unwrap();
        assert_eq!(next(&mut followed).await, "d\n");
        fs::remove_file(dir.path().join("log.1")).unwrap();
        fs::remove_file(dir.path().join("log")).unwrap();
        fs::write(dir.path().join("log"), "e\n").unwrap();
        let told = next(&mut followed).await;
        assert!(told.ends_with("e\n") && told.contains("Z liege: lines may be missing here"), "{told}");
        let nobody = Which { directory: dir.path().join("nobody"), of: None, follow: true };
        assert!(bytes(Disk::new(&crate::workers::QUESTIONS), Watcher::default(), nobody, None).await.is_err());
    }

    #[tokio::test]
    async fn a_name_that_comes_to_be_somebody_elses_is_followed_by_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.ini");
        make(&path, Some(1001)).unwrap();
        if !is_of(&path, Some(1001)) {
            return assert!(!nix::unistd::geteuid().is_root(), "root can write attributes here");
        }
        fs::write(path.join("log"), "hers\n").unwrap();
        let foreign = Which { directory: path.clone(), of: Some(1002), follow: true };
        assert!(bytes(Disk::new(&crate::workers::QUESTIONS), Watcher::default(), foreign, None).await.is_err());
        let (mut roots, mut hers) = (read(&path, None, None, true).await, read(&path, None, Some(1001), true).await);
        assert_eq!((next(&mut roots).await, next(&mut hers).await), ("hers\n".into(), "hers\n".into()));
        make(&path, Some(1002)).unwrap();
        fs::write(path.join("log"), "his\n").unwrap();
        assert_eq!(next(&mut roots).await, "his\n");
        assert!(next(&mut hers).await.contains("Z liege: this log was put aside"));
        assert!(hers.next().await.is_none());
        fs::File::options().append(true).open(path.join("log")).unwrap().write_all(b"more\n").unwrap();
        assert_eq!(next(&mut roots).await, "more\n");
    }

    fn instances() -> usize {
        let links = fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        links.filter(|link| link.to_str() == Some("anon_inode:inotify")).count()
    }

    #[tokio::test]
    async fn many_who_follow_share_one_instance_and_each_hears_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let logs: Vec<PathBuf> = ["a", "b"].iter().map(|name| dir.path().join(name)).collect();
        for log in &logs {
            fs::create_dir(log).unwrap();
            fs::write(log.join("log"), "first\n").unwrap();
        }
        let (watcher, before) = (Watcher::default(), instances());
        let mut followed = Vec::new();
        for log in logs.iter().cycle().take(100) {
            let which = Which { directory: log.clone(), of: None, follow: true };
            let disk = Disk::new(&crate::workers::QUESTIONS);
            followed.push(Box::pin(bytes(disk, watcher.clone(), which, None).await.unwrap()));
        }
        for log in &mut followed {
            assert_eq!(next(log).await, "first\n");
        }
        assert!(instances() <= before + 1, "other tests may follow too, but none a hundred times");
        drop(followed.split_off(2));
        for (n, log) in logs.iter().enumerate() {
            fs::File::options().append(true).open(log.join("log")).unwrap().write_all(b"second\n").unwrap();
            assert_eq!(next(&mut followed[n]).await, "second\n");
        }
        drop(followed);
        assert!(watcher.instance().is_some_and(|instance| std::sync::Arc::strong_count(&instance) == 1), "made anew");
    }

    #[tokio::test]
    async fn who_cannot_watch_looks_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.ini");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("log"), "a\n").unwrap();
        let disk = Disk::new(&crate::workers::QUESTIONS);
        let which = Which { directory: path.clone(), of: None, follow: true };
        let reader = Reader::before(&path, None).unwrap();
        let following = Following {
            disk,
            watcher: Watcher::default(),
            which,
            reader,
            changes: Some(Changes::Polled),
            is_put_aside: false,
            is_over: false,
        };
        let mut log = Box::pin(stream::try_unfold(following, Following::next));
        assert_eq!(next(&mut log).await, "a\n");
        fs::File::options().append(true).open(path.join("log")).unwrap().write_all(b"b\n").unwrap();
        assert_eq!(next(&mut log).await, "b\n");
        fs::rename(&path, dir.path().join("aside")).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("log"), "another\n").unwrap();
        assert_eq!(next(&mut log).await, "another\n");
    }
}
