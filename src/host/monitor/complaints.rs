//! What was complained about already: said once, not at every scan, and forgotten with its reason.
//!
//! Whatever goes takes its complaint along, so that it is made again when the trouble comes back, and so that a directory with
//! ever new names costs no memory in the long run.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Complaint {
    /// There is no inotify instance left.
    NoInstance,
    /// A directory that inotify refuses.
    Unwatched,
    /// What a link leads to, that inotify refuses.
    Unfollowed,
    /// A directory that cannot be listed.
    Unreadable,
    /// A file in a format that is not read.
    Format,
    /// A file that another monitor has.
    NameTaken,
}

/// All that are made and not forgotten.
#[derive(Debug, Default)]
pub(super) struct Complaints(HashSet<(Complaint, PathBuf)>);

impl Complaints {
    /// Remembers it; whether it is new, so that it must be said.
    pub(super) fn is_new(&mut self, complaint: Complaint, path: &Path) -> bool {
        self.0.insert((complaint, path.to_owned()))
    }

    /// The reason is gone; whether there was one.
    pub(super) fn forget(&mut self, complaint: Complaint, path: &Path) -> bool {
        self.0.remove(&(complaint, path.to_owned()))
    }

    /// Of this kind only those about these paths still have their reason.
    pub(super) fn keep(&mut self, complaint: Complaint, still: impl Fn(&Path) -> bool) {
        self.0.retain(|(kind, path)| *kind != complaint || still(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_made_once_until_its_reason_is_gone() {
        let mut complaints = Complaints::default();
        let (a, b) = (Path::new("a.yml"), Path::new("b.yml"));
        assert!(complaints.is_new(Complaint::Format, a) && complaints.is_new(Complaint::Format, b));
        assert!(!complaints.is_new(Complaint::Format, a));
        complaints.forget(Complaint::Format, a);
        assert!(complaints.is_new(Complaint::Format, a));
        assert!(complaints.is_new(Complaint::Unreadable, a), "another kind is another complaint");
        complaints.keep(Complaint::Format, |path| path == a);
        assert!(complaints.is_new(Complaint::Format, b));
        assert!(!complaints.is_new(Complaint::Format, a) && !complaints.is_new(Complaint::Unreadable, a));
    }
}
