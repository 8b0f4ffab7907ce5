//! What a probe of a watched mount tells.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::errno_name;

/// How a mount is. All but `Gone` and `NotMounted` are a prober's words: which of the two it is, only who remembers can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Health {
    /// The mount's owner got an answer.
    Healthy,
    /// The mount answers with this error to its owner: its daemon is dead.
    Dead {
        /// `ENOTCONN`, `EIO`, `ECONNABORTED` ...
        errno: i32,
    },
    /// Something answers, but not the mount first seen: it was unmounted, replaced or covered.
    Gone,
    /// The path answers, but nothing is mounted there, and no mount was seen there in this run.
    NotMounted,
    /// No answer in time, and the daemon does nothing for it; where there is none (NFS, an overlay, a disk), nor does a device.
    Hung,
    /// No answer in time, but the daemon, or the device, works hard. Or none yet, for longer than usual.
    Slow,
    /// The probe could not be made: the vassal is on its way out, the prober was restarted or lacked something, or the mount lets nobody
    /// ask. Says nothing about the mount.
    Unknown {
        /// Why not.
        errno: i32,
    },
}

impl Health {
    /// Whether a person should look: the mount does not do its work, or nobody would notice if it did not. A slow one works.
    #[must_use]
    pub fn is_ill(self) -> bool {
        match self {
            Self::Dead { .. } | Self::Gone | Self::NotMounted | Self::Hung | Self::Unknown { .. } => true,
            Self::Healthy | Self::Slow => false,
        }
    }

    /// Why it cannot be looked at, in the words of the log.
    #[must_use]
    pub fn why_unknown(self) -> Option<String> {
        match self {
            Self::Unknown { errno } => Some(format!("{}; its death would not be noticed", errno_name(errno))),
            Self::Healthy | Self::Dead { .. } | Self::Gone | Self::NotMounted | Self::Hung | Self::Slow => None,
        }
    }

    /// The word people see, in log, status and the metric label `state`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Dead { .. } => "dead",
            Self::Gone => "gone",
            Self::NotMounted => "not_mounted",
            Self::Hung => "hung",
            Self::Slow => "slow",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// One probe's news. A probe that lasts tells more than once: each time it was looked at, then its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// How the mount is.
    pub health: Health,
    /// Microseconds since the probe's first system call began, not since it was asked for.
    pub micros: u64,
    /// Which mount answered.
    pub mount: Option<Mounted>,
    /// What was seen of a probe that is late.
    pub late: Option<Late>,
    /// The probe has no answer yet and is not late either: it takes longer than usual.
    #[serde(default)]
    pub is_early: bool,
}

impl Probed {
    /// News without a mount.
    #[must_use]
    pub fn of(health: Health) -> Self {
        Self { health, micros: 0, mount: None, late: None, is_early: false }
    }

    /// A probe that was asked for so long ago has no answer yet.
    #[must_use]
    pub fn awaited(micros: u64) -> Self {
        Self { micros, late: Some(Late::default()), is_early: true, ..Self::of(Health::Slow) }
    }
}

/// Which mount is under a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mounted {
    /// The unique id where the kernel has one (6.8), else the classic one, which is used again.
    pub id: u64,
    /// Major and minor: tells apart most of those with the same classic id.
    pub device: (u32, u32),
    /// The path is the root of this mount; else something on it, so nothing was mounted there at all.
    pub is_root: bool,
    /// An automount: nothing is mounted there until somebody needs it, and what is mounted then goes again when nobody does.
    #[serde(default)]
    pub sleeps: bool,
    /// Nothing is mounted there: it is a directory of the file system that the vassal's root was given.
    #[serde(default)]
    pub not_mounted: bool,
    /// What the kernel calls its FUSE connection. Told where the id may be used again: an unmount and a mount between two looks can give
    /// the same id and the same device. None: it has a better id, or none could be told.
    #[serde(default)]
    pub connection: Option<u64>,
    /// What else tells it from a mount of the same id and device: a digest of its type, its source and the root of its file system. Told
    /// where the id may be used again.
    #[serde(default)]
    pub digest: Option<u64>,
    /// Whether it was there before the vassal.
    #[serde(default)]
    pub came: Came,
}

/// When a mount came: the life's first list of mounts knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Came {
    /// Nobody can say.
    #[default]
    Unknown,
    /// It stands in the life's list under this classic id; what that means is still to be looked up.
    Listed(u32),
    /// Before the life: it is the host's, or another vassal's.
    Before,
    /// In this life, by the vassal's doing or by the host's.
    Since,
}

impl Mounted {
    /// A path on a mount that is not its root, though something is mounted above it: the mount answers, also where the one that was to be at
    /// the path itself never came.
    pub(crate) fn is_beside(&self) -> bool {
        !self.is_root && !self.sleeps && !self.not_mounted
    }

    /// Whether both are the same mount, as far as both are known.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let known = |of: &Self| Self { connection: None, digest: None, ..*of };
        let differ = |one: Option<u64>, other: Option<u64>| one.zip(other).is_some_and(|(one, other)| one != other);
        known(self) == known(other) && !differ(self.connection, other.connection) && !differ(self.digest, other.digest)
    }

    /// What is not told of it just now is as it was.
    pub(crate) fn completed(self, first: &Self) -> Self {
        Self { connection: self.connection.or(first.connection), digest: self.digest.or(first.digest), ..self }
    }
}

/// Why a probe hangs, as far as the kernel tells without being blocked itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Late {
    /// The mount that hangs; not always the watched one, which may lie below it.
    pub at: String,
    /// The number of its FUSE connection, where it is certain that this is what hangs: the kernel says that the look waits for it, or no other
    /// mount owes an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u32>,
    /// Requests that wait in its FUSE connection.
    pub waiting: Option<u64>,
    /// Its daemon: name, pid and state.
    pub daemon: Option<String>,
    /// Where in the kernel the look itself sleeps, where there is no daemon that could be blamed.
    #[serde(default)]
    pub sleeps: Option<String>,
    /// Who in the vassal sleeps where no signal reaches him: name, pid, kernel function.
    pub stuck: Vec<String>,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at)?;
        if let Some(waiting) = self.waiting {
            write!(f, ", {waiting} request{} waiting", if waiting == 1 { "" } else { "s" })?;
        }
        match (&self.daemon, self.waiting) {
            (Some(daemon), _) => write!(f, ", its daemon {daemon}")?,
            (None, Some(_)) => f.write_str(", its daemon is none of the vassal's processes")?,
            (None, None) => {}
        }
        if let Some(place) = &self.sleeps {
            write!(f, ", the look sleeps in {place}")?;
        }
        if let Some(first) = self.stuck.first() {
            write!(f, ", stuck on it: {first}")?;
            if self.stuck.len() > 1 {
                write!(f, " and {} more", self.stuck.len() - 1)?;
            }
        }
        Ok(())
    }
}
