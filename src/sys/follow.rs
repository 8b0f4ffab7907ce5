//! A path as a process of the vassal would follow it, to whatever stands at its end.
//!
//! Absolute symbolic links and `..` stay below the process's root, and no link of `/proc` leads out of it. Where the way leads through a
//! FUSE mount that lets only its owner pass, it is followed on from there as that owner, by a process of its own (`switch.rs`). The links
//! on it are the tenant's: they are followed below the root only, so many of them and no more. What is reached is told to nobody, only
//! asked whether it lives, as the owner of the mount it is on. A way through private mounts of two owners, where neither may pass the
//! other's, stays refused.
//!
//! An automount is not woken: `O_PATH` stops before an automount point that is the end of the path, and a path that leads through one is
//! not followed (`autofs` alone would wait for its daemon there, at every look again, and a mount that is looked at never expires). Only
//! as the path is written: a symbolic link into an automount is followed as the app would follow it.

use std::{
    ffi::CString,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2, readlinkat},
    sys::stat::Mode,
};

use crate::{
    asker::Asker,
    handed::{self, Hand},
    inside, mountinfo,
    probe::{ProbeError, ProbeStage, Seen, is_lack, list_of, which_mount},
    raw,
    switch::{self, Guise, Owner},
};

/// Where a path leads.
pub(crate) enum Way {
    /// To this.
    Leads(OwnedFd),
    /// Through an automount that nobody has woken.
    Sleeps(Seen),
}

/// The root of a process.
pub(crate) fn root_of(pid: i32) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(format!("/proc/{pid}/root").as_str(), flags, Mode::empty())
}

