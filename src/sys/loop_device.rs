//! What a loop device lies on.

use std::{
    fs::OpenOptions,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    },
};

use nix::errno::Errno;

use crate::raw::check;

/// Its major, `LOOP_MAJOR`.
pub const MAJOR: u32 = 7;

/// `LOOP_GET_STATUS64`
const GET_STATUS: u32 = 0x4C05;

/// The device of the file system that holds its image. The kernel asks that file system, so the call may hang. A device with partitions has
/// other numbers, and is not found.
///
/// # Errors
/// ENODEV: what is found in `/dev` is another device. ENXIO: it has no image. Else the kernel's.
pub fn lies_on(minor: u32) -> nix::Result<(u32, u32)> {
    /// `struct loop_info64`: the device of the image comes first.
    #[repr(C)]
    struct Status {
        device: u64,
        rest: [u64; 28],
    }
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(format!("/dev/loop{minor}"));
    let io = |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let device = open.map_err(io)?;
    let found = device.metadata().map_err(io)?;
    if !found.file_type().is_block_device() || found.rdev() != libc::makedev(MAJOR, minor) {
        return Err(Errno::ENODEV);
    }
    let mut status = Status { device: 0, rest: [0; 28] };
    // SAFETY: the block is as long as the kernel writes and outlives the call.
    check(unsafe { libc::ioctl(device.as_raw_fd(), GET_STATUS as _, &raw mut status) }.into())?;
    let _ = status.rest;
    Ok((libc::major(status.device), libc::minor(status.device)))
}
