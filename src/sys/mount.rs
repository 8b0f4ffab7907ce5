//! Mounts, their propagation, and the change of the root.

use std::{
    ffi::CString,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2},
    mount::{MntFlags, MsFlags, umount2},
    sys::stat::Mode,
    unistd,
};

use crate::{mountinfo, statx};

/// `mount(2)`. Empty words are passed as null, as the kernel wants them where the flags need none.
///
/// # Errors
/// The kernel's.
pub fn mount(fstype: &str, source: &str, target: &str, flags: u64, data: &str) -> nix::Result<()> {
    let flags = MsFlags::from_bits_retain(flags as libc::c_ulong);
    nix::mount::mount(some(source), target, some(fstype), flags, some(data))
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// What mounts and unmounts on one side mean for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Nothing either way. What the host unmounts stays busy in here.
    Private,
    /// The host's mounts and unmounts arrive, ours stay with us.
    Slave,
}

/// Sets the propagation of `/` and everything below.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN` over the mount namespace; EINVAL when `/` is no mount point.
pub fn propagate(propagation: Propagation) -> nix::Result<()> {
    let kind = match propagation {
        Propagation::Private => MsFlags::MS_PRIVATE,
        Propagation::Slave => MsFlags::MS_SLAVE,
    };
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | kind, None::<&str>)
}

/// `umount2(2)`.
///
/// # Errors
/// The kernel's: EINVAL where nothing is mounted, EBUSY while it is used and not detached.
pub fn umount(target: &str, detach: bool, force: bool) -> nix::Result<()> {
    umount2(target, flags(detach, force))
}

/// Unmounts this mount and no other: `point` and `id` are those of its line in the mount table. Changes the working directory.
///
/// Several users may own the directories on the way. No link in them is followed, and the id is compared where the mount stands:
/// a directory that was replaced after the table was read cannot lead to a mount of the host.
///
/// # Errors
/// ESTALE: another mount is there now. EBUSY while it is used and not detached. EACCES below a FUSE mount that lets only its owner
/// in. Else the kernel's.
pub fn umount_exactly(point: &Path, id: u32, detach: bool) -> nix::Result<()> {
    let (directory, name) = place_of(point, id)?;
    unistd::fchdir(&directory)?;
    umount2(name.as_c_str(), flags(detach, false) | MntFlags::UMOUNT_NOFOLLOW)
}

