//! Is this mount alive? One look, as its owner, in the vassal's own root.
//!
//! Why so much trouble for a statfs: for anybody but its mounter the kernel fakes an empty success on a FUSE mount
//! (without `allow_other`), dead or alive. And a path followed from here would take the symlinks of the host.
//!
//! Blocks for as long as the file system's daemon pleases, perhaps unkillably: called in the prober, one thread per look.
//! The path is followed first (see `follow`). The mount at its end is asked by a process that wears its owner's ids (see `switch`); a mount
//! made in a user namespace for all is asked from inside of it (see `inside`). Nothing stays open afterwards: an fd left on a mount would
//! make the vassal's own unmount fail.
//!
//! Measured on 6.18: a FUSE server that knows no statfs is heard as it answers, ENOSYS (libfuse answers zeroes for it). That is an answer:
//! a dead one says ENOTCONN. So is EOVERFLOW, a number that does not fit, and ERANGE, which fuse-zip says for as long as the directory
//! is gone that it was started in: files on it are read as before.

use std::{
    fmt, fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::OnceLock,
};

use nix::{
    errno::Errno,
    sys::statfs::{FUSE_SUPER_MAGIC, fstatfs},
};

use crate::{
    asker::Asker,
    follow::{self, Way, follow},
    inside,
    mountinfo::{self, Mount},
    reserve::Whose,
    statx,
    switch::{self, Owner},
};

/// What was seen of a mount that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which mount this is: the unique id where the kernel has one (6.8), else the classic one, which is reused.
    pub mount_id: u64,
    /// It is the unique one.
    pub is_unique: bool,
    /// What tells this mount from an earlier one of the same classic id and device. None: the id is unique, or it cannot be told now.
    pub digest: Option<u64>,
    /// Major and minor of the file system; for FUSE the minor names the connection under fusectl.
    pub device: (u32, u32),
    /// The type, as in mountinfo; empty for a mount that is not in it.
    pub fstype: String,
    /// The path is the root of a mount, not something on one.
    pub is_mountpoint: bool,
    /// Nothing is mounted for the path: it lies on the same mount as the root of the process, and that is the host's file system.
    pub not_mounted: bool,
    /// The classic id, where the mount is in the list of the process: it stands there under this number.
    pub listed: Option<u32>,
}

/// How far a probe under way has come, for whoever finds it late.
#[derive(Debug, Default)]
pub struct Progress {
    asks: OnceLock<(u32, u32)>,
    asker: Asker,
}

impl Progress {
    /// Of a look at a mount of this owner's vassal.
    #[must_use]
    pub fn new(whose: Whose) -> Self {
        Self { asks: OnceLock::new(), asker: Asker::new(whose) }
    }

    /// The file system that is being asked. None: the path is still being followed.
    #[must_use]
    pub fn asks(&self) -> Option<(u32, u32)> {
        self.asks.get().copied()
    }

    /// The process that asks for this probe as the mount's owner, or as a member of its user namespace. None: the probe's own thread asks.
    #[must_use]
    pub fn asker(&self) -> Option<i32> {
        self.asker.pid()
    }

    /// Ends that process, and the probe with it: its owner may have stopped it, or nobody waits for the probe any more.
    pub fn end_asker(&self) {
        self.asker.kill();
    }
}

/// What a probe was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeStage {
    /// Opening the root of the process: it is gone.
    Root,
    /// Following the path: somebody on the way said this.
    Path,
    /// Following the path as well: whoever looks lacked something for it, an fd or memory.
    Means,
    /// Asking which mount it is on.
    Stat,
    /// Looking the mount up in the process's list: it went away meanwhile.
    Mountinfo,
    /// Taking the identity of the mount's owner.
    Identity,
    /// The statfs itself: this is the file system's answer.
    Statfs,
}

/// A probe that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeError {
    /// What it was doing.
    pub stage: ProbeStage,
    /// The answer; `ENOTCONN` from a FUSE mount whose daemon died.
    pub errno: Errno,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            ProbeStage::Root => "open the root of the process",
            ProbeStage::Path => "follow the path",
            ProbeStage::Means => "get what it takes to follow the path",
            ProbeStage::Stat => "ask for the mount",
            ProbeStage::Mountinfo => "find the mount in mountinfo",
            ProbeStage::Identity => "become the owner of the mount",
            ProbeStage::Statfs => "statfs",
        };
        write!(f, "{stage}: {}", self.errno)
    }
}

