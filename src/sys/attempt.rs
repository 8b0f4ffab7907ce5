//! What this kernel does for us, found out by trying instead of by its version: distributions carry features back, containers
//! take them away. Every attempt is harmless: it changes nothing outside of a child that ends at once, or of an fd that is closed.

use std::{
    ffi::{CStr, c_void},
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
    ptr,
    sync::atomic::AtomicI32,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::{stat::Mode, statvfs},
    unistd::{AccessFlags, access},
};

use crate::{
    clone::Namespaces,
    detached,
    identity::{self, Identity},
    raw::{self, check},
    signals, statx, vfork, wait,
};

/// A child in new namespaces, born into a control group of version 2 if one is given, that ends at once: what every birth of a
/// vassal begins with.
///
/// # Errors
/// ENOSYS: no `clone3`; EPERM: not allowed; EINVAL, E2BIG: the kernel has not this kind of namespace, or no birth into a group;
/// ENOSPC: a limit of `/proc/sys/user`.
pub fn birth(namespaces: Namespaces, group: Option<BorrowedFd<'_>>) -> nix::Result<()> {
    let blocked = signals::block_all_in_thread();
    // SAFETY: all signals are blocked; `leave` makes one raw call that ends the child and looks at no data.
    let made = unsafe { vfork::spawn(namespaces.flags(), group, &AtomicI32::new(0), leave, ptr::null_mut()) };
    drop(blocked);
    let (pid, pidfd) = made?;
    // SAFETY: the kernel has just made this fd for us, and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(pidfd) });
    wait::reap_blocking(pid);
    Ok(())
}

/// # Safety
/// None is needed: it looks at nothing.
unsafe extern "C" fn leave(_: *mut c_void, _: bool) -> ! {
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(0) }
}

/// A user namespace made by an ordinary user, in a child. Root only, who can become one.
///
/// # Errors
/// EPERM, EACCES: a sysctl or a security module forbids it; ENOSPC: there may be none.
pub fn user_namespace_of(user: u32) -> nix::Result<()> {
    in_child(|| {
        identity::take(&Identity { uid: user, gid: user, groups: &[] })?;
        // SAFETY: numbers only; the child is alone in its process.
        check(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER) }).map(drop)
    })
}

/// Whether a user may open a file for reading and writing, by opening it as him, in a child. Root only, who can become one.
///
/// # Errors
/// Why not.
pub fn open_as(user: u32, path: &CStr) -> nix::Result<()> {
    in_child(|| {
        identity::take(&Identity { uid: user, gid: user, groups: &[] })?;
        open_here(path)
    })
}

