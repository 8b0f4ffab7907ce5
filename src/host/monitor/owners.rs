//! Whose files are looked at, and how much one owner may make the others wait: by looks that hang, and by looks that are slow.
//!
//! A look counts for the owner of the file. A file on FUSE counts for its file system, whatever its daemon says of owners: else a tenant
//! would have what hangs of its own counted as another tenant's. What hangs before its owner is known counts for itself.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::sys::stat::{major, minor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Looks of one owner that may hang at once: 16 such owners are what [`super::LATE_READINGS`] has threads for.
const MOST_HANG: usize = 32;
/// Looks of one owner under way, those that are late not counted. Half of [`super::READINGS_AT_ONCE`].
const MOST_AT_ONCE: u32 = 4;

const ROOT: u32 = 0;

/// Whom a look counts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// Without a bound: root's files are many, and what they lead to may hang for each of them on its own.
    Root,
    User(u32),
    /// FUSE, by its device.
    FileSystem(u64),
    /// The owner is not known, because this does not answer.
    Behind(PathBuf),
}

impl Whose {
    pub(super) fn of(found: &Metadata) -> Self {
        match (found.uid(), found.dev()) {
            (_, device) if is_fuse(device) => Self::FileSystem(device),
            (ROOT, _) => Self::Root,
            (user, _) => Self::User(user),
        }
    }
}

/// Asks no daemon. Where the kernel shows no connections, none is known.
fn is_fuse(device: u64) -> bool {
    major(device) == 0 && fs::symlink_metadata(format!("/sys/fs/fuse/connections/{}", minor(device))).is_ok()
}

/// Looks that hang and looks under way, by owner.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<Whose, Lane>>);

#[derive(Debug)]
struct Lane {
    hang: usize,
    passes: Arc<Semaphore>,
}

impl Default for Lane {
    fn default() -> Self {
        Self { hang: 0, passes: Arc::new(Semaphore::new(MOST_AT_ONCE as usize)) }
    }
}

/// A look that hangs, as long as it does.
#[derive(Debug)]
pub(super) struct Hang(Arc<Owners>, Whose);

/// The right of a look to be under way.
#[derive(Debug)]
pub(super) struct Pass {
    whose: Whose,
    owners: Arc<Owners>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Pass {
    pub(super) fn is_for(&self, whose: &Whose) -> bool {
        self.whose == *whose
    }
}

impl Owners {
    /// A look of this owner's hangs.
    pub(super) fn hangs(self: &Arc<Self>, whose: Whose) -> Hang {
        self.lock().entry(whose.clone()).or_default().hang += 1;
        Hang(Arc::clone(self), whose)
    }

    /// Why no further look of this owner's begins now. None: it may.
    pub(super) fn refusal(&self, whose: &Whose) -> Option<String> {
        let hang = self.lock().get(whose).map_or(0, |lane| lane.hang);
        let of = match whose {
            _ if hang < MOST_HANG => return None,
            Whose::Root => return None,
            Whose::User(user) => format!("files of uid {user}"),
            Whose::FileSystem(device) => format!("files on the file system {}:{}", major(*device), minor(*device)),
            Whose::Behind(path) => format!("files that {} leads to", path.display()),
        };
        Some(format!("{hang} readings of {of} hang"))
    }

    /// None: as many of this owner's looks are under way as may be.
    pub(super) fn try_pass(self: &Arc<Self>, whose: &Whose) -> Option<Pass> {
        let permit = self.passes(whose).try_acquire_owned().ok()?;
        Some(self.pass(whose, permit))
    }

    /// Waits for its turn. `alone`: no other look of this owner's is under way meanwhile.
    pub(super) async fn wait_for_pass(self: &Arc<Self>, whose: &Whose, alone: bool) -> Option<Pass> {
        let passes = self.passes(whose);
        let permit = passes.acquire_many_owned(if alone { MOST_AT_ONCE } else { 1 }).await.ok()?;
        Some(self.pass(whose, permit))
    }

    fn pass(self: &Arc<Self>, whose: &Whose, permit: OwnedSemaphorePermit) -> Pass {
        Pass { whose: whose.clone(), owners: Arc::clone(self), permit: Some(permit) }
    }

    fn passes(&self, whose: &Whose) -> Arc<Semaphore> {
        Arc::clone(&self.lock().entry(whose.clone()).or_default().passes)
    }

    /// Forgets an owner without looks.
    fn clean(lanes: &mut HashMap<Whose, Lane>, whose: &Whose) {
        if let Entry::Occupied(lane) = lanes.entry(whose.clone())
            && lane.get().hang == 0
            && Arc::strong_count(&lane.get().passes) == 1
        {
            lane.remove();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        let mut lanes = self.0.lock();
        if let Some(lane) = lanes.get_mut(&self.1) {
            lane.hang -= 1;
        }
        Owners::clean(&mut lanes, &self.1);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut lanes = self.owners.lock();
        self.permit = None;
        Owners::clean(&mut lanes, &self.whose);
    }
}

/// What is behind a name, for those that hang there.
pub(super) fn behind(path: &Path) -> Whose {
    Whose::Behind(path.to_owned())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn what_one_owner_lets_hang_leaves_the_others_alone_and_root_has_no_bound() {
        let owners = Arc::<Owners>::default();
        let (user, other) = (Whose::User(1001), Whose::User(1002));
        let mut hang: Vec<Hang> = (0..MOST_HANG).map(|_| owners.hangs(user.clone())).collect();
        hang.extend((0..=MOST_HANG).map(|_| owners.hangs(Whose::Root)));
        assert_eq!(owners.refusal(&user).as_deref(), Some("32 readings of files of uid 1001 hang"));
        assert_eq!((owners.refusal(&other), owners.refusal(&Whose::Root)), (None, None));
        hang.remove(0);
        assert_eq!(owners.refusal(&user), None);
        drop(hang);
        assert!(owners.lock().is_empty());
    }

    #[test]
    fn looks_of_one_owner_wait_for_each_other_and_for_none_of_another_owner() {
        let owners = Arc::<Owners>::default();
        let (user, other) = (Whose::User(1001), Whose::FileSystem(7));
        let mut under_way: Vec<Pass> = (0..MOST_AT_ONCE).filter_map(|_| owners.try_pass(&user)).collect();
        assert_eq!(under_way.len(), MOST_AT_ONCE as usize);
        assert!(owners.try_pass(&user).is_none() && owners.try_pass(&other).is_some());
        let mut alone = Box::pin(owners.wait_for_pass(&user, true));
        assert!((&mut alone).now_or_never().is_none());
        under_way.pop();
        assert!((&mut alone).now_or_never().is_none(), "others are under way");
        drop(under_way);
        let pass = alone.now_or_never().flatten().expect("it is its turn");
        assert!(pass.is_for(&user) && owners.try_pass(&user).is_none());
        drop(pass);
        assert!(owners.lock().is_empty());
    }
}
