//! When a file changed, as far as its metadata can tell.
//!
//! Metadata alone is not enough: two writes within one tick of the file system's clock leave the same stamp. git's rule helps:
//! a stamp is *racy* when the file was read so soon after its modification time that a later write may hide behind it; a racy
//! file is read again at the next scan.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use liege_core::{FileId, InodeId};

/// Identity and times of a regular file (or, with nofollow, of the link to one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The coarsest clock of a file system in use (FAT's two seconds).
const GRANULARITY: Duration = Duration::from_secs(2);

/// A writer who has just truncated a file writes it within this time.
pub(super) const FRESH: Duration = Duration::from_millis(100);

impl Stamp {
    /// Of what stands at a path; None when it is no regular file (nor, with nofollow, a symbolic link).
    pub(super) fn of_path(path: &Path, nofollow: bool) -> io::Result<Option<Self>> {
        let found = if nofollow { fs::symlink_metadata(path)? } else { fs::metadata(path)? };
        let counts = found.is_file() || (nofollow && found.is_symlink());
        Ok(counts.then(|| Self::of(&found)))
    }

    pub(super) fn of(found: &fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether the file was touched: another modification time, whichever direction.
    pub(super) fn touched_since(&self, earlier: &Self) -> bool {
        self.modified != earlier.modified
    }

    /// Whether it was modified just before `now`: perhaps somebody is in the middle of it.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        now.abs_diff(since_epoch(self.modified)) < FRESH
    }

    /// Whether a write right after a reading that began at `read` could leave this same stamp.
    pub(super) fn is_racy(&self, read: SystemTime) -> bool {
        let read = read.duration_since(UNIX_EPOCH).unwrap_or_default();
        read < since_epoch(self.modified.max(self.changed)) + GRANULARITY
    }
}

/// The file that stands at a path now. Blocks.
pub(super) fn file_at(path: &Path) -> io::Result<FileId> {
    Ok(FileId { entry: inode_of(&fs::symlink_metadata(path)?), target: inode_of(&fs::metadata(path)?) })
}

pub(super) fn inode_of(found: &fs::Metadata) -> InodeId {
    let made = found.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    InodeId { device: found.dev(), number: found.ino(), made: made.map(|made| (made.as_secs(), made.subsec_nanos())) }
}

fn since_epoch((seconds, nanoseconds): (i64, i64)) -> Duration {
    Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: i64) -> Stamp {
        Stamp { device: 1, inode: 2, size: 3, modified: (seconds, 0), changed: (seconds, 0) }
    }

    #[test]
    fn a_reading_within_the_granularity_is_racy() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(stamp(100).is_racy(at(100)));
        assert!(stamp(100).is_racy(at(101)));
        assert!(!stamp(100).is_racy(at(102)));
        assert!(stamp(100).is_racy(at(50)), "a file from the future is always racy");
    }

    #[test]
    fn what_was_modified_just_now_is_fresh() {
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        assert!(stamp(100).is_fresh(at(100_050)) && stamp(100).is_fresh(at(99_950)));
        assert!(!stamp(100).is_fresh(at(100_100)) && !stamp(100).is_fresh(at(50_000)));
    }

    #[test]
    fn an_older_time_is_a_touch_too() {
        assert!(stamp(99).touched_since(&stamp(100)));
        assert!(!stamp(100).touched_since(&Stamp { inode: 9, ..stamp(100) }));
    }
}