/// The same as whoever we are.
///
/// # Errors
/// Why not.
pub fn open_here(path: &CStr) -> nix::Result<()> {
    // SAFETY: a terminated string that outlives the call.
    let fd = check(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made this fd for us.
    drop(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    Ok(())
}

/// Runs raw calls in a child, and gives their outcome.
fn in_child(work: impl FnOnce() -> nix::Result<()>) -> nix::Result<()> {
    let (report, tell) = raw::report_pipe()?;
    // SAFETY: what is run are raw calls, and the child leaves behind them.
    match unsafe { raw::fork(0) }? {
        raw::Side::Child => {
            let errno = work().map_or_else(|errno| errno as i32, |()| 0);
            raw::leave(tell.as_raw_fd(), 0, Errno::from_raw(errno))
        }
        raw::Side::Parent(pid) => {
            drop(tell);
            let said = raw::read_report(report.as_fd());
            wait::reap_blocking(pid);
            match said {
                Some((_, 0)) => Ok(()),
                Some((_, errno)) => Err(Errno::from_raw(errno)),
                None => Err(Errno::EINTR), // it was killed
            }
        }
    }
}

/// `close_range` that marks close-on-exec (Linux 5.11), here of fds that nobody has.
///
/// # Errors
/// ENOSYS, EINVAL: the kernel has it not.
pub fn close_range() -> nix::Result<()> {
    let none = u32::MAX - 1;
    // SAFETY: numbers only; there are no such fds.
    check(unsafe { libc::syscall(libc::SYS_close_range, none, none, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// A path that is followed without waiting (`RESOLVE_CACHED`, Linux 5.12). EAGAIN is an answer too.
///
/// # Errors
/// EINVAL, ENOSYS: the kernel has it not.
pub fn resolve_cached() -> nix::Result<()> {
    const RESOLVE_CACHED: u64 = 0x20;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::from_bits_retain(RESOLVE_CACHED));
    match openat2(AT_FDCWD, "/", how) {
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// `mount_setattr` (Linux 5.12), on a mount that stands nowhere.
///
/// # Errors
/// ENOSYS: the kernel has it not; EPERM: not allowed.
pub fn mount_setattr() -> nix::Result<()> {
    let mount = detached::mount(c"tmpfs")?;
    let attributes = [libc::MOUNT_ATTR_RDONLY, 0, 0, 0]; // struct mount_attr: set, clear, propagation, userns
    let size = size_of_val(&attributes);
    // SAFETY: a terminated string and a block as long as we say, which outlive the call and are only read.
    check(unsafe {
        libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, attributes.as_ptr(), size)
    })
    .map(drop)
}

/// A mount id that is never used again (`STATX_MNT_ID_UNIQUE`, Linux 6.8).
#[must_use]
pub fn unique_mount_ids() -> bool {
    let root = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
    let stat = root.and_then(|root| statx::of_fd(root.as_fd(), libc::STATX_MNT_ID_UNIQUE));
    stat.is_ok_and(|stat| stat.stx_mask & libc::STATX_MNT_ID_UNIQUE != 0)
}

/// Events of a mount namespace (`FAN_REPORT_MNT`, Linux 6.14).
///
/// # Errors
/// EINVAL, ENOSYS: the kernel has them not; EPERM: not allowed; EMFILE: too many groups.
pub fn mount_events() -> nix::Result<()> {
    /// Not in every libc header.
    const FAN_REPORT_MNT: libc::c_uint = 0x4000;
    // SAFETY: numbers only; a new fd is made.
    let fd = check(unsafe { libc::syscall(libc::SYS_fanotify_init, FAN_REPORT_MNT | libc::FAN_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made this fd for us.
    drop(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    Ok(())
}

/// One inotify instance and one watch in it.
///
/// # Errors
/// EMFILE: no instance is left for this user; ENOSPC: no watch is.
pub fn inotify() -> nix::Result<()> {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let instance = Inotify::init(InitFlags::IN_CLOEXEC)?;
    instance.add_watch("/", AddWatchFlags::IN_DELETE_SELF).map(drop)
}

/// Whether we may write there, a read-only mount and our own rights considered.
///
/// # Errors
/// EROFS, EACCES, ENOENT.
pub fn writable(path: &Path) -> nix::Result<()> {
    access(path, AccessFlags::W_OK)
}

/// Whether setuid programs are only programs on the file system of this file.
#[must_use]
pub fn is_nosuid(path: &Path) -> bool {
    let flags = File::open(path).ok().and_then(|file| statvfs::fstatvfs(&file).ok()).map(|of| of.flags());
    flags.is_some_and(|flags| flags.contains(statvfs::FsFlags::ST_NOSUID))
}

/// Our effective user id.
#[must_use]
pub fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birth_leaves_no_child() {
        let fs_pid = Namespaces { mount: true, pid: true, ..Namespaces::default() };
        assert_eq!(birth(fs_pid, None), Ok(()));
        assert_eq!(wait::reap_any(), None, "this test's own process has no other child");
    }

    #[test]
    fn users_are_tried_as_they_are() {
        assert_eq!(open_as(54_321, c"/dev/null"), Ok(()));
        assert_eq!(open_as(54_321, c"/proc/1/mem"), Err(Errno::EACCES));
        assert_eq!(open_here(c"/no/such/file"), Err(Errno::ENOENT));
        assert_eq!(user(), 0, "the child's identity stays in the child");
    }

    #[test]
    fn this_kernel_is_new_enough_for_the_tests() {
        assert_eq!((close_range(), resolve_cached(), mount_setattr(), inotify()), (Ok(()), Ok(()), Ok(()), Ok(())));
    }

    #[test]
    fn where_nothing_can_be_written() {
        assert!(!is_nosuid(Path::new("/bin/sh")));
        assert_eq!(writable(Path::new("/no/such/file")), Err(Errno::ENOENT));
        assert_eq!(writable(Path::new("/tmp")), Ok(()));
    }
}
