//! Where a call that may block stands, for those that wait for it: when it hangs, what does not answer can be named.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Shared by the thread that may hang and by those that wait for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whereabouts(Arc<Mutex<Option<(PathBuf, Instant)>>>);

impl Whereabouts {
    /// What is asked from now on.
    pub(crate) fn set(&self, path: &Path) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((path.to_owned(), Instant::now()));
    }

    /// Nothing is asked for now.
    pub(crate) fn leave(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is asked, and for how long it has not answered. None: no call is under way.
    pub(crate) fn get(&self) -> Option<(PathBuf, Duration)> {
        let at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.as_ref().map(|(path, since)| (path.clone(), since.elapsed()))
    }

    /// What is asked; empty before the call has begun.
    pub(crate) fn path(&self) -> PathBuf {
        self.get().map(|(path, _)| path).unwrap_or_default()
    }
}
