//! More namespaces for a process that lives already.
//!
//! Deliberately not here: a pid namespace (it would begin with the next child) and a user namespace (its maps need another
//! process); both are given at birth, see `clone`.

use nix::{errno::Errno, sched::CloneFlags};

/// Which namespaces become our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unshare {
    /// `CLONE_NEWNS`
    pub mount: bool,
    /// `CLONE_NEWIPC`
    pub ipc: bool,
    /// `CLONE_NEWUTS`
    pub uts: bool,
    /// `CLONE_NEWNET`
    pub net: bool,
    /// `CLONE_NEWCGROUP`
    pub cgroup: bool,
}

/// Leaves the shared ones. For a process of one thread: it is the calling thread that moves.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`; EINVAL for a kind the kernel was built without; ENOSPC at a limit of `/proc/sys/user`.
pub fn unshare(which: Unshare) -> Result<(), Errno> {
    let Unshare { mount, ipc, uts, net, cgroup } = which;
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWNS, mount);
    flags.set(CloneFlags::CLONE_NEWIPC, ipc);
    flags.set(CloneFlags::CLONE_NEWUTS, uts);
    flags.set(CloneFlags::CLONE_NEWNET, net);
    flags.set(CloneFlags::CLONE_NEWCGROUP, cgroup);
    nix::sched::unshare(flags)
}