/// Detaches this mount and no other, as [`umount_exactly`] does, without a change of the working directory: threads share it.
///
/// # Errors
/// The same; ENOENT also without `/proc`.
pub fn detach_exactly(point: &Path, id: u32) -> nix::Result<()> {
    let (directory, name) = place_of(point, id)?;
    let mount = openat(&directory, name.as_c_str(), OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    // What was opened may be another one than what was looked at.
    if statx::of_fd(mount.as_fd(), 0)?.stx_mnt_id != u64::from(id) {
        return Err(Errno::ESTALE);
    }
    umount2(format!("/proc/self/fd/{}", mount.as_raw_fd()).as_str(), MntFlags::MNT_DETACH)
}

/// Has the file system of this mount and of no other written to what it lies on, with the same care as [`umount_exactly`].
///
/// # Errors
/// ESTALE: another mount is there now. EIO: it could not be written. Else the kernel's.
pub fn sync_exactly(point: &Path, id: u32) -> nix::Result<()> {
    let (directory, name) = place_of(point, id)?;
    let how = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    unistd::syncfs(openat(&directory, name.as_c_str(), how, Mode::empty())?)
}

/// The directory a mount stands in, and its name there.
fn place_of(point: &Path, id: u32) -> nix::Result<(OwnedFd, CString)> {
    let (Some(parent), Some(name)) = (point.parent(), point.file_name()) else { return Err(Errno::EINVAL) };
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let directory: OwnedFd = openat2(AT_FDCWD, parent, how)?;
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
    if statx::of_name(directory.as_fd(), &name)?.stx_mnt_id != u64::from(id) {
        return Err(Errno::ESTALE);
    }
    Ok((directory, name))
}

/// Gives a mount these attributes (`MS_*` bits) beside those it has, and every mount below it too if that is wanted. A
/// `mount(2)` with `MS_REMOUNT` would take away those that are not named, of a bind that was `nosuid` too.
///
/// # Errors
/// ENOSYS before Linux 5.12; EINVAL where nothing is mounted; EPERM.
pub fn set_attributes(target: &str, flags: u64, recursive: bool) -> nix::Result<()> {
    /// `struct mount_attr`
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const NOATIME: u64 = 0x10;
    const ALL_ATIME: u64 = 0x70;
    let has = |flag: MsFlags| flags & flag.bits() != 0;
    // The first four are the same bits in both calls.
    let mut set = flags & (MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC).bits();
    let mut clear = 0;
    if has(MsFlags::MS_NOATIME) || has(MsFlags::MS_RELATIME) {
        clear = ALL_ATIME; // its kinds are one number, and relatime is zero
        set |= if has(MsFlags::MS_NOATIME) { NOATIME } else { 0 };
    }
    let attributes = Attributes { set, clear, propagation: 0, user_namespace: 0 };
    let path = std::ffi::CString::new(target).map_err(|_| Errno::EINVAL)?;
    let how = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: a terminated path and a block as long as we say, both of which outlive the call, which only reads them.
    let answer = unsafe {
        libc::syscall(libc::SYS_mount_setattr, libc::AT_FDCWD, path.as_ptr(), how, &raw const attributes, size_of::<Attributes>())
    };
    Errno::result(answer).map(drop)
}

/// Unmounts the target and everything below it, the latest mounted before the others, since it may cover them or stand on
/// them; the list is read again as long as that takes something away, for what was uncovered. Detaching takes a whole tree
/// at a time, and needs no list for it.
///
/// # Errors
/// EINVAL where nothing is mounted at all; else the kernel's answer for the first mount that stays.
pub fn umount_below(target: &str, detach: bool, force: bool) -> nix::Result<()> {
    let mut any = false;
    while detach && umount2(target, flags(detach, force)).is_ok() {
        any = true;
    }
    loop {
        let mounts = match mountinfo::own() {
            Ok(mounts) => mounts,
            // A root without /proc: the tree at least is gone.
            Err(_) if any => return Ok(()),
            Err(error) => return Err(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
        };
        let (mut progress, mut first_error) = (false, None);
        for mount in mounts.iter().rev().filter(|m| Path::new(&m.mount_point).starts_with(target)) {
            // A path from the list is real; a link that takes its place meanwhile is not followed.
            match umount2(mount.mount_point.as_os_str(), flags(detach, force) | MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) => progress = true,
                Err(errno) => drop(first_error.get_or_insert(errno)),
            }
        }
        match first_error {
            _ if progress => any = true,
            Some(errno) => return Err(errno),
            None if any => return Ok(()),
            None => return Err(Errno::EINVAL),
        }
    }
}

fn flags(detach: bool, force: bool) -> MntFlags {
    let mut flags = MntFlags::empty();
    flags.set(MntFlags::MNT_DETACH, detach);
    flags.set(MntFlags::MNT_FORCE, force);
    flags
}

/// Makes `new` the root and puts the old one at `old`, a path as seen from outside (`/ufs/.old_root`). Afterwards the
/// working directory is the new `/`.
///
/// # Errors
/// EBUSY: `new` is no mount of its own. EINVAL: the root is shared, or `old` is not below `new`. ENOENT: one is not there.
pub fn pivot_root(new: &str, old: &str) -> nix::Result<()> {
    let inside = below(new, old).ok_or(Errno::EINVAL)?;
    unistd::chdir(new)?;
    // uWSGI enters the new root first and takes the old place relative to it, so a FUSE root is asked as little as possible.
    unistd::pivot_root(".", if inside.is_empty() { "." } else { inside })?;
    unistd::chdir("/")
}

/// The old root's place as seen from the new root; a relative one is there already. None: it lies elsewhere. From inside, `/etc` of
/// the host would be taken for that of the new root, and the old root be put upon it.
fn below<'a>(new: &str, old: &'a str) -> Option<&'a str> {
    if !old.starts_with('/') {
        return Some(old);
    }
    let rest = old.strip_prefix(new.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

/// `chroot(2)` and into it.
///
/// # Errors
/// The kernel's.
pub fn chroot(root: &str) -> nix::Result<()> {
    unistd::chroot(root)?;
    unistd::chdir("/")
}

/// A fresh `/proc` that shows the pid namespace of the caller.
///
/// # Errors
/// EPERM when the present `/proc` is partly covered and we are in a user namespace; ENOENT without `/proc`.
pub fn fresh_proc() -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    nix::mount::mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
}
