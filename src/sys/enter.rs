//! Into a directory without waiting for anybody.
//!
//! A path leads through file systems, and a file system may not answer. The kernel can be told to follow a path only as far as
//! it knows it already (`RESOLVE_CACHED`, Linux 5.12), and a directory on a disk asks no daemon. Anything else is for whoever
//! may wait.

use std::{ffi::OsStr, os::fd::AsFd};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2},
    unistd::fchdir,
};

use crate::statx;

/// `RESOLVE_CACHED`: EAGAIN where the next name would have to be asked for.
const RESOLVE_CACHED: u64 = 0x20;

/// Changes the working directory, if that takes no waiting. False: it would, or something is wrong with the path; nothing has
/// changed then. (ntfs-3g and its like look like a disk and are not one; they are waited for.)
#[must_use]
pub fn at_once(directory: &OsStr) -> bool {
    enter(directory).is_ok()
}

fn enter(directory: &OsStr) -> nix::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::from_bits_retain(RESOLVE_CACHED));
    let directory = openat2(AT_FDCWD, directory, how)?;
    // Whoever has no disk (FUSE, NFS, but tmpfs too) has a device without a major number.
    if statx::of_fd(directory.as_fd(), 0)?.stx_dev_major == 0 {
        return Err(Errno::EAGAIN);
    }
    fchdir(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_a_disk_is_left_to_others() {
        let before = std::env::current_dir().unwrap();
        for path in ["/proc/self", "/dev/shm", "/no/such/directory", "/etc/passwd"] {
            assert!(!at_once(OsStr::new(path)), "{path}");
        }
        assert_eq!(std::env::current_dir().unwrap(), before);
    }
}
