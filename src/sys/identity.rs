//! Who a process is: numbers only, in the one order that works, verified afterwards.

use nix::errno::Errno;

use crate::raw::check;

/// A user, a group and all supplementary groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, all of them.
    pub groups: &'a [u32],
}

/// Takes the identity for good: groups and group first, because they need the rights that go away with the user; then the
/// user; then a look whether it is true. For a process of one thread. Allocates nothing, so a forked child may call it.
///
/// # Errors
/// EPERM without `CAP_SETUID`/`CAP_SETGID`; EACCES when the kernel said yes and did not do it.
pub fn take(identity: &Identity<'_>) -> nix::Result<()> {
    let (uid, gid) = (identity.uid, identity.gid);
    // SAFETY: the slice is as long as we say and outlives the call, which only reads it.
    check(unsafe { libc::syscall(libc::SYS_setgroups, identity.groups.len(), identity.groups.as_ptr()) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })?;
    if ids(libc::SYS_getresuid)? == [uid; 3] && ids(libc::SYS_getresgid)? == [gid; 3] { Ok(()) } else { Err(Errno::EACCES) }
}

/// Real, effective and saved id of the calling thread, by `getresuid` or `getresgid`.
pub(crate) fn ids(call: libc::c_long) -> nix::Result<[u32; 3]> {
    let mut ids = [0u32; 3];
    let [real, effective, saved] = &mut ids;
    // SAFETY: three places of four bytes that outlive the call; the callers name one of the two calls that fill them.
    check(unsafe { libc::syscall(call, &raw mut *real, &raw mut *effective, &raw mut *saved) })?;
    Ok(ids)
}