impl std::error::Error for ProbeError {}

impl ProbeError {
    /// Whether this was said on the way to the mount or by the mount itself, not met by whoever looks.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        match self.stage {
            ProbeStage::Path | ProbeStage::Stat | ProbeStage::Statfs => true,
            ProbeStage::Root | ProbeStage::Means | ProbeStage::Mountinfo | ProbeStage::Identity => false,
        }
    }

    /// Whether whoever looks lacked something of his own.
    #[must_use]
    pub fn is_need(&self) -> bool {
        is_lack(self.errno) && !self.is_answer()
    }
}

/// An errno that a process meets for want of something: fds, files, memory, or a way through `..` that nobody changes meanwhile.
pub(crate) fn is_lack(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN)
}

/// Probes the mount under `path`, as the process `pid` sees it, as the mount's owner.
///
/// # Errors
/// The stage and its errno; [`ProbeError::is_answer`] tells whether it speaks of the file system.
pub fn probe(pid: i32, path: &str) -> Result<Seen, ProbeError> {
    probe_observed(pid, path, &Progress::default())
}

/// As [`probe`]; somebody else may see meanwhile how far it has come.
///
/// # Errors
/// As there.
pub fn probe_observed(pid: i32, path: &str, progress: &Progress) -> Result<Seen, ProbeError> {
    let at = |stage| move |errno| ProbeError { stage, errno };
    let root = follow::root_of(pid).map_err(at(ProbeStage::Root))?;
    let target = match follow(pid, root.as_fd(), path, &progress.asker)? {
        Way::Leads(target) => target,
        Way::Sleeps(seen) => return Ok(seen),
    };
    let (classic, is_mountpoint) = which_mount(target.as_fd()).map_err(at(ProbeStage::Stat))?;
    let with_root = !is_mountpoint && which_mount(root.as_fd()).is_ok_and(|(of_root, _)| of_root == classic);
    drop(root);
    let list = list_of(pid)?;
    let Some(mount) = mountinfo::find(&list, classic) else {
        return above_the_root(target.as_fd(), classic, is_mountpoint, with_root);
    };
    drop(list);
    progress.asks.get_or_init(|| mount.device);
    let classic_only = takes_classic_ids();
    let ask = || {
        let unique = || if classic_only { None } else { unique_id(target.as_fd()) };
        answered(statx::statfs(target.as_fd())).map(|()| unique())
    };
    let elsewhere = if mount.is_fuse() && mount.allows_others() {
        inside::other_user_namespace(pid).map_err(at(ProbeStage::Root))?
    } else {
        None
    };
    let answer = match (elsewhere, mount.fuse_owner().filter(|_| mount.is_fuse())) {
        (Some(namespace), _) => {
            let heard = inside::statfs(pid, &progress.asker, &namespace, target.as_fd()).map_err(at(ProbeStage::Identity))?;
            answered(heard).map(|()| None) // the unique id would not be told to us either
        }
        (None, Some((uid, gid))) => {
            // SAFETY: two system calls of an open file, which open none.
            unsafe { switch::ask(Owner { uid, gid }, &progress.asker, &[target.as_raw_fd()], ask) }
                .map_err(at(ProbeStage::Identity))?
        }
        (None, None) => ask(),
    };
    let unique = answer.map_err(at(ProbeStage::Statfs))?;
    let (mount_id, is_unique) = (unique.unwrap_or(classic), unique.is_some());
    let not_mounted = with_root && !mount.is_fuse() && is_of_host(mount.device);
    let digest = if is_unique { None } else { digest(&mount, target.as_fd(), is_mountpoint) };
    let listed = Some(mount.id);
    Ok(Seen { mount_id, is_unique, digest, listed, device: mount.device, fstype: mount.fstype, is_mountpoint, not_mounted })
}

