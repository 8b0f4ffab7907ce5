//! The file of the control socket: bound at the start, looked at every second, and bound anew when it was taken away.
//!
//! Without its file nobody reaches a daemon that is well otherwise, and to start that one again would end all vassals. So where nothing
//! lies at the path any more another socket is bound there, with the same rights. Where something else lies there it is told and left
//! alone: another daemon may serve it. Each trouble is told once.
//!
//! * [`Socket::bind`] at the start, which replaces a socket that a killed daemon has left behind
//! * [`keep`] for as long as it is served; what it sends takes the place of the listener before
//! * [`Socket::take_away`] at the end; from then on nothing is bound any more

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener as StdListener, UnixStream as StdStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::workers::QUESTIONS;

/// How often the path is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Everybody may connect: who may do what is decided by the peer's uid.
const MODE: u32 = 0o666;

/// Which file lies at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inode {
    device: u64,
    number: u64,
}

/// The path, and what was bound there.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The newest; None: nothing is bound any more.
    bound: Option<Inode>,
    /// The trouble that was told last.
    told: Option<String>,
}

impl Socket {
    /// Binds it. A socket that nobody serves any more is replaced.
    ///
    /// # Errors
    /// Something else is there, or the directory is missing.
    pub(super) fn bind(path: &Path) -> anyhow::Result<(Arc<Self>, StdListener)> {
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                bail!("there is something else at this path");
            }
            if StdStream::connect(path).is_ok() {
                bail!("somebody serves it: does another emperor run?");
            }
            fs::remove_file(path)?;
        }
        let listener = listen(path)?;
        let bound = inode(path).context("look at what was just bound")?;
        let socket = Self { path: path.to_owned(), state: Mutex::new(State { bound, told: None }) };
        Ok((Arc::new(socket), listener))
    }

    /// Looks whether it is still there. A listener: it was not, and is bound anew. Blocks.
    fn look(&self) -> Option<StdListener> {
        // Held over the whole look: the end takes the file away, and nothing may be bound after it.
        let mut state = self.state();
        let bound = state.bound?;
        let path = self.path.display();
        let trouble = match inode(&self.path) {
            Ok(Some(there)) if there == bound => {
                state.told = None;
                return None;
            }
            Ok(Some(_)) => {
                "something else lies at its path: it is left alone, and this daemon cannot be asked anything".to_owned()
            }
            Ok(None) => match self.bind_anew() {
                Ok((listener, inode)) => {
                    tracing::warn!(target: "emperor", "the control socket {path} was removed; it is bound anew");
                    (state.bound, state.told) = (Some(inode), None);
                    return Some(listener);
                }
                Err(error) => {
                    format!("it was removed and cannot be bound anew yet: {}", crate::world::phrase(&error))
                }
            },
            Err(error) => format!("it cannot be looked at: {}", crate::world::phrase(&error)),
        };
        if state.told.as_ref() != Some(&trouble) {
            tracing::warn!(target: "emperor", "the control socket {path}: {trouble}");
            state.told = Some(trouble);
        }
        None
    }

    /// Only where nothing lies: the kernel binds no path that exists, and follows no link.
    fn bind_anew(&self) -> io::Result<(StdListener, Inode)> {
        let listener = listen(&self.path)?;
        let inode = inode(&self.path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok((listener, inode))
    }

    /// Takes the file away, if it is the one that was bound.
    pub(super) fn take_away(&self) {
        let mut state = self.state();
        let bound = state.bound.take();
        if bound.is_some() && inode(&self.path).is_ok_and(|there| there == bound) {
            fs::remove_file(&self.path).ok();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends each listener that takes the place of the one before.
pub(super) async fn keep(socket: Arc<Socket>, renewed: mpsc::Sender<StdListener>) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let socket = Arc::clone(&socket);
        // Without a thread it is looked at the next time.
        if let Ok(Some(listener)) = QUESTIONS.run(move || socket.look()).await
            && renewed.send(listener).await.is_err()
        {
            return;
        }
    }
}

fn listen(path: &Path) -> io::Result<StdListener> {
    let listener = StdListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// None: nothing is there.
fn inode(path: &Path) -> io::Result<Option<Inode>> {
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(Some(Inode { device: there.dev(), number: there.ino() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> (tempfile::TempDir, PathBuf, Arc<Socket>, StdListener) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let (socket, listener) = Socket::bind(&path).unwrap();
        (dir, path, socket, listener)
    }

    #[test]
    fn what_was_removed_is_bound_anew_with_the_same_rights() {
        let (_dir, path, socket, _listener) = bound();
        assert!(socket.look().is_none(), "it is there");
        fs::remove_file(&path).unwrap();
        let _anew = socket.look().expect("it is bound anew");
        assert!(StdStream::connect(&path).is_ok() && socket.look().is_none());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        socket.take_away();
        assert!(!path.exists() && socket.look().is_none() && !path.exists(), "nothing is bound after the end");
    }

    #[test]
    fn what_lies_there_instead_is_left_alone() {
        let instead: [fn(&Path); 3] = [
            |path| fs::write(path, "").unwrap(),
            |path| std::os::unix::fs::symlink("/not/there", path).unwrap(),
            |path| drop(StdListener::bind(path).unwrap()),
        ];
        for put in instead {
            let (_dir, path, socket, _listener) = bound();
            // The listener keeps the inode, so that no other file gets its number.
            fs::remove_file(&path).unwrap();
            put(&path);
            let there = inode(&path).unwrap();
            assert!(socket.look().is_none() && socket.state().told.is_some());
            socket.take_away();
            assert_eq!(inode(&path).unwrap(), there);
        }
    }

    #[test]
    fn a_directory_that_comes_back_gets_its_socket_back() {
        let (dir, path, socket, _listener) = bound();
        let aside = dir.path().with_extension("aside");
        fs::rename(dir.path(), &aside).unwrap();
        assert!(socket.look().is_none() && socket.state().told.as_ref().is_some_and(|told| told.contains("cannot be bound")));
        fs::create_dir(dir.path()).unwrap();
        assert!(socket.look().is_some() && path.exists());
        fs::remove_dir_all(aside).unwrap();
    }
}
