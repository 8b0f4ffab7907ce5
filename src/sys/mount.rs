//! Mounts, their propagation, and the change of the root.

use std::path::Path;

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

/// Unmounts the target and everything below it. Detaching takes a whole tree at a time. Else the leaves of the tree go
/// first, the latest mounted before the others, since it may cover them; the list is read again each time, for what the
/// last unmount uncovered.
///
/// # Errors
/// EINVAL where nothing is mounted at all; else the kernel's answer for the first mount that stays.
pub fn umount_below(target: &str, detach: bool, force: bool) -> nix::Result<()> {
    let mut any = false;
    while detach && umount2(target, flags(detach, force)).is_ok() {
        any = true;
    }
    loop {
        let mounts = mountinfo::own().map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        let is_leaf = |m: &&mountinfo::Mount| !mounts.iter().any(|above| above.parent == m.id && above.id != m.id);
        let below = |m: &&mountinfo::Mount| Path::new(&m.mount_point).starts_with(target);
        // A path from the list is real; a link that takes its place meanwhile is not followed.
        let flags = flags(detach, force) | MntFlags::UMOUNT_NOFOLLOW;
        let mut first_error = None;
        let mut leaves = mounts.iter().rev().filter(below).filter(is_leaf);
        let gone = leaves.any(|leaf| match umount2(leaf.mount_point.as_os_str(), flags) {
            Ok(()) => true,
            Err(errno) => {
                first_error.get_or_insert(errno);
                false
            }
        });
        match first_error {
            _ if gone => any = true,
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
