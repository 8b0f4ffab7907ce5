//! What the dialect asks of the world. The host answers for real, tests answer from a table.

use std::collections::BTreeSet;

use crate::{AccountRecord, Identity, Writer};

/// What is found at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// Why the world gives no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It cannot be had; a phrase says why: `No such file or directory`.
    Failed(String),
    /// What is needed to ask is used up on this host, or in the asking process; a phrase says what. Later there may be an answer.
    Lacking(String),
    /// It is more than was asked for.
    TooMuch,
    /// The reading is not wanted any more (its deadline has passed): it ends here. A phrase says why.
    Cancelled(String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(why) | Self::Lacking(why) | Self::Cancelled(why) => f.write_str(why),
            Self::TooMuch => f.write_str("it is more than a configuration may read"),
        }
    }
}

/// The world as the dialect may see it. Every method may block: it is called off the loop, with a deadline.
///
/// That something is not there is an answer (`Ok(None)`); that it could not be asked for, for want of a descriptor, is none
/// ([`NoAnswer`]): then the reading has failed, and the file may be right.
pub trait Lookup {
    /// The content of a file or of any scheme uWSGI reads a configuration from (`exec://`, `http://`: the host decides which).
    ///
    /// # Errors
    /// [`NoAnswer::TooMuch`] where it is longer than `most` bytes; no more than that is read.
    fn read(&self, source: &str, most: usize) -> Result<Vec<u8>, NoAnswer>;
    /// Who, besides root and the user who reads, may write the file at a path, or lead the path to another one; of a directory, who may
    /// name things in it.
    ///
    /// # Errors
    /// It cannot be told; then it is taken for everybody's.
    fn writers(&self, path: &str) -> Result<BTreeSet<Writer>, NoAnswer>;
    /// A phrase where the reading is not wanted any more: it ends at once, with an error. Asked often, so it must be cheap.
    fn cancelled(&self) -> Option<String> {
        None
    }
    /// What is at a path, symbolic links followed.
    ///
    /// # Errors
    /// It could not be asked.
    fn kind(&self, path: &str) -> Result<Option<Kind>, NoAnswer>;
    /// The paths that match a pattern, sorted.
    ///
    /// # Errors
    /// [`NoAnswer::TooMuch`] where they are more than `most`; the search ends there. A search that finds little may walk far:
    /// the world ends it with [`NoAnswer::Cancelled`]. [`NoAnswer::Failed`] where it could not be asked.
    fn glob(&self, pattern: &str, most: usize) -> Result<Vec<String>, NoAnswer>;
    /// An environment variable of the daemon.
    fn env(&self, name: &str) -> Option<String>;
    /// The names of all of them, for a hint to one that was mistyped.
    fn env_names(&self) -> Vec<String> {
        Vec::new()
    }
    /// The host name.
    fn hostname(&self) -> String;
    /// Seconds since the epoch (`%t`).
    fn now(&self) -> u64;
    /// The current directory of the one who reads (`%o`-like magic, relative paths).
    fn directory(&self) -> String;
    /// The daemon's own identity (`%u %U %g %G`): uid, user name, gid, group name.
    fn own_identity(&self) -> (u32, String, u32, String);
    /// Number of processors (`%k`).
    fn processors(&self) -> usize;
    /// A user by name or number: uid, primary gid, name. None where there is no such user *name*; a number always answers
    /// (gid None-like: equal to the uid's primary group, or the number itself where the user is unknown).
    ///
    /// # Errors
    /// It could not be asked.
    fn user(&self, name_or_number: &str) -> Result<Option<(u32, u32, String)>, NoAnswer>;
    /// A group by name or number.
    ///
    /// # Errors
    /// It could not be asked.
    fn group(&self, name_or_number: &str) -> Result<Option<u32>, NoAnswer>;
    /// What the accounts of this host say of a user's number.
    ///
    /// # Errors
    /// It could not be asked.
    fn account(&self, uid: u32) -> Result<Option<AccountRecord>, NoAnswer> {
        let _ = uid;
        Ok(None)
    }
    /// The content of a file that only root may read. The world refuses one that another user could write or read, and a path
    /// that leads through a directory or a link of another user's.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_secret(&self, path: &str, most: usize) -> Result<Vec<u8>, NoAnswer> {
        self.read(path, most)
    }
    /// All supplementary groups of a user, as `initgroups(3)` would set them.
    ///
    /// # Errors
    /// It could not be asked.
    fn groups_of(&self, user: &str, gid: u32) -> Result<Vec<u32>, NoAnswer>;
    /// The full path of a file, as `%p` shows it: links resolved, except where the file itself is one.
    fn full_path(&self, path: &str) -> String {
        crate::paths::absolute(path, &self.directory())
    }
    /// The inode of a file (`%i`).
    fn inode(&self, path: &str) -> Option<u64> {
        let _ = path;
        None
    }
    /// Where the uwsgi program lies (`%b`). Asked only where a file wants to know.
    fn uwsgi_binary(&self) -> String {
        "/usr/bin/uwsgi".into()
    }
    /// Which version it has (`%V`). Asked only where a file wants to know.
    fn uwsgi_version(&self) -> String {
        "2.0.21".into()
    }
    /// The whole identity for the `uid`, `gid`, `add-gid`, `no-initgroups` options of a vassal.
    ///
    /// # Errors
    /// As [`Self::groups_of`].
    fn identity(&self, uid: u32, gid: u32, user: Option<&str>, no_initgroups: bool, more: &[u32]) -> Result<Identity, NoAnswer> {
        let mut groups = match user {
            Some(user) if !no_initgroups => self.groups_of(user, gid)?,
            _ => Vec::new(),
        };
        groups.extend_from_slice(more);
        groups.sort_unstable();
        groups.dedup();
        Ok(Identity { uid, gid, groups })
    }
}