/// Of what does not change as long as a mount stands. Not of the path of its root: that one changes with a rename of a directory that
/// is bound. Its number does not, and a tmpfs also says when it was made: one tmpfs has the same numbers as another.
fn digest(mount: &Mount, target: BorrowedFd<'_>, is_mountpoint: bool) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    (&mount.fstype, &mount.source).hash(&mut hasher);
    // The numbers of a FUSE mount are its daemon's words, and it has a connection to be known by.
    if is_mountpoint && !mount.is_fuse() {
        let wanted = libc::STATX_INO | if mount.fstype == "tmpfs" { libc::STATX_BTIME } else { 0 };
        let stat = statx::of_fd(target, wanted).ok()?;
        let made = Some(stat.stx_btime).filter(|_| stat.stx_mask & wanted & libc::STATX_BTIME != 0);
        (stat.stx_ino, made.map(|made| (made.tv_sec, made.tv_nsec))).hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// The variable that has a story see the classic ids, as kernels before 6.8 give them.
pub const CLASSIC_IDS: &str = "LIEGE_TEST_CLASSIC_MOUNT_IDS";

fn takes_classic_ids() -> bool {
    static TAKES: OnceLock<bool> = OnceLock::new();
    *TAKES.get_or_init(|| std::env::var_os(CLASSIC_IDS).is_some())
}

/// Whether the caller's own mount namespace has this file system. A root that the vassal made itself (an overlay, a tmpfs) is a mount
/// worth watching, a bind of the host's directory is not: its mount is the vassal's, its file system is not.
fn is_of_host(device: (u32, u32)) -> bool {
    fs::read("/proc/thread-self/mountinfo").is_ok_and(|list| mountinfo::brief(&list).any(|mount| mount.device == device))
}

/// The list of a process shows what is below its root. In a `chroot` whose directory is no mount itself, a path that stands on no mount
/// of the vassal's stands on one above, which is not listed; nor is one that went away meanwhile.
fn above_the_root(target: BorrowedFd<'_>, classic: u64, is_mountpoint: bool, with_root: bool) -> Result<Seen, ProbeError> {
    let at = |stage| move |errno| ProbeError { stage, errno };
    let answer = fstatfs(target).map_err(at(ProbeStage::Statfs))?;
    if answer.filesystem_type() == FUSE_SUPER_MAGIC {
        return Err(at(ProbeStage::Mountinfo)(Errno::ENOENT)); // who could ask it is not known, and to others it is kind
    }
    let stat = statx::of_fd(target, 0).map_err(at(ProbeStage::Stat))?;
    let unique = unique_id(target);
    let (mount_id, is_unique) = (unique.unwrap_or(classic), unique.is_some());
    let device = (stat.stx_dev_major, stat.stx_dev_minor);
    let not_mounted = with_root && is_of_host(device);
    Ok(Seen { mount_id, is_unique, digest: None, listed: None, device, fstype: String::new(), is_mountpoint, not_mounted })
}

/// That it knows no statfs is an answer of one who lives. So is that a number of it does not fit.
fn answered(said: nix::Result<()>) -> nix::Result<()> {
    match said {
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::ERANGE | Errno::EOVERFLOW) => Ok(()),
        said => said,
    }
}

pub(crate) fn list_of(pid: i32) -> Result<Vec<u8>, ProbeError> {
    fs::read(format!("/proc/{pid}/mountinfo")).map_err(|error| ProbeError {
        stage: ProbeStage::Mountinfo,
        errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
    })
}

/// The classic mount id, and whether this is the mount's root; without asking the daemon.
pub(crate) fn which_mount(fd: BorrowedFd<'_>) -> nix::Result<(u64, bool)> {
    let stat = statx::of_fd(fd, 0)?;
    if stat.stx_mask & libc::STATX_MNT_ID == 0 {
        return Err(Errno::ENOSYS);
    }
    Ok((stat.stx_mnt_id, statx::is_mount_root(&stat)))
}

/// The mount id that is never reused, where the kernel has one. It must be asked for by name, so as the owner.
fn unique_id(fd: BorrowedFd<'_>) -> Option<u64> {
    let stat = statx::of_fd(fd, libc::STATX_MNT_ID_UNIQUE).ok()?;
    (stat.stx_mask & libc::STATX_MNT_ID_UNIQUE != 0).then_some(stat.stx_mnt_id)
}
