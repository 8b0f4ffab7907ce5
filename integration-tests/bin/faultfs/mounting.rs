//! Mounting and unmounting, both ways: as root by the system call, as a user by the setuid helper fusermount3.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use liege_sys::fds;
use nix::cmsg_space;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::{getegid, geteuid};

/// Mounts, and gives the open /dev/fuse. It never blocks: the server waits by poll, so that it can stop reading on command.
pub(crate) fn mount(point: &Path, allow_other: bool, owner: Option<(u32, u32)>) -> io::Result<File> {
    if geteuid().is_root() { by_system_call(point, allow_other, owner) } else { by_helper(point, allow_other) }
}

/// Takes the mount off again.
pub(crate) fn unmount(point: &Path) {
    if geteuid().is_root() {
        if umount2(point, MntFlags::empty()).is_err() {
            let _ = umount2(point, MntFlags::MNT_DETACH); // busy: gone from the name space at least
        }
    } else {
        let _ = Command::new("fusermount3").arg("-u").arg(point).status(); // what cannot be taken off stays
    }
}

fn by_system_call(point: &Path, allow_other: bool, owner: Option<(u32, u32)>) -> io::Result<File> {
    let device = File::options().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open("/dev/fuse")?;
    let (uid, gid) = owner.unwrap_or((geteuid().as_raw(), getegid().as_raw()));
    let others = if allow_other { ",allow_other" } else { "" };
    let data = format!("fd={},rootmode=40000,user_id={uid},group_id={gid}{others}", device.as_raw_fd());
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    nix::mount::mount(Some("faultfs"), point, Some("fuse.faultfs"), flags, Some(data.as_str()))?;
    Ok(device)
}

/// fusermount3 opens the device, mounts, and sends the descriptor back over the socket whose number `_FUSE_COMMFD` says.
fn by_helper(point: &Path, allow_other: bool) -> io::Result<File> {
    let (ours, theirs) = UnixDatagram::pair()?;
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?; // through the exec
    let others = if allow_other { ",allow_other" } else { "" };
    let status = Command::new("fusermount3")
        .args(["-o", &format!("fsname=faultfs,subtype=faultfs{others}"), "--"])
        .arg(point)
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .status()?;
    drop(theirs);
    if !status.success() {
        return Err(io::Error::other(format!("fusermount3: {status}")));
    }
    let mut space = cmsg_space!(RawFd);
    let mut byte = [0; 1];
    let mut slices = [io::IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(ours.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty())?;
    let sent = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let device = sent.and_then(fds::inherited).ok_or_else(|| io::Error::other("fusermount3 sent no descriptor"))?;
    fcntl(&device, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(File::from(device))
}