/// Follows a path in the root of a process. Blocks as long as the mounts on the way do.
///
/// # Errors
/// What was said on the way, or what was lacking for it.
pub(crate) fn follow(pid: i32, root: BorrowedFd<'_>, path: &str, asker: &Asker) -> Result<Way, ProbeError> {
    // A slash at the end would wake an automount point.
    let path = if path.trim_end_matches('/').is_empty() { path } else { path.trim_end_matches('/') };
    // What the kernel remembers is followed without asking anybody. That is nearly always all, and then the list need not be read for it.
    if let Ok(target) = open_inside(root, path, CACHED) {
        return Ok(Way::Leads(target));
    }
    let list = list_of(pid)?;
    if contains(&list, b" - autofs ")
        && let Some(mount) = automount_before(mountinfo::parse(&list), path)
    {
        return Ok(Way::Sleeps(Seen {
            mount_id: mount.id.into(),
            is_unique: false,
            digest: None,
            device: mount.device,
            fstype: mount.fstype,
            is_mountpoint: false,
            not_mounted: false,
            listed: None,
        }));
    }
    drop(list);
    match followed(root, path, asker) {
        Err(ProbeError { stage: ProbeStage::Path, errno: Errno::EACCES }) => as_owner(pid, root, path, asker).map(Way::Leads),
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

/// The daemon of a FUSE mount may answer what the kernel says to a process that lacks something. So that is asked again by one that lacks
/// nothing.
fn followed(root: BorrowedFd<'_>, path: &str, asker: &Asker) -> Result<OwnedFd, ProbeError> {
    let met = match open_inside(root, path, ResolveFlag::empty()) {
        Err(errno) if is_lack(errno) => errno,
        answer => return answer.map_err(|errno| ProbeError { stage: ProbeStage::Path, errno }),
    };
    let asked_again = CString::new(path).ok().and_then(|path| inside::follow(asker, root, &path).ok());
    Err(match asked_again {
        Some(Err(errno)) if is_lack(errno) => ProbeError { stage: ProbeStage::Path, errno },
        _ => ProbeError { stage: ProbeStage::Means, errno: met },
    })
}

fn open_inside(root: BorrowedFd<'_>, path: &str, also: ResolveFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT | also);
    // EAGAIN: a rename somewhere raced with the `..` of this walk. It is nobody's fault and soon over.
    for _ in 0..8 {
        match openat2(root, path, how) {
            Err(Errno::EAGAIN) if !also.contains(CACHED) => {}
            answer => return answer,
        }
    }
    Err(Errno::EAGAIN)
}

/// The way leads into a FUSE mount that lets only its owner pass: it is followed on from there as the owner of the mount that was reached.
/// Symbolic links that lead into one are read here, because the kernel refuses the whole of such a link.
fn as_owner(pid: i32, root: BorrowedFd<'_>, path: &str, asker: &Asker) -> Result<OwnedFd, ProbeError> {
    let refused = ProbeError { stage: ProbeStage::Path, errno: Errno::EACCES };
    let list = list_of(pid)?;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let (passed, reached) = farthest(root, &names).map_err(|errno| ProbeError { errno, ..refused })?;
        let mount = which_mount(reached.as_fd()).ok().and_then(|(id, _)| mountinfo::find(&list, id));
        let owner = mount.filter(mountinfo::Mount::is_fuse).as_ref().and_then(mountinfo::Mount::fuse_owner);
        if let Some((uid, gid)) = owner {
            return rest_as(Owner { uid, gid }, root, reached.as_fd(), &names[passed..].join("/"), asker);
        }
        let Some((link, rest)) = names[passed..].split_first() else { return Err(refused) };
        // The tenant's words: no link, or none that can be followed.
        let Some(target) = readlinkat(&reached, *link).ok().and_then(|target| target.into_string().ok()) else {
            return Err(refused);
        };
        let before = if target.starts_with('/') { String::new() } else { names[..passed].join("/") };
        path = [before, target, rest.join("/")].join("/");
        if path.len() > LONGEST_PATH {
            return Err(ProbeError { errno: Errno::ENAMETOOLONG, ..refused });
        }
        match followed(root, &path, asker) {
            Err(error) if error == refused => {}
            answer => return answer,
        }
    }
    Err(ProbeError { errno: Errno::ELOOP, ..refused })
}

/// As many links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// What a path may grow to by the links on it: as long as the kernel takes one.
const LONGEST_PATH: usize = libc::PATH_MAX as usize;

/// How many of these names can be passed, and what is there. Without the last one at least: all together were refused.
fn farthest(root: BorrowedFd<'_>, names: &[&str]) -> nix::Result<(usize, OwnedFd)> {
    let opened = |count: usize| open_inside(root, &format!("/{}", names[..count].join("/")), ResolveFlag::empty());
    let (mut passed, mut refused) = ((0, opened(0)?), names.len());
    while refused - passed.0 > 1 {
        let middle = usize::midpoint(passed.0, refused);
        match opened(middle) {
            Ok(reached) => passed = (middle, reached),
            Err(Errno::EACCES) => refused = middle,
            Err(errno) => return Err(errno),
        }
    }
    Ok(passed)
}

/// Follows the rest of a way from `at`, below `root`, as this owner.
fn rest_as(owner: Owner, root: BorrowedFd<'_>, at: BorrowedFd<'_>, rest: &str, asker: &Asker) -> Result<OwnedFd, ProbeError> {
    let failed = |stage| move |errno| ProbeError { stage, errno };
    let rest = CString::new(if rest.is_empty() { "." } else { rest }).map_err(|_| failed(ProbeStage::Path)(Errno::EINVAL))?;
    let (ours, theirs) = handed::pair().map_err(failed(ProbeStage::Means))?;
    let (root, at, hand) = (root.as_raw_fd(), at.as_raw_fd(), Hand::new(theirs.as_fd()));
    let open = [root, at, theirs.as_raw_fd()];
    let (mut seen, how) = ([0u64; 64], How::new()); // struct statx has 256 bytes
    let enter = || switch::enter(root);
    let walk = || match how.open(at, &rest) {
        Ok(fd) => hand.give(&[fd]).map_err(|errno| (ProbeStage::Means, errno)),
        // Its owner may have bounded this child. A question that needs no file tells whether the mount says so.
        Err(met) if is_lack(met) => {
            let flags = libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
            // SAFETY: a terminated path, and as much room as the kernel writes, which outlives the call.
            let again = unsafe { libc::syscall(libc::SYS_statx, at, rest.as_ptr(), flags, 0, seen.as_mut_ptr()) };
            Err(match raw::check(again) {
                Err(errno) if is_lack(errno) => (ProbeStage::Path, errno),
                Ok(_) | Err(_) => (ProbeStage::Means, met),
            })
        }
        Err(errno) => Err((ProbeStage::Path, errno)),
    };
    // SAFETY: system calls only; what they open is the child's own.
    let answer = unsafe { switch::ask_apart(Guise::Owner(owner), asker, &open, enter, walk) };
    answer.map_err(failed(ProbeStage::Identity))?.map_err(|(stage, errno)| failed(stage)(errno))?;
    handed::take(ours.as_fd()).map_err(failed(ProbeStage::Means))
}

/// `struct open_how`: `O_PATH`, and no link of `/proc`, which would lead out of the root.
struct How([u64; 3]);

impl How {
    fn new() -> Self {
        let flags = (OFlag::O_PATH | OFlag::O_CLOEXEC).bits() as u64;
        Self([flags, 0, libc::RESOLVE_NO_MAGICLINKS])
    }

    fn open(&self, at: RawFd, path: &std::ffi::CStr) -> Result<RawFd, Errno> {
        // SAFETY: a terminated path and a block as long as we say, which outlive the call.
        let fd = unsafe { libc::syscall(libc::SYS_openat2, at, path.as_ptr(), self.0.as_ptr(), size_of_val(&self.0)) };
        raw::check(fd).map(|fd| fd as RawFd)
    }
}
