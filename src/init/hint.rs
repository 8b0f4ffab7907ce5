//! The likely human cause of a call that failed, as a short phrase. Empty where the errno says enough.

use liege_plan::{Act, MountFlags};
use liege_sys::Errno;

/// What a person would look at first.
pub(crate) fn hint(act: &Act, errno: Errno) -> &'static str {
    match (act, errno) {
        (Act::PivotRoot { .. }, Errno::EBUSY) => "the new root must be a mount of its own",
        (Act::PivotRoot { .. }, Errno::EINVAL) => "the old root's place must be below the new root, and / not shared",
        (Act::PivotRoot { .. } | Act::Chroot(_), Errno::ENOENT) => "the new root or the old one's place is missing",
        (Act::PivotRoot { .. } | Act::Chroot(_), Errno::ENOTDIR) => "the new root or the old one's place is no directory",
        (Act::PivotRoot { .. }, Errno::ENOTCONN) => "the file system of the new root is dead: its daemon ended",
        (Act::PivotRoot { .. } | Act::Chroot(_), Errno::EACCES) => "a FUSE root needs allow_other",
        (Act::Mount(_), Errno::ENODEV) => "the kernel does not know this type of file system",
        (Act::Mount(m), Errno::ENOENT) if !m.data.is_empty() => "the source, the mount point or what the data names is missing",
        (Act::Mount(m), Errno::EINVAL) if !m.data.is_empty() => "the file system refuses its data; the kernel's log says more",
        (Act::Mount(m), Errno::ELOOP) if m.fstype == "overlay" => "the layers lie one below the other",
        (Act::Mount(_), Errno::ENOENT) => "the source or the mount point is missing",
        (Act::Mount(_), Errno::ENOTDIR) => "the mount point and the source are not both directories, or not both files",
        (Act::Mount(m), Errno::EINVAL) if m.flags.0 & MountFlags::PROPAGATION != 0 => "nothing is mounted there",
        // What covers a place on the host may not be lifted in a user namespace, so it must come along.
        (Act::Mount(m), Errno::EINVAL) if m.flags.0 & (MountFlags::BIND | MountFlags::REC) == MountFlags::BIND => {
            "in a user namespace what is mounted below it must come along: bind,rec"
        }
        (Act::SetMountAttributes(_), Errno::ENOSYS) => "the attributes of a bind need Linux 5.12 or later",
        (Act::Mount(_) | Act::SetMountAttributes(_) | Act::Umount(_) | Act::MountProc, Errno::EPERM) => {
            "init may not mount here (CAP_SYS_ADMIN)"
        }
        (Act::PivotRoot { .. } | Act::Chroot(_) | Act::Unshare(_) | Act::MakePrivate, Errno::EPERM) => {
            "init lacks the capability: emperor-cap, or the daemon's own bounds"
        }
        (Act::Unshare(_), Errno::EINVAL) => "the kernel has no such namespace",
        (Act::Mount(_), Errno::ENOSPC) => "fs.mount-max allows no more mounts in one namespace",
        (Act::BoundCaps(_) | Act::KeepCaps(_), Errno::EPERM) => "the daemon lacks CAP_SETPCAP",
        (Act::LoopbackUp, Errno::EPERM) => "the daemon lacks CAP_NET_ADMIN",
        (Act::MountProc, Errno::ENOENT) => "this root has no /proc",
        (Act::Umount(_), Errno::EINVAL) => "nothing is mounted there",
        (Act::Umount(_), Errno::EBUSY) => "it is in use (detach would take it away all the same)",
        (Act::Mkdir(_), Errno::EEXIST) => "it is there already",
        _ => "",
    }
}
