//! Control groups as directories: which version a path belongs to, and for whom one was made.

use std::{
    ffi::CStr,
    os::fd::{AsFd, AsRawFd},
};

use nix::{errno::Errno, sys::statfs::fstatfs};

/// The two kinds of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    One,
    /// The unified one: a child can be born into a group.
    Two,
}

/// `CGROUP_SUPER_MAGIC` of version 1; not in every libc header.
const ONE: i64 = 0x0027_e0eb;
/// `CGROUP2_SUPER_MAGIC`.
const TWO: i64 = 0x6367_7270;

/// What kind of group an open directory is. None: it is an ordinary directory.
///
/// # Errors
/// The file system's.
pub fn version(directory: &impl AsFd) -> nix::Result<Option<Version>> {
    let kind = fstatfs(directory)?.filesystem_type().0 as i64;
    Ok([(ONE, Version::One), (TWO, Version::Two)].iter().find(|(magic, _)| *magic == kind).map(|(_, version)| *version))
}

/// An attribute of the directory, which only root reads and writes. It goes with the group, and with nothing else.
const MADE_FOR: &CStr = c"trusted.liege.made_for";

/// Writes on a group for whom it was made.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`, ENOTSUP where the hierarchy has no attributes.
pub fn mark_made_for(directory: &impl AsFd, whom: &str) -> nix::Result<()> {
    let fd = directory.as_fd().as_raw_fd();
    // SAFETY: the name is terminated, the value has the length given; both outlive the call.
    let answer = unsafe { libc::fsetxattr(fd, MADE_FOR.as_ptr(), whom.as_ptr().cast(), whom.len(), 0) };
    Errno::result(answer).map(drop)
}

/// Whether a group was made for him.
#[must_use]
pub fn was_made_for(directory: &impl AsFd, whom: &str) -> bool {
    // One byte more than expected: a longer value is another.
    let mut value = vec![0u8; whom.len() + 1];
    let fd = directory.as_fd().as_raw_fd();
    // SAFETY: the name is terminated, the buffer has the length given; both outlive the call.
    let answer = unsafe { libc::fgetxattr(fd, MADE_FOR.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(answer).is_ok_and(|length| value.get(..length) == Some(whom.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_directory_is_no_group() {
        assert_eq!(version(&std::fs::File::open("/tmp").unwrap()), Ok(None));
    }
}
