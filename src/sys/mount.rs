//! Mounts, their propagation, and the change of the root.

use std::os::unix::ffi::OsStrExt;

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, umount2},
    unistd,
};

use crate::mountinfo;

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

/// Unmounts the target and everything below it, deepest first. The list is read again until nothing is left, because
/// mounts may stand one upon the other and detaching one uncovers the next.
///
/// # Errors
/// EINVAL where nothing is mounted at all, ENOENT without `/proc`, else the kernel's for the first mount that stays.
pub fn umount_below(target: &str, detach: bool, force: bool) -> nix::Result<()> {
    let target = target.trim_end_matches('/').as_bytes();
    let mut any = false;
    loop {
        let mounts = mountinfo::own().map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        let below = |path: &[u8]| path.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
        // The list is in the order of mounting: the last of the deepest is the topmost.
        let deepest = mounts
            .iter()
            .map(|m| m.mount_point.as_bytes())
            .filter(|path| below(path))
            .max_by_key(|path| path.iter().filter(|&&b| b == b'/').count());
        match deepest {
            Some(path) => umount2(path, flags(detach, force))?,
            None if any => return Ok(()),
            None => return Err(Errno::EINVAL),
        }
        any = true;
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
/// EINVAL: `new` is no mount point, the root is shared, or `old` is not below `new`. ENOENT: one of them is not there.
pub fn pivot_root(new: &str, old: &str) -> nix::Result<()> {
    unistd::chdir(new)?;
    // uWSGI enters the new root first and takes the old place relative to it, so a FUSE root is asked as little as possible.
    let inside = old.strip_prefix(new.trim_end_matches('/')).unwrap_or(old).trim_start_matches('/');
    unistd::pivot_root(".", if inside.is_empty() { "." } else { inside })?;
    unistd::chdir("/")
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
