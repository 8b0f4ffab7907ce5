//! The state directory, and the lock that keeps a second emperor out of it.
//!
//! The lock is on the directory itself: there is no file to leave behind, and it ends with the process whatever happens.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};

/// Ours alone while it lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: Flock<File>,
    /// We made it, so we take it away again.
    made: bool,
}

impl StateDir {
    /// Makes the directory where it is missing (0755) and locks it.
    ///
    /// # Errors
    /// Another emperor uses it, or it cannot be made.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        let step = || format!("the state directory {} (emperor-state-dir)", path.display());
        let made = match DirBuilder::new().mode(0o755).create(path) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().mode(0o755).recursive(true).create(path).with_context(step)?;
                true
            }
            Err(e) => return Err(e).with_context(step),
        };
        let directory = File::open(path).with_context(step)?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path: path.to_owned(), _lock: lock, made }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                bail!("another liege runs with {}: give this one its own emperor-state-dir", path.display())
            }
            Err((_, errno)) => Err(errno).with_context(step),
        }
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if self.made {
            fs::remove_dir(&self.path).ok(); // not empty: somebody else's things are in it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_emperor_is_kept_out_and_the_first_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/state");
        let first = StateDir::take(&path).unwrap();
        assert!(StateDir::take(&path).unwrap_err().to_string().contains("another liege runs"));
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_was_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        drop(StateDir::take(dir.path()).unwrap());
        assert!(dir.path().exists());
    }
}
