//! Is this mount alive? One look, as its owner, in the vassal's own root.
//!
//! Why so much trouble for a statfs: for anybody but its mounter the kernel fakes an empty success on a FUSE mount
//! (without `allow_other`), dead or alive. And a path followed from here would take the symlinks of the host.
//!
//! Blocks for as long as the file system's daemon pleases, perhaps unkillably: called in the prober, one thread per look.
//! The thread wears the mount's owner meanwhile (see `switch`); a mount made in a user namespace for all is asked from inside
//! of it (see `inside`). Nothing stays open afterwards: an fd left on a mount would
//! make the vassal's own unmount fail.
//!
//! Measured on 6.18: a FUSE server that knows no statfs is heard as it answers, ENOSYS (libfuse answers zeroes for it). That is an answer: who
//! is dead says ENOTCONN. An automount is not woken: `O_PATH` stops before an automount point that is the end of the path, and a
//! path that leads through one is not followed (`autofs` alone would wait for its daemon there, at every look again, and a mount that is
//! looked at never expires). Only as the path is written: who puts a symbolic link into an automount has it followed as his app would.

use std::{
    ffi::CString,
    fmt, fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::OnceLock,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::{
        stat::Mode,
        statfs::{FUSE_SUPER_MAGIC, fstatfs},
    },
};

use crate::{inside, mountinfo, statx, switch};

/// What was seen of a mount that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which mount this is: the unique id where the kernel has one (6.8), else the classic one, which is reused.
    pub mount_id: u64,
    /// Major and minor of the file system; for FUSE the minor names the connection under fusectl.
    pub device: (u32, u32),
    /// The type, as in mountinfo; empty for a mount that is not in it.
    pub fstype: String,
    /// The path is the root of a mount, not something on one.
    pub is_mountpoint: bool,
    /// Nothing is mounted for the path: it lies on the same mount as the root of the process, and that is the host's file system.
    pub not_mounted: bool,
}

/// How far a probe under way has come, for whoever finds it late.
#[derive(Debug, Default)]
pub struct Progress(OnceLock<(u32, u32)>);

