//! How far a look has come, for those that wait for it.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    owners::{Owners, Pass, Whose, behind},
    stamp::Stamp,
    trail,
};
use crate::whereabouts::Whereabouts;

/// One look. Shared by the thread that makes it and by those that wait for it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) at: Whereabouts,
    /// The name as it stood when the look began.
    entry: OnceLock<Stamp>,
    /// None: it is not known yet.
    whose: Mutex<Option<Whose>>,
    /// Of an owner with a bound.
    pass: Mutex<Option<Pass>>,
    is_done: AtomicBool,
}

/// Whether a look may go on.
#[derive(Debug)]
pub(super) enum May {
    GoOn,
    /// For this reason it is not made.
    Not(String),
    /// Other looks of this owner's come first.
    Wait(Whose),
}

impl Progress {
    /// A look that is over.
    pub(super) fn of_the_past() -> Self {
        Self { is_done: AtomicBool::new(true), ..Self::default() }
    }

    /// The look begins, or begins once more. Blocks. What of a name that is a link can be asked last is what it leads to.
    pub(super) fn begin(&self, path: &Path, owners: &Arc<Owners>) -> May {
        let directory = path.parent().unwrap_or(path);
        if let Some(why) = owners.refusal(&behind(directory)) {
            return May::Not(why);
        }
        self.at.set(path);
        let Ok(found) = fs::symlink_metadata(path) else { return May::GoOn };
        self.entry.set(Stamp::of(&found)).ok();
        match Whose::of(&found) {
            // What a tenant's file makes root wait for is the tenant's, also where root has made a link to it.
            Whose::Root if found.is_symlink() => {
                let may = self.follow(path, owners);
                self.at.set(path);
                may
            }
            whose => self.is_of(whose, owners),
        }
    }

    /// Goes the way of root's link, and stops where no more may hang.
    fn follow(&self, path: &Path, owners: &Arc<Owners>) -> May {
        let mut may = May::GoOn;
        let mut owner = Whose::Root;
        let whole = trail::walk(path, &mut |next, found| {
            match found {
                None => match owners.refusal(&behind(next)) {
                    Some(why) => may = May::Not(why),
                    None => self.at.set(next),
                },
                // Each further name is asked of its daemon, or is where that has led.
                Some(_) if matches!(owner, Whose::FileSystem(_)) => {}
                Some(found) => {
                    owner = Whose::of(found);
                    if let Whose::FileSystem(_) = owner {
                        may = self.is_of(owner.clone(), owners);
                    }
                }
            }
            matches!(may, May::GoOn)
        });
        match may {
            May::GoOn if whole => self.is_of(owner, owners),
            may => may,
        }
    }

    fn is_of(&self, whose: Whose, owners: &Arc<Owners>) -> May {
        if let Some(why) = owners.refusal(&whose) {
            return May::Not(why);
        }
        *lock(&self.whose) = Some(whose.clone());
        let mut pass = lock(&self.pass);
        if matches!(whose, Whose::Root) || pass.as_ref().is_some_and(|pass| pass.is_for(&whose)) {
            return May::GoOn;
        }
        *pass = None;
        *pass = owners.try_pass(&whose);
        if pass.is_some() { May::GoOn } else { May::Wait(whose) }
    }

    /// It was waited for.
    pub(super) fn has_pass(&self, pass: Option<Pass>) {
        *lock(&self.pass) = pass;
    }

    /// It is late, and others may go on.
    pub(super) fn give_pass_back(&self) {
        self.has_pass(None);
    }

    /// It waits for its turn, and hangs nowhere.
    pub(super) fn waits(&self) {
        self.give_pass_back();
        self.at.leave();
    }

    pub(super) fn finish(&self) {
        self.give_pass_back();
        self.is_done.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }

    /// For how long what it asks has not answered.
    pub(super) fn since(&self) -> Option<Duration> {
        self.at.get().map(|(_, since)| since)
    }

    pub(super) fn entry(&self) -> Option<Stamp> {
        self.entry.get().copied()
    }

    /// Whom it counts for, as long as it hangs.
    pub(super) fn whose(&self) -> Whose {
        lock(&self.whose).clone().unwrap_or_else(|| {
            let at = self.at.path();
            // Before anything is known of a name, its directory is what hangs.
            if self.entry.get().is_some() { behind(&at) } else { behind(at.parent().unwrap_or(&at)) }
        })
    }

    /// What does not answer, as the end of a sentence about a file that cannot be read. `first`: the first look that has come to no end.
    pub(super) fn why(&self, first: Option<&Self>) -> String {
        let (own, first) = (self.at.get(), first.and_then(|first| first.at.get()));
        let longest = match (own, first) {
            (Some((path, since)), Some((same, longer))) if same == path => Some((path, since.max(longer))),
            (own, first) => own.or(first),
        };
        match longest {
            Some((path, since)) => format!("{} has not answered for {} s", path.display(), since.as_secs()),
            None => "it waits for its turn, because other files do not answer".to_owned(),
        }
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
