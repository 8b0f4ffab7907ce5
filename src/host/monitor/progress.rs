//! How far a look has come, for those that wait for it; and how many looks of one owner hang.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::stamp::Stamp;
use crate::whereabouts::Whereabouts;

/// Looks at files of one owner that may hang at once: 16 such owners are what [`super::LATE_READINGS`] has threads for.
const MOST_OF_ONE_OWNER: usize = 32;

/// One look. Shared by the thread that makes it and by those that wait for it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) at: Whereabouts,
    /// The name as it stood when the look began.
    entry: OnceLock<Stamp>,
    /// The owner of what the name leads to; of a link that hangs its own.
    owner: OnceLock<u32>,
}

impl Progress {
    /// The look begins. Blocks. The owner of the file, where one is there.
    pub(super) fn begin(&self, path: &Path) -> Option<u32> {
        self.at.set(path);
        let found = fs::symlink_metadata(path).ok()?;
        self.entry.set(Stamp::of(&found)).ok();
        // What a tenant's file makes root wait for is the tenant's, also where root has made a link to it.
        let target = if found.is_symlink() { fs::metadata(path).ok() } else { None };
        let owner = target.as_ref().filter(|_| found.uid() == ROOT).map_or(found.uid(), Metadata::uid);
        self.owner.set(owner).ok();
        Some(owner)
    }

    pub(super) fn entry(&self) -> Option<Stamp> {
        self.entry.get().copied()
    }

    /// None: it is not known yet.
    pub(super) fn owner(&self) -> Option<u32> {
        self.owner.get().copied()
    }

    /// What does not answer, as the end of a sentence about a file that cannot be read.
    pub(super) fn why(&self) -> String {
        match self.at.get() {
            Some((path, since)) => format!("{} has not answered for {} s", path.display(), since.as_secs()),
            None => "it waits for its turn, because other files do not answer".to_owned(),
        }
    }
}

const ROOT: u32 = 0;

/// Looks that hang, by the owner of the file.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<u32, usize>>);

/// A look that hangs, as long as it does.
#[derive(Debug)]
pub(super) struct Hang(Arc<Owners>, u32);

impl Owners {
    /// A look at a file of this owner hangs.
    pub(super) fn hangs(self: &Arc<Self>, owner: u32) -> Hang {
        *self.lock().entry(owner).or_default() += 1;
        Hang(Arc::clone(self), owner)
    }

    /// Why no further file of this owner is read now. None: it may be.
    pub(super) fn refusal(&self, owner: u32) -> Option<String> {
        let hang = self.lock().get(&owner).copied().unwrap_or_default();
        let is_refused = owner != ROOT && hang >= MOST_OF_ONE_OWNER;
        is_refused.then(|| format!("{hang} readings of files of uid {owner} hang"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        if let Entry::Occupied(mut hang) = self.0.lock().entry(self.1) {
            *hang.get_mut() -= 1;
            if *hang.get() == 0 {
                hang.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_owner_lets_hang_leaves_the_others_alone_and_root_has_no_bound() {
        let owners = Arc::<Owners>::default();
        let mut hang: Vec<Hang> = (0..MOST_OF_ONE_OWNER).map(|_| owners.hangs(1001)).collect();
        hang.extend((0..=MOST_OF_ONE_OWNER).map(|_| owners.hangs(ROOT)));
        assert_eq!(owners.refusal(1001).as_deref(), Some("32 readings of files of uid 1001 hang"));
        assert_eq!((owners.refusal(1002), owners.refusal(ROOT)), (None, None));
        hang.remove(0);
        assert_eq!(owners.refusal(1001), None);
        drop(hang);
        assert!(owners.lock().is_empty());
    }
}