impl Progress {
    /// The file system that is being asked. None: the path is still being followed.
    #[must_use]
    pub fn asks(&self) -> Option<(u32, u32)> {
        self.0.get().copied()
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
fn is_lack(errno: Errno) -> bool {
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
    let root = root_of(pid).map_err(at(ProbeStage::Root))?;
    let target = match walk(pid, root.as_fd(), path)? {
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
    progress.0.get_or_init(|| mount.device);
    let ask = || answered(fstatfs(&target).map(drop)).map(|()| unique_id(target.as_fd()));
    let elsewhere = if mount.is_fuse() && mount.allows_others() {
        inside::other_user_namespace(pid).map_err(at(ProbeStage::Root))?
    } else {
        None
    };
    let answer = match (elsewhere, mount.fuse_owner().filter(|_| mount.is_fuse())) {
        (Some(namespace), _) => {
            let heard = inside::statfs(&namespace, target.as_fd()).map_err(at(ProbeStage::Identity))?;
            answered(heard).map(|()| None) // the unique id would not be told to us either
        }
        (None, Some((uid, gid))) => switch::worn_by(uid, gid, ask).map_err(at(ProbeStage::Identity))?,
        (None, None) => ask(),
    };
    let mount_id = answer.map_err(at(ProbeStage::Statfs))?.unwrap_or(classic);
    let not_mounted = with_root && !mount.is_fuse() && is_of_host(mount.device);
    Ok(Seen { mount_id, device: mount.device, fstype: mount.fstype, is_mountpoint, not_mounted })
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
    let mount_id = unique_id(target).unwrap_or(classic);
    let device = (stat.stx_dev_major, stat.stx_dev_minor);
    let not_mounted = with_root && is_of_host(device);
    Ok(Seen { mount_id, device, fstype: String::new(), is_mountpoint, not_mounted })
}

fn root_of(pid: i32) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(format!("/proc/{pid}/root").as_str(), flags, Mode::empty())
}

/// The path as the process would follow it: absolute symlinks and `..` stay below its root.
/// Where a path leads.
enum Way {
    /// To this.
    Leads(OwnedFd),
    /// Through an automount that nobody has woken.
    Sleeps(Seen),
}

fn walk(pid: i32, root: BorrowedFd<'_>, path: &str) -> Result<Way, ProbeError> {
    // A slash at the end would wake an automount point.
    let path = if path.trim_end_matches('/').is_empty() { path } else { path.trim_end_matches('/') };
    // What the kernel remembers is followed without asking anybody. That is nearly always all, and then the list need not be read for it.
    if let Ok(target) = inside(root, path, ResolveFlag::RESOLVE_IN_ROOT | CACHED) {
        return Ok(Way::Leads(target));
    }
    let list = list_of(pid)?;
    if contains(&list, b" - autofs ")
        && let Some(mount) = automount_before(mountinfo::parse(&list), path)
    {
        return Ok(Way::Sleeps(Seen {
            mount_id: mount.id.into(),
            device: mount.device,
            fstype: mount.fstype,
            is_mountpoint: false,
            not_mounted: false,
        }));
    }
    drop(list);
    match followed(root, path) {
        Err(ProbeError { stage: ProbeStage::Path, errno: Errno::EACCES }) => followed_as_owner(pid, root, path).map(Way::Leads),
        answer => answer.map(Way::Leads),
    }
}

/// `RESOLVE_CACHED` (Linux 5.12; before, EINVAL): EAGAIN where somebody would have to be asked, also an automount.
const CACHED: ResolveFlag = ResolveFlag::from_bits_retain(libc::RESOLVE_CACHED);

/// The automount point through which a path leads, as it is written, if nothing is mounted there now.
fn automount_before(mounts: Vec<mountinfo::Mount>, path: &str) -> Option<mountinfo::Mount> {
    let on_the_way = |m: &mountinfo::Mount| Path::new(path).starts_with(&m.mount_point);
    // The last of those on one point is the one that is seen.
    let nearest = mounts.into_iter().filter(on_the_way).max_by_key(|m| m.mount_point.len())?;
    (nearest.fstype == "autofs" && nearest.mount_point != path).then_some(nearest)
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// That it knows no statfs is an answer of one who lives.
fn answered(said: nix::Result<()>) -> nix::Result<()> {
    match said {
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => Ok(()),
        said => said,
    }
}

/// The daemon of a FUSE mount may answer what the kernel says to whoever lacks something. So that is asked again by one who lacks nothing.
fn followed(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, ProbeError> {
    let met = match inside(root, path, ResolveFlag::RESOLVE_IN_ROOT) {
        Err(errno) if is_lack(errno) => errno,
        answer => return answer.map_err(|errno| ProbeError { stage: ProbeStage::Path, errno }),
    };
    let asked_again = CString::new(path).ok().and_then(|path| inside::follow(root, &path).ok());
    Err(match asked_again {
        Some(Err(errno)) if is_lack(errno) => ProbeError { stage: ProbeStage::Path, errno },
        _ => ProbeError { stage: ProbeStage::Means, errno: met },
    })
}

fn inside(root: BorrowedFd<'_>, path: &str, resolve: ResolveFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve);
    // EAGAIN: a rename somewhere raced with the `..` of this walk. It is nobody's fault and soon over.
    for _ in 0..8 {
        match openat2(root, path, how) {
            Err(Errno::EAGAIN) if !resolve.contains(CACHED) => {}
            answer => return answer,
        }
    }
    Err(Errno::EAGAIN)
}

/// The way leads through a FUSE mount that lets only its owner pass: followed as the owner of the last one on the way.
fn followed_as_owner(pid: i32, root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, ProbeError> {
    let at = |stage| move |errno| ProbeError { stage, errno };
    let on_the_way = |m: &mountinfo::Mount| Path::new(path).starts_with(&m.mount_point);
    let mounts = mountinfo::parse(&list_of(pid)?);
    let last = mounts.iter().filter(|m| m.is_fuse() && on_the_way(m)).max_by_key(|m| m.mount_point.len());
    let (uid, gid) = last.and_then(mountinfo::Mount::fuse_owner).ok_or_else(|| at(ProbeStage::Path)(Errno::EACCES))?;
    switch::worn_by(uid, gid, || followed(root, path)).map_err(at(ProbeStage::Identity))?
}

fn list_of(pid: i32) -> Result<Vec<u8>, ProbeError> {
    fs::read(format!("/proc/{pid}/mountinfo")).map_err(|error| ProbeError {
        stage: ProbeStage::Mountinfo,
        errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
    })
}

/// The classic mount id, and whether this is the mount's root; without asking the daemon.
fn which_mount(fd: BorrowedFd<'_>) -> nix::Result<(u64, bool)> {
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
