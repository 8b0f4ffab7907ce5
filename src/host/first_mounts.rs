//! The mounts a life began with: what tells a mount of its own from one that was there before.
//!
//! A path on a disk of the host's answers also where nothing was mounted at the path. Whose a mount is only its time tells: a bind of a
//! directory of the host's is the vassal's own, and without a mount namespace the host's table has the vassal's mounts as well. So the list of
//! a clone that has done nothing yet is kept, for lives that watch mounts: 12 bytes a mount, read in 43 µs where there are ten.
//!
//! A classic id is used again when its mount has gone, so the file system must be the same too. After an `unshare` all ids are others, and
//! nothing is known then.

use std::{fs, os::unix::fs::MetadataExt};

use liege_core::{Came, Mounted};
use liege_sys::mountinfo;

/// The list, and the namespace it is of.
#[derive(Debug)]
pub(crate) struct FirstMounts {
    namespace: u64,
    /// Ids and file systems, in order.
    mounts: Vec<(u32, (u32, u32))>,
}

impl FirstMounts {
    /// Of a clone that has done nothing yet, by the text of its list. None: it is gone, or there is no `/proc`.
    pub(crate) fn of(pid: i32, text: &[u8]) -> Option<Self> {
        let mut mounts: Vec<_> = mountinfo::brief(text).map(|mount| (mount.id, mount.device)).collect();
        mounts.sort_unstable();
        Some(Self { namespace: namespace(pid)?, mounts })
    }

    /// Whether a process still has the mount namespace this list is of.
    pub(crate) fn is_of(&self, pid: i32) -> bool {
        namespace(pid) == Some(self.namespace)
    }

    /// When a mount came that stands in the list of now.
    pub(crate) fn came(&self, mount: &Mounted) -> Came {
        match mount.came {
            Came::Listed(id) if self.mounts.binary_search(&(id, mount.device)).is_ok() => Came::Before,
            Came::Listed(_) => Came::Since,
            known @ (Came::Unknown | Came::Before | Came::Since) => known,
        }
    }
}

fn namespace(pid: i32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/mnt")).ok().map(|namespace| namespace.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_known_by_its_number_and_its_file_system() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let first = FirstMounts::of(pid, &mountinfo::text_of(pid).unwrap()).unwrap();
        let one = mountinfo::own().unwrap().into_iter().next().unwrap();
        let seen = |id, device| {
            let came = Came::Listed(id);
            first.came(&Mounted { id: 1, device, came, ..Mounted::default() })
        };
        assert_eq!(seen(one.id, one.device), Came::Before);
        assert_eq!(seen(one.id, (0, 0)), Came::Since, "another mount has its number now");
        assert_eq!(seen(u32::MAX, one.device), Came::Since);
        assert!(first.is_of(pid) && !first.is_of(0));
    }
}
