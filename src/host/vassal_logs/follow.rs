//! A log as a stream of its bytes: what there is, and, followed, what comes.

use std::{io, path::PathBuf, time::Duration};

use futures::{Stream, StreamExt, stream};
use inotify::{Inotify, WatchMask};

use super::{disk::Disk, reader::Reader};

/// How long the disk may take for one piece.
const PATIENCE: Duration = Duration::from_secs(10);
/// So much at once.
const PIECE: usize = 64 << 10;

/// The bytes from before the last so many lines on (None: all of them). Followed, it ends only when it is dropped.
///
/// # Errors
/// There is no such log; or it cannot be watched (no inotify instance is left).
pub(crate) async fn bytes(
    disk: Disk,
    directory: PathBuf,
    lines: Option<usize>,
    follow: bool,
) -> io::Result<impl Stream<Item = io::Result<Vec<u8>>> + Send + use<>> {
    // Watched first, so that nothing is missed between the last read and the first wait.
    let mut changes = None;
    if follow {
        let inotify = Inotify::init()?;
        let what = WatchMask::MODIFY | WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::DELETE;
        inotify.watches().add(&directory, what)?;
        changes = Some(inotify.into_event_stream(vec![0; 1024])?);
    }
    let reader = disk.ask(PATIENCE, move || Reader::before(&directory, lines)).await??;
    Ok(stream::try_unfold((disk, reader, changes), |(disk, mut reader, mut changes)| async move {
        loop {
            let read = move || {
                let mut piece = vec![0; PIECE];
                let read = reader.read(&mut piece);
                (reader, read.map(|n| piece.truncate(n)).map(|()| piece))
            };
            let (back, piece) = disk.ask(PATIENCE, read).await?;
            reader = back;
            match (piece?, &mut changes) {
                (piece, _) if !piece.is_empty() => return Ok(Some((piece, (disk, reader, changes)))),
                (_, None) => return Ok(None),
                (_, Some(changes)) => {
                    if changes.next().await.transpose()?.is_none() {
                        return Ok(None);
                    }
                }
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    #[tokio::test]
    async fn what_is_there_and_what_comes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log"), "a\nb\n").unwrap();
        let mut once = Box::pin(bytes(Disk::new(), dir.path().into(), Some(1), false).await.unwrap());
        assert_eq!(once.next().await.unwrap().unwrap(), b"b\n");
        assert!(once.next().await.is_none());

        let mut followed = Box::pin(bytes(Disk::new(), dir.path().into(), Some(1), true).await.unwrap());
        assert_eq!(followed.next().await.unwrap().unwrap(), b"b\n");
        fs::File::options().append(true).open(dir.path().join("log")).unwrap().write_all(b"c\n").unwrap();
        assert_eq!(followed.next().await.unwrap().unwrap(), b"c\n");
        fs::rename(dir.path().join("log"), dir.path().join("log.1")).unwrap();
        fs::write(dir.path().join("log"), "d\n").unwrap();
        assert_eq!(followed.next().await.unwrap().unwrap(), b"d\n");
        assert!(bytes(Disk::new(), dir.path().join("nobody"), None, true).await.is_err());
    }
}
