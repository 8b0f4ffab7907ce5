//! Which file a vassal's name stands for, so that a file under a new name is known again.

use serde::{Deserialize, Serialize};

/// One inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InodeId {
    /// Its file system.
    pub device: u64,
    /// Its number there.
    pub number: u64,
    /// When it was made, in seconds and nanoseconds, where its file system tells: the number of a removed file is given to a new one.
    pub made: Option<(u64, u32)>,
}

/// The file a name stood for when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// What stands at the name itself. A symbolic link has an inode of its own, which a rename keeps.
    pub entry: InodeId,
    /// The regular file that was read. Many links may lead to one.
    pub target: InodeId,
}

impl FileId {
    /// Whether both were the same name, renamed at most, or lead to the same file.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.entry == other.entry || self.target == other.target
    }
}
